"""Elections, blocking: `cluster.election(name)`; and what its twin in aio_elections asks for, too."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec

from coordnode.client.clock import now_ms
from coordnode.client.durations import Seconds, in_ms
from coordnode.client.held import Held, LostCallback
from coordnode.client.inboxes import Inbox, Scope
from coordnode.client.pump import Pump
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import HistoryGone
from coordnode.ids import Revision, Token
from coordnode.services.commands import (
    ELECTIONS,
    VACANT,
    Campaign,
    Change,
    Depose,
    Done,
    ElectionInfo,
    ElectionPage,
    ElectionView,
    LeaderChange,
    ListElections,
    Proclaim,
    ReadElection,
    Resign,
    Resigned,
    decode_leader_change,
)

Name = str | bytes


class Observed(msgspec.Struct, frozen=True):
    """Who leads, as of a revision; `leader` None: nobody does."""

    revision: Revision
    leader: LeaderChange | None
    reason: str = ""  # for which the last one left, where that was seen to happen and nobody follows


def view_request(name: bytes, stale: bool) -> Request[ElectionView]:
    return Request(ReadElection(name), lambda result: expect(result, ElectionView), stale)


def page_request(prefix: Name, after: bytes, stale: bool) -> Request[ElectionPage]:
    return Request(ListElections(as_bytes(prefix), after), lambda result: expect(result, ElectionPage), stale)


def proclaim_request(name: bytes, token: Token, value: Name) -> Request[Revision]:
    return Request(Proclaim(name, token, as_bytes(value)), lambda result: expect(result, Done).revision)


def resign_request(name: bytes, token: Token, to: str) -> Request[Resigned]:
    return Request(Resign(name, token, to), lambda result: expect(result, Resigned))


def depose_request(name: bytes, token: int, to: str, reason: str, by: str) -> Request[Revision]:
    return Request(Depose(name, Token(token), to, reason, by), lambda result: expect(result, Done).revision)


def scope_of(name: bytes) -> Scope:
    return Scope(name, name + b"\0", ELECTIONS)


def observed_of(read: ElectionView) -> Observed:
    election = read.election
    if election is None:
        return Observed(read.revision, None)
    leader = election.leader
    return Observed(read.revision, LeaderChange(leader.token, leader.session, leader.owner, leader.candidate, leader.value))


def observed_in(change: Change) -> Observed:
    event = change.events[-1]
    told = decode_leader_change(event.value)
    return Observed(change.revision, None, told.reason) if event.kind == VACANT else Observed(change.revision, told)


class Elections:
    """All of them: `cluster.elections`."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def list(self, prefix: Name = b"", *, stale: bool = False, timeout: Seconds | None = None) -> Iterator[ElectionInfo]:
        """Those that somebody leads, in the order of names, page by page."""
        after, more = b"", True
        while more:
            limit_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
            page = self._pump.call(page_request(prefix, after, stale), limit_ms)
            yield from page.elections
            more = page.more
            after = page.elections[-1].name if page.elections else b""


class Election:
    """One of them, by its name. It is there while somebody leads it."""

    def __init__(self, pump: Pump, timeout_ms: int, name: Name, ttl_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._ttl_ms = ttl_ms
        self.name = as_bytes(name)

    def view(self, *, stale: bool = False, timeout: Seconds | None = None) -> ElectionView:
        """Who leads and who stands, as far as one page goes."""
        return self._pump.call(view_request(self.name, stale), self._limit(timeout))

    def campaign(
        self, value: Name = b"", *, candidate: str = "", wait: Seconds | bool = True, on_lost: LostCallback | None = None
    ) -> "Leadership":
        """To be won by `with`. `candidate`: by which a leader may hand over to this one. `wait`, `on_lost`: as for locks."""
        wait_ms = None if wait is True else 0 if wait is False else in_ms(wait, "time to wait")
        operation = Campaign(self.name, as_bytes(value), candidate, wait_ms != 0)
        return Leadership(self._pump, self._timeout_ms, operation, self._ttl_ms, wait_ms, on_lost)

    def observe(self) -> "Observer":
        """Who leads now, then every change: another leader, another value, nobody."""
        return Observer(self._pump, self._timeout_ms, self.name)

    def depose(self, *, reason: str, by: str = "", token: int = 0, to: str = "", timeout: Seconds | None = None) -> None:
        """An operator's: ends a leadership (`token` 0: whoever leads), who is told at once. Raises Missing when nobody leads."""
        request = depose_request(self.name, token, to, reason, by or self._pump.link.core.identity)
        self._pump.call(request, self._limit(timeout))

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")


class Leadership(Held):
    """A candidacy and what it leads to, with a session of its own: made by `election.campaign`. Losing it is as losing a lock."""

    def __init__(
        self, pump: Pump, timeout_ms: int, operation: Campaign, ttl_ms: int, wait_ms: int | None, on_lost: LostCallback | None
    ) -> None:
        super().__init__(pump, timeout_ms, ttl_ms, on_lost)
        self._operation = operation
        self._wait_ms = wait_ms
        self.name = operation.name

    def win(self, timeout: Seconds | None = None) -> Self:
        """Returns once it leads; raises Busy when it did not come to that in this time (None: as it was made)."""
        wait_ms = self._wait_ms if timeout is None else in_ms(timeout, "timeout")
        self._begin(self._operation, wait_ms or None)
        return self

    def proclaim(self, value: Name, *, timeout: Seconds | None = None) -> Revision:
        limit_ms = self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
        return self._pump.call(proclaim_request(self.name, self.token, value), limit_ms, self._number)

    def resign(self, *, to: str = "") -> None:
        """`to`: the candidate who shall lead next; raises Missing, and leads on, if there is none of that name. NotHeld: lost before."""
        if to:
            self._hand_over(resign_request(self.name, self.token, to))
        else:
            self._end()

    def __enter__(self) -> Self:
        return self.win()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit(kind, error, trace)


class Observer:
    """Iterate over it for Observed after Observed, for ever; or take one with a time limit. After a gap it reads anew: the newest is
    never missed."""

    def __init__(self, pump: Pump, timeout_ms: int, name: bytes) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms
        self._name = name
        self._inbox: Inbox | None = None  # None: to be read first

    def take(self, timeout: Seconds | None = None) -> Observed | None:
        """The next one; None: there was none in this time."""
        until_ms = None if timeout is None else now_ms() + in_ms(timeout, "timeout")
        while True:
            inbox = self._inbox
            if inbox is None:
                return self._read(until_ms)
            try:
                change = self._pump.take_change(inbox)
            except HistoryGone:
                self.close()
                continue
            if change is not None:
                return observed_in(change)
            if not self._pump.wait_until(inbox.has_something, until_ms):
                return None

    def _read(self, until_ms: int | None) -> Observed:
        limit_ms = self._timeout_ms if until_ms is None else max(1, until_ms - now_ms())
        read = self._pump.call(view_request(self._name, stale=False), limit_ms)
        self._inbox = self._pump.watch(scope_of(self._name), read.revision + 1)
        return observed_of(read)

    def __iter__(self) -> Iterator[Observed]:
        while True:
            observed = self.take()
            assert observed is not None
            yield observed

    def close(self) -> None:
        if self._inbox is not None:
            self._pump.end_watch(self._inbox)
            self._inbox = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
