"""What is written down and cannot be read, undone or noted takes nothing else with it."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import belonging, lives, reapers, seams, undo
from coordctl.chaos.belonging import Belonging, Undo
from coordctl.chaos.faults import DEMOTE
from coordctl.chaos.ledger import LOG, SUFFIX, Entry, Ledger
from coordctl.chaos.newcomers import Newcomer
from coordctl.chaos.premises import Kept
from coordctl.chaos.reapers import Reaper
from coordctl.chaos.site import LocalSite
from coordctl.local import clusters, fleet
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.operations import chaos_faults
from coordnode.errors import Unreachable
from tests.unit.coordctl.test_chaos_ledger import entry, has_healed, is_soon, paused, written

DEMOTED = Undo(member=2, contact="a:2")
WHOLE = Belonging(frozenset({1, 2}), frozenset(), {1: "a:1", 2: "a:2"})


def cluster_in(folder: Path, *, runs: bool = True) -> LocalCluster:
    members = (LocalMember("n1", 1, "127.0.0.1:1", os.getpid() if runs else 0), LocalMember("n2", 2, "127.0.0.1:2"))
    return LocalCluster(str(folder), "local", 7, 1, True, members)


# --- what cannot be read -------------------------------------------------------------------------------------------------

OTHERS = [msgspec.json.encode(entry("bb", fault="teleport")), b"", msgspec.json.encode(msgspec.structs.replace(entry("bb"), format=2))]


@pytest.mark.parametrize("other", OTHERS, ids=["unknown fault", "empty", "later format"])
def test_what_this_version_cannot_read_is_named_and_all_else_is_healed(tmp_path: Path, other: bytes) -> None:
    with paused() as (pid, mark):
        due = entry(for_ms=0, pid=pid, mark=mark)
        ledger = written(tmp_path, due)
        Path(ledger.folder, "bb" + SUFFIX).write_bytes(other)
        reaper = Reaper(ledger, "a")
        assert is_soon(lambda: has_healed(reaper, ledger, due))
        assert is_soon(lambda: not reaper.turn()), "it stays for what it cannot undo"
    found = LocalSite(cluster_in(tmp_path)).look(0)
    assert found.active == []
    (said,) = found.unseen
    assert said.startswith(f"{ledger.folder}/bb{SUFFIX} ")
    (left,) = undo.drop(ledger)
    assert left == said


def test_nothing_more_is_broken_where_it_is_not_known_what_is(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry())
    Path(ledger.folder, "bb" + SUFFIX).write_bytes(b"")
    with pytest.raises(Unreachable, match=r"is not known, so nothing was broken: .*bb\.fault\.json is not what chaos writes"):
        chaos_faults.active_at(LocalSite(cluster_in(tmp_path)))


# --- what cannot be noted ------------------------------------------------------------------------------------------------


def test_a_note_that_was_torn_is_left_out_and_the_next_one_begins_a_line(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry())
    ledger.note("begun", entry())
    log = Path(ledger.folder, LOG)
    for torn in (b'{"unix_ms":1,"ev', b'{"unix_ms":1,"trouble":"a}', b'{"unix_ms":1,"event":"healed"}', b"\xff}", b"[]"):
        log.write_bytes(log.read_bytes() + torn)
        ledger.note("healed", entry())
    assert [note["event"] for note in ledger.notes(9)] == ["begun", *["healed"] * 5]
    assert [note["event"] for note in ledger.notes(5)] == ["healed"] * 5


def test_who_wants_no_notes_gets_none(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry())
    ledger.note("begun", entry())
    assert ledger.notes(0) == []


# --- what cannot be undone as the cluster is stopped ---------------------------------------------------------------------


def test_who_is_no_voter_when_the_cluster_is_stopped_is_one_after_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_force: Belonging | None = None

    def change(_: LocalCluster, wanted: Belonging) -> None:
        nonlocal in_force
        in_force = wanted

    monkeypatch.setattr(clusters, "read", lambda _: cluster_in(tmp_path))
    monkeypatch.setattr(lives, "is_running", lambda _: True)
    monkeypatch.setattr(belonging, "_in_force", lambda _: in_force)
    monkeypatch.setattr(belonging, "_ask_for", change)
    monkeypatch.setattr(belonging, "TAKES_SECONDS_MAX", 0.2)
    monkeypatch.setattr(reapers, "ensure", lambda _: None)
    both = [msgspec.structs.replace(entry(name, fault=DEMOTE), undo=msgspec.json.encode(DEMOTED).decode()) for name in ("aa", "ab")]
    ledger = written(tmp_path, both[0])
    ledger.add(both[1])
    with paused() as (pid, mark):
        ledger.add(entry("bb", pid=pid, mark=mark))
        left = undo.drop(ledger)
    assert left == ["demote n1: the members do not agree on who belongs to the cluster"] * 2
    assert [one.id for one in ledger.entries()] == ["aa", "ab"]
    reaper = Reaper(ledger, "a")
    assert not reaper.turn(), "it tries what nobody can undo while the members are down"
    in_force = belonging.broken(DEMOTE, DEMOTED, WHOLE)
    reapers.resume(ledger)
    assert is_soon(lambda: has_healed(reaper, ledger, both[0]) and has_healed(reaper, ledger, both[1]))
    assert in_force.voters == WHOLE.voters


def test_members_that_are_all_gone_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "read", lambda _: cluster_in(tmp_path, runs=False))
    one = msgspec.structs.replace(entry(fault=DEMOTE), undo=msgspec.json.encode(DEMOTED).decode())
    assert undo.drop(written(tmp_path, one)) == ["demote n1: none of the members runs that would agree on who belongs to the cluster"]


def test_what_fails_to_be_undone_as_the_cluster_is_stopped_stays_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(seams, "drop", drop)
    slow = entry(fault="slow-fsync")
    ledger = written(tmp_path, slow)
    ledger.add(entry("bb"))
    (left,) = undo.drop(ledger)
    assert left == "slow-fsync n1: [Errno 5] Input/output error"
    ((kept,),) = (ledger.entries(),)
    assert (kept.id, kept.is_due(), kept.awaits_start) == ("aa", True, False)


def test_who_was_brought_by_a_fault_is_known_by_name() -> None:
    newcomer = Newcomer(name="n1-aa", member=9, address="a:9")
    added = msgspec.structs.replace(entry(fault="add"), undo=msgspec.json.encode(Undo(member=1, contact="a:1", newcomer=newcomer)).decode())
    assert belonging.newcomers_of([entry(), added, entry(fault="replace")]) == ["n1-aa"]


# --- two faults of one member --------------------------------------------------------------------------------------------


def starts_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    started: list[str] = []

    def start_one(_: LocalCluster, member: LocalMember) -> object:
        started.append(member.name)
        raise fleet.Failed("it is only seen that it would be started")

    monkeypatch.setattr(clusters, "read", lambda _: cluster_in(folder, runs=False))
    monkeypatch.setattr(fleet, "start_one", start_one)
    return started


def start(folder: Path, ledger: Ledger, one: Entry) -> None:
    with suppress(fleet.Failed):
        Kept(str(folder)).start(ledger, one)


def test_a_heal_leaves_a_member_down_that_another_fault_keeps_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = starts_of(tmp_path, monkeypatch)
    rot, kill = entry("aa", fault="rot"), entry("bb", fault="kill")
    ledger = written(tmp_path, rot)
    ledger.add(kill)
    ledger.end_now(rot)
    start(tmp_path, ledger, rot)
    assert started == []
    assert seams.is_cured(ledger, rot), "it waits for a member that is to be down"
    ledger.end_now(kill)
    start(tmp_path, ledger, rot)
    assert started == ["n1"]
    start(tmp_path, ledger, kill)
    assert started == ["n1", "n1"]


def test_who_ends_a_fault_starts_a_member_that_only_this_one_kept_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = starts_of(tmp_path, monkeypatch)
    kill = entry("bb", fault="kill")
    ledger = written(tmp_path, kill)
    ledger.add(msgspec.structs.replace(entry("cc", fault="kill"), member="n2"))
    start(tmp_path, ledger, kill)
    assert started == ["n1"]
