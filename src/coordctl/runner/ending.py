"""When and how a job is ended: asked, given some time, then killed, and all of it before its deadline. Pure."""

from __future__ import annotations

from coordnode.light import NamedTuple

# Why a job is ended.
LOST = "lost"  # the deadline comes near, or the cluster said so
BROKEN = "broken"  # an operator took away what it holds
ORPHANED = "orphaned"  # its runner died
HOLD_MAX = "hold-max"
REVOKED = "revoked"  # somebody else waits for what it holds
LEFT = "left"  # the command has ended, and what it left behind shall end, too
NO_TERMINAL = "no terminal"  # it stopped for want of it, and nobody could ever continue it
LOSSES = (LOST, BROKEN)

# How to treat a loss.
TERM, KILL, IGNORE, RUN = "term", "kill", "ignore", "run"

GRACE_MS_MAX = 10_000
MARGIN_MS_MIN, MARGIN_MS_MAX = 50, 500


class Policy(NamedTuple):
    on_lost: str = TERM  # TERM, KILL, IGNORE; RUN: `command` in the place of the signal
    command: str = ""
    leftover: str = "wait"  # wait, kill, release
    grace_ms: int = 2_000  # between asking and killing
    margin_ms: int = 500  # killing begins so long before the deadline


def policy(ttl_ms: int, on_lost: str = TERM, leftover: str = "wait", grace_ms: int | None = None) -> Policy:
    """A fifth of the lease to end in, unless told otherwise, and a twentieth to be killed in."""
    margin_ms = min(MARGIN_MS_MAX, max(MARGIN_MS_MIN, ttl_ms // 20))
    longest_ms = min(GRACE_MS_MAX, ttl_ms // 5) if grace_ms is None else min(grace_ms, ttl_ms // 3)
    how, command = (on_lost, "") if on_lost in (TERM, KILL, IGNORE) else (RUN, on_lost)
    return Policy(how, command, leftover, longest_ms, margin_ms)


class Ending:
    def __init__(self, policy: Policy) -> None:
        self.reason = ""  # "": the job goes on
        self._policy = policy
        self._deadline_ms = 0  # 0: none yet
        self._begun_ms = 0
        self._has_ignored = False  # a loss
        self._asked = False
        self._killing = False

    def on_deadline(self, deadline_ms: int) -> None:
        """What is held was renewed. Deadlines only ever move forward."""
        self._deadline_ms = max(self._deadline_ms, deadline_ms)

    def begin(self, reason: str, now_ms: int) -> bool:
        """Whether it had not begun yet. A job whose lock is lost may be ended for yet another reason if the loss was ignored."""
        if self.reason and not (self._how() == IGNORE and reason not in LOSSES):
            return False
        self._has_ignored = bool(self.reason)
        self.reason = reason
        self._begun_ms = now_ms
        self._asked = self._killing = False
        return True

    def due(self, now_ms: int) -> list[str]:
        """What to do now, each once: TERM (with CONT, so that stopped processes hear it), RUN, KILL."""
        if not self.reason and self._deadline_ms and now_ms >= self._begin_at_ms():
            self.begin(LOST, now_ms)
        how = self._how()
        if not self.reason or how == IGNORE:
            return []
        steps = []
        if not self._asked and how != KILL:
            self._asked = True
            steps.append(how)
        if not self._killing and now_ms >= self._kill_at_ms():
            self._killing = True
            steps.append(KILL)
        return steps

    def is_over(self, now_ms: int) -> bool:
        """What is held may be somebody else's by now."""
        return bool(self._deadline_ms) and now_ms >= self._deadline_ms

    def is_under_way(self) -> bool:
        return bool(self.reason) and self._how() != IGNORE

    def is_killing(self) -> bool:
        return self._killing

    def wake_at_ms(self) -> int | None:
        """When `due` has something to say."""
        if not self.reason:
            return self._begin_at_ms() if self._deadline_ms else None
        if self._killing or self._how() == IGNORE:
            return None
        return self._kill_at_ms()

    def _how(self) -> str:
        return self._policy.on_lost if self.reason in LOSSES else TERM

    def _limit_ms(self) -> int:
        return self._deadline_ms - self._policy.margin_ms

    def _begin_at_ms(self) -> int:
        if self._policy.on_lost == IGNORE:
            return self._deadline_ms
        return self._limit_ms() - (0 if self._policy.on_lost == KILL else self._policy.grace_ms)

    def _kill_at_ms(self) -> int:
        if self._how() == KILL:
            return self._begun_ms
        at_ms = self._begun_ms + self._policy.grace_ms
        if not self._deadline_ms or (self._has_ignored and self.reason != ORPHANED):
            return at_ms
        return min(at_ms, max(self._begun_ms, self._limit_ms()))
