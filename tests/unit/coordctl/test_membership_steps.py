"""Changes of members as plans and sums: only what is not so yet is done, in an order in which one more failure is survived."""

from typing import Any

import pytest

from coordctl.facts import sums
from coordctl.facts.members import ClusterFacts
from coordctl.facts.sums import Sum
from coordctl.steps import membership
from coordctl.steps.membership import CatchUp, Change, HandOver, Join, Prepare, Retire, View
from tests.unit.coordctl.test_judgement import said, silent

WELL = View(
    voters=(1, 2, 3),
    learners=(),
    is_joint=False,
    well=frozenset({1, 2, 3}),
    leader=1,
    names={1: "n1", 2: "n2", 3: "n3", 4: "n4", 5: "n5"},
    zones={1: "a", 2: "b", 3: "c"},
    contacts={1: "h:1", 2: "h:2", 3: "h:3"},
    applied={1: 50, 2: 48, 3: 50},
)
N4, N5 = ("n4", 4, "h:4"), ("n5", 5, "h:5")


def view(**changes: Any) -> View:
    return WELL._replace(**changes)


def test_it_is_made_of_what_members_say() -> None:
    config = {"voters": [1, 2], "outgoing": [1, 2, 3], "learners": [4], "contacts": {"1": "a:1"}}
    found = membership.view_of(ClusterFacts([said(1, "leader", config=config), said(2), silent(3)]), {3: "n3"}, {1: "a"})
    assert (found.voters, found.learners, found.is_joint, found.leader) == ((1, 2), (4,), True, 1)
    assert (found.well, found.names, found.contacts) == (frozenset({1, 2}), {1: "n1", 2: "n2", 3: "n3"}, {1: "a:1"})


def test_a_newcomer_is_a_learner_until_it_has_caught_up() -> None:
    acts = [Prepare("n4"), Join("n4", 4, "h:4"), CatchUp("n4", 4)]
    assert membership.add(WELL, [N4], as_learners=True) == acts
    assert membership.add(WELL, [N4], as_learners=False) == [*acts, Change((1, 2, 3, 4), (), "make n4 a voter")]


def test_several_become_voters_in_one_change() -> None:
    acts = membership.add(view(learners=(4,)), [N4, N5], as_learners=False)
    assert [type(act) for act in acts] == [Prepare, CatchUp, Prepare, Join, CatchUp, Change]
    assert acts[-1] == Change((1, 2, 3, 4, 5), (), "make n4 and n5 voters")


def test_what_is_so_already_is_in_no_plan() -> None:
    grown = view(voters=(1, 2, 3, 4))
    assert membership.add(grown, [N4], as_learners=False) == [Prepare("n4")]
    assert membership.promote(WELL, [1]) == []
    assert membership.demote(view(learners=(4,)), [4]) == []
    assert membership.remove(WELL, [4]) == [Retire("n4", 4)]


def test_a_leader_hands_over_before_it_goes() -> None:
    assert membership.remove(WELL, [1]) == [HandOver("n1", (1,)), Change((2, 3), (), "take n1 out of the cluster"), Retire("n1", 1)]
    assert membership.demote(WELL, [1])[0] == HandOver("n1", (1,))
    assert not any(isinstance(act, HandOver) for act in membership.remove(WELL, [2]))


@pytest.mark.parametrize(
    ("found", "leaving", "successor"),
    [
        (WELL, (1,), 3),  # it has more of the log than 2
        (view(applied={1: 50, 2: 50, 3: 50}), (1,), 2),
        (view(well=frozenset({1, 2})), (1,), 2),
        (view(well=frozenset({1, 2})), (1, 2), 0),
    ],
)
def test_the_leadership_goes_to_who_is_well_and_stays(found: View, leaving: tuple[int, ...], successor: int) -> None:
    assert found.successor(leaving) == successor


def test_a_replacement_is_one_change_and_never_one_voter_less() -> None:
    acts = membership.replace(WELL, 2, N4, is_in_place=False)
    assert acts[-2:] == [Change((1, 3, 4), (), "make n4 a voter in n2's place"), Retire("n2", 2)]
    assert sum(isinstance(act, Change) for act in acts) == 1
    in_place = membership.replace(view(well=frozenset({1, 3})), 2, ("n2", 9, "h:2"), is_in_place=True)
    assert [type(act) for act in in_place] == [Retire, Prepare, Join, CatchUp, Change]
    assert in_place[-1] == Change((1, 3, 9), (), "make n2 a voter in place of what it was")


def test_a_learner_is_replaced_by_a_learner() -> None:
    acts = membership.replace(view(learners=(4,)), 4, N5, is_in_place=False)
    assert acts[-2] == Change((1, 2, 3), (5,), "take what n4 was out of the cluster")


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (Sum(3, 3), Sum(4, 4), ""),
        (Sum(3, 3), Sum(5, 5), ""),
        (Sum(4, 4), Sum(3, 3), ""),
        (Sum(3, 3), Sum(2, 2), "now 3 of 3 voters are well and 2 needed; then 2 of 2 voters are well and 2 needed: one more failure would"),
        (Sum(3, 3), Sum(4, 3), "then 3 of 4 voters are well and 3 needed: one more failure would be an outage"),
        (Sum(5, 3), Sum(4, 2), "then 2 of 4 voters are well and 3 needed: that is an outage"),
        (Sum(3, 2), Sum(3, 3), ""),  # a dead one replaced
        (Sum(3, 2), Sum(2, 2), "one more failure would be an outage"),  # a dead one taken out: no failure is survived any more
        (Sum(5, 3), Sum(4, 3), ""),  # two dead ones taken out, one after the other
        (Sum(4, 3), Sum(3, 3), ""),
        (Sum(1, 1), Sum(3, 3), ""),
        (Sum(1, 1), Sum(2, 2), ""),  # no worse than before: none may fail
        (Sum(2, 2), Sum(1, 1), ""),
        (Sum(1, 1), Sum(1, 1), ""),
        (Sum(3, 3), Sum(1, 1), "then 1 of 1 voter is well and 1 needed"),
    ],
)
def test_no_change_may_end_where_one_more_failure_is_an_outage(before: Sum, after: Sum, refused: str) -> None:
    found = sums.objection(before, after)
    assert (found is not None) == bool(refused)
    assert found is None or (refused in found.sentence and found.risk == "no-spare")


def test_newcomers_are_counted_only_once_they_are_well() -> None:
    change = Change((1, 2, 3, 4), (), "")
    assert membership.objection(WELL, change) is not None
    assert membership.objection(WELL, change, counting=[4]) is None
    assert membership.objection(view(well=frozenset({1, 2, 3, 4})), change) is None


def test_who_is_well_is_not_stopped_before_another_has_its_place() -> None:
    assert membership.objection_to_stop(WELL, 2) is not None
    assert membership.objection_to_stop(view(well=frozenset({1, 3})), 2) is None
    five = view(voters=(1, 2, 3, 4, 5), well=frozenset({1, 2, 3, 4, 5}))
    assert membership.objection_to_stop(five, 2) is None
    assert membership.objection_to_stop(five, 9) is None


@pytest.mark.parametrize(
    ("before", "after", "fatal"),
    [
        ((1, 2, 3), (1, 2, 3, 5), ""),
        ((1, 2, 3), (1, 2, 3, 4), "2 of 4 voters are in zone a, and 3 are needed"),
        ((1, 2, 3), (1, 2, 4), "2 of 3 voters are in zone a, and 2 are needed"),
        ((1, 2), (1, 4), ""),  # of two, either's loss was an outage before
        ((1, 2, 3), (1,), ""),
    ],
)
def test_no_zone_becomes_one_whose_loss_is_an_outage(before: tuple[int, ...], after: tuple[int, ...], fatal: str) -> None:
    found = sums.objection_of_zones(before, after, {1: "a", 2: "b", 3: "c", 4: "a"})
    assert (found.sentence if found else "") == (f"then {fatal}: its loss would be an outage" if fatal else "")


def test_the_spare_that_fits_best_takes_a_place() -> None:
    spares = [("s1", "a"), ("s2", "c"), ("s3", "b")]
    assert membership.spare_for(WELL, 2, spares) == "s3"  # the same zone
    assert membership.spare_for(WELL, 2, spares[:2]) == "s1"  # either would make its zone fatal: the first that is named
    assert membership.spare_for(WELL, 2, [("s1", "a"), ("s4", "")]) == "s4"
    assert membership.spare_for(WELL, 2, []) == ""
