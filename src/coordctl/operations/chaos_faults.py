"""`chaos inject`, `status`, `revert`, `faults`: one fault at a time, and what is broken now."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple, TypeVar

from coordctl.chaos import radius
from coordctl.chaos.faults import FAULTS, FILL_DISK, HOLDERS, exclude_each_other, takes_quorum, trouble_with_by, trouble_with_time
from coordctl.chaos.ledger import Entry
from coordctl.chaos.site import Overtaken, Site, Wanted
from coordctl.chaos.targets import Members, Target, parse_target
from coordctl.chaos.undo import seen, words
from coordctl.chaos.values import shown_ms
from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters
from coordctl.local.clusters import COORDNODE, LocalCluster, chosen_local
from coordctl.local.fleet import Failed
from coordctl.operations import chaos_sites as sites
from coordctl.operations import statuses
from coordctl.results.chaos import ChaosActive, ChaosFault, ChaosHealed, ChaosInjected, ChaosReverted, ChaosStatus
from coordnode.client.identity import who
from coordnode.errors import BadRequest, Busy, CoordError, Missing, Unreachable

BEYOND_QUORUM = "beyond-quorum"
RISKS = (BEYOND_QUORUM,)
ASK_SECONDS = 1.0
PAUSE_SECONDS = 0.02
LEADER_SECONDS_MAX = 10.0  # how long a new leader is waited for, where there may be one
NOTES_SHOWN = 5
OVERTAKEN_MAX = 5

R = TypeVar("R")


class BeyondQuorum(CoordError):
    """A safety gate: refused, nothing was changed."""

    definite = True


class Interrupted(Exception):
    """By Ctrl-C: what became of the fault."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Asked(NamedTuple):
    fault: str
    to: str
    by: str
    for_ms: int
    seed: int
    reason: str
    accept: str  # "": no risk


def active_at(site: Site) -> list[Entry]:
    """Raises Unreachable: what is broken where nobody looked could be too much together with the next."""
    found = site.look(0)
    if found.unseen:
        raise Unreachable(f"what is broken already is not known, so nothing was broken: {'; '.join(found.unseen)}")
    return found.active


class Hit(NamedTuple):
    """Whom a fault hits: members, or links."""

    members: tuple[str, ...]
    links: tuple[radius.Link, ...]

    @property
    def text(self) -> str:
        return ", ".join([*self.members, *[f"{source} -> {sink}" for source, sink in self.links]])


class Scene:
    """A cluster as it is now, with what is broken in it: members may have come and gone since it was first looked at."""

    def __init__(self, cluster: LocalCluster, site: Site) -> None:
        cluster = clusters.read(cluster.folder) or cluster
        self.site = site
        self.facts = ClusterFacts(statuses.of_members(cluster, ASK_SECONDS))
        self.active = active_at(site)
        must_name_all(cluster, self.facts)
        halves = [half for half in (self.facts.voters(), self.facts.outgoing()) if half]
        self._halves = [tuple([one.name for one in cluster.members if one.member in half]) for half in halves] or [()]
        self.voters = self._halves[0]
        more = {*self.facts.outgoing(), *self.facts.learners()} - {*self.facts.voters()}
        others = tuple([one.name for one in cluster.members if one.member in more])
        self.members = Members(self.voters, self.facts.leader_name, others)
        self.well = [one.shown_name for one in self.facts.members if self.facts.state(one) == "ok"]

    def hit_by(self, fault: str, target: Target, chance: Random) -> Hit:
        """Raises ValueError when nobody is meant."""
        if FAULTS[fault].hits_links:
            return Hit((), tuple(target.links(self._linked(target), chance)))
        return Hit(tuple(target.members(self.members, chance)), ())

    def _linked(self, target: Target) -> Members:
        names, others = tuple(self.site.linked(self.members.names)), tuple(self.site.linked(self.members.others))
        if target.needs_leader and self.members.leader not in ("", *names):
            raise ValueError(f"{self.members.leader} leads, and came after the proxies were installed: there is none in its links")
        return Members(names, self.members.leader, others)

    def radius(self, fault: str, hit: Hit, by: str = "") -> radius.Radius:
        """While voters change, a leader needs a quorum of the old ones, too: what is said is of those that can lose less."""
        already = [entry for entry in self.active if takes_quorum(entry.fault, entry.by)]
        is_lost = takes_quorum(fault, by)
        cut = [pair for entry in already for pair in entry.links] + list(hit.links if is_lost else ())
        reached = self.site.share_disk(hit.members) if fault == FILL_DISK else hit.members if is_lost else ()
        members = [*reached, *[entry.member for entry in already if entry.member]]
        broken = [f"{entry.fault} {entry.target}" for entry in already]
        found = [radius.judge(voters, self.well, members, cut, broken) for voters in self._halves]
        return min(found, key=lambda one: one.left - one.quorum)

    def getting_well(self) -> list[str]:
        """Voters that are not well, although nothing that is broken now hits them: they were healed a moment ago, maybe."""
        hit = {name for entry in self.active for name in (entry.member, *[end for pair in entry.links for end in pair])}
        return [name for name in self.voters if name not in self.well and name not in hit]

    def refuse_twice(self, fault: str, hit: Hit) -> None:
        for entry in self.active:
            if not exclude_each_other(fault, entry.fault):
                continue
            if entry.member in hit.members or any(pair in hit.links for pair in entry.links):
                until = f"`coordctl chaos revert {entry.id}` ends that"
                raise Busy(f"{entry.target} is broken already, by {entry.fault} of {entry.owner}: {until}")

    def inject(self, wanted: Wanted) -> list[Entry]:
        """Raises Overtaken where this is not how it is any more."""
        return self.site.inject(wanted._replace(known=tuple([entry.id for entry in self.active])))


def judged_anew(act: Callable[[], R]) -> R:
    """As often as somebody else breaks something between the look and the act: of two, the second counts what the first broke."""
    for _ in range(OVERTAKEN_MAX):
        with suppress(Overtaken):
            return act()
    return act()


def must_name_all(cluster: LocalCluster, facts: ClusterFacts) -> None:
    """What is known here of a cluster may be old, or name some only: how many may be hit is counted among all."""
    known_here = {one.member for one in cluster.members}
    unknown = [member for member in (*facts.voters(), *facts.outgoing()) if member not in known_here]
    if unknown:
        place = facts.contacts().get(unknown[0], f"member {unknown[0]}")
        how = f"name its host in the inventory and run `coordctl deploy -c {cluster.name}`"
        raise Busy(f"{place} votes, and what is known here of {cluster.name} is older, so that it is not known what may be hit: {how}")
    for one in facts.answered if cluster.engine != COORDNODE else ():
        assert one.status is not None
        named, known = len(one.status["config"]["voters"]), one.status["config"]["voters_known"]
        if named != known:
            raise Busy(f"{one.shown_name} knows {known} voters, and {named} are named: name all, so that it is known what may be hit")


def check(asked: Asked) -> None:
    """What can be said of it without looking at a cluster."""
    fault = FAULTS.get(asked.fault)
    if fault is None:
        raise BadRequest(f"there is no fault {asked.fault}; there are {', '.join(FAULTS)}: see `coordctl chaos faults`")
    try:
        target = parse_target(asked.to)
    except ValueError as error:
        raise BadRequest(f"{asked.to}: {error}") from None
    if not fault.hits_links and target.arrow:
        raise BadRequest(f"{asked.fault} hits members, not links: leave out the arrow")
    if asked.fault in HOLDERS:
        raise BadRequest(f"{asked.fault} hits a client of a run: write it into a playbook whose load takes a lock, and run that")
    by = trouble_with_by(asked.fault, asked.by)
    if by:
        raise BadRequest(f"--by {asked.by}: {by}" if asked.by else f"{asked.fault} without --by: {by}")
    if asked.for_ms <= 0:
        raise BadRequest("--for 0s is no time: give how long it lasts, such as 30s; every fault ends")
    trouble = trouble_with_time(asked.fault, asked.by, asked.for_ms)
    if trouble:
        raise BadRequest(f"{asked.fault} --for {shown_ms(asked.for_ms)}: {trouble}")
    if asked.accept and not asked.reason:
        raise BadRequest(f"--accept {asked.accept} needs --reason: it is written down with it")


def inject(cluster: LocalCluster, asked: Asked) -> ChaosInjected:
    check(asked)
    with sites.opened(cluster, "chaos inject", asked.reason, is_alone=True) as site:
        try:
            return judged_anew(lambda: _inject(cluster, site, asked))
        except KeyboardInterrupt:
            raise Interrupted(_undone(site)) from None


def _undone(site: Site) -> str:
    """Of what this process began: nobody was told that it is broken."""
    later = "interrupted; what was begun is not undone yet, and heals when its time is over"
    try:
        healed = site.heal([entry for entry in site.look(0).active if entry.owner == who()])
    except KeyboardInterrupt:  # nobody waits for it any more
        return f"{later}: see `coordctl chaos status`"
    except (CoordError, OSError) as error:
        return f"{later}: {words(error)}"
    left = [f"{entry.fault} {entry.target} ({entry.id}): {trouble}" for entry, trouble in healed if trouble]
    if left:
        return f"interrupted; not all is undone, the reapers go on with it: {'; '.join(left)}"
    gone = ", ".join(f"{entry.fault} {entry.target}" for entry, _ in healed)
    return f"interrupted; {gone} is undone" if gone else "interrupted; nothing was broken"


def _inject(cluster: LocalCluster, site: Site, asked: Asked) -> ChaosInjected:
    target = parse_target(asked.to)
    scene = _scene(cluster, site, target)
    if not scene.facts.answered:
        raise Busy(f"no member of {cluster.name} answers: nothing was broken; start it with `coordctl up -c {cluster.name}`")
    try:
        hit = scene.hit_by(asked.fault, target, Random(asked.seed))
    except ValueError as error:
        raise Missing(f"{asked.to}: {error}") from None
    scene.refuse_twice(asked.fault, hit)
    found = scene.radius(asked.fault, hit, asked.by)
    if found.is_beyond and asked.accept != BEYOND_QUORUM:
        raise BeyondQuorum(f"{asked.fault} {hit.text}: {found.sentence}; --accept {BEYOND_QUORUM} --reason TEXT does it all the same")
    began = time.monotonic()
    wanted = Wanted(asked.fault, asked.to, asked.by, hit.members, hit.links, asked.for_ms, who(), asked.reason)
    entries = scene.inject(wanted)
    leader_before = scene.facts.leader_name
    leader_after, took_ms = leader_before, 0
    is_unseated = leader_before in hit.members and takes_quorum(asked.fault, asked.by) and FAULTS[asked.fault].unseats
    if is_unseated and not found.is_beyond:
        leader_after, took_ms = _new_leader(cluster, leader_before, scene.facts.term, began)
    return ChaosInjected(
        cluster=cluster.name,
        fault=asked.fault,
        to=asked.to,
        for_ms=asked.for_ms,
        faults=[_active(entry) for entry in entries],
        leader_before=leader_before,
        leader_after="" if found.is_beyond and is_unseated else leader_after,
        leaderless_ms=took_ms,
        can_lose=max(found.left - found.quorum, -1),
    )


def _scene(cluster: LocalCluster, site: Site, target: Target) -> Scene:
    """With a leader, where the target is meant by who leads: it may be about to be elected."""
    until = time.monotonic() + LEADER_SECONDS_MAX
    while True:
        is_last = time.monotonic() >= until
        scene = Scene(cluster, site)
        if is_last or not target.needs_leader or scene.members.leader or not scene.facts.answered:
            return scene
        time.sleep(PAUSE_SECONDS)


def _new_leader(cluster: LocalCluster, before: str, term: int, began: float) -> tuple[str, int]:
    until = time.monotonic() + LEADER_SECONDS_MAX
    others = cluster._replace(members=tuple(one for one in cluster.members if one.name != before))
    while time.monotonic() < until:
        facts = ClusterFacts(statuses.of_members(others, ASK_SECONDS))
        if facts.leader_name and facts.term > term:
            return facts.leader_name, round((time.monotonic() - began) * 1000)
        time.sleep(PAUSE_SECONDS)
    return "", round((time.monotonic() - began) * 1000)


def seen_of(entries: Sequence[Entry]) -> str:
    return ", ".join(dict.fromkeys(seen(entry) for entry in entries))


def _active(entry: Entry) -> ChaosActive:
    return ChaosActive(
        id=entry.id,
        fault=entry.fault,
        member=entry.target,
        to=entry.to,
        owner=entry.owner,
        reason=entry.reason,
        since_unix_ms=entry.began_unix_ms,
        until_unix_ms=entry.until_unix_ms,
        verified=seen(entry),
    )


def status(cluster: LocalCluster) -> ChaosStatus:
    with sites.opened(cluster, "chaos status") as site:
        found = site.look(NOTES_SHOWN)
    return ChaosStatus(
        outcome="broken" if found.active else "unknown" if found.unseen else "whole",
        exit_code=69 if found.unseen else 0,
        cluster=cluster.name,
        faults=[_active(entry) for entry in found.active],
        reapers=found.reapers,
        lately=[_healed(note) for note in found.notes if note["event"] != "begun"],
        unseen=found.unseen,
    )


def _healed(note: dict[str, Any]) -> ChaosHealed:
    return ChaosHealed(**{field: note[field] for field in ChaosHealed.__struct_fields__})


def revert(cluster: LocalCluster, ids: Sequence[str], *, everything: bool) -> ChaosReverted:
    """Done twice it changes nothing the second time."""
    if bool(ids) == everything:
        raise BadRequest("say which: the ids that `coordctl chaos status` shows, or --all")
    with sites.opened(cluster, "chaos revert") as site:
        found = site.look(0)
        chosen = found.active if everything else [entry for entry in found.active if entry.id in ids]
        healed = site.heal(chosen)
        after = site.look(0)
    left = [f"{entry.fault} {entry.target}: {trouble}" for entry, trouble in healed if trouble]
    if left:
        raise Failed(f"not all is undone, the reapers go on with it: {'; '.join(left)}")
    if after.unseen:
        raise Unreachable(f"what else is broken is not known, and heals when its time is over: {'; '.join(after.unseen)}")
    return ChaosReverted(cluster=cluster.name, reverted=[_active(one) for one, _ in healed], left=[_active(one) for one in after.active])


def faults(cluster: str) -> list[ChaosFault]:
    """Where no cluster is meant, nothing is said of what it lacks."""
    try:
        chosen = chosen_local(cluster)
    except CoordError:
        return _faults(None)
    with sites.opened(chosen, "chaos faults") as site:
        return _faults(site)


def _faults(site: Site | None) -> list[ChaosFault]:
    found = []
    for name, fault in FAULTS.items():
        mechanism, ends = site.how(name) if site is not None else (fault.mechanism, fault.ends)
        lacks = site.lacks(name) if site is not None else "there is no cluster to break: `coordctl up`"
        found.append(
            ChaosFault(
                fault=name,
                kind=fault.kind,
                what=fault.what,
                by=f"--by {fault.by_example}" if fault.by is not None else "",
                mechanism=mechanism,
                ends=ends,
                can_be_injected=not lacks,
                why_not=lacks,
            )
        )
    return found
