"""Following what changes on etcd, for as long as somebody reads it: in order, each once, none left out.

etcd promises that of a watch which goes on where it was cut off, at whichever member, and says so where its history does not reach back.
A member that is silent is asked for something that only the log can answer: it may stand still, or be cut off from the others. And whether
the silence is right: a stream that died without a word, behind something that forgets connections, would never show it otherwise.
"""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from coordctl.engines import lines
from coordctl.engines.etcd.asking import Asking
from coordctl.engines.etcd.gateway import Answer, Ask, Reader, plain, request, result
from coordctl.engines.lines import Gone, Place, There
from coordctl.engines.secrets import check
from coordctl.hot import kv
from coordctl.local.clusters import Endpoint
from coordnode.errors import BadRequest, CoordError, Disconnected, HistoryGone, NotPermitted

READY_MS_MAX = 10_000  # for what is asked first
ATTEMPT_MS = 2_000
SILENT_SECONDS = 2.0  # then a member is asked whether it is there
SILENT_SECONDS_MAX = 60.0  # of one that has told nothing each time before: a long history takes it long to look through
PAUSE_SECONDS = 0.1
FOREVER_SECONDS = 10.0**9
FOREVER_REVISIONS = 2**62
PUT, DELETE = "put", "delete"


class Event(NamedTuple):
    kind: str  # put or delete
    key: bytes
    value: bytes
    version: int
    session: int
    created: int  # revision


class Change(NamedTuple):
    revision: int
    events: list[Event]


class Following:
    """Of a range, from a revision on; 0: from now on."""

    def __init__(self, endpoints: list[Endpoint], start: bytes, end: bytes, from_revision: int, timeout_ms: int | None) -> None:
        check()
        self._addresses = [endpoint.address for endpoint in endpoints]
        self._range = (start or b"\0", end or b"\0")
        self._until = time.monotonic() + (FOREVER_SECONDS if timeout_ms is None else timeout_ms / 1000)
        self._stream: _Stream | None = None
        self._patience_seconds = SILENT_SECONDS
        asking = Asking(self._addresses, min(READY_MS_MAX, timeout_ms or READY_MS_MAX))
        self._counted_at, self._count, _ = asking.look(*self._range, FOREVER_REVISIONS)  # keys, then and as far as was told since
        self.begins_at = self._next = from_revision or self._counted_at + 1
        self._right_at = 0  # up to there nothing was left out
        self._is_doubted = False

    def changes(self) -> Iterator[Change]:
        """Until the time is over. Raises HistoryGone where changes are missing."""
        while (left := self._until - time.monotonic()) > 0:
            try:
                if self._stream is None:
                    self._stream = _Stream(self._addresses[0], self._asked())
                for answer in self._stream.receive(min(left, self._patience_seconds)):
                    yield from self._changes_in(answer)
            except TimeoutError:
                self._doubt_silence()
            except (HistoryGone, NotPermitted):
                raise
            except (CoordError, Gone, There, OSError):
                self._turn_away()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _asked(self) -> Ask:
        start, end = self._range
        return Ask("watch", {"create_request": {"key": start, "range_end": end, "start_revision": self._next}})

    def _changes_in(self, answer: Answer) -> Iterator[Change]:
        """A revision is never in two answers."""
        found = result(answer)
        if floor := int(found.get("compact_revision", 0)):
            raise HistoryGone(f"etcd has compacted what changed before revision {floor}: it is not known any more", floor=floor)
        if found.get("canceled"):
            reason = str(found.get("cancel_reason", "it ended the watch"))
            raise NotPermitted(f"etcd permits it not: {reason}") if "permission" in reason else Disconnected(reason)
        for revision, events in groupby(found.get("events", ()), lambda event: int(event["kv"]["mod_revision"])):
            self._next = revision + 1
            self._patience_seconds, self._is_doubted = SILENT_SECONDS, False
            change = Change(revision, [_event(event) for event in events])
            if revision > self._counted_at:
                self._count += sum(_growth(event) for event in change.events)
            yield change

    def _doubt_silence(self) -> None:
        """Right it is where the member knows of nothing that was not told: of no key that changed, and of as many as we do. What is only
        under way has come by the time that it is doubted again."""
        since = max(self._next, self._right_at + 1)
        try:
            revision, count, has_changed = Asking(self._addresses[:1], ATTEMPT_MS).look(*self._range, since)
        except CoordError:
            self._turn_away()
            return
        if self._stream is None or not self._stream.is_heard:
            self._turn_away()
        elif revision < self.begins_at:  # there is nothing to tell yet
            self._counted_at, self._count, self._is_doubted = revision, count, False
        elif not has_changed and count == self._count:
            self._right_at, self._is_doubted = revision, False
        elif not self._is_doubted:
            self._is_doubted = True
        else:
            if self._counted_at < self.begins_at - 1:  # what changed in between is never told
                self._counted_at, self._count = revision, count
            self._patience_seconds = min(2 * self._patience_seconds, SILENT_SECONDS_MAX)
            self._turn_away()

    def _turn_away(self) -> None:
        """From the member that came first."""
        self.close()
        self._is_doubted = False
        self._addresses = [*self._addresses[1:], self._addresses[0]]
        time.sleep(max(0.0, min(PAUSE_SECONDS, self._until - time.monotonic())))


class _Stream:
    def __init__(self, address: str, asked: Ask) -> None:
        """Raises CoordError and OSError."""
        self.is_heard = False
        self._asking = Asking([address], ATTEMPT_MS)
        self._asking.meet(address)
        self._reader = Reader(streams=True)
        assert self._asking.connection is not None
        self._asking.connection.sendall(request(asked, address, self._asking.token))

    def receive(self, seconds: float) -> list[Answer]:
        """Raises TimeoutError, other OSErrors, and FrameError."""
        answers = self._reader.feed(self._asking.receive(time.monotonic() + seconds))
        self.is_heard |= bool(answers)
        return answers

    def close(self) -> None:
        self._asking.break_off()


class Observing:
    """Who leads an election, and every change of that. Where changes are missing it reads anew: the newest is never missed."""

    def __init__(self, endpoints: list[Endpoint], name: bytes, timeout_ms: int | None) -> None:
        check()
        if not name:
            raise BadRequest("the election has no name; give one of at least one byte")
        self._endpoints = endpoints
        self._folder = lines.folder(lines.ELECTIONS, name)
        self._until = time.monotonic() + (FOREVER_SECONDS if timeout_ms is None else timeout_ms / 1000)
        self._following: Following | None = None

    def leaders(self) -> Iterator[tuple[int, Place | None]]:
        """(revision, who leads since then); until the time is over."""
        told: object = self  # nothing yet
        while (left := self._until - time.monotonic()) > 0:
            revision, places = self._read(round(1000 * left))
            try:
                for now, leader in self._leaders(revision, places):
                    if (leader and (leader.number, leader.value)) != told:
                        told = leader and (leader.number, leader.value)
                        yield now, leader
                return
            except HistoryGone:
                continue

    def close(self) -> None:
        if self._following is not None:
            self._following.close()

    def _leaders(self, revision: int, places: dict[bytes, Place]) -> Iterator[tuple[int, Place | None]]:
        yield revision, _leader(places)
        left_ms = max(1, round(1000 * (self._until - time.monotonic())))
        start, end = self._folder + b"/", self._folder + b"0"
        self.close()
        self._following = Following(self._endpoints, start, end, revision + 1, left_ms)
        for change in self._following.changes():
            for event in change.events:
                if event.kind == PUT:
                    places[event.key] = lines.place(event.key, event.created, event.session, event.value)
                else:
                    places.pop(event.key, None)
            yield change.revision, _leader(places)

    def _read(self, timeout_ms: int) -> tuple[int, dict[bytes, Place]]:
        """What comes behind the first page may be newer, and is told again."""
        asking = Asking([endpoint.address for endpoint in self._endpoints], min(READY_MS_MAX, timeout_ms))
        start, first, more = self._folder + b"/", 0, True
        places: dict[bytes, Place] = {}
        while more:
            revision, found, more = kv.page(asking, start, self._folder + b"0", keys_only=False, stale=False)
            first = first or revision
            places |= {one.key: lines.place(one.key, one.create_revision, one.session, one.value) for one in found}
            start = found[-1].key + b"\0" if found else start
        return first, places


def _leader(places: dict[bytes, Place]) -> Place | None:
    """Whoever has no lease is in no line."""
    return min((one for one in places.values() if one.session), key=lambda one: one.number, default=None)


def _event(event: Any) -> Event:
    about = event["kv"]
    kind = DELETE if event.get("type") == "DELETE" else PUT
    numbers = (int(about.get(name, 0)) for name in ("version", "lease", "create_revision"))
    return Event(kind, plain(about["key"]), plain(about.get("value")), *numbers)


def _growth(event: Event) -> int:
    """Of the number of keys."""
    return -1 if event.kind == DELETE else int(event.version == 1)
