"""Rows that belong to a name and have a number: holders, waiters, candidates. They lie behind one another in the order of numbers. Pure."""

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import TypeVar

from coordnode.ids import Token
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
