"""What an upgrade wants to see before it goes on, and how a member is compared with the others. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from coordctl.facts import judgement, pairs
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.pairs import Speaks

NO_BACKUP, OUTAGE, DEAD_OPERATOR = "no-backup", "outage", "dead-operator"
RISKS = {
    NO_BACKUP: "go on although there is no fresh backup",
    OUTAGE: "go on although nobody is served while a member is switched",
    DEAD_OPERATOR: "take over from an operator whose command is known to have ended",
}

SLOWER_FACTOR = 2.0  # a member may take so many times as long as the others …
SLOWER_MS = 25.0  # … and this more
LEADS_FACTOR = 3.0  # likewise what is written under its lead, beside what was written before
LEADS_MS = 40.0
LAG_ENTRIES_MAX = 1_000
BACKUP_SECONDS_MAX = 24 * 3_600
LEADS_LOST_MAX = 3  # so often a stall may cost it the lead while it is watched
ROUNDS_BAD_PART = 0.2  # of the canary's rounds under its lead


class Gate(NamedTuple):
    host: str  # "": the cluster
    sentence: str
    remedy: str
    risk: str = ""  # with which it may be passed


def of_cluster(facts: ClusterFacts) -> list[Gate]:
    """All healthy, one can be spared, and all members see the same membership."""
    found = [Gate("", one.sentence, one.remedy) for one in judgement.findings(facts) if not one.sentence.startswith("one more loss")]
    if not found and facts.can_lose() < 1:
        remedy = f"add a member first, or say --accept {OUTAGE}"
        found.append(Gate("", "it can lose no member: while one is switched, nobody is served", remedy, OUTAGE))
    leaders = {one.status["leader"] for one in facts.answered if one.status is not None}
    if not found and len(leaders) > 1:
        found.append(Gate("", "members do not agree on who leads", "wait a moment"))
    return found + of_membership(facts)


def of_membership(facts: ClusterFacts) -> list[Gate]:
    seen = [(one.shown_name, one.status["config"]) for one in facts.answered if one.status is not None]
    if not seen:
        return []
    first, config = seen[0]
    for name, other in seen[1:]:
        if other != config:
            return [Gate(name, f"it sees other members than {first} does", "wait until a change of members is over: coordctl member ls")]
    if config["outgoing"]:
        return [Gate("", "a change of members is under way", "wait until it is over: coordctl member ls")]
    return []


def of_pairs(facts: ClusterFacts, before: Mapping[str, Speaks | None], after: Mapping[str, Speaks | None]) -> list[Gate]:
    """Each new build beside each that runs, in the place of the one before, and beside this coordctl."""
    level = max((one.status["level"] or 0 for one in facts.answered if one.status is not None), default=0)
    running = [pairs.of_status(one.status) for one in facts.answered if one.status is not None]
    found = []
    for host, new in after.items():
        old = before.get(host)
        if new is None or old is None:
            found.append(Gate(host, "a build does not say what it speaks", "build it anew: coordctl build"))
            continue
        why = pairs.beside(pairs.OURS, new) or next((why for one in running if (why := pairs.beside(new, one))), "")
        why = why or pairs.in_place_of(new, old, level)
        if why:
            found.append(Gate(host, why, "choose a version in between, or one that knows it"))
    return found


# --- one member, beside the others ---------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Of one member, from the same few writes as of all others."""

    name: str
    shown_ms: tuple[float, ...]  # from each write's acknowledgement until this member itself showed it
    sync_ms: float | None  # the median of its syncs meanwhile
    trouble: str = ""  # it did not show one at all


def of_probe(name: str, measured: Sequence[Measured]) -> str:
    """What is not as it should be with this one; "": nothing. Syncs first: who makes things durable late also shows them late."""
    ours = next(one for one in measured if one.name == name)
    others = [one for one in measured if one.name != name and not one.trouble]
    if ours.trouble:
        return ours.trouble
    if ours.sync_ms is None:
        return "it made nothing durable of what was written"
    synced = _slower(ours.sync_ms, [one.sync_ms for one in others if one.sync_ms is not None])
    shown = _slower(median(ours.shown_ms), [median(one.shown_ms) for one in others])
    found = [f"its fsyncs end {synced}"] if synced else []
    if shown:
        found.append(f"what was written is shown by it {shown}")
    return "; ".join(found)


def _slower(ours_ms: float, others_ms: Sequence[float]) -> str:
    if not others_ms:
        return ""
    theirs_ms = median(others_ms)
    if ours_ms <= SLOWER_FACTOR * theirs_ms + SLOWER_MS:
        return ""
    return f"after {ours_ms:.1f} ms, by the others after {theirs_ms:.1f} ms (medians)"


def of_lead(before_ms: Sequence[float], ours_ms: Sequence[float]) -> str:
    """Writes under its lead, beside those under the lead before."""
    if not before_ms or not ours_ms:
        return ""
    theirs, ours = median(before_ms), median(ours_ms)
    if ours <= LEADS_FACTOR * theirs + LEADS_MS:
        return ""
    return f"writes take {ours:.1f} ms under its lead, and took {theirs:.1f} ms before (medians)"


class Watch(NamedTuple):
    """A member that leads, watched by the canary."""

    rounds: int = 0
    bad: int = 0
    trouble: str = ""  # of the newest round that was not well
    is_broken: bool = False
    leads_lost: int = 0

    def verdict(self) -> str:
        if self.is_broken:
            return f"the canary saw a promise broken: {self.trouble}"
        if self.leads_lost > LEADS_LOST_MAX:
            return f"it lost the lead {self.leads_lost} times while it was watched"
        if self.bad > max(1, ROUNDS_BAD_PART * self.rounds):
            return f"{self.bad} of {self.rounds} rounds of the canary were not well: {self.trouble}"
        return ""


def may_return(facts: ClusterFacts, member: int) -> bool:
    """Whether this member can be stopped once more: it serves nobody as it is, or the others can do without it."""
    one = next((one for one in facts.members if one.member == member), None)
    return one is None or facts.state(one) != "ok" or facts.can_lose() >= 1 or facts.can_lose() < 0


def can_have_quorum(facts: ClusterFacts) -> bool:
    """So many voters answer, whatever they say."""
    there = [one.member for one in facts.answered]
    return all(sum(member in there for member in voters) > len(voters) // 2 for voters in (facts.voters(), facts.outgoing()) if voters)


def of_backup(age_seconds: int | None) -> list[Gate]:
    """`age_seconds`: of the newest that was verified; None: there is none."""
    remedy = f"make one: coordctl backup create; or say --accept {NO_BACKUP} with --reason"
    if age_seconds is None:
        return [Gate("", "there is no backup that was verified", remedy, NO_BACKUP)]
    if age_seconds > BACKUP_SECONDS_MAX:
        return [Gate("", f"the newest backup is {age_seconds // 3_600} h old", remedy, NO_BACKUP)]
    return []


def is_well(facts: ClusterFacts, member: int) -> str:
    """Why a member that was started is not yet what it should be; "": it is."""
    one = next((one for one in facts.members if one.member == member), None)
    if one is None or one.status is None:
        return (one.trouble if one is not None else "") or "it does not answer"
    if facts.state(one) != "ok":
        return "; ".join(one.status["reasons"]) or facts.state(one).lower()
    lag = facts.lag(one)
    return f"it is {lag} entries behind" if lag is not None and lag > LAG_ENTRIES_MAX else ""


def median_sync_ms(one: MemberFacts, before: MemberFacts, name: str) -> float | None:
    return one.metrics.since(before.metrics).histogram(name).least_ms(0.5)
