"""The blast radius, and what is written down of a fault before it is done."""

import errno
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import links, lives, packets, seams, shaping, signals, undo
from coordctl.chaos.faults import exclude_each_other
from coordctl.chaos.ledger import LOCK, SUFFIX, Entry, Ledger, boot_mark
from coordctl.chaos.links import Installation
from coordctl.chaos.radius import judge
from coordctl.chaos.reapers import Reaper
from coordctl.local import processes
from coordnode.client.clock import now_ms

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


def written(folder: Path, one: Entry) -> Ledger:
    ledger = Ledger(str(folder))
    ledger.make()
    ledger.add(one)
    return ledger


@contextmanager
def paused() -> Iterator[tuple[int, str]]:
    """A process that stands still, and its mark."""
    with subprocess.Popen(["sleep", "600"]) as victim:
        victim.send_signal(signal.SIGSTOP)
        mark = processes.started_mark(victim.pid)
        assert is_soon(lambda: processes.is_stopped(victim.pid, mark))
        try:
            yield victim.pid, mark
        finally:
            victim.kill()


def is_soon(is_so: Callable[[], bool]) -> bool:
    """On a machine with much other work."""
    return not lives.wait_until(is_so, 60.0, "no")


def has_healed(reaper: Reaper, ledger: Ledger, one: Entry) -> bool:
    reaper.turn()
    return ledger.find(one) is None


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
    assert ledger.entries() == []
    (said,) = ledger.unread()
    assert "aa.fault.json is not what chaos writes" in said


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(msgspec.structs.replace(entry(), format=2))
    assert ledger.entries() == []
    (said,) = ledger.unread()
    assert "of format 2, and only 1" in said


def test_a_fault_is_due_at_its_deadline_after_another_boot_and_when_it_is_told_so(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    assert not entry().is_due()
    assert entry(for_ms=0).is_due()
    assert msgspec.structs.replace(entry(), boot="another").is_due()
    ledger.add(entry())
    ledger.end_now(entry())
    assert ledger.entries()[0].is_due()


def test_a_pid_that_was_given_to_another_process_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it would stand still, and so would this test."""
    monkeypatch.setattr(signals, "TAKES_SECONDS_MAX", 0.2)
    ours = entry(pid=os.getpid(), mark="another process")
    ((_, trouble),) = undo.strike(written(tmp_path, ours), [ours])
    assert trouble == "its process does not stand still"
    assert not processes.is_stopped(os.getpid(), processes.started_mark(os.getpid()))


@pytest.mark.parametrize("fault", ["pause", "kill", "crash-loop", "pause-holder", "kill-holder"])
@pytest.mark.parametrize("when", ["due", "healed"])
def test_what_is_due_or_healed_before_it_was_done_is_not_done_any_more(tmp_path: Path, fault: str, when: str) -> None:
    """Whoever heals has been there: it would stay for ever."""
    with subprocess.Popen(["sleep", "600"]) as victim:
        try:
            one = entry(fault=fault, for_ms=0 if when == "due" else 60_000, pid=victim.pid, mark=processes.started_mark(victim.pid))
            ledger = written(tmp_path, one)
            if when == "healed":
                assert ledger.remove(one)
            ((_, trouble),) = undo.strike(ledger, [one])
            assert trouble == "its time was over before it had taken: give it longer"
            assert victim.poll() is None
            assert not processes.is_stopped(one.pid, one.mark)
            assert os.listdir(ledger.folder) == [name for name in os.listdir(ledger.folder) if name in (LOCK, f"{one.id}{SUFFIX}")]
        finally:
            victim.kill()


def test_nothing_is_filled_for_what_was_healed_before(tmp_path: Path) -> None:
    fleet_folder = tmp_path / "n1"
    fleet_folder.mkdir()
    one = msgspec.structs.replace(entry(fault="fill-disk"), by="1%")
    ledger = written(tmp_path, one)
    ledger.end_now(one)
    ((_, trouble),) = undo.strike(ledger, [one])
    assert trouble == "its time was over before it had taken: give it longer"
    assert list(fleet_folder.iterdir()) == []


def test_whoever_heals_waits_for_who_strikes(tmp_path: Path) -> None:
    one = entry()
    ledger = written(tmp_path, one)
    healed = threading.Thread(target=undo.heal, args=(Ledger(str(tmp_path)), [one]))
    with ledger.striking([one]):
        healed.start()
        healed.join(0.2)
        assert healed.is_alive()
        assert ledger.find(one) is not None
    healed.join(60)
    assert ledger.find(one) is None


@contextmanager
def suspended(folder: Path, lock: str) -> Iterator[None]:
    """A command that has it, and goes on."""
    code = f"import os, signal\nfrom coordctl.chaos.ledger import Ledger\nfrom coordctl.local import fleet\nwith {lock}:\n"
    code += " os.kill(0, signal.SIGSTOP)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=folder, start_new_session=True) as command:
        try:
            assert is_soon(lambda: processes.is_stopped(command.pid, processes.started_mark(command.pid)))
            yield
            assert command.wait(60) == 0
        finally:
            command.kill()


def test_a_command_that_is_suspended_with_the_lock_goes_on_when_others_wait_for_it(tmp_path: Path) -> None:
    with paused() as (pid, mark), suspended(tmp_path, "Ledger('.').locked()"):
        due = entry(for_ms=0, pid=pid, mark=mark)
        ledger = written(tmp_path, due)
        reaper = Reaper(ledger, "a")
        assert is_soon(lambda: has_healed(reaper, ledger, due))
        assert not processes.is_stopped(pid, mark)


def test_one_that_is_suspended_with_the_cluster_s_lock_goes_on_when_a_member_is_to_be_started(tmp_path: Path) -> None:
    one = entry(fault="kill", for_ms=0)
    with suspended(tmp_path, "fleet.locked('.', 0.0)"):
        assert undo.heal(written(tmp_path, one), [one]) == [(one, "")]  # there is no member: but the lock was waited for


@pytest.mark.parametrize("how", ["its cure stands still", "it is never cured", "its program does not answer"])
def test_what_does_not_heal_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """By reapers, nor by who asks for all."""
    is_over = threading.Event()

    def cure(*_: object) -> None:
        if how == "its cure stands still":
            is_over.wait()
        if how == "its program does not answer" and not is_over.is_set():
            raise subprocess.TimeoutExpired("nft", 10.0)

    monkeypatch.setattr(packets, "cure", cure)
    monkeypatch.setattr(packets, "is_cured", lambda *_: is_over.is_set())
    monkeypatch.setitem(undo.BY_KIND, "network", packets)
    stuck = entry("aa", fault="cut", for_ms=0)
    ledger = written(tmp_path, stuck)
    reaper = Reaper(ledger, "a")
    before = threading.enumerate()
    try:
        reaper.turn()
        with paused() as (pid, mark):
            due = entry("bb", for_ms=100, pid=pid, mark=mark)
            with ledger.locked():
                ledger.add(due)
            assert is_soon(lambda: has_healed(reaper, ledger, due))
            assert not processes.is_stopped(pid, mark)
        with paused() as (pid, mark):
            long = entry("cc", pid=pid, mark=mark)
            with ledger.locked():
                ledger.add(long)
            threading.Thread(target=undo.heal, args=(ledger, [stuck, long]), daemon=True).start()
            assert is_soon(lambda: ledger.find(long) is None)
        assert ledger.entries() == [stuck]
    finally:  # nothing of this goes on beside the tests that follow
        is_over.set()
        for thread in set(threading.enumerate()) - {*before}:
            thread.join()
    assert ledger.entries() == []


def test_a_process_that_is_seen_running_just_after_it_was_killed_is_started_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_running = True

    def start(*_: object) -> None:
        nonlocal is_running
        was_running, is_running = is_running, not is_running
        if not was_running:
            back.set()

    back = threading.Event()
    monkeypatch.setattr(lives, "start", start)
    monkeypatch.setattr(lives, "is_back", lambda *_: back.is_set())
    monkeypatch.setattr(undo, "CURED_SECONDS", 0.1)
    one = entry(fault="kill")
    assert undo.heal(written(tmp_path, one), [one]) == [(one, "")]


def test_what_cannot_be_written_down_for_want_of_space_is_healed_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    filled = msgspec.structs.replace(entry("aa", fault="fill-disk"), by="1%")
    with paused() as (pid, mark):
        both = [filled, entry("bb", pid=pid, mark=mark)]
        ledger = written(tmp_path, filled)
        ledger.add(both[1])
        filling = tmp_path / "n1" / "chaos-filling-aa"
        filling.parent.mkdir()
        filling.touch()
        monkeypatch.setattr(Ledger, "add", add)
        assert undo.heal(ledger, both) == [(one, "") for one in both]
        assert not filling.exists()
        assert not processes.is_stopped(pid, mark)
    assert ledger.entries() == []


def test_what_is_done_again_as_nothing_could_tell_that_it_is_over_stays_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash loop is, until then."""

    def add(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    one = entry(fault="crash-loop")
    ledger = written(tmp_path, one)
    monkeypatch.setattr(Ledger, "add", add)
    looks = iter((True, False))
    monkeypatch.setattr(lives, "is_back", lambda *_: next(looks))
    assert undo.heal(ledger, [one]) == [(one, "it was done again meanwhile")]
    assert ledger.entries() == [one]


def test_a_program_that_does_not_answer_is_told_as_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise subprocess.TimeoutExpired("nft", 10.0)

    monkeypatch.setitem(undo.BY_KIND, "network", packets)
    monkeypatch.setattr(packets, "strike", ask)
    monkeypatch.setattr(packets, "cure", ask)
    monkeypatch.setattr(lives, "SERVES_SECONDS_MAX", 0.0)
    one = entry(fault="cut")
    ledger = written(tmp_path, one)
    for found in (undo.strike(ledger, [one]), undo.heal(ledger, [one])):
        assert found == [(one, "Command 'nft' timed out after 10.0 seconds")]


@pytest.mark.parametrize("mechanism", sorted({*undo.BY_KIND.values(), *undo.BY_FAULT.values(), packets, shaping}, key=repr))
def test_each_mechanism_knows_that_its_time_may_be_over(mechanism: undo.Mechanism) -> None:
    assert "with ledger.striking(" in inspect.getsource(mechanism)  # type: ignore[arg-type]


def test_what_goes_away_while_it_is_struck_is_a_fault_that_did_not_take(tmp_path: Path) -> None:
    """A member that takes part only for a while, for example."""
    one = msgspec.structs.replace(entry(fault="fill-disk"), by="98%")
    ((_, trouble),) = undo.strike(written(tmp_path, one), [one])
    assert "No such file" in trouble


def test_to_heal_what_is_gone_is_no_trouble_and_is_done_once(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.make()
    ledger.add(entry())
    assert [trouble for _, trouble in undo.heal(ledger, [entry()])] == [""]
    assert ledger.entries() == []
    assert [trouble for _, trouble in undo.heal(ledger, [entry()])] == [""]
    assert [note["event"] for note in ledger.notes(5)] == ["healed"]
