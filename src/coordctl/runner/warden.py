"""Looks after one job: notices what its processes do, and ends them in time. Run by the guard, and by the runner should the guard die."""

from __future__ import annotations

import os

from coordctl.hot.bare import signal
from coordctl.runner import ending, words
from coordctl.runner.command import FORWARDED, JOB_CONTROL, SET_BY_PYTHON
from coordctl.runner.family import Family
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AGAIN_MS, AGAIN_MS_MAX = 20, 1_000  # between two rounds of killing; longer and longer as long as they change nothing
STUBBORN_MS = 500  # who is there so long after being killed cannot end now


class Warden:
    def __init__(self, family: Family, policy: ending.Policy, tell: Callable[..., None]) -> None:
        self.family = family
        self.ending = ending.Ending(policy)
        self.is_gone = False
        self.environment: Mapping[str, str] = {}  # for a command that the user wants to be run at a loss
        self._policy = policy
        self._tell = tell
        self._has_ended = False  # the command itself
        self._again_ms = self._pause_ms = self._killing_ms = 0
        self._struck: list[tuple[int, str, int]] = []  # by the last round of killing
        self._unended: set[int] = set()  # of them, those that were told of

    def begin(self, reason: str, now_ms: int) -> None:
        if not self.is_gone and self.ending.begin(reason, now_ms):
            self._tell(words.ENDING, reason)
            self.on_time(now_ms)

    def on_time(self, now_ms: int) -> None:
        if self.is_gone:
            return
        was_ending = self.ending.reason
        steps = self.ending.due(now_ms)
        if self.ending.reason != was_ending:
            self._tell(words.ENDING, self.ending.reason)
        for step in steps:
            if step == ending.TERM:
                self._ask()
            elif step == ending.RUN:
                self._run(self._policy.command)
        if self.ending.is_killing() and now_ms >= self._again_ms:
            self._kill(now_ms)
            self.on_children(now_ms)

    def _kill(self, now_ms: int) -> None:
        before, self._struck = self._struck, self.family.kill()
        is_in_vain = bool(before) and self._struck == before
        self._killing_ms = self._killing_ms or now_ms
        self._pause_ms = min(AGAIN_MS_MAX, 2 * self._pause_ms) if is_in_vain else AGAIN_MS
        self._again_ms = now_ms + self._pause_ms
        is_stubborn = is_in_vain and now_ms >= self._killing_ms + STUBBORN_MS
        unended = [one for one in self._struck if (one[2] or is_stubborn) and one[0] not in self._unended]
        if unended:
            self._unended |= {pid for pid, _, _ in unended}
            self._tell(words.UNENDED, [(pid, name, os.strerror(number) if number else "") for pid, name, number in unended])

    def on_children(self, now_ms: int) -> None:
        for pid, status in self.family.reap():
            if pid != self.family.command:
                continue
            if os.WIFSTOPPED(status):
                self._tell(words.STOPPED, os.WSTOPSIG(status))
            else:
                self._has_ended = True
                self._tell(words.EXITED, os.waitstatus_to_exitcode(status), now_ms)
                self._on_exit(now_ms)
        if not self.is_gone and not self.family.has_members():
            self._on_gone(now_ms)

    def wake_at_ms(self) -> int | None:
        if self.is_gone:
            return None
        return self._again_ms if self.ending.is_killing() else self.ending.wake_at_ms()

    def _on_exit(self, now_ms: int) -> None:
        if not self.family.has_members():
            return
        left = self.family.members()
        if left:
            self._tell(words.LEFT, [tuple(relative) for relative in left])
        if self._policy.leftover == "release" and not self.ending.is_under_way():
            self._on_gone(now_ms)
        elif self._policy.leftover == "kill":
            self.begin(ending.LEFT, now_ms)

    def _on_gone(self, now_ms: int) -> None:
        self.is_gone = True
        self.family.forget()
        self._tell(words.GONE, now_ms)

    def _ask(self) -> None:
        for number in (signal.SIGTERM, signal.SIGCONT):
            self.family.signal_group(number)
            for relative in self.family.members():
                with suppress(OSError):
                    if os.getpgid(relative.pid) != self.family.command:
                        os.kill(relative.pid, number)

    def _run(self, command: str) -> None:
        arguments = ["sh", "-c", command, "coordctl", str(self.family.command)]
        default = [*FORWARDED, *SET_BY_PYTHON, *JOB_CONTROL]
        environment = {**os.environ, **self.environment}
        with suppress(OSError):
            os.posix_spawn("/bin/sh", arguments, environment, setpgroup=0, setsigdef=default, setsigmask=())
