"""What the runner does about what happens: the lease, the guard, signals and time come in, actions go out. Pure."""

from __future__ import annotations

from coordctl.runner import ending, outcome, source, words
from coordctl.runner.outcome import OUTCOMES, Outcome
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HUP, INT, QUIT, KILLED, TERM, CONT, STOP, TSTP, TTIN, TTOU = 1, 2, 3, 9, 15, 18, 19, 20, 21, 22
ENDS = (HUP, INT, QUIT, TERM)
NAMED = {KILLED: "KILL", TERM: "TERM"}
CLOSING_MS = 1_000  # a signal within this time after the end of the job does not keep the lock from being let go of


class Settings(NamedTuple):
    name: str  # of what is held, for sentences
    command: str
    policy: ending.Policy
    not_acquired_code: int = outcome.NOT_ACQUIRED_CODE
    hold_max_ms: int = 0  # 0: as long as the command runs
    records: bool = False  # that the command succeeded, in the cluster, before it is let go of


class Start(NamedTuple):
    environment: Mapping[str, str]
    deadline_ms: int


class Push(NamedTuple):
    deadline_ms: int


class Forward(NamedTuple):
    number: int


class End(NamedTuple):
    reason: str


class Suspend(NamedTuple):
    number: int


class Lend(NamedTuple):
    """The terminal to the command's group, which is continued, in the background if need be. `else_suspend`: it stopped for want of it.

    Continued once: a second time would undo a Ctrl-Z that came in between.
    """

    else_suspend: int = 0


class TakeBack(NamedTuple):
    with_modes: bool


class Close(NamedTuple):
    succeeded: bool


class Say(NamedTuple):
    sentence: str


class Exit(NamedTuple):
    outcome: Outcome


Action = Start | Push | Forward | End | Suspend | Lend | TakeBack | Close | Say | Exit

WAITING, RUNNING, CLOSING, OVER = range(4)


class Rules:
    def __init__(self, settings: Settings, now_ms: int) -> None:
        self.phase = WAITING
        self._settings = settings
        self._began_ms = now_ms
        self._granted_ms = 0
        self._closing_ms = 0
        self._token: int | None = None
        self._deadline_ms = 0
        self._status: int | None = None  # what the command returned
        self._trouble = 0  # errno of exec
        self._is_told_to_stop = False  # and has not stopped yet
        self._lost: source.Lost | None = None
        self._over_hold_max = False
        self._is_ending = False  # the job, by us
        self._is_unended = False  # although we killed it
        self._outcome: Outcome | None = None

    # --- of what is held -------------------------------------------------------------------------------------------

    def on_told(self, told: source.Told, now_ms: int) -> list[Action]:
        if isinstance(told, source.Granted):
            return self._on_granted(told, now_ms)
        if isinstance(told, source.Renewed):
            if self.phase != RUNNING or self._lost is not None:
                return []
            self._deadline_ms = max(self._deadline_ms, told.deadline_ms)
            return [Push(told.deadline_ms)]
        if isinstance(told, source.Lost):
            return self._on_lost(told)
        if isinstance(told, source.Revoked):
            said = [Say(f"{told.sentence}; its command is ended")] if told.sentence else []
            return [*said, End(ending.REVOKED)] if self.phase == RUNNING else []
        if isinstance(told, source.Refused):
            return self._on_refused(told, now_ms)
        if isinstance(told, source.Closed):
            return self._on_closed(told)
        return [Say(told.sentence)]

    def _on_granted(self, granted: source.Granted, now_ms: int) -> list[Action]:
        if self.phase != WAITING:
            return []
        if now_ms >= granted.deadline_ms:
            why = f"{self._settings.name} was granted, but its lease ran out before the command was started: try again"
            return self._on_refused(source.Refused(outcome.NOT_ACQUIRED, why), now_ms)
        self.phase = RUNNING
        self._granted_ms = now_ms
        self._token = granted.token
        self._deadline_ms = granted.deadline_ms
        return [Start(granted.environment, granted.deadline_ms)]

    def _on_lost(self, lost: source.Lost) -> list[Action]:
        if self.phase != RUNNING or self._lost is not None:
            return []
        return [*self._notice(lost), End(lost.reason)]

    def _notice(self, lost: source.Lost) -> list[Action]:
        """The first loss counts. One that ends the command is said when that is over."""
        if self._lost is not None:
            return []
        self._lost = lost
        return [Say(f"{lost.sentence}; the command goes on (--on-lost ignore)")] if self._is_ignored() else []

    def _on_refused(self, refused: source.Refused, now_ms: int) -> list[Action]:
        if self.phase != WAITING:
            return []
        code = self._settings.not_acquired_code if refused.outcome == outcome.NOT_ACQUIRED else OUTCOMES[refused.outcome]
        said = [Say(refused.sentence)] if refused.sentence else []
        return [*said, *self._close(Outcome(refused.outcome, code, None, now_ms - self._began_ms), now_ms)]

    def _on_closed(self, closed: source.Closed) -> list[Action]:
        if self.phase != CLOSING:
            return []
        assert self._outcome is not None
        self.phase = OVER
        said = [Say(closed.sentence)] if closed.sentence else []
        result = self._outcome
        if closed.outcome:
            result = result._replace(outcome=closed.outcome, exit_code=OUTCOMES[closed.outcome])
        return [*said, Exit(result)]

    # --- of the job ------------------------------------------------------------------------------------------------

    def on_word(self, word: words.Word, now_ms: int, *, is_lent: bool = False) -> list[Action]:
        """`is_lent`: the terminal is the command's."""
        kind, *details = word
        if self.phase == WAITING and kind == "guard died":
            refused = source.Refused(outcome.NOT_ACQUIRED, "the guard was killed before the command was started: try again")
            return self._on_refused(refused, now_ms)
        if self.phase != RUNNING:
            return []
        if kind == words.FAILED:
            self._trouble = details[0]
        elif kind == words.STOPPED:
            return self._on_stopped(details[0], is_lent)
        elif kind == words.EXITED:
            self._status = details[0]
        elif kind == words.LEFT:
            return [TakeBack(False), Say(self._about_left(details[0]))]
        elif kind == words.ENDING:
            self._is_ending = not (self._is_ignored() and details[0] in ending.LOSSES)
            late = source.Lost(ending.LOST, f"{self._settings.name} is lost: its lease was not renewed in time")
            return self._notice(late) if details[0] == ending.LOST else []
        elif kind == "guard died":
            why = f"{self._settings.name} counts as lost: the guard of its command was killed"
            return self._notice(source.Lost(ending.LOST, why))
        elif kind == words.UNENDED:
            return self._on_unended(details[0])
        elif kind == words.GONE:
            return self._on_gone(details[0], now_ms, is_lent)
        return []

    def _on_stopped(self, number: int, is_lent: bool) -> list[Action]:
        if number in (TTIN, TTOU):
            return [Lend(number)]
        was_told_to_stop, self._is_told_to_stop = self._is_told_to_stop, False
        # Some stop themselves with STOP at a Ctrl-Z, as su does. Any other STOP means the command alone, unless nobody could type then.
        if number == STOP and not (is_lent or was_told_to_stop):
            return []
        return [Suspend(TSTP)]

    def _on_unended(self, left: Sequence[Sequence[object]]) -> list[Action]:
        """Whoever has it next shall not be surprised: it is said while there is somebody to do something about it."""
        self._is_unended = True
        each = [f"{pid} {name}: {why or 'killed, and there still'}" for pid, name, why in left[:4]]
        shown = ", ".join(each) + (", …" if len(left) > 4 else "")
        why = f"{self._lost.sentence}; " if self._lost is not None else f"{self._about_hold_max()}; " if self._over_hold_max else ""
        return [Say(f"{why}the command cannot be ended ({shown})")]

    def _about_hold_max(self) -> str:
        return f"{self._settings.name} was held for {_seconds(self._settings.hold_max_ms)} (--hold-max)"

    def _on_gone(self, gone_ms: int, now_ms: int, is_lent: bool) -> list[Action]:
        is_news = self._lost is None and gone_ms >= self._deadline_ms
        if is_news:
            self._lost = source.Lost(ending.LOST, f"{self._settings.name} is lost: its lease ran out before the command ended")
        status = self._status if self._status is not None else -KILLED
        said: list[Action] = []
        if self._lost is not None and (is_news or not self._is_ignored()):
            said.append(Say(f"{self._lost.sentence}; {self._how_ended(status)}"))
        elif self._over_hold_max:
            said.append(Say(f"{self._about_hold_max()}; {self._how_ended(status)}"))
        if self._lost is not None:
            kind = self._lost.reason
        elif self._over_hold_max:
            kind = outcome.HOLD_MAX
        elif self._trouble:
            kind = outcome.NOT_STARTED
        else:
            kind = outcome.ENDED
        code = OUTCOMES.get(kind, outcome.exit_code_of_status(status))
        if kind == outcome.NOT_STARTED:
            code, why = _about_trouble(self._trouble)
            said.append(Say(f"{self._settings.command}: {why}"))
        waited_ms, held_ms = self._granted_ms - self._began_ms, now_ms - self._granted_ms
        is_interrupt = kind == outcome.ENDED and is_lent and status == -INT
        ended = Outcome(kind, code, self._token, waited_ms, held_ms, is_interrupt)
        return [TakeBack(status < 0 or self._lost is not None), *said, *self._close(ended, now_ms)]

    def _how_ended(self, status: int) -> str:
        if self._is_unended:
            return "command ended at last"
        if self._settings.policy.on_lost == ending.RUN and self._lost is not None:
            return "command ended (--on-lost)"
        return f"command ended ({NAMED.get(-status, 'TERM')})"

    def _is_ignored(self) -> bool:
        return self._settings.policy.on_lost == ending.IGNORE

    def _about_left(self, left: Sequence[Sequence[object]]) -> str:
        shown = ", ".join(f"{pid} {name}" for pid, name in left[:4]) + (", …" if len(left) > 4 else "")
        count = "1 process" if len(left) == 1 else f"{len(left)} processes"
        then = {
            "wait": f"{self._settings.name} is held until they end (see --leftover)",
            "kill": "they are ended, too (--leftover kill)",
            "release": f"{self._settings.name} is released all the same (--leftover release)",
        }
        fate = "they are ended, too" if self._is_ending else then[self._settings.policy.leftover]
        return f"the command has ended and left {count} behind: {shown}; {fate}"

    # --- of signals and time ---------------------------------------------------------------------------------------

    def on_signal(self, number: int, now_ms: int) -> list[Action]:
        if self.phase == RUNNING:
            if self._status is not None and number in ENDS:  # only what the command left is still there
                return [End(ending.LEFT)]
            if self._status is not None and number == TSTP:  # nobody will tell that what is left has stopped
                return [Forward(number), Suspend(number)]
            self._is_told_to_stop = self._is_told_to_stop or number == TSTP
            return [Forward(number)]
        if number == TSTP:
            return [Suspend(number)]
        if number in ENDS and self.phase == WAITING:
            ended = Outcome(outcome.INTERRUPTED, 128 + number, None, now_ms - self._began_ms, is_interrupt=number == INT)
            return self._close(ended, now_ms)
        if number in ENDS and self.phase == CLOSING and now_ms >= self._closing_ms + CLOSING_MS:
            assert self._outcome is not None
            self.phase = OVER
            result, why = self._outcome, f"{self._settings.name} could not be released yet: its lease ends by itself"
            if self._settings.records and _is_success(result):
                result = result._replace(outcome=outcome.UNREACHABLE, exit_code=outcome.UNREACHABLE_CODE)
                why = f"the command succeeded, but whether that was recorded is not known; {why}"
            return [Say(why), Exit(result)]
        return []

    def on_resumed(self, now_ms: int, *, was_lent: bool) -> list[Action]:
        """After a suspension, however long it was. To whom no terminal was lent, none is: it may be one of a pipeline."""
        if self.phase != RUNNING:
            return []
        is_late = self._lost is None and now_ms >= self._deadline_ms
        ended: list[Action] = [End(ending.LOST)] if is_late else []
        if (is_late or self._lost) and not self._is_ignored():
            return ended
        return [*ended, Lend() if was_lent and self._status is None else Forward(CONT)]

    def on_unable_to_stop(self) -> list[Action]:
        """The command stopped for want of the terminal, and the kernel does not let us follow: nobody could bring us to the foreground.

        Continued, it would only stop again, and left alone it would keep what it holds for ever.
        """
        if self.phase != RUNNING:
            return []
        why = "the command stopped for want of the terminal, and no shell is there that could bring it to the foreground: it is ended"
        return [Say(f"{why}; start it with setsid if it can do without"), End(ending.NO_TERMINAL)]

    def on_time(self, now_ms: int) -> list[Action]:
        wake_at_ms = self.wake_at_ms()
        if wake_at_ms is None or now_ms < wake_at_ms:
            return []
        self._over_hold_max = True
        return [End(ending.HOLD_MAX)]

    def wake_at_ms(self) -> int | None:
        if self.phase != RUNNING or not self._settings.hold_max_ms or self._over_hold_max:
            return None
        return self._granted_ms + self._settings.hold_max_ms

    def _close(self, result: Outcome, now_ms: int) -> list[Action]:
        self.phase = CLOSING
        self._closing_ms = now_ms
        self._outcome = result
        return [Close(_is_success(result))]


def _is_success(result: Outcome) -> bool:
    return result.outcome == outcome.ENDED and result.exit_code == 0


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"


def _about_trouble(number: int) -> tuple[int, str]:
    """(exit code, what to say about an errno of exec)"""
    if number in (2, 20):
        return 127, "there is no such command"
    return 126, {13: "it cannot be executed: not executable, or a folder", 8: "it is no program; does its first line lack #!?"}.get(
        number, f"it cannot be executed (error {number})"
    )
