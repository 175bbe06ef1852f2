"""Kills a process with -9 right before one of the things that it does to the world. Python imports this when it starts.

    COORD_DIES='{"who": WHO, "label": LABEL, "ordinal": 1, "folder": FOLDER, "count": COUNT_FILE}'

WHO: `ctl` for a `coordctl chaos inject` or `run`; `a` or `b` for that reaper; `any` for them all. What counts: files below FOLDER made,
written, renamed or removed; processes started or signalled; what the proxies are told. It dies before the so-manieth of those with
that label: what is done, without names that differ from run to run. Without a label nobody dies. COUNT_FILE.WHO has a line for each that
there was so far: its label, and what it was. Once one has died there is COUNT_FILE.died, so that who is started in its place lives.
"""

import json
import os
import re
import sys

LOOKED_AT = ("/reaper-", "proxy.lock", "run.lock")  # again and again, in loops: who holds it is asked by opening it
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.truncate", "shutil.rmtree")
SAME = (
    (r"chaos-run-\w+", "RUN"),
    (r"\b[0-9a-f]{8}(?=[.-])", "ID"),
    (r"^(open|remove) /\w{8}$", r"\1 /PROBE"),  # of the module tempfile, which looks where it may write
    (r"\bn[0-9]\b", "MEMBER"),
    (r"[0-9]+", "N"),
)


def label(what: str) -> str:
    for pattern, name in SAME:
        what = re.sub(pattern, name, what)
    return what


def _who_we_are() -> str:
    """Empty: nobody of these."""
    words = sys.orig_argv
    if "coordctl.chaos.reapers" in words:
        return words[-1]
    return "ctl" if "coordctl" in words and "chaos" in words and {"inject", "run"} & {*words} else ""


def _arm(name: str, fatal: str, ordinal: int, folder: str, count_file: str) -> None:
    import signal
    from typing import Any

    count = os.open(f"{count_file}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    met = 0

    def meet(what: str) -> None:
        nonlocal met
        what = what.replace(folder, "")
        os.write(count, f"{label(what)}\t{what}\n".encode(errors="replace"))
        met += label(what) == fatal
        if met == ordinal and label(what) == fatal:
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
            words = list(map(str, details[1]))
            meet(f"start {words[words.index('-m') + 1 :][0] if '-m' in words else words[0]}")
            return
        elif event == "http.client.send":
            if bytes(details[1])[:5] in (b"POST ", b"DELET"):
                meet(bytes(details[1]).partition(b" HTTP")[0].decode())
            return
        elif event in CHANGES:
            path = details[0]
        else:
            return
        text = str(path)
        if text.startswith(folder) and not any(part in text for part in LOOKED_AT):
            meet(f"{event.removeprefix('os.')} {text}")

    real_send = signal.pidfd_send_signal

    def send(*details: Any) -> None:
        """Which makes no event of its own."""
        meet(f"signal {signal.Signals(details[1]).name}")
        real_send(*details)

    signal.pidfd_send_signal = send
    sys.addaudithook(on_event)


if "COORD_DIES" in os.environ:
    _asked = json.loads(os.environ["COORD_DIES"])
    if _who_we_are() and _asked["who"] in (_who_we_are(), "any"):
        _arm(_who_we_are(), _asked["label"], _asked["ordinal"], _asked["folder"], _asked["count"])
