"""From what is different to what most likely happened: hypotheses with their evidence, what was ruled out, and what is not known. Pure.

A hypothesis without a line or a number that speaks for it is never told. What no rule knows is told as unknown, with where it began.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordctl.logs.cluster_rules import joined_cuts
from coordctl.logs.comparing import LASTS_SECONDS, Sign
from coordctl.logs.evidence import MEDIUM, NEAR_MS, ORDER, SURGE, Evidence, Hypothesis
from coordctl.logs.rules import RULES


class Explained(NamedTuple):
    hypotheses: list[Hypothesis]  # ranked; faults before what was planned
    ruled_out: list[str]
    unknown: list[Sign]  # what began and no hypothesis covers
    normal: bool


def explain(evidence: Evidence) -> Explained:
    found = [hypothesis for rule in RULES for hypothesis in rule(evidence)]
    found = _without_consequences(found)
    found.sort(key=lambda one: (one.is_planned, ORDER[one.confidence], one.since_ms))
    unknown = [root for root in evidence.compared.roots if root.weight >= 3 and not _covers(found, root)]
    return Explained(found, ruled_out(evidence, found), unknown, not found and not unknown)


# What a graver cause brings with it is not told a second time, when it is of the same members and did not begin before.
BROUGHT = {
    "member killed": (
        "no leader",
        "sessions expired",
        "cut link",
        "election storm",
        "slow link",
        "client surge",
        "slow disk",
        "cpu taken by others",
    ),
    "out of memory": ("no leader", "sessions expired", "cut link", "election storm", "slow link", "memory pressure", "slow disk"),
    "member paused": (
        "no leader",
        "sessions expired",
        "cut link",
        "slow link",
        "slow disk",
        "cpu taken by others",
        "clock",
    ),
    "member failed": ("no leader", "sessions expired", "cut link", "election storm", "slow link", "member killed"),
    "rotten record": ("member failed",),
    "cut link": ("no leader", "sessions expired", "election storm", "slow link", "client surge", "clock"),
    "slow link": ("clock",),
    "cpu taken by others": ("slow link", "election storm", "slow disk"),
    "slow disk": ("no leader", "sessions expired", "election storm", "slow link"),
    "disk full": ("slow disk",),
    "states differ": ("member failed", "cut link"),
    "version mismatch": ("cut link",),
    "wrong address": ("cut link", "slow link", "member killed", "election storm"),
    "old folder": ("restart", "member killed", "stopped"),
    "certificate": ("cut link", "slow link", "member killed"),
    "name resolution": ("cut link", "slow link", "member killed"),
    "connections full": ("client surge",),
    "restart": (
        "no leader",
        "sessions expired",
        "cut link",
        "slow link",
        "election storm",
        "hand-over",
        "client surge",
        "cpu taken by others",
        "slow disk",
    ),
    "stopped": ("no leader", "sessions expired", "cut link", "slow link", "election storm", "hand-over", "client surge"),
    "hand-over": ("election storm", "client surge"),
}
OF_THE_CLUSTER = frozenset(
    {"slow link", "election storm", "client surge", "no leader", "sessions expired"}
)  # they show at other members, too; all others, and cut links, are of those that they name
BROUGHT_WITHIN_MS = 30_000
MOMENTARY = frozenset({"restart", "stopped", "hand-over", "member killed", "out of memory", "member failed"})  # so is what they bring
LASTING = frozenset({"states differ", "version mismatch", "wrong address", "certificate", "name resolution"})  # so does what they bring


def _without_consequences(found: list[Hypothesis]) -> list[Hypothesis]:
    """Each way of a cut is judged by itself; what a cut brings is of the member that its ways have in common."""
    whole = joined_cuts(found)
    return _one_of_each(joined_cuts([one for one in found if not _is_brought(one, found if one.ways else whole)]))


def _is_brought(one: Hypothesis, found: Sequence[Hypothesis]) -> bool:
    """It began with something that brings it, and but for a hiccup it shows only as long as that can have brought it."""
    causes = [
        other
        for other in found
        if other is not one
        and one.cause in BROUGHT.get(other.cause, ())
        and (not one.lasts or other.cause in LASTING)
        and ORDER[other.confidence] <= ORDER[MEDIUM]
    ]
    begins = any(_is_of(one, other) and -NEAR_MS <= one.since_ms - other.since_ms <= BROUGHT_WITHIN_MS for other in causes)
    return begins and sum(not any(_reaches(other, at_ms) for other in causes) for at_ms in one.shows_ms) < LASTS_SECONDS


def _is_of(one: Hypothesis, other: Hypothesis) -> bool:
    if one.cause in OF_THE_CLUSTER:
        return True
    mine, theirs = set(one.members), set(other.members)
    return bool(mine & theirs) if one.cause in ("cut link", "hand-over") else mine <= theirs


def _reaches(cause: Hypothesis, at_ms: int) -> bool:
    until_ms = max((cause.since_ms, *cause.shows_ms)) + BROUGHT_WITHIN_MS
    return cause.since_ms - NEAR_MS <= at_ms and (at_ms <= until_ms or cause.cause not in MOMENTARY)


def _one_of_each(found: list[Hypothesis]) -> list[Hypothesis]:
    first: dict[tuple[str, tuple[str, ...]], Hypothesis] = {}
    for one in sorted(found, key=lambda one: one.since_ms):
        key = (one.cause, one.members)
        if key in first:
            first[key] = first[key]._replace(evidence=[*first[key].evidence, *one.evidence])
        else:
            first[key] = one
    return list(first.values())


def _covers(found: Sequence[Hypothesis], root: Sign) -> bool:
    """What somebody planned with one member says nothing of what began at another."""
    return any(
        one.since_ms - 2 * NEAR_MS <= root.onset_ms <= one.since_ms + 4 * BROUGHT_WITHIN_MS
        for one in found
        if not one.is_planned or root.member in one.members
    )


def ruled_out(evidence: Evidence, found: Sequence[Hypothesis]) -> list[str]:
    """Only what there was evidence about."""
    causes = {one.cause for one in found}
    pulses = [member for member in evidence.members if evidence.summary.cells.get((member, "pulse"))]
    if not pulses:
        return []
    checks = (
        ({"slow disk"}, not evidence.signs("pulse.sync_ms"), "disks (no fsync was slower than usual)"),
        ({"disk full"}, not evidence.told("space_low"), "disk space"),
        ({"cut link", "slow link"}, not evidence.told("peer_silent", "peer_lost"), "network (no member missed another)"),
        ({"cpu taken by others"}, not evidence.signs("pulse.waited_ms"), "CPU"),
        ({"memory pressure", "out of memory"}, not evidence.signs("pulse.pressure.memory"), "memory"),
        ({"clock"}, True, "clocks"),
        ({"client surge"}, not evidence.signs(*SURGE), "clients"),
        ({"different settings", "version mismatch"}, True, "settings and versions"),
        ({"states differ"}, bool(evidence.summary.digests), "states (digests equal wherever they were compared)"),
    )
    return [words for wanted, is_quiet, words in checks if is_quiet and not wanted & causes]
