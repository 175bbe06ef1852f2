"""A session on another engine for who waits for each answer: what a probe asks, of whichever member it names."""

import os
import select
import time
from typing import Any

from coordctl.engines import unblocked
from coordctl.engines.unblocked import Ended, Finished, Opened, Session
from coordctl.hot import elections, frames, kv, locks
from coordctl.local.clusters import Chosen
from coordnode.client.clock import now_ms
from coordnode.errors import Busy, CoordError, NotHeld, SessionExpired, TimedOut, Unreachable
from coordnode.ranges import prefix_end

TOKEN_FIELD = 4  # of a comparison


class Blocking:
    """Opened with a lock of this name, or with what it acquires or campaigns for. Over once it is closed, or could not be opened."""

    def __init__(self, chosen: Chosen, owner: str, ttl_ms: int, seconds: float, lock: str = "") -> None:
        self._session = Session(chosen, owner, ttl_ms, lock, keeps=True)
        self._seconds = seconds  # for one answer

    # --- a session -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        try:
            self._session.open()
            told = self._told()
            if isinstance(told, Opened) and told.trouble:
                raise Unreachable(told.trouble)
        except CoordError:
            self._session.end()
            raise

    def acquire(self, name: str) -> int:
        """The token. Busy: somebody else has it."""
        return self._first([locks.ACQUIRE_TAG, os.fsencode(name), locks.EXCLUSIVE, 1, 0, False, False, 0, ""])

    def campaign(self, name: str, value: str) -> int:
        """The token. Busy: somebody else leads."""
        return self._first([elections.CAMPAIGN, os.fsencode(name), value.encode(), "", False])

    def _first(self, words: list[Any]) -> int:
        result = self._ask(words)
        if result[0] == frames.FAILURE:
            raise frames.error_of(result[1], result[2])
        if result[0] not in (locks.GRANTED, elections.ELECTED):
            raise Busy("somebody else has it")
        return int(result[2])

    def check(self) -> None:
        """That nobody else can have what it had until now."""
        if not self._session.is_held:
            raise NotHeld("its lease was not renewed in time")

    def close(self) -> None:
        """And all that is bound to it."""
        try:
            if self._session.close():
                while not isinstance(self._told(), Ended):
                    continue
        finally:
            self._session.end()

    # --- questions -----------------------------------------------------------------------------------------------------

    def put(self, key: str, value: str) -> int:
        """Bound to it. The revision."""
        result = self._ask([kv.PUT_TAG, key.encode(), value.encode(), True])
        return int(result[1])

    def page(self, prefix: str) -> tuple[int, dict[str, str]]:
        """(as of which revision, value by key)"""
        start = prefix.encode()
        result = self._ask([kv.RANGE_TAG, start, prefix_end(start), 0, False], is_write=False)
        return int(result[1]), {bytes(item[0]).decode(): bytes(item[1]).decode() for item in result[2]}

    def admits(self, lock: str, token: int, key: str, value: str) -> bool:
        """Whether a write is, that wants this token."""
        compare = [os.fsencode(lock), TOKEN_FIELD, kv.EQUAL, token]
        result = self._ask([kv.TRANSACTION_TAG, [compare], [[kv.PUT_TAG, key.encode(), value.encode(), True]], []])
        return bool(result[2])

    def leader(self, election: str) -> tuple[int, str]:
        """(token, value); token 0: nobody leads."""
        result = self._ask(elections.read_operation(os.fsencode(election)), is_write=False)
        if result[2] is None:
            return 0, ""
        found = elections.election_of(result[2]).leader
        return found.token, found.value.decode()

    def _ask(self, words: list[Any], *, is_write: bool = True) -> Any:
        self._session.ask(words, is_write=is_write)
        told = self._told()
        if not isinstance(told, Finished):
            raise SessionExpired("its session is over")
        if told.error is not None:
            raise told.error
        return told.result

    def _told(self) -> unblocked.Told:
        until = time.monotonic() + self._seconds
        poll = select.poll()
        poll.register(*self._session.descriptor())
        while True:
            for one in self._session.poll():
                return one
            if self._session.trouble:
                raise Unreachable(self._session.trouble)
            left = until - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no answer within {self._seconds:g} s")
            wake_at_ms = self._session.wake_at_ms()
            wait_ms = left * 1000 if wake_at_ms is None else min(left * 1000, max(0, wake_at_ms - now_ms()))
            if poll.poll(wait_ms):
                self._session.on_ready()
