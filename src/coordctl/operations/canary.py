"""The canary: does in small, round after round, what users do, through every member, and tells what came of it.

What it writes is below `_canary/` and bound to sessions of one round: it goes with the round, and by itself when the canary is killed. But
for its queue, which is one for the canary's life: to delete one each round would fill the audit log with it.
"""

import os
import socket
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

from coordctl.canary.budget import share
from coordctl.canary.judgement import LEVELS, OUTCOMES, WELL, Tally, judge_run
from coordctl.canary.samples import ANSWERS, REFUSES, SILENT, Reached, Round, Sample
from coordctl.engines import looking
from coordctl.engines.clients import connect, is_foreign
from coordctl.engines.looking import LEARNER, SERVES_NOBODY
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.local.canaries import Notebook
from coordctl.local.clusters import COORDNODE, Chosen, addressed
from coordctl.operations import canary_foreign, statuses
from coordctl.operations.canary_cycles import ElectionCycle, LockCycle, QueueCycle
from coordctl.operations.canary_metrics import Exposed, exposition
from coordctl.operations.canary_probes import PREFIX, Awaited, Through, ThroughMember, Trip
from coordctl.operations.interrupts import Interrupts
from coordctl.results.canary import CanaryProbe, CanaryRound, CanaryRun, CanarySample
from coordnode.client.sync import Cluster
from coordnode.errors import BadRequest, CoordError

INTERVAL_SECONDS_MIN = 0.1
TTL_TIMEOUTS = 6  # a session outlives its round, in which four questions at most stand behind each other
TTL_SECONDS_MIN = 5.0
SAMPLES_MIN = 3
INTERRUPTED = 130


class Settings(NamedTuple):
    interval_seconds: float
    timeout_seconds: float  # of one question
    for_seconds: float | None
    rounds: int | None
    samples_min: int | None  # None: three, or as many as were asked for
    fail_on: str = "degraded"  # or broken, or a share of rounds, as 1%
    metrics: str = ""  # where Prometheus may ask; "": nowhere

    def check(self) -> None:
        if self.interval_seconds < INTERVAL_SECONDS_MIN:
            raise BadRequest(f"--interval {self.interval_seconds:g}s is too often for a canary: give {INTERVAL_SECONDS_MIN:g}s or more")
        given = {"--timeout": self.timeout_seconds, "--for": self.for_seconds, "--count": self.rounds, "--min-samples": self.samples_min}
        for flag, value in given.items():
            if value is not None and value <= 0:
                raise BadRequest(f"{flag} {value:g}: give more than 0")
        self.tolerated()

    def tolerated(self) -> float | None:
        """The share of rounds that may fail; None: none was named."""
        if self.fail_on in ("degraded", "broken"):
            return None
        number, percent, rest = self.fail_on.partition("%")
        try:
            found = float(number) / 100
        except ValueError:
            found = -1.0
        if not percent or rest or not 0 <= found < 1:
            raise BadRequest(f"--fail-on {self.fail_on}: give degraded, broken, or a share of rounds such as 1%")
        return found


def run(chosen: Chosen, settings: Settings) -> Iterator[CanaryRound | CanaryRun]:
    """A result for each round, and one of all at the end. Ctrl-C ends it after the round that is under way."""
    settings.check()
    with Interrupts() as interrupts, interrupts.deferred():
        canary = Canary(chosen, settings.timeout_seconds, Notebook(settings.interval_seconds))
        exposed = Exposed(settings.metrics, lambda: exposition(canary.tally)) if settings.metrics else None
        try:
            number, due = 0, time.monotonic()
            until = float("inf") if settings.for_seconds is None else due + settings.for_seconds
            while number != settings.rounds and due < until and not interrupts.wait(due - time.monotonic()):
                number += 1
                yield canary.round(number)
                due = max(due + settings.interval_seconds, time.monotonic())  # what was missed is not made up for
            yield canary.result(settings, is_cut=interrupts.is_asked)
        finally:
            if exposed is not None:
                exposed.close()
            canary.close()


class Met(NamedTuple):
    """A cluster at the beginning of a round."""

    name: str
    members: tuple[Reached, ...]
    drained: list[str]
    cycles: list[Callable[[], Sample]]
    through: list[Through]


class Patient:
    """Whose canary it is. Knows what came of the rounds before."""

    @abstractmethod
    def meet(self, name: str, trip: Trip) -> Met: ...

    def end(self) -> None:  # most leave nothing
        """Takes away what outlives a round."""


class Own(Patient):
    def __init__(self, chosen: Chosen, cluster: Cluster, seconds: float) -> None:
        self._endpoints = chosen.endpoints
        self._cluster = cluster
        self._seconds = seconds
        self._queue = QueueCycle()
        self._cycles = (LockCycle(), ElectionCycle(), self._queue)

    def end(self) -> None:
        self._queue.end(self._cluster)

    def meet(self, name: str, trip: Trip) -> Met:
        facts = statuses.of_cluster(self._endpoints, self._seconds)
        drained = facts.drains()
        # A cycle is the cluster's: a member that fails alone, fails where it is asked itself.
        leading = [one.address for one in facts.answered if one.status is facts.leader_status]
        address = (leading or [one.address for one in facts.members])[0]
        return Met(
            facts.cluster_name or name,
            tuple(_reached(facts, one) for one in facts.members),
            [one.shown_name for one in facts.members if one.member in drained],
            [partial(cycle.run, trip, self._cluster, address) for cycle in self._cycles],
            [ThroughMember(trip, one.shown_name, one.address) for one in facts.members if one.member not in drained],
        )


class Foreign(Patient):
    """Of another engine, which has no queues and drains nobody."""

    def __init__(self, chosen: Chosen, seconds: float) -> None:
        self._chosen = chosen
        self._seconds = seconds
        self._cycles = (canary_foreign.LockCycle(), canary_foreign.ElectionCycle())

    def meet(self, name: str, trip: Trip) -> Met:
        found = looking.look(self._chosen.engine, self._chosen.endpoints, self._seconds)
        return Met(
            name,
            tuple(Reached(one.shown, _how(one.trouble), one.role != LEARNER, one.trouble) for one in found),
            [],
            [partial(cycle.run, trip, self._chosen) for cycle in self._cycles],
            [
                canary_foreign.ThroughForeign(trip, one.shown, Chosen(self._chosen.engine, "", [endpoint]))
                for one, endpoint in zip(found, self._chosen.endpoints, strict=True)
            ],
        )


class Canary:
    def __init__(self, chosen: Chosen, timeout_seconds: float, notebook: Notebook | None = None) -> None:
        """`notebook`: what came of each round is remembered there."""
        self._name = chosen.name or ("" if chosen.engine == COORDNODE else chosen.endpoints[0].address)
        self._seconds = timeout_seconds
        self._notebook = notebook
        self._owner = f"canary@{socket.gethostname()}, pid {os.getpid()}"[:64]
        self._prefix = f"{PREFIX}{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}/"
        self._ttl_ms = round(max(TTL_SECONDS_MIN, TTL_TIMEOUTS * timeout_seconds) * 1000)
        self._cluster = connect(addressed(chosen.engine, chosen.endpoints), identity=self._owner, timeout=timeout_seconds)
        is_own = chosen.engine == COORDNODE
        self._patient: Patient = Own(chosen, self._cluster, timeout_seconds) if is_own else Foreign(chosen, timeout_seconds)
        self.tally = Tally()
        self._began, self._began_unix_ms = time.monotonic(), _unix_ms()

    def close(self) -> None:
        if self._notebook is not None:
            self._notebook.end(self._name)
        self._patient.end()
        self._cluster.close()

    def round(self, number: int) -> CanaryRound:
        begun, unix_ms = time.monotonic(), _unix_ms()
        met = self._patient.meet(self._name, Trip(self._prefix, self._owner, number, self._ttl_ms, self._seconds))
        self._name = met.name
        samples = self._samples(met)
        judged = self.tally.add(Round(samples, met.members), _unix_ms())
        if self._notebook is not None:
            self._notebook.note(self._name, unix_ms, LEVELS[judged.kind], judged.sentence)
        return CanaryRound(
            outcome=judged.kind,
            exit_code=LEVELS[judged.kind],
            cluster=self._name,
            round=number,
            unix_ms=unix_ms,
            elapsed_ms=round((time.monotonic() - begun) * 1000),
            sentence=judged.sentence,
            samples=[_shown(sample) for sample in samples],
            drained=met.drained,
        )

    def _samples(self, met: Met) -> tuple[Sample, ...]:
        """All members at once: one that is silent keeps nobody waiting but the round."""
        through = met.through
        with ThreadPoolExecutor(max_workers=len(met.cycles) + 2 * len(through)) as pool:
            cycles = [pool.submit(cycle) for cycle in met.cycles]
            try:
                list(pool.map(Through.open, through))
                awaited = Awaited([one.key for one in through])
                watches = [pool.submit(one.watch, awaited) for one in through]
                written = list(pool.map(Through.write, through))
                read = list(pool.map(Through.read, through))
                list(pool.map(Through.end, through))
                writes = [one.written() for one in through]
                awaited.know(writes)
                for one in through:
                    if one.has_heard(awaited):  # and would wait for what is not to be told any more
                        one.hang_up()
                wait(watches, self._seconds)
            finally:  # whatever went wrong: a watch ends by nothing else, and the pool waits for it
                for one in through:
                    one.hang_up()
            wait(watches)
            fresh = [one.judged(sample, writes) for one, sample in zip(through, read, strict=True)]
            watched = [one.watched(writes) for one in through]
            return (*[cycle.result() for cycle in cycles], *written, *fresh, *watched)

    def result(self, settings: Settings, *, is_cut: bool) -> CanaryRun:
        self._patient.end()
        samples_min = settings.samples_min or min(SAMPLES_MIN, settings.rounds or SAMPLES_MIN)
        verdict = judge_run(self.tally, samples_min, settings.tolerated())
        is_tolerated = settings.fail_on == "broken" and verdict.level == 1
        failed = share(self.tally.seen - self.tally.rounds[WELL], self.tally.seen)
        return CanaryRun(
            outcome=OUTCOMES[verdict.level],
            exit_code=INTERRUPTED if is_cut else 0 if is_tolerated else verdict.level,
            failed_ratio=round(failed.ratio, 6),
            failed_ratio_low=round(failed.low, 6),
            failed_ratio_high=round(failed.high, 6),
            cluster=self._name,
            sentence=verdict.sentence,
            rounds=sum(self.tally.rounds.values()),
            rounds_of=dict(self.tally.rounds),
            probes=[
                CanaryProbe(
                    probe=probe,
                    member=member,
                    samples=series.count,
                    failed=series.failed,
                    unreached=series.unreached,
                    p50_ms=_rounded(series.latency_ms(0.5)),
                    p99_ms=_rounded(series.latency_ms(0.99)),
                    last_success_unix_ms=series.last_success_unix_ms,
                )
                for (probe, member), series in self.tally.series.items()
            ],
            is_clean=self._is_clean(),
            clean_within_ms=self._ttl_ms,
            began_unix_ms=self._began_unix_ms,
            elapsed_ms=round((time.monotonic() - self._began) * 1000),
        )

    def _is_clean(self) -> bool:
        """Seen, not assumed; but what was never sent is not there."""
        if not any(series.count for series in self.tally.series.values()):
            return True
        cluster, prefix = self._cluster, self._prefix
        lists = [cluster.kv.range(prefix, keys_only=True), cluster.locks.list(prefix), cluster.elections.list(prefix)]
        if not is_foreign(cluster):
            lists.append(cluster.queues.list(prefix))
        try:
            return not any(map(any, lists))
        except CoordError:
            return False


def _reached(facts: ClusterFacts, one: MemberFacts) -> Reached:
    how = ANSWERS if one.status is not None or one.trouble == statuses.NOT_PERMITTED else _how(one.trouble)
    return Reached(one.shown_name, how, facts.role(one) != "learner", one.trouble)


def _how(trouble: str) -> str:
    return REFUSES if trouble == "connection refused" else ANSWERS if trouble in ("", SERVES_NOBODY) else SILENT


def _shown(sample: Sample) -> CanarySample:
    return CanarySample(
        probe=sample.probe, member=sample.member, outcome=sample.outcome, ms=round(sample.milliseconds, 3), sentence=sample.sentence
    )


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
