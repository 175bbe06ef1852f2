"""The contract of `lock run` (docs/lock-run.md) without a terminal: the real binary, real members; its command, its exit codes, once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import (
    BUSY_SECONDS,
    ended,
    groups,
    guard_of,
    is_alive,
    line,
    marked,
    run,
    started,
    until,
    valid_report,
)

SHOW_ARGUMENTS = "import sys, json; print(json.dumps(sys.argv[1:]))"


# --- the command ---------------------------------------------------------------------------------------------------


def test_arguments_reach_the_command_as_they_are(shared: Home) -> None:
    odd = ["two words", "$HOME", "", "*", "a'b\"c", "--", "-v", "--try", "ünï"]
    done = run(shared, "args", "--", sys.executable, "-c", SHOW_ARGUMENTS, *odd)
    assert json.loads(done.stdout) == odd


def test_streams_pass(shared: Home) -> None:
    done = run(shared, "streams", "--", "sh", "-c", "cat; echo beside >&2", stdin=b"\x00bytes\n")
    assert (done.stdout, done.stderr) == (b"\x00bytes\n", b"beside\n")
    with open(shared.folder / "three", "wb") as three:
        script = f"import os; os.write({three.fileno()}, b'there\\n')"
        with started(shared, "streams", "--", sys.executable, "-c", script, pass_fds=[three.fileno()]) as running:
            assert ended(running)[0] == 0
    assert (shared.folder / "three").read_bytes() == b"there\n"


def test_the_reader_of_its_output_waits_for_the_command_only(shared: Home) -> None:
    with started(shared, "reader", "--", "sh", "-c", "echo first; exec >&-; cat >/dev/null", stdin=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.read() == b"first\n", "the end is seen while the command still runs"
        assert running.poll() is None
        running.stdin.close()
        assert running.wait(30) == 0


@pytest.mark.each_engine
def test_the_environment(shared: Home) -> None:
    script = 'echo "$COORD_LOCK $COORD_TOKEN $COORD_SESSION $COORD_DEADLINE_MS ${COORD_AUTH_TOKEN_FILE-gone}"'
    secret = shared.folder / "secret"
    secret.write_text("runner:wonder")
    if shared.engine == "coordnode":
        shared.ctl("auth", "user", "add", "runner")
        secret.write_text(shared.ctl("auth", "token", "add", "runner"))
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    done = run(shared, "environment/a", "--ttl", "20s", "--", "sh", "-c", script, COORD_AUTH_TOKEN_FILE=str(secret), COORD_TOKEN="older")
    name, token, session, deadline_ms, removed = done.stdout.decode().split()
    assert (name, removed) == ("environment/a", "gone")
    assert int(token) >= shared.token_min
    assert int(session) > 0
    assert before + 10_000 < int(deadline_ms) <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 + 20_000


@pytest.mark.parametrize("language", [{}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C"}], ids=repr)
def test_no_language_is_set_that_was_not_set(shared: Home, language: dict[str, str]) -> None:
    kept = {name: value for name, value in shared.environment.items() if not name.startswith(("LC_", "LANG"))}
    words = [sys.executable, "-m", "coordctl", "lock", "run", "language", "--", "env"]
    done = subprocess.run(words, env={**kept, **language}, cwd=shared.folder, capture_output=True, text=True, check=True)
    found = dict(one.split("=", 1) for one in done.stdout.splitlines() if one.startswith(("LC_", "LANG")))
    assert found == language


@pytest.mark.each_engine
def test_nesting_works_and_the_inner_environment_overrides_the_outer(shared: Home) -> None:
    inner = f"\"{sys.executable}\" -m coordctl lock run inner -- sh -c 'echo $COORD_LOCK $COORD_TOKEN'"
    done = run(shared, "outer", "--", "sh", "-c", f"echo $COORD_LOCK $COORD_TOKEN; {inner}; echo $COORD_LOCK $COORD_TOKEN")
    first, second, third = (words.split() for words in done.stdout.decode().splitlines())
    assert (first[0], second[0]) == ("outer", "inner")
    assert int(second[1]) > int(first[1])
    assert third == first


def test_an_inner_run_that_has_ended_leaves_nothing_of_its_own_to_the_outer(shared: Home) -> None:
    inner = [sys.executable, "-m", "coordctl", "lock", "run"]
    for _ in range(3):
        assert b"behind" not in run(shared, "both", "--", *inner, "both", "--try", "--", "true", code=75).stderr
        assert run(shared, "both", "--", *inner, "another", "--", "true").stderr == b""


@pytest.mark.each_engine
def test_waiting_for_what_an_outer_run_holds_is_refused_as_a_deadlock(shared: Home) -> None:
    inner = [sys.executable, "-m", "coordctl", "lock", "run", "circle", "--", "true"]
    done = run(shared, "circle", "--", *inner, code=75)
    assert b"coordctl: " in done.stderr
    assert b"circle" in done.stderr


def test_the_command_has_a_group_of_its_own_and_the_guard_a_session(shared: Home, mark: str) -> None:
    with started(shared, "group", "--note", mark, "--", "sh", "-c", "echo $$; sleep 60", start_new_session=True) as running:
        command = int(line(running))
        guard = guard_of(running.pid)
        assert groups(command)[0] == command
        assert groups(running.pid)[0] == running.pid
        assert groups(guard)[:2] == (guard, guard)
    until(lambda: not is_alive(command) and not marked(mark))


# --- exit codes ----------------------------------------------------------------------------------------------------


CODES = [
    (["true"], 0),
    (["sh", "-c", "exit 5"], 5),
    (["sh", "-c", "exit 255"], 255),
    (["sh", "-c", "kill -9 $$"], 137),
    (["sh", "-c", "kill -TERM $$"], 143),
    (["no-such-command"], 127),
    (["/no/such/command"], 127),
    ([""], 127),
    (["/etc"], 126),
    (["/etc/hostname"], 126),
    (["sh", "-c", "exit 75"], 75),
]


@pytest.mark.parametrize(("command", "code"), CODES, ids=[" ".join(command) for command, _ in CODES])
def test_the_exit_code_is_the_commands(shared: Home, command: list[str], code: int) -> None:
    report = shared.folder / "report"
    done = run(shared, "codes", "--report", str(report), "--", *command, code=code)
    found = valid_report(report)
    assert (found["exit_code"], found["outcome"]) == (code, "not started" if code in (126, 127) else "ended")
    assert bool(done.stderr) == (code in (126, 127))
    assert int(str(found["token"])) >= shared.token_min


def test_not_acquired_is_told_apart_from_the_command(shared: Home, mark: str) -> None:
    report = shared.folder / "report"
    with started(shared, "taken", "--note", mark, "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        busy = run(shared, "taken", "--try", "--report", str(report), "--", "echo", "mine", code=75)
        assert busy.stdout == b""
        said = busy.stderr.decode().splitlines()
        assert said[0].startswith(f'coordctl: taken is held by ops@{os.uname().nodename}, pid {holder.pid} "sh -c ')
        assert said[0].endswith(f" ({mark})")
        assert said[1] == "          wait with --wait 1m; see the queue with: coordctl lock show taken"
        found = valid_report(report)
        assert (found["outcome"], found["token"], found["exit_code"]) == ("not acquired", None, 75)
        began = time.monotonic()
        late = run(shared, "taken", "--wait", "2s", "-E", "9", "--", "echo", "mine", code=9)
        assert time.monotonic() - began > 2
        assert b"is still held by" in late.stderr
        bounded = run(shared, "taken", "--timeout", "4s", "--", "echo", "mine", code=75)
        assert bounded.stdout == b""
        assert shared.json("lock", "show", "taken")["waiters"] == [], "who gave up left the line"


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&1 >/dev/null | :"])
def test_what_nobody_hears_changes_no_exit_code(shared: Home, redirection: str) -> None:
    run_one = f'"{sys.executable}" -m coordctl lock run'
    with started(shared, "unheard", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        words = ["bash", "-c", f'{run_one} unheard --try -- true {redirection}; exit "${{PIPESTATUS[0]}}"']
        assert subprocess.run(words, env=shared.environment, cwd=shared.folder, check=False).returncode == 75
    left = f"{run_one} unheard-left -- sh -c '(sleep 0.2 && echo late) & exit 5' {redirection}"
    words = ["bash", "-c", f'{left}; exit "${{PIPESTATUS[0]}}"']
    assert subprocess.run(words, env=shared.environment, cwd=shared.folder, stdout=subprocess.DEVNULL, check=False).returncode == 5


def test_what_was_closed_is_closed_for_the_command(shared: Home) -> None:
    look = "import os\nfor number in range(3):\n try: os.fstat(number)\n except OSError: continue\n else: os._exit(9)"
    words = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "-", sys.executable, "-m", "coordctl", "lock", "run", "closed", "--"]
    look_at_all = [*words, sys.executable, "-c", look]
    assert subprocess.run(look_at_all, env=shared.environment, cwd=shared.folder, check=False).returncode == 0


def test_no_cluster_is_told_apart_and_does_not_hang(shared: Home) -> None:
    report = shared.folder / "report"
    nobody = run(shared, "x", "--endpoints", f"{shared.scheme}127.0.0.1:1", "--report", str(report), "--", "true", code=69)
    assert b"connection refused" in nobody.stderr
    assert valid_report(report)["outcome"] == "unreachable"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{shared.scheme}127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert b"no leader answered" in run(shared, "x", "--endpoints", address, "--timeout", "700ms", "--", "true", code=69).stderr
        assert time.monotonic() - began < 0.7 + BUSY_SECONDS


WRONG = [
    (["x"], "which command?"),
    (["x", "--ttl", "1ms", "--", "true"], "TTL is 1 ms; give 1000 to"),
    (["--", "true"], "NAME is missing"),
    (["x", "echo", "hi"], "'echo' is too much: coordctl lock run NAME [FLAG …] -- COMMAND …"),
    (["x", "--ttl", "0s", "--", "true"], "--ttl"),
    (["x", "--ttl", "-5s", "--", "true"], "--ttl"),
    (["x", "--ttl", "10", "--", "true"], "10s"),
    (["x", "--ttl", "10ms", "--", "true"], "TTL"),
    (["x", "--permits", "3/2", "--", "true"], "--permits"),
    (["x", "--shared", "--permits", "1/2", "--", "true"], "exclude"),
    (["x", "--try", "--wait", "1s", "--", "true"], "exclude"),
    (["x", "--leftover", "burn", "--", "true"], "--leftover"),
    (["x", "-E", "256", "--", "true"], "255"),
    (["x", "-o", "json", "--", "true"], "--report"),
    (["", "--", "true"], "name"),
    (["n" * 2000, "--", "true"], "name"),
    (["x", "--note", "n" * 10_000, "--", "true"], "note"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(arguments)[:30] for arguments, _ in WRONG])
def test_what_makes_no_sense_is_refused_and_nothing_runs(shared: Home, arguments: list[str], says: str) -> None:
    done = run(shared, *arguments, code=64)
    assert says in done.stderr.decode()
    assert done.stdout == b""


@pytest.mark.each_engine
def test_other_settings_than_those_who_hold_it(shared: Home) -> None:
    with started(shared, "pool", "--permits", "1/2", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        assert run(shared, "pool", "--try", "--permits", "1/2", "--", "echo", "beside").stdout == b"beside\n"
        run(shared, "pool", "--try", "--permits", "2/2", "--", "true", code=75)
        run(shared, "pool", "--try", "--permits", "1/3", "--", "true", code=64)


def test_shared_holders_are_beside_one_another(shared: Home) -> None:
    with started(shared, "readers", "--shared", "--", "sh", "-c", "echo on; sleep 60") as holder:
        assert line(holder) == "on"
        assert run(shared, "readers", "--shared", "--try", "--", "echo", "too").stdout == b"too\n"
        run(shared, "readers", "--try", "--", "true", code=75)


# --- nothing litters -----------------------------------------------------------------------------------------------


def control_groups() -> list[str]:
    return [path.name for path in Path("/sys/fs/cgroup").rglob("coordctl-*") if not is_alive(int(path.name.partition("-")[2]))]


@pytest.mark.each_engine
def test_nothing_litters(shared: Home) -> None:
    before = sorted(path.name for path in shared.folder.iterdir())
    others = control_groups()  # of runs that were killed, with all that would have tidied up
    run(shared, "clean", "--", "true")
    run(shared, "clean", "--", "no-such-command", code=127)
    with started(shared, "clean", "--", "sh", "-c", "echo on; sleep 60 # and leave nothing") as running:
        assert line(running) == "on"
        run(shared, "clean", "--try", "--", "true", code=75)
        running.send_signal(signal.SIGTERM)
        assert ended(running)[0] == 143
    sessions = shared.ctl("session", "ls", code=None)
    assert '"true"' not in sessions
    assert "and leave nothing" not in sessions, "others of this cluster may have been killed, and their sessions live on for a while"
    assert shared.run("lock", "show", "clean").returncode == 1
    assert sorted(path.name for path in shared.folder.iterdir()) == before
    until(lambda: set(control_groups()) <= {*others})


# --- once ----------------------------------------------------------------------------------------------------------


@pytest.mark.each_engine
def test_five_hosts_at_once_run_it_once(shared: Home) -> None:
    """One clock is 30 s off; a job of 10 ms is long over when the last comes."""
    out = shared.folder / "once"
    out.write_text("")
    script = f"sleep 0.01; echo ran >> {out}"
    command = [sys.executable, "-m", "coordctl", "lock", "run", "cron", "--once", "2026-11-21", "--", "sh", "-c", script]
    running = [subprocess.Popen(command, env=shared.environment, stderr=subprocess.PIPE) for _ in range(5)]
    said = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0] * 5
    assert out.read_text() == "ran\n"
    assert sorted(map(bool, said)) == [False, True, True, True, True]
    assert all(f"coordctl: 2026-11-21 was done by ops@{os.uname().nodename}, pid " in words for words in said if words)
    run(shared, "cron", "--once", "2026-11-21", "--", "sh", "-c", script)
    assert out.read_text() == "ran\n"


def test_a_run_that_failed_does_not_count_and_a_success_is_forgotten_in_time(shared: Home) -> None:
    report = shared.folder / "report"
    run(shared, "cron2", "--once", "a", "--", "sh", "-c", "exit 4", code=4)
    assert run(shared, "cron2", "--once", "a", "--keep", "1h", "--", "echo", "ran").stdout == b"ran\n"
    done = run(shared, "cron2", "--once", "a", "--report", str(report), "--", "echo", "ran")
    assert (done.stdout, valid_report(report)["outcome"]) == (b"", "done before")
    assert run(shared, "cron2", "--once", "b", "--keep", "1s", "--", "echo", "ran").stdout == b"ran\n"
    record = json.loads(shared.ctl("kv", "get", "coordctl/once/cron2/b"))
    assert record["until_unix_ms"] - record["at_unix_ms"] == 1_000
    until(lambda: time.time() * 1000 > record["until_unix_ms"])
    assert run(shared, "cron2", "--once", "c", "--", "echo", "ran").stdout == b"ran\n"
    kept = shared.ctl("kv", "ls", "coordctl/once/cron2/").split()
    assert kept == ["coordctl/once/cron2/a", "coordctl/once/cron2/c"], "later runs clean up"
    assert run(shared, "cron2", "--once", "b", "--", "echo", "ran").stdout == b"ran\n"
    assert run(shared, "cron2", "--once", "a", "--", "echo", "ran").stdout == b"", "its time is not over"
