"""Kills a process with -9 right before the so-manieth thing that it does to the world. Python imports this when it starts.

    COORD_DIES='WHO POINT FOLDER COUNT_FILE'

WHO: `ctl` for a `coordctl chaos inject` or `run`; `a` or `b` for that reaper; `any` for them all. What counts: files below FOLDER made,
written, renamed or removed; processes started or signalled; what the proxies are told. POINT 0 never comes. COUNT_FILE.WHO holds how many
there were so far, and once one has died there is COUNT_FILE.died, so that who is started in its place lives.
"""

import os
import sys

LOOKED_AT = ("/reaper-", "proxy.lock", "run.lock")  # again and again, in loops: who holds it is asked by opening it
CHANGES = {
    "os.rename": 1,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
    "shutil.rmtree": 1,
}


def _who_we_are() -> str:
    """Empty: nobody of these."""
    words = sys.orig_argv
    if "coordctl.chaos.reapers" in words:
        return words[-1]
    return "ctl" if "coordctl" in words and "chaos" in words and {"inject", "run"} & {*words} else ""


def _arm(name: str, point: int, folder: str, count_file: str) -> None:
    import signal
    from typing import Any

    count = os.open(f"{count_file}.{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    met = 0

    def meet() -> None:
        nonlocal met
        met += 1
        os.pwrite(count, b"%d" % met, 0)
        if met == point:
            try:
                os.close(os.open(f"{count_file}.died", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    def on_event(event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = details
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event == "subprocess.Popen":
            meet()
            return
        elif event == "http.client.send":
            if bytes(details[1])[:5] in (b"POST ", b"DELET"):
                meet()
            return
        elif event in CHANGES:
            path = details[0]
        else:
            return
        text = str(path)
        if text.startswith(folder) and not any(part in text for part in LOOKED_AT):
            meet()

    real_send = signal.pidfd_send_signal

    def send(*details: Any) -> None:
        """Which makes no event of its own."""
        meet()
        real_send(*details)

    signal.pidfd_send_signal = send
    sys.addaudithook(on_event)


if "COORD_DIES" in os.environ:
    _who, _point, _folder, _count = os.environ["COORD_DIES"].split()
    if _who_we_are() and _who in (_who_we_are(), "any"):
        _arm(_who_we_are(), int(_point), _folder, _count)
