"""Runs a command while a source grants what it needs: waits for both, for signals and for time, and does what the rules say."""

from __future__ import annotations

import os
import select

from coordctl.hot.bare import signal
from coordctl.runner import kernel, rules
from coordctl.runner.command import FORWARDED, Inherited, inherited
from coordctl.runner.held import unable
from coordctl.runner.job import Job
from coordctl.runner.outcome import Outcome
from coordctl.runner.rules import Rules, Settings
from coordctl.runner.source import POLL_MS_MAX, Source, heard
from coordctl.runner.terminal import Terminal
from coordnode.client.clock import now_ms
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def run(
    held: Source, argv: Sequence[str], settings: Settings, say: Callable[[str], None], signal_before: Callable[[], int] = lambda: 0
) -> Outcome:
    """`signal_before`: one that came before this listened to them; 0: none."""
    try:
        running = _Running(held, argv, settings, say)
    except OSError as error:
        return unable(held, error, settings.not_acquired_code, say)
    return running.run(signal_before())


class _Running:
    def __init__(self, held: Source, argv: Sequence[str], settings: Settings, say: Callable[[str], None]) -> None:
        self._source = held
        self._say = say
        self._group = 0  # of the command
        self._outcome: Outcome | None = None
        self._rules = Rules(settings, now_ms())
        self._terminal = Terminal()
        self._was_continued = False
        before = inherited()
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._listen_to_signals(before)
        kernel.adopt_orphans()
        self._job = Job(argv, settings.policy, before, shares_terminal=self._terminal.is_there, say=say)

    def run(self, signal_before: int) -> Outcome:
        if signal_before:
            self._do(self._rules.on_signal(signal_before, now_ms()), now_ms())
        while self._outcome is None:
            wake_at_ms = self._wake_at_ms()
            watched = {self._woken: select.POLLIN}
            if self._job.descriptor() >= 0:
                watched[self._job.descriptor()] = select.POLLIN
            descriptor, interest = self._source.descriptor()
            if descriptor >= 0:
                watched[descriptor] = interest
            ready = _wait(watched, None if wake_at_ms is None else max(0, wake_at_ms - now_ms()))
            now = now_ms()
            if descriptor in ready:
                self._source.on_ready(now)
            self._hear(now)
            if self._woken in ready:
                for number in _read_signals(self._woken):
                    self._do(self._rules.on_signal(number, now), now)
        self._job.leave()
        self._source.hang_up()
        self._terminal.close()
        return self._outcome

    def _hear(self, now: int) -> None:
        """The job first: if it is gone, nothing that is lost now was lost to it."""
        for word in self._job.receive(now):
            if word[0] == "started":
                self._group = word[1]
            self._do(self._rules.on_word(word, now, is_lent=self._terminal.is_lent), now)
        self._hear_source(now)
        self._do(self._rules.on_time(now), now)

    def _hear_source(self, now: int) -> None:
        for told in heard(self._source, now):
            self._do(self._rules.on_told(told, now), now)

    def _wake_at_ms(self) -> int | None:
        times = [self._source.wake_at_ms(), self._job.wake_at_ms(), self._rules.wake_at_ms()]
        return min((time for time in times if time is not None), default=None)

    def _do(self, actions: Sequence[rules.Action], now: int) -> None:
        for action in actions:
            match action:
                case rules.Start(environment, deadline_ms):
                    self._job.start(environment, self._terminal.lends_at_start(), deadline_ms)
                    _let_go_of_standard_streams()
                case rules.Push(deadline_ms):
                    self._job.push_deadline(deadline_ms)
                case rules.Forward(number):
                    self._job.signal(number)
                case rules.End(reason):
                    self._job.end(reason, now)
                case rules.Suspend(number):
                    self._suspend(number)
                case rules.Lend(else_suspend):
                    if not self._terminal.lend(self._group) and else_suspend:
                        self._suspend(else_suspend)
                    else:
                        self._job.signal(signal.SIGCONT)
                case rules.TakeBack(with_modes):
                    self._terminal.take_back(with_modes=with_modes)
                case rules.Close(succeeded):
                    self._source.close(now, succeeded=succeeded)
                    self._hear_source(now)
                case rules.Say(sentence):
                    self._say(f"coordctl: {sentence}")
                case rules.Exit(outcome):
                    self._outcome = outcome
                    if outcome.is_interrupt and outcome.token is not None:
                        os.kill(0, signal.SIGINT)  # the command's group alone heard it; we go on until all is written down

    def _suspend(self, number: int) -> None:
        """Stops here until somebody continues us. Where nobody could, without job control around us, the kernel does not stop us."""
        was_lent = self._terminal.is_lent
        self._terminal.take_back(with_modes=False)
        self._was_continued = False
        before = signal.signal(number, signal.SIG_DFL)
        # Whoever runs us, a script perhaps, did not hear of a Ctrl-Z that went to the command's group only.
        os.kill(0 if was_lent else os.getpid(), number)
        signal.signal(number, before)
        can_resume = self._was_continued or was_lent or number == signal.SIGTSTP
        now = now_ms()
        self._hear(now)
        self._do(self._rules.on_resumed(now, was_lent=was_lent) if can_resume else self._rules.on_unable_to_stop(), now)

    def _listen_to_signals(self, before: Inherited) -> None:
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGTSTP, signal.SIGCHLD):
            if number not in before.ignored:
                signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGCONT, lambda _number, _frame: self._on_continued())

    def _on_continued(self) -> None:
        """At once, before anything else is done about the terminal."""
        self._was_continued = True
        if self._group:
            self._terminal.on_continued(self._group)


def _wait(watched: dict[int, int], patience_ms: int | None) -> list[int]:
    poll = select.poll()
    for descriptor, interest in watched.items():
        poll.register(descriptor, interest)
    return [descriptor for descriptor, _ in poll.poll(None if patience_ms is None else min(patience_ms, POLL_MS_MAX))]


def _read_signals(descriptor: int) -> list[int]:
    numbers: list[int] = []
    with suppress(BlockingIOError):
        while part := os.read(descriptor, 512):
            numbers += part
    return [number for number in numbers if number not in (signal.SIGCHLD, signal.SIGCONT)]


def _let_go_of_standard_streams() -> None:
    """They are the command's now: who waits for their end shall not have to wait for us."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
