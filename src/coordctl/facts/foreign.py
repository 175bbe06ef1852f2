"""What is wrong with a cluster of another engine, from what its members say: verdicts as of coordnode's, as far as they say enough."""

from collections.abc import Sequence
from typing import NamedTuple

from coordctl.facts.judgement import CRITICAL, UNKNOWN, WARNING, Finding, rank


class Said(NamedTuple):
    """By a member; or why it said nothing."""

    name: str
    trouble: str = ""
    leads: bool = False
    applied: int = 0
    alarms: tuple[str, ...] = ()
    voters: int = 0  # as it knows them; 0: it does not say


def voters(found: Sequence[Said]) -> int:
    return max([len(found), *(one.voters for one in found)])


def can_lose(found: Sequence[Said]) -> int:
    """More members, as far as can be seen from here: who was not asked counts as lost."""
    well = sum(not one.trouble and not one.alarms for one in found)
    return well - (voters(found) // 2 + 1)


def findings(found: Sequence[Said]) -> list[Finding]:
    """Worst first."""
    answered = [one for one in found if not one.trouble]
    if not answered:
        troubles = "; ".join(f"{one.name}: {one.trouble}" for one in found)
        return [Finding(UNKNOWN, f"no member could be reached from here ({troubles})", "check --endpoints, and that they run")]
    listed: list[Finding] = []
    if not any(one.leads for one in answered):
        if len(answered) > voters(found) // 2:
            listed.append(Finding(CRITICAL, "no member leads, although a majority answers", "see the members' logs", check="quorum"))
        else:
            how = f"no leader among the {len(answered)} of {voters(found)} members that answer"
            listed.append(Finding(UNKNOWN, how, "start the others", check="quorum"))
    elif can_lose(found) == 0 and voters(found) > 1:
        listed.append(Finding(WARNING, "one more member lost is an outage", "bring the others back", check="quorum"))
    for one in found:
        if one.trouble:
            listed.append(Finding(WARNING, f"{one.name} does not answer: {one.trouble}", "see whether it runs", check="members"))
        listed += [Finding(WARNING, f"{one.name} says: {alarm}", "see its log", check="members") for alarm in one.alarms]
    return sorted(listed, key=rank)
