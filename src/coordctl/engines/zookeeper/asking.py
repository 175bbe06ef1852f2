"""One question to ZooKeeper, in a session of its own, which is closed again."""

from __future__ import annotations

import time

from coordctl.engines import asking
from coordctl.engines.lacks import why_not
from coordctl.engines.secrets import check, user_here
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.jute import Answer, Ask
from coordctl.local.clusters import ZOOKEEPER, Endpoint
from coordnode.errors import BadRequest, NotReady
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SESSION_MS = 10_000  # of one that is cut off before it was closed
CLOSE_SECONDS = 0.5
HARMLESS = (jute.GET, jute.CHILDREN)


def of(endpoints: list[Endpoint], timeout_ms: int, say: Callable[[str], None]) -> Asking:
    check()
    return Asking([endpoint.address for endpoint in endpoints], timeout_ms, say)


class Asking(asking.Asking):
    title = "ZooKeeper"

    def read(self, operation: Sequence[Any], *, stale: bool) -> words.Asks:
        return words.read(time.time_ns() // 1_000_000, stale, operation)

    def write(self, command: Sequence[Any]) -> words.Asks:
        return words.write(command)

    def renew(self, session: int) -> words.Asks:
        raise BadRequest(why_not(ZOOKEEPER, "renew"))

    def why(self, space: bytes, name: bytes, token: int) -> words.Asks:
        return words.unread(space, name, token)

    def changes(self, asked: Ask) -> bool:
        return asked.kind not in HARMLESS and asked != words.NOTHING and not words.is_above(asked)

    def greet(self) -> None:
        assert self.connection is not None
        self._frames = jute.Frames()
        self._waiting: list[bytes] = []
        self._xid = 0
        self._owners = jute.ANYBODY
        self.connection.sendall(jute.greeting(SESSION_MS, 0, jute.NO_PASSWORD, 0))
        patience = min(self.until, time.monotonic() + asking.ATTEMPT_SECONDS)
        if not jute.greeted(self._frame(patience)).session:
            raise NotReady("opens no session now")
        if user := user_here():
            self._owners = jute.ITS_MAKER
            self.connection.sendall(jute.authentication(user))
            self.result(jute.answer(self._frame(patience))[1])

    def exchange(self, asked: Ask, address: str, patience: float) -> Answer:
        assert self.connection is not None
        self._xid += 1
        self.connection.settimeout(max(0.01, patience - time.monotonic()))
        self.connection.sendall(jute.request(self._xid, asked, self._owners))
        while True:
            xid, answer = jute.answer(self._frame(patience))
            if xid == self._xid:
                return answer

    def _frame(self, patience: float) -> bytes:
        while not self._waiting:
            self._waiting += self._frames.feed(self.receive(patience))
        return self._waiting.pop(0)

    def result(self, answer: Answer) -> Answer:
        return jute.result(answer)

    def hang_up(self) -> None:
        if self.connection is not None:
            with suppress(OSError):
                self.exchange(Ask(jute.CLOSE), self.answered_by, time.monotonic() + CLOSE_SECONDS)
        super().hang_up()
