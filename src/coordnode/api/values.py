"""Keys and values are bytes; JSON has only text. They are shown as text where they are text, and always in base64. Pure."""

import re
from base64 import b64encode
from typing import Annotated

import msgspec
from msgspec import Meta

from coordnode.api.route import NUMBER_MAX
from coordnode.errors import BadRequest
from coordnode.services.commands import Item

Base64 = Annotated[bytes, Meta(description="base64")]


_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # each would take six bytes of JSON, and no text has them


def text_of(data: bytes) -> str | None:
    if _CONTROL.search(data):
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def one_of(text: str | None, encoded: bytes | None, name: str) -> bytes:
    if (text is None) == (encoded is None):
        raise BadRequest(f"give either {name} (text) or {name}_base64")
    return text.encode() if text is not None else encoded or b""


def in_query(text: str) -> bytes:
    """What was percent-encoded comes back as the very same bytes, also where they are no text."""
    return text.encode("utf-8", "surrogateescape")


def in_text(text: str) -> str:
    """What a query says in words: refused where what was percent-encoded is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest("a parameter that says something in words is not UTF-8; percent-encode the bytes of that") from None
    return text


def whole_number(text: str) -> int | None:
    """Of a header; None: it is none that JSON carries unharmed."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(NUMBER_MAX)) or int(text) > NUMBER_MAX:
        return None
    return int(text)


class ShownItem(msgspec.Struct, frozen=True):
    key: str | None  # null: it is not text
    key_base64: str
    value: str | None
    value_base64: str
    create_revision: int
    mod_revision: int
    version: int
    session: int  # 0: bound to none


def shown_item(item: Item) -> ShownItem:
    return ShownItem(
        text_of(item.key),
        b64encode(item.key).decode(),
        text_of(item.value),
        b64encode(item.value).decode(),
        item.create_revision,
        item.mod_revision,
        item.version,
        item.session,
    )
