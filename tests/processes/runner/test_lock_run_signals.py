"""Signals to `lock run`, to its command and to its guard, and what a command leaves behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import (
    BUSY_SECONDS,
    descendants,
    ended,
    guard_of,
    is_alive,
    line,
    marked,
    run,
    started,
    until,
    valid_report,
)

# --- signals -------------------------------------------------------------------------------------------------------


HEARS = """
import os, signal, sys, time
def heard(number, frame):
    os.write(1, b"%s %d\\n" % (sys.argv[1].encode(), number))
for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"):
    signal.signal(getattr(signal, "SIG" + name), heard)
os.write(1, sys.argv[1].encode() + b" ready\\n")
while True:
    time.sleep(60)
"""


def test_each_signal_reaches_the_whole_group_exactly_once(shared: Home) -> None:
    hears = shared.folder / "hears.py"
    hears.write_text(HEARS)
    script = f'"{sys.executable}" "{hears}" child & exec "{sys.executable}" "{hears}" parent'
    with started(shared, "signals", "--", "sh", "-c", script) as running:
        assert {line(running), line(running)} == {"child ready", "parent ready"}
        for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"):
            number = getattr(signal, f"SIG{name}")
            running.send_signal(number)
            assert {line(running), line(running)} == {f"child {number:d}", f"parent {number:d}"}
        # Had any come twice, it would stand before these.
        running.send_signal(signal.SIGUSR1)
        assert {line(running), line(running)} == {f"child {signal.SIGUSR1:d}", f"parent {signal.SIGUSR1:d}"}


def test_a_signal_that_ends_the_command_is_its_exit_code(shared: Home) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with started(shared, "ended", "--", sys.executable, "-c", f"{RESET}; print('on', flush=True); time.sleep(60)") as running:
            assert line(running) == "on"
            running.send_signal(number)
            assert ended(running) == (128 + number, "")


RESET = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL)"


def test_what_was_ignored_before_stays_ignored(shared: Home) -> None:
    script = f'trap "" HUP; exec "{sys.executable}" -m coordctl lock run nohup -- sh -c "kill -HUP \\$\\$; echo lives"'
    done = subprocess.run(["sh", "-c", script], env=shared.environment, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, b"lives\n")


def test_the_command_starts_with_clean_signals(shared: Home) -> None:
    script = "grep -E 'SigBlk|SigIgn' /proc/self/status"
    plain = subprocess.run(["sh", "-c", script], capture_output=True, check=True, restore_signals=True).stdout
    assert run(shared, "clean", "--", "sh", "-c", script).stdout == plain


@pytest.mark.each_engine
def test_a_signal_while_waiting_ends_the_wait_and_leaves_the_line(shared: Home) -> None:
    report = shared.folder / "report"
    with started(shared, "queue", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        with started(shared, "queue", "-v", "--report", str(report), "--", "echo", "mine") as waiter:
            assert waiter.stderr is not None
            assert b"queue is held by" in waiter.stderr.readline()
            waiter.send_signal(signal.SIGTERM)
            assert ended(waiter)[0] == 143
        assert valid_report(report)["outcome"] == "interrupted"
        assert shared.json("lock", "show", "queue")["waiters"] == []


# --- the guard -----------------------------------------------------------------------------------------------------


def test_killing_the_runner_leaves_nothing_behind(shared: Home, mark: str) -> None:
    """Those that called setsid included, and one that clears its environment and forks twice."""
    daemon = f"(setsid env -i sh -c 'sleep 444 & exec sleep 445 {mark}' &)"
    script = f"sleep 41 & setsid sh -c 'sleep 42; : {mark}' & {daemon}; echo on; sleep 43; : {mark}"
    with started(shared, "orphans", "--ttl", "10s", "--note", mark, "--", "sh", "-c", script) as running:
        assert line(running) == "on"
        guard = guard_of(running.pid)
        family = until(lambda: [pid for pid in descendants(guard) if is_alive(pid)])
        until(lambda: len(descendants(guard)) >= 6)
        family = descendants(guard)
        killed = time.monotonic()
        running.kill()
        until(lambda: not any(is_alive(pid) for pid in [*family, guard]), "processes are left")
        assert time.monotonic() - killed < 10 + BUSY_SECONDS, "before the deadline"
    assert marked(mark) == []


@pytest.mark.each_engine
def test_a_runner_killed_while_it_waits_leaves_nothing_behind(shared: Home, mark: str) -> None:
    with started(shared, "waits", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        with started(shared, "waits", "-v", "--ttl", "1s", "--note", mark, "--", "sleep", "60") as waiter:
            assert waiter.stderr is not None
            waiter.stderr.readline()
            waiter.kill()
            until(lambda: marked(mark) == [])
        until(lambda: shared.json("lock", "show", "waits")["waiters"] == [], "its session ends with its lease")


def test_killing_the_guard_counts_as_a_loss(shared: Home, mark: str) -> None:
    script = f"setsid sh -c 'sleep 60; : {mark}' & echo on; sleep 60; : {mark}"
    with started(shared, "guarded", "--note", mark, "--", "sh", "-c", script) as running:
        assert line(running) == "on"
        os.kill(guard_of(running.pid), signal.SIGKILL)
        code, said = ended(running)
        assert code == 79
        assert "the guard of its command was killed; command ended (TERM)" in said
        assert marked(mark) == []


def test_a_command_that_ignores_term_is_killed_before_the_deadline(shared: Home, mark: str) -> None:
    script = f"trap '' TERM; echo on; while :; do sleep 1; : {mark}; done"
    with started(shared, "stubborn", "--ttl", "3s", "--note", mark, "--", "sh", "-c", script) as running:
        assert line(running) == "on"
        killed = time.monotonic()
        running.kill()
        until(lambda: marked(mark) == [])
        assert time.monotonic() - killed < 3 + BUSY_SECONDS


# --- what the command leaves behind --------------------------------------------------------------------------------


WORKS_UNTIL_TOLD = "while [ ! -e told ]; do sleep 0.05; done; sleep 0.2; rm told"
LEAVES = {
    "a background child": "sh -c '{works}' & echo on",
    "a setsid child": "setsid sh -c '{works}' & sleep 0.1; echo on",
    "a double-forked daemon": "(setsid sh -c '{works}' > /dev/null 2>&1 &); sleep 0.1; echo on",
    "a pipeline": "sh -c '{works}' | cat | cat > /dev/null & sleep 0.1; echo on",
}


@pytest.mark.parametrize("script", LEAVES.values(), ids=LEAVES)
def test_the_lock_is_held_until_all_that_is_left_has_ended(shared: Home, script: str) -> None:
    told = shared.folder / "told"  # also the folder that commands run in
    told.unlink(missing_ok=True)
    with started(shared, "leftover", "--", "sh", "-c", f"exec 2>/dev/null; {script.format(works=WORKS_UNTIL_TOLD)}; exit 3") as running:
        try:
            assert line(running) == "on"
            assert running.stderr is not None
            said = running.stderr.readline().decode()
            assert "the command has ended and left" in said
            assert "held until they end" in said
            run(shared, "leftover", "--try", "--", "true", code=75)
            assert running.poll() is None
        finally:
            told.touch()
        assert ended(running)[0] == 3
        assert not told.exists(), "removing it was the last of their work"


def test_leftovers_can_be_killed_or_released(shared: Home, mark: str) -> None:
    script = f"(setsid sh -c 'trap \"\" TERM; sleep 50; : {mark}' > /dev/null 2>&1 &); sleep 0.2; exit 3"
    done = run(shared, "kill", "--leftover", "kill", "--ttl", "3s", "--", "sh", "-c", script, code=3)
    assert b"they are ended, too" in done.stderr
    assert marked(mark) == []
    done = run(shared, "release", "--leftover", "release", "--", "sh", "-c", script, code=3)
    assert b"released all the same" in done.stderr
    left = marked(mark)
    assert left != []
    run(shared, "release", "--try", "--", "true")
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def test_a_signal_ends_what_is_waited_for(shared: Home, mark: str) -> None:
    script = f"(setsid sh -c 'sleep 50; : {mark}' >/dev/null 2>&1 &); sleep 0.2; exit 4"
    with started(shared, "impatient", "--", "sh", "-c", script) as running:
        assert running.stderr is not None
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        assert ended(running)[0] == 4
    assert marked(mark) == []
