"""The blast radius, and what is written down of a fault before it is done."""

import os
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import links, seams, undo
from coordctl.chaos.faults import exclude_each_other
from coordctl.chaos.ledger import Entry, Ledger, boot_mark
from coordctl.chaos.links import Installation
from coordctl.chaos.radius import judge
from coordctl.chaos.reapers import Reaper
from coordctl.local import processes
from coordnode.client.clock import now_ms
from coordnode.errors import UnknownFormat

THREE, FIVE = ("n1", "n2", "n3"), ("n1", "n2", "n3", "n4", "n5")


def entry(name: str = "aa", fault: str = "pause", for_ms: int = 60_000, pid: int = 0, mark: str = "") -> Entry:
    return Entry(
        id=name,
        fault=fault,
        to="n1",
        by="",
        member="n1",
        pid=pid,
        mark=mark,
        owner="ops",
        reason="",
        began_unix_ms=1,
        until_unix_ms=2,
        boot=boot_mark(),
        deadline_ms=now_ms() + for_ms,
    )


# --- the radius --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voters", "well", "hit", "cut", "left", "is_beyond"),
    [
        (THREE, THREE, [], [], 3, False),
        (THREE, THREE, ["n1"], [], 2, False),
        (THREE, THREE, ["n1", "n2"], [], 1, True),
        (THREE, ["n1", "n2"], ["n3"], [], 2, False),  # the one that is not well is the one that is hit
        (THREE, ["n1", "n2"], ["n1"], [], 1, True),
        (THREE, THREE, [], [("n1", "n2")], 3, False),  # n3 reaches both
        (THREE, THREE, [], [("n1", "n2"), ("n3", "n2")], 2, False),
        (THREE, THREE, [], [("n1", "n2"), ("n2", "n3"), ("n3", "n1")], 1, True),
        (THREE, THREE, ["n3"], [("n2", "n1")], 1, True),
        (FIVE, FIVE, ["n1", "n2"], [], 3, False),
        (FIVE, FIVE, ["n1"], [("n2", "n3"), ("n3", "n2")], 4, False),  # n4 reaches all that are left
        (FIVE, FIVE, [], [("n1", "n3"), ("n1", "n4"), ("n2", "n4"), ("n2", "n5"), ("n3", "n5")], 3, False),  # a ring
        (FIVE, FIVE, [], [(a, b) for a in ("n1", "n2") for b in ("n3", "n4", "n5")], 3, False),
        (FIVE, FIVE, ["n5"], [(a, b) for a in ("n1", "n2") for b in ("n3", "n4", "n5")], 2, True),
        (("n1",), ["n1"], [], [], 1, False),
        (("n1",), ["n1"], ["n1"], [], 0, True),
        ((), [], [], [], 0, True),
    ],
)
def test_who_would_be_left(
    voters: tuple[str, ...], well: list[str], hit: list[str], cut: list[tuple[str, str]], left: int, is_beyond: bool
) -> None:
    found = judge(voters, well, hit, cut, [])
    assert (found.left, found.is_beyond) == (left, is_beyond)


def test_the_sum_is_told_with_what_is_broken_already_and_what_is_not_well() -> None:
    found = judge(FIVE, ["n1", "n2", "n3", "n4"], ["n1", "n2"], [], ["pause n1"])
    assert found.sentence == (
        "2 voters of 5 would be left, a leader and those that it reaches, and a quorum is 3; broken already: pause n1; not well: n5"
    )


@pytest.mark.parametrize(
    ("one", "other", "is_refused"),
    [
        ("kill", "pause", True),
        ("slow-fsync", "eio", True),
        ("slow-fsync", "clock-jump", False),
        ("transfer", "transfer", True),
        ("transfer", "replace", False),
        ("snapshot", "demote", False),
        ("remove", "demote", True),
    ],
)
def test_what_one_member_cannot_suffer_twice(one: str, other: str, *, is_refused: bool) -> None:
    assert exclude_each_other(one, other) == exclude_each_other(other, one) == is_refused


# --- the ledger --------------------------------------------------------------------------------------------------------


def test_what_is_added_is_read_in_order_and_goes_once(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    assert ledger.entries() == []
    ledger.make()
    first, second = entry("zz"), msgspec.structs.replace(entry("aa"), began_unix_ms=5)
    for one in (second, first):
        ledger.add(one)
    assert ledger.entries() == [first, second]
    assert ledger.find(first) == first
    assert ledger.remove(first)
    assert not ledger.remove(first)
    assert ledger.find(first) is None
    assert ledger.entries() == [second]


def test_a_write_that_was_cut_short_is_no_entry(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    (tmp_path / "chaos" / "aa.fault.json.tmp").write_bytes(b'{"format":1,"id"')
    assert ledger.entries() == []


def test_a_write_that_was_cut_short_goes_although_reapers_stay_for_the_proxies_and_one_under_way_does_not(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    links.write(ledger, Installation(is_used=True, api="", links=[], dial={}))
    torn = tmp_path / "chaos" / "aa.fault.json.tmp"
    torn.write_bytes(b'{"format":1,"id"')
    reaper = Reaper(Ledger(str(tmp_path)), "a")
    with ledger.locked():
        torn.write_bytes(b'{"format":1,"id"')
        assert reaper.turn()
        assert torn.exists()
    assert reaper.turn()
    assert not torn.exists()


def test_orders_that_were_half_written_go_with_their_fault(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    torn = tmp_path / "n1" / "harm.json.tmp"
    torn.parent.mkdir()
    torn.write_bytes(b"[")
    seams.cure(ledger, entry(fault="slow-fsync"))
    assert not torn.exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":1}', b"[]", b"\xff"])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, content: bytes) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    (tmp_path / "chaos" / "aa.fault.json").write_bytes(content)
    with pytest.raises(UnknownFormat, match=r"aa\.fault\.json is not what chaos writes"):
        ledger.entries()


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(msgspec.structs.replace(entry(), format=2))
    with pytest.raises(UnknownFormat, match="of format 2, and only 1"):
        ledger.entries()


def test_a_fault_is_due_at_its_deadline_after_another_boot_and_when_it_is_told_so(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    assert not entry().is_due()
    assert entry(for_ms=0).is_due()
    assert msgspec.structs.replace(entry(), boot="another").is_due()
    ledger.add(entry())
    ledger.end_now(entry())
    assert ledger.entries()[0].is_due()


def test_a_pid_that_was_given_to_another_process_is_not_touched(tmp_path: Path) -> None:
    """Ours: it would stand still, and so would this test."""
    ours = entry(pid=os.getpid(), mark="another process")
    ((_, trouble),) = undo.strike(Ledger(str(tmp_path)), [ours], 1_000)
    assert trouble == "its process does not stand still"
    assert not processes.is_stopped(os.getpid(), processes.started_mark(os.getpid()))


def test_what_goes_away_while_it_is_struck_is_a_fault_that_did_not_take(tmp_path: Path) -> None:
    """A member that takes part only for a while, for example."""
    ((_, trouble),) = undo.strike(Ledger(str(tmp_path)), [msgspec.structs.replace(entry(fault="fill-disk"), by="98%")], 1_000)
    assert "No such file" in trouble


def test_to_heal_what_is_gone_is_no_trouble_and_is_done_once(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(entry())
    assert [trouble for _, trouble in undo.heal(ledger, [entry()])] == [""]
    assert ledger.entries() == []
    assert [trouble for _, trouble in undo.heal(ledger, [entry()])] == [""]
    assert [note["event"] for note in ledger.notes(5)] == ["healed"]
