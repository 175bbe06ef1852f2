"""The probes of one canary's round that ask the cluster as a whole: a lock, an election and a queue, each from its begin to its end."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from coordctl.canary.cycles import Announced, Taken, judge_election, judge_queue
from coordctl.canary.samples import ELECTION, LOCK, OK, QUEUE, WRONG, Sample
from coordctl.operations import http
from coordctl.operations.canary_probes import PREFIX, Trip, outcome_of
from coordnode.client.elections import Observer
from coordnode.client.lease import SessionState
from coordnode.client.locks import Lock
from coordnode.client.queues import Task
from coordnode.client.sync import Cluster, Session
from coordnode.errors import CoordError

AT_ONCE = 2  # tasks that are asked for, where there is one


class Cycle(Protocol):
    """Knows what came of it in the rounds before."""

    def run(self, trip: Trip, cluster: Cluster, address: str) -> Sample:
        """`address`: the member that is asked where one must be asked."""


def sampled(probe: str, run: Callable[[], tuple[str, str]]) -> Sample:
    begun = time.monotonic()
    try:
        outcome, sentence = run()
    except CoordError as error:
        outcome, sentence = outcome_of(error), error.sentence
    return Sample(probe, "", outcome, (time.monotonic() - begun) * 1000, sentence)


class LockCycle:
    """Acquired, a write that wants its token admitted, released, the same write refused."""

    def __init__(self) -> None:
        self._newest = 0  # token

    def run(self, trip: Trip, cluster: Cluster, address: str) -> Sample:
        return sampled(LOCK, lambda: self._run(trip, cluster, address))

    def _run(self, trip: Trip, cluster: Cluster, address: str) -> tuple[str, str]:
        name = f"{trip.prefix}lock"
        lock = cluster.lock(name, ttl=trip.ttl_ms / 1000, wait=trip.seconds, note="canary")
        try:
            lock.acquire()
            outcome, sentence = self._held(trip, lock, name, address)
        finally:
            if lock.is_held:
                lock.release()
        if outcome == OK and _admits(trip, name, address, self._newest, 0):
            return WRONG, f"a write with token {self._newest} was admitted although it had been released"
        return outcome, sentence

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
    return bool(answer.must().body["succeeded"])


class ElectionCycle:
    """Observed from before its begin: won and announced, resigned and announced."""

    def __init__(self) -> None:
        self._newest = 0  # token

    def run(self, trip: Trip, cluster: Cluster, address: str) -> Sample:
        return sampled(ELECTION, lambda: self._run(trip, cluster))

    def _run(self, trip: Trip, cluster: Cluster) -> tuple[str, str]:
        election = cluster.election(f"{trip.prefix}election", ttl=trip.ttl_ms / 1000)
        with election.observe() as observer:
            observer.take(trip.seconds)  # how it was before
            leadership = election.campaign(str(trip.number), wait=trip.seconds)
            leadership.win()
            won = Announced(0, int(leadership.token), str(trip.number))
            try:
                announced = _heard(observer, trip.seconds, lambda one: one.token >= won.token)
                leadership.check()
            finally:
                leadership.resign()
            announced += _heard(observer, trip.seconds, lambda one: not one.token)
        before, self._newest = self._newest, max(won.token, self._newest)
        return judge_election(before, won, announced)


def _heard(observer: Observer, seconds: float, is_last: Callable[[Announced], bool]) -> list[Announced]:
    """What is told until this, for so long at most."""
    heard: list[Announced] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and (one := observer.take(left)) is not None:
        leader = one.leader
        heard.append(Announced(one.revision) if leader is None else Announced(one.revision, leader.token, leader.value.decode()))
        if is_last(heard[-1]):
            break
    return heard


class Kept(NamedTuple):
    """A queue is nobody's: the key of the same name shows whose it is, and for how long."""

    name: str
    session: Session


class QueueCycle:
    """A task put, taken by one alone, acknowledged, and nothing left. What a canary that was killed has left there is removed.

    The queue is the same for as long as all is well: to delete one is an operator's deed, which the audit log keeps.
    """

    def __init__(self) -> None:
        self._newest = 0  # token
        self._kept: Kept | None = None

    def run(self, trip: Trip, cluster: Cluster, address: str) -> Sample:
        sample = sampled(QUEUE, lambda: self._run(trip, cluster))
        if sample.outcome != OK:
            self._leave()
        with suppress(CoordError):  # the next round does the same
            remove_strays(cluster)
        return sample

    def _run(self, trip: Trip, cluster: Cluster) -> tuple[str, str]:
        kept = self._opened(trip, cluster)
        queue = kept.session.queue(kept.name)
        put = Taken(queue.put(str(trip.number)).task, 0, str(trip.number))
        taken, again = [queue.take(AT_ONCE, lease=trip.ttl_ms / 1000) for _ in range(2)]
        for task in taken:
            task.ack()
        info = queue.info()
        kept.session.check()
        before, self._newest = self._newest, max([self._newest, *[task.token for task in taken]])
        left = info.ready + info.delayed + info.taken + info.dead
        return judge_queue(before, put, _taken(taken), _taken(again), left)

    def _opened(self, trip: Trip, cluster: Cluster) -> Kept:
        if self._kept is not None and self._kept.session.state is not SessionState.HELD:  # nobody could be reached between two rounds
            self._leave()
        if self._kept is None:
            name = (
                f"{trip.prefix}queue/{trip.number}"  # no other round has used it: what came of an earlier one is not taken for this one's
            )
            self._kept = Kept(name, cluster.session(trip.ttl_ms / 1000, owner=trip.owner))
            self._kept.session.kv.put(name, "", bound=True)
        return self._kept

    def _leave(self) -> None:
        """It becomes a stray."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with suppress(CoordError):
                kept.session.close()

    def end(self, cluster: Cluster) -> None:
        """Of the canary."""
        if self._kept is not None:
            self._leave()
            with suppress(CoordError):  # whoever is a canary next does the same
                remove_strays(cluster)


def _taken(tasks: list[Task]) -> list[Taken]:
    return [Taken(task.id, task.token, task.payload.decode()) for task in tasks]


def remove_strays(cluster: Cluster) -> None:
    """Queues of rounds whose sessions are over: of this canary or another, on whichever machine."""
    for info in cluster.queues.list(PREFIX):
        if cluster.kv.get(info.name) is None:
            queue = cluster.queue(info.name)
            if info.ready + info.delayed + info.taken + info.dead:
                queue.purge()
                queue.purge(dead=True)
            queue.delete()
