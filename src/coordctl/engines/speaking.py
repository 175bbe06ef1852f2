"""One session on another engine, told in the words that a claim knows: a lease, a place in line, what is to be asked and sent again. Pure.

What engines have in common; each says in a talk of its own how it opens, renews, takes, finds out and closes. Its owner reports what
happened, then carries out what `poll` returns, and calls it again by `wake_at_ms`. One question is under way at a time; a word that was
cut off is begun again, so each may be: nothing is taken twice.
"""

from __future__ import annotations

from coordctl.engines import lines
from coordctl.engines.lacks import why_not
from coordctl.engines.lines import TOLD_TO_WORDS, Gone, There
from coordctl.hot import frames
from coordctl.hot.msgpack import pack
from coordctl.hot.talk import (
    ATTEMPT_MS,
    ATTEMPT_MS_MIN,
    CONNECTING,
    DOWN,
    PROBE_MS,
    UP,
    Answered,
    Connect,
    Disconnect,
    Expired,
    Noticed,
    Told,
)
from coordnode.client.renewal import Renewal
from coordnode.client.route import Chance, jittered_ms
from coordnode.errors import BadRequest, CoordError, Disconnected, FrameError, NoSpace, NotReady, SessionExpired
from coordnode.ids import NO_SESSION
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    Asks = Generator[Any, Any, Any]

SPACES = {lines.LOCKS: frames.LOCKS, lines.ELECTIONS: frames.ELECTIONS}
FIRST_TAG = {lines.LOCKS: 30, lines.ELECTIONS: 40}
GIVEN, TAKEN = 0, 1  # behind the first
ANOTHER_TOOL = "somebody, with another tool"


class Send(NamedTuple):
    ask: Any


class _Job:
    __slots__ = ("begin", "number", "word")

    def __init__(self, number: int, begin: Callable[[], Asks]) -> None:
        self.number = number  # of the call; 0: nobody waits for its result
        self.begin = begin
        self.word: Asks | None = None  # under way


class Speaking:
    engine: str

    def __init__(self, addresses: Sequence[str], chance: Chance, wall_offset_ms: int) -> None:
        self.lease = Renewal(0)
        self.cluster = 0  # they do not say
        self.heard_ms = 0  # when a member last answered
        self.troubles: dict[str, str] = {}  # address -> what it did last
        self.begun_again = 0  # the last call that was: what it finds may be its own doing
        self._addresses = list(addresses)
        self._at = chance.randrange(0, len(self._addresses))
        self._chance = chance
        self._wall_offset_ms = wall_offset_ms
        self._link = DOWN
        self._try_at_ms = 0
        self._asked_ms = 0  # when what is under way was sent, or the connection begun
        self._is_asked = False
        self._failures = 0
        self._now_ms = 0
        self._jobs: list[_Job] = []  # the first one is under way
        self._last_number = 0
        self._opening = 0
        self._actions: list[Any] = []
        self._told: list[Told] = []
        self._forget_place()

    def _forget_place(self) -> None:
        self._opened_ms = 0  # when the session was first asked for
        self._space = self._name = self._folder = b""
        self._mine: lines.Place | None = None
        self._places: dict[bytes, lines.Place] = {}  # of the line, as far as we heard
        self._is_held = self._is_gone = False
        self._is_renewing = False

    # --- each engine's own -----------------------------------------------------------------------------------------

    def _result(self, answer: Any) -> Any:
        """Or raises why not: a CoordError, Gone, There."""
        raise NotImplementedError

    def _read(self, operation: list[Any]) -> Asks:
        raise NotImplementedError

    def _write(self, operation: list[Any]) -> Asks:
        """Where a token is compared, it is that of the place we have."""
        raise NotImplementedError

    def _open(self, nonce: bytes, owner: str, first: list[Any], parent: int) -> Asks:
        raise NotImplementedError

    def _renew(self) -> Asks:
        raise NotImplementedError

    def _take(self) -> Asks:
        """It seems to be ours: that is written down if it is."""
        raise NotImplementedError

    def _find_out(self) -> Asks:
        """Why our place is gone; who wrote the reason down sees by its going that we know."""
        raise NotImplementedError

    def _close(self) -> Asks:
        raise NotImplementedError

    def _more(self) -> None:
        """What else is to be done as long as a member is there."""

    # --- what the owner wants --------------------------------------------------------------------------------------

    def open(self, nonce: bytes, ttl_ms: int, owner: str, first: list[Any] | None, parent: int = 0, parent_cluster: int = 0) -> int:
        """`parent_cluster`: only coordnode's clusters have a number, and so that one is none of ours."""
        parent = 0 if parent_cluster else parent
        self.lease = Renewal(ttl_ms)
        self._forget_place()
        self._jobs.clear()
        self._hang_up()
        self._opening = self._call(lambda: self._checked_open(nonce, owner, first, parent))
        return self._opening

    def _checked_open(self, nonce: bytes, owner: str, first: list[Any] | None, parent: int) -> Asks:
        lines.check_ttl(self.lease.ttl_ms)
        if first is None:
            raise BadRequest(why_not(self.engine, "groups"))
        return self._open(nonce, owner, first, parent)

    def write(self, operation: list[Any]) -> int:
        return self._call(lambda: self._write(operation))

    def read(self, operation: list[Any]) -> int:
        return self._call(lambda: self._read(operation))

    def close(self) -> int:
        self.lease.closing = True
        return self._call(self._close)

    def renew_soon(self, now_ms: int) -> None:
        if not self._is_renewing:
            self.lease.ask_at_ms = min(self.lease.ask_at_ms, now_ms)

    def was_sent(self) -> bool:
        return bool(self._opened_ms) and any(job.number == self._opening for job in self._jobs)

    def has_begun(self) -> bool:
        """Something that somebody waits for may have been heard."""
        return any(job.number and job.word is not None for job in self._jobs)

    def is_refused_everywhere(self) -> bool:
        return all(self.troubles.get(address) == "connection refused" for address in self._addresses)

    def _call(self, begin: Callable[[], Asks]) -> int:
        self._last_number += 1
        self._jobs.append(_Job(self._last_number, begin))
        return self._last_number

    # --- what happened ---------------------------------------------------------------------------------------------

    def address(self) -> str:
        return self._addresses[self._at]

    def on_connected(self, now_ms: int) -> None:
        if self._link == CONNECTING:
            self._link = UP
            self.lease.on_connected()

    def on_disconnected(self, trouble: str, now_ms: int) -> None:
        if self._link != DOWN:
            self._give_up(trouble, now_ms)

    def on_answer(self, answer: Any, now_ms: int) -> None:
        if not self._is_asked:
            return
        self._now_ms = now_ms
        self._is_asked = False
        job = self._jobs[0]
        assert job.word is not None
        try:
            try:
                found = self._result(answer)
            except TOLD_TO_WORDS as error:
                self._progress(now_ms)
                self._ask(job.word.throw(error))
            else:
                self._progress(now_ms)
                self._ask(job.word.send(found))
        except StopIteration as over:
            self._finish(job, over.value, None)
        except (NotReady, NoSpace, Disconnected, FrameError) as error:
            self._give_up(error.sentence, now_ms)  # another member may know a leader, or be one
        except (Gone, There) as error:
            self._finish(job, None, SessionExpired(f"its session is over ({error})"))
        except CoordError as error:
            self._finish(job, None, error)

    def poll(self, now_ms: int) -> list[Any]:
        self._now_ms = now_ms
        waits_since_ms = self._asked_ms if self._link == CONNECTING or self._is_asked else now_ms
        if now_ms >= waits_since_ms + self._patience_ms():
            self._give_up("fell silent", now_ms)
        if self._link == DOWN and self._has_work() and now_ms >= self._try_at_ms:
            self._link = CONNECTING
            self._asked_ms = now_ms
            self._actions.append(Connect(self.address()))
        if self._link == UP:
            self._send(now_ms)
        actions, self._actions = self._actions, []
        return actions

    def told(self) -> list[Told]:
        told, self._told = self._told, []
        return told

    def wake_at_ms(self) -> int | None:
        if not self._has_work():
            return None
        if self._link == DOWN:
            return self._try_at_ms
        if self._link == CONNECTING or self._is_asked:
            return self._asked_ms + self._patience_ms()
        return self._now_ms if self._jobs else self._renew_at_ms()

    # --- the line --------------------------------------------------------------------------------------------------

    def _entered(self, places: Sequence[lines.Place], mine: lines.Place, waits: bool, revision: int) -> list[object] | None:
        """What to answer to who wants in; None: it has to wait."""
        self._places = {one.key: one for one in places}
        self._mine = mine
        if error := lines.conflict(places, mine):
            return lines.failure(error)
        if lines.holds(places, mine):
            self._is_held = True
            return lines.granted(self._space, revision, mine.number)
        if not waits:
            return lines.busy(self._space, revision, self._name, [one for one in places if one != mine], self._unix_ms())
        return None

    def _on_left(self, key: bytes) -> None:
        self._places.pop(key, None)
        if self._mine is not None and key == self._mine.key:
            self._on_gone()
        else:
            self._maybe_take()

    def _maybe_take(self) -> None:
        mine = self._mine
        if mine is None or self._is_held or self._is_gone or any(job.begin == self._take for job in self._jobs):
            return
        if lines.holds(list(self._places.values()), mine):
            self._do(self._take)

    def _on_gone(self) -> None:
        if not self._is_gone and not self.lease.closing:
            self._is_gone = True
            self._do(self._find_out)

    def _do(self, begin: Callable[[], Asks]) -> None:
        self._jobs.append(_Job(0, begin))

    def _given(self) -> None:
        assert self._mine is not None
        self._is_held = True
        self._tell(GIVEN, self._mine.number, self._mine.number)

    def _taken(self, reason: str, by: str) -> None:
        """From the line: it begins anew, as with a session that ended."""
        if self._is_held and self._mine is not None:
            self._tell(TAKEN, self._mine.number, reason, by)
        else:
            self._told.append(Expired())

    def _tell(self, what: int, *fields: object) -> None:
        self._told.append(Noticed(SPACES[self._space], pack([FIRST_TAG[self._space] + what, self._name, *fields])))

    def _key(self) -> bytes:
        return self._folder + b"/" + self._mine.key if self._mine is not None else b""

    # --- the connection --------------------------------------------------------------------------------------------

    def _send(self, now_ms: int) -> None:
        if self._is_renewed() and now_ms >= self._renew_at_ms() and not self._is_renewing:
            self._is_renewing = True
            self.lease.on_asked(now_ms)
            self._jobs.insert(1 if self._is_asked else 0, _Job(0, self._renew))
        self._more()
        if self._jobs and not self._is_asked:
            self._begin(self._jobs[0])

    def _begin(self, job: _Job) -> None:
        """It may be over without a question."""
        if job.word is not None and job.number:
            self.begun_again = job.number
        try:
            job.word = job.begin()
            self._ask(next(job.word))
        except StopIteration as over:
            self._finish(job, over.value, None)
        except CoordError as error:
            self._finish(job, None, error)

    def _ask(self, ask: Any) -> None:
        self._is_asked = True
        self._asked_ms = self._now_ms
        self._actions.append(Send(ask))

    def _finish(self, job: _Job, value: Any, error: CoordError | None) -> None:
        self._jobs.remove(job)
        if job.begin == self._renew:
            self._is_renewing = False
        if job.number:
            self._told.append(Answered(job.number, value, error))

    def _progress(self, now_ms: int) -> None:
        self.heard_ms = now_ms
        self._failures = 0
        self.troubles.pop(self.address(), None)

    def _has_work(self) -> bool:
        return bool(self._jobs) or self._is_renewed()

    def _is_renewed(self) -> bool:
        return self.lease.id != NO_SESSION and not self.lease.closing

    def _renew_at_ms(self) -> int:
        """A session with a long lease is renewed more often, or a dead connection would hide what is watched."""
        return min(self.lease.ask_at_ms, self.heard_ms + PROBE_MS)

    def _patience_ms(self) -> int:
        return min(ATTEMPT_MS, max(ATTEMPT_MS_MIN, self.lease.ttl_ms // 3)) if self.lease.ttl_ms else ATTEMPT_MS

    def _give_up(self, trouble: str, now_ms: int) -> None:
        self.troubles[self.address()] = trouble
        self._failures += 1
        self._at = (self._at + 1) % len(self._addresses)
        self._try_at_ms = now_ms + jittered_ms(self._chance, self._failures)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._link != DOWN:
            self._actions.append(Disconnect())
        self._link = DOWN
        self._is_asked = False

    def _unix_ms(self) -> int:
        return self._now_ms + self._wall_offset_ms
