"""What a run has shown: goals, probes and histories, each judged for itself, and the one exit code of all. Pure."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from coordctl.chaos.playbook import Goal, Probe

GREEN, DEVIATED, BROKEN, INCONCLUSIVE, NOT_REVERTED = 0, 1, 2, 3, 5
WORST_FIRST = (NOT_REVERTED, BROKEN, DEVIATED, INCONCLUSIVE, GREEN)
WORDS = {GREEN: "green", DEVIATED: "deviated", BROKEN: "promise broken", INCONCLUSIVE: "inconclusive", NOT_REVERTED: "not reverted"}
LEADER_SECONDS = 1.0  # behind a row's end: what it caused is still its doing


class Verdict(NamedTuple):
    kind: str  # revert, check, log, probe, expect, goal, fault, load, start
    name: str
    code: int
    sentence: str


class Try(NamedTuple):
    """Of a probe."""

    at_ms: int
    milliseconds: float
    is_ok: bool
    trouble: str


class Seen(NamedTuple):
    """Of the cluster, at one moment."""

    at_ms: int
    leader: str  # "": nobody says that he leads
    term: int
    installed: tuple[str, ...] = ()  # members that were given a snapshot since the last look
    voters: tuple[int, ...] = ()  # (): nobody says who
    is_leaderless: bool = False  # it is known of most voters that they know no leader


class Installs:
    """Who was given a snapshot: each counts those since it started. One that makes its own was given none."""

    def __init__(self) -> None:
        self._had: dict[str, tuple[int, int]] = {}  # (boot, how many)

    def since_last(self, statuses: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        found = []
        for name, status in statuses.items():
            boot, count = now = (status.get("boot", 0), status.get("snapshots_installed", 0))
            last_boot, last_count = self._had.get(name, now)  # what was before the first look is not ours
            if count > (last_count if boot == last_boot else 0):
                found.append(name)
            self._had[name] = now
        return tuple(found)


class Done(NamedTuple):
    """A row that was carried out."""

    number: int
    began_ms: int
    ended_ms: int
    client: int = 0  # of a load, that was hit; 0: none was


class Turn(NamedTuple):
    """Of a client with the lock: granted, or about to be given back."""

    at_ms: int
    client: int
    is_granted: bool


def worst(verdicts: Sequence[Verdict]) -> int:
    codes = [one.code for one in verdicts]
    return next(code for code in WORST_FIRST if code in codes or code == GREEN)


def of_probe(probe: Probe, tries: Sequence[Try]) -> Verdict:
    name = f"{probe.when}: {' '.join(probe.what)}"
    if not tries:
        return Verdict("probe", name, INCONCLUSIVE, "never tried: the run is too short for it; make lasts longer")
    good = [one for one in tries if one.is_ok and one.milliseconds <= probe.within_ms]
    share = 100 * len(good) / len(tries)
    slowest = max(one.milliseconds for one in tries)
    sentence = f"{len(good)} of {len(tries)} within {probe.within_ms / 1000:g} s, slowest {slowest / 1000:.2f} s"
    if share >= probe.percent_min:
        return Verdict("probe", name, GREEN, sentence)
    bad = next(one for one in tries if one not in good)
    why = bad.trouble or f"took {bad.milliseconds / 1000:.2f} s"
    return Verdict("probe", name, DEVIATED, f"{sentence}: {share:.1f}% is below {probe.percent_min:g}%; at {bad.at_ms / 1000:.1f} s: {why}")


def of_goal(goal: Goal, rows: Sequence[Done], seen: Sequence[Seen], turns: Sequence[Turn]) -> Verdict:
    during = [row for row in rows if goal.during in (0, row.number)]
    name = goal.see + (f", during row {goal.during}" if goal.during else "")
    if goal.see == "snapshot-installed" and not goal.during and rows:  # to a member that comes back, which takes its time behind any row
        is_hit = any(one.installed for one in seen if one.at_ms >= rows[0].began_ms)
    else:
        is_hit = any(_is_hit(goal.see, row, seen, turns) for row in during)
    return Verdict("goal", name, GREEN if is_hit else INCONCLUSIVE, "seen" if is_hit else "not seen: so the run has not shown it")


def _is_hit(see: str, row: Done, seen: Sequence[Seen], turns: Sequence[Turn]) -> bool:
    end_ms = row.ended_ms + LEADER_SECONDS * 1000
    inside = [one for one in seen if row.began_ms <= one.at_ms <= end_ms]
    before = [one for one in seen if one.at_ms < row.began_ms][-1:]
    if see == "leaderless":
        return any(one.is_leaderless for one in inside)
    if see == "snapshot-installed":
        return any(one.installed for one in inside)
    if see == "voters-changed":
        return len({one.voters for one in [*before, *inside] if one.voters}) > 1
    if see == "leader-changed":
        return len({one.leader for one in [*before, *inside] if one.leader}) > 1
    return _is_moved(row, [one for one in turns if row.began_ms <= one.at_ms <= end_ms])


def _is_moved(row: Done, turns: Sequence[Turn]) -> bool:
    """To another than who was hit, before he gave it back himself: that another has it then is how it always is."""
    if not row.client:
        return len({one.client for one in turns if one.is_granted}) > 1
    until_he_goes_on = takewhile(lambda one: one.client != row.client, sorted(turns))
    return any(one.is_granted for one in until_he_goes_on)
