"""What a run of shards does about what happens: shards gained, revoked and lost, commands that end, signals. Pure.

One command for each shard. A shard is released only once its command and all below it is gone, and started anew only then, too: so it
never has two owners, here or elsewhere. Once a command ends by itself, so does the run.
"""

from typing import NamedTuple

from coordctl.runner import outcome
from coordctl.runner.outcome import Outcome

HUP, INT, QUIT, TERM = 1, 2, 3, 15
ENDS = (HUP, INT, QUIT, TERM)

GAINED, REVOKED = "gained", "revoked"  # what else is heard of a shard: it is lost
RUNNING, RELEASING, LOSING = range(3)


class Start(NamedTuple):
    shard: int
    token: int
    deadline_ms: int


class Push(NamedTuple):
    shard: int
    deadline_ms: int


class End(NamedTuple):
    """Its command is asked to end, and then killed: before its deadline, which is not pushed any more."""

    shard: int
    sentence: str
    is_lost: bool


class Release(NamedTuple):
    shard: int
    token: int


class Forward(NamedTuple):
    number: int


class Close(NamedTuple):
    """Not before `at_ms`: somebody may still be ending what is left of a command."""

    at_ms: int


class Say(NamedTuple):
    sentence: str


Action = Start | Push | End | Release | Forward | Close | Say


class _Worker:
    def __init__(self, token: int, deadline_ms: int) -> None:
        self.token = token
        self.deadline_ms = deadline_ms  # that it knows of
        self.state = RUNNING


class Crew:
    def __init__(self, name: str, now_ms: int) -> None:
        self._name = name
        self._began_ms = now_ms
        self._joined_ms: int | None = None
        self._deadline_ms = 0
        self._workers: dict[int, _Worker] = {}
        self._next: dict[int, int] = {}  # shard -> token, gained while its last command is still ending
        self._outcome: tuple[str, int] | None = None  # why the run ends
        self._close_at_ms = 0
        self._is_closing = False

    # --- what is held ------------------------------------------------------------------------------------------------

    def on_joined(self, deadline_ms: int, now_ms: int) -> None:
        self._joined_ms = now_ms
        self._deadline_ms = deadline_ms

    def on_renewed(self, deadline_ms: int) -> list[Action]:
        """Of a shard that is to be released the time is over when the cluster says so: a renewal does not prolong that."""
        self._deadline_ms = max(self._deadline_ms, deadline_ms)
        pushed: list[Action] = []
        for shard, worker in self._workers.items():
            if worker.state == RUNNING:
                worker.deadline_ms = self._deadline_ms
                pushed.append(Push(shard, self._deadline_ms))
        return pushed

    def on_refused(self, kind: str, code: int, sentence: str) -> list[Action]:
        return [Say(sentence), *self._end(kind, code)]

    def on_lost(self, kind: str, sentence: str) -> list[Action]:
        """The session, and all with it."""
        ended: list[Action] = []
        for shard, worker in self._workers.items():
            if worker.state != LOSING:
                worker.state = LOSING
                ended.append(End(shard, sentence, True))
        return [*(ended or [Say(sentence)]), *self._end(kind, outcome.LOST_CODE)]

    def on_change(self, kind: str, shard: int, token: int) -> list[Action]:
        worker = self._workers.get(shard)
        if kind == GAINED:
            if self._outcome is not None:
                return []
            if worker is not None:
                self._next[shard] = token
                return []
            return [self._start(shard, token)]
        if self._next.get(shard) == token:
            del self._next[shard]
            return [Release(shard, token)] if kind == REVOKED else []
        if worker is None or worker.token != token:
            return []
        if kind == REVOKED and worker.state == RUNNING:
            worker.state = RELEASING
            return [End(shard, f"shard {shard} of {self._name} goes to somebody else", False)]
        if kind != REVOKED and worker.state != LOSING:
            worker.state = LOSING
            return [End(shard, f"shard {shard} of {self._name} is lost", True)]
        return []

    # --- commands and signals ------------------------------------------------------------------------------------------

    def on_ended(self, shard: int, status: int, is_killed: bool) -> list[Action]:
        """What runs the command of this shard has ended with this exit code; `is_killed`: by somebody, so its guard ends the rest."""
        worker = self._workers.pop(shard)
        actions: list[Action] = []
        if is_killed:
            self._close_at_ms = max(self._close_at_ms, worker.deadline_ms)
            actions += [Say(f"the runner of shard {shard} was killed"), *self._end(outcome.LOST, outcome.LOST_CODE)]
        elif worker.state == RUNNING:
            kind = outcome.LOST if status == outcome.LOST_CODE else outcome.ENDED
            actions += [Release(shard, worker.token), *self._end(kind, status)]
        elif worker.state == RELEASING:
            actions.append(Release(shard, worker.token))
        token = self._next.pop(shard, 0)
        if token and self._outcome is None:
            actions.append(self._start(shard, token))
        return [*actions, *self._maybe_close()]

    def on_signal(self, number: int) -> list[Action]:
        if number in ENDS and not self._workers and self._outcome is None:
            return self._end(outcome.INTERRUPTED, 128 + number)
        return [Forward(number)]

    def result(self, now_ms: int) -> Outcome:
        assert self._outcome is not None
        kind, code = self._outcome
        joined_ms = now_ms if self._joined_ms is None else self._joined_ms
        return Outcome(kind, code, None, joined_ms - self._began_ms, now_ms - joined_ms)

    def _start(self, shard: int, token: int) -> Start:
        self._workers[shard] = _Worker(token, self._deadline_ms)
        return Start(shard, token, self._deadline_ms)

    def _end(self, kind: str, code: int) -> list[Action]:
        """The first reason counts."""
        if self._outcome is None:
            self._outcome = (kind, code)
        ended: list[Action] = []
        for shard, worker in self._workers.items():
            if worker.state == RUNNING:
                worker.state = RELEASING
                ended.append(End(shard, "", False))
        return [*ended, *self._maybe_close()]

    def _maybe_close(self) -> list[Action]:
        if self._outcome is None or self._workers or self._is_closing:
            return []
        self._is_closing = True
        return [Close(self._close_at_ms)]
