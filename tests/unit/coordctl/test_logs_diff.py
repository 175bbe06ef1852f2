"""`logs diff` on logs of clusters that never ran: the cause comes first, what follows hangs below it, and nothing spoils the input."""

import gzip
import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from coordctl.logs import files
from coordctl.operations import logs
from coordctl.operations.windows import Asked, when
from coordctl.results.logs import LogFinding, LogsDiff
from coordnode.errors import BadRequest
from tests.unit.coordctl.log_scene import IDS, START_MS, Scene

SINCE = Asked(since_seconds=40)


def diffed(place: Path, asked: Asked = SINCE, **options: list[str]) -> LogsDiff:
    return logs.diff([str(place)], None, asked, **options)


def top(found: LogsDiff) -> LogFinding:
    assert found.findings, found
    return found.findings[0]


def test_a_healthy_cluster_has_no_difference(tmp_path: Path) -> None:
    found = diffed(Scene(5).write(tmp_path))
    assert (found.outcome, found.exit_code, found.findings, found.troubles) == ("no difference", 0, [], [])
    assert [member.name for member in found.members] == ["n1", "n2", "n3", "n4", "n5"]


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_leader_comes_first_and_the_election_hangs_below_it(tmp_path: Path, seed: int) -> None:
    scene = Scene(3, seed=seed)
    scene.kill("n1", 100)
    found = diffed(scene.write(tmp_path))
    assert (top(found).member, top(found).what) == ("n1", "silent")
    assert len(found.findings) == 1
    below = {(sign.member, sign.kind) for sign in top(found).consequences}
    assert {("n2", "peer_lost"), ("n3", "peer_lost"), ("n2", "elected"), ("n3", "role")} <= below
    assert found.exit_code == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_disk_comes_before_the_thousand_lines_that_follow_from_it(tmp_path: Path, seed: int) -> None:
    scene = Scene(5, seed=seed)
    scene.slow_disk("n4", 95, 120, 88.0)
    for number in range(1_000):
        scene.tell(
            97 + number / 50, "n1", "slow_commit", total_ms=180, queue_ms=0, wait_ms=1, fsync_ms=1, peers_ms={}, apply_ms=0, commit_index=1
        )
    found = diffed(scene.write(tmp_path))
    assert (top(found).member, top(found).kind) == ("n4", "pulse.sync_ms")
    assert top(found).now == 88
    assert top(found).before < 2
    assert abs(top(found).onset_ms - (START_MS + 95_000)) <= 2_000
    assert ("n1", "slow_commit") in {(sign.member, sign.kind) for sign in top(found).consequences}
    assert ("n4", "pulse.sync_ms") in {(oddity.member, oddity.kind) for oddity in found.oddities}


def test_the_order_holds_though_clocks_are_minutes_off(tmp_path: Path) -> None:
    scene = Scene(3, n1=0, n2=-140_000, n3=95_000)
    scene.slow_disk("n3", 95, 120, 88.0)
    scene.tell(100, "n2", "peer_silent", peer=IDS["n3"])
    scene.tell(100, "n1", "slow_commit", total_ms=180)
    scene.tell(101, "n1", "slow_commit", total_ms=180)
    scene.tell(102, "n1", "slow_commit", total_ms=180)
    for member in scene.members:  # commits are not seen each second only: other lines name places, too
        for number in range(100):
            scene.tell(0.5 + 1.13 * number + scene.rng.random(), member, "peer_up", "info", peer=1)
    found = diffed(scene.write(tmp_path), Asked(start="14:21:15", end="14:22:00"))
    clocks = {member.name: member for member in found.members}
    assert clocks["n2"].clock_ms is not None
    assert clocks["n3"].clock_ms is not None
    assert abs(clocks["n2"].clock_ms + 140_000) <= clocks["n2"].clock_error_ms + 60
    assert abs(clocks["n3"].clock_ms - 95_000) <= clocks["n3"].clock_error_ms + 60
    assert (top(found).member, top(found).kind) == ("n3", "pulse.sync_ms")
    assert abs(top(found).onset_ms - (START_MS + 95_000)) <= 2_500


def test_a_clock_that_was_set_is_said_so(tmp_path: Path) -> None:
    scene = Scene(3)
    lines = {member: scene.lines(member) for member in scene.members}
    moved = [json.loads(line) for line in lines["n2"]]
    for record in moved[100:]:
        record["at"] = record["at"].replace("T14:21:", "T14:26:")
    (tmp_path / "n2.log").write_text("".join(json.dumps(record) + "\n" for record in moved))
    for member in ("n1", "n3"):
        (tmp_path / f"{member}.log").write_bytes(b"".join(lines[member]))
    found = diffed(tmp_path, Asked(start="14:21:00", end="14:27:00"))
    assert ("n2", "clock set", 300_000) in {(finding.member, finding.what, round(finding.now, -2)) for finding in found.findings}


def test_what_ceased_is_missed(tmp_path: Path) -> None:
    scene = Scene(3)
    for second in range(75):
        scene.tell(second, "n2", "snapshot", "info", of_index=1, took_ms=3)
    found = diffed(scene.write(tmp_path))
    assert ("n2", "snapshot", "fewer", 0) in {(finding.member, finding.kind, finding.what, finding.now) for finding in found.findings}


def test_two_runs_are_compared_by_names(tmp_path: Path) -> None:
    healthy = Scene(3, seed=1).write(tmp_path / "healthy")
    scene = Scene(3, seed=2)
    scene.slow_disk("n2", 10, 120, 60)
    found = diffed(scene.write(tmp_path / "slow"), Asked(), against=[str(healthy)])
    assert (top(found).member, top(found).kind) == ("n2", "pulse.sync_ms")
    assert found.compared_with.startswith("another run")
    assert diffed(Scene(3, seed=3).write(tmp_path / "same"), Asked(), against=[str(healthy)]).findings == []


def test_etcds_own_lines(tmp_path: Path) -> None:
    for name in ("e1", "e2", "e3"):
        lines = []
        for second in range(200):
            at = f"2026-11-28T12:{second // 60:02d}:{second % 60:02d}.5Z"
            lines.append({"level": "info", "ts": at, "msg": f"compacted revision {second}", "took": "1.5ms"})
            if name == "e2" and second >= 170:
                lines.append({"level": "warn", "ts": at, "msg": "slow fdatasync", "took": "1.4s"})
            if name == "e1" and second >= 175:
                lines += [{"level": "warn", "ts": at, "msg": "apply request took too long", "took": "800ms"}] * 20
        (tmp_path / f"{name}.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = diffed(tmp_path)
    assert found.first is not None
    assert (found.first.member, found.first.kind) == ("e2", "slow fdatasync")
    assert all(member.clock_ms is None for member in found.members)


# --- bad input -------------------------------------------------------------------------------------------------------


def spoilt(folder: Path) -> None:
    """Every file in another way; what is told of n1's end must come through all the same."""
    rng = random.Random(1)
    n1, n2, n3, n4, n5 = (folder / f"{name}.log" for name in IDS)
    lines = n1.read_bytes().splitlines(keepends=True)
    n1.write_bytes(b"".join(lines[60:])[:-40])  # rotated in the middle, and cut off at the end
    (folder / "n1.log.1.gz").write_bytes(gzip.compress(b"".join(lines[:60])))
    lines = n2.read_bytes().splitlines(keepends=True)
    lines[30] = lines[30][:50] + lines[31]  # one written into the other
    lines.insert(50, rng.randbytes(3_000).replace(b"\n", b""))
    n2.write_bytes(b"".join(lines) + bytes(4_096))  # what a crash leaves of a file
    n3.write_bytes(n3.read_bytes() + b"Traceback (most recent call last):\n  File 'x', line 1\n")
    packed = gzip.compress(n4.read_bytes())
    (folder / "n4.log.gz").write_bytes(packed[: len(packed) * 9 // 10])
    n4.unlink()
    n5.unlink()


def test_spoilt_logs_are_used_as_far_as_they_go_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    scene = Scene(5)
    scene.kill("n1", 100)
    scene.tell(1, "n2", "config", "info", voters=list(IDS.values()), outgoing=[], learners=[])
    spoilt(scene.write(tmp_path))
    found = diffed(tmp_path, Asked(start="14:21:20", end="14:22:00"))
    assert (top(found).member, top(found).what) == ("n1", "silent")
    told = {(Path(trouble.source).name, trouble.what.partition(":")[0]) for trouble in found.troubles}
    assert {("n1.log", "cut off"), ("n2.log", "damaged"), ("n2.log", "binary"), ("n4.log.gz", "cut off")} <= told
    assert found.missing == [f"member {IDS['n5']}"]
    assert found.lines > 300


@pytest.mark.parametrize("content", [b"", b"\0" * 5_000, b"no times here\n" * 100, bytes(range(256)) * 40, b"{" * 10_000, b"[" * 100_000])
def test_what_is_no_log_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n1.log").write_bytes(content)
    with pytest.raises(BadRequest):
        diffed(tmp_path)


def test_a_pipe_among_the_files_is_not_waited_for(tmp_path: Path) -> None:
    Scene(3, 30).write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert [(Path(trouble.source).name, trouble.what) for trouble in diffed(tmp_path).troubles] == [("pipe", "is no file")]


def test_random_bytes_among_lines_never_raise(tmp_path: Path) -> None:
    data = b"".join(Scene(1).lines("n1"))
    rng = random.Random(7)
    for number in range(60):
        spoiled = bytearray(data)
        for _ in range(rng.randrange(1, 200)):
            place = rng.randrange(len(spoiled))
            spoiled[place : place + rng.randrange(4)] = rng.randbytes(rng.randrange(5))
        (tmp_path / "n1.log").write_bytes(spoiled)
        assert diffed(tmp_path, Asked(start="2000-01-01T00:00Z", end="2100-01-01T00:00Z")).lines > 10, number


def test_a_bundle_is_unpacked_nowhere_but_where_it_should_be(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.kill("n1", 100)
    logs_folder = scene.write(tmp_path / "logs")
    bundle = tmp_path / "b.tar.gz"
    with tarfile.open(bundle, "w:gz") as archive:
        archive.add(logs_folder / "n1.log", "../../../n1/n1.log")
        archive.add(logs_folder / "n2.log", "/n2/n2.log")
        archive.add(logs_folder / "n3.log", "n3/n3.log")
    found = diffed(bundle)
    assert top(found).member == "n1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "logs"]
    bundle.write_bytes(bundle.read_bytes()[:-300])
    assert any("cut off or damaged" in trouble.what for trouble in diffed(bundle).troubles)


def test_files_are_called_after_their_members() -> None:
    places = ("a/n1.log", "a/n1.log.1", "a/n1.log.2.gz", "a/n1-20261128.gz", "x/n1/flight.log.1", "n1/etcd.log")
    assert {files.label_of(place) for place in places} == {"n1"}


def test_a_line_that_is_longer_than_a_block_and_pieces_that_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n1.log"
    lines = [b"%d " % number + b"x" * (number * 37 % 900) for number in range(500)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    monkeypatch.setattr(files, "BLOCK_BYTES", 256)
    with path.open("rb") as file:
        for size in (1, 100, 1_000, 77_777):
            found: list[bytes] = []
            start = 0
            while start < path.stat().st_size:
                stop = min(path.stat().st_size, files.line_start(file, start + size))
                found += [raw for _, raw in files.lines_of(file, start, stop)]
                start = stop
            assert found == lines, size


# --- windows ---------------------------------------------------------------------------------------------------------


def test_times_of_the_day_are_of_the_last_day_that_fits() -> None:
    newest = 1_795_867_200_000  # 2026-11-28T12:00:00Z
    assert when("11:59", newest) == newest - 60_000
    assert when("12:00:30", newest) == newest + 30_000
    assert when("13:00", newest) == newest - 23 * 3_600_000
    assert when("2026-11-28T11:00:00.5Z", newest) == newest - 3_600_000 + 500
    for wrong in ("noon", "25:00", "1200", "2026-13-01T00:00", "2026-00-01T00:00", "2026-02-30T00:00", "2026-02-00T00:00"):
        with pytest.raises(BadRequest):
            when(wrong, newest)


def test_windows_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    place = Scene(1, 30).write(tmp_path)
    for asked in (Asked(5, start="14:20"), Asked(start="14:21", end="14:20"), Asked(baseline="14:20"), Asked(baseline="14:21..14:20")):
        with pytest.raises(BadRequest):
            diffed(place, asked)
