"""One question to etcd."""

from __future__ import annotations

import os
import time

from coordctl.engines import asking, lines
from coordctl.engines.etcd import words
from coordctl.engines.etcd.gateway import Answer, Ask, Reader, authenticate, request, result, token_of
from coordctl.engines.secrets import check, user_here
from coordctl.local.clusters import Endpoint
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

HARMLESS = ("kv/range", "lease/grant")  # asked in a word that writes, and safe to ask again


def of(endpoints: list[Endpoint], timeout_ms: int, say: Callable[[str], None]) -> Asking:
    check()
    return Asking([endpoint.address for endpoint in endpoints], timeout_ms, say)


class Asking(asking.Asking):
    title = "etcd"

    def read(self, operation: Sequence[Any], *, stale: bool) -> words.Asks:
        return words.read(time.time_ns() // 1_000_000, stale, operation)

    def write(self, command: Sequence[Any]) -> words.Asks:
        return words.write(lines.session_id(os.urandom(8)), command)

    def renew(self, session: int) -> words.Asks:
        return words.keep_alive(session)

    def why(self, space: bytes, name: bytes, token: int) -> words.Asks:
        return words.unread(space, name, token)

    def look(self, start: bytes, end: bytes, since: int) -> tuple[int, int, bool]:
        """(revision, how many keys are in a range, whether one of them is known to have changed at revision `since` or later)"""
        found: tuple[int, int, bool] = self._try(lambda: words.look(start, end, since), is_write=False)
        return found

    def changes(self, asked: Ask) -> bool:
        return asked.path not in HARMLESS

    def greet(self) -> None:
        self._reader = Reader()
        self.token = ""
        if user := user_here():
            patience = min(self.until, time.monotonic() + asking.ATTEMPT_SECONDS)
            self.token = token_of(self.exchange(authenticate(user), self.answered_by, patience))

    def exchange(self, asked: Ask, address: str, patience: float) -> Answer:
        assert self.connection is not None
        self.connection.settimeout(max(0.01, patience - time.monotonic()))
        self.connection.sendall(request(asked, address, self.token))
        while True:
            for answer in self._reader.feed(self.receive(patience)):
                return answer

    def result(self, answer: Answer) -> Any:
        return result(answer)
