"""What members of other engines say, in the words that the rules know: of one file, line by line. Pure.

Such a member speaks only when something happens, so its silence tells nothing. It is called after its file; how the others call it
(`identity`) is learnt from its own lines.
"""

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from coordctl.logs.lines import Line

ENGINE = "engine"  # a fact: of which one a member is, since the first line of its log
SAID_CHARS_MAX = 160
USUAL = ""  # a kind: it says so each day, however grave it sounds
W = TypeVar("W")


class Said(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a line."""

    kind: str
    fields: dict[str, Any] = {}
    is_act: bool = True  # kept whole; else only counted


class Dialect(Protocol):
    """Of one file. Learns from lines of any time."""

    engine: str
    identity: str
    facts: list[tuple[str, str]]  # news: (what, it is)

    def speaks(self, found: Any) -> bool:
        """Whether a line is its own. `found`: what the parser made of it."""

    def said(self, line: Line, found: Any) -> Said | None:
        """None: it is no word that is known."""

    def more(self, raw: bytes) -> Said | None:
        """Behind a line, without a time."""


class Lexicon(Generic[W]):
    """What is known by how it begins: versions differ in how it goes on. What ends with a newline goes on in no way."""

    def __init__(self, words: Mapping[str, W]) -> None:
        self._words = words
        self._kinds: dict[str, W | None] = {}  # as many as a log has

    def word(self, kind: str) -> W | None:
        if kind not in self._kinds:
            self._kinds[kind] = next((word for beginning, word in self._words.items() if f"{kind}\n".startswith(beginning)), None)
        return self._kinds[kind]


def translated(line: Line, said: Said, member: str) -> Line:
    if said.kind == USUAL:
        return Line(line.at_ms, line.kind, 0, member, 0, 0, {})
    return Line(line.at_ms, said.kind, line.level, member, 0, 0, said.fields, said.is_act)


def without(words: str) -> str:
    return words[:SAID_CHARS_MAX].strip()
