"""Runs of `coordctl lock run` as a test sees them: started, waited for, and nothing of them left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from coordctl.runner.source import Closed, Granted, Told
from tests.processes.local import Home

PATIENCE_SECONDS = 120.0
BUSY_SECONDS = 10.0  # what a machine with other work may add to a bound; benchmarks hold the true ones


class AtOnce:
    """A Source that is granted at once."""

    def __init__(self) -> None:
        self.told: list[Told] = [Granted(7, 2**62, {})]
        self.succeeded: list[bool] = []

    def descriptor(self) -> tuple[int, int]:
        return -1, 0

    def on_ready(self, now_ms: int) -> None: ...

    def poll(self, now_ms: int) -> list[Told]:
        told, self.told = self.told, []
        return told

    def wake_at_ms(self) -> int | None:
        return None

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        self.succeeded.append(succeeded)
        self.told.append(Closed())

    def hang_up(self) -> None: ...


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Waits for something to be true, and returns it."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        looked = time.monotonic()
        found = condition()
        if found:
            return found
        assert time.monotonic() < ends, what or "it never came true"
        time.sleep(max(0.01, min(0.1, (time.monotonic() - looked) / 2)))  # who is waited for wants the processor, too


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def marked(mark: str) -> list[int]:
    """Processes whose command line has this in it: everything that a test started carries its own mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
                if mark.encode() in words and is_alive(int(entry)):
                    found.append(int(entry))
    return found


def named(pids: list[int], name: str) -> list[int]:
    """Those that show this name in the lists of processes."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
    return found


def children(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, IndexError):
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[1]) == pid:
                    found.append(int(entry))
    return found


def guard_of(runner: int) -> int:
    return int(until(lambda: named(children(runner), "coordctl-guard"), "it has no guard")[0])


def groups(pid: int) -> tuple[int, int, int]:
    """(process group, session, foreground group of its terminal)"""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[2]), int(fields[3]), int(fields[5])


def run(home: Home, *arguments: str, stdin: bytes = b"", code: int | None = 0, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    done = home.run("lock", "run", *arguments, stdin=stdin, **environment)
    assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


@contextmanager
def started(home: Home, *arguments: str, verb: tuple[str, ...] = ("lock", "run"), **options: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Ended with everything below it, whatever the test did to it."""
    environment = {**home.environment, **options.pop("environment", {})}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-m", "coordctl", *verb, *arguments]
    process = subprocess.Popen(command, env=environment, cwd=home.folder, **streams)
    try:
        yield process
    finally:
        for pid in descendants(process.pid):  # what a red test left standing still could not end
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        with suppress(OSError):
            process.send_signal(signal.SIGCONT)
        process.kill()  # its guard ends the rest
        if process.stdin is not None and process.stdin.closed:
            process.stdin = None  # or communicate would flush it
        process.communicate(timeout=PATIENCE_SECONDS)


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """(exit code, what it said on standard error)"""
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, err.decode()


def line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().rstrip("\n")


def valid_report(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    assert sorted(found) == ["exit_code", "held_ms", "outcome", "schema", "token", "waited_ms"]
    return found


def stopped(guard: int, runner: int) -> list[int]:
    """They stand still, and so does all that the guard started: parents first, or they would start more. Some may be gone by then."""
    still: list[int] = []
    coming = [runner, guard]
    while coming:
        for pid in coming:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        still += coming
        coming = [pid for pid in descendants(guard) if pid not in still]
    return still


def descendants(pid: int) -> list[int]:
    found = children(pid)
    for each in found:
        found += children(each)
    return found
