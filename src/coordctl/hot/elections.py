"""Elections as docs/protocol.md has them: what is asked, and what the answers mean, for the verbs and for who leads."""

from __future__ import annotations

import os

from coordctl.hot import frames
from coordctl.hot.locks import seconds
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

CAMPAIGN, PROCLAIM, DEPOSE = 40, 41, 43  # tags of operations
SHOW, LIST, CANDIDACIES = 44, 45, 46  # tags of reads
ELECTED, QUEUED, LED_ALREADY, VIEW, PAGE, STANDING = 40, 41, 42, 44, 45, 46  # tags of results
GIVEN, TAKEN = 40, 41  # of notices, which have tags of their own


class Leader(NamedTuple):
    token: int
    session: int
    owner: str
    candidate: str
    value: bytes
    since_unix_ms: int
    led_ms: int

    @property
    def name(self) -> str:
        return self.candidate or self.owner or f"session {self.session}"


class Candidate(NamedTuple):
    ticket: int
    session: int
    owner: str
    candidate: str
    value: bytes
    since_unix_ms: int
    waited_ms: int

    @property
    def name(self) -> str:
        return self.candidate or self.owner or f"session {self.session}"


class Election(NamedTuple):
    name: bytes
    leader: Leader
    candidates: int  # who wait


class Wish:
    """Implements runner.wish.Wish."""

    verb, held, broken = "elect", "led", "ended"
    space = frames.ELECTIONS
    granted, queued, busy, standing = ELECTED, QUEUED, LED_ALREADY, STANDING
    given, taken = GIVEN, TAKEN
    is_token = comes_with_opening = True
    is_conflict_busy = False

    def __init__(self, name: str, value: bytes, candidate: str, *, waits: bool = True) -> None:
        self.name = name
        self.waits = waits
        self._value = value
        self._candidate = candidate

    def operation(self) -> list[object]:
        return [CAMPAIGN, os.fsencode(self.name), self._value, self._candidate, self.waits]

    def read(self) -> list[object]:
        return read_operation(os.fsencode(self.name))

    def read_standing(self, session: int) -> list[object]:
        return [CANDIDACIES, session, b"", 0, 0]

    def had_by(self, fields: Any) -> Leader:
        return leader_of(fields)

    def had_now(self, result: Any) -> Leader | None:
        frames.expect(result, VIEW)
        return None if result[2] is None else election_of(result[2]).leader

    def who(self, had: Leader, extra_ms: int = 0) -> str:
        return f"led by {had.name}, for {seconds(had.led_ms + extra_ms)}"

    def token(self, had: Leader) -> int:
        return had.token

    def environment(self, token: int) -> dict[str, str]:
        return {"COORD_ELECTION": self.name, "COORD_TOKEN": str(token)}

    def on_granted(self, result: Any) -> None:
        """Nothing that the token does not say."""


class View(NamedTuple):
    election: Election | None  # None: nobody leads, and nobody stands
    candidates: list[Candidate]  # in the order in which they follow


def leader_of(fields: Any) -> Leader:
    token, session, owner, candidate, value, since_unix_ms, led_ms = fields[:7]
    return Leader(token, session, owner, candidate, value, since_unix_ms, led_ms)


def election_of(fields: Any) -> Election:
    return Election(fields[0], leader_of(fields[1]), fields[2])


def read_operation(name: bytes, after_ticket: int = 0) -> list[object]:
    return [SHOW, name, after_ticket, 0]


def view(asking: Cluster, name: bytes, *, stale: bool) -> View:
    """With all who stand, page by page; who comes or goes meanwhile may be missing or there."""
    found: Election | None = None
    standing: list[Candidate] = []
    more = True
    while more:
        read = read_operation(name, standing[-1].ticket if standing else 0)
        result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
        frames.expect(result, VIEW)
        _, _, election, candidates, more = result[:5]
        found = None if election is None else election_of(election)
        for ticket, session, owner, candidate, value, since_unix_ms, waited_ms in [fields[:7] for fields in candidates]:
            standing.append(Candidate(ticket, session, owner, candidate, value, since_unix_ms, waited_ms))
    return View(found, standing)


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Election], bool]:
    """(elections in the order of their names, whether there are more)"""
    read = [LIST, prefix, after, 0]
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, PAGE)
    return [election_of(fields) for fields in result[2]], result[3]


def proclaim(asking: Cluster, session: int, name: bytes, token: int, value: bytes) -> int:
    """The revision."""
    operation = [PROCLAIM, name, token, value]
    result = asking.ask(frames.WRITE, [session, 0, 0, "", operation], is_safe_twice=True)  # the same once more changes nothing
    frames.expect(result, frames.DONE)
    return int(result[1])


def depose_operation(name: bytes, token: int, to: str, reason: str, by: str) -> list[object]:
    return [DEPOSE, name, token, to, reason, by]
