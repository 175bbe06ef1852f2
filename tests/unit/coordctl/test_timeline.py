"""`timeline` on logs of clusters that never ran."""

from pathlib import Path

import pytest

from coordctl.commands import timeline as verb
from coordctl.operations.history import timeline
from coordctl.operations.windows import Asked
from tests.unit.coordctl.log_scene import Scene


def busy_scene() -> Scene:
    scene = Scene(3)
    for member in scene.members:
        scene.tell(20, member, "config", "info", voters=[101, 102], outgoing=[], learners=[])
        scene.tell(30, member, "config", "info", voters=[101, 102, 103], outgoing=[101, 102], learners=[])
    scene.tell(40, "n2", "space_low", "error", free_bytes=1)
    scene.set("n1", "connections", 60, 70, 9_000)
    scene.tell(80, "n3", "leaving", "info", reason="SIGTERM")
    scene.tell(80.1, "n3", "stopped", "info", uptime_s=80)
    scene.silent("n3", 80.2, 85)
    scene.started("n3", 85, config_hash="deadbeef")
    scene.set("n3", "config_hash", 85, 200, "deadbeef")
    scene.kill("n1", 100)
    return scene


def test_one_stream_of_all_that_changed(tmp_path: Path) -> None:
    lines = timeline([str(busy_scene().write(tmp_path))], None, Asked(since_seconds=110)).lines
    assert [line.at_ms for line in lines] == sorted(line.at_ms for line in lines)
    told = [(line.sort, line.member, line.what) for line in lines]
    for expected in (
        ("membership", "", "voters n1, n2"),
        ("membership", "", "voters n1, n2, n3, leaving n1, n2"),
        ("alarm", "n2", "space low"),
        ("restart", "n3", "was asked to stop and left in order, 5 s"),
        ("settings", "n3", "settings 0badcafe became deadbeef"),
        ("election", "n2", "leads, term 1"),
        ("restart", "n1", "says nothing any more"),
    ):
        assert told.count(expected) == 1, (expected, told)
    assert [what for sort, _, what in told if sort == "settings"] == ["settings 0badcafe became deadbeef"]  # no process id is one
    assert ("clients", "n1") in {(sort, member) for sort, member, _ in told}


def test_a_quiet_hour_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(3).write(tmp_path / "quiet")
    assert verb.main([str(folder), "--since", "60s"]) == 1
    assert capsys.readouterr().out == ""
    assert verb.main([str(busy_scene().write(tmp_path / "busy")), "--since", "110s"]) == 0
    assert "alarm       n2 space low" in capsys.readouterr().out
