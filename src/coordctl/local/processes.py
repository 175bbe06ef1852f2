"""Member processes on this machine: started detached, recognised by pid and start time, and never confused with a later process."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

RUNNING_POLL_SECONDS = 0.01

_let_go: set[int] = set()  # children


def started_mark(pid: int) -> str:
    """What tells this process from any other that ever had its pid; "": there is no such process (a zombie is none)."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
        except (OSError, IndexError):
            return ""
        return "" if fields[0] in (b"Z", b"X") else f"{boot}:{fields[19].decode()}"
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""


def is_running(pid: int, started: str) -> bool:
    return pid > 0 and bool(started) and started_mark(pid) == started


def is_stopped(pid: int, started: str) -> bool:
    """By SIGSTOP, or by who debugs it."""
    if not is_running(pid, started):
        return False
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
        except (OSError, IndexError):
            return False
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def age_seconds(pid: int) -> float:
    """Since it was started; 0: it is not there."""
    if sys.platform == "linux":
        ticks = started_mark(pid).rpartition(":")[2]
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK") if ticks else 0.0
    import psutil

    try:
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def start(arguments: list[str], log_path: str, folder: str, module: str = "coordnode") -> "subprocess.Popen[bytes]":
    """`python -m coordnode …`"""
    return start_program([sys.executable, "-P", "-m", module, *arguments], log_path, folder)


def start_program(argv: list[str], log_path: str, folder: str) -> "subprocess.Popen[bytes]":
    """In a session of its own; what it says goes to the log."""
    environment = dict(os.environ)
    if environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in environment["PYTHONPATH"].split(os.pathsep))
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )


def with_words(*words: str) -> int:
    """A process as below; 0: there is none."""
    return next(each_with_words(*words), 0)


def each_with_words(*words: str) -> Iterator[int]:
    """The processes in whose command line each of these stands as a word."""
    wanted = {os.fsencode(word) for word in words}
    for entry in os.listdir("/proc") if sys.platform == "linux" else ():
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                is_meant = wanted <= set(file.read().split(b"\0"))
        except OSError:
            continue
        if is_meant and entry.isdecimal():
            yield int(entry)


def let_go(process: "subprocess.Popen[bytes]") -> None:
    """It lives on after us: Popen need not complain that nobody waited for it. Whoever lives long calls `reap`."""
    if process.poll() is None:
        process.returncode = 0
        _let_go.add(process.pid)


def reap() -> None:
    """Those that were let go and ended; who waits for a process of his own finds it."""
    for pid in tuple(_let_go):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _let_go.discard(pid)


def send(pid: int, started: str, number: signal.Signals) -> bool:
    """Whether it was this very process that got the signal."""
    if not hasattr(os, "pidfd_open"):
        if not is_running(pid, started):
            return False
        os.kill(pid, number)
        return True
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The descriptor stands for one process: if the mark fits now, the signal cannot reach another.
        if not is_running(pid, started):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def wait_gone(pid: int, started: str, seconds: float) -> bool:
    """Whether it ended within that time."""
    until = time.monotonic() + seconds
    if not hasattr(os, "pidfd_open"):
        while is_running(pid, started) and time.monotonic() < until:
            time.sleep(RUNNING_POLL_SECONDS)
        return not is_running(pid, started)
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if is_running(pid, started):
            select.select([descriptor], [], [], max(0.0, seconds))
        return not is_running(pid, started)
    finally:
        os.close(descriptor)


def tail(path: str, lines: int) -> list[str]:
    """The last lines of a log, as far as there are any."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
