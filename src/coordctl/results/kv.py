"""What the `kv` verbs print."""

from typing import Literal

import msgspec


class KvItem(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and values as text where they are text, and always as base64."""

    key: str | None
    key_base64: str
    value: str | None
    value_base64: str
    create_revision: int
    mod_revision: int
    version: int
    session: int


class KvGet(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-get/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    key: str | None
    key_base64: str
    revision: int
    item: KvItem | None


class KvPut(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-put/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    key: str | None
    key_base64: str
    revision: int
    request_id: str


class KvDelete(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-del/1"]
    outcome: Literal["deleted", "absent"]
    exit_code: Literal[0]
    key: str | None
    key_base64: str
    revision: int
    request_id: str


class KvListed(KvItem, frozen=True, kw_only=True):
    """One line for each key."""

    schema: Literal["coordctl.kv-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class KvCas(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-cas/1"]
    outcome: Literal["done", "different"]
    exit_code: Literal[0, 1]
    key: str | None
    key_base64: str
    revision: int
    request_id: str
    found: KvItem | None  # what was there instead


class KvChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each key that changed; those of one transaction have one revision."""

    schema: Literal["coordctl.kv-watch/1"]
    outcome: Literal["changed"]
    exit_code: Literal[0]
    revision: int
    is_last_of_revision: bool
    kind: Literal["put", "delete"]
    key: str | None
    key_base64: str
    value: str | None
    value_base64: str
    version: int
    session: int
