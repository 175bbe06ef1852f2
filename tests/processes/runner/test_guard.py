"""The guard keeps the deadline whatever it meets. Without a cluster: what is held is granted by the test."""

import fcntl
import os
import signal
import time
from contextlib import suppress

import pytest

from coordctl.runner import command, ending, kernel, run, words
from coordctl.runner.job import GUARD_DIED, Job
from coordctl.runner.rules import Settings
from coordnode.client.clock import now_ms
from tests.processes.runner.alone import alone
from tests.processes.runner.jobs import BUSY_SECONDS, AtOnce, children, ended, guard_of, is_alive, line, marked, until

PIPE_BYTES = 4_096


def test_nobody_who_does_not_read_our_standard_error_prolongs_the_job(mark: str) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with alone("sh", "-c", f"echo on; sleep 30; : {mark}", stderr=writing) as running:
        assert line(running) == "on"
        os.set_blocking(writing, False)  # it is the runner's and the guard's description, too
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x")
        os.set_blocking(writing, True)
        running.kill()
        killed = time.monotonic()
        until(lambda: marked(mark) == [], "it outlived its lease")
        assert time.monotonic() - killed < 1.5 + BUSY_SECONDS
    os.close(reading)
    os.close(writing)


def test_the_guard_is_heard_where_python_does_not_buffer() -> None:
    with alone("sh", "-c", "echo on; exec sleep 30", ttl_ms=60_000, environment={"PYTHONUNBUFFERED": "1"}) as running:
        assert line(running) == "on"
        running.kill()
        assert ended(running)[1] == "coordctl: the runner was killed; the command it ran is ended\n"


def test_a_command_hears_what_came_before_it_was_one(mark: str) -> None:
    with alone("sh", "-c", f"sleep 30; : {mark}", ttl_ms=60_000, granted_after_ms=700) as running:
        guard = guard_of(running.pid)
        (waiting,) = until(lambda: children(guard))
        os.kill(waiting, signal.SIGSTOP)
        time.sleep(1)
        running.send_signal(signal.SIGTERM)
        os.kill(waiting, signal.SIGCONT)
        assert ended(running)[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize("granted_after_ms", [700, 60_000])
def test_nobody_need_continue_what_is_stopped_before_it_is_the_command(mark: str, granted_after_ms: int) -> None:
    with alone("sh", "-c", f"sleep 30; : {mark}", granted_after_ms=granted_after_ms) as running:
        guard = guard_of(running.pid)
        (waiting,) = until(lambda: children(guard))
        os.kill(waiting, signal.SIGSTOP)
        time.sleep(1)
        running.kill()
        until(lambda: not is_alive(guard) and marked(mark) == [])


def test_a_guard_that_finds_the_lease_over_starts_nothing() -> None:
    job = Job(["true"], ending.policy(1_500), command.inherited(), shares_terminal=False, say=print)
    job.start({}, -1, now_ms() - 1)
    told: list[words.Word] = []
    until(lambda: told.extend(job.receive(now_ms())) or any(word[0] == words.GONE for word in told))
    job.leave()
    assert words.STARTED not in [word[0] for word in told]


def test_what_is_released_is_nothing_that_is_being_ended(mark: str) -> None:
    """The command obeys TERM at once, its worker does not: `--leftover release` is about those that outlive a command in peace."""
    script = f"sh -c 'trap \"\" TERM; echo on; sleep 30; sleep 30; : {mark}'; : {mark}"
    with alone("sh", "-c", script, leftover="release") as running:
        assert line(running) == "on"
        killed = time.monotonic()
        running.kill()
        until(lambda: marked(mark) == [], "its worker goes on")
        assert time.monotonic() - killed < 1.5 + BUSY_SECONDS


def test_a_guard_that_cannot_begin_leaves_nothing_to_adopt(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(command, "prepare", prepare)
    job = Job(["true"], ending.policy(1_500), command.inherited(), shares_terminal=False, say=print)
    job.start({}, -1, now_ms() + 1_500)  # granted before it was there
    told: list[words.Word] = []
    until(lambda: told.extend(job.receive(now_ms())) or any(word[0] == words.GONE for word in told))
    job.leave()
    assert [word[0] for word in told] == [GUARD_DIED, words.GONE]


def test_who_cannot_have_a_guard_lets_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object, **_also: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    pid = os.fork()
    if pid == 0:
        is_well = False
        try:
            monkeypatch.setattr(run, "Job", no_more)
            held, said = AtOnce(), list[str]()
            ended = run.run(held, ["true"], Settings("x", "true", ending.policy(10_000), 9), said.append)
            is_well = (ended.outcome, ended.exit_code, held.succeeded) == ("not acquired", 9, [False])
            is_well = is_well and said == ["coordctl: the command could not be started: Resource temporarily unavailable; try again"]
        finally:
            os._exit(0 if is_well else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_guard_is_dead_before_its_orphans_are_looked_for() -> None:
    """The kernel closes what it had open first, and only then gives us its children."""
    adopter = os.fork()
    if adopter == 0:
        is_well = False
        try:
            is_well = knows_that_its_command_lives()
        finally:
            os._exit(0 if is_well else 1)
    assert os.waitpid(adopter, 0)[1] == 0


def knows_that_its_command_lives() -> bool:
    kernel.adopt_orphans()
    job = Job(["sleep", "30"], ending.policy(1_500, ending.IGNORE), command.inherited(), shares_terminal=False, say=print)
    job.start({}, -1, now_ms() + 60_000)
    told: list[words.Word] = []

    def hears(kind: str) -> bool:
        told.extend(job.receive(now_ms()))
        return kind in [word[0] for word in told]

    until(lambda: hears(words.STARTED))
    waitid = os.waitid
    waited: list[int] = []

    def late(kind: int, pid: int, options: int) -> object:
        waited.append(pid)
        if kind == os.P_PID and job.guard not in waited:
            raise ChildProcessError
        return waitid(kind, pid, options)

    os.waitid = late  # type: ignore[assignment]
    os.kill(job.guard, signal.SIGKILL)
    until(lambda: hears(GUARD_DIED))
    assert job._warden is not None
    lives = not job._warden.family.is_reaped
    job.end(ending.HOLD_MAX, now_ms())
    until(lambda: hears(words.GONE))
    return lives
