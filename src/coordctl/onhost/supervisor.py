"""Keeps a member running where there is no systemd: starts it again when it ends, within a bound, and keeps what it says, within a bound.

usage: supervisor.py BASE [USER]    becomes a daemon; one for each BASE, a second one ends at once. TERM stops the member, then itself.
"""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.2, 5.0
WELL_SECONDS = 30.0  # who ran for so long is started again at once
STOP_SECONDS_MAX = 30.0
OUTPUT_BYTES_MAX = 1 << 20
LOOK_SECONDS = 5.0


class Stop(Exception):
    pass


def main(base: str, user: str) -> None:
    if user and os.geteuid() == 0:
        account = pwd.getpwnam(user)
        os.initgroups(user, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.umask(0o077)
    os.makedirs(base + "/run", exist_ok=True)
    os.makedirs(base + "/log", exist_ok=True)
    lock = os.open(base + "/run/supervisor", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    _detach(base)
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    _keep(base)


def _detach(base: str) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir(base)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def _on_signal(number: int, frame: object) -> None:
    raise Stop


def _keep(base: str) -> None:
    pause = PAUSE_SECONDS_MIN
    member = None
    try:
        while True:
            began = time.monotonic()
            with open(_output(base), "ab") as output:
                member = subprocess.Popen(
                    [sys.executable, "-sSP", base + "/current/start.py", base], stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            while member.poll() is None:
                try:
                    member.wait(LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    _bound(base)
            if time.monotonic() - began > WELL_SECONDS:
                pause = PAUSE_SECONDS_MIN
            time.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
    except Stop:
        if member is not None and member.poll() is None:
            member.terminate()
            try:
                member.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                member.kill()
                member.wait()


def _output(base: str) -> str:
    path = base + "/log/member.out"
    if os.path.exists(path) and os.path.getsize(path) > OUTPUT_BYTES_MAX // 2:
        os.replace(path, path + ".1")
    return path


def _bound(base: str) -> None:
    """While it runs, too: what was said before is put aside, the member goes on writing into the same file."""
    path = base + "/log/member.out"
    if os.path.getsize(path) > OUTPUT_BYTES_MAX:
        with open(path, "rb") as file:
            file.seek(-OUTPUT_BYTES_MAX // 2, os.SEEK_END)
            kept = file.read()
        with open(path + ".1", "wb") as file:
            file.write(kept)
        os.truncate(path, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
