"""The benchmark of a user's own cluster: a bounded load from processes of its own, what members say of it, and what follows from both."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from coordctl.engines import looking
from coordctl.engines.clients import connect
from coordctl.engines.lacks import TITLES, why_not
from coordctl.facts.members import ClusterFacts
from coordctl.load.pace import NS
from coordctl.load.tally import Tally
from coordctl.load.thresholds import Threshold, parse_threshold
from coordctl.load.workloads import ABOUT, CAS, JOURNAL, MIXED, QUEUE
from coordctl.local.clusters import COORDNODE, ETCD, ZOOKEEPER, Chosen, Endpoint, addressed
from coordctl.operations import bench_names, statuses
from coordctl.operations.bench_evidence import Unwatched, Watched
from coordctl.operations.bench_verdict import Measured, verdict
from coordctl.operations.crew import Crew
from coordctl.operations.generator import Go, Plan
from coordctl.operations.interrupts import Interrupts
from coordctl.results.bench import Bench, BenchSecond, BenchSwept
from coordnode.client.sync import Cluster
from coordnode.errors import BadRequest, CoordError, Unreachable

TTL_SECONDS = 10.0  # what a run that is killed with all its processes had bound to sessions goes after that
QUIET_SECONDS = 1.0  # the cluster is looked at so long before it is asked anything
WARM_UP_SECONDS = 1.0  # not counted
ASK_SECONDS_MAX = 2.0
START_SECONDS = 0.2  # from being told to go until the first request: all processes have heard it by then
TELL_DELAY_NS = 100_000_000  # what processes count in a second is heard a little after it
LOOK_SECONDS = 0.2  # so often an interrupt is looked for
END_SECONDS_MAX = 10.0
CONNECTIONS_MAX, OUTSTANDING_MAX, VALUE_BYTES_MAX = 1_000, 64, 256 * 1024
RATE_MAX = 1_000_000.0
ELSEWHERE = {QUEUE: "queues", JOURNAL: "journals", MIXED: "queues"}  # workloads that no other engine has, and what it lacks
LACKING = {ETCD: ELSEWHERE, ZOOKEEPER: {**ELSEWHERE, CAS: "compare"}}
RATE_OF_PROCESS = 3_000.0  # a second: what one generator surely does, with room to spare


class Settings(NamedTuple):
    workload: str
    rate: float | None  # in a second; None: as fast as it is answered
    connections: int
    outstanding: int
    seconds: float
    value_bytes: int
    processes: int | None
    timeout_seconds: float  # of one request
    fail_on: tuple[str, ...]

    def check(self) -> None:
        if self.workload not in ABOUT:
            raise BadRequest(f"there is no workload {self.workload!r}; there are {', '.join(ABOUT)}")
        bounds = {
            "--connections": (self.connections, CONNECTIONS_MAX),
            "--outstanding": (self.outstanding, OUTSTANDING_MAX),
            "--value": (self.value_bytes, VALUE_BYTES_MAX),
            "--processes": (self.processes or 1, self.connections),
        }
        for flag, (value, most) in bounds.items():
            if not 1 <= value <= most:
                raise BadRequest(f"{flag} {value}: give 1 to {most}")
        if self.rate is not None and not 0 < self.rate <= RATE_MAX:
            raise BadRequest(f"--rate {self.rate:g}/s: give more than 0 and at most {RATE_MAX:g}/s, or max")
        for flag, seconds in {"--for": self.seconds, "--timeout": self.timeout_seconds}.items():
            if seconds <= 0:
                raise BadRequest(f"{flag} {seconds:g}: give more than 0")
        self.thresholds()

    def check_for(self, engine: str) -> None:
        if what := LACKING.get(engine, {}).get(self.workload):
            raise BadRequest(why_not(engine, what))
        if engine != COORDNODE and self.outstanding > 1:
            raise BadRequest(why_not(engine, "outstanding"))

    def thresholds(self) -> list[Threshold]:
        try:
            return [parse_threshold(text) for text in self.fail_on]
        except ValueError as error:
            raise BadRequest(f"--fail-on {error}") from None

    @property
    def processes_used(self) -> int:
        """Never more than half of this machine's processors by itself: whatever else runs here needs some, too."""
        cores = len(os.sched_getaffinity(0))
        wanted = cores if self.rate is None else int(self.rate // RATE_OF_PROCESS) + 1
        return self.processes or max(1, min(wanted, cores // 2, self.connections))


class Target(NamedTuple):
    name: str
    asked: Chosen  # all its members that are known
    contacts: list[str]  # where others are told to find them
    facts: ClusterFacts | None  # None: of another engine

    @property
    def is_here(self) -> bool:
        """All its members are on this machine, and only reached from it."""
        hosts = [contact.rpartition(":")[0].strip("[]") for contact in self.contacts]
        return bool(hosts) and all(host == "localhost" or host == "::1" or host.startswith("127.") for host in hosts)


def look(chosen: Chosen) -> Target:
    """Before anything is asked of it."""
    if chosen.engine != COORDNODE:
        return _look_at_others(chosen)
    facts = statuses.of_cluster(chosen.endpoints, ASK_SECONDS_MAX)
    if not facts.answered:
        raise Unreachable(f"no member can be reached: {'; '.join(f'{one.shown_name}: {one.trouble}' for one in facts.members)}")
    if facts.leader_status is None:
        raise Unreachable("no member leads: see coordctl status")
    members = [Endpoint(one.address, one.member, one.name) for one in facts.members]
    name = facts.cluster_name or chosen.name
    return Target(name, Chosen(COORDNODE, name, members), list(facts.contacts().values()), facts)


def _look_at_others(chosen: Chosen) -> Target:
    found = looking.look(chosen.engine, chosen.endpoints, ASK_SECONDS_MAX)
    if all(one.trouble for one in found):
        raise Unreachable(f"no member can be reached: {'; '.join(f'{one.shown}: {one.trouble}' for one in found)}")
    if looking.leads(found) is None:
        raise Unreachable(f"no member of {TITLES[chosen.engine]} that is named leads: see coordctl status")
    addresses = [one.address for one in chosen.endpoints]
    return Target(chosen.name or addresses[0], chosen, addresses, None)


def sweep(target: Target, timeout_seconds: float) -> BenchSwept:
    with _connected(target, timeout_seconds) as cluster:
        removed, running = bench_names.sweep(cluster)
        left = [name for name in bench_names.left(cluster, bench_names.PREFIX) if name.split("/")[1] not in running]
    words = [f"{removed} queues and journals of runs that are over were removed" if removed else "nothing was left of runs that are over"]
    if running:
        words.append(f"{', '.join(running)} goes on, or ended without a word less than {TTL_SECONDS:g} s ago")
    if left:
        words.append(f"{len(left)} names could not be removed")
    return BenchSwept(
        outcome="not clean" if left else "clean",
        exit_code=1 if left else 0,
        removed=removed,
        running=running,
        sentence="; ".join(words),
    )


def bench(target: Target, settings: Settings, on_second: Callable[[BenchSecond], None]) -> Bench:
    """Ctrl-C ends it early, with what was found until then."""
    settings.check()
    settings.check_for(target.asked.engine)
    with Interrupts() as interrupts, interrupts.deferred(), _connected(target, settings.timeout_seconds) as cluster:
        bench_names.sweep(cluster)
        run = bench_names.Run(cluster, TTL_SECONDS)
        is_clean = False
        watched = Watched(target.facts, ASK_SECONDS_MAX) if target.facts is not None else Unwatched()
        try:
            with Crew(_plans(target, settings, run.prefix)) as crew:
                crew.wait_ready()
                watched.before_quiet()
                interrupts.wait(QUIET_SECONDS)
                watched.before_load()
                found = _Load(crew, settings, watched, interrupts, on_second)
                found.run()
        finally:
            interrupts.ignore()
            with suppress(CoordError):
                is_clean = run.end()
        measured = Measured(
            target.name,
            settings.workload,
            settings.rate,
            settings.connections,
            settings.outstanding,
            settings.processes_used,
            settings.value_bytes,
            found.seconds,
            found.tally,
            crew.busy_share,
            crew.way_ms,
            found.series,
            tuple(settings.thresholds()),
            interrupts.is_asked,
            is_clean,
            round(TTL_SECONDS * 1000),
        )
        return verdict(measured, watched)


def _plans(target: Target, settings: Settings, prefix: str) -> list[Plan]:
    parts = settings.processes_used
    return [
        Plan(
            endpoints=addressed(target.asked.engine, target.asked.endpoints),
            identity=_identity(),
            prefix=f"{prefix}{part}",
            workload=settings.workload,
            value_bytes=settings.value_bytes,
            connections=settings.connections // parts + (part < settings.connections % parts),
            outstanding=settings.outstanding,
            rate=settings.rate or 0.0,
            part=part,
            parts=parts,
            ttl_ms=round(TTL_SECONDS * 1000),
            timeout_ms=round(settings.timeout_seconds * 1000),
        )
        for part in range(parts)
    ]


def _identity() -> str:
    return f"bench@{socket.gethostname()}, pid {os.getpid()}"[:64]


def _connected(target: Target, timeout_seconds: float) -> Cluster:
    return connect(addressed(target.asked.engine, target.asked.endpoints), identity=_identity(), timeout=timeout_seconds)


class _Load:
    """From the first request to the last answer."""

    def __init__(
        self, crew: Crew, settings: Settings, watched: Watched, interrupts: Interrupts, on_second: Callable[[BenchSecond], None]
    ) -> None:
        self._crew = crew
        self._settings = settings
        self._watched = watched
        self._interrupts = interrupts
        self._on_second = on_second
        self._second = Tally()
        self.tally = Tally()
        self.series: list[BenchSecond] = []
        self.seconds = 0.0  # measured

    def run(self) -> None:
        begin_ns = time.monotonic_ns() + round(START_SECONDS * NS)
        measure_ns = begin_ns + round(WARM_UP_SECONDS * NS)
        end_ns = measure_ns + round(self._settings.seconds * NS)
        self._crew.go(Go(begin_ns, measure_ns, end_ns))
        self._until(measure_ns, begin_ns)
        self._watched.begin()
        self._until(end_ns, begin_ns)
        self._watched.end()
        self.seconds = max(0.0, (min(time.monotonic_ns(), end_ns) - measure_ns) / NS)
        for one in self._crew.end(self._settings.timeout_seconds + END_SECONDS_MAX):
            self._second.merge(one.tally)
        self._tell()

    def _until(self, until_ns: int, begin_ns: int) -> None:
        while not self._interrupts.is_asked and (now_ns := time.monotonic_ns()) < until_ns:
            next_ns = begin_ns + (len(self.series) + 1) * NS + TELL_DELAY_NS
            if now_ns >= next_ns:
                self._tell()
                continue
            for one in self._crew.hear(min(until_ns - now_ns, next_ns - now_ns, round(LOOK_SECONDS * NS)) / NS):
                self._second.merge(one.tally)

    def _tell(self) -> None:
        found, self._second = self._second, Tally()
        self.tally.merge(found)
        latencies = found.all()
        p50_ms, p99_ms = (_rounded(latencies.quantile_ms(part)) for part in (0.5, 0.99))
        second = BenchSecond(second=len(self.series) + 1, done=found.count, failed=found.failures, p50_ms=p50_ms, p99_ms=p99_ms)
        self.series.append(second)
        self._on_second(second)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
