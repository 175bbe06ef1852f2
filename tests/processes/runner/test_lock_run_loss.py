"""`lock run` loses its lock, or hands it over."""

import os
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import (
    BUSY_SECONDS,
    PATIENCE_SECONDS,
    ended,
    guard_of,
    line,
    marked,
    named,
    run,
    started,
    stopped,
    until,
    valid_report,
)

# --- loss ----------------------------------------------------------------------------------------------------------


@pytest.mark.each_engine
def test_a_broken_lock_is_noticed_at_once(shared: Home) -> None:
    report = shared.folder / "report"
    with started(shared, "broken", "--report", str(report), "--", "sh", "-c", "echo on; sleep 60") as running:
        assert line(running) == "on"
        told = shared.ctl("lock", "break", "broken", "--reason", "host retired", "--yes")
        assert told.startswith("broken: token ")
        assert " ended; holder told after " in told
        code, said = ended(running)
    assert code == 79
    assert said == f"coordctl: broken was broken by ops@{os.uname().nodename}: host retired; command ended (TERM)\n"
    found = valid_report(report)
    assert (found["outcome"], found["exit_code"]) == ("broken", 79)


def test_a_loss_that_nobody_hears_of_is_a_loss(shared: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started(shared, "unheard-loss", "--", "sh", "-c", "echo on; sleep 60", stderr=writing) as running:
        os.close(writing)
        assert line(running) == "on"
        shared.ctl("lock", "break", "unheard-loss", "--yes")
        assert running.wait(PATIENCE_SECONDS) == 79


def test_ways_to_treat_a_loss(shared: Home) -> None:
    notes = shared.folder / "notes"
    ways = {
        "kill": ("trap 'echo asked >> {f}' TERM; echo on; while :; do sleep 0.1; done", "", "command ended (KILL)"),
        "ignore": ("echo on; timeout 60 cat; echo went on >> {f}; exit 0", "went on\n", "the command goes on"),
        'echo "lost $COORD_LOCK" >> notes; kill -s USR1 -- -"$1"': (
            "trap 'echo heard >> {f}; exit 0' USR1; echo on; while :; do sleep 0.1; done",
            "lost ways\nheard\n",
            "command ended (--on-lost)",
        ),
    }
    for way, (script, left, says) in ways.items():
        notes.write_text("")
        with started(shared, "ways", "--on-lost", way, "--", "sh", "-c", script.format(f=notes), stdin=subprocess.PIPE) as running:
            assert line(running) == "on"
            shared.ctl("lock", "break", "ways", "--yes")
            assert running.stderr is not None
            assert any(says in said.decode() for said in running.stderr), way
            assert ended(running)[0] == 79, way  # the end of its input is what the command that goes on has waited for
        assert notes.read_text() == left, way


@pytest.mark.each_engine
def test_losing_the_cluster_ends_the_command_before_the_deadline(home: Home, mark: str) -> None:
    home.up(1)
    script = f"trap 'echo asked' TERM; echo on; while :; do sleep 0.1; : {mark}; done"
    with started(home, "lost", "--ttl", "6s", "--grace", "3s", "--", "sh", "-c", script) as running:
        assert line(running) == "on"
        home.kill("n1")
        killed = time.monotonic()
        assert line(running) == "asked"
        until(lambda: named(marked(mark), "sh") == [])
        assert time.monotonic() - killed < 6 + BUSY_SECONDS
        code, said = ended(running)
    assert code == 79
    assert "lost is lost: its lease was not renewed in time; command ended (KILL)" in said
    assert marked(mark) == []


@pytest.mark.each_engine
def test_a_machine_that_slept_past_the_deadline_finds_out_when_it_wakes(shared: Home, mark: str) -> None:
    """Runner, guard and command stand still until the lease is over; then nothing of the command may go on."""
    script = f"echo on; while :; do sleep 0.05; : {mark}; done"
    with started(shared, "slept", "--ttl", "3s", "--note", mark, "--", "sh", "-c", script) as running:
        assert line(running) == "on"
        still = stopped(guard_of(running.pid), running.pid)
        until(lambda: run(shared, "slept", "--try", "--", "true", code=None).returncode == 0)
        for pid in still:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        woken = time.monotonic()
        code, said = ended(running)
        assert code == 79
        assert time.monotonic() - woken < 2 + BUSY_SECONDS
        assert "lost" in said
    assert marked(mark) == []


def test_hold_max_ends_the_command_and_is_no_loss(shared: Home) -> None:
    report = shared.folder / "report"
    done = run(shared, "max", "--hold-max", "300ms", "--report", str(report), "--", "sleep", "60", code=124)
    assert b"max was held for 0.3 s (--hold-max); command ended (TERM)" in done.stderr
    assert valid_report(report)["outcome"] == "hold-max"


def test_a_guard_that_was_stopped_is_none(shared: Home, mark: str) -> None:
    with started(shared, "stopped", "--note", mark, "--", "sh", "-c", f"echo on; : {mark}; sleep 60") as running:
        assert line(running) == "on"
        os.kill(guard_of(running.pid), signal.SIGSTOP)
        shared.ctl("lock", "break", "stopped", "--yes")
        code, said = ended(running)
    assert code == 79
    assert "stopped was broken by ops" in said
    assert "; command ended (TERM)" in said
    until(lambda: marked(mark) == [])


@pytest.mark.each_engine
def test_the_lock_is_released_only_when_the_job_is_gone(shared: Home, mark: str) -> None:
    """Also when the command dies at once of a TERM that its children take their time to obey."""
    slow = "trap 'sleep 0.7; echo done; exit 0' TERM; echo on; while :; do sleep 0.05; done"
    with started(shared, "gone", "--", "sh", "-c", f'sh -c "{slow}" & wait; : {mark}') as running:
        assert line(running) == "on"
        with started(shared, "gone", "--", "sh", "-c", "echo next") as waiter:
            running.send_signal(signal.SIGTERM)
            assert running.stdout is not None
            assert line(running) == "done", "it ended in peace"
            assert line(waiter) == "next"
            assert named(marked(mark), "sh") == []


# --- hand-over -----------------------------------------------------------------------------------------------------


def test_the_next_in_line_holds_it_after_a_kill_within_the_lease_and_half_a_second(shared: Home) -> None:
    with started(shared, "over", "--ttl", "5s", "--grace", "100ms", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        with started(shared, "over", "-v", "--", "sh", "-c", "echo $COORD_TOKEN; sleep 60") as waiter:
            assert waiter.stderr is not None
            waiter.stderr.readline()
            killed = time.monotonic()
            holder.kill()
            assert int(line(waiter)) > 0
            assert time.monotonic() - killed < 5.5 + BUSY_SECONDS
        assert ended(holder)[0] == -signal.SIGKILL


@pytest.mark.each_engine
def test_the_leader_is_followed_and_the_lock_survives(home: Home) -> None:
    home.up()
    leader = str(home.json("status")["leader"])
    with started(home, "survivor", "--ttl", "12s", "--", "sh", "-c", "echo on; cat; exit 3", stdin=subprocess.PIPE) as running:
        assert line(running) == "on"
        token = home.json("lock", "show", "survivor")["holders"][0]["token"]  # type: ignore[index]
        home.kill(leader)
        assert home.json("lock", "show", "survivor")["holders"][0]["token"] == token  # type: ignore[index]
        time.sleep(4.5)  # a renewal with the new leader is due in this time
        assert running.poll() is None
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait(30) == 3
    assert home.run("lock", "show", "survivor").returncode == 1
