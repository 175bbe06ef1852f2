"""Two processes on the host that undo what is due, each of which starts the other again when it is gone.

    python -m coordctl.chaos.reapers FOLDER a

They keep the proxies running where these are installed, and end when nothing is left to undo.
What they do may be done twice, by both, and cut short anywhere: that is the same as once.
"""

import fcntl
import os
import sys
import threading
import time

from coordctl.chaos import links, undo
from coordctl.chaos.ledger import Entry, Ledger, is_held
from coordctl.local import processes
from coordctl.local.fleet import Failed
from coordnode.errors import CoordError

NAMES = ("a", "b")
POLL_SECONDS = 0.1
BOOT_SECONDS_MAX = 20.0  # from being started to having its lock
OWN_SECONDS_MAX = 2.0
GONE_SECONDS_MAX = 40.0  # one may be waiting for a member that starts
AGAIN_SECONDS = 1.0  # after an undo that did not work


def _lock_path(ledger: Ledger, name: str) -> str:
    return os.path.join(ledger.folder, f"reaper-{name}.lock")


def is_there(ledger: Ledger, name: str) -> bool:
    return is_held(_lock_path(ledger, name))


def ensure(ledger: Ledger) -> None:
    """Both run when this returns. Whoever calls holds the ledger's lock, so that neither can be about to leave."""
    missing = [name for name in NAMES if not is_there(ledger, name)]
    for name in missing:
        _start(ledger, name)
    until = time.monotonic() + BOOT_SECONDS_MAX
    while any(not is_there(ledger, name) for name in missing):
        if time.monotonic() > until:
            path = os.path.join(ledger.folder, "reapers.log")
            raise Failed(f"the reapers that would heal did not start, so nothing was broken: {' '.join(processes.tail(path, 2))}")
        time.sleep(0.01)


def await_gone(ledger: Ledger) -> None:
    """Where nothing is left to undo, so that they leave."""
    until = time.monotonic() + GONE_SECONDS_MAX
    while any(is_there(ledger, name) for name in NAMES):
        if time.monotonic() > until:
            raise Failed(f"reapers are still at work: see {os.path.join(ledger.folder, 'reapers.log')}")
        time.sleep(0.05)


def resume(ledger: Ledger) -> None:
    """After a reboot, or when all were killed: what was broken is healed, and proxies that are installed run again. So is what could
    not be undone before the cluster was stopped: whoever calls is about to start it, or has seen it run."""
    if not os.path.isdir(ledger.folder):
        return
    with ledger.locked():
        installation, entries = links.read(ledger), ledger.entries()
        if installation is None and not entries:
            return
        for entry in entries:
            if entry.awaits_start:
                ledger.end_now(entry)
        ensure(ledger)
        if installation is not None:
            links.start(ledger, installation)


def _to_heal(ledger: Ledger) -> list[Entry]:
    return [entry for entry in ledger.entries() if not entry.awaits_start]


def _start(ledger: Ledger, name: str) -> None:
    log = os.path.join(ledger.folder, "reapers.log")
    process = processes.start([ledger.cluster_folder, name], log, ledger.folder, module="coordctl.chaos.reapers")
    processes.let_go(process)


class Reaper:
    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._other = NAMES[1 - NAMES.index(name)]
        self._at_work: dict[str, threading.Thread] = {}  # a fault's id -> who tends or heals it now: none waits for another

    def turn(self) -> bool:
        """Whether there is more to do."""
        self._ledger.tidy()
        entries = _to_heal(self._ledger)
        self._at_work = {number: thread for number, thread in self._at_work.items() if thread.is_alive()}
        for entry in entries:
            if entry.id not in self._at_work:
                self._at_work[entry.id] = threading.Thread(target=self._work_at, args=(entry,), daemon=True)
                self._at_work[entry.id].start()
        return bool(self._at_work) or links.read(self._ledger) is not None

    def _work_at(self, entry: Entry) -> None:
        try:
            if not entry.is_due():
                undo.tend(self._ledger, entry)
            elif trouble := undo.heal_one(self._ledger, entry):
                self._ledger.note("not healed", entry, trouble=trouble)
                time.sleep(AGAIN_SECONDS)
        except Exception:
            time.sleep(AGAIN_SECONDS)
            raise  # into reapers.log

    def watch(self) -> None:
        if not is_there(self._ledger, self._other):
            _start(self._ledger, self._other)
        installation = links.read(self._ledger)
        if installation is not None:
            links.start(self._ledger, installation)


def main(argv: list[str]) -> int:
    folder, name = argv
    ledger = Ledger(folder)
    lock = os.open(_lock_path(ledger, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _own(lock):
        return 0  # another one was faster
    reaper = Reaper(ledger, name)
    watched = 0.0
    while os.path.isdir(ledger.folder):  # else the cluster was purged, or taken away by hand
        try:
            has_more = reaper.turn()
            if not has_more:
                with ledger.locked():
                    if not _to_heal(ledger) and links.read(ledger) is None:
                        links.stop(ledger)
                        os.close(lock)
                        return 0
            if has_more and time.monotonic() - watched > OWN_SECONDS_MAX:  # whoever was started needs a moment to have its lock
                reaper.watch()
                watched = time.monotonic()
        except CoordError as error:
            os.write(2, f"{error.sentence}\n".encode())  # into reapers.log
            time.sleep(AGAIN_SECONDS)
        except FileNotFoundError:
            continue
        processes.reap()
        time.sleep(POLL_SECONDS)
    return 0


def _own(lock: int) -> bool:
    """Somebody may just be looking whether it is held."""
    until = time.monotonic() + OWN_SECONDS_MAX
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
