"""`chaos proxy install` and `remove`: members of a running cluster are led through proxies, and back, one at a time."""

import signal
import time
from collections.abc import Collection

from coordctl.chaos import links, reapers
from coordctl.chaos.faults import BRINGS_NEWCOMER
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.links import Installation
from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import Chosen, LocalCluster
from coordctl.local.fleet import Failed
from coordctl.operations import statuses, waiting
from coordctl.results.chaos import ChaosProxy
from coordctl.results.status import Waited
from coordnode.errors import BadRequest, Busy

ASK_SECONDS = 1.0
WELL_SECONDS = 5.0
PAUSE_SECONDS = 0.05


def install(cluster: LocalCluster, timeout_seconds: float) -> ChaosProxy:
    _must_be_here(cluster)
    until = time.monotonic() + timeout_seconds
    ledger = Ledger(cluster.folder)
    if len(cluster.members) < 2:
        raise Busy(f"{cluster.name} has one member, and so no links: `coordctl up --nodes 3` makes one that has")
    guests = [entry for entry in ledger.entries() if entry.fault in BRINGS_NEWCOMER]
    if guests:
        raise Busy(
            f"a member takes part only until {guests[0].fault} {guests[0].target} ends: `coordctl chaos revert {guests[0].id}` first"
        )
    _must_be_well(cluster)
    with ledger.locked():
        found = links.read(ledger) or links.plan(cluster)
        installation = Installation(is_used=True, api=found.api, links=found.links, dial=found.dial)
        links.write(ledger, installation)
        reapers.ensure(ledger)
        links.start(ledger, installation)
    links.await_served(ledger, installation)
    restarted = _lead(cluster, until, through_proxies=True)
    dead = [f"{one} -> {other}" for (one, other), heard in links.matrix(installation, _pairs(installation)).items() if heard != "answer"]
    if dead:
        raise Failed(
            f"nothing comes through {', '.join(dead)}: see {ledger.folder}/proxy.log; `coordctl chaos proxy remove` leads around them"
        )
    return ChaosProxy(outcome="installed", cluster=cluster.name, links=len(installation.links), api=installation.api, restarted=restarted)


def _pairs(installation: Installation) -> list[links.Pair]:
    return [(one.source, one.target) for one in installation.links]


def remove(cluster: LocalCluster, timeout_seconds: float) -> ChaosProxy:
    _must_be_here(cluster)
    until = time.monotonic() + timeout_seconds
    ledger = Ledger(cluster.folder)
    installation = links.read(ledger)
    restarted: list[str] = []
    if installation is not None:
        broken = [entry for entry in ledger.entries() if entry.links]
        if broken:
            raise Busy(f"{broken[0].target} is broken on purpose, through its proxy: `coordctl chaos revert {broken[0].id}` first")
        with ledger.locked():
            links.write(ledger, Installation(is_used=False, api=installation.api, links=installation.links, dial=installation.dial))
        restarted = _lead(cluster, until, through_proxies=False)
        with ledger.locked():
            links.remove(ledger)
            links.stop(ledger)
    return ChaosProxy(outcome="removed", cluster=cluster.name, links=0, api="", restarted=restarted)


def _must_be_here(cluster: LocalCluster) -> None:
    if cluster.inventory:
        why = "proxies stand between members of one machine only"
        raise BadRequest(f"{cluster.name} runs on hosts, and {why}: `coordctl chaos faults -c {cluster.name}` says what can be done there")


def _must_be_well(cluster: LocalCluster) -> None:
    found = _all_well(cluster, WELL_SECONDS)
    if found.exit_code:
        raise Busy(f"{cluster.name} is not well, and its members would be restarted: {found.now}")


def _all_well(cluster: LocalCluster, seconds: float) -> Waited:
    """Every member: that commits are slow on a machine with other work, or that members can be harmed, is no reason to wait."""
    return waiting.wait(f"members={len(cluster.members)}", Chosen(cluster.engine, cluster.name, cluster.endpoints()), seconds)


def _lead(cluster: LocalCluster, until: float, *, through_proxies: bool) -> list[str]:
    """Those that are not led so yet; who leads comes last. The next one waits until all are well again, and it has not ended before
    every member that runs has said how it is led: one that stands still now may go on later."""
    restarted: list[str] = []
    while True:
        facts = ClusterFacts(statuses.ask(cluster.endpoints(), ASK_SECONDS))
        others = [one for one in facts.answered if one.status is not None and bool(one.status.get("dial")) != through_proxies]
        others.sort(key=lambda one: one.status is facts.leader_status)
        if not others:
            mute = _mute(cluster, {one.shown_name for one in facts.answered}, until)
            if not mute:
                return restarted
            if time.monotonic() >= until:
                how = "be led through proxies still, so they stay" if not through_proxies else "not be led through proxies"
                raise Failed(f"{mute[0]} runs and does not answer, and may {how}: `coordctl chaos revert --all`, and run this once more")
            time.sleep(PAUSE_SECONDS)
            continue
        name = others[0].shown_name
        _restart(cluster, name, until)
        restarted.append(name)
        _await_well(cluster, until)


def _mute(cluster: LocalCluster, answered: Collection[str], until: float) -> list[str]:
    """Those that run and are not among these. Nobody starts any meanwhile: whoever does so later reads how it is to be led."""
    with fleet.locked(cluster.folder, until):
        now = clusters.read(cluster.folder) or cluster
        running = [one.name for one in now.members if processes.is_running(one.pid, one.started)]
    return [one.name for one in cluster.members if one.name in running and one.name not in answered]


def _restart(cluster: LocalCluster, name: str, until: float) -> None:
    with fleet.locked(cluster.folder, until):
        now = clusters.read(cluster.folder) or cluster
        member = next(one for one in now.members if one.name == name)
        processes.send(member.pid, member.started, signal.SIGTERM)
        if not processes.wait_gone(member.pid, member.started, until - time.monotonic()):
            raise Failed(f"{name} (pid {member.pid}) did not end in time: run this once more")
        started = fleet.start_one(now, member)
        processes.let_go(started.process)
        clusters.write(now._replace(members=tuple([started.member if one.name == name else one for one in now.members])))


def _await_well(cluster: LocalCluster, until: float) -> None:
    found = _all_well(cluster, max(0.1, until - time.monotonic()))
    if found.exit_code:
        raise Failed(f"{cluster.name} is not well yet, so no other member is restarted: {found.now}; run this once more when it is")
