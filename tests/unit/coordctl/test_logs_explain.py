"""`logs explain` on logs of clusters that never ran: each cause by its own signs, and unknown where nothing is known."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from coordctl.commands import logs as verb
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.logs import align, files
from coordctl.onhost import gather
from coordctl.operations import collecting, explaining, lines, logs
from coordctl.operations.windows import Asked
from coordctl.results.logs import LogHypothesis, LogsExplained
from tests.unit.coordctl.log_scene import IDS, START_MS, Scene, utc

SINCE = Asked(since_seconds=40)


def explained(place: Path, asked: Asked = SINCE) -> LogsExplained:
    return explaining.explained([str(place)], None, asked)


def first(scene: Scene, folder: Path) -> LogHypothesis:
    found = explained(scene.write(folder))
    assert found.hypotheses, found
    assert all(one.evidence for one in found.hypotheses)
    return found.hypotheses[0]


def test_a_healthy_cluster_is_normal(tmp_path: Path) -> None:
    for seed in range(5):
        found = explained(Scene(5, seed=seed).write(tmp_path / str(seed)))
        assert (found.outcome, found.exit_code, found.hypotheses, found.unexplained) == ("normal", 0, [], []), found
        assert len(found.ruled_out) >= 8


def killed(scene: Scene) -> tuple[str, str]:
    scene.kill("n1", 100)
    return "member killed", "n1"


def killed_and_back(scene: Scene) -> tuple[str, str]:
    scene.kill("n2", 100, 103)
    return "member killed", "n2"


def paused(scene: Scene) -> tuple[str, str]:
    scene.silent("n2", 100, 108)
    scene.tell(103, "n1", "peer_silent", peer=IDS["n2"])
    scene.tell(108.2, "n2", "late_tick", late_ms=7_900)
    return "member paused", "n2"


def failed(scene: Scene) -> tuple[str, str]:
    scene.tell(100, "n3", "failed", "error", error="write to wal/7.seg failed: Input/output error", trace="")
    scene.kill("n3", 100.1)
    return "member failed", "n3"


def slow(scene: Scene) -> tuple[str, str]:
    scene.slow_disk("n3", 95, 120, 80)
    return "slow disk", "n3"


def full(scene: Scene) -> tuple[str, str]:
    scene.tell(100, "n2", "space_low", "error", free_bytes=1_000)
    return "disk full", "n2"


def starved(scene: Scene) -> tuple[str, str]:
    scene.set("n2", "waited_ms", 95, 120, 700)
    scene.set("n2", "sync_ms", 95, 120, 60)  # whoever does not run finds everything slow
    scene.set("n2", "pressure", 95, 120, [80.0, 0, 0])
    return "cpu taken by others", "n2"


def squeezed(scene: Scene) -> tuple[str, str]:
    press(scene, "n1", "n2", "n3")
    return "cpu taken by others", "n1 n2 n3"


def press(scene: Scene, *members: str) -> None:
    """Whoever shares the CPU fairly loses no second."""
    for member in members:
        scene.set(member, "waited_ms", 95, 110, 60)
        scene.set(member, "pressure", 95, 110, [55.0, 0, 0])


def interrupted(scene: Scene) -> tuple[str, str]:
    scene.set("n2", "late_worst_ms", 95, 105, 800)
    for second in range(95, 105):
        scene.tell(second + 0.9, "n2", "late_tick", late_ms=800)
    return "member paused", "n2"


def cut(scene: Scene) -> tuple[str, str]:
    scene.tell(100, "n1", "peer_silent", peer=IDS["n3"])
    return "cut link", "n1 n3"


def rotten(scene: Scene) -> tuple[str, str]:
    scene.started("n3", 100)
    scene.tell(100.1, "n3", "folder", report="rot in wal/1.seg at offset 4096: the record's data does not match its checksum")
    scene.tell(101, "n3", "regained", "info")
    scene.silent("n3", 97, 100)
    scene.tell(97, "n3", "leaving", "info", reason="SIGTERM")
    scene.tell(97.1, "n3", "stopped", "info", uptime_s=97)
    return "rotten record", "n3"


def other_settings(scene: Scene) -> tuple[str, str]:
    scene.tell(97, "n2", "leaving", "info", reason="SIGTERM")
    scene.tell(97.1, "n2", "stopped", "info", uptime_s=97)
    scene.silent("n2", 97.2, 100)
    scene.started("n2", 100, config_hash="deadbeef", settings={"election_ticks_min": 3})
    scene.set("n2", "config_hash", 100, 120, "deadbeef")
    return "different settings", "n2"


def surge(scene: Scene) -> tuple[str, str]:
    scene.set("n1", "connections", 95, 120, 10_000)
    return "client surge", "n1"


def flooded(scene: Scene) -> tuple[str, str]:
    """Not many clients, nor many asks: large ones."""
    scene.set("n1", "asked_kib", 95, 120, 12_000)
    for member in scene.members:
        scene.slow_disk(member, 96, 120, 70)
    return "client surge", "n1"


def differs(scene: Scene) -> tuple[str, str]:
    for member in scene.members:
        scene.set(member, "digest_index", 100, 120, 500)
        scene.set(member, "digest", 100, 120, 7 if member == "n2" else 5)
    return "states differ", "n2"


def test_of_a_cluster_that_is_here_silence_after_the_last_line_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, so that nobody is left to miss the others."""
    monkeypatch.setattr(time, "time_ns", lambda: (START_MS + 3_600_000) * 1_000_000)
    scene = Scene(3, 60)
    for member in scene.members:
        scene.silent(member, 50, 1e9)
    found = files.find([str(scene.write(tmp_path))])
    for is_here, causes in ((False, []), (True, ["member killed"] * 3)):
        told = explaining._explained(logs.Gathered(found, list(scene.members), is_here=is_here), Asked(), files.no_progress)
        assert [one.cause for one in told.hypotheses] == causes


def expired(scene: Scene) -> tuple[str, str]:
    for second, member in ((100, "n1"), (100.2, "n2")):
        scene.tell(second, member, "peer_refused", "error", peer=IDS["n3"], reason="TLS: certificate has expired")
    return "certificate", "n3"


def nameless(scene: Scene) -> tuple[str, str]:
    for second, member in ((100, "n1"), (100.2, "n3")):
        scene.tell(second, member, "peer_refused", "error", peer=IDS["n2"], reason="its name db2 is not found: no such name")
    return "name resolution", "n2"


def misled(scene: Scene) -> tuple[str, str]:
    for second, member in ((100, "n1"), (100.2, "n3")):
        scene.tell(second, member, "peer_refused", "error", peer=IDS["n2"], reason="10.0.0.2:7001 should be member 102, but it is 103")
    return "wrong address", "n2 n3"  # the one that should be there, and the one that is


def another_certificate(scene: Scene) -> tuple[str, str]:
    reason = "the certificate stands for coordnode:member:103, not for member 102"
    for second, member in ((100, "n1"), (100.2, "n3")):
        scene.tell(second, member, "peer_refused", "error", peer=IDS["n2"], reason=reason)
    return "certificate", "n2"


def without_memory(scene: Scene) -> tuple[str, str]:
    scene.tell(100, "n3", "failed", "error", error="MemoryError", trace="")
    scene.kill("n3", 100.1)
    return "out of memory", "n3"


def older(scene: Scene) -> tuple[str, str]:
    scene.tell(97, "n2", "leaving", "info", reason="SIGTERM")
    scene.tell(97.1, "n2", "stopped", "info", uptime_s=97)
    scene.silent("n2", 97.2, 100)
    scene.started("n2", 100, entries=1_500, snapshot_index=None)  # of nearly two thousand
    return "old folder", "n2"


def held_for_ever(scene: Scene) -> tuple[str, str]:
    for second in range(0, 100, 3):
        scene.set("n1", "lock_wait_ms", second, second + 1, {"nightly": 400})
    for second in range(100, 120):
        scene.set("n1", "lock_wait_ms", second, second + 1, {"nightly": 1_000 * (second - 99)})
    scene.set("n1", "lock_waiters", 0, 120, 2)
    return "lock held", "n1"


def too_fast(scene: Scene) -> tuple[str, str]:
    for second in range(100, 120):
        scene.set("n2", "uptime_ms", second, second + 1, 100_000 + 850 * (second - 100))  # by a sixth
    return "clock", "n2"


def crowded(scene: Scene) -> tuple[str, str]:
    scene.set("n2", "refused", 95, 120, 40)
    scene.set("n2", "connections", 95, 120, 500)
    return "connections full", "n2"


def far(scene: Scene) -> tuple[str, str]:
    """Though others took some CPU at that time: that is not what takes seconds."""
    scene.set("n1", "round_trip_ms", 95, 120, {str(IDS["n2"]): 2_000.0, str(IDS["n3"]): 1.0})
    scene.set("n1", "waited_ms", 95, 96, 400)
    return "slow link", "n2"


CAUSES = [
    *(killed, killed_and_back, paused, failed, slow, full, starved, squeezed, interrupted, cut, rotten, other_settings, surge, differs),
    *(expired, nameless, misled, another_certificate, without_memory, older, held_for_ever, too_fast, flooded, crowded, far),
]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_each_cause_is_told_first(cause, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for seed in range(3):
        scene = Scene(3, seed=seed)
        expected, members = cause(scene)
        found = first(scene, tmp_path / str(seed))
        assert (found.cause, " ".join(found.members)) == (expected, members), found
        assert found.confirm


def test_a_clock_that_is_off_is_told_after_what_broke(tmp_path: Path) -> None:
    scene = Scene(3, n2=-90_000)
    scene.kill("n1", 100)
    found = explained(scene.write(tmp_path), Asked(start="14:21:10", end="14:22:00"))
    assert [(one.cause, one.members) for one in found.hypotheses] == [("member killed", ["n1"]), ("clock", ["n2"])]


def test_two_faults_at_once_are_two(tmp_path: Path) -> None:
    scene = Scene(5)
    scene.kill("n1", 100)
    scene.slow_disk("n4", 90, 120, 90)
    found = explained(scene.write(tmp_path))
    assert {(one.cause, tuple(one.members)) for one in found.hypotheses} >= {("member killed", ("n1",)), ("slow disk", ("n4",))}


def test_a_member_that_was_killed_before_it_said_much_is_missed_by_the_others(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.silent("n3", 0, 200)
    scene.started("n3", 100)
    for member in ("n1", "n2"):
        scene.tell(101, member, "peer_lost", peer=IDS["n3"], reason="the other side closed it")
    found = explained(scene.write(tmp_path))
    assert [(one.cause, one.members) for one in found.hypotheses] == [("member killed", ["n3"])]


@pytest.mark.parametrize("moved", ["14:26", "14:16"])
def test_a_clock_that_is_set_takes_nobody_else_with_it(tmp_path: Path, moved: str) -> None:
    scene = Scene(3)
    folder = scene.write(tmp_path)
    lines = (folder / "n2.log").read_text().splitlines()
    (folder / "n2.log").write_text("\n".join([*lines[:100], *(line.replace("T14:21:", f"T{moved}:") for line in lines[100:])]) + "\n")
    found = explained(folder, Asked(start="14:21:20", end="14:22:00"))
    assert [(one.cause, one.members) for one in found.hypotheses] == [("clock", ["n2"])]


def test_who_was_not_run_is_not_called_slow_by_its_clock(tmp_path: Path) -> None:
    """Its first words afterwards stand where the others passed seconds ago."""
    scene = Scene(3)
    scene.index_per_second = 0
    for start in range(82, 112, 6):
        scene.silent("n1", start, start + 5)
        scene.tell(start + 5.05, "n1", "late_tick", late_ms=5_000)
        scene.new_term("n1", start + 5.2)
        for member in ("n2", "n3"):
            scene.tell(start + 1, member, "role", "info", role="follower", leader=0)
            scene.new_term(member, start + 1)
    found = explained(scene.write(tmp_path))
    assert {(one.cause, *one.members) for one in found.hypotheses} == {("member paused", "n1")}
    assert [member.clock_ms or 0 for member in found.members] == [0, 0, 0]


def test_what_every_crash_leaves_is_no_damage(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.kill("n2", 100, 103)
    scene.tell(103.1, "n2", "folder", report="torn tail behind segment 1 offset 8192: never acknowledged, carried on before what was wrote")
    found = explained(scene.write(tmp_path))
    assert [(one.cause, one.members) for one in found.hypotheses] == [("member killed", ["n2"])]


def test_a_log_that_only_ends_earlier_is_told_with_little_confidence(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.silent("n2", 100, 200)
    found = explained(scene.write(tmp_path))
    assert [(one.cause, one.members, one.confidence) for one in found.hypotheses] == [("member killed", ["n2"], "low")]


@pytest.mark.parametrize(("times", "outcome"), [(4, "normal"), (5, "unknown")])
def test_a_few_hiccups_are_normal(tmp_path: Path, times: int, outcome: str) -> None:
    scene = Scene(3)
    for number in range(times):
        scene.tell(90 + number, "n1", "slow_commit", total_ms=120)
    assert explained(scene.write(tmp_path)).outcome == outcome


def test_planned_work_is_no_fault(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.tell(100, "n1", "leaving", "info", reason="SIGTERM")
    scene.tell(100.1, "n1", "handed_over", "info", target=IDS["n2"], took_ms=3)
    scene.tell(100.2, "n1", "stopped", "info", uptime_s=100)
    scene.tell(100.15, "n2", "role", "info", role="leader", leader=IDS["n2"])
    scene.tell(100.16, "n2", "elected", "info", pre_vote_ms=0, vote_ms=1, first_commit_ms=2)
    scene.kill("n1", 100.3, 106)
    found = explained(scene.write(tmp_path))
    assert (found.outcome, found.exit_code) == ("planned", 0)
    assert all(one.is_planned for one in found.hypotheses)


@pytest.mark.parametrize("since_seconds", [20, 30], ids=["the restart was before", "of the same minute"])
@pytest.mark.parametrize(("killed", "back"), [(100.5, 103), (100.5, 1e9), (99.95, 100.56)])
def test_who_is_killed_just_after_a_restart_in_order_was_killed(killed: float, back: float, since_seconds: float, tmp_path: Path) -> None:
    scene = Scene(3)
    scene.tell(99.2, "n1", "leaving", "info", reason="SIGTERM")
    scene.tell(99.3, "n1", "stopped", "info", uptime_s=100)
    scene.started("n1", 99.7)
    scene.kill("n1", killed, back)
    found = explained(scene.write(tmp_path), Asked(since_seconds=since_seconds))
    assert ("member killed", ["n1"]) in [(one.cause, one.members) for one in found.hypotheses], found.hypotheses


def test_what_no_rule_knows_is_unknown_and_shown(tmp_path: Path) -> None:
    scene = Scene(3)
    for second in range(100, 110):
        scene.tell(second, "n2", "bug", "error", error="KeyError: 7", trace="")
    found = explained(scene.write(tmp_path))
    assert (found.outcome, found.exit_code, found.hypotheses) == ("unknown", 3, [])
    assert (found.unexplained[0].member, found.unexplained[0].kind) == ("n2", "bug")


# --- bundles -----------------------------------------------------------------------------------------------------------


def test_a_bundle_gives_the_verdict_of_the_logs_it_was_made_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(3)
    scene.slow_disk("n2", 95, 120, 80)
    scene.tell(99, "n1", "bug", "error", error="login with password=hunter2 and Authorization: Bearer abcdefghijkl", trace="")
    folder = scene.write(tmp_path / "logs")
    (folder / "n3.log").write_bytes(b"")
    live = explained(folder)
    archive = tmp_path / "b.tar.gz"
    made = collecting.collect([str(folder)], None, SINCE, str(archive), with_facts=False)
    assert (made.outcome, made.exit_code) == ("partial", 1)
    assert [(one.what.endswith("n3.log"), one.why) for one in made.missing] == [(True, "is empty")]
    assert sum(one.hidden for one in made.files) == 2
    saved = explained(archive, Asked())
    assert saved.window == live.window
    assert saved.hypotheses == live.hypotheses
    assert live.hypotheses[0].cause == "slow disk"
    assert verb.main(["search", "hunter2|abcdefghijkl", str(archive)]) == 1
    assert verb.main(["search", "login with", str(archive), "-o", "json"]) == 0
    assert "***" in capsys.readouterr().out


def test_a_screen_of_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(3)
    scene.kill("n1", 100)
    folder = scene.write(tmp_path)
    assert verb.main(["explain", str(folder), "--since", "40s"]) == 1
    shown = capsys.readouterr().out
    assert "confidence high" in shown
    assert "fix       runbooks/member-killed.md" in shown
    assert "ruled out" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert verb.main(["explain", str(folder), "--since", "40s", "-o", "json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out, type=LogsExplained)
    assert found.hypotheses[0].cause == "member killed"


# --- search and tail -----------------------------------------------------------------------------------------------------


def test_search_and_tail_are_in_the_order_of_times_and_tell_each_event_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(3, 30)
    for second in (9, 3, 6):
        scene.tell(second, f"n{second // 3}", "bug", "error", error=f"number {second}", trace="")
    folder = scene.write(tmp_path)
    (folder / "n1").mkdir()
    (folder / "n1" / "flight.log").write_bytes((folder / "n1.log").read_bytes())
    assert verb.main(["search", "number", str(folder), "-o", "json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["member"], one["kind"]) for one in found] == [("n1", "bug"), ("n2", "bug"), ("n3", "bug")]
    assert verb.main(["search", "number", str(folder), "--member", "n2"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert verb.main(["search", "nothing of the kind", str(folder)]) == 1
    assert verb.main(["search", "(", str(folder)]) == 64
    assert "no regular expression" in capsys.readouterr().err
    assert verb.main(["tail", str(folder), "-n", "2", "--level", "error"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["n2", "n3"]


def test_who_follows_hears_whole_lines_and_goes_on_when_the_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(1, 30)
    path = scene.write(tmp_path) / "n1.log"
    told = scene.lines("n1")
    path.write_bytes(b"".join(told[:5]))
    waited: list[float] = []

    def later(seconds: float) -> None:
        """What happens while it waits."""
        waited.append(seconds)
        if len(waited) == 1:
            path.write_bytes(b"".join(told[:6]) + told[6][:20])
        elif len(waited) == 2:
            path.write_bytes(b"".join(told[:7]))
        else:
            path.rename(tmp_path / "n1.log.1")
            path.write_bytes(told[7])

    monkeypatch.setattr(time, "sleep", later)
    with logs.gathered([str(path)], None) as found:
        heard = lines.tail(found, 2, lines.Wanted(), follow=True)
        assert [next(heard).text.encode() + b"\n" for _ in range(5)] == told[3:8]


@pytest.mark.parametrize(("killed", "cause"), [(5, "out of memory"), (4_242, "out of memory"), (6, "member killed")])
def test_the_kernel_says_whom_it_killed(killed: int, cause: str, tmp_path: Path) -> None:
    """5: it; 6: another member; 4,242: nobody is called so, as where it has process ids of its own."""
    scene = Scene(3)
    scene.kill("n2", 100)
    scene.started("n3", 0.0, pid=6)
    place = scene.write(tmp_path)
    (place / "host").mkdir()
    at = utc(START_MS + 100_200).replace("Z", "+00:00")
    said = f"{at} Memory cgroup out of memory: Killed process {killed} (python) total-vm:75172kB, anon-rss:58112kB\n"
    (place / "host" / "kernel.log").write_text(said)
    [found] = explained(place).hypotheses
    assert (found.cause, found.members) == (cause, ["n2"])
    assert any("kernel" in line.text for line in found.evidence) == (cause == "out of memory")


def test_a_member_that_does_not_start_says_why_without_a_time(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.tell(100, "n2", "leaving", "info", reason="SIGTERM")
    scene.tell(100.1, "n2", "stopped", "info", uptime_s=100)
    scene.silent("n2", 100.1, 1e9)
    place = scene.write(tmp_path)
    [planned] = explained(place).hypotheses
    assert planned.cause == "stopped"
    with (place / "n2.log").open("a") as file:
        file.write("coordnode: --tick: tick = 'none': give a number with a unit\n")
    [found] = explained(place).hypotheses
    assert (found.cause, found.members) == ("member failed", ["n2"])
    assert "tick = 'none'" in found.sentence


def test_whose_disk_hangs_is_not_called_cut_off(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.slow_disk("n2", 100, 112, 2_500)
    scene.tell(103, "n1", "peer_silent", peer=IDS["n2"])
    assert [one.cause for one in explained(scene.write(tmp_path / "hangs")).hypotheses] == ["slow disk"]
    scene.tell(104, "n1", "peer_silent", peer=IDS["n3"])
    assert {one.cause for one in explained(scene.write(tmp_path / "cut")).hypotheses} == {"slow disk", "cut link"}


def test_who_lacks_the_cpu_is_not_called_cut_off_and_who_has_it_is(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.set("n2", "waited_ms", 95, 120, 950)
    scene.tell(103, "n1", "peer_silent", peer=IDS["n2"])
    assert [one.cause for one in explained(scene.write(tmp_path / "starved")).hypotheses] == ["cpu taken by others"]
    scene.tell(104, "n1", "peer_silent", peer=IDS["n3"])
    assert {one.cause for one in explained(scene.write(tmp_path / "cut")).hypotheses} == {"cpu taken by others", "cut link"}


def test_on_a_host_that_is_always_busy_a_disk_that_is_a_little_slower_is_not_slow(tmp_path: Path) -> None:
    for ms, causes in ((25, []), (90, ["slow disk"])):
        scene = Scene(3)
        for member in scene.members:
            scene.set(member, "syncs", 0, 120, 6)
            scene.set(member, "waited_ms", 0, 120, 550)
        scene.slow_disk("n2", 95, 110, ms)
        assert [one.cause for one in explained(scene.write(tmp_path / str(ms))).hypotheses] == causes, ms


def test_who_waits_longer_for_the_cpu_is_pressed_upon_only_where_its_host_is_and_it_has_no_more_to_do(tmp_path: Path) -> None:
    def told(name: str, scene: Scene) -> list[tuple[str, list[str]]]:
        return [(one.cause, one.members) for one in explained(scene.write(tmp_path / name)).hypotheses]

    def pressed(*members: str) -> Scene:
        scene = Scene(3)
        press(scene, *members)
        return scene

    assert told("one", pressed("n2")) == [("cpu taken by others", ["n2"])]
    busy, as_ever, short, slow = pressed("n2"), pressed("n2"), Scene(3), pressed("n1", "n2", "n3")
    busy.set("n2", "cpu_ms", 95, 110, 150)
    assert told("busy", busy) == []
    as_ever.set("n2", "pressure", 0, 95, [45.0, 0, 0])
    assert told("as-ever", as_ever) == []
    short.set("n2", "waited_ms", 95, 98, 60)
    short.set("n2", "pressure", 95, 110, [55.0, 0, 0])
    assert told("short", short) == []
    for member in slow.members:
        slow.set(member, "syncs", 0, 120, 6)
    slow.slow_disk("n3", 95, 110, 12)
    assert [cause for cause, _ in told("little", slow)] == ["cpu taken by others"], "an fsync waits for the CPU, too"
    slow.slow_disk("n3", 95, 110, 95)
    assert told("slow", slow)[0] == ("slow disk", ["n3"])


def test_of_a_cluster_that_is_here_the_kernel_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(3)
    scene.kill("n2", 110)
    scene.write(tmp_path)
    at = utc(START_MS + 110_100)
    said = f"{at} usb 1-1: new device\n{at} Out of memory: Killed process 5 (python)\n".encode()
    monkeypatch.setattr(time, "time_ns", lambda: (START_MS + 120_000) * 1_000_000)
    monkeypatch.setattr(gather, "host_facts", lambda from_ms, to_ms, *, everything: [("kernel.log", "kernel log", said)])
    members = tuple(LocalMember(name, IDS[name], "127.0.0.1:1") for name in scene.members)
    found = explaining.explained([], LocalCluster(str(tmp_path), "local", 7, 1, True, members), SINCE)
    assert [(one.cause, one.members) for one in found.hypotheses] == [("out of memory", ["n2"])]
    assert [member.name for member in found.members] == ["n1", "n2", "n3"]
    assert found.troubles == []


@pytest.mark.parametrize(("cpu_ms", "causes"), [(30, ["member paused"]), (600, [])])
def test_a_long_turn_in_which_nothing_was_done_was_a_stop(cpu_ms: int, causes: list[str], tmp_path: Path) -> None:
    scene = Scene(3)
    for field, value in (("late_worst_ms", 290), ("turn_worst_ms", 290), ("cpu_ms", cpu_ms)):
        scene.set("n2", field, 95, 110, value)
    assert [one.cause for one in explained(scene.write(tmp_path)).hypotheses] == causes


def test_a_hiccup_at_the_start_does_not_hide_what_comes(tmp_path: Path) -> None:
    """In a baseline of a quarter of a minute."""
    scene = Scene(3)
    scene.set("n2", "sync_ms", 68, 69, 80)
    scene.slow_disk("n2", 95, 110, 70)
    asked = Asked(since_seconds=40, baseline="14:21:05..14:21:20")
    assert [one.cause for one in explained(scene.write(tmp_path), asked).hypotheses] == ["slow disk"]


def test_no_disk_is_called_slow_for_what_a_flood_brings(tmp_path: Path) -> None:
    scene = Scene(3)
    flooded(scene)
    assert [one.cause for one in explained(scene.write(tmp_path)).hypotheses] == ["client surge"]


def test_who_stands_still_twice_for_a_second_was_paused_whatever_took_the_cpu_from_all(tmp_path: Path) -> None:
    scene = Scene(3)
    for second, member in ((90, "n2"), (92, "n3"), (94, "n2"), (96, "n3")):
        scene.set(member, "late_worst_ms", second, second + 1, 980)
        scene.tell(second + 0.5, member, "late_tick", late_ms=980)
    for member in scene.members:  # what was waited is told before the tick that was late for it
        scene.set(member, "waited_ms", 104, 105, 2_100)
        scene.set(member, "late_worst_ms", 105, 106, 2_000)
        scene.tell(105.2, member, "late_tick", late_ms=2_000)
    found = explained(scene.write(tmp_path)).hypotheses
    assert [(one.cause, one.members, one.confidence) for one in found if one.cause == "member paused"] == [
        ("member paused", ["n2"], "high"),
        ("member paused", ["n3"], "high"),
    ]
    assert found[0].cause == "member paused"


def test_who_is_late_for_want_of_the_cpu_was_not_paused(tmp_path: Path) -> None:
    scene = Scene(3)
    for second in range(0, 80, 3):  # as on any day: nothing stands out
        scene.set("n2", "waited_ms", second, second + 1, 1_400)
    for second in (90, 95, 100):
        scene.set("n2", "waited_ms", second, second + 1, 1_400)
        scene.set("n2", "late_worst_ms", second + 1, second + 2, 1_240)
        scene.tell(second + 1.1, "n2", "late_tick", late_ms=1_240)
    assert "member paused" not in [one.cause for one in explained(scene.write(tmp_path)).hypotheses]


def test_a_time_that_is_not_known_is_no_time_before(tmp_path: Path) -> None:
    scene = Scene(3)
    commit = {"total_ms": 120, "queue_ms": 0, "wait_ms": -1, "peers_ms": {}, "apply_ms": 0, "commit_index": 1, "commands_bytes": 35}
    for second in range(10, 70, 4):
        scene.tell(second, "n1", "slow_commit", **commit, fsync_ms=-1)
    for second in range(95, 105):
        scene.tell(second, "n1", "slow_commit", **commit, fsync_ms=900)
    found = first(scene, tmp_path)
    assert (found.cause, found.sentence) == ("slow disk", "n1's fsync took up to 900 ms")


@pytest.mark.parametrize(("waited_ms", "causes"), [(20, ["slow disk"]), (1_080, [])])
def test_one_long_fsync_while_the_member_had_no_cpu_is_no_slow_disk(waited_ms: int, causes: list[str], tmp_path: Path) -> None:
    scene = Scene(3)
    scene.slow_disk("n1", 100, 101, 600)
    scene.set("n1", "syncs", 100, 101, 1)
    scene.set("n1", "waited_ms", 100, 101, waited_ms)
    assert [one.cause for one in explained(scene.write(tmp_path)).hypotheses] == causes


def recorded(scene: Scene, folder: Path, lost: dict[str, tuple[float, float]]) -> Path:
    """The logs without pulses, and flight recorders that lost everything from then to then, and broke off in the midst of a line."""
    folder.mkdir()
    for member in scene.members:
        lines = scene.lines(member)
        (folder / f"{member}.log").write_bytes(b"".join(line for line in lines if b'"pulse"' not in line))
        start, end = (utc(START_MS + round(second * 1_000)).encode() for second in lost.get(member, (0, 0)))
        kept = [line for line in lines if not start <= json.loads(line)["at"].encode() < end]
        whole = [line for line in lines if line not in kept]
        behind = next((number for number, line in enumerate(kept) if json.loads(line)["at"].encode() >= end), 0)
        (folder / member).mkdir()
        (folder / member / "flight.log").write_bytes(b"".join([*kept[:behind], *(line[:60] for line in whole[:1]), *kept[behind:]]))
    return folder


def test_what_a_full_disk_took_from_the_recorder_is_in_the_log_and_its_hole_is_no_pause(tmp_path: Path) -> None:
    scene = Scene(3)
    for member in scene.members:
        scene.tell(100.3, member, "space_low", "error", free_bytes=0)
        scene.tell(109.3, member, "space_back", "info", free_bytes=60_000_000)
        for second in (102.5, 103.4):  # what it waited meanwhile is not known
            scene.tell(second, member, "late_tick", late_ms=900)
    place = recorded(scene, tmp_path / "logs", dict.fromkeys(scene.members, (100.2, 109.2)))
    found = explained(place)
    assert sorted((one.cause, one.members) for one in found.hypotheses) == [("disk full", [member]) for member in scene.members]
    assert all(len(one.evidence) == 2 for one in found.hypotheses)  # both lines, each once


@pytest.mark.parametrize(("files", "words"), [(3, "took no more files"), (1_000, "became full")])
def test_a_disk_that_takes_no_more_files_is_told_as_that(tmp_path: Path, files: int, words: str) -> None:
    scene = Scene(3)
    scene.tell(100, "n2", "space_low", "error", free_bytes=60_000_000, free_files=files)
    [found] = explained(scene.write(tmp_path)).hypotheses
    assert found.sentence == f"n2's disk {words}{', whatever room it had' if files < 16 else ''}"


def test_a_recorder_that_lost_ten_seconds_of_a_member_that_ran_is_no_pause(tmp_path: Path) -> None:
    """Whoever was paused has a long second behind it."""
    for took_ms, causes in ((1_000, []), (10_000, ["member paused"])):
        scene = Scene(3)
        scene.set("n2", "took_ms", 109.5, 111, took_ms)
        scene.silent("n2", 100, 110)
        assert [one.cause for one in explained(scene.write(tmp_path / str(took_ms))).hypotheses] == causes


def test_a_member_that_is_stopped_while_its_disk_is_full_is_missed_and_told(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.tell(99, "n2", "space_low", "error", free_bytes=0)
    scene.silent("n2", 100, 1e9)
    alone = explained(scene.write(tmp_path / "alone")).hypotheses
    assert [one.cause for one in alone] == ["disk full"]
    scene.tell(103, "n1", "peer_silent", peer=IDS["n2"])
    assert {one.cause for one in explained(scene.write(tmp_path / "missed")).hypotheses} == {"disk full", "member paused"}


def stamped(scene: Scene, folder: Path, member: str, late_ms: dict[int, int]) -> Path:
    """The pulses of these seconds have a time that is so much later."""
    scene.write(folder)
    path = folder / f"{member}.log"
    lines = []
    for line in map(json.loads, path.read_text().splitlines()):
        if line["event"] == "pulse" and (later_ms := late_ms.get(int(line["uptime_ms"] // 1_000))):
            line["at"] = utc(START_MS + line["uptime_ms"] + later_ms)
        lines.append(json.dumps(line, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n")
    return folder


def test_a_pulse_that_was_written_late_is_no_clock_that_was_set(tmp_path: Path) -> None:
    """Its next one says how late the loop was; a clock that is set to and fro delays nobody."""
    for late_ms, causes in ((1_000, []), (5, ["clock"])):
        scene = Scene(3)
        for second in (90, 100):
            scene.set("n2", "waited_ms", second, second + 1, 900)
            scene.set("n2", "late_worst_ms", second + 1, second + 2, late_ms)
            scene.tell(second + 1.1, "n2", "late_tick", late_ms=late_ms)
        folder = stamped(scene, tmp_path / str(late_ms), "n2", {90: 900, 100: 800, 119: 700})  # the last has none behind it
        assert [one.cause for one in explained(folder).hypotheses] == causes


def test_a_clock_that_goes_to_and_fro_was_set_though_it_sums_up_to_nothing(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.set("n2", "late_worst_ms", 90, 120, 1_000)  # as it has not the CPU all the time
    scene.set("n2", "waited_ms", 90, 120, 900)
    folder = stamped(scene, tmp_path, "n2", {second: 10_000 for second in range(90, 110, 2)})
    assert "clock" in [one.cause for one in explained(folder).hypotheses]


def test_a_pulse_that_was_written_late_before_the_others_is_no_clock_that_was_set(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.tell(95, "n2", "leaving", "info", reason="SIGTERM")
    scene.tell(95.1, "n2", "stopped", "info", uptime_s=95)
    scene.silent("n2", 95.1, 99)
    scene.started("n2", 98.9)
    scene.set("n2", "late_worst_ms", 100, 101, 1_000)
    found = explained(stamped(scene, tmp_path, "n2", {99: 800})).hypotheses
    assert [one.cause for one in found] == ["restart"]


def restarted(scene: Scene, member: str, second: float, refused_by: str = "") -> None:
    """In order, and connected both ways; but for the connection to whoever refuses new ones."""
    scene.tell(second, member, "leaving", "info", reason="SIGTERM")
    scene.tell(second + 0.1, member, "stopped", "info", uptime_s=95)
    scene.silent(member, second + 0.1, second + 1)
    scene.started(member, second + 1)
    for number, other in enumerate(name for name in scene.members if name != member):
        scene.tell(second + 0.1 + number / 100, other, "peer_lost", peer=IDS[member], reason="the other side closed it")
        scene.tell(second + 1.2, other, "peer_up", "info", peer=IDS[member], build="0.1.0")
        if other != refused_by:
            scene.tell(second + 1.2, member, "peer_up", "info", peer=IDS[other], build="0.1.0")


def test_who_reaches_others_that_do_not_reach_it_since_they_were_restarted_is_cut_off(tmp_path: Path) -> None:
    scene = Scene(3)
    restarted(scene, "n2", 90, "n3")
    one = explained(scene.write(tmp_path / "one")).hypotheses
    assert [(told.cause, told.members) for told in one] == [("cut link", ["n2", "n3"]), ("restart", ["n2"])]
    restarted(scene, "n1", 100, "n3")
    both = explained(scene.write(tmp_path / "both")).hypotheses
    assert [(told.cause, told.members) for told in both] == [("cut link", ["n3"]), ("restart", ["n2"]), ("restart", ["n1"])]
    assert both[0].confidence == "high"
    assert "n1 -> n3" in both[0].sentence


def test_a_restart_that_is_recent_or_whose_other_side_is_gone_cuts_no_link(tmp_path: Path) -> None:
    recent = Scene(3)
    restarted(recent, "n2", 90)
    restarted(recent, "n1", 114, "n3")
    assert [one.cause for one in explained(recent.write(tmp_path / "recent")).hypotheses] == ["restart", "restart"]
    waiting = Scene(3)
    restarted(waiting, "n2", 110, "n3")
    waiting.set("n2", "waited_ms", 111, 120, 900)
    waiting.set("n2", "pressure", 111, 120, [90.0, 0, 0])
    assert "cut link" not in [one.cause for one in explained(waiting.write(tmp_path / "waiting")).hypotheses]
    gone = Scene(3)
    restarted(gone, "n2", 90, "n3")
    gone.kill("n3", 93)
    assert [one.cause for one in explained(gone.write(tmp_path / "gone")).hypotheses] == ["member killed", "restart"]
    ended = Scene(3)
    restarted(ended, "n2", 90, "n3")
    ended.silent("n3", 93, 1e9)
    assert "cut link" not in [one.cause for one in explained(ended.write(tmp_path / "ended")).hypotheses]


def test_a_member_whose_certificate_is_refused_is_not_cut_off_beside(tmp_path: Path) -> None:
    scene = Scene(3)
    restarted(scene, "n2", 90, "n3")
    scene.tell(91.3, "n2", "peer_refused", "error", peer=IDS["n3"], reason="TLS: certificate has expired")
    assert [one.cause for one in explained(scene.write(tmp_path)).hypotheses] == ["certificate", "restart"]


def test_clients_that_open_sessions_and_are_gone_are_told_by_what_opens_and_expires(tmp_path: Path) -> None:
    scene = Scene(3)
    scene.set("n1", "opened", 95, 110, 300)
    scene.set("n1", "expired", 97, 112, 290)
    found = explained(scene.write(tmp_path)).hypotheses
    assert {(one.cause, tuple(one.members)) for one in found} == {("client surge", ("n1",)), ("sessions expired", ("n1",))}
    [expired] = [one for one in found if one.cause == "sessions expired"]
    assert expired.sentence == "4,350 sessions expired, up to 290 a second: clients open sessions and go without closing them"


def test_sessions_that_expire_when_their_clients_went_are_told_and_those_of_a_leader_that_was_killed_are_its_consequence(
    tmp_path: Path,
) -> None:
    scene = Scene(3)
    scene.set("n1", "expired", 100, 101, 150)
    [found] = explained(scene.write(tmp_path / "went")).hypotheses
    assert (found.cause, found.members, found.confidence) == ("sessions expired", ["n1"], "low")
    killed = Scene(3)
    killed.kill("n1", 100)
    killed.set("n2", "expired", 104, 105, 150)
    killed.set("n2", "opened", 104, 108, 100)
    assert [one.cause for one in explained(killed.write(tmp_path / "killed")).hypotheses] == ["member killed"]


@pytest.mark.parametrize(("waited_ms", "cause"), [(20, "member paused"), (5_000, "cpu taken by others")])
def test_a_silence_in_which_a_member_waited_for_the_cpu_is_no_pause(waited_ms: int, cause: str, tmp_path: Path) -> None:
    scene = Scene(3)
    scene.silent("n2", 100, 106)
    scene.set("n2", "waited_ms", 106, 107, waited_ms)
    assert [one.cause for one in explained(scene.write(tmp_path)).hypotheses] == [cause]


# --- planned work, and what is none of it --------------------------------------------------------------------------------

LONG = Asked(since_seconds=120)  # of 320 s


def back(scene: Scene, member: str, second: float, after: float = 6) -> None:
    """Restarted in order; its clients, and what it led, went to others meanwhile."""
    scene.tell(second, member, "leaving", "info", reason="SIGTERM")
    scene.tell(second + 0.1, member, "stopped", "info", uptime_s=second)
    scene.kill(member, second + 0.2, second + after)
    for other in scene.members:
        if other != member:
            scene.tell(second + after + 0.2, other, "peer_up", "info", peer=IDS[member], build="0.1.0")
            scene.tell(second + after + 0.2, member, "peer_up", "info", peer=IDS[other], build="0.1.0")


def silent_ways(scene: Scene, one: str, other: str, *seconds: float) -> None:
    for second in seconds:
        scene.tell(second, one, "peer_silent", peer=IDS[other])
        scene.tell(second + 0.1, other, "peer_silent", peer=IDS[one])


def work_and_a_lost_quorum(scene: Scene) -> tuple[str, str]:
    scene.tell(200, "n2", "leaving", "info", reason="SIGTERM")
    scene.tell(200.1, "n2", "stopped", "info", uptime_s=200)
    scene.kill("n2", 200.2)
    silent_ways(scene, "n1", "n3", *range(215, 290, 5))
    return "cut link", "n1 n3"


def work_and_a_cut_elsewhere(scene: Scene) -> tuple[str, str]:
    scene.members += ["n4", "n5"]
    scene.gone |= {"n4": [], "n5": []}
    back(scene, "n4", 200)
    silent_ways(scene, "n1", "n3", *range(222, 273, 10))
    return "cut link", "n1 n3"


def work_and_a_link_that_flaps(scene: Scene) -> tuple[str, str]:
    back(scene, "n1", 200)
    silent_ways(scene, "n2", "n3", 222, 232, 242)
    return "cut link", "n2 n3"


def work_and_its_own_slow_disk(scene: Scene) -> tuple[str, str]:
    back(scene, "n2", 200)
    scene.slow_disk("n2", 220, 320, 600)
    return "slow disk", "n2"


def work_and_its_own_lack_of_cpu(scene: Scene) -> tuple[str, str]:
    back(scene, "n2", 200)
    scene.set("n2", "waited_ms", 220, 320, 800)
    scene.set("n2", "pressure", 220, 320, [90.0, 0, 0])
    return "cpu taken by others", "n2"


def work_and_a_slow_link_elsewhere(scene: Scene) -> tuple[str, str]:
    back(scene, "n1", 200)
    scene.set("n2", "round_trip_ms", 0, 220, {str(IDS["n3"]): 0.5})
    scene.set("n2", "round_trip_ms", 220, 320, {str(IDS["n3"]): 300.0})
    return "slow link", "n3"


def a_rolling_upgrade_and_a_slow_disk(scene: Scene) -> tuple[str, str]:
    for number, member in enumerate(("n2", "n3", "n1")):
        back(scene, member, 200 + 20 * number)
    scene.slow_disk("n2", 215, 320, 600)
    return "slow disk", "n2"


@pytest.mark.parametrize(
    "fault",
    [
        *(work_and_a_lost_quorum, work_and_a_cut_elsewhere, work_and_a_link_that_flaps, work_and_its_own_slow_disk),
        *(work_and_its_own_lack_of_cpu, work_and_a_slow_link_elsewhere, a_rolling_upgrade_and_a_slow_disk),
    ],
    ids=lambda fault: fault.__name__,
)
def test_what_was_planned_hides_no_fault_that_it_does_not_bring(fault, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for seed in range(3):
        scene = Scene(3, 320, seed=seed)
        cause, members = fault(scene)
        found = explained(scene.write(tmp_path / str(seed)), LONG)
        assert (found.outcome, found.exit_code) == ("explained", 1), found.hypotheses
        assert (found.hypotheses[0].cause, " ".join(found.hypotheses[0].members)) == (cause, members), found.hypotheses


def test_a_cut_elsewhere_is_told_beside_a_member_that_was_killed(tmp_path: Path) -> None:
    scene = Scene(3, 320)
    scene.kill("n2", 200)
    silent_ways(scene, "n1", "n3", *range(222, 273, 10))
    scene.tell(203, "n1", "peer_silent", peer=IDS["n2"])
    found = explained(scene.write(tmp_path), LONG)
    assert [(one.cause, one.members) for one in found.hypotheses] == [("member killed", ["n2"]), ("cut link", ["n1", "n3"])]


def test_a_clock_that_is_off_is_told_beside_a_cut_of_another_member(tmp_path: Path) -> None:
    """Though it lies on one of the ways that are cut."""
    scene = Scene(3, 320)
    silent_ways(scene, "n1", "n3", *range(222, 273, 10))
    silent_ways(scene, "n1", "n2", *range(222, 273, 10))
    for second in range(230, 250):
        scene.set("n3", "uptime_ms", second, second + 1, 230_000 + 850 * (second - 230))  # by a sixth too fast
    found = explained(scene.write(tmp_path), LONG)
    assert sorted((one.cause, one.members) for one in found.hypotheses) == [("clock", ["n3"]), ("cut link", ["n1"])]


def test_a_member_that_was_taken_in_and_starts_only_then_is_not_cut_off(tmp_path: Path) -> None:
    scene = Scene(4, 320)
    scene.silent("n4", 0, 208)
    scene.tell(204, "n1", "peer_silent", peer=IDS["n4"])
    scene.started("n4", 208, boot=1)
    folder = scene.write(tmp_path)
    lines = (folder / "n4.log").read_text().splitlines(keepends=True)
    (folder / "n4.log").write_text("".join(lines[1:]))  # the first one is of a start at the very beginning
    assert explained(folder, LONG).hypotheses == []


def test_a_member_that_was_cut_off_and_then_lost_its_folder_was_cut_off(tmp_path: Path) -> None:
    scene = Scene(3, 320)
    for second in range(222, 273, 10):
        scene.tell(second, "n1", "peer_silent", peer=IDS["n3"])
    scene.started("n3", 300, boot=1)
    found = explained(scene.write(tmp_path), LONG)
    assert ("cut link", ["n1", "n3"]) in [(one.cause, one.members) for one in found.hypotheses]


def test_what_planned_work_brings_is_no_fault(tmp_path: Path) -> None:
    """A start takes the CPU and the disk for a while, clients come to the others and stay there, and sessions end."""
    for seed in range(3):
        scene = Scene(3, 320, seed=seed)
        for number, member in enumerate(("n2", "n3", "n1")):
            second = 200 + 20 * number
            back(scene, member, second)
            scene.set("n1", "expired", second + 5, second + 8, 150)
        scene.set("n2", "connections", 222, 320, 400)
        scene.set("n3", "waited_ms", 226, 232, 500)
        scene.slow_disk("n1", 246, 260, 200)
        found = explained(scene.write(tmp_path / str(seed)), LONG)
        assert (found.outcome, found.exit_code) == ("planned", 0), found


def test_what_begins_at_one_member_is_not_covered_by_work_on_another(tmp_path: Path) -> None:
    scene = Scene(3, 320)
    back(scene, "n2", 200)
    for second in range(240, 250):
        scene.tell(second, "n3", "bug", "error", error="KeyError: 7", trace="")
    found = explained(scene.write(tmp_path), LONG)
    assert [(one.member, one.kind) for one in found.unexplained] == [("n3", "bug")]
    assert (found.outcome, found.exit_code) == ("unknown", 3)


# --- members whose logs are not here -------------------------------------------------------------------------------------


def test_a_member_whose_log_is_not_here_is_named_by_what_the_others_say_of_it(tmp_path: Path) -> None:
    scene = Scene(3, 900)
    scene.kill("n2", 700)
    place = scene.write(tmp_path)
    (place / "n2.log").unlink()
    found = explained(place, Asked())
    assert found.missing == ["member 102"]
    assert [(one.cause, one.members, one.confidence) for one in found.hypotheses] == [("member killed", ["member 102"], "medium")]


def test_a_member_whose_log_is_not_here_and_that_came_back_is_only_missing(tmp_path: Path) -> None:
    scene = Scene(3, 900)
    back(scene, "n2", 700)
    place = scene.write(tmp_path)
    (place / "n2.log").unlink()
    found = explained(place, Asked())
    assert (found.missing, found.hypotheses, found.exit_code) == (["member 102"], [], 3)


def test_who_left_the_membership_is_not_missing(tmp_path: Path) -> None:
    scene = Scene(3, 900)
    for member in ("n1", "n3"):
        scene.tell(400, member, "config", "info", voters=[101, 102, 103], outgoing=[], learners=[])
        scene.tell(500, member, "config", "info", voters=[101, 103], outgoing=[], learners=[])
        scene.tell(500.5, member, "peer_lost", peer=IDS["n2"], reason="the other side closed it")
    scene.set("n1", "round_trip_ms", 0, 500, {str(IDS["n2"]): 0.5, str(IDS["n3"]): 0.5})
    scene.set("n1", "round_trip_ms", 500, 900, {str(IDS["n3"]): 0.5})
    place = scene.write(tmp_path)
    (place / "n2.log").unlink()
    assert (explained(place, Asked(since_seconds=120)).outcome, explained(place, Asked(since_seconds=420)).hypotheses) == ("normal", [])
    assert explained(place, Asked(since_seconds=420)).missing == []


def without_the_fourth(second: float) -> Scene:
    """A learner, or a voter after all the others, was taken out: the membership that is left is the only one that is told."""
    scene = Scene(4, 900)
    for member in ("n1", "n2", "n3"):
        scene.tell(second, member, "config", "info", voters=[101, 102, 103], outgoing=[], learners=[])
        scene.tell(second + 0.4, member, "peer_lost", peer=IDS["n4"], reason="the other side closed it")
    scene.tell(second + 0.3, "n4", "leaving", "info", reason="it was taken out")
    scene.tell(second + 0.35, "n4", "stopped", "info")
    scene.silent("n4", second + 0.4, 1e9)
    known = {str(IDS[member]): 0.5 for member in ("n2", "n3", "n4")}
    scene.set("n1", "round_trip_ms", 0, second + 1, known)
    scene.set("n1", "round_trip_ms", second + 1, 900, {str(IDS[member]): 0.5 for member in ("n2", "n3")})
    return scene


def test_whose_log_went_with_it_when_it_was_taken_out_is_neither_missing_nor_killed(tmp_path: Path) -> None:
    place = without_the_fourth(700).write(tmp_path)
    (place / "n4.log").unlink()
    after, around = explained(place, Asked(since_seconds=120)), explained(place, Asked(since_seconds=420))
    assert (after.missing, after.outcome, after.exit_code) == ([], "normal", 0)
    assert (around.missing, around.hypotheses) == ([], [])


def test_who_was_taken_out_and_whose_log_is_still_here_is_not_missing(tmp_path: Path) -> None:
    found = explained(without_the_fourth(600).write(tmp_path), Asked(since_seconds=120))
    assert (found.missing, found.outcome, found.exit_code) == ([], "normal", 0)


def test_who_was_taken_out_hours_ago_makes_no_verdict_unknown(tmp_path: Path) -> None:
    scene = without_the_fourth(300)
    scene.seconds = 4_200
    scene.set("n1", "round_trip_ms", 900, 4_200, {str(IDS[member]): 0.5 for member in ("n2", "n3")})
    found = explained(scene.write(tmp_path), Asked(since_seconds=1_200))
    assert (found.missing, found.troubles, found.outcome, found.exit_code) == ([], [], "normal", 0)


def test_who_is_named_after_the_membership_that_is_told_belongs(tmp_path: Path) -> None:
    scene = Scene(3, 900)
    scene.tell(100, "n1", "config", "info", voters=[101, 102], outgoing=[], learners=[])
    scene.set("n1", "round_trip_ms", 300, 900, {str(IDS["n3"]): 0.5})
    place = scene.write(tmp_path)
    (place / "n3.log").unlink()
    assert explained(place, Asked(since_seconds=420)).missing == ["member 103"]


# --- clocks that nothing moves with --------------------------------------------------------------------------------------


def idle(**skew_ms: int) -> Scene:
    scene = Scene(3, 900, **skew_ms)
    scene.index_per_second = 0
    return scene


@pytest.mark.parametrize("seconds", [-180, 180])
def test_in_an_idle_cluster_whose_clock_is_minutes_off_was_not_killed(tmp_path: Path, seconds: int) -> None:
    found = explained(idle(n2=seconds * 1_000).write(tmp_path), Asked())
    assert [(one.cause, one.members, one.confidence) for one in found.hypotheses] == [("clock", ["n2"], "low")]
    assert f" s {'before' if seconds < 0 else 'after'} the others', and nobody misses anybody" in found.hypotheses[0].sentence
    assert found.unexplained == []


def test_in_an_idle_cluster_whoever_is_missed_was_killed_though_nothing_tells_its_clock(tmp_path: Path) -> None:
    scene = idle()
    scene.kill("n2", 700)
    assert [(one.cause, one.members) for one in explained(scene.write(tmp_path), Asked()).hypotheses] == [("member killed", ["n2"])]


def test_a_host_whose_clock_was_asked_is_read_by_it(tmp_path: Path) -> None:
    scene = idle(n2=-180_000)
    scene.slow_disk("n3", 700, 900, 300)
    clocks = align.of_hosts({"n1": 90_300, "n2": -89_400, "n3": 90_900})
    gathered = logs.Gathered(files.find([str(scene.write(tmp_path))]), list(scene.members), clocks=clocks)
    found = explaining._explained(gathered, Asked(), files.no_progress)
    assert [(one.cause, one.members) for one in found.hypotheses] == [("slow disk", ["n3"]), ("clock", ["n2"])]
    assert "-179.7 s off" in found.hypotheses[1].sentence
