"""What the `logs` verbs print, and their codes."""

import json
import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from coordctl.commands import bundle, logs, timeline
from coordctl.results.logs import LogsDiff
from tests.unit.coordctl.log_scene import Scene


def test_diff_on_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(3, n2=-90_000)
    scene.kill("n1", 100)
    folder = scene.write(tmp_path)
    assert logs.main(["diff", str(folder), "--from", "14:21:10", "--to", "14:22:00"]) == 1
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0].startswith("14:21:10Z - 14:22:00Z  3 members, ")
    assert "n2 -89,970 ms (+-151), n3 +0 ms" in " ".join(shown.split())
    assert "first divergence: 14:21:39.999  n1  says nothing for" in shown
    assert "then, as consequences:" in shown
    assert lines[-1].startswith("sources: 3 files, ")
    assert max(map(len, lines)) <= 80

    assert logs.main(["diff", str(folder), "--from", "14:21:10", "-o", "json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out, type=LogsDiff)
    assert json.loads(msgspec.json.encode(found))["findings"][0]["member"] == "n1"


def test_nothing_different_is_0_and_nothing_there_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(3).write(tmp_path)
    assert logs.main(["diff", str(folder), "--since", "40s"]) == 0
    assert "no difference that is more than chance" in capsys.readouterr().out
    assert logs.main(["diff", str(folder), "--from", "2020-01-01T00:00Z", "--to", "2020-01-01T01:00Z"]) == 3
    assert "no line of any member is in this window" in capsys.readouterr().out


def test_an_archive_takes_the_place_of_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(3).write(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for main, words in ((bundle.main, []), (logs.main, ["collect"])):
        assert main([*words, str(folder), "--file", str(pipe)]) == 64
        assert f"{pipe} is there and no file" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_what_logs_hold_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(3).write(tmp_path)
    with (folder / "n4.log").open("wb") as file:
        for second in range(40):
            file.write(b"2026-11-20T14:21:%02d.000Z ERROR \x1b[2J\x1b]0;owned\x07 caf\xc3\xa9\r\x9b31m\n" % second)
    for main, arguments in ((logs.main, ["diff"]), (logs.main, ["explain"]), (logs.main, ["search", "owned"]), (timeline.main, [])):
        main([*arguments, str(folder), "--from", "2026-11-20T14:20Z", "--to", "2026-11-20T14:23Z"])
        shown = capsys.readouterr().out
        assert [one for one in shown if not one.isprintable() and one != "\n"] == []
        assert "search" not in arguments or "\\x1b]0;owned\\x07 café" in shown


def test_a_bundle_that_is_none_is_called_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = tmp_path / "bundle.tar.gz"
    for content in (b"", b"hello\n"):
        none.write_bytes(content)
        for main, arguments in ((logs.main, ["diff"]), (logs.main, ["explain"]), (timeline.main, [])):
            assert main([*arguments, str(none)]) == 64
            said = capsys.readouterr().err
            assert said.startswith(f"coordctl: no line with a time is in {none}: is cut off or damaged")


def test_a_bundle_with_names_that_no_file_can_have_is_used_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(2).write(tmp_path / "logs")
    packed = tmp_path / "bundle.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "b")
        odd = tarfile.TarInfo("b/n3.log")
        odd.pax_headers = {"path": "b/n3\0.log"}
        archive.addfile(odd)
    assert logs.main(["diff", str(packed)]) == 0
    assert "damaged (embedded null byte): what could be unpacked is used" in " ".join(capsys.readouterr().out.split())


def test_what_is_wrong_in_a_bundle_is_called_by_the_bundle_and_the_file_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(2).write(tmp_path / "logs")
    (folder / "n3.log").write_bytes(b"")
    with (folder / "n2.log").open("ab") as file:
        file.write(b'{"at":"2026-11-20T14:2')
    packed = tmp_path / "bundle.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "b")
    for verb in ("diff", "explain"):
        logs.main([verb, str(packed), "-o", "json"])
        found = json.loads(capsys.readouterr().out)
        assert {one["source"] for one in found["troubles"]} == {f"{packed}:b/n2.log", f"{packed}:b/n3.log"}
        assert found["sources"] == [f"{packed}:b/{name}.log" for name in ("n1", "n2")]
    with tarfile.open(packed, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("b/status.json"))
    assert logs.main(["diff", str(packed)]) == 64
    assert capsys.readouterr().err.startswith(f"coordctl: no logs are in {packed}: ")


def test_a_file_whose_name_is_no_text_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(2).write(tmp_path / "logs")
    os.link(folder / "n1.log", os.fsencode(folder) + b"/n\xff.log")
    assert logs.main(["diff", str(folder), "-o", "json"]) == 0
    [trouble] = msgspec.json.decode(capsys.readouterr().out, type=LogsDiff).troubles
    assert (trouble.source, trouble.what) == (f"{folder}/n\\xff.log", "its name is no text: rename it")
    assert logs.main(["search", "heartbeat", str(folder), "-o", "json"]) in (0, 1)
    assert bundle.main([str(folder), "--file", str(tmp_path / "made.tar.gz")]) == 1
    assert "its name is no text" in " ".join(capsys.readouterr().out.split())


def test_logs_of_one_moment_have_a_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n1.log").write_text("2026-11-20T14:21:00.000Z ERROR it fell over\n")
    for main, arguments in ((logs.main, ["diff"]), (logs.main, ["explain"]), (timeline.main, [])):
        assert main([*arguments, str(tmp_path)]) != 64, capsys.readouterr().err


def test_bad_input_is_64(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Scene(1, 30).write(tmp_path)
    for arguments in (["diff", str(tmp_path / "gone")], ["diff", str(folder), "--around", "noon"], ["diff", str(folder), "--since", "10"]):
        assert logs.main(arguments) == 64
        assert capsys.readouterr().err.startswith("coordctl: ")
