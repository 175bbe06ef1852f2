"""What the verbs that change a fleet have in common: waiting until it is healthy, and saying what came of each host."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import Endpoint
from coordctl.operations import statuses
from coordctl.operations.fleet import Fleet
from coordctl.results.deploy import HostDone, Outcome
from coordctl.transport.base import HostFailed

HEALTHY_SECONDS = 60.0
ASK_SECONDS = 1.0
PAUSE_SECONDS = 0.05
NOT_THERE = ("unreachable", "key", "login", "late")


def cluster_facts(endpoints: Sequence[Endpoint]) -> ClusterFacts:
    return ClusterFacts(statuses.ask(endpoints, ASK_SECONDS))


def await_healthy(fleet: Fleet, endpoints: Sequence[Endpoint]) -> None:
    """All members know one leader and have applied what was committed. Whose has not in time has failed."""
    until = time.monotonic() + HEALTHY_SECONDS
    while True:
        facts = cluster_facts(endpoints)
        waiting = [one for one in facts.members if facts.state(one) != "ok"]
        leaders = {one.status["leader"] for one in facts.answered if one.status is not None}
        if not waiting and facts.leader_status is not None and len(leaders) == 1:
            return
        if time.monotonic() >= until:
            break
        time.sleep(PAUSE_SECONDS)
    for one in waiting:
        why = one.trouble if one.status is None else "; ".join(one.status["reasons"]) or facts.state(one)
        sentence = f"its member is not well after {HEALTHY_SECONDS:g} s: {why}"
        fleet.failed[one.name] = HostFailed(one.name, "failed", sentence)
    if not waiting:
        name = endpoints[0].name
        fleet.failed[name] = HostFailed(name, "failed", f"the members agree on no leader after {HEALTHY_SECONDS:g} s")


def in_turn(names: Sequence[str], endpoints: Sequence[Endpoint]) -> list[str]:
    """The leader last: it is moved once instead of with every member."""
    leader = cluster_facts(endpoints).leader_name
    return sorted(names, key=lambda name: (name == leader, name))


def well(endpoints: Sequence[Endpoint]) -> str:
    facts = cluster_facts(endpoints)
    return f"{len(endpoints)} members healthy, {facts.leader_name} leads, can lose {facts.can_lose()}"


def failure(fleet: Fleet) -> tuple[Outcome, Literal[1, 69], str]:
    failed = fleet.failed
    unreachable = all(one.kind in NOT_THERE for one in failed.values()) and not fleet.has_begun
    words = f"{len(failed)} of {len(fleet.hosts)} hosts failed: {next(iter(failed.values())).sentence}"
    rest = "; what was done is listed, and running it again goes on from there" if fleet.has_begun else "; nothing was changed"
    return ("unreachable", 69, words + rest) if unreachable else ("failed", 1, words + rest)


def of_hosts(fleet: Fleet, done: Mapping[str, list[str]], *, is_plan: bool = False) -> list[HostDone]:
    return [
        HostDone(
            name=host.name,
            outcome=_outcome(fleet.failed.get(host.name), bool(done.get(host.name)), is_plan=is_plan),
            steps=done.get(host.name, []),
            trouble=fleet.failed[host.name].sentence if host.name in fleet.failed else "",
        )
        for host in fleet.hosts
    ]


def _outcome(failed: HostFailed | None, changed: bool, *, is_plan: bool) -> Outcome:
    if failed is not None:
        return "unreachable" if failed.kind in NOT_THERE else "failed"
    if not changed:
        return "unchanged"
    return "would change" if is_plan else "done"
