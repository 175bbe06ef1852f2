"""Where a run is to be written down beside the screen: what cannot be is told before anything is broken, and takes no verdict with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordctl.chaos import verdicts
from coordctl.commands import chaos
from coordctl.local.clusters import LocalCluster
from coordctl.operations import chaos_run
from coordctl.operations.chaos_run import Asked
from coordctl.results.chaos import ChaosRun, ChaosVerdict
from tests.unit.coordctl.test_chaos_run import HEAD, cluster_in, run_on

DEVIATED = ChaosVerdict(kind="probe", name="write", outcome="deviated", exit_code=1, sentence="half \udc80 of it")


def ended() -> ChaosRun:
    return ChaosRun(
        outcome="deviated",
        exit_code=1,
        cluster="local",
        playbook="x",
        proves="x",
        seed=1,
        rows=[],
        verdicts=[DEVIATED],
        told=[],
        leaders=[],
        pace=[],
        skipped=[],
        again=[],
        began_unix_ms=1,
        kept="",
        elapsed_ms=5,
    )


@pytest.fixture
def ctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Of which a run itself breaks nothing; what it does meanwhile may be given."""

    def run_one(*arguments: str, meanwhile: Callable[[], Any] = lambda: None, is_allowed: bool = True) -> int:
        def run(cluster: LocalCluster, *_: Any) -> ChaosRun:
            assert is_allowed, "it broke the cluster, though nobody could be told"
            meanwhile()
            return ended()

        monkeypatch.setattr(chaos_run, "run", run)
        return chaos.main(["run", str(playbook), *arguments])

    playbook = tmp_path / "x.yaml"
    playbook.write_text(HEAD)
    monkeypatch.setattr(chaos, "chosen_local", lambda _: cluster_in(tmp_path / "local"))
    return run_one


@pytest.mark.parametrize(
    ("option", "path", "words"),
    [
        ("--junit", "none/x.xml", "No such file or directory"),
        ("--html", "", "Is a directory"),
        ("--keep", "x.yaml", "File exists"),
        ("--keep", "x.yaml/kept", "Not a directory"),
        ("--keep", "/proc/self/kept", ""),
        ("--junit", "/proc/self/x.xml", ""),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_broken(
    tmp_path: Path, ctl: Callable[..., int], capsys: pytest.CaptureFixture[str], option: str, path: str, words: str
) -> None:
    assert ctl(option, str(tmp_path / path), is_allowed=False) == 64
    said = capsys.readouterr().err
    assert (f"{option} {tmp_path / path}: it cannot be written: " in said, words in said) == (True, True), said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize("output", [[], ["-o", "json"]])
def test_what_cannot_be_written_after_all_leaves_the_verdict_and_its_code(
    tmp_path: Path, ctl: Callable[..., int], capsys: pytest.CaptureFixture[str], output: list[str]
) -> None:
    junit, page = tmp_path / "there" / "x.xml", tmp_path / "x.html"
    junit.parent.mkdir()
    assert ctl("--junit", str(junit), "--html", str(page), *output, meanwhile=junit.parent.rmdir) == 1
    told = capsys.readouterr()
    assert "deviated" in told.out.lower()
    assert f"--junit {junit} could not be written: No such file or directory" in told.err
    assert "half \\udc80 of it" in page.read_text()


def test_the_files_are_there_when_they_can_be(tmp_path: Path, ctl: Callable[..., int]) -> None:
    junit, kept, seen = tmp_path / "x.xml", tmp_path / "new" / "kept", list[str]()
    assert ctl("--junit", str(junit), "--keep", str(kept)) == 1
    assert 'failures="1"' in junit.read_text()
    junit.write_text("of an earlier run")
    assert ctl("--junit", str(junit), meanwhile=lambda: seen.append(junit.read_text())) == 1
    assert seen == ["of an earlier run"], "it is there until there is another"


def test_histories_that_cannot_be_kept_where_they_should_be_stay_where_they_are(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("it is a file by now")
    run = run_on(tmp_path / "local")
    run._asked = Asked("", "", str(target))
    run._folder = str(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kv.jsonl").write_text("")
    found = run._result()
    assert (found.exit_code, found.kept) == (verdicts.GREEN, str(tmp_path / "run"))
    assert (tmp_path / "run" / "kv.jsonl").exists()
    assert f"--keep {target}" in found.told[-1].sentence
