"""The guard: a process between runner and command that adopts all orphans of the job, and outlives whoever is killed above it.

It stands in a session of its own. Only where there is a terminal it has to share the runner's and make do with a group of
its own: a command whose parent is of another session is an orphan to the terminal, and Ctrl-Z does not stop orphans.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, start_new_thread

from coordctl.hot.bare import signal
from coordctl.runner import cgroup, command, ending, words
from coordctl.runner.command import FORWARDED, JOB_CONTROL, Go, Inherited
from coordctl.runner.family import Family
from coordctl.runner.kernel import BootTimer, adopt_orphans, call_us
from coordctl.runner.source import POLL_MS_MAX
from coordctl.runner.warden import Warden
from coordctl.runner.words import Channel
from coordnode.client.clock import now_ms
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "coordctl-guard"
STANDARD_ERROR = 2
GATHER_MS = 50
SAY_SECONDS = 0.1


def run(
    channel: Channel, argv: Sequence[str], policy: ending.Policy, before: Inherited, *, shares_terminal: bool, say: Callable[[str], None]
) -> None:
    """Returns when nothing of the job is left, or when it was never started."""
    _stand_apart(shares_terminal)
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    waiting = command.prepare(argv, before)
    timer = BootTimer()
    _let_go_of_others((channel.fileno(), timer.descriptor, woken, wakes, waiting.word, waiting.trouble))
    _Guard(channel, policy, waiting, timer, woken, say).serve()


class _Guard:
    def __init__(
        self,
        channel: Channel,
        policy: ending.Policy,
        waiting: command.Waiting,
        timer: BootTimer,
        woken: int,
        say: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._warden = Warden(Family(waiting.pid, cgroup.Cgroup("")), policy, self._tell)
        self._waiting = waiting
        self._timer = timer
        self._woken = woken
        self._say = say
        self._poll = select.poll()
        self._is_started = False
        self._is_becoming = False  # what waited the command: until exec
        self._is_alone = False
        self._saying = allocate_lock()  # while a thread does
        self._makes_group = policy.leftover != "release"
        self._gather_at_ms = 0  # 0: not at all, or done

    def serve(self) -> None:
        for descriptor in (self._channel.fileno(), self._woken, self._timer.descriptor):
            if descriptor >= 0:
                self._poll.register(descriptor, select.POLLIN)
        self._channel.tell(words.READY, self._waiting.pid, "")
        while not self._warden.is_gone:
            times = (self._warden.wake_at_ms(), self._gather_at_ms or None)
            wake_at_ms = min((at_ms for at_ms in times if at_ms is not None), default=None)
            self._timer.set(wake_at_ms or 0)
            patience_ms = None if wake_at_ms is None else min(POLL_MS_MAX, max(0, wake_at_ms - now_ms()))
            ready = [descriptor for descriptor, _ in self._poll.poll(patience_ms)]
            if self._timer.descriptor in ready:
                self._timer.clear()
            if self._woken in ready:
                _drain(self._woken)
            if self._channel.fileno() in ready:
                self._listen()
                if self._channel.is_closed and not self._is_alone:
                    self._poll.unregister(self._channel.fileno())
                    if not self._is_started:
                        command.abandon(self._waiting)
                        return
                    self._is_alone = True
                    self._warden.begin(ending.ORPHANED, now_ms())
                    self._say_aside("coordctl: the runner was killed; the command it ran is ended")
            if self._is_started:
                self._look_at_exec()
                self._warden.on_children(now_ms())
                self._warden.on_time(now_ms())
                self._gather(now_ms())
        self._saying.acquire(timeout=SAY_SECONDS)

    def _say_aside(self, sentence: str) -> None:
        """Standard error may be a pipe that nobody reads: whoever waits for that keeps no deadline."""

        def say() -> None:
            try:
                self._say(sentence)
            finally:
                self._saying.release()

        self._saying.acquire()
        try:
            start_new_thread(say, ())
        except RuntimeError:  # none can be had: the job is ended all the same
            self._saying.release()

    def _tell(self, kind: str, *details: object) -> None:
        if kind == words.EXITED:
            self._look_at_exec()  # it may have come and gone since: first how it began
        self._channel.tell(kind, *details)

    def _gather(self, now: int) -> None:
        """To move the first process into a new group takes the kernel some milliseconds: not worth it for a short job."""
        if self._gather_at_ms and now >= self._gather_at_ms and not self._warden.is_gone:
            self._gather_at_ms = 0
            group = cgroup.make(f"coordctl-{os.getpid()}")
            if group:
                self._channel.tell(words.READY, self._waiting.pid, group.folder)
                self._warden.family.gather(group)

    def _listen(self) -> None:
        for word, *details in self._channel.receive():
            if word == words.DEADLINE:
                self._warden.ending.on_deadline(details[0])
            elif word == words.GO:
                self._start(Go(*details))
            elif word == words.SIGNAL:
                self._warden.family.signal_group(details[0])
            elif word == words.END:
                self._warden.begin(details[0], now_ms())

    def _start(self, go: Go) -> None:
        self._warden.environment = go.environment
        self._is_started = True
        if self._warden.ending.is_over(now_ms()):  # we stood still, or the machine slept
            self._warden.family.kill()
            return
        command.release(self._waiting, go)
        self._is_becoming = True
        self._poll.register(self._waiting.trouble, select.POLLIN)

    def _look_at_exec(self) -> None:
        """Nobody waits for it: somebody may have stopped what is to become the command."""
        if not self._is_becoming or (trouble := command.trouble(self._waiting)) is None:
            return
        self._is_becoming = False
        self._poll.unregister(self._waiting.trouble)
        self._gather_at_ms = now_ms() + GATHER_MS if self._makes_group else 0
        self._channel.tell(*((words.FAILED, trouble) if trouble else (words.STARTED, self._waiting.pid)))


def _stand_apart(shares_terminal: bool) -> None:
    with suppress(OSError):
        os.setpgid(0, 0) if shares_terminal else os.setsid()
    for number in (*FORWARDED, *JOB_CONTROL):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # wakes the loop
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    adopt_orphans()
    call_us(NAME)


def _let_go_of_others(ours: Sequence[int]) -> None:
    """The runner's connection; and, now that the command has its own, whatever somebody else may wait to see closed."""
    for descriptor in command.open_descriptors():
        with suppress(OSError):
            if descriptor not in ours:
                if descriptor > STANDARD_ERROR:
                    os.close(descriptor)
                elif descriptor < STANDARD_ERROR:
                    nowhere = os.open(os.devnull, os.O_RDWR)
                    os.dup2(nowhere, descriptor)
                    os.close(nowhere)


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        while os.read(descriptor, 512):
            pass
