"""Rows that belong to a name and have a number: holders, waiters, candidates. They lie behind one another in the order of numbers. Pure."""

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import TypeVar

from coordnode.errors import BadRequest, CoordError, TooLarge
from coordnode.ids import Token
from coordnode.services.state import TOKEN_MAX, Settings
from coordnode.services.tables import Table

Leaf = TypeVar("Leaf")

NUMBER_BYTES = 8

pack_number = Struct(">Q").pack


def key_of(name: bytes, number: int) -> bytes:
    return name + b"\0" + pack_number(number)  # no name has a zero byte in it


def name_of(key: bytes) -> bytes:
    return key[: -NUMBER_BYTES - 1]


def number_of(key: bytes) -> Token:
    return Token(int.from_bytes(key[-NUMBER_BYTES:], "big"))


def rows_of(table: Table[Leaf], name: bytes, after: int = 0) -> Iterator[tuple[bytes, Leaf]]:
    """In the order of their numbers, those above `after`. The table must not change meanwhile."""
    return table.scan(key_of(name, after + 1), name + b"\1")


def page_of_rows(table: Table[Leaf], name: bytes, after: int, count: int) -> tuple[list[tuple[bytes, Leaf]], bool]:
    """At most `count` of them, and whether there are more."""
    rows = list(islice(rows_of(table, name, after), count + 1))
    return rows[:count], len(rows) > count


def check_number(number: Token, what: str) -> CoordError | None:
    if 0 < number <= TOKEN_MAX:
        return None
    return BadRequest(f"{what} is {number}; give one that an answer named")


def check_rows(limit: int, *after: Token) -> CoordError | None:
    if limit < 0 or min(after) < 0 or max(after) > TOKEN_MAX:
        return BadRequest("a page begins after a number that the page before ended with, and its limit is not below 0")
    return None


def check_claimed(session: int, after_name: bytes, after_number: Token, limit: int, settings: Settings) -> CoordError | None:
    """A page of what one session holds and awaits."""
    if not 0 < session <= TOKEN_MAX:
        return BadRequest(f"there is no session {session}; name one that lives")
    if len(after_name) > settings.name_bytes_max:
        return TooLarge(f"a page begins after a name of at most {settings.name_bytes_max} bytes, not {len(after_name)}")
    return check_rows(limit, after_number)
