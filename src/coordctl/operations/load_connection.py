"""One connection of a generator of load: a real client's, with a session of its own, on which operations are done side by side."""

import os
import random
import time
from collections.abc import Sequence
from typing import Any, Protocol

from coordctl.load.tally import Tally
from coordctl.load.workloads import Operation, Place
from coordnode.client import requests, tls
from coordnode.client.actions import Finished, SessionChanged
from coordnode.client.addresses import parse_addresses
from coordnode.client.clock import now_ms
from coordnode.client.core import READS
from coordnode.client.identity import token_here
from coordnode.client.lease import SessionState
from coordnode.client.link import Event, Link
from coordnode.client.requests import Request
from coordnode.client.stream import Stream
from coordnode.errors import CoordError, PromiseBroken

PLACES_MAX = 64  # operations of one connection under way: in an open loop more are due and late, which counts
CLOSE_MS_MAX = 2_000
NO_SUCH_KEY = "_bench"


class Owner(Protocol):
    """Whose connection it is."""

    tally: Tally
    heard_ns: int  # when what is being read now was there to be read

    def on_opened(self, connection: "Connection") -> None:
        """Its session is, or could not be: see its trouble."""

    def on_session_lost(self, connection: "Connection") -> None: ...

    def on_over(self, connection: "Connection") -> None:
        """One operation is, however it went."""


class Work:
    """One operation under way."""

    __slots__ = ("is_counted", "is_write", "meant_ns", "name", "operation", "place", "request", "sent_ns")

    def __init__(self, name: str, operation: Operation, place: Place, meant_ns: int, is_counted: bool) -> None:
        self.request: Request[Any]
        self.name = name
        self.operation = operation
        self.place = place
        self.meant_ns = meant_ns
        self.is_counted = is_counted
        self.is_write = False
        self.sent_ns = 0


class Connection:
    def __init__(
        self, owner: Owner, endpoints: Sequence[str], *, identity: str, prefix: str, value: bytes, ttl_ms: int, timeout_ms: int
    ) -> None:
        self._owner = owner
        self._prefix = prefix  # of the names of all its places
        self._value = value
        self._ttl_ms = ttl_ms
        self._timeout_ms = timeout_ms  # of one request
        self.link = Link(parse_addresses(endpoints), random.Random(os.urandom(16)), identity=identity, token=token_here())
        self.stream = Stream(self.link, self._on_event, tls.context_here)
        self.registered: tuple[int, int] | None = None  # (file, what it is polled for)
        self._places: list[Place] = []  # that nobody is at
        self._places_made = 0
        self._works: dict[int, Work] = {}  # by call
        self.session = 0
        self.is_open = False
        self.trouble = ""  # why its session could not be opened
        self.way_ns = 0  # to the leader and back, the shortest; 0: not known
        self._look: tuple[int, int] | None = None  # (call, when it was sent)
        self.open()

    def open(self) -> None:
        self.session = self.link.core.open_session(now_ms(), deadline_ms=now_ms() + self._timeout_ms, ttl_ms=self._ttl_ms)

    def close(self) -> None:
        if self.is_open:
            self.link.core.close_session(self.session, now_ms(), deadline_ms=now_ms() + CLOSE_MS_MAX)

    @property
    def under_way(self) -> int:
        return len(self._works)

    def has_place(self) -> bool:
        return self.is_open and len(self._works) < PLACES_MAX

    def begin(self, name: str, meant_ns: int, now_ns: int, *, is_counted: bool) -> None:
        if self._places:
            place = self._places.pop()
        else:
            place = Place(f"{self._prefix}.{self._places_made}", self._value)
            self._places_made += 1
        work = Work(name, place.begin(name), place, meant_ns, is_counted)
        self._go_on(work, None, now_ns)

    def _go_on(self, work: Work, answer: object, now_ns: int) -> None:
        try:
            work.request = work.operation.send(answer)
        except StopIteration:
            if work.is_counted:
                self._owner.tally.add(work.name, now_ns - work.meant_ns)
            self._over(work)
            return
        except PromiseBroken as error:
            # What was bound to a session goes with it: only while it is surely held, its absence proves anything.
            if self.link.core.session_state(self.session, now_ms()) is SessionState.HELD:
                self._owner.tally.on_wrong(error.sentence)
            self._failed(work, error)
            return
        except CoordError as error:
            self._failed(work, error)
            return
        request = work.request
        core = self.link.core
        work.is_write = type(request.operation) not in READS
        call = core.call(
            request.operation,
            now_ms(),
            deadline_ms=now_ms() + self._timeout_ms,
            session=self.session,
        )
        work.sent_ns = now_ns
        self._works[call] = work

    def _failed(self, work: Work, error: CoordError) -> None:
        if work.is_counted:
            self._owner.tally.fail(type(error).__name__)
        work.place.start_anew()
        self._over(work)

    def _over(self, work: Work) -> None:
        self._places.append(work.place)
        self._owner.on_over(self)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Finished):
            work = self._works.pop(event.call, None)
            if work is not None:
                self._on_finished(work, event)
            elif event.call == self.session:
                self.is_open = event.error is None
                self.trouble = event.error.sentence if event.error is not None else ""
                self._owner.on_opened(self)
            elif self._look is not None and event.call == self._look[0]:
                took_ns = time.monotonic_ns() - self._look[1]
                if event.error is None:
                    self.way_ns = min(self.way_ns or took_ns, took_ns)
                self._look = None
        elif isinstance(event, SessionChanged) and event.session == self.session and event.state is SessionState.LOST:
            self.is_open = False
            self._owner.on_session_lost(self)

    def look(self) -> None:
        """Before any load, at what is answered at once: that takes as long as the way to the leader."""
        if self._look is None and self.is_open:
            request = requests.get(NO_SUCH_KEY, True, 0)
            call = self.link.core.call(request.operation, now_ms(), deadline_ms=now_ms() + self._timeout_ms, stale=True)
            self._look = (call, time.monotonic_ns())

    def _on_finished(self, work: Work, finished: Finished) -> None:
        now_ns = self._owner.heard_ns
        if finished.error is not None:
            self._failed(work, finished.error)
            return
        if work.is_counted:
            tally = self._owner.tally
            (tally.writes if work.is_write else tally.reads).add(now_ns - work.sent_ns)
        try:
            answer = work.request.convert(finished.result)
        except CoordError as error:
            self._failed(work, error)
            return
        self._go_on(work, answer, now_ns)

    def forget_places(self) -> None:
        """What lay there was bound to a session that is over."""
        for place in self._places:
            place.start_anew()

    def abandon(self) -> list[Work]:
        """What will not be waited for any more."""
        works, self._works = list(self._works.values()), {}
        return works
