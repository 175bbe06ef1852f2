"""`coordctl shard run`: one command for each shard that it owns, and never two owners; with real processes, signals and kills."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import children, ended, line, marked, started, until
from tests.processes.test_commands import valid

RUN = ("shard", "run")

# A lock of the kernel lives as long as any process of the job: whoever else works on the shard meanwhile is found out.
WORKS = """
exec 9>"$DIR/$COORD_SHARD.lock"
flock -n 9 || echo "$COORD_SHARD $COORD_TOKEN" >>"$DIR/two-owners"
test -z "$STUBBORN" || trap '' TERM
echo "$COORD_SHARD $COORD_TOKEN $COORD_MEMBER"
sleep 600 $MARK & setsid sleep 600 $MARK & wait; sleep 600 $MARK
"""


@pytest.fixture
def name(shared: Home, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of an assignment that is gone afterwards: others look at all there are."""
    named = f"run-{request.node.name[:40]}-{uuid.uuid4().hex[:6]}"
    yield named
    shared.ctl("shard", "delete", named, "--yes")


def made(shared: Home, name: str, shards: int, revoke: str = "10s") -> dict[str, str]:
    shared.ctl("shard", "create", name, f"{name}-workers", str(shards), "--revoke", revoke)
    (shared.folder / name).mkdir()
    return {"DIR": str(shared.folder / name), "MARK": str(uuid.uuid4().int % 10**12)}


def owners(shared: Home, name: str) -> dict[int, str]:
    rows = valid(shared.ctl("shard", "show", name, "-o", "json"))["owned"]
    assert isinstance(rows, list)
    return {row["shard"]: row["member"] for row in rows if row["revoke_left_ms"] is None}


def begun(process: "subprocess.Popen[bytes]", count: int) -> dict[int, int]:
    """Shard -> token, as the commands say it."""
    found = {}
    for _ in range(count):
        shard, token, _ = line(process).split(maxsplit=2)
        found[int(shard)] = int(token)
    return found


def test_shards_move_as_workers_come_go_and_are_killed_and_never_have_two_owners(shared: Home, name: str) -> None:
    environment = made(shared, name, 4)
    how = ["--ttl", "6s", "--leftover", "kill", "--", "sh", "-c", WORKS]
    with started(shared, name, "a", *how, verb=RUN, environment=environment) as a:
        first = begun(a, 4)
        assert sorted(first) == [0, 1, 2, 3]
        with started(shared, name, "b", *how, verb=RUN, environment=environment) as b:
            moved = begun(b, 2)
            assert all(token > first[shard] for shard, token in moved.items())
            assert owners(shared, name) == {shard: "b" if shard in moved else "a" for shard in range(4)}
            a.kill()
            rest = begun(b, 2)
            assert sorted([*moved, *rest]) == [0, 1, 2, 3]
            b.send_signal(signal.SIGTERM)
            code, said = ended(b)
            assert code == 128 + signal.SIGTERM, said
        assert owners(shared, name) == {}, "it has let go of all of them"
        _, said = ended(a)
        assert "goes to somebody else; its command is ended" in said
        assert "the run that owns its shard was killed; its command is ended" in said, "at once, not only when the lease is over"
    assert marked(environment["MARK"]) == []
    assert not (shared.folder / name / "two-owners").exists()


def test_a_command_that_will_not_go_is_killed_before_its_shard_is_released(shared: Home, name: str) -> None:
    environment = made(shared, name, 2, revoke="5s")
    stubborn = {**environment, "STUBBORN": "1"}
    with started(shared, name, "a", "--grace", "300ms", "--", "sh", "-c", WORKS, verb=RUN, environment=stubborn) as a:
        begun(a, 2)
        with started(shared, name, "b", "--", "sh", "-c", WORKS, verb=RUN, environment=environment) as b:
            begun(b, 1)
            assert not (shared.folder / name / "two-owners").exists()
            assert len(owners(shared, name)) == 2


def test_a_command_that_ends_by_itself_ends_the_run_with_its_code(shared: Home, name: str) -> None:
    environment = made(shared, name, 3)
    code = 'echo "$COORD_SHARD $COORD_TOKEN x"; test "$COORD_SHARD" = 1 && exit 7; exec sleep 600'
    done = shared.run(*RUN, name, "--report", str(shared.folder / f"{name}.json"), "--", "sh", "-c", code, **environment)
    assert done.returncode == 7, done.stderr
    assert valid((shared.folder / f"{name}.json").read_text())["outcome"] == "ended"
    assert owners(shared, name) == {}
    assert shared.run("group", "show", f"{name}-workers").returncode == 1, "it has left"


HEARS = """
import os, signal, time
def heard(number, frame):
    os.write(1, b"%s %d x\\n" % (os.environ["COORD_SHARD"].encode(), number))
for number in (signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, heard)
os.write(1, b"%s 0 x\\n" % os.environ["COORD_SHARD"].encode())
while True:
    time.sleep(60)
"""


def test_signals_go_to_all_commands_once_and_it_cannot_be_suspended(shared: Home, name: str) -> None:
    made(shared, name, 2)
    with started(shared, name, "--", sys.executable, "-c", HEARS, verb=RUN) as owner:
        assert begun(owner, 2) == {0: 0, 1: 0}
        owner.send_signal(signal.SIGTSTP)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP):  # had one come twice, it would stand before the next
            owner.send_signal(number)
            assert begun(owner, 2) == {0: number, 1: number}
        owner.send_signal(signal.SIGINT)
        code, said = ended(owner)
        assert code == 130, said


def test_killing_the_runner_of_one_shard_ends_the_run_with_79(shared: Home, name: str) -> None:
    environment = made(shared, name, 2)
    with started(shared, name, "--ttl", "60s", "--", "sh", "-c", WORKS, verb=RUN, environment=environment) as owner:
        begun(owner, 2)
        until(lambda: len(marked(environment["MARK"])) == 4)
        os.kill(children(owner.pid)[0], signal.SIGKILL)
        code, said = ended(owner)
        assert (code, "the runner of shard" in said) == (79, True), said
        assert marked(environment["MARK"]) == []


def test_losing_the_session_ends_all_commands_with_79(shared: Home, name: str) -> None:
    environment = made(shared, name, 2)
    with started(shared, name, "--ttl", "5s", "--", "sh", "-c", WORKS, verb=RUN, environment=environment) as owner:
        begun(owner, 2)
        rows = valid(shared.ctl("shard", "show", name, "-o", "json"))["owned"]
        shared.ctl("session", "close", str(rows[0]["session"]))  # type: ignore[index]
        code, said = ended(owner)
        assert (code, "is lost: " in said) == (79, True), said


REFUSED: list[tuple[list[str], int, str]] = [
    ([*RUN, "none"], 64, "which command? coordctl shard run NAME"),
    ([*RUN, "none", "--", "true"], 64, "there is no assignment none; create it first"),
    ([*RUN, "none", "--endpoints", "127.0.0.1:1", "--", "true"], 69, "no member can be reached"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_each_failure_has_its_code(shared: Home, words: list[str], code: int, sentence: str) -> None:
    refused = shared.run(*words)
    assert (refused.returncode, refused.stdout) == (code, b""), refused
    assert sentence in refused.stderr.decode()


def test_a_name_that_is_taken_and_no_time_to_let_go_are_refused(shared: Home, name: str) -> None:
    environment = made(shared, name, 1)
    with started(shared, name, "a", "--", "sh", "-c", WORKS, verb=RUN, environment=environment) as owner:
        begun(owner, 1)
        taken = shared.run(*RUN, name, "a", "-E", "9", "--", "true")
        assert (taken.returncode, b"is there already" in taken.stderr) == (9, True)
        with started(shared, name, "idle", "--weight", "0", "--", "true", verb=RUN) as idle:
            until(lambda: b"idle" in shared.run("group", "show", f"{name}-workers").stdout)
            idle.send_signal(signal.SIGINT)
            assert ended(idle)[0] == 130
    shared.ctl("shard", "set", name, "--revoke", "500ms")
    assert b"500 ms to release a shard" in shared.run(*RUN, name, "--", "true").stderr
