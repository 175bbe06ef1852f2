"""The runner's hand on its job: through the guard as long as that lives, and its own if somebody kills it."""

from __future__ import annotations

import os

from coordctl.hot.bare import signal
from coordctl.runner import ending, words
from coordctl.runner import guard as guard_process
from coordctl.runner.cgroup import Cgroup
from coordctl.runner.command import Inherited
from coordctl.runner.family import Family
from coordctl.runner.warden import Warden
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coordctl.runner.words import Word

SILENT_MS_MIN = 1_000  # a guard on a busy machine is given so long to say that it has begun
GUARD_DIED = "guard died"  # a notice, beside those of the guard


class Job:
    """Its guard is there at once, the command starts with `start`."""

    def __init__(
        self, argv: Sequence[str], policy: ending.Policy, before: Inherited, *, shares_terminal: bool, say: Callable[[str], None]
    ) -> None:
        self._policy = policy
        self._told: list[Word] = []
        self._warden: Warden | None = None  # our own: the guard is dead
        self._deadline_ms = 0
        self._command = 0
        self._folder = ""
        self._is_started = False
        self._ending_by_ms: int | None = None  # when the guard must have said that it ends the job
        self._has_ending = False
        self._is_gone = False  # the guard has nothing more to do, and ends
        self._channel, theirs = words.pair()
        guard = os.fork()
        if guard == 0:
            try:
                self._channel.close()
                guard_process.run(theirs, argv, policy, before, shares_terminal=shares_terminal, say=say)
            finally:
                os._exit(0)
        self.guard = guard
        theirs.close()

    def descriptor(self) -> int:
        """-1: nothing is to be heard there any more."""
        return -1 if self._channel.is_closed else self._channel.fileno()

    def start(self, environment: Mapping[str, str], terminal: int, deadline_ms: int) -> None:
        self.push_deadline(deadline_ms)
        self._is_started = True
        self._channel.tell(words.GO, dict(environment), terminal)

    def push_deadline(self, deadline_ms: int) -> None:
        self._deadline_ms = deadline_ms
        if self._warden is None:
            self._channel.tell(words.DEADLINE, deadline_ms)
        else:
            self._warden.ending.on_deadline(deadline_ms)

    def signal(self, number: int) -> None:
        if self._warden is None:
            self._channel.tell(words.SIGNAL, number)
        else:
            self._warden.family.signal_group(number)

    def end(self, reason: str, now_ms: int) -> None:
        if self._warden is None:
            self._channel.tell(words.END, reason)
            if self._is_started and not self._has_ending and self._ending_by_ms is None:
                self._ending_by_ms = now_ms + max(SILENT_MS_MIN, self._policy.grace_ms + self._policy.margin_ms)
        else:
            self._warden.begin(reason, now_ms)

    def leave(self) -> None:
        """The job is gone, or was never started: the guard sees that we left, and ends, too. Whoever runs us finds nothing of us left."""
        self._channel.close()
        self._channel.is_closed = True
        with suppress(ChildProcessError):  # reaped already, should somebody have killed it
            os.waitpid(self.guard, 0)

    def receive(self, now_ms: int) -> list[Word]:
        """What happened since. Call it when the descriptor is ready, when a child died, and by `wake_at_ms`."""
        if self._warden is None and not self._channel.is_closed:
            for word in self._channel.receive():
                if word[0] == words.READY:
                    self._command, self._folder = word[1:]
                else:
                    self._is_gone = self._is_gone or word[0] == words.GONE
                    self._has_ending = self._has_ending or word[0] in (words.ENDING, words.GONE)
                    self._told.append(word)
            self._ending_by_ms = None if self._has_ending else self._ending_by_ms
            if self._ending_by_ms is not None and now_ms >= self._ending_by_ms:  # somebody has stopped it
                self._ending_by_ms = None
                with suppress(ProcessLookupError):
                    os.kill(self.guard, signal.SIGKILL)
            if self._channel.is_closed and not self._is_gone:
                self._on_guard_died(now_ms)
        elif self._warden is not None:
            self._warden.on_children(now_ms)
            self._warden.on_time(now_ms)
        told, self._told = self._told, []
        return told

    def wake_at_ms(self) -> int | None:
        return self._ending_by_ms if self._warden is None else self._warden.wake_at_ms()

    def _on_guard_died(self, now_ms: int) -> None:
        """Its orphans are ours now: the runner adopts them, too."""
        self._told.append([GUARD_DIED])
        if not self._is_started:
            return
        if not self._command:  # it ended before it had anything to be adopted
            self._told.append([words.GONE, now_ms])
            return
        with suppress(ChildProcessError):  # its connection is closed a moment before its orphans are ours
            os.waitid(os.P_PID, self.guard, os.WEXITED | os.WNOWAIT)
        family = Family(self._command, Cgroup(self._folder))
        try:
            os.waitid(os.P_PID, self._command, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            family.is_reaped = True
        self._warden = Warden(family, self._policy, lambda *word: self._told.append(list(word)))
        self._warden.ending.on_deadline(self._deadline_ms)
        self._warden.begin(ending.LOST, now_ms)
        self._warden.on_children(now_ms)
