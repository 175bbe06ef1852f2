"""`up` and `down`: a durable cluster on this machine, made once, started, waited for, ended, removed."""

import os
import re
import time
from collections.abc import Mapping, Sequence

from coordctl.chaos import belonging, reapers, undo
from coordctl.chaos.ledger import Ledger
from coordctl.engines import looking
from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters, fleet, foreign, processes, seen
from coordctl.local.clusters import LocalCluster
from coordctl.local.fleet import Failed, Started
from coordctl.operations import statuses
from coordctl.results.local import Down, Up
from coordnode.errors import BadRequest

NODES_DEFAULT = 3
ASK_SECONDS = 0.5
PAUSE_SECONDS = 0.02


def up(folder: str, nodes: int | None, timeout_seconds: float, *, fault_injection: bool | None = None, engine: str = "") -> Up:
    """Also of a cluster that runs already: then it only waits until it is ready. `fault_injection` None, `engine` "": as it was."""
    began = time.monotonic()
    until = began + timeout_seconds
    if nodes is not None and not 1 <= nodes <= fleet.MEMBERS_MAX:
        raise BadRequest(f"--nodes {nodes}: give 1 to {fleet.MEMBERS_MAX}; three survive the loss of one, five of two")
    reapers.resume(Ledger(folder))
    with fleet.locked(folder, until):
        found = clusters.read(folder)
        _check_is_here(found)
        if found is not None and nodes not in (None, len(found.members)):
            raise BadRequest(
                f"{found.name} has {len(found.members)} members, not {nodes}: leave --nodes out to go on with them, or begin anew after "
                "`coordctl down --purge`, or name another cluster with -c"
            )
        if found is not None and engine not in ("", found.engine):
            raise BadRequest(f"{found.name} is made of {found.engine}: name another cluster with -c, or `coordctl down --purge` first")
        engine = found.engine if found is not None else engine or clusters.COORDNODE
        if engine != clusters.COORDNODE:
            if fault_injection is not None:
                raise BadRequest(f"--fault-injection: members of {engine} cannot harm themselves on purpose")
            foreign.check(engine)
        if found is not None and fault_injection not in (None, found.fault_injection):
            _check_is_stopped(found, fault_injection=bool(fault_injection))
        cluster = fleet.make(found or fleet.plan(folder, name_of(folder), nodes or NODES_DEFAULT, engine))
        cluster = cluster if fault_injection is None else cluster._replace(fault_injection=fault_injection)
        kept_down, guests = _kept_down(cluster := _adopted(cluster)), belonging.newcomers_of(Ledger(folder).entries())
        cluster, started = fleet.start(cluster, kept_down)
        clusters.write(cluster)
        try:
            leader = _wait_ready(_awaited(cluster, [*kept_down, *guests]), [one for one in started if one.member.name not in guests], until)
        finally:
            for one in started:
                processes.let_go(one.process)
        seen.note(cluster.cluster, [member.member for member in cluster.members])
    return Up(
        name=cluster.name,
        folder=folder,
        members=[member.name for member in cluster.members],
        endpoints=[member.address for member in cluster.members],
        leader=leader,
        started=[one.member.name for one in started],
        kept_down=kept_down,
        is_new=found is None,
        elapsed_ms=int((time.monotonic() - began) * 1000),
    )


def _kept_down(cluster: LocalCluster) -> list[str]:
    """Whose process a fault ended that is not over."""
    down = [member for member in cluster.members if not processes.is_running(member.pid, member.started)]
    return [member.name for member in down if Ledger(cluster.folder).keeping_down(member.name)]


def _awaited(cluster: LocalCluster, but: Sequence[str]) -> LocalCluster:
    """Those that are to be ready: not whom a fault keeps down, nor whom another brought, which goes with it."""
    members = tuple([member for member in cluster.members if member.name not in but])
    if not members:
        raise Failed(f"all members of {cluster.name} are down on purpose, so none was started: `coordctl chaos revert --all` starts them")
    return cluster._replace(members=members)


def _check_is_here(cluster: LocalCluster | None) -> None:
    if cluster is not None and cluster.inventory:
        how = "use `coordctl start`, `stop` or `destroy`" if cluster.engine == clusters.COORDNODE else "whoever deployed it there runs it"
        raise BadRequest(f"{cluster.name} runs on the hosts of {cluster.inventory}: {how}")


def _check_is_stopped(cluster: LocalCluster, *, fault_injection: bool) -> None:
    if any(processes.is_running(member.pid, member.started) for member in cluster.members):
        flag = "--fault-injection" if fault_injection else "--no-fault-injection"
        raise BadRequest(f"{flag}: members of {cluster.name} run otherwise, and keep that until they end: `coordctl down` first")


def name_of(folder: str) -> str:
    """What members call the cluster: letters, digits and a few signs of the folder's own name."""
    return re.sub(r"[^a-z0-9._-]", "-", os.path.basename(folder).lower())[:63].strip("._-") or clusters.DEFAULT_NAME


def _adopted(cluster: LocalCluster) -> LocalCluster:
    """A member that runs although nobody wrote that down: the command that started it was interrupted."""
    lost = [member for member in cluster.members if not processes.is_running(member.pid, member.started)]
    if cluster.engine != clusters.COORDNODE:
        pids = {member.member: processes.with_words(foreign.mark(cluster, member)) for member in lost}
        return _with_pids(cluster, {member: pid for member, pid in pids.items() if pid})
    by_id = {}
    for one in statuses.ask([clusters.Endpoint(member.address, member.member, member.name) for member in lost], ASK_SECONDS):
        if one.status is not None:
            by_id[one.member] = int(one.status["pid"])
    return _with_pids(cluster, by_id)


def _with_pids(cluster: LocalCluster, by_id: Mapping[int, int]) -> LocalCluster:
    members = []
    for member in cluster.members:
        pid = by_id.get(member.member)
        members.append(member if pid is None else member._replace(pid=pid, started=processes.started_mark(pid)))
    return cluster._replace(members=tuple(members))


def _wait_ready(cluster: LocalCluster, started: list[Started], until: float) -> str:
    """All of them know one leader, whose name it is, and have applied what was committed."""
    while True:
        for one in started:
            if one.process.poll() is not None:
                raise fleet.explain_end(cluster, one)
        if cluster.engine != clusters.COORDNODE:
            found = looking.look(cluster.engine, cluster.endpoints(), ASK_SECONDS)
            leader = looking.leads(found)
            if leader is not None and not any(one.trouble or one.alarms for one in found):
                return leader.name
            if time.monotonic() >= until:
                shown = "".join(f"\n          {one.name}: {one.trouble or ', '.join(one.alarms)}" for one in found)
                raise Failed(f"{cluster.name} runs, but is not ready yet:{shown}")
            time.sleep(PAUSE_SECONDS)
            continue
        facts = ClusterFacts(statuses.ask(cluster.endpoints(), ASK_SECONDS))
        waiting = [one for one in facts.members if facts.state(one) != "ok"]
        leaders = {one.status["leader"] for one in facts.answered if one.status is not None}
        if not waiting and facts.leader_status is not None and len(leaders) == 1:
            return facts.leader_name
        if time.monotonic() >= until:
            raise _not_ready(cluster, facts)
        time.sleep(PAUSE_SECONDS)


def _not_ready(cluster: LocalCluster, facts: ClusterFacts) -> Failed:
    words = []
    for one, member in zip(facts.members, cluster.members, strict=True):
        if one.status is None:
            words.append(f"{one.shown_name}: {one.trouble}, log {fleet.log_path(cluster, member)}")
        elif facts.state(one) != "ok":
            words.append(f"{one.shown_name}: {'; '.join(one.status['reasons'])}")
    shown = "".join(f"\n          {line}" for line in words or ["they do not agree on a leader"])
    return Failed(f"{cluster.name} runs, but is not ready yet; look again with `coordctl status -c {cluster.name}`:{shown}")


def down(cluster: LocalCluster, *, purge: bool, timeout_seconds: float) -> Down:
    until = time.monotonic() + timeout_seconds
    _check_is_here(cluster)
    still_broken = undo.drop(Ledger(cluster.folder))
    with fleet.locked(cluster.folder, until):
        cluster = _adopted(clusters.read(cluster.folder) or cluster)
        ended, left = fleet.end(cluster, until)
        if left:
            names = ", ".join(f"{member.name} (pid {member.pid})" for member in left)
            raise Failed(f"{names} did not end in {timeout_seconds:g} s; kill -9 is safe, what was acknowledged is on the disk")
        others = fleet.remove(cluster) if purge else []
    return Down(
        name=cluster.name,
        folder=cluster.folder,
        members=[member.name for member in cluster.members],
        stopped=ended,
        purged=purge,
        left_behind=[os.path.join(cluster.folder, name) for name in others],
        still_broken=[] if purge else still_broken,
    )
