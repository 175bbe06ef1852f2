"""What may name a lock, an election, a group and the like, and the pages in which names are listed. Pure."""

from typing import TypeVar

from coordnode.errors import BadRequest, CoordError, TooLarge
from coordnode.services.state import Settings
from coordnode.services.tables import Table

Leaf = TypeVar("Leaf")


def check_name(kind: str, name: bytes, settings: Settings) -> CoordError | None:
    """Some bytes, none of them a control character: people type names, and zero bytes separate them from what follows in a key."""
    if not name:
        return BadRequest(f"the {kind} has no name; give one of at least one byte")
    if len(name) > settings.name_bytes_max:
        return TooLarge(f"the name of {kind} {name[:32]!r}… has {len(name)} bytes, at most {settings.name_bytes_max}; shorten it")
    if min(name) < 0x20 or 0x7F in name:
        return BadRequest(f"the name of {kind} {name[:32]!r} has a control character in it; choose printable ones")
    return None


def check_text(what: str, text: str, bytes_max: int) -> CoordError | None:
    """Words for people: one line."""
    size = len(text.encode())
    if size > bytes_max:
        return TooLarge(f"the {what} has {size} bytes, at most {bytes_max}; shorten it")
    if text and (min(text) < " " or "\x7f" in text):
        return BadRequest(f"the {what} has a control character in it; write one line")
    return None


def check_page(kind: str, prefix: bytes, after: bytes, limit: int, settings: Settings) -> CoordError | None:
    if limit < 0:
        return BadRequest(f"the limit of a list of {kind}s is {limit}; give 0 for a whole page, or more")
    for part in (prefix, after):
        if part and (error := check_name(kind, part, settings)) is not None:
            return error
    return None


def page_of(table: Table[Leaf], prefix: bytes, after: bytes, limit: int, items_max: int) -> tuple[list[tuple[bytes, Leaf]], bool]:
    """The names that begin with `prefix` and follow `after`, in order, and whether there are more."""
    count = min(limit or items_max, items_max)
    found: list[tuple[bytes, Leaf]] = []
    for name, leaf in table.scan(max(prefix, after + b"\0") if after else prefix):
        if not name.startswith(prefix):
            break
        if len(found) == count:
            return found, True
        found.append((name, leaf))
    return found, False
