"""What a run has shown: each verdict can come out either way, and the worst one decides."""

import itertools
from typing import Any
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
    Installs,
    Seen,
    Try,
    Turn,
    Verdict,
    of_goal,
    of_probe,
    worst,
)
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.operations.statuses import is_leaderless
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
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(2_900, "n2", 3)], True),  # soon after the row's end
        (Goal("leader-changed", 1), [Seen(900, "n1", 5), Seen(1_500, "n1", 6)], False),  # elected anew, the same one
        (Goal("leader-changed", 1), [Seen(900, "n1", 1), Seen(4_000, "n2", 2)], False),  # long after it
        (Goal("leader-changed", 0), [Seen(4_900, "n1", 1), Seen(5_500, "n2", 2)], True),
        (Goal("leader-changed", 1), [Seen(4_900, "n1", 1), Seen(5_500, "n2", 2)], False),
        (Goal("voters-changed", 1), [Seen(900, "n1", 1, (), (1, 2)), Seen(1_500, "n1", 1, (), (1, 2, 3))], True),
        (Goal("voters-changed", 1), [Seen(900, "n1", 1, (), (1, 2)), Seen(1_500, "", 0, (), ()), Seen(1_600, "n1", 1, (), (1, 2))], False),
        (Goal("leaderless", 2), [Seen(5_500, "", 2, is_leaderless=True)], True),
        (Goal("leaderless", 2), [Seen(1_500, "", 2, is_leaderless=True)], False),
        (Goal("leaderless", 2), [Seen(5_500, "", 2)], False),  # nobody says that he leads: he may all the same
        (Goal("snapshot-installed", 2), [Seen(5_500, "n1", 2, ("n2",))], True),
        (Goal("snapshot-installed", 2), [Seen(5_500, "n1", 2)], False),
    ],
)
def test_a_goal_is_hit_only_where_it_was_seen(goal: Goal, seen: list[Seen], is_hit: bool) -> None:
    assert of_goal(goal, ROWS, seen, []).code == (GREEN if is_hit else INCONCLUSIVE)


HELD, FREED = True, False


@pytest.mark.parametrize(
    ("hit", "turns", "is_hit"),
    [
        (7, [Turn(900, 7, HELD), Turn(1_600, 8, HELD)], True),  # its lease was over
        (7, [Turn(900, 7, HELD), Turn(2_900, 8, HELD)], True),  # what took the lease's time is noted late
        (7, [Turn(900, 7, HELD), Turn(4_900, 8, HELD)], False),
        (7, [Turn(900, 7, HELD), Turn(2_100, 7, FREED), Turn(2_200, 8, HELD)], False),  # it went on, and gave the lock back itself
        (7, [Turn(900, 7, HELD), Turn(2_100, 7, FREED), Turn(2_200, 7, HELD), Turn(2_300, 7, FREED)], False),
        (7, [Turn(500, 7, FREED), Turn(700, 8, HELD), Turn(800, 8, FREED), Turn(900, 7, HELD)], False),  # before anything was hit
        (7, [Turn(900, 7, HELD), Turn(1_600, 8, HELD), Turn(2_100, 7, FREED)], True),
        (0, [Turn(1_100, 7, HELD), Turn(1_900, 8, HELD)], True),  # members were hit, and no client
        (0, [Turn(1_100, 7, HELD), Turn(1_200, 7, FREED), Turn(1_300, 7, HELD)], False),  # it stayed with one
        (0, [Turn(1_100, 7, HELD), Turn(4_900, 8, HELD)], False),
    ],
)
def test_a_lock_moves_when_another_than_who_was_hit_is_granted_it_while_he_could_not_give_it_back(
    hit: int, turns: list[Turn], is_hit: bool
) -> None:
    assert of_goal(Goal("lock-moved", 1), [Done(1, 1_000, 2_000, hit)], [], turns).code == (GREEN if is_hit else INCONCLUSIVE)


def test_a_goal_of_a_row_that_was_never_done_is_missed() -> None:
    assert of_goal(Goal("leaderless", 2), ROWS[:1], [Seen(5_500, "", 2, is_leaderless=True)], []).code == INCONCLUSIVE


def test_a_snapshot_is_given_to_whom_it_was_counted_by_not_to_who_made_his_own() -> None:
    installs = Installs()
    before = {"boot": 5, "snapshots_installed": 1, "first_index": 1, "last_index": 100}
    assert not installs.since_last({"n1": before, "n2": before, "n3": {"first_index": 1, "last_index": 100}})  # of before the run
    own = {"boot": 5, "snapshots_installed": 1, "first_index": 121, "last_index": 130}
    assert not installs.since_last({"n1": own, "n3": {"first_index": 121, "last_index": 130}})
    assert not installs.since_last({"n2": {"boot": 9, "snapshots_installed": 0}})  # started anew, and given none yet
    assert installs.since_last({"n1": own | {"snapshots_installed": 2}, "n2": {"boot": 9, "snapshots_installed": 1}}) == ("n1", "n2")
    assert installs.since_last({"n1": {"boot": 11, "snapshots_installed": 1}}) == ("n1",)  # before it was seen again
    assert not installs.since_last({"n1": {"boot": 11, "snapshots_installed": 1}, "n4": {"boot": 1, "snapshots_installed": 1}})


def test_a_snapshot_may_be_given_between_two_rows_to_a_member_that_comes_back() -> None:
    def outcome(at_ms: int, during: int) -> int:
        return of_goal(Goal("snapshot-installed", during), ROWS, [Seen(at_ms, "n1", 1, ("n2",))], ()).code

    between = (ROWS[0].ended_ms + ROWS[1].began_ms) // 2
    assert (outcome(between, 0), outcome(between, 1)) == (GREEN, INCONCLUSIVE)
    assert outcome(ROWS[0].began_ms - 1, 0) == INCONCLUSIVE, "nothing was broken yet"


LED = {"name": "n1", "role": "follower", "term": 1, "leader": 3, "applied": 1}


@pytest.mark.parametrize(
    ("found", "is_it"),
    [
        ([LED, LED, "fell silent"], False),  # as when the leader can open no more files
        (["fell silent"] * 3, False),
        ([LED | {"leader": 0}, LED | {"leader": 0}, "fell silent"], True),
        ([LED | {"leader": 0}, LED, "fell silent"], False),
        (["connection refused"] * 3, True),  # all were killed
        ([LED | {"leader": 0}, "Connection refused", "fell silent"], True),
        ([LED | {"leader": 0}, LED | {"leader": 0}, LED | {"leader": 3, "role": "leader"}], False),
        ([LED, "it serves nobody now", "it serves nobody now"], True),  # ZooKeeper
    ],
)
def test_without_a_leader_is_what_most_know_of_no_leader_not_what_none_answers(found: list[Any], is_it: bool) -> None:
    members = [
        MemberFacts("", None if isinstance(one, str) else one, one if isinstance(one, str) else "", member=number)
        for number, one in enumerate(found, 1)
    ]
    assert is_leaderless(ClusterFacts(members), (1, 2, 3)) == is_it
    assert not is_leaderless(ClusterFacts([]), ())


def test_junit_tells_failures_from_what_could_not_be_said() -> None:
    cases = [("a", False, False, "x"), ("b <&>", True, False, 'it "broke" <here>'), ("c", False, True, "unclear")]
    suite = ElementTree.fromstring(junit("chaos x", 1.5, cases))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {"tests": "3", "failures": "1", "errors": "1"}
    kinds = [(case.get("name"), [(child.tag, child.get("message")) for child in case]) for case in suite]
    assert kinds == [("a", []), ("b <&>", [("failure", 'it "broke" <here>')]), ("c", [("error", "unclear")])]


def test_junit_is_xml_whatever_members_and_commands_said() -> None:
    said = "red \x1b[31m, \x00, half \ud800, \ufffe; a\ttab, \U0001f600"
    (case,) = ElementTree.fromstring(junit("x\x07", 1.0, [(said, True, False, said)]).encode())
    shown = "red \\x1b[31m, \\x00, half \\ud800, \\ufffe; a\ttab, \U0001f600"
    assert (case.get("classname"), case.get("name"), case[0].get("message")) == ("x\\x07", shown, shown)
