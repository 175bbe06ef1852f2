"""Being a member of a group for as long as this process runs, and following a group's views for as long as somebody reads them."""

import signal
import time
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import NamedTuple, Self

from coordnode.client.sync import connect
from coordnode.errors import SessionExpired

LOOK_SECONDS = 1.0


class Member(NamedTuple):
    name: bytes
    session: int
    data: bytes
    labels: dict[str, str]
    weight: int
    joined_view: int


class View(NamedTuple):
    number: int
    members: list[Member]
    joined: list[bytes]  # since the view before
    updated: list[bytes]
    left: list[bytes]


class Views:
    def __init__(self, endpoints: list[str], group: bytes, timeout_ms: int | None) -> None:
        self._until = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        self._cluster = connect(endpoints)
        self._watch = self._cluster.group(group).watch()

    def __iter__(self) -> Iterator[View]:
        """The present one first; until the time is over."""
        before: dict[bytes, Member] = {}
        while True:
            left = None if self._until is None else self._until - time.monotonic()
            view = None if left is not None and left <= 0 else self._watch.take(left)
            if view is None:
                return
            members = [Member(one.name, one.session, one.data, dict(one.labels), one.weight, one.joined) for one in view]
            now = {member.name: member for member in members}
            joined = [name for name, one in now.items() if name not in before or before[name].joined_view != one.joined_view]
            updated = [name for name, one in now.items() if name not in joined and before[name] != one]
            yield View(view.number, members, joined, updated, [name for name in before if name not in now])
            before = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cluster.close()


class Staying:
    """A member in a session of its own: `wait` returns when the process is told to end, and raises when the session is lost."""

    def __init__(
        self, endpoints: list[str], group: bytes, name: bytes, data: bytes, labels: Mapping[str, str], weight: int, ttl_seconds: float
    ) -> None:
        self._cluster = connect(endpoints)
        try:
            self._session = self._cluster.session(ttl_seconds)
            try:
                self._member = self._session.group(group).join(name, data=data, labels=labels, weight=weight)
            except BaseException:
                self._session.close(timeout=5)
                raise
        except BaseException:
            self._cluster.close()
            raise
        self.session = int(self._session.id)
        self.name = self._member.name
        self.view = int(self._member.view)

    def wait(self) -> int:
        """The view in which it has left."""
        told: list[int] = []

        def on_signal(number: int, _frame: FrameType | None) -> None:
            told.append(number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        while not told:
            if self._session.wait_lost(LOOK_SECONDS):
                raise SessionExpired(f"session {self.session} was lost, and the member with it: the cluster could not be reached in time")
        self._member.leave()
        return int(self._member.view)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Interrupted: the session's end takes the member along at once."""
        try:
            self._session.close(timeout=5)
        except SessionExpired:
            pass
        finally:
            self._cluster.close()
