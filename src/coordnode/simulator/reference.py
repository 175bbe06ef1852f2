"""The committed log, applied once more beside all members: what each command came to, and what every state must be equal to.

Members are compared with it at every index; what it says itself is judged by checking/, which knows nothing of its code.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Sequence

from coordnode.checking.history import FOREVER, UNKNOWN, UNSEEN, Operation
from coordnode.checking.promises import ExactlyOnce, SessionLife, WatchOrder
from coordnode.errors import PromiseBroken, SessionExpired, TooOld
from coordnode.ids import Index, Revision, SessionId, Term
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import BATCH, Entry
from coordnode.services.commands import (
    Batch,
    Checkpoint,
    CloseSession,
    Command,
    Done,
    Event,
    Expire,
    Failure,
    OpenSession,
    Outcome,
    Put,
    RaiseLevel,
    Result,
    SessionOpened,
    Withdraw,
    decode_batch,
    decode_result,
)
from coordnode.services.levels import MENDED
from coordnode.services.machine import Machine
from coordnode.services.requests import ORDER_ID, REPLIES_ID
from coordnode.services.tables import Table
from coordnode.simulator import marks
from coordnode.simulator.marks import Marks

Identity = tuple[str, str | bytes | int] | tuple[str, int, int]
"""What a command is known by, however often a copy of it stands in the log."""

POSITIONS = 1024  # an entry's positions are spread so far apart for checking, to make room for each session that one Expire ends

_FORGOTTEN = (SessionExpired.code, TooOld.code)  # answers of the window's edge: they do not speak of the command itself


EventRow = tuple[int, bytes, bytes, int, int, int]  # kind, key, value, version, session, space


def event_row(event: Event) -> EventRow:
    return event.kind, event.key, event.value, event.version, int(event.session), event.space


def identity_of(command: Command) -> Identity | None:
    operation = command.operation
    if command.session:
        return "session", int(command.session), int(command.sequence)
    if isinstance(operation, OpenSession):
        return "owner", operation.owner  # each has a nonce of its own, whatever request ids it comes with
    if command.request_id:
        return "request", command.request_id
    if isinstance(operation, CloseSession):
        return "close", int(operation.session)
    if isinstance(operation, Put):
        return "value", operation.value
    return None


class _Window:
    """What a session's reply window must hold, counted by the promise and not with the machine's code."""

    __slots__ = ("bytes", "floor", "replies")

    def __init__(self) -> None:
        self.floor = 1
        self.replies: dict[int, int] = {}  # sequence -> bytes of the reply
        self.bytes = 0

    def keep(self, sequence: int, lowest_open: int, size: int, entries_max: int, bytes_max: int) -> None:
        self.replies[sequence] = size
        self.bytes += size
        self.floor = max(self.floor, lowest_open)
        for gone in [kept for kept in self.replies if kept < self.floor]:
            self.bytes -= self.replies.pop(gone)
        while len(self.replies) > entries_max or self.bytes > bytes_max:
            lowest = min(self.replies)
            self.bytes -= self.replies.pop(lowest)
            self.floor = lowest + 1


class _Kept:
    """What must be kept beside the windows, likewise: replies to request ids, and to the openings of sessions that are over."""

    __slots__ = ("_count_max", "_opened", "_places")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._places: list[tuple[tuple[int, int], Identity]] = []  # of what is kept, the oldest first
        self._opened: dict[int, tuple[tuple[int, int], Identity]] = {}  # by session that is open

    def opened(self, session: int, place: tuple[int, int], identity: Identity) -> None:
        self._opened[session] = place, identity

    def ended(self, session: int) -> Identity | None:
        """Whose reply makes way."""
        opened = self._opened.pop(session, None)
        return self.keep(*opened) if opened is not None else None

    def keep(self, place: tuple[int, int], identity: Identity) -> Identity | None:
        insort(self._places, (place, identity))
        return self._places.pop(0)[1] if len(self._places) > self._count_max else None


class Reference:
    def __init__(self, genesis: Sequence[bytes], level: int, marks_: Marks, session_life: SessionLife, watch_order: WatchOrder) -> None:
        self.machine = Machine.restore(genesis, level)
        self.entries: list[Entry] = []  # entries[i].index == 1 + i
        self.decoded: dict[tuple[Term, Index], Batch] = {}  # what somebody wrote and nobody has applied yet
        self.digests: list[int] = [self.machine.digest]  # by index
        self.blobs: dict[int, bytearray] = {}  # what every member's file of that blob must begin with
        self.commands = 0
        self.on_effect: Callable[[tuple[int, int], int, Command, Result], None] = lambda *_what: None  # services have checks of their own
        self._left_ms: dict[int, int | None] = {}  # by session: what the entry under way says is left of its lease; None: all
        self._marks = marks_
        self._exactly_once = ExactlyOnce()
        self._session_life = session_life
        self._watch_order = watch_order
        self._results: dict[tuple[int, int], tuple[Identity | None, Result]] = {}  # by the place of the first copy
        self._effects: dict[Identity, tuple[int, int]] = {}  # where it changed something or was answered for good
        self._never: dict[Identity, None] = {}
        self._endings: list[tuple[Identity | None, Operation]] = []
        self.session_ttls_ms: dict[int, int] = {}
        self._session_terms: dict[int, int] = {}  # in which it was opened
        self._windows: dict[int, _Window] = {}  # by session
        self._kept = _Kept(self.machine.settings.request_ids_max)
        self.changes: dict[int, Sequence[EventRow]] = {}  # by revision, as watches are told of them

    @property
    def applied(self) -> int:
        return len(self.entries)

    def apply(self, entry: Entry, now_ns: int) -> None:
        assert entry.index == len(self.entries) + 1
        self.entries.append(entry)
        machine = self.machine
        if entry.kind != BATCH:
            machine.skip(entry.index)
            self.digests.append(machine.digest)
            return
        batch = self.decoded.pop((entry.term, entry.index), None) or decode_batch(entry.data)
        if batch.cluster_ms < machine.cluster_ms:
            sentence = f"cluster time goes back from {machine.cluster_ms} to {batch.cluster_ms} at entry {entry.index}"
            raise PromiseBroken("cluster-time", sentence, (entry.index, entry.term))
        before = machine.revision
        outcomes = machine.apply(entry.index, entry.term, batch)
        self._write_blobs(machine.take_blobs())
        self.digests.append(machine.digest)
        if machine.revision > before:
            self._note_changes(before)
        revision = int(before)
        for position, (command, outcome) in enumerate(zip(batch.commands, outcomes, strict=True)):
            revision = self._note_command(entry, position, command, outcome, revision, now_ns)
        if self._left_ms:
            self._check_leases(entry)
        self._check_kept(entry)

    def _write_blobs(self, writes: Sequence[BlobWrite]) -> None:
        for write in writes:
            content = self.blobs.setdefault(write.blob, bytearray())
            if write.position != len(content):
                sentence = f"blob {write.blob} has {len(content)} bytes, and is written to at {write.position}"
                raise PromiseBroken("journal-files", sentence, (write.blob, write.position, len(content)))
            for part in write.parts:
                content += part

    def _check_leases(self, entry: Entry) -> None:
        for session, ttl_ms, remaining_ms in self.machine.leases():
            expected = self._left_ms.get(int(session), remaining_ms)
            if expected != remaining_ms and (expected is None or remaining_ms != min(expected, ttl_ms)):
                sentence = f"entry {entry.index} leaves session {session} {expected} ms, and the state says {remaining_ms}"
                raise PromiseBroken("checkpoint-kept", sentence, (entry.index, session, ttl_ms, expected, remaining_ms))
        self._left_ms.clear()

    def _check_kept(self, entry: Entry) -> None:
        machine = self.machine
        replies, order = machine.containers[REPLIES_ID], machine.containers[ORDER_ID]
        assert isinstance(replies, Table)
        assert isinstance(order, Table)
        if machine.level >= MENDED and replies.count != order.count:
            sentence = f"entry {entry.index} leaves {replies.count} replies and {order.count} places at which to forget them"
            raise PromiseBroken("replies-kept", sentence, (entry.index, replies.count, order.count))

    def _forget(self, identity: Identity | None) -> None:
        if identity is not None:
            self._exactly_once.forgotten(identity)

    def _note_changes(self, before: Revision) -> None:
        for change in self.machine.changes(before, self.machine.revision):
            events = tuple([event_row(event) for event in change.events])
            self.changes[int(change.revision)] = events
            self._watch_order.committed(int(change.revision), events)

    def _note_command(self, entry: Entry, position: int, command: Command, outcome: Outcome, revision: int, now_ns: int) -> int:
        """Returns the revision after it."""
        self.commands += 1
        place = (int(entry.index), position)
        took = (int(outcome.index), int(outcome.position))
        result = decode_result(outcome.result)
        identity = identity_of(command)
        operation = command.operation
        forgotten = isinstance(result, Failure) and result.code in _FORGOTTEN
        if identity is not None and not forgotten and not isinstance(operation, CloseSession):
            self._exactly_once.applied(identity, place, took, outcome.result)
        if command.session:
            self._note_window(command, result, outcome, fresh=took == place)
        if took != place:
            self._marks.reach(marks.RETRY_DEDUPLICATED)
            return revision
        self._results[place] = (identity, result)
        if identity is not None and identity[0] == "request":
            self._forget(self._kept.keep(place, identity))
        self.on_effect(place, int(self.machine.cluster_ms), command, result)
        if isinstance(result, Failure):
            return revision
        if command.session and self._session_terms[int(command.session)] < entry.term:
            self._marks.reach(marks.SESSION_SURVIVED)
        if identity is not None and identity not in self._effects:
            self._effects[identity] = place
            if identity in self._never:
                sentence = f"a definite refusal was told, and the command took effect at {place} all the same"
                raise PromiseBroken("definite-refusals", sentence, (identity, place))
        if isinstance(operation, Expire):
            return self._note_expiry(entry, position, operation, result, revision, now_ns)
        if isinstance(operation, CloseSession):
            self._session_life.ended(int(operation.session), now_ns, by_client=True)
            self._end(place, identity, int(operation.session), 0)
        elif isinstance(operation, RaiseLevel):
            self._marks.reach(marks.LEVEL_RAISED)
        elif isinstance(operation, Withdraw):
            for session in operation.sessions:
                self._left_ms[int(session)] = None
            if isinstance(result, Done) and result.changed:
                self._marks.reach(marks.CHECKPOINT_WITHDRAWN)
        elif isinstance(result, SessionOpened):
            assert isinstance(operation, OpenSession)
            self.session_ttls_ms[int(result.session)] = operation.ttl_ms
            self._session_terms[int(result.session)] = int(entry.term)
            assert identity is not None
            if self._effects[identity] != place:
                self._marks.reach(marks.KEY_OPENED_ANEW)
            self._kept.opened(int(result.session), place, identity)
            self._session_life.renewal_sent(int(result.session), now_ns, operation.ttl_ms * 1_000_000)
            window = self._windows[int(result.session)] = _Window()
            if result.first is not None:
                window.keep(1, 1, 0, 1, 1)
        elif isinstance(operation, Checkpoint):
            for session, left_ms in operation.remaining_ms:
                self._left_ms[int(session)] = max(0, left_ms)
            return revision
        return int(getattr(result, "revision", revision))

    def _note_window(self, command: Command, result: Result, outcome: Outcome, *, fresh: bool) -> None:
        """Too old is only what the client gave up, or what the bounds pushed out."""
        window = self._windows.get(int(command.session))
        if window is None:
            return
        if isinstance(result, Failure) and result.code in _FORGOTTEN:
            if result.code == TooOld.code and command.sequence >= window.floor:
                raise PromiseBroken(
                    "replies-kept",
                    f"sequence {command.sequence} of session {command.session} is called too old; replies must be kept from "
                    f"{window.floor} on",
                    (command.session, command.sequence, command.lowest_open, window.floor),
                )
        elif fresh and 0 < command.sequence >= command.lowest_open:
            settings = self.machine.settings
            size = len(outcome.result)
            window.keep(command.sequence, command.lowest_open, size, settings.dedupe_entries_max, settings.dedupe_bytes_max)

    def _note_expiry(self, entry: Entry, position: int, expire: Expire, result: Result, revision: int, now_ns: int) -> int:
        if expire.term != entry.term:
            raise PromiseBroken(
                "session-life", f"an expiry decided in term {expire.term} was carried out in term {entry.term}", (entry.index, expire)
            )
        self._marks.reach(marks.SESSION_EXPIRED)
        for number, session in enumerate(expire.sessions):
            self._session_life.ended(int(session), now_ns)
            self._end((int(entry.index), position), None, int(session), number)
        assert isinstance(result, Done)
        return int(result.revision)

    def _end(self, place: tuple[int, int], identity: Identity | None, session: int, number: int) -> None:
        self._forget(self._kept.ended(session))
        index, position = place
        operation = Operation(0, "end-sessions", (session,), UNSEEN, 0, FOREVER, UNKNOWN, index, position * POSITIONS + number)
        self._endings.append((identity, operation))

    # --- what others ask -------------------------------------------------------------------------------------------

    def result_at(self, place: tuple[int, int]) -> tuple[Identity | None, Result] | None:
        return self._results.get(place)

    def effect_of(self, identity: Identity) -> tuple[int, int] | None:
        return self._effects.get(identity)

    def is_over(self, session: int) -> bool:
        return not self.machine.has_session(SessionId(session))

    def must_never_happen(self, identity: Identity) -> None:
        self._never[identity] = None

    def endings(self, claimed: dict[Identity, None]) -> Iterator[Operation]:
        """Ends of sessions that no recorded operation stands for: expiries, and what a client core closed by itself."""
        for identity, operation in self._endings:
            if identity is None or identity not in claimed:
                yield operation
