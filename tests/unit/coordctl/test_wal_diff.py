"""`wal diff`: the first index at which logs differ, what that means, and who is right."""

import json
from pathlib import Path

import msgspec
import pytest

from coordctl.commands import wal
from coordctl.logs.replicated import Log, compare, first_difference
from coordctl.operations import wal as operations
from coordctl.operations.folders import Folder
from coordctl.results.wal import WalDiff
from coordnode.ids import ClusterId, Index, MemberId, Term, WriteId
from coordnode.raft.entry import Config, Entry, HardState, SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.services.commands import Command, Put, encode, splice_batch
from coordnode.storage.block import Identity
from coordnode.storage.disk import RealDisk
from coordnode.storage.record import link_chain
from coordnode.storage.recovery import Genesis, create_folder, open_folder
from coordnode.storage.wal import Settings

SETTINGS = Settings(segment_bytes=64 * 1024, spares_max=1, free_bytes_min=0)


def put(value: str) -> bytes:
    command = Command(0, 0, 0, "", Put(b"color", value.encode()))  # type: ignore[arg-type]
    return splice_batch(1, 2, [encode(command)])


def log(label: str, *entries: tuple[int, int], base: int = 0, base_chain: int = 0, snapshot: int = 0) -> Log:
    """(term, crc of the data) for each."""
    found = Log(label, base, base_chain, snapshot_index=snapshot)
    chain = base_chain
    for index, (term, crc) in enumerate(entries, base + 1):
        chain = link_chain(chain, term, index, 0, crc)
        found.append(index, term, chain)
    return found


def told(*logs: Log) -> tuple[int, list[str]]:
    found = compare(list(logs))
    return found.first, [verdict.what for verdict in found.verdicts]


SAME = [(1, number) for number in range(1, 1_001)]


def test_twenty_probes_find_the_first_of_a_million() -> None:
    one, other = log("n1", *[(1, 0)] * 1_000_000), log("n2", *[(1, 0)] * 777_776, (1, 1), *[(1, 0)] * 222_223)
    found = first_difference(one, other)
    assert found is not None
    assert found.at == 777_777
    assert found.probes <= 23


@pytest.mark.parametrize("at", [1, 2, 500, 999, 1_000])
def test_the_first_difference_is_found_wherever_it_is(at: int) -> None:
    other = [*SAME[: at - 1], (1, 9_999), *SAME[at:]]
    assert told(log("n1", *SAME), log("n2", *SAME), log("n3", *other)) == (at, ["equal", "equal", "corruption"])


def test_a_tail_of_a_leader_that_nobody_followed_is_legal() -> None:
    tail = [*SAME[:900], *[(1, 5_000 + number) for number in range(20)]]
    newer = [*SAME[:900], *[(2, number) for number in range(50)]]
    assert told(log("n1", *newer), log("n2", *newer), log("n3", *tail)) == (901, ["equal", "equal", "uncommitted tail"])
    applied = log("n3", *tail, snapshot=905)
    assert told(log("n1", *newer), log("n2", *newer), applied) == (901, ["equal", "equal", "diverged"])


def test_shorter_is_not_different() -> None:
    assert told(log("n1", *SAME), log("n2", *SAME[:10]), log("n3", *SAME)) == (0, ["equal", "behind", "equal"])


def test_what_a_snapshot_has_cut_is_compared_where_both_have_something() -> None:
    whole = log("n1", *SAME)
    cut = log("n2", *SAME[400:], base=400, base_chain=whole.chain_at(400))
    assert told(whole, cut, log("n3", *SAME)) == (0, ["equal", "equal", "equal"])
    other = log("n2", *SAME[400:], base=400, base_chain=12_345)
    assert told(whole, other, log("n3", *SAME)) == (400, ["equal", "diverged", "equal"])
    assert told(log("n1", *SAME[:300]), cut)[1] == ["cut by a snapshot"] * 2


def test_without_a_majority_nobody_is_right() -> None:
    found = compare([log("n1", *SAME), log("n2", *SAME[:9], (2, 1))])
    assert not found.majority
    assert [verdict.is_right for verdict in found.verdicts] == [False, False]


def test_what_two_leaders_in_turn_could_not_commit_is_legal_though_no_majority_has_either() -> None:
    """And n3 has heard of neither."""
    one, other = log("n1", *SAME[:100], (3, 1), snapshot=90), log("n2", *SAME[:100], (4, 1), snapshot=90)
    behind = log("n3", *SAME[:100], snapshot=90)
    assert told(one, other, behind) == (101, ["uncommitted tail", "uncommitted tail", "behind"])
    other.snapshot_index = 101
    assert told(one, other, behind) == (101, ["uncommitted tail", "diverged", "behind"])
    same_term = log("n2", *SAME[:100], (3, 2), snapshot=90)
    assert told(one, same_term, behind) == (101, ["corruption", "corruption", "behind"])


# --- real folders ----------------------------------------------------------------------------------------------------


def folder(path: Path, member: int, entries: list[Entry], undone: int = 0, then: list[Entry] | None = None) -> str:
    identity = Identity(ClusterId(77), MemberId(member))
    disk = RealDisk(str(path))
    disk.make_root()
    meta = SnapshotMeta(Index(0), Term(0), MemberId(5), 0, Config((MemberId(1), MemberId(2), MemberId(3))), Index(0))
    create_folder(disk, identity, Genesis(meta, [b"genesis"]), SETTINGS)
    found = open_folder(disk, identity, SETTINGS)
    hard_state = HardState(Term(9), MemberId(member), found.hard_state.boot, False)
    found.wal.commit([Write(WriteId(1), hard_state, None, Index(0), entries, [], entries[-1].term, entries[-1].index)])
    if then:
        found.wal.commit([Write(WriteId(2), None, None, Index(undone), then, [], then[-1].term, then[-1].index)])
    found.wal.idle()
    found.wal.close()
    disk.unlock()
    return str(path)


def entries(*values: str, term: int = 1, first: int = 1) -> list[Entry]:
    return [Entry(Term(term), Index(index), 0, put(value)) for index, value in enumerate(values, first)]


def diffed(capsys: pytest.CaptureFixture[str], code: int, *folders: str) -> WalDiff:
    assert wal.main(["diff", *folders, "-o", "json"]) == code
    return msgspec.json.decode(capsys.readouterr().out, type=WalDiff)


def test_both_sides_are_decoded_and_the_majority_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [folder(tmp_path / name, number, entries("a", "b", "c")) for number, name in enumerate(("n1", "n2"), 1)]
    folders.append(folder(tmp_path / "n3", 3, entries("a", "X", "c")))
    found = diffed(capsys, 2, *folders)
    assert (found.first_difference, found.outcome, found.has_majority) == (2, "broken", True)
    assert [side.verdict for side in found.sides] == ["equal", "equal", "corruption"]
    assert ["value b" in found.sides[0].entry[0], "value X" in found.sides[2].entry[0]] == [True, True]
    assert wal.main(["diff", *folders]) == 2
    shown = capsys.readouterr().out
    assert "BROKEN  first difference at index 2; the majority says which is right" in shown
    assert "at 2: Put: key color, value X" in shown


def test_what_was_undone_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = folder(tmp_path / "n1", 1, [*entries("a", "b"), *entries("c", term=2, first=3)])
    other = folder(tmp_path / "n2", 2, entries("a", "b", "lost", "lost too"), undone=3, then=entries("c", term=2, first=3))
    found = diffed(capsys, 0, one, other)
    assert (found.first_difference, [side.last_index for side in found.sides]) == (None, [3, 3])
    tail = folder(tmp_path / "n3", 3, entries("a", "b", "lost", "lost too"))
    assert diffed(capsys, 1, one, tail).has_majority is False
    found = diffed(capsys, 1, one, other, tail)
    assert (found.first_difference, found.sides[2].verdict) == (3, "uncommitted tail")


def test_damage_and_strangers_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [folder(tmp_path / name, number, entries("a", "b", "c")) for number, name in enumerate(("n1", "n2"), 1)]
    (segment,) = [path for path in (tmp_path / "n2" / "wal").glob("*.seg") if put("b") in path.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(put("b"), put("Y")))
    found = diffed(capsys, 2, *folders)
    assert found.sides[1].damages
    (tmp_path / "empty").mkdir()
    found = diffed(capsys, 3, folders[0], str(tmp_path / "empty"))
    assert (found.sides[1].verdict, found.outcome) == ("unreadable", "unknown")
    assert wal.main(["diff", folders[0]]) == 64
    assert "at least two" in capsys.readouterr().err


def test_copies_are_called_as_where_they_came_from_and_what_could_not_be_had_is_a_side_that_nobody_can_read(tmp_path: Path) -> None:
    there, other = folder(tmp_path / "a", 1, entries("a", "b")), folder(tmp_path / "b", 2, entries("a", "b"))
    rotten = next((tmp_path / "b" / "wal").iterdir())
    data = bytearray(rotten.read_bytes())
    data[8] ^= 1
    rotten.write_bytes(data)
    found = operations.diff([Folder(there, "n1:/data"), Folder(other, "n2:/data"), Folder("", "n3", "it does not answer")])
    assert [side.folder for side in found.sides] == ["n1:/data", "n2:/data", "n3"]
    assert (found.exit_code, found.sides[2].verdict) == (2, "unreadable")
    assert "it does not answer" in found.sides[2].sentence
    assert str(tmp_path) not in msgspec.json.encode(found).decode()


def test_of_several_folders_each_is_verified_and_the_gravest_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [folder(tmp_path / name, number, entries("a")) for number, name in enumerate(("n1", "n2"), 1)]
    assert wal.main(["verify", *folders, "-o", "json"]) == 0
    assert [json.loads(line)["member"] for line in capsys.readouterr().out.splitlines()] == [1, 2]
    (tmp_path / "stranger").mkdir()
    assert wal.main(["verify", str(tmp_path / "stranger"), folders[0]]) == 3
    assert "stranger" in capsys.readouterr().err
    (tmp_path / "n2" / "mark").write_bytes(b"rot")
    assert wal.main(["verify", str(tmp_path / "stranger"), *folders]) == 2
