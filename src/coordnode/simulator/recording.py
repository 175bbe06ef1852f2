"""What clients asked and were told, held against the committed log as it grows, and judged as one history in the end."""

from collections.abc import Sequence

import msgspec

from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.promises import AcknowledgedWrites, RevisionMonotonic, SessionLife, WatchOrder
from coordnode.client.actions import Finished, SessionChanged, WatchEvents
from coordnode.client.lease import SessionState
from coordnode.errors import BadRequest, PromiseBroken, TooLarge
from coordnode.ids import SessionId
from coordnode.limits import CLOCK_RATE_ERROR_PPM
from coordnode.services.commands import (
    KV,
    Change,
    ClientOperation,
    CloseSession,
    Failure,
    FirstOperation,
    Item,
    OpenSession,
    Put,
    ReadOperation,
    SessionOpened,
    Transaction,
)
from coordnode.services.commands import Operation as Command
from coordnode.simulator import marks
from coordnode.simulator.checks import Checks
from coordnode.simulator.client import SimClient
from coordnode.simulator.marks import Marks
from coordnode.simulator.reference import POSITIONS, EventRow, Identity, Reference, event_row
from coordnode.simulator.vocabulary import OTHER, Asked, Vocabulary
from coordnode.simulator.world import MILLISECOND, World

WatchedChange = tuple[int, tuple[tuple[object, ...], ...]]


UNDESERVED = (BadRequest, TooLarge)  # but for what deserves it, the workload asks for nothing that could be refused like this


class _Open:
    """One operation of a client that is under way."""

    __slots__ = ("argument", "floor", "function", "identity", "invoked", "leaders", "operation", "process", "stale")

    def __init__(self, process: int, operation: Command | ReadOperation, asked: Asked, identity: Identity | None, invoked: int) -> None:
        self.process = process
        self.operation = operation
        self.function, self.argument = asked
        self.identity = identity  # what a copy of it in the log is known by; None: a read
        self.invoked = invoked
        self.stale = False
        self.leaders = 0  # how many terms had a leader when it was asked
        self.floor = 0  # the answer must not be of an earlier revision


class Recording:
    def __init__(
        self,
        world: World,
        reference: Reference,
        checks: Checks,
        marks_: Marks,
        session_life: SessionLife,
        watch_order: WatchOrder,
        vocabulary: Vocabulary,
    ) -> None:
        self.completed = 0
        self.refused = 0  # for certain: held against the log until the end
        self._checks = checks
        self._vocabulary = vocabulary
        self._marks = marks_
        self._world = world
        self._reference = reference
        self._session_life = session_life
        self._watch_order = watch_order
        self._acknowledged = AcknowledgedWrites()
        self._monotonic = RevisionMonotonic()
        self._open: dict[tuple[int, int], _Open] = {}  # by client and its core's number of the call
        self._again: dict[tuple[int, int], Identity] = {}  # likewise: openings under keys that others use, too
        self._doubtful: list[_Open] = []  # nobody was told what became of them
        self._operations: list[Operation] = []
        self._claimed: dict[Identity, None] = {}  # all that clients asked through us
        self._sequences: dict[tuple[int, int], int] = {}  # by client and session: the next sequence, as its core counts
        self._seen_items: dict[bytes, Item] = {}
        self.raised: dict[tuple[int, int], int] = {}  # by place: how many revisions the command there made
        self.others: list[Operation] = []  # what no client asked for, and services beside keys and sessions did
        self.ended_others: list[int] = []  # sessions whose ends watches were told of by those services
        self._watches = 0
        self._watched_over: dict[int, int] = {}  # by watch: the connection that brought its last events

    # --- what clients ask ------------------------------------------------------------------------------------------

    def begun(
        self,
        client: SimClient,
        call: int,
        operation: ClientOperation | ReadOperation,
        *,
        session: int = 0,
        request_id: str = "",
        stale: bool = False,
        min_revision: int = 0,
    ) -> None:
        session_id = client.sessions.get(session, SessionId(0))
        identity: Identity | None = None
        if session:
            key = (client.number, session)
            identity = ("session", int(session_id), self._sequences[key])
            self._sequences[key] += 1
        elif request_id:
            identity = ("request", request_id)
        elif isinstance(operation, Put):
            identity = ("value", operation.value)
        else:
            assert isinstance(operation, ReadOperation)
        opened = self._begin(client, call, operation, session_id, identity)
        opened.stale = stale
        opened.floor = max(min_revision, 0 if stale else self._monotonic.asked(client.name))

    def opening(self, client: SimClient, call: int, owner: str, first: FirstOperation | None) -> None:
        self._sequences[client.number, call] = 1 if first is None else 2
        self._begin(client, call, OpenSession(b"", 0, owner, first), SessionId(0), ("owner", owner))

    def opening_again(self, client: SimClient, call: int, owner: str) -> None:
        """Under a key that others may have asked with, too, and before: it changes no key, and only what is answered is looked at."""
        self._again[client.number, call] = ("owner", owner)

    def closing(self, client: SimClient, call: int, session: int) -> None:
        session_id = client.sessions[session]
        self._begin(client, call, CloseSession(session_id), SessionId(0), ("close", int(session_id)))

    def _begin(
        self, client: SimClient, call: int, operation: Command | ReadOperation, session: SessionId, identity: Identity | None
    ) -> _Open:
        opened = _Open(client.number, operation, self._vocabulary.asked(operation, session), identity, self._world.now_ns)
        opened.leaders = self._checks.leaders
        self._open[client.number, call] = opened
        if identity is not None:
            self._claimed[identity] = None
        return opened

    # --- what they are told ----------------------------------------------------------------------------------------

    def finished(self, client: SimClient, finished: Finished) -> None:
        self.completed += 1
        again = self._again.pop((client.number, finished.call), None)
        if again is not None:
            if finished.error is None:
                self._check_place("open-session", again, finished)
            return
        opened = self._open.pop((client.number, finished.call))
        if finished.error is not None:
            if isinstance(finished.error, UNDESERVED) and not _deserves_refusal(opened.operation):
                sentence = f"{opened.function} was refused: {finished.error.sentence}"
                raise PromiseBroken("undeserved-refusal", sentence, (opened.function, opened.argument))
            if finished.index and finished.error.definite and opened.identity is not None and opened.function != "close-session":
                self._check_refusal(opened, finished)
            if not finished.error.definite:
                self._doubtful.append(opened)
            elif opened.function == "close-session":
                # The client core may still close it of its own accord; then that is what ended it.
                if opened.identity is not None:
                    self._claimed.pop(opened.identity, None)
            elif opened.identity is not None:
                self._must_not_have_happened(opened.identity)
                self.refused += 1
            return
        result = finished.result
        assert not isinstance(result, Failure)
        if _deserves_refusal(opened.operation):
            sentence = f"{opened.function} was done, and one of its operations binds a key to no session"
            raise PromiseBroken("transaction-whole", sentence, (opened.function, opened.argument, result))
        if opened.function == "close-session":
            self._closed(opened)
            return
        if opened.identity is not None:
            self._check_place(opened.function, opened.identity, finished)
        elif not opened.stale and opened.leaders < self._checks.leaders:
            self._marks.reach(marks.READ_AFTER_CHANGE)
        revision = getattr(result, "revision", None)
        if revision is not None:
            floor = opened.floor
            if not opened.stale:
                self._monotonic.answered(client.name, floor, revision)
            elif revision < floor:
                raise PromiseBroken("min-revision", f"a read at or after revision {floor} was answered at {revision}", (floor, revision))
        self._notice(finished)
        if isinstance(result, SessionOpened) and isinstance(result.first, Failure):
            # Opened, and its first command refused: that one changed nothing.
            opened.function, opened.argument = "open-session", None
            result = SessionOpened(result.session, result.ttl_ms, result.revision)
        # A stale read shows some state of the past: it is bound to what was answered, not to when it was asked.
        invoked = 0 if opened.stale else opened.invoked
        self._operations.append(
            Operation(
                opened.process,
                opened.function,
                opened.argument,
                self._vocabulary.answered(opened.operation, result),
                invoked,
                self._world.now_ns,
                OK,
                finished.index,
                finished.position * POSITIONS,
            )
        )

    def _closed(self, opened: _Open) -> None:
        """The answer only says that the session is over: where that happened, the log knows."""
        assert opened.identity is not None
        session = opened.argument
        assert isinstance(session, int)
        if not self._reference.is_over(session):
            raise PromiseBroken("session-life", f"session {session} was said to be closed and lives on", (session,))
        effect = self._reference.effect_of(opened.identity)
        if effect is not None:
            self._operations.append(_placed(opened, effect, self._world.now_ns))

    def _check_place(self, function: str, identity: Identity, finished: Finished) -> None:
        """Against the committed log, at once: the answer came from a leader that had applied it."""
        place = (finished.index, finished.position)
        told = self._reference.result_at(place)
        if told is None or told[0] != identity:
            raise PromiseBroken(
                AcknowledgedWrites.name,
                f"{function} was acknowledged at {place}, and the committed log holds something else there",
                (function, identity, place, told),
            )
        if told[1] != finished.result:
            sentence = f"{function} at {place} was answered with another result than it had"
            raise PromiseBroken("exactly-once", sentence, (identity, told[1], finished.result))

    def _check_refusal(self, opened: _Open, finished: Finished) -> None:
        """What was applied and refused stands in the log with that very refusal; what the rules of its service say of it is theirs."""
        place = (finished.index, finished.position)
        told = self._reference.result_at(place)
        error = finished.error
        assert error is not None
        if told is None or told[0] != opened.identity or not isinstance(told[1], Failure) or told[1].code != error.code:
            sentence = f"{opened.function} was refused at {place} ({type(error).__name__}), and the log holds something else there"
            raise PromiseBroken(AcknowledgedWrites.name, sentence, (opened.function, opened.argument, place, told))

    def _must_not_have_happened(self, identity: Identity) -> None:
        """A definite refusal: neither before nor later may a copy of it take effect."""
        effect = self._reference.effect_of(identity)
        if effect is not None:
            raise PromiseBroken("definite-refusals", f"a definite refusal was told, and it took effect at {effect}", (identity, effect))
        self._reference.must_never_happen(identity)

    def _notice(self, finished: Finished) -> None:
        """What a later compare-and-set can build upon."""
        item = getattr(finished.result, "item", None)
        if isinstance(item, Item):
            self._seen_items[item.key] = item

    def newest_seen(self, key: bytes) -> Item | None:
        return self._seen_items.get(key)

    def is_newest(self, index: int) -> bool:
        """Nothing is committed since: what the truths of services say now, they said then."""
        return index == self._reference.applied

    def read_between_ms(self) -> tuple[int, int]:
        """What cluster time can have been when the newest state was read: it never runs faster than the fastest clock."""
        passed_ms = self._world.now_ns // MILLISECOND
        return int(self._reference.machine.cluster_ms), passed_ms + passed_ms * CLOCK_RATE_ERROR_PPM // 1_000_000 + 1

    def newest_revision(self, client: SimClient) -> int:
        return self._monotonic.asked(client.name)

    # --- sessions --------------------------------------------------------------------------------------------------

    def session_changed(self, client: SimClient, changed: SessionChanged) -> None:
        if changed.state in (SessionState.HELD, SessionState.UNSURE):
            self.believes(client, changed.session_id, changed.until_ms)

    def believes(self, client: SimClient, session: SessionId, until_ms: int) -> None:
        """It may act on the session until that moment of its own clock: a holder that asks right before it acts, acts until the last."""
        left_ns = until_ms * MILLISECOND - client.clock.own_ns()
        if left_ns > 0:
            until_ns = self._world.now_ns + client.clock.world_ns(left_ns) - 1
            self._session_life.held(int(session), until_ns, self._world.now_ns)

    def renewing(self, sessions: Sequence[SessionId]) -> None:
        for session in sessions:
            ttl_ms = self._reference.session_ttls_ms.get(int(session))
            if ttl_ms is not None:
                self._session_life.renewal_sent(int(session), self._world.now_ns, ttl_ms * MILLISECOND)

    # --- watches ---------------------------------------------------------------------------------------------------

    def watching(self, start: bytes, end: bytes, start_revision: int, space: int = KV) -> int:
        self._watches += 1
        self._watch_order.opened(self._watches, start, end, start_revision, space)
        return self._watches

    def watched(self, client: SimClient, watch: int, seen: WatchEvents) -> None:
        before = self._watched_over.get(watch, client.connection)
        self._watched_over[watch] = client.connection
        if before != client.connection:
            self._marks.reach(marks.WATCH_RESUMED)
        self._watch_order.pushed(watch, [told_change(change) for change in seen.changes], int(seen.up_to))

    def told_at(self, revision: int) -> Sequence[EventRow]:
        """What watches are told of this revision."""
        return self._reference.changes[revision]

    def gap(self, watch: int, floor: int) -> None:
        self._marks.reach(marks.WATCH_GAP)
        self._watch_order.gap(watch, floor)

    def unwatched(self, watch: int) -> None:
        self._watch_order.closed(watch)

    def untold(self, watch: int) -> int:
        """The first revision that this watch should have been told of by now; 0: none."""
        return self._watch_order.untold(watch, int(self._reference.machine.revision))

    # --- in the end ------------------------------------------------------------------------------------------------

    def history(self) -> list[Operation]:
        """Everything with its place: what nobody was told is looked up in the log, which by now holds all that will ever be."""
        reference = self._reference
        doubtful = [*self._doubtful, *self._open.values()]
        operations = list(self._operations)
        for opened in doubtful:
            identity = opened.identity
            if identity is None:
                continue
            effect = reference.effect_of(identity)
            if effect is not None:
                operations.append(_placed(opened, effect, FOREVER))
        operations.extend(reference.endings(self._claimed))
        operations.extend(self.others)
        operations.append(Operation(0, "others-end", tuple(self.ended_others), UNSEEN, 0, FOREVER, UNKNOWN, 0, 0))
        operations = [self._with_raised(operation) for operation in operations]
        operations.sort(key=lambda operation: operation.invoked)
        return operations

    def _with_raised(self, operation: Operation) -> Operation:
        place, argument = (operation.index, operation.position // POSITIONS), operation.argument
        if operation.function == OTHER:
            return msgspec.structs.replace(operation, argument=(self.raised[place], argument))
        if operation.function == "open-session" and isinstance(argument, tuple) and argument[0] == OTHER:
            return msgspec.structs.replace(operation, argument=(OTHER, (self.raised[place], argument[1])))
        return operation


def _deserves_refusal(operation: Command | ReadOperation) -> bool:
    """Whichever branch it takes: the workload asks for this only outside of sessions."""
    if not isinstance(operation, Transaction):
        return False
    branches = (operation.then, operation.otherwise)
    return all([any([isinstance(step, Put) and step.bound for step in steps]) for steps in branches])


def _placed(opened: _Open, place: tuple[int, int], returned: int) -> Operation:
    """What it answered nobody was told; that it happened, and where, the log says."""
    index, position = place
    return Operation(
        opened.process, opened.function, opened.argument, UNSEEN, opened.invoked, returned, UNKNOWN, index, position * POSITIONS
    )


def told_change(change: Change) -> WatchedChange:
    return int(change.revision), tuple([event_row(event) for event in change.events])
