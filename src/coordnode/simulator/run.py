"""One seed from beginning to end: a phase under faults, a phase in which everything must come right again, then the verdict."""

import gc
import time
import traceback

from coordnode.checking.linearizable import Budget
from coordnode.checking.replay import check_store
from coordnode.checking.verdict import PASS
from coordnode.errors import PromiseBroken
from coordnode.ids import MemberId
from coordnode.simulator.cluster import Cluster
from coordnode.simulator.faults import Fault, draw_plan
from coordnode.simulator.injector import Injector
from coordnode.simulator.replayed import check_changes
from coordnode.simulator.report import STOCK, Broken, Options, SeedReport
from coordnode.simulator.world import MILLISECOND, SECOND, World

HEALED_LOAD_NS = 2 * SECOND  # clients go on for so long after the faults
CONVERGE_NS_MAX = 30 * SECOND  # without anything being applied, and without a lease that could end
LEASES_IN_TURN_MAX = 5  # what waits for a lease to end may then wait for the next one
LOOK_EVERY_NS = 100 * MILLISECOND
SESSION_SLACK_NS = 2 * SECOND  # what ending a session may take beyond its ttl
CUT_DOWN_NS = 100 * MILLISECOND
EVIDENCE_LINES_MAX = 12
MEMBERS = (3, 3, 3, 3, 3, 3, 5, 5, 5, 1)


def run_seed(seed: int, options: Options = STOCK) -> SeedReport:
    """Rubbish is collected between seeds, not within them: a seed makes little that refers to itself."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = time.process_time()
        run = _Run(seed, options)
        broken = run.carry_out()
        return run.report(broken, time.process_time() - began)
    finally:
        if collects:
            gc.enable()
            gc.collect()


class _Run:
    def __init__(self, seed: int, options: Options) -> None:
        self._seed = seed
        self._options = options
        self._world = World(seed)
        drawn = MEMBERS[int(self._world.stream("size").random() * len(MEMBERS))]
        self._size = options.members or drawn
        plan = options.plan
        if plan is None:
            plan = tuple(draw_plan(self._world.stream("faults"), safety_ms=options.safety_ms))
        self._planned = len(plan)
        kept = options.keep_faults
        self._plan: list[Fault] = [fault for fault in plan if kept is None or fault.number in kept]
        self._cluster: Cluster | None = None
        self._injector: Injector | None = None
        self._checked = 0

    def carry_out(self) -> Broken | None:
        try:
            self._phases()
        except PromiseBroken as error:
            cause = _trace(error.__cause__) if error.__cause__ is not None else ()
            return self._broken(error.check_name, error.sentence, (*_lines(error.evidence), *cause))
        except AssertionError as error:
            return self._broken("assertion", f"{_place(error)}: {error}", _trace(error))
        except Exception as error:
            return self._broken("crash", f"{_place(error)}: {type(error).__name__}: {error}", _trace(error))
        return None

    def _broken(self, check: str, sentence: str, evidence: tuple[str, ...]) -> Broken:
        return Broken(check, sentence, evidence, self._world.now_ns // MILLISECOND)

    # --- the phases ------------------------------------------------------------------------------------------------

    def _phases(self) -> None:
        world = self._world
        cluster = self._cluster = Cluster(world, members=self._size, operations_max=self._options.operations)
        injector = self._injector = Injector(world, cluster, cluster.network, cluster.connections, cluster.operator, self._plan)
        cluster.checks.on_moment = injector.on_moment
        if self._options.cut is not None:
            number, operation = self._options.cut
            member = cluster.members[MemberId(number)]
            member.crash_in_write(operation - member.disk.operations, everyone=True, down_ns=CUT_DOWN_NS)
        world.run_until(self._options.safety_ms * MILLISECOND)
        injector.end_all()
        cluster.heal()
        world.run_until(world.now_ns + HEALED_LOAD_NS)
        cluster.workload.stop()
        self._converge(cluster)
        self._compare(cluster)  # as long as sessions and what they hold are part of the state
        self._end_sessions(cluster)
        self._converge(cluster)
        self._verdict(cluster)

    def _converge(self, cluster: Cluster) -> None:
        world = self._world
        begun_ns = world.now_ns
        lease_ns = cluster.workload.longest_ttl_ms() * MILLISECOND + SESSION_SLACK_NS
        moved_ns, applied = begun_ns, cluster.reference.applied
        while why := cluster.why_not_converged():
            if world.now_ns >= min(moved_ns + max(CONVERGE_NS_MAX, lease_ns), begun_ns + CONVERGE_NS_MAX + LEASES_IN_TURN_MAX * lease_ns):
                states = tuple([member.describe() for member in cluster.members.values()])
                raise PromiseBroken("progress", f"{(world.now_ns - begun_ns) // SECOND} s after the last fault, {why}", states)
            world.run_until(world.now_ns + LOOK_EVERY_NS)
            if cluster.reference.applied > applied:
                moved_ns, applied = world.now_ns, cluster.reference.applied

    def _end_sessions(self, cluster: Cluster) -> None:
        """Half of the clients vanish, the others close: neither kind of session may stay."""
        world = self._world
        cluster.workload.abandon_half()
        cluster.workload.close_rest()
        begun_ns = world.now_ns
        longest_ns = cluster.workload.longest_ttl_ms() * MILLISECOND + SESSION_SLACK_NS
        # A new leader grants the leases anew, and a cut of the power may come only now.
        while world.now_ns < (over_ns := max(begun_ns, cluster.checks.leads_since_ns) + longest_ns):
            quiet_ns = max(begun_ns, *[member.cut_down_at_ns for member in cluster.members.values()])
            if cluster.checks.leads_since_ns > quiet_ns + CONVERGE_NS_MAX:
                raise PromiseBroken("progress", f"{CONVERGE_NS_MAX // SECOND} s after the last fault, the lead still changes")
            world.run_until(over_ns)
        cluster.session_life.overdue(world.now_ns, cluster.checks.leads_since_ns, SESSION_SLACK_NS)

    def _compare(self, cluster: Cluster) -> None:
        cluster.checks.note_reference()
        for member in cluster.belonging():
            assert member.replica is not None
            cluster.checks.compare_whole(member.replica)
            cluster.check_journals(member)

    def _verdict(self, cluster: Cluster) -> None:
        left = [int(session) for session, _ in cluster.reference.machine.sessions()]
        if left:
            raise PromiseBroken("session-life", f"sessions {left} live on, and nobody keeps them", tuple(left))
        self._compare(cluster)
        operations = cluster.recording.history()
        self._checked = len(operations) + cluster.recording.refused
        verdict = check_store(operations, Budget(), complete=True)
        if verdict.outcome != PASS:
            raise PromiseBroken("linearizable", verdict.reason, verdict.evidence.operation if verdict.evidence else None)
        check_changes(verdict.certificate[0], cluster.reference.changes)

    # --- what came of it -------------------------------------------------------------------------------------------

    def report(self, broken: Broken | None, cpu_s: float) -> SeedReport:
        cluster, injector, world = self._cluster, self._injector, self._world
        return SeedReport(
            seed=self._seed,
            options=self._options,
            members=self._size,
            simulated_ms=world.now_ns // MILLISECOND,
            operations=cluster.workload.begun if cluster else 0,
            checked=self._checked,
            events=world.events,
            trace=f"{world.trace:016x}-{world.events}-{cluster.reference.digests[-1] if cluster else 0:x}",
            faults=dict(sorted(injector.counts.items())) if injector else {},
            marks={mark: count for mark, count in cluster.marks.counts.items() if count} if cluster else {},
            planned=self._planned,
            cpu_s=cpu_s,
            disk_operations=tuple(cluster.disk_operations()) if cluster else (),
            broken=broken,
        )


def _lines(evidence: object) -> tuple[str, ...]:
    parts = evidence if isinstance(evidence, tuple) else (evidence,)
    return tuple([repr(part)[:400] for part in parts[:EVIDENCE_LINES_MAX]])


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{_inside(frame.filename)}:{frame.lineno}"


def _trace(error: BaseException) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{_inside(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
    return (*lines[-EVIDENCE_LINES_MAX:], *getattr(error, "__notes__", []))


def _inside(path: str) -> str:
    """Without the machine's own folders."""
    return path.replace("\\", "/").rpartition("/coordnode/")[2] or path
