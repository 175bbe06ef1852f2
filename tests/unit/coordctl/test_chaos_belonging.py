"""Changes of members as differences: each ends as if it had been alone, in whatever order they end."""

import itertools
import time
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import belonging
from coordctl.chaos.belonging import Belonging, Undo, broken, next_step, whole
from coordctl.chaos.faults import ADD, BELONGING, DEMOTE, REMOVE, REPLACE
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.newcomers import Newcomer
from coordctl.chaos.undo import heal
from coordctl.local import clusters
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


def test_who_comes_back_is_a_learner_first() -> None:
    """A cluster takes no voters that would leave it without a majority: half of two, and the other is not there yet."""
    pair = Belonging(frozenset({1, 2}), frozenset(), {1: "a:1", 2: "a:2"})
    alone = broken(REMOVE, undo(REMOVE, 2), pair)
    learning = next_step(alone, whole(REMOVE, undo(REMOVE, 2), alone))
    assert (learning.voters, learning.learners) == ({1}, {2})
    assert next_step(learning, whole(REMOVE, undo(REMOVE, 2), learning)).voters == {1, 2}


@pytest.mark.parametrize("faults", list(itertools.product(BELONGING, BELONGING)))
def test_two_that_last_beside_each_other_end_in_any_order(faults: tuple[str, str]) -> None:
    first, second = undo(faults[0], 1, 8), undo(faults[1], 2, 9)
    both = broken(faults[1], second, broken(faults[0], first, AT_FIRST))
    for one, other in (((faults[0], first), (faults[1], second)), ((faults[1], second), (faults[0], first))):
        ended = whole(*other, whole(*one, both))
        assert (ended.voters, ended.learners) == (AT_FIRST.voters, AT_FIRST.learners)


def test_two_that_end_at_once_do_not_undo_each_other_s_undoing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks for a whole membership: for that which it found, and its own difference."""
    in_force = broken(DEMOTE, undo(DEMOTE, 2), broken(DEMOTE, undo(DEMOTE, 1), AT_FIRST))
    takes = iter((0.05, 0.15, *[0.0] * 9))

    def change(_: LocalCluster, wanted: Belonging) -> None:
        nonlocal in_force
        time.sleep(next(takes))
        in_force = wanted

    monkeypatch.setattr(clusters, "read", lambda _: LocalCluster(str(tmp_path), "local", 7, 0, True, ()))
    monkeypatch.setattr(belonging, "_in_force", lambda _: in_force)
    monkeypatch.setattr(belonging, "_ask_for", change)
    ledger = Ledger(str(tmp_path))
    ledger.make()
    both = [
        msgspec.structs.replace(entry(f"aa{member}", fault=DEMOTE), undo=msgspec.json.encode(undo(DEMOTE, member)).decode())
        for member in (1, 2)
    ]
    for one in both:
        ledger.add(one)
    assert [trouble for _, trouble in heal(ledger, both)] == ["", ""]
    assert in_force.voters == AT_FIRST.voters


def test_no_proxies_are_led_into_links_of_a_member_that_will_be_gone(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(entry(fault=ADD))
    members = tuple([LocalMember(f"n{number}", number, f"127.0.0.1:{number}") for number in (1, 2)])
    with pytest.raises(Busy, match="until add n1 ends"):
        chaos_proxy.install(LocalCluster(str(tmp_path), "local", 7, 0, True, members), 1.0)
