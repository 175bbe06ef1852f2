"""One claim to a lock, a leadership or a membership, from the question until nothing is left of it: waits, holds, notices a loss, records
a success. Pure.
"""

from __future__ import annotations

from coordctl.hot import frames
from coordctl.hot.msgpack import unpack
from coordctl.hot.talk import Answered, Expired, Missed, Noticed, Renewed
from coordctl.hot.talk import Told as TalkTold
from coordctl.runner import ending, outcome, source
from coordctl.runner.source import Closed, Granted, Lost, News, Refused, Told
from coordnode.errors import BadRequest, Conflict, CoordError, NotPermitted, TooLarge
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coordctl.runner.wish import Speech, Wish

REFUSED_MS = 1_000  # when every member has refused connections for so long, none runs
LAST_LOOK_MS = 1_000  # to find out who holds it, before giving up on it
NEWS_MS = 10_000  # between two looks at who holds it, for somebody who wants to know
CLOSE_MS_MIN = 1_000
ONCE_PREFIX = "coordctl/once/"
CLEANED_MAX = 16  # records of older runs that one run takes away

TRANSACTION_TAG, PUT_TAG, DELETE_TAG, RANGE_TAG, TOKEN_FIELD, EQUAL = 6, 1, 2, 5, 4, 0


class Terms(NamedTuple):
    """How it is claimed."""

    wish: Wish
    ttl_ms: int
    owner: str
    timeout_ms: int  # without an answer from the cluster
    wait_ms: int | None = None  # None: for ever
    tells_news: bool = False
    once: str = ""  # a key: refused if a run with it has succeeded
    keep_ms: int = 0  # for so long that is remembered
    wall_offset_ms: int = 0  # from our clock to the one on the wall
    parent: int = 0  # the session whose command we are: it waits for us, and so for whoever we wait for
    parent_cluster: int = 0  # where it is; 0: nobody said


class Phase:
    """Numbers: those up to HELD come in this order, and all before OVER may still become ours."""

    OPENING = 0
    QUEUED = 1
    LOOKING = 2  # waited long enough: who holds it?
    CONFIRMING = 3  # granted, but the lease wants a renewal first
    ASKING_ONCE = 4
    HELD = 5
    OVER = 6  # refused or lost
    RECORDING = 7
    CLOSING = 8
    CLOSED = 9


class Claim:
    """`nonce` makes each session's opening unique."""

    def __init__(self, talk: Speech, terms: Terms, nonce: Callable[[], bytes], now_ms: int) -> None:
        self.phase = Phase.OPENING
        self.token = 0
        self._talk = talk
        self._terms = terms
        self._nonce = nonce
        self._began_ms = now_ms
        self._ticket = 0
        self._had: Any = None  # by whom, as last seen, while we wait
        self._seen_ms = 0
        self._look_at_ms = now_ms
        self._expired: list[bytes] = []  # records of older runs
        self._has_asked_once = False  # since it is ours: nobody else can have run meanwhile
        self._closes_by_ms = 0
        self._told: list[Told] = []
        self._calls: dict[int, Callable[[Answered, int], None]] = {}
        self._listener: Callable[[TalkTold], None] | None = None
        self._open()

    # --- what the runner asks --------------------------------------------------------------------------------------

    def poll(self, now_ms: int) -> list[Told]:
        for heard in self._talk.told():
            self._on_talk(heard, now_ms)
            if self._listener is not None:
                self._listener(heard)
        if self.phase < Phase.HELD:
            self._wait(now_ms)
        elif self.phase == Phase.HELD and now_ms >= self._talk.lease.until_ms:
            self._lose(ending.LOST, f"{self._name} is lost: its lease was not renewed in time", now_ms)
        elif self.phase in (Phase.RECORDING, Phase.CLOSING) and now_ms >= self._closes_by_ms:
            self._on_closed_too_late()
        told, self._told = self._told, []
        return told

    def listen(self, listener: Callable[[TalkTold], None]) -> None:
        """To all that the session is told: it may be about more than what is claimed."""
        self._listener = listener

    def wake_at_ms(self) -> int | None:
        if self.phase < Phase.HELD:
            times = [max(self._talk.heard_ms, self._began_ms) + self._terms.timeout_ms]
            if self._is_refused_everywhere():
                times.append(self._began_ms + REFUSED_MS)
            if self.phase == Phase.LOOKING:
                times.append(self._look_at_ms + LAST_LOOK_MS)
            elif self._terms.wait_ms is not None:
                times.append(self._began_ms + self._terms.wait_ms)
            if self._terms.tells_news and self.phase == Phase.QUEUED:
                times.append(self._look_at_ms + NEWS_MS)
            return min(times)
        if self.phase == Phase.HELD:
            return self._talk.lease.until_ms
        return self._closes_by_ms if self.phase in (Phase.RECORDING, Phase.CLOSING) else None

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        lease = self._talk.lease
        left_ms = lease.until_ms - now_ms if lease.until_ms else 0
        self._closes_by_ms = now_ms + max(CLOSE_MS_MIN, min(left_ms, self._terms.timeout_ms))
        if succeeded and self._terms.once and self.phase == Phase.HELD:
            self.phase = Phase.RECORDING
            self._calls[self._talk.write(self._record(now_ms))] = self._on_recorded
            return
        self._close(now_ms)

    # --- waiting ---------------------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._terms.wish.name

    @property
    def _wish(self) -> Wish:
        return self._terms.wish

    def _open(self) -> None:
        self.phase = Phase.OPENING
        self.token = self._ticket = 0
        self._has_asked_once = False
        terms = self._terms
        first = terms.wish.operation() if terms.wish.comes_with_opening else None
        number = self._talk.open(self._nonce(), terms.ttl_ms, terms.owner, first, terms.parent, terms.parent_cluster)
        self._calls = {number: self._on_opened}

    def _on_talk(self, told: TalkTold, now_ms: int) -> None:
        match told:
            case Answered(call, _, _):
                on_answer = self._calls.pop(call, None)
                if on_answer is not None:
                    on_answer(told, now_ms)
            case Renewed(until_ms):
                if self.phase == Phase.HELD:
                    self._told.append(source.Renewed(until_ms))
                elif self.phase == Phase.CONFIRMING:
                    self._confirm(now_ms)
            case Expired():
                if self.phase == Phase.HELD:
                    self._lose(ending.LOST, f"{self._name} is lost: the cluster ended its session", now_ms)
                elif self.phase < Phase.HELD:
                    if self._terms.tells_news:
                        self._told.append(News(f"the session ended while waiting for {self._name}; back to the end of the line"))
                    self._open()
                elif self.phase in (Phase.RECORDING, Phase.CLOSING):
                    self._on_session_over()
            case Noticed(kind, value):
                if kind == self._wish.space:
                    self._on_notice(unpack(value), now_ms)
            case Missed():
                if read := self._wish.read_standing(self._talk.lease.id):
                    self._calls[self._talk.read(read)] = self._on_standing

    def _on_opened(self, answered: Answered, now_ms: int) -> None:
        first: Any = answered.result[4] if answered.error is None else None
        if isinstance(answered.error, BadRequest) and self._terms.parent and self.phase < Phase.OVER:
            self._terms = self._terms._replace(parent=0)  # it may be of another cluster
            self._open()
        elif answered.error is not None:
            self._refuse(answered.error)
            if self.phase == Phase.CLOSING:
                self._on_nothing_left()
        elif self.phase == Phase.CLOSING:
            self._close(now_ms)
        elif first is None:
            self._calls[self._talk.write(self._wish.operation())] = self._on_asked
        else:
            self._on_first(first, now_ms)

    def _on_asked(self, answered: Answered, now_ms: int) -> None:
        if self.phase != Phase.OPENING:
            return
        if answered.error is not None:
            self._refuse(answered.error)
        else:
            self._on_first(answered.result, now_ms)

    def _on_first(self, first: Any, now_ms: int) -> None:
        wish = self._wish
        if first[0] == wish.granted:
            wish.on_granted(first)
            self._on_token(first[2], now_ms)
        elif first[0] == wish.queued:
            self.phase = Phase.QUEUED
            self._ticket = first[2]
            self._had, self._seen_ms = wish.had_by(first[4]), now_ms
            self._look_at_ms = now_ms
            if self._terms.tells_news:
                ahead = f"; {first[3]} wait before us" if first[3] else ""
                self._told.append(News(f"{self._name} is {wish.who(self._had)}{ahead}"))
        elif first[0] == wish.busy:
            self._had, self._seen_ms = wish.had_by(first[2]), now_ms
            self._refuse_busy(now_ms)
        else:
            frames.expect(first, frames.FAILURE)
            self._refuse(frames.error_of(first[1], first[2]))

    def _wait(self, now_ms: int) -> None:
        terms = self._terms
        silent_ms = now_ms - max(self._talk.heard_ms, self._began_ms)
        if self._is_refused_everywhere() and now_ms >= self._began_ms + REFUSED_MS:
            remedy = "is it running? `coordctl up` starts a local cluster"
            self._end(Refused(outcome.UNREACHABLE, f"no member can be reached ({self._troubles()}): {remedy}"))
        elif silent_ms >= terms.timeout_ms:
            within = f"no leader answered within {terms.timeout_ms} ms"
            self._end(Refused(outcome.UNREACHABLE, f"{within} ({self._troubles()}): see `coordctl status`"))
        elif self.phase == Phase.LOOKING:
            if now_ms >= self._look_at_ms + LAST_LOOK_MS:
                self._refuse_busy(now_ms)
        elif terms.wait_ms is not None and now_ms >= self._began_ms + terms.wait_ms and self.phase in (Phase.OPENING, Phase.QUEUED):
            self.phase = Phase.LOOKING
            self._look(now_ms)
        elif terms.tells_news and self.phase == Phase.QUEUED and now_ms >= self._look_at_ms + NEWS_MS:
            self._look(now_ms)

    def _look(self, now_ms: int) -> None:
        self._look_at_ms = now_ms
        self._calls[self._talk.read(self._wish.read())] = self._on_view

    def _on_view(self, answered: Answered, now_ms: int) -> None:
        wish = self._wish
        seen = wish.had_now(answered.result) if answered.error is None else None
        before, self._had = self._had, seen or self._had
        self._seen_ms = now_ms if seen else self._seen_ms
        if self.phase == Phase.LOOKING:
            self._refuse_busy(now_ms)
        elif self.phase == Phase.QUEUED and seen is not None and (before is None or wish.token(seen) != wish.token(before)):
            self._told.append(News(f"{self._name} is {wish.who(seen)}"))

    def _refuse_busy(self, now_ms: int) -> None:
        if not self._talk.heard_ms:
            why = self._troubles() or "no answer"
            self._end(Refused(outcome.NOT_ACQUIRED, f"{self._name} could not be asked for in time ({why}): see `coordctl status`"))
            return
        is_now = self._wish.who(self._had, now_ms - self._seen_ms) if self._had is not None else "not free"
        if self._terms.wish.waits:
            first, remedy = f"{self._name} is still {is_now}", "wait longer with --wait"
        else:
            first, remedy = f"{self._name} is {is_now}", "wait with --wait 1m"
        queue = f"{remedy}; see the queue with: coordctl {self._wish.verb} show {self._name}"
        self._end(Refused(outcome.NOT_ACQUIRED, f"{first}\n          {queue}"))

    def _refuse(self, error: CoordError) -> None:
        kind = outcome.NOT_ACQUIRED
        is_busy = isinstance(error, Conflict) and self._wish.is_conflict_busy
        if isinstance(error, BadRequest | TooLarge | Conflict) and not is_busy:
            kind = outcome.WRONG
        elif isinstance(error, NotPermitted):
            kind = outcome.NOT_PERMITTED
        self._end(Refused(kind, error.sentence))

    def _end(self, refused: Refused) -> None:
        if self.phase < Phase.OVER:
            self.phase = Phase.OVER
            self._told.append(refused)

    def _is_refused_everywhere(self) -> bool:
        return not self._talk.heard_ms and self._talk.is_refused_everywhere()

    def _troubles(self) -> str:
        return "; ".join(f"{address}: {trouble}" for address, trouble in self._talk.troubles.items())

    # --- granted ---------------------------------------------------------------------------------------------------

    def _on_notice(self, notice: list[Any], now_ms: int) -> None:
        if notice[0] == self._wish.given and notice[2] == self._ticket and self.phase in (Phase.QUEUED, Phase.LOOKING):
            self._on_token(notice[3], now_ms)
        elif notice[0] == self._wish.taken and notice[2] == self.token and self.token:
            by, reason = notice[4] or "an operator", f": {notice[3]}" if notice[3] else ""
            self._lose(ending.BROKEN, f"{self._name} was {self._wish.broken} by {by}{reason}", now_ms)

    def _on_standing(self, answered: Answered, now_ms: int) -> None:
        """Notices were missed: what do we hold and wait for?"""
        if answered.error is not None:
            return
        frames.expect(answered.result, self._wish.standing)
        numbers = {(token, ticket) for _, token, ticket, *_ in answered.result[2]}
        tokens = [token for token, ticket in sorted(numbers) if token]
        if self.token and self.token not in tokens:
            self._lose(ending.BROKEN, f"{self._name} was {self._wish.broken}, or lost otherwise, while we could not hear of it", now_ms)
        elif not self.token and tokens and self.phase in (Phase.QUEUED, Phase.LOOKING):
            self._on_token(tokens[0], now_ms)

    def _on_token(self, token: int, now_ms: int) -> None:
        self.token = token
        self.phase = Phase.CONFIRMING
        self._confirm(now_ms)

    def _confirm(self, now_ms: int) -> None:
        """A command is not started on the rest of a lease that may be gone before it has begun."""
        lease = self._talk.lease
        if now_ms >= lease.until_ms - lease.ttl_ms // 2:
            self._talk.renew_soon(now_ms)
            return
        if self._terms.once and not self._has_asked_once:
            self.phase = Phase.ASKING_ONCE
            start = self._once_folder()
            self._calls[self._talk.read([RANGE_TAG, start, start[:-1] + b"0", 0, False])] = self._on_once
        else:
            self._on_confirmed()

    def _on_confirmed(self) -> None:
        self.phase = Phase.HELD
        lease = self._talk.lease
        environment = {
            **self._wish.environment(self.token),
            "COORD_SESSION": str(lease.id),
            "COORD_SESSION_CLUSTER": str(self._talk.cluster or ""),  # what is around us may have said another one
            "COORD_DEADLINE_MS": str(lease.until_ms),
        }
        self._told.append(Granted(self.token if self._wish.is_token else None, lease.until_ms, environment))

    def _lose(self, reason: str, sentence: str, now_ms: int) -> None:
        if self.phase == Phase.HELD:
            self.phase = Phase.OVER
            self._told.append(Lost(reason, sentence))
        elif self.phase in (Phase.CONFIRMING, Phase.ASKING_ONCE):
            self._end(Refused(outcome.NOT_ACQUIRED, sentence))

    # --- once ------------------------------------------------------------------------------------------------------

    def _once_folder(self) -> bytes:
        return encoded(f"{ONCE_PREFIX}{self._name}/")

    def _on_once(self, answered: Answered, now_ms: int) -> None:
        if self.phase != Phase.ASKING_ONCE:
            return
        if answered.error is not None:
            self._refuse(answered.error)
            return
        from coordctl.runner import once

        frames.expect(answered.result, frames.PAGE)
        wall_ms = now_ms + self._terms.wall_offset_ms
        self._expired.clear()
        for key, value, *_ in answered.result[2]:
            record = once.read(value)
            if record.get("until_unix_ms", 0) <= wall_ms:
                self._expired.append(key)
            elif key == self._once_folder() + encoded(self._terms.once):
                self._end(Refused(outcome.DONE_BEFORE, once.done(self._terms.once, record)))
                return
        self._has_asked_once = True
        self.phase = Phase.CONFIRMING
        self._confirm(now_ms)  # the answer may have taken long

    def _record(self, now_ms: int) -> list[object]:
        from coordctl.runner import once

        wall_ms = now_ms + self._terms.wall_offset_ms
        key = self._once_folder() + encoded(self._terms.once)
        put = [PUT_TAG, key, once.written(self._terms.owner, self.token, wall_ms, wall_ms + self._terms.keep_ms)]
        gone = [[DELETE_TAG, old] for old in self._expired[:CLEANED_MAX] if old != key]
        return [TRANSACTION_TAG, [[encoded(self._name), TOKEN_FIELD, EQUAL, self.token]], [put, *gone], []]

    def _on_recorded(self, answered: Answered, now_ms: int) -> None:
        if self.phase != Phase.RECORDING:
            return
        if answered.error is not None or not answered.result[2]:
            why = answered.error.sentence if answered.error is not None else "the lock was lost meanwhile"
            self._told.append(Closed(f"the command succeeded, but that could not be recorded: {why}", outcome.LOST))
            self.phase = Phase.CLOSED
            return
        self._close(now_ms)

    # --- the end ---------------------------------------------------------------------------------------------------

    def _close(self, now_ms: int) -> None:
        if self._talk.lease.id:
            self.phase = Phase.CLOSING
            self._calls[self._talk.close()] = self._on_closed
        elif self._talk.was_sent():
            self.phase = Phase.CLOSING  # the session may be open: once its number is known it is closed
        else:
            self._on_nothing_left()

    def _on_nothing_left(self) -> None:
        self.phase = Phase.CLOSED
        self._told.append(Closed())

    def _on_closed(self, answered: Answered, _now_ms: int) -> None:
        self.phase = Phase.CLOSED
        self._told.append(Closed(f"{self._name} could not be released: {answered.error.sentence}" if answered.error is not None else ""))

    def _on_session_over(self) -> None:
        was_recording = self.phase == Phase.RECORDING
        self.phase = Phase.CLOSED
        said = "the command succeeded, but that could not be recorded: the session is over" if was_recording else ""
        self._told.append(Closed(said, outcome.LOST if was_recording else ""))

    def _on_closed_too_late(self) -> None:
        was_recording = self.phase == Phase.RECORDING
        self.phase = Phase.CLOSED
        why = self._troubles() or "no answer"
        said = f"{self._name} could not be released ({why}): its lease of {self._terms.ttl_ms} ms ends by itself"
        if was_recording:
            said = f"the command succeeded, but whether that was recorded is not known ({why})"
        self._told.append(Closed(said, outcome.UNREACHABLE if was_recording else ""))


def encoded(text: str) -> bytes:
    """As it came from the command line, whatever bytes it was."""
    return text.encode(errors="surrogateescape")
