"""The probes of one canary's round that go through one member, over its HTTP: what is written, read and watched there."""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from coordctl.canary.freshness import Told, Write, judge_read, judge_watch, lag_ms
from coordctl.canary.samples import DENIED, FAILED, OK, READ, UNREACHED, WATCH, WRITE, WRONG, Sample
from coordctl.operations import http
from coordnode.errors import CoordError, NotPermitted, Unreachable

PREFIX = "_canary/"


class Trip(NamedTuple):
    """What all probes of a round share."""

    prefix: str  # of all names of this run
    owner: str  # of its sessions
    number: int  # of the round
    ttl_ms: int
    seconds: float  # for one question


PUT, GONE = "put", "delete"  # kinds of events


class Awaited:
    """What all watches of a round wait for: each key put and gone; once it is known, what was acknowledged."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._events = {(kind, key) for key in keys for kind in (PUT, GONE)}

    def know(self, writes: Sequence[Write]) -> None:
        acknowledged = [write for write in writes if write.revision]
        self._events = {(PUT, write.key) for write in acknowledged} | {(GONE, write.key) for write in acknowledged if write.lasts}

    def is_over(self, told: Set[tuple[str, str]]) -> bool:
        return self._events <= told


class Moment(NamedTuple):
    """What a watch told at once."""

    next_revision: int  # all before it has been told; 0: it does not say
    changes: list[tuple[str, str]]  # (kind, key)
    puts: list[Told]


class Through:
    """One member in one round: opened; watched while it is written and read through; its session ended when all were read."""

    def __init__(self, trip: Trip, member: str) -> None:
        self._trip = trip
        self.member = member
        self.key = f"{trip.prefix}through/{member}"
        self._value = str(trip.number)
        self._revision = 0
        self._acknowledged_s = 0.0  # when
        self._lasted = False  # until we ended it: so did what was bound to it
        self._page: tuple[int, dict[str, str]] | None = None
        self._heard: set[tuple[str, str]] = set()  # (kind, key) of all that was told
        self._told: list[Told] = []
        self._next_revision = 0  # the watch has told of all before
        self._unopened: CoordError | None = None  # why there is no session
        self._unwatched: CoordError | None = None  # why there is no watch, or none any more

    # --- each engine's own ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        raise NotImplementedError

    def _follow(self) -> None:
        """In force when it returns."""
        raise NotImplementedError

    def _moments(self) -> Iterator[Moment]:
        raise NotImplementedError

    def _put(self) -> int:
        """Bound to the session. The revision."""
        raise NotImplementedError

    def _find(self) -> tuple[int, dict[str, str]]:
        """(as of which revision, value by key) of all that the run has written."""
        raise NotImplementedError

    def _close(self) -> None:
        """Raises if the session was over already."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """The watch."""
        raise NotImplementedError

    # --- in this order -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """A session, and a watch that is in force."""
        try:
            self._open()
        except CoordError as error:
            self._unopened = self._unwatched = error
            return
        try:
            self._follow()
        except CoordError as error:
            self._unwatched = error

    def watch(self, awaited: Awaited) -> None:
        """Beside the writes. That a key is gone is told, too: so it is seen when a watch has passed over what it never told."""
        try:
            for moment in self._moments() if self._unwatched is None else ():
                self._next_revision = moment.next_revision or self._next_revision
                self._told += moment.puts
                self._heard.update(moment.changes)
                if awaited.is_over(self._heard):
                    break
        except CoordError as error:
            self._unwatched = error
        finally:
            self.hang_up()

    def has_heard(self, awaited: Awaited) -> bool:
        return awaited.is_over(self._heard)

    def write(self) -> Sample:
        begun = time.monotonic()
        if self._unopened is not None:
            return self._sample(WRITE, begun, self._unopened)
        try:
            revision = self._put()
        except CoordError as error:
            return self._sample(WRITE, begun, error)
        self._acknowledged_s = time.monotonic()
        self._revision = revision
        return self._sample(WRITE, begun)

    def read(self) -> Sample:
        """Whether it is fresh is judged later."""
        begun = time.monotonic()
        try:
            self._page = self._find()
        except CoordError as error:
            return self._sample(READ, begun, error)
        return self._sample(READ, begun)

    def end(self) -> None:
        if self._unopened is None:
            with suppress(CoordError):  # its time to live does the same
                self._close()
                self._lasted = True

    # --- what came of it -----------------------------------------------------------------------------------------------

    def written(self) -> Write:
        return Write(self.member, self.key, self._value, self._revision, self._lasted, self._acknowledged_s)

    def judged(self, sample: Sample, writes: Sequence[Write]) -> Sample:
        """A read, beside all that was written before it began."""
        if self._page is None:
            return sample
        outcome, sentence = judge_read(*self._page, writes)
        return sample._replace(outcome=outcome, sentence=sentence)

    def watched(self, writes: Sequence[Write]) -> Sample:
        if not any(write.revision for write in writes):
            return Sample(WATCH, self.member, UNREACHED, 0.0, "nothing was acknowledged that could be told of")
        outcome, sentence = judge_watch(self._told, self._next_revision, writes)
        if outcome != WRONG and self._unwatched is not None:
            outcome, sentence = outcome_of(self._unwatched), self._unwatched.sentence
        return Sample(WATCH, self.member, outcome, lag_ms(self._told, writes), sentence)

    def _sample(self, probe: str, begun: float, error: CoordError | None = None) -> Sample:
        outcome, sentence = (OK, "") if error is None else (outcome_of(error), error.sentence)
        return Sample(probe, self.member, outcome, (time.monotonic() - begun) * 1000, sentence)


class ThroughMember(Through):
    """Over its HTTP."""

    def __init__(self, trip: Trip, member: str, address: str) -> None:
        super().__init__(trip, member)
        self._address = address
        self._session = 0
        self._stream: http.Stream | None = None  # of what is watched

    def _open(self) -> None:
        opened = self._ask("POST", "/v1/sessions", {"ttl_ms": self._trip.ttl_ms, "owner": self._trip.owner})
        self._session = opened.body["session"]

    def _follow(self) -> None:
        line = http.Line(self._address, self._trip.seconds)
        self._stream = line.follow("/v1/watch", query=f"&prefix={quote(self._trip.prefix)}through/")

    def _moments(self) -> Iterator[Moment]:
        for kind, body in self._stream or ():
            if kind in ("error", "gap"):
                raise CoordError(str(body.get("sentence", "changes before it began are gone")))
            at_s, events = time.monotonic(), body.get("events", ())
            puts = [Told(body["revision"], one["key"], one["value"], at_s) for one in events if one["kind"] == PUT]
            next_revision = body["next_revision"] if kind == "progress" else body["revision"] + 1
            yield Moment(next_revision, [(one["kind"], one["key"]) for one in events], puts)

    def _put(self) -> int:
        put = self._ask("PUT", f"/v1/kv/{quote(self.key)}", {"value": self._value}, session=self._session, query="&bound=true")
        return int(put.body["revision"])

    def _find(self) -> tuple[int, dict[str, str]]:
        page = self._ask("GET", "/v1/kv", query=f"&prefix={quote(self._trip.prefix)}").body
        return page["revision"], {one["key"]: one["value"] for one in page["items"]}

    def _close(self) -> None:
        self._ask("DELETE", f"/v1/sessions/{self._session}")

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.hang_up()

    def _ask(self, method: str, path: str, body: object = None, *, session: int = 0, query: str = "") -> http.Answer:
        return http.ask(self._address, method, path, body, seconds=self._trip.seconds, session=session, query=query).must()


def outcome_of(error: CoordError) -> str:
    return UNREACHED if isinstance(error, Unreachable) else DENIED if isinstance(error, NotPermitted) else FAILED
