"""A session on another engine for load and probes, in the words of docs/protocol.md: asks without waiting, one question at a time.

It is opened with a lock of its own, since each session here has a place in a line, and what is bound goes with it. A lock that is acquired
is one as of `lock run`: in a session of its own, which is opened with it, and closed when it is released. So is a leadership.
"""

import os
import select
import time
from typing import Any, NamedTuple

from coordctl.hot import elections, locks
from coordctl.hot.talk import Answered, Expired
from coordctl.local.clusters import Chosen, spoken
from coordnode.client.clock import now_ms
from coordnode.errors import CoordError, SessionExpired

FIRST = (locks.ACQUIRE_TAG, elections.CAMPAIGN)  # open a session
LEFT = [locks.RELEASED, 0, 0, 0, 0]  # of a release: nothing is held any more


class Opened(NamedTuple):
    trouble: str  # why it could not be


class Finished(NamedTuple):
    result: Any
    error: CoordError | None


class Ended(NamedTuple):
    """The session, and what was bound to it."""


Told = Opened | Finished | Ended


class Session:
    def __init__(self, chosen: Chosen, owner: str, ttl_ms: int, lock: str, *, keeps: bool) -> None:
        """Not `keeps`: it is closed as soon as it is open, for it was only to be seen that one can be."""
        self._chosen = chosen
        self._owner = owner
        self._ttl_ms = ttl_ms
        self._lock = lock
        self._keeps = keeps
        self._talk: Any = None
        self._line: Any = None
        self._watched = select.epoll()  # one file for all connections that follow each other
        self._opening = self._closing = self._asked = self._last_asked = 0  # calls of the talk; 0: there is none
        self._tag = 0  # of what is asked

    # --- what its owner wants ------------------------------------------------------------------------------------------

    def open(self) -> None:
        acquire = [locks.ACQUIRE_TAG, self._lock.encode(), locks.EXCLUSIVE, 1, 0, False, False, 0, self._owner]
        self._opening = self._begin(acquire)

    def close(self) -> bool:
        """False: there is none to close."""
        if self._line is not None:
            self._closing = self._talk.close()
        return self._line is not None

    def ask(self, words: list[Any], *, is_write: bool) -> None:
        self._tag = words[0]
        if self._tag in FIRST:
            self._asked = self._begin(words)
        elif self._tag == locks.RELEASE_TAG:
            self._asked = self._talk.close()
        else:
            self._asked = self._talk.write(words) if is_write else self._talk.read(words)
        self._last_asked = self._asked

    @property
    def is_held(self) -> bool:
        return bool(self._talk.lease.until_ms > now_ms())

    @property
    def trouble(self) -> str:
        """Why nobody can have heard what is asked; "": somebody may have."""
        is_unheard = self._talk.is_refused_everywhere() and not self._talk.has_begun()
        return next(iter(self._talk.troubles.values())) if is_unheard else ""

    @property
    def is_doubtful(self) -> bool:
        """What is asked was begun again, so what it finds may be its own doing."""
        return bool(self._talk.begun_again == self._last_asked)

    # --- its bytes -----------------------------------------------------------------------------------------------------

    def descriptor(self) -> tuple[int, int]:
        return self._watched.fileno(), select.POLLIN

    def on_ready(self) -> None:
        if self._line is not None:
            self._line.on_ready(now_ms())

    def wake_at_ms(self) -> int | None:
        found: int | None = self._talk.wake_at_ms() if self._line is not None else None
        return found

    def hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def end(self) -> None:
        """For good."""
        self.hang_up()
        self._watched.close()

    def _watch(self) -> None:
        file, interest = self._line.descriptor()
        if file < 0:
            return
        try:
            self._watched.modify(file, interest)
        except FileNotFoundError:  # another one than before, be it under the same number
            self._watched.register(file, interest)

    def _begin(self, first: list[Any]) -> int:
        self.hang_up()
        wall_offset_ms = time.time_ns() // 1_000_000 - now_ms()
        self._talk, self._line, _ = spoken(self._chosen.engine, "line").of(self._chosen.endpoints, self._owner, wall_offset_ms)
        number: int = self._talk.open(os.urandom(16), self._ttl_ms, self._owner, first)
        return number

    # --- what came of it -----------------------------------------------------------------------------------------------

    def poll(self) -> list[Told]:
        if self._line is None:
            return []
        self._line.drive(now_ms())
        self._watch()
        found: list[Told] = []
        for told in self._talk.told():
            if isinstance(told, Answered):
                found += self._answered(told)
            elif isinstance(told, Expired):
                self.hang_up()
                if self._asked:
                    self._asked = 0
                    found.append(Finished(None, SessionExpired("its session is over")))
                found.append(Opened("its session ended at once") if self._opening else Ended())
                break
        return found

    def _answered(self, told: Answered) -> list[Told]:
        if told.call == self._asked:
            self._asked = 0
            return [Finished(None, told.error) if told.error is not None else Finished(self._result(told.result), None)]
        if told.call == self._opening:
            if told.error is None and not self._keeps:
                self.close()
                return []
            self._opening = 0
            return [Opened(told.error.sentence if told.error is not None else "")]
        if told.call == self._closing:
            self._closing = 0
            self.hang_up()
            if self._opening:
                self._opening = 0
                return [Opened("")]
            return [Ended()]
        return []

    def _result(self, result: Any) -> Any:
        if self._tag in FIRST:
            return result[4]
        if self._tag == locks.RELEASE_TAG:
            self.hang_up()
            return LEFT
        return result
