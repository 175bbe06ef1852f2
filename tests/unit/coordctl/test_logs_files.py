"""What log files are after accidents: zeros, stretches without times, odd times. Where they begin and end is found all the same."""

import os
import time
from pathlib import Path

import pytest

from coordctl.logs import align, files
from coordctl.logs.bounds import bounds
from coordctl.operations import collecting, explaining, lines, logs
from coordctl.operations.windows import Asked
from coordctl.results.logs import LogsExplained
from tests.unit.coordctl.log_scene import IDS, START_MS, Scene, utc

NO_END = b"\0" * 100_000  # what a power cut leaves


def test_a_log_that_ends_in_zeros_without_an_end_of_line_is_read_to_its_last_line(tmp_path: Path) -> None:
    place = Scene(3, 60).write(tmp_path)
    with (place / "n2.log").open("ab") as file:
        file.write(NO_END)
    oldest_ms, newest_ms = bounds(files.find([str(place)]).sources)[:2]
    assert oldest_ms == START_MS
    assert START_MS + 59_000 <= newest_ms < START_MS + 60_000
    with (place / "n2.log").open("rb") as log:
        size = log.seek(0, 2)
        assert files.line_start(log, size - 50_000) == size


TRACE = b"    at org.example.Worker.run(Worker.java:117) [worker.jar:1.0.2]\n"


@pytest.mark.parametrize("tail", [TRACE * 1_200, NO_END + b"\n", b"x" * 100_000 + b"\n"], ids=["trace", "zeros", "one long line"])
def test_the_newest_line_is_found_however_much_without_a_time_stands_behind_it(tail: bytes, tmp_path: Path) -> None:
    place = Scene(1, 60).write(tmp_path)
    with (place / "n1.log").open("ab") as file:
        file.write(tail)
    assert START_MS + 59_000 <= bounds(files.find([str(place)]).sources).newest_ms < START_MS + 60_000


def test_what_is_behind_a_stretch_without_times_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a search by halves comes upon it."""
    monkeypatch.setattr(files, "BLOCK_BYTES", 16 * 1024)
    scene = Scene(3, 900)
    scene.slow_disk("n3", 700, 900, 300)
    place = scene.write(tmp_path)
    path = place / "n3.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:480], TRACE * 700, *lines[480:]]))
    found = explaining.explained([str(place)], None, Asked(start="14:31", end="14:35"))
    assert [(one.cause, one.members) for one in found.hypotheses] == [("slow disk", ["n3"])]


@pytest.mark.parametrize("before", [b"\0" * 4_000, b'{"at":"2026-11-28T14:', b'{"at":"2026-11' + b"\0" * 600, b'"peer":3,"rea'])
def test_what_is_glued_to_what_a_power_cut_left_is_shown_and_counted(before: bytes, tmp_path: Path) -> None:
    scene = Scene(1, 60)
    scene.started("n1", 30)
    scene.silent("n1", 20, 30)
    path = scene.write(tmp_path) / "n1.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(before + line if b'"boot":2' in line else line for line in lines))
    found = files.find([str(path)])
    told = [one.line.kind for one in files.told(found, START_MS + 25_000, START_MS + 32_000)]
    assert told.count("started") == 1
    assert [act.kind for act in files.mine(found, START_MS + 25_000, START_MS + 32_000).summary.acts].count("started") == 1


# --- times that are odd ----------------------------------------------------------------------------------------------


def slow(folder: Path, **skew_ms: int) -> Path:
    """The third one's disk, for the last minutes."""
    scene = Scene(3, 900, **skew_ms)
    scene.slow_disk("n3", 700, 900, 300)
    return scene.write(folder)


@pytest.mark.parametrize("hours", [30 * 24, 2, -2, -30 * 24])
def test_a_clock_that_is_hours_off_hides_nobody_elses_trouble_and_is_named(hours: int, tmp_path: Path) -> None:
    found = explaining.explained([str(slow(tmp_path, n2=hours * 3_600_000))], None, Asked())
    assert found.hypotheses[0].cause == "slow disk"
    assert found.hypotheses[0].members == ["n3"]
    assert {(one.cause, *one.members) for one in found.hypotheses[1:]} == {("clock", "n2")}
    [trouble] = found.troubles
    assert trouble.source == "n2"
    assert f"ends {abs(hours):.1f} h {'after' if hours > 0 else 'before'} the others' logs" in trouble.what


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("app.log", b'{"ts":"9999-12-31T23:59:59Z","msg":"the certificate ends"}\n'),
        ("app.log", b'{"ts":1e300,"msg":"for ever"}\n'),
        ("app.log", b"0001-01-01T00:00:00Z nothing yet\n"),
        ("host/kernel.log", b"Dec 31 23:59:59 db1 kernel: usb 1-1: new device\n"),
    ],
)
def test_a_line_of_no_time_that_can_be_moves_no_window(name: str, line: bytes, tmp_path: Path) -> None:
    place = slow(tmp_path)
    path = place / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(f"{utc(START_MS)} db1 begins\n".encode() + line)
    os.utime(path, (START_MS / 1_000, START_MS / 1_000))
    found = explaining.explained([str(place)], None, Asked())
    assert [(one.cause, one.members) for one in found.hypotheses] == [("slow disk", ["n3"])]


def test_a_member_without_a_line_in_the_window_is_missing_and_nothing_is_called_normal(tmp_path: Path) -> None:
    scene = Scene(3, 900)
    scene.silent("n2", 100, 1e9)
    found = explaining.explained([str(scene.write(tmp_path))], None, Asked(since_seconds=300))
    assert (found.outcome, found.exit_code, found.missing) == ("unknown", 3, ["n2"])


def test_who_speaks_alone_long_after_most_is_no_proof_that_all_is_well(tmp_path: Path) -> None:
    scene = Scene(3, 120)
    place = scene.write(tmp_path)
    later = Scene(1, 120, n1=5 * 3_600_000)
    with (place / "n1.log").open("ab") as file:
        file.writelines(later.lines("n1"))
    found = explaining.explained([str(place)], None, Asked())
    assert (found.outcome, found.exit_code) == ("unknown", 3)
    assert [one.source for one in found.troubles if "after the others" in one.what] == ["n1"]


def test_what_hosts_say_is_no_line_of_a_member(tmp_path: Path) -> None:
    for member in ("n1", "n2", "n3"):
        host = tmp_path / f"{member}-host"
        host.mkdir()
        (host / "kernel.log").write_text("".join(f"{utc(START_MS + 1_000 * second)} db1 kernel: a device\n" for second in range(60)))
    found = explaining.explained([str(tmp_path)], None, Asked())
    assert (found.outcome, found.exit_code) == ("unknown", 3)


# --- when most are gone ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two are gone for more than an hour, and the third one says so."""
    scene = Scene(3, 4_200)
    for member in ("n1", "n2"):
        scene.silent(member, 300, 1e9)
        scene.tell(300.1, "n3", "peer_lost", peer=IDS[member], reason="connection reset")
        scene.tell(301, "n3", "peer_silent", peer=IDS[member])
    scene.tell(4_190, "n3", "bug", "error", error="needle", trace="")
    return scene.write(tmp_path_factory.mktemp("survived"))


KILLED = [("member killed", "n1"), ("member killed", "n2")]


def causes(found: LogsExplained) -> list[tuple[str, ...]]:
    return sorted((one.cause, *one.members) for one in found.hypotheses if one.cause == "member killed")


def test_the_log_of_who_is_left_is_read_to_its_end_and_says_who_is_gone(survived: Path) -> None:
    found = explaining.explained([str(survived)], None, Asked(since_seconds=4_100))
    assert (causes(found), found.exit_code) == (KILLED, 1)
    assert found.window.to_ms > START_MS + 4_199_000


@pytest.mark.parametrize("now_ms", [START_MS + 4_200_500, START_MS + 4_199_000], ids=["just after", "its clock is a little ahead"])
def test_of_hosts_whoever_is_left_is_read_to_its_end(survived: Path, now_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: now_ms * 1_000_000)
    clocks = align.of_hosts({"n1": 0, "n2": 0, "n3": 0})
    of_hosts = logs.Gathered(files.find([str(survived)]), ["n1", "n2", "n3"], clocks=clocks)
    found = explaining._explained(of_hosts, Asked(since_seconds=4_100), files.no_progress)
    assert (causes(found), found.exit_code) == (KILLED, 1)
    assert now_ms - 2_000 < found.window.to_ms <= now_ms + 1


def test_who_is_left_is_searched_to_its_end(survived: Path) -> None:
    with logs.gathered([str(survived)], None) as found:
        assert len(list(lines.search(found, Asked(since_seconds=1_200), lines.Wanted("needle")))) == 1


def test_who_is_left_is_collected_to_its_end(survived: Path, tmp_path: Path) -> None:
    made = collecting.collect([str(survived)], None, Asked(since_seconds=1_200), str(tmp_path / "b.tar.gz"), with_facts=False)
    [kept] = [one for one in made.files if one.name == "n3/n3.log"]
    assert kept.to_ms is not None
    assert kept.to_ms > START_MS + 4_199_000


def test_whose_clock_is_hours_ahead_is_collected_by_it(tmp_path: Path) -> None:
    place = slow(tmp_path, n2=5 * 3_600_000)
    made = collecting.collect([str(place)], None, Asked(), str(tmp_path / "b.tar.gz"), with_facts=False)
    whole = {one.name: one.to_ms for one in made.files}
    assert {name: to_ms // 1_000 for name, to_ms in whole.items() if to_ms} == {
        "n1/n1.log": START_MS // 1_000 + 899,
        "n2/n2.log": START_MS // 1_000 + 5 * 3_600 + 899,
        "n3/n3.log": START_MS // 1_000 + 899,
    }
    assert made.missing == []


def test_what_a_bundle_leaves_out_is_named_in_it(tmp_path: Path) -> None:
    place = slow(tmp_path / "logs")
    (place / "app.log").write_text(f"{utc(START_MS + 890_000)} begins\n{utc(START_MS + 9_000_000)} goes on\n")
    made = collecting.collect([str(place)], None, Asked(), str(tmp_path / "b.tar.gz"), with_facts=False)
    [missing] = made.missing
    assert missing.what.endswith("app.log")
    assert "2.3 h later than the members' logs" in missing.why
    assert made.outcome == "partial"


@pytest.mark.parametrize(
    ("line", "count", "kept", "cut"),
    [(TRACE, 3_000, 1_000, 2_000), (b"x" * 100_000 + b"\n", 30, 10, 20)],
    ids=["many lines", "long lines"],
)
def test_of_what_stands_behind_a_line_without_a_time_so_much_is_told_and_that_it_is_cut(
    line: bytes, count: int, kept: int, cut: int, tmp_path: Path
) -> None:
    (tmp_path / "n1.log").write_bytes(b"2026-11-30T10:00:00.000Z INFO start\n" + line * count + b"2026-11-30T10:00:01.000Z INFO on\n")
    first, second = files.told(files.find([str(tmp_path)]), 0, files.EVER_MS)
    assert first.raw.split(b"\n")[1:] == [line[:-1]] * kept + [b"... cut: %d more lines without a time" % cut]
    assert second.raw.endswith(b"INFO on")


def test_the_first_line_of_a_file_that_begins_with_a_mark_of_its_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "n1.log").write_bytes(b"\xef\xbb\xbf2026-11-30T10:00:00.000Z INFO start\n")
    found = files.find([str(tmp_path)])
    (first,) = files.told(found, 0, files.EVER_MS)
    assert first.raw == b"2026-11-30T10:00:00.000Z INFO start"
    assert files.text_at(found.sources, 3) == "2026-11-30T10:00:00.000Z INFO start"
