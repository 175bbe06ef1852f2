"""`coordctl queue run`: a task on standard input, extended, acknowledged or returned, and never outlived."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from coordctl.runner import ending, run
from coordctl.runner.outcome import INTERRUPTED
from coordctl.runner.rules import Settings
from tests.processes.local import Home
from tests.processes.runner.jobs import BUSY_SECONDS, AtOnce, until


@pytest.fixture
def queue(shared: Home, request: pytest.FixtureRequest) -> str:
    return f"run-{request.node.name}"


def python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def test_the_task_is_its_input_and_done_when_it_exits_with_0(shared: Home, queue: str) -> None:
    data = b"to: ann\0\xff" * 20_000
    assert shared.run("queue", "put", queue, "-", stdin=data).returncode == 0
    code = 'import sys, os; sys.stdout.write(f\'{len(sys.stdin.buffer.read())} {os.environ["COORD_QUEUE"]} {os.environ["COORD_ATTEMPT"]}\')'
    assert shared.ctl("queue", "run", queue, *python(code)) == f"{len(data)} {queue} 1"
    assert shared.json("queue", "show", queue)["taken"] == 0
    empty = shared.run("queue", "run", queue, "--", "true")
    assert (empty.returncode, b"has no task to run now" in empty.stderr) == (75, True)
    assert shared.run("queue", "run", queue, "-E", "9", "--wait", "100ms", "--", "true").returncode == 9


def test_what_fails_goes_back_with_the_commands_own_code(shared: Home, queue: str) -> None:
    shared.ctl("queue", "set", queue, "--backoff", "0s", "--retries", "1")
    shared.ctl("queue", "put", queue, "poison")
    assert shared.run("queue", "run", queue, *python("raise SystemExit(7)")).returncode == 7
    report = shared.folder / "report.json"
    assert shared.run("queue", "run", queue, "--report", str(report), "--", "no-such-command").returncode == 127
    assert json.loads(report.read_text())["outcome"] == "not started"
    dead = shared.json("queue", "dead", queue)
    assert (dead["attempts"], dead["note"]) == (2, "its command failed, or was ended")


def taken(shared: Home, queue: str) -> dict[str, int]:
    """The one task that somebody has, once somebody has one."""

    def look() -> str:
        return shared.ctl("queue", "tasks", queue, "--state", "taken", "-o", "json", code=None)

    found: dict[str, int] = json.loads(until(look))
    return found


def test_it_is_extended_for_as_long_as_the_command_runs(shared: Home, queue: str) -> None:
    """Its lease ends later than it did: counted from when it was put, as the cluster counts."""
    shared.ctl("queue", "put", queue, "slow")
    told = shared.folder / queue
    running = shared.start("queue", "run", queue, "--lease", "12s", "--", "sh", "-c", f"while ! test -e {told}; do sleep 0.05; done")

    def ends_ms() -> int:
        found = taken(shared, queue)
        return found["age_ms"] + found["due_ms"]

    first = ends_ms()
    until(lambda: ends_ms() > first, "nobody extends it")
    told.touch()
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert shared.json("queue", "show", queue)["ready"] == 0


def test_who_loses_its_task_is_ended_and_exits_with_79(shared: Home, queue: str) -> None:
    shared.ctl("queue", "put", queue, "work")
    running = shared.start("queue", "run", queue, "--lease", "9s", *python("import time; time.sleep(60)"))
    shared.ctl("queue", "nack", queue, str(taken(shared, queue)["token"]), "--delay", "1h")
    _, said = running.communicate(timeout=60)
    assert running.returncode == 79
    assert b"holds no task" in said
    assert b"command ended (TERM)" in said


def test_waiting_for_a_task(shared: Home, queue: str) -> None:
    waiting = shared.start("queue", "run", queue, "--wait", "30s", "--", "cat")
    until(lambda: queue in shared.ctl("queue", "ls", queue, code=None) and shared.json("queue", "show", queue)["waiting"])
    shared.ctl("queue", "put", queue, "at last")
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, b"at last")
    assert shared.json("queue", "show", queue)["taken"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_ended_while_it_waits_leaves_the_line(shared: Home, queue: str, number: signal.Signals) -> None:
    report = shared.folder / f"{queue}.json"
    shared.ctl("queue", "set", queue)
    waiting = shared.start("queue", "run", queue, "--wait", "60s", "--report", str(report), "--", "cat")
    until(lambda: shared.json("queue", "show", queue)["waiting"])
    waiting.send_signal(number)
    out, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (128 + number, b"")
    assert shared.json("queue", "show", queue)["waiting"] == 0
    told = json.loads(report.read_text())
    assert (told["outcome"], told["exit_code"]) == ("interrupted", 128 + number)
    shared.ctl("queue", "put", queue, "for the living")
    assert shared.ctl("queue", "run", queue, "--", "cat") == "for the living"


def test_a_signal_before_the_runner_listens_gives_the_task_back(tmp_path: Path) -> None:
    """In a process of its own: a runner changes what its process does about signals."""
    ran, pid = tmp_path / "ran", os.fork()
    if pid == 0:
        try:
            held = AtOnce()
            settings = Settings("task 1 of q", "touch", ending.policy(10_000))
            ended = run.run(held, ["touch", str(ran)], settings, print, lambda: int(signal.SIGTERM))
            assert (ended.outcome, ended.exit_code, held.succeeded) == (INTERRUPTED, 143, [False])
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert not ran.exists()


def test_a_hold_that_may_last_for_months(shared: Home, queue: str) -> None:
    """More milliseconds than poll takes, and nothing else to wake up for."""
    shared.ctl("queue", "put", queue, "long")
    assert shared.ctl("queue", "run", queue, "--hold-max", "720h", "--", "cat") == "long"


def test_no_queue_is_no_task(shared: Home, queue: str) -> None:
    report = shared.folder / f"{queue}.json"
    done = shared.run("queue", "run", queue, "--report", str(report), "--", "true")
    assert (done.returncode, json.loads(report.read_text())["outcome"]) == (75, "not acquired"), done.stderr
    assert shared.run("queue", "run", queue, "-E", "9", "--", "true").returncode == 9


def test_a_runner_that_is_killed_leaves_its_task_to_the_lease(shared: Home, queue: str) -> None:
    shared.ctl("queue", "set", queue, "--backoff", "0s")
    shared.ctl("queue", "put", queue, "work")
    running = shared.start("queue", "run", queue, "--lease", "4s", *python("import time; time.sleep(60)"))
    until(lambda: shared.json("queue", "show", queue)["taken"] == 1)
    running.kill()
    running.communicate(timeout=60)
    began = time.monotonic()
    assert shared.ctl("queue", "run", queue, "--wait", "60s", "--", "cat") == "work"
    assert time.monotonic() - began < 4 + BUSY_SECONDS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "q"), "which command?"),
        (("run", "q", "-o", "json", "--", "true"), "standard output is the command's"),
        (("run", "q", "--leftover", "keep", "--", "true"), "choose from wait, kill, release"),
        (("run", "", "--", "true"), "the queue has no name"),
    ],
)
def test_bad_input_is_named(shared: Home, arguments: tuple[str, ...], sentence: str) -> None:
    done = shared.run("queue", *arguments)
    assert (done.returncode, done.stdout) == (64, b"")
    assert sentence in done.stderr.decode()
