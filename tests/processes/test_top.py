"""`top` on a terminal and off it."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from coordctl.local import processes
from tests.processes.local import Home
from tests.processes.members import wait_until

PATIENCE_S = 60.0


def test_what_happened_between_two_looks(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    with home.start("lock", "run", "busy", "--", "sleep", "100") as holder:
        found = home.json("top", "--once")
        holder.terminate()
        holder.wait(PATIENCE_S)
    [member] = found["members"]  # type: ignore[misc]
    assert (found["outcome"], found["leader"], member["name"], member["role"]) == ("answered", "n1", "n1", "leader")  # type: ignore[index]
    assert found["over_ms"] >= 1_000  # type: ignore[operator]
    assert member["cpu_percent"] >= 0  # type: ignore[index]
    assert member["asks_per_s"] is not None  # type: ignore[index]
    shown = home.ctl("top", "--once", "--sort", "fsync").splitlines()
    assert "FSYNC99*" in shown[2]
    assert max(map(len, shown)) <= 80

    # On a terminal: drawn anew, sorted by a key, ended by another.
    main, process = on_a_terminal(home)
    screen = wait_shown(main, b"", b"q ends it")
    os.write(main, b"f")
    screen = wait_shown(main, screen, b"FSYNC99*")
    os.write(main, b"q")
    wait_shown(main, screen, b"\x1b[?1049l")
    assert process.wait(PATIENCE_S) == 0
    os.close(main)

    # Suspended, it gives the screen back, and takes it again; ended, it gives it back.
    main, process = on_a_terminal(home)
    wait_shown(main, b"", b"q ends it")
    process.send_signal(signal.SIGTSTP)
    wait_shown(main, b"", b"\x1b[?1049l")
    wait_until(lambda: processes.is_stopped(process.pid, processes.started_mark(process.pid)), "it is suspended")
    process.send_signal(signal.SIGCONT)
    wait_shown(main, b"", b"\x1b[?1049h")
    wait_shown(main, b"", b"q ends it")
    process.terminate()
    wait_shown(main, b"", b"\x1b[?1049l")
    assert process.wait(PATIENCE_S) == -signal.SIGTERM
    os.close(main)


def on_a_terminal(home: Home) -> "tuple[int, subprocess.Popen[bytes]]":
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "coordctl", "top", "--every", "200ms"],
        stdin=other,
        stdout=other,
        stderr=other,
        env={**home.environment, "TERM": "xterm"},
        cwd=home.folder,
        process_group=0,  # one whose parents are all elsewhere would not be suspended
    )
    home.others.append(process)
    os.close(other)
    return main, process


def wait_shown(terminal: int, before: bytes, wanted: bytes) -> bytes:
    shown, until = before, time.monotonic() + PATIENCE_S
    while wanted not in shown:
        assert time.monotonic() < until, shown[-2000:]
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65_536)
    return shown
