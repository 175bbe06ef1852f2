"""`demo` as a newcomer runs it: what it tells, that it ends, and that nothing of it stays, however it ends."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import marked, until
from tests.processes.test_commands import valid

PATIENCE_SECONDS = 300


@pytest.fixture
def stage(home: Home, tmp_path: Path) -> Path:
    """Where it makes its folder: every process of it names this path."""
    folder = tmp_path / "stage"
    folder.mkdir()
    home.environment["TMPDIR"] = str(folder)
    return folder


def nothing_is_left(home: Home, stage: Path) -> bool:
    return list(stage.iterdir()) == [] and marked(str(stage)) == [] and not home.state.exists()


def test_all_is_as_told(home: Home, stage: Path) -> None:
    with home.start("demo", "-o", "json") as demo:
        out, err = demo.communicate(timeout=PATIENCE_SECONDS)
    assert (demo.returncode, err) == (0, b"")
    done = valid(out.decode())
    assert (done["outcome"], done["not_as_told"], done["left_behind"]) == ("as told", "", [])
    assert done["leader_killed"] != done["leader_after"]
    tokens, told = done["tokens"], done["told"]
    assert isinstance(tokens, list)
    assert isinstance(told, list)
    assert len(tokens) == 3
    assert tokens == sorted({*tokens})
    assert isinstance(done["operations"], int)
    assert done["operations"] >= 20
    sentences = "\n".join(one["sentence"] for one in told)
    assert f"The leader {done['leader_killed']} was killed with -9 while alice holds the lock" in sentences
    assert (
        f"bob had it {sentences.partition('bob had it ')[2].partition(' ms')[0]} ms later, with the higher token {tokens[1]}" in sentences
    )
    assert f"refused a late one of alice: {tokens[0]} is stale" in sentences
    assert nothing_is_left(home, stage)


@pytest.mark.parametrize(("number", "after"), [(signal.SIGINT, " leads, "), (signal.SIGTERM, "took alice's write"), (signal.SIGHUP, "")])
def test_cut_short_it_leaves_nothing(number: signal.Signals, after: str, home: Home, stage: Path) -> None:
    """`after`: the sentence that was told last; empty: its members are only starting."""
    with home.start("demo") as demo:
        assert demo.stdout is not None
        if after:
            until(lambda: after.encode() in demo.stdout.readline(), "it never said so")  # type: ignore[union-attr]
        else:
            until(lambda: marked(str(stage)), "it starts no member")
        demo.send_signal(number)
        _, err = demo.communicate(timeout=PATIENCE_SECONDS)
    assert (demo.returncode, err) == (130, b"coordctl: interrupted\n")
    assert nothing_is_left(home, stage)


def test_what_is_not_as_told_is_said(home: Home, stage: Path) -> None:
    done: subprocess.CompletedProcess[bytes] = home.run("demo", "--timeout", "1ms")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"coordctl: not as told: all members well, with equal states: not seen within 0.001 s\n"
    assert nothing_is_left(home, stage)
