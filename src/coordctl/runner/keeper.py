"""Holds a lock for a process that is not ours: renews it as long as that lives, and lets go of it then."""

from __future__ import annotations

import os
import select

from coordctl.hot.bare import signal
from coordctl.runner.command import FORWARDED, open_descriptors
from coordctl.runner.held import HeldClaim
from coordctl.runner.source import POLL_MS_MAX, Closed, Granted, Lost, News, Refused, heard
from coordnode.client.clock import now_ms
from coordnode.errors import BadRequest
from coordnode.light import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENDS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
STANDARD_ERROR = 2


class Interrupted(NamedTuple):
    number: int  # of the signal


class Watched:
    """One process, surely the same for all its life: a pid alone may be another's later."""

    def __init__(self, pid: int) -> None:
        try:
            self.descriptor = os.pidfd_open(pid)
        except (OSError, OverflowError):
            raise BadRequest(f"there is no process {pid}: give one that lives, such as $$") from None

    def has_ended(self) -> bool:
        return bool(_ready({self.descriptor: select.POLLIN}, 0))


def inherited() -> list[int]:
    """What is open beside the standard streams before we have opened anything."""
    found = []
    for descriptor in open_descriptors():
        with suppress(OSError):  # it was that of the list
            os.fstat(descriptor)
            found.append(descriptor)
    return [descriptor for descriptor in found if descriptor > STANDARD_ERROR]


def wait(held: HeldClaim, watched: Watched | None, say: Callable[[str], None]) -> Granted | Refused | Interrupted | None:
    """None: the process ended first. A signal does not end us here: whoever called lets go first."""
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.getsignal(number) for number in ENDS}
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    for number in ENDS:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    try:
        return _wait(held, watched, woken, say)
    finally:
        signal.set_wakeup_fd(-1)
        for number in ENDS:
            signal.signal(number, before[number])
        os.close(woken)
        os.close(wakes)


def _wait(held: HeldClaim, watched: Watched | None, woken: int, say: Callable[[str], None]) -> Granted | Refused | Interrupted | None:
    others = {woken: select.POLLIN, **({} if watched is None else {watched.descriptor: select.POLLIN})}
    while True:
        granted: Granted | Refused | None = None
        for told in heard(held, now_ms()):
            if isinstance(told, Granted | Refused):
                granted = told
            elif isinstance(told, News):
                say(f"coordctl: {told.sentence}")
        with suppress(BlockingIOError):
            return Interrupted(os.read(woken, 1)[0])
        if granted is not None:
            return granted
        if watched is not None and watched.has_ended():
            return None
        _turn(held, others)


def let_go(held: HeldClaim) -> str:
    """What is left, in words; "": nothing."""
    held.close(now_ms(), succeeded=False)
    while True:
        for told in heard(held, now_ms()):
            if isinstance(told, Closed):
                return told.sentence
        _turn(held, {})


def leave_behind(held: HeldClaim, watched: Watched, inherited: Sequence[int]) -> int:
    """The pid of the keeper, which has the connection from here on."""
    pid = os.fork()
    if pid == 0:
        try:
            _keep(held, watched, inherited)
        finally:
            os._exit(0)
    return pid


def _keep(held: HeldClaim, watched: Watched, inherited: Sequence[int]) -> None:
    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    for descriptor in inherited:  # somebody may wait for the end of a pipe that we were given
        with suppress(OSError):
            os.close(descriptor)
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes)
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    while True:
        if any(isinstance(told, Lost) for told in heard(held, now_ms())):
            break
        if _turn(held, {watched.descriptor: select.POLLIN, woken: select.POLLIN}):
            break
    with suppress(OSError):
        let_go(held)


def _turn(held: HeldClaim, others: dict[int, int]) -> list[int]:
    """Those of the others that are ready."""
    descriptor, interest = held.descriptor()
    wake_at_ms = held.wake_at_ms()
    patience_ms = None if wake_at_ms is None else max(0, wake_at_ms - now_ms())
    ready = _ready({**others, **({descriptor: interest} if descriptor >= 0 else {})}, patience_ms)
    if descriptor in ready:
        held.on_ready(now_ms())
    return [other for other in ready if other in others]


def _ready(watched: dict[int, int], patience_ms: int | None) -> list[int]:
    poll = select.poll()
    for descriptor, interest in watched.items():
        poll.register(descriptor, interest)
    return [descriptor for descriptor, _ in poll.poll(None if patience_ms is None else min(patience_ms, POLL_MS_MAX))]
