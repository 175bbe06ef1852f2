"""Locks: few names, much contention, by sessions that come and go; the rules are followed in the order of the log."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from coordnode.checking import shown
from coordnode.checking.locks import GRANTED_EVENT, GuardedResources, LockTruth
from coordnode.client.actions import Finished, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.lease import SessionState
from coordnode.errors import Deadlock
from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LOCK_BROKEN,
    LOCK_RELEASED,
    LOCKS,
    NOTICES,
    SEMAPHORE,
    SHARED,
    Acquire,
    BreakLock,
    CloseSession,
    Command,
    Done,
    Failure,
    HeldLocks,
    ListLocks,
    LockBusy,
    LockEvent,
    LockGiven,
    LockGranted,
    LockHolder,
    LockInfo,
    LockPage,
    LockQueued,
    LockReleased,
    LockTaken,
    LockView,
    LockWaiter,
    OpenSession,
    ReadHeldLocks,
    ReadLock,
    ReadOperation,
    Release,
    Result,
    SessionOpened,
    Wake,
    decode_notice,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

NAMES = (b"lock/a", b"lock/b", b"lock/c")
SEMAPHORES = ((b"permits/3", 3), (b"permits/2", 2))
GIVEN_BACK_EVENTS = (LOCK_RELEASED, LOCK_BROKEN)
TOGETHER_MAX = 3  # acquisitions, or releases, of one client at a time: what has a line has more than one in it
DELAYS_MS = (0, 0, 400, 3_000)
NOTES = ("", "nightly", "by hand")


class SimLocks(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        Acquire: other("acquire"),
        Release: other("release"),
        BreakLock: other("break"),
        ReadLock: other_read("lock"),
        ListLocks: other_read("locks"),
        ReadHeldLocks: other_read("held"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._truth = LockTruth()
        self._resources = GuardedResources()
        self._is_clean = False  # the sessions that the last command ended were closed by their clients
        self._watches: dict[int, dict[int, int]] = {}  # by client: watch -> the recording's number of it
        self._reads: dict[tuple[int, int], ReadOperation] = {}  # by client and call

    def steps(self) -> Mapping[Step, int]:
        return {self._acquire: 16, self._release: 14, self._release_wrong: 1, self._break: 1, self._read: 3}

    def first_command(self, client: SimClient) -> Acquire:
        return self._draw(wait=True)

    # --- the steps -----------------------------------------------------------------------------------------------------

    def _draw(self, *, wait: bool) -> Acquire:
        chance = self.stage.chance.random
        delay_ms = DELAYS_MS[int(chance() * len(DELAYS_MS))]
        note = NOTES[int(chance() * len(NOTES))]
        reentrant = chance() < 0.2
        if chance() < 0.3:
            name, limit = SEMAPHORES[int(chance() * len(SEMAPHORES))]
            return Acquire(name, SEMAPHORE, 1 + int(chance() * limit), limit, wait, reentrant, delay_ms, note)
        kind = SHARED if chance() < 0.35 else EXCLUSIVE
        return Acquire(NAMES[int(chance() * len(NAMES))], kind, 1, 0, wait, reentrant, delay_ms, note)

    def _acquire(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            for _ in range(1 + int(self.stage.chance.random() * TOGETHER_MAX)):
                self.stage.call(client, self._draw(wait=self.stage.chance.random() < 0.75), session=session)

    def _release(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if not session:
            return
        claims = self._truth.claims(int(client.sessions[session]))
        for _ in range(min(len(claims), 1 + int(self.stage.chance.random() * TOGETHER_MAX))):
            name, number = claims.pop(int(self.stage.chance.random() * len(claims)))
            self.stage.call(client, Release(name, Token(number)), session=session)

    def _release_wrong(self, client: SimClient) -> None:
        """Most often somebody else's."""
        session = self.stage.usable_session(client)
        name = NAMES[int(self.stage.chance.random() * len(NAMES))]
        numbers = self._truth.numbers(name) or [5]
        if session:
            number = numbers[int(self.stage.chance.random() * len(numbers))]
            self.stage.call(client, Release(name, Token(number)), session=session)

    def _break(self, client: SimClient) -> None:
        name = NAMES[int(self.stage.chance.random() * len(NAMES))]
        numbers = [0, *self._truth.numbers(name)]
        token = Token(numbers[int(self.stage.chance.random() * len(numbers))])
        self.stage.write(client, BreakLock(name, token, "why", client.name))

    def _read(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        session = self.stage.usable_session(client)
        operation: ReadOperation
        if session and chance() < 0.3:
            operation = ReadHeldLocks(SessionId(client.sessions[session]))
        elif chance() < 0.6:
            names = [*NAMES, *[name for name, _ in SEMAPHORES]]
            operation = ReadLock(names[int(chance() * len(names))], limit=int(chance() * 3))
        else:
            operation = ListLocks(limit=int(chance() * 4))
        self._reads[client.number, self.stage.call(client, operation, stale=chance() < 0.3)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        operation, result, truth = self._reads.pop((client.number, finished.call), None), finished.result, self._truth
        if operation is None or not self.stage.recording.is_newest(finished.index):
            return
        if isinstance(operation, ReadLock) and isinstance(result, LockView):
            self._check_lock(operation, result)
        elif isinstance(operation, ListLocks) and isinstance(result, LockPage):
            listed = (tuple([_info(info) for info in result.locks]), result.more)
            shown.must_be("the list of locks", listed, shown.locks(truth, operation.limit))
        elif isinstance(operation, ReadHeldLocks) and isinstance(result, HeldLocks):
            held = (tuple([(each.name, int(each.token), int(each.ticket), each.count) for each in result.locks]), result.more)
            shown.must_be(f"what session {operation.session} holds of locks", held, shown.held(truth, int(operation.session)))

    def _check_lock(self, operation: ReadLock, view: LockView) -> None:
        truth, presence, what = self._truth, self.stage.presence, f"lock {operation.name!r}"
        holders = [
            (int(one.token), int(one.session), one.kind, one.permits, one.count if one.session else 0, one.note) for one in view.holders
        ]
        line = [(int(one.ticket), int(one.session), one.kind, one.permits, one.note) for one in view.waiters]
        seen = (_info(view.lock), (tuple(holders), view.more_holders), (tuple(line), view.more_waiters))
        shown.must_be(what, seen, shown.lock(truth, operation.name, operation.limit))
        claims: list[LockHolder | LockWaiter] = [*view.holders, *view.waiters]
        owners = [presence.owner_of(int(one.session)) for one in claims]
        shown.must_be(f"whose {what} is", [one.owner for one in claims], owners)
        found = truth.locks.get(operation.name)
        if found is None:
            return
        held = list(zip(found.grants, view.holders, strict=False))
        shown.must_be(
            f"the delays of {what}",
            [one.delay_ms for grant, one in held if grant.session],
            [grant.delay_ms for grant, _ in held if grant.session],
        )
        times = [(grant.since_ms, one.held_ms) for grant, one in held]
        times += [(waiter.since_ms, one.waited_ms) for waiter, one in zip(found.line, view.waiters, strict=False)]
        times += [(grant.due_ms - one.delay_ms, 0) for grant, one in held if grant.due_ms and one.delay_ms]
        if view.lock is not None and view.lock.first is not None:
            times.append((found.grants[0].since_ms, view.lock.first.held_ms))
        shown.times_must_agree(f"how long {what} is held and awaited", times, *self.stage.recording.read_between_ms())

    def tokens(self) -> list[tuple[bytes, int]]:
        return self._truth.tokens()

    def before_step(self, client: SimClient) -> None:
        """Writes to what it believes to hold. Everything that is told of locks, or to sessions, is watched by some."""
        now_ms = client.clock.own_ms()
        for session, session_id in client.sessions.items():
            if client.core.session_state(session, now_ms) in (SessionState.HELD, SessionState.UNSURE):
                self._resources.believes(int(session_id))
        watches = self._watches.setdefault(client.number, {})
        if not watches and self.stage.chance.random() < 0.05:
            space = LOCKS if self.stage.chance.random() < 0.5 else NOTICES
            watch = client.core.watch(b"", b"", 0, client.clock.own_ms(), space=space)
            watches[watch] = self.stage.recording.watching(b"", b"", 0, space)

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        watches = self._watches.setdefault(client.number, {})
        number = watches.get(seen.watch)
        if number is None:
            return
        if isinstance(seen, WatchEvents):
            self.stage.recording.watched(client, number, seen)
            return
        if isinstance(seen, WatchGapSeen):
            self.stage.recording.gap(number, seen.floor)
        else:
            self.stage.recording.unwatched(number)
        del watches[seen.watch]

    def why_not_quiet(self, client: SimClient) -> str:
        for number in self._watches.setdefault(client.number, {}).values():
            revision = self.stage.recording.untold(number)
            if revision:
                return f"watch {number} of client {client.name} was not told of revision {revision} of locks or notices"
        return ""

    # --- the truth -----------------------------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        operation = command.operation
        self._truth.now_ms = cluster_ms
        self._is_clean = isinstance(operation, CloseSession)
        if isinstance(operation, OpenSession):
            if isinstance(result, SessionOpened):
                self._truth.opened(int(result.session), int(operation.parent))
                if isinstance(operation.first, Acquire):
                    assert result.first is not None
                    self._acquired(int(result.session), operation.first, cluster_ms, result.first)
        elif isinstance(operation, Acquire):
            self._acquired(int(command.session), operation, cluster_ms, result)
        elif isinstance(operation, Release):
            answer: tuple[object, ...] = ("refused",)
            if isinstance(result, LockReleased):
                answer = ("released", result.what, int(result.token), result.count)
            elif not _is_judged(result):
                return
            session, name = int(command.session), operation.name
            self._truth.released(session, name, int(operation.number), answer)
            if not self._truth.is_inside(session, name):  # though those below it may be, and no event says that anything is over
                self._resources.given_back(session, name)
        elif isinstance(operation, BreakLock):
            if isinstance(result, Done) or _is_judged(result):
                self._truth.was_broken(operation.name, int(operation.token), result.changed if isinstance(result, Done) else -1)
        elif isinstance(operation, Wake):
            self._truth.passed(cluster_ms)

    def _acquired(self, session: int, operation: Acquire, cluster_ms: int, result: object) -> None:
        answer: tuple[object, ...]
        if isinstance(result, LockGranted):
            answer = ("granted", int(result.token), result.count)
        elif isinstance(result, LockQueued):
            answer = ("queued", int(result.ticket), result.ahead)
        elif isinstance(result, LockBusy):
            answer = ("busy",)
        elif isinstance(result, Failure) and _is_judged(result):
            answer = ("deadlock",) if result.code == Deadlock.code else ("refused",)
        else:
            return
        asked = (
            operation.name,
            operation.kind,
            operation.permits,
            operation.limit,
            operation.wait,
            operation.reentrant,
            operation.delay_ms,
        )
        self._truth.acquired(session, asked, cluster_ms, answer, operation.note)

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        if self._is_clean:
            self._resources.closed(session)
        return self._truth.session_ended(session, self._is_clean, cluster_ms)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        granted: list[tuple[bytes, int, int]] = []
        given: list[tuple[int, bytes, int, int]] = []
        taken: list[tuple[int, bytes, int]] = []
        for _, events in changes:
            for kind, key, value, _, session, space in events:
                if space == LOCKS and kind == GRANTED_EVENT:
                    event = msgspec.msgpack.decode(value, type=LockEvent)
                    granted.append((key, int(event.number), session))
                    if event.kind == EXCLUSIVE:
                        self._resources.granted(session, key, int(event.number))
                elif space == LOCKS and kind in GIVEN_BACK_EVENTS:
                    self._resources.given_back(session, key)
                elif space == NOTICES and kind == LOCKS:
                    notice = decode_notice(value)
                    if isinstance(notice, LockGiven):
                        given.append((session, notice.name, int(notice.ticket), int(notice.token)))
                    elif isinstance(notice, LockTaken):
                        taken.append((session, notice.name, int(notice.token)))
        truth = self._truth
        truth.told(granted, given, taken)
        for mark, count in (
            (marks.LOCK_HANDED_OVER, truth.handed_over),
            (marks.LOCK_DELAY_PASSED, truth.delays),
            (marks.LOCK_ENTERED, truth.entered),
            (marks.LOCK_BROKEN, truth.broken),
            (marks.DEADLOCK_REFUSED, truth.deadlocks),
        ):
            if count:
                self.stage.marks.reach(mark)
        truth.handed_over = truth.delays = truth.entered = truth.broken = truth.deadlocks = 0


def _info(info: LockInfo | None) -> object:
    return None if info is None else (info.name, info.kind, info.limit, info.permits, info.holders, info.waiters)


def _is_judged(result: object) -> bool:
    """Refused by the rules of locks, not by those of sessions, sizes or levels."""
    return isinstance(result, Failure) and result.code in range(31, 36)
