"""Changes of members as differences: each ends as if it had been alone, in whatever order they end."""

import itertools
from pathlib import Path

import pytest

from coordctl.chaos.belonging import Belonging, Undo, broken, whole
from coordctl.chaos.faults import ADD, BELONGING, DEMOTE, REMOVE, REPLACE
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.newcomers import Newcomer
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.operations import chaos_proxy
from coordnode.errors import Busy
from tests.unit.coordctl.test_chaos_ledger import entry

AT_FIRST = Belonging(frozenset({1, 2, 3}), frozenset({4}), {1: "a:1", 2: "a:2", 3: "a:3", 4: "a:4"})


def undo(fault: str, member: int, fresh: int = 9) -> Undo:
    newcomer = Newcomer(name=f"n{member}-{fresh}", member=fresh, address=f"a:{fresh}") if fault in (ADD, REPLACE) else None
    return Undo(member=member, contact=f"a:{member}", newcomer=newcomer)


@pytest.mark.parametrize(
    ("fault", "voters", "learners"),
    [(DEMOTE, {1, 3}, {2, 4}), (REMOVE, {1, 3}, {4}), (ADD, {1, 2, 3, 9}, {4}), (REPLACE, {1, 3, 9}, {4})],
)
def test_what_each_does_can_be_done_twice_and_so_can_its_opposite(fault: str, voters: set[int], learners: set[int]) -> None:
    once = broken(fault, undo(fault, 2), AT_FIRST)
    assert (once.voters, once.learners) == (voters, learners)
    assert broken(fault, undo(fault, 2), once) == once
    again = whole(fault, undo(fault, 2), once)
    assert (again.voters, again.learners) == (AT_FIRST.voters, AT_FIRST.learners)
    assert whole(fault, undo(fault, 2), again) == again
    assert all(again.contacts[member] == f"a:{member}" for member in again.voters | again.learners)


def test_a_newcomer_that_is_a_learner_yet_becomes_a_voter_and_is_let_go_from_there_too() -> None:
    learning = Belonging(AT_FIRST.voters, AT_FIRST.learners | {9}, AT_FIRST.contacts | {9: "a:9"})
    assert broken(ADD, undo(ADD, 2), learning).learners == {4}
    assert whole(ADD, undo(ADD, 2), learning).learners == {4}


@pytest.mark.parametrize("faults", list(itertools.product(BELONGING, BELONGING)))
def test_two_that_last_beside_each_other_end_in_any_order(faults: tuple[str, str]) -> None:
    first, second = undo(faults[0], 1, 8), undo(faults[1], 2, 9)
    both = broken(faults[1], second, broken(faults[0], first, AT_FIRST))
    for one, other in (((faults[0], first), (faults[1], second)), ((faults[1], second), (faults[0], first))):
        ended = whole(*other, whole(*one, both))
        assert (ended.voters, ended.learners) == (AT_FIRST.voters, AT_FIRST.learners)


def test_no_proxies_are_led_into_links_of_a_member_that_will_be_gone(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(entry(fault=ADD))
    members = tuple([LocalMember(f"n{number}", number, f"127.0.0.1:{number}") for number in (1, 2)])
    with pytest.raises(Busy, match="until add n1 ends"):
        chaos_proxy.install(LocalCluster(str(tmp_path), "local", 7, 0, True, members), 1.0)
