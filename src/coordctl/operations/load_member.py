"""A connection of load to coordnode: a real client's, on which many questions wait for answers at a time."""

import os
import random
import time
from collections.abc import Sequence

from coordctl.operations.load_connection import CLOSE_MS_MAX, Connection, Owner, Terms, Work
from coordnode.client import requests, tls
from coordnode.client.actions import Finished, SessionChanged
from coordnode.client.addresses import parse_addresses
from coordnode.client.clock import now_ms
from coordnode.client.identity import token_here
from coordnode.client.lease import SessionState
from coordnode.client.link import Event, Link
from coordnode.client.stream import Stream

PLACES_MAX = 64  # operations under way: in an open loop more are due and late, which counts
NO_SUCH_KEY = "_bench"


class MemberConnection(Connection):
    def __init__(self, owner: Owner, endpoints: Sequence[str], terms: Terms) -> None:
        super().__init__(owner, terms, PLACES_MAX)
        self._link = Link(parse_addresses(endpoints), random.Random(os.urandom(16)), identity=terms.identity, token=token_here())
        self._stream = Stream(self._link, self._on_event, tls.context_here)
        self._works: dict[int, Work] = {}  # by call
        self._session = 0
        self._look: tuple[int, int] | None = None  # (call, when it was sent)
        self.open()

    def open(self) -> None:
        self._session = self._link.core.open_session(now_ms(), deadline_ms=now_ms() + self._terms.timeout_ms, ttl_ms=self._terms.ttl_ms)

    def close(self) -> None:
        if self.is_open:
            self._link.core.close_session(self._session, now_ms(), deadline_ms=now_ms() + CLOSE_MS_MAX)

    @property
    def under_way(self) -> int:
        return len(self._works)

    def _ask(self, work: Work, now_ns: int) -> None:
        call = self._link.core.call(work.request.operation, now_ms(), deadline_ms=now_ms() + self._terms.timeout_ms, session=self._session)
        self._works[call] = work

    def _is_held(self) -> bool:
        return self._link.core.session_state(self._session, now_ms()) is SessionState.HELD

    def look(self) -> None:
        if self._look is None and self.is_open:
            request = requests.get(NO_SUCH_KEY, True, 0)
            call = self._link.core.call(request.operation, now_ms(), deadline_ms=now_ms() + self._terms.timeout_ms, stale=True)
            self._look = (call, time.monotonic_ns())

    def abandon(self) -> list[Work]:
        works, self._works = list(self._works.values()), {}
        return works

    def carry_out(self) -> None:
        self._stream.carry_out()

    def wanted(self) -> tuple[int, int] | None:
        found = self._stream.socket
        return (found.fileno(), self._stream.wanted()) if found is not None else None

    def on_ready(self, event: int) -> None:
        self._stream.on_ready(event)

    def wake_at_ms(self) -> int | None:
        return self._link.wake_at_ms()

    def hang_up(self) -> None:
        self._stream.hang_up()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Finished):
            work = self._works.pop(event.call, None)
            if work is not None:
                self._on_finished(work, event.result, event.error)
            elif event.call == self._session:
                self.is_open = event.error is None
                self.trouble = event.error.sentence if event.error is not None else ""
                self._owner.on_opened(self)
            elif self._look is not None and event.call == self._look[0]:
                took_ns = time.monotonic_ns() - self._look[1]
                if event.error is None:
                    self.way_ns = min(self.way_ns or took_ns, took_ns)
                self._look = None
        elif isinstance(event, SessionChanged) and event.session == self._session and event.state is SessionState.LOST:
            self.is_open = False
            self._owner.on_session_lost(self)
