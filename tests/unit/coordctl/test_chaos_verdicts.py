"""What a run has shown: each verdict can come out either way, and the worst one decides."""

import itertools
from xml.etree import ElementTree

import pytest

from coordctl.chaos.playbook import Goal, Probe
from coordctl.chaos.verdicts import (
    BROKEN,
    DEVIATED,
    GREEN,
    INCONCLUSIVE,
    NOT_REVERTED,
    Done,
    Seen,
    Try,
    Verdict,
    of_goal,
    of_probe,
    worst,
)
from coordctl.report.junit import junit

PROBE = Probe("throughout", "ask", ("write",), 200, 1_000, 90.0)
ROWS = (Done(1, 1_000, 2_000), Done(2, 5_000, 6_000))


def tries(*kinds: str) -> list[Try]:
    made = {"ok": (5.0, True, ""), "slow": (1_500.0, True, ""), "bad": (5.0, False, "refused")}
    return [Try(100 * number, *made[kind]) for number, kind in enumerate(kinds)]


def test_the_worst_decides_in_the_order_of_the_contract() -> None:
    order = (NOT_REVERTED, BROKEN, DEVIATED, INCONCLUSIVE, GREEN)
    assert order == (5, 2, 1, 3, 0)
    for worse, better in itertools.combinations(order, 2):
        assert worst([Verdict("", "", code, "") for code in (better, worse, GREEN)]) == worse
    assert worst([]) == GREEN


@pytest.mark.parametrize(
    ("kinds", "code", "words"),
    [
        (["ok"] * 10, GREEN, "10 of 10 within 1 s"),
        (["ok"] * 9 + ["bad"], GREEN, "9 of 10"),
        (["ok"] * 8 + ["bad"] * 2, DEVIATED, "80.0% is below 90%; at 0.8 s: refused"),
        (["ok"] * 8 + ["slow"] * 2, DEVIATED, "at 0.8 s: took 1.50 s"),
        ([], INCONCLUSIVE, "never tried"),
    ],
)
def test_a_probe_is_held_against_its_tolerance(kinds: list[str], code: int, words: str) -> None:
    found = of_probe(PROBE, tries(*kinds))
    assert (found.code, words in found.sentence) == (code, True), found


@pytest.mark.parametrize(
    ("goal", "seen", "is_hit"),
    [
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(1_500, "n2", 2)], True),
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(1_500, "n1", 1)], False),
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(2_900, "n1", 3)], True),  # led again, soon after the row's end
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(4_000, "n2", 2)], False),  # long after it
        (Goal("leader-changed", 0), [Seen(4_900, "n1", 1), Seen(5_500, "n2", 2)], True),
        (Goal("leader-changed", 1), [Seen(4_900, "n1", 1), Seen(5_500, "n2", 2)], False),
        (Goal("voters-changed", 1), [Seen(900, "n1", 1, (), (1, 2)), Seen(1_500, "n1", 1, (), (1, 2, 3))], True),
        (Goal("voters-changed", 1), [Seen(900, "n1", 1, (), (1, 2)), Seen(1_500, "", 0, (), ()), Seen(1_600, "n1", 1, (), (1, 2))], False),
        (Goal("leaderless", 2), [Seen(5_500, "", 2)], True),
        (Goal("leaderless", 2), [Seen(1_500, "", 2)], False),
    ],
)
def test_a_goal_is_hit_only_where_it_was_seen(goal: Goal, seen: list[Seen], is_hit: bool) -> None:
    assert of_goal(goal, ROWS, seen, []).code == (GREEN if is_hit else INCONCLUSIVE)


def test_a_lock_moves_when_two_grants_fall_into_the_row() -> None:
    assert of_goal(Goal("lock-moved", 1), ROWS, [], [(1_100, 7), (1_900, 8)]).code == GREEN
    assert of_goal(Goal("lock-moved", 1), ROWS, [], [(1_100, 7), (4_900, 8)]).code == INCONCLUSIVE


def test_a_goal_of_a_row_that_was_never_done_is_missed() -> None:
    assert of_goal(Goal("leaderless", 2), ROWS[:1], [Seen(5_500, "", 2)], []).code == INCONCLUSIVE


def test_junit_tells_failures_from_what_could_not_be_said() -> None:
    cases = [("a", False, False, "x"), ("b <&>", True, False, 'it "broke" <here>'), ("c", False, True, "unclear")]
    suite = ElementTree.fromstring(junit("chaos x", 1.5, cases))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {"tests": "3", "failures": "1", "errors": "1"}
    kinds = [(case.get("name"), [(child.tag, child.get("message")) for child in case]) for case in suite]
    assert kinds == [("a", []), ("b <&>", [("failure", 'it "broke" <here>')]), ("c", [("error", "unclear")])]
