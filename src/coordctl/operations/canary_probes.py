"""The probes of one canary's round: what is written and read through one member over HTTP, and a lock from acquire to release."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from coordctl.canary.freshness import Write, judge_read
from coordctl.canary.samples import FAILED, LOCK, OK, READ, UNREACHED, WRITE, WRONG, Sample
from coordctl.operations import http
from coordnode.client.locks import Lock
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError, Unreachable


class Trip(NamedTuple):
    """What all probes of a round share."""

    prefix: str  # of all names of this run
    owner: str  # of its sessions
    number: int  # of the round
    ttl_ms: int
    seconds: float  # for one question


class Through:
    """One member in one round: written through, read through when all are written, and its session ended when all are read."""

    def __init__(self, trip: Trip, member: str, address: str) -> None:
        self._trip = trip
        self.member = member
        self._address = address
        self._key = f"{trip.prefix}through/{member}"
        self._value = str(trip.number)
        self._revision = 0
        self._session = 0
        self._lasted = False  # until we ended it: so did what was bound to it
        self._page: http.Answer | None = None

    def write(self) -> Sample:
        trip, begun = self._trip, time.monotonic()
        try:
            opened = self._ask("POST", "/v1/sessions", {"ttl_ms": trip.ttl_ms, "owner": trip.owner})
            if not opened.is_ok:
                return self._sample(WRITE, FAILED, begun, opened.sentence)
            self._session, begun = opened.body["session"], time.monotonic()
            put = self._ask("PUT", f"/v1/kv/{quote(self._key)}", {"value": self._value}, session=self._session, query="&bound=true")
        except CoordError as error:
            return self._sample(WRITE, UNREACHED if isinstance(error, Unreachable) else FAILED, begun, error.sentence)
        if not put.is_ok:
            return self._sample(WRITE, FAILED, begun, put.sentence)
        self._revision = put.body["revision"]
        return self._sample(WRITE, OK, begun)

    def read(self) -> Sample:
        """Whether it is fresh is judged later."""
        begun = time.monotonic()
        try:
            page = self._ask("GET", "/v1/kv", query=f"&prefix={quote(self._trip.prefix)}")
        except CoordError as error:
            return self._sample(READ, UNREACHED if isinstance(error, Unreachable) else FAILED, begun, error.sentence)
        if not page.is_ok:
            return self._sample(READ, FAILED, begun, page.sentence)
        self._page = page
        return self._sample(READ, OK, begun)

    def end(self) -> None:
        if self._session:
            with suppress(CoordError):  # its time to live does the same
                self._lasted = self._ask("DELETE", f"/v1/sessions/{self._session}").is_ok

    def written(self) -> Write:
        return Write(self.member, self._key, self._value, self._revision, self._lasted)

    def judged(self, sample: Sample, writes: Sequence[Write]) -> Sample:
        """A read, beside all that was written before it began."""
        if self._page is None:
            return sample
        outcome, sentence = judge_read(self._page.body["revision"], {one["key"]: one["value"] for one in self._page.body["items"]}, writes)
        return sample._replace(outcome=outcome, sentence=sentence)

    def _ask(self, method: str, path: str, body: object = None, *, session: int = 0, query: str = "") -> http.Answer:
        return http.ask(self._address, method, path, body, seconds=self._trip.seconds, session=session, query=query)

    def _sample(self, probe: str, outcome: str, begun: float, sentence: str = "") -> Sample:
        return Sample(probe, self.member, outcome, (time.monotonic() - begun) * 1000, sentence)


class LockCycle:
    """Acquired, a write that wants its token admitted, released, the same write refused."""

    def __init__(self) -> None:
        self._newest = 0  # token

    def run(self, trip: Trip, cluster: Cluster, address: str) -> Sample:
        """`address`: the member that the writes go to."""
        begun = time.monotonic()
        name = f"{trip.prefix}lock"
        lock = cluster.lock(name, ttl=trip.ttl_ms / 1000, wait=trip.seconds, note="canary")
        try:
            try:
                lock.acquire()
                outcome, sentence = self._held(trip, lock, name, address)
            finally:
                if lock.is_held:
                    lock.release()
            if outcome == OK and _admits(trip, name, address, self._newest, 0):
                outcome, sentence = WRONG, f"a write with token {self._newest} was admitted although it had been released"
        except CoordError as error:
            outcome, sentence = UNREACHED if isinstance(error, Unreachable) else FAILED, error.sentence
        return Sample(LOCK, "", outcome, (time.monotonic() - begun) * 1000, sentence)

    def _held(self, trip: Trip, lock: Lock, name: str, address: str) -> tuple[str, str]:
        token, before = int(lock.token), self._newest
        self._newest = max(token, before)
        if token <= before:
            return WRONG, f"token {token} was granted after {before}"
        if _admits(trip, name, address, token, lock.session):
            return OK, ""
        lock.check()
        return WRONG, f"a write with token {token} was refused although it is held"


def _admits(trip: Trip, name: str, address: str, token: int, session: int) -> bool:
    put = {"op": "put", "key": f"{trip.prefix}fenced", "value": str(trip.number), "bound": bool(session)}
    body = {"compares": [{"key": name, "field": "token", "number": token}], "then": [put]}
    answer = http.ask(address, "POST", "/v1/transactions", body, seconds=trip.seconds, session=session)
    if not answer.is_ok:
        raise CoordError(answer.sentence)
    return bool(answer.body["succeeded"])
