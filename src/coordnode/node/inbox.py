"""What came in since the last turn. Members, storage and keep-alives are never behind client requests; those wait in order, and behind
them, in turns, who asks for much at once.
"""

from collections import deque
from collections.abc import Callable

from coordnode.errors import Overloaded
from coordnode.ids import MemberId
from coordnode.node.eager import UNITS_BESIDE_OTHERS, Asking, Lines, units_of
from coordnode.raft.messages import Message
from coordnode.replica.events import (
    BlobsWritten,
    ChunkRead,
    ChunkStored,
    Events,
    Persisted,
    RecordsFound,
    SliceStored,
    SnapshotFailed,
    SnapshotLoaded,
    SnapshotStored,
)
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk, UnwatchAsk

ASKS_PER_TURN = 1_024  # more wait for the next turn, so that none is long; a frame is never split
FULL_ASKS = 512
OTHERS_MS = 500  # who asked for little so lately is one of the others still
MESSAGES_WAITING_MAX = 65_536  # raft sends again what is dropped; its windows keep it far below this


Waiting = tuple[int, list[Ask], int]
"""The asks of one frame: (connection, asks, deadline in ms); 0: the client did not say how long it waits."""


class Inbox:
    """Only the loop's thread touches it: storage threads post to the loop."""

    def __init__(self, answer: Callable[[int, list[Answer]], None], jitter: Callable[[int], int]) -> None:
        self._answer = answer
        self._events = Events()
        self._keep_alives: deque[tuple[int, KeepAliveAsk]] = deque()  # those that are urgent
        self._frames: deque[Waiting] = deque()
        self.asks_waiting = 0  # in these frames
        self.lines = Lines(answer, jitter)
        self._renewing: set[int] = set()  # of who asks for much, whose keep-alive is among these
        self._others_ms = -OTHERS_MS  # when others were last seen
        self._is_beside_others = False  # as of the last turn
        self._gone: set[int] = set()  # connections that ended while asks of theirs waited here
        self.messages_dropped = 0
        self.too_late = 0  # asks whose client's patience ended here

    def has_more(self) -> bool:
        """That the next turn could take."""
        if self._keep_alives or self._frames:
            return True
        return self.lines.waiting > 0 and self.lines.can_go_on(beside_others=self._is_beside_others)

    def is_full(self) -> bool:
        """So much waits that a turn should not wait for more."""
        if self._frames or self._is_beside_others:
            return self.asks_waiting >= FULL_ASKS
        return self.lines.waiting >= FULL_ASKS

    def is_empty(self) -> bool:
        return not self._keep_alives and not self._frames and not self.lines.waiting

    # --- clients ---------------------------------------------------------------------------------------------------

    def on_opened(self, connection: int, caller: Caller) -> None:
        self._events.opened.append((connection, caller))

    def on_asks(self, connection: int, asks: list[Ask], deadline_ms: int) -> None:
        if len(asks) == 1 and type(asks[0]) is KeepAliveAsk:
            self._keep_alives.append((connection, asks[0]))
        elif self.lines.waiting and self.lines.has(connection):
            self.lines.follow(connection, asks, deadline_ms)
        else:
            self._frames.append((connection, asks, deadline_ms))
            self.asks_waiting += len(asks)

    def on_eager_asks(self, link: Asking, asks: list[Ask], patience_ms: int, now_ms: int) -> None:
        """One keep-alive at a time is as urgent as anybody's; who sends more waits with them, too."""
        if len(asks) == 1 and type(asks[0]) is KeepAliveAsk and link.connection not in self._renewing:
            self._renewing.add(link.connection)
            self._keep_alives.append((link.connection, asks[0]))
        else:
            self.lines.add(link, asks, now_ms + patience_ms if patience_ms else 0, now_ms)

    def on_closed(self, connection: int) -> None:
        self._events.closed.append(connection)
        self.lines.on_closed(connection)
        if self._keep_alives or self._frames:
            self._gone.add(connection)

    # --- members and storage ---------------------------------------------------------------------------------------

    def on_messages(self, messages: list[Message]) -> None:
        waiting = self._events.messages
        if len(waiting) > MESSAGES_WAITING_MAX:
            self.messages_dropped += len(messages)
        else:
            waiting.extend(messages)

    def on_peer_gone(self, member: MemberId) -> None:
        self._events.peers_gone.append(member)

    def on_tick(self) -> None:
        self._events.ticked = True

    def on_persisted(self, persisted: Persisted) -> None:
        self._events.persisted = persisted

    def on_space(self, space_ok: bool) -> None:
        self._events.space_ok = space_ok

    def on_slice_stored(self, stored: SliceStored) -> None:
        self._events.slice_stored = stored

    def on_snapshot_stored(self, stored: SnapshotStored) -> None:
        self._events.snapshot_stored = stored

    def on_snapshot_failed(self, failed: SnapshotFailed) -> None:
        self._events.snapshot_failed = failed

    def on_read(self, read: ChunkRead | RecordsFound) -> None:
        if isinstance(read, ChunkRead):
            self._events.chunks_read.append(read)
        else:
            self._events.records_found.append(read)

    def on_chunk_stored(self, stored: ChunkStored) -> None:
        self._events.chunks_stored.append(stored)

    def on_blobs_written(self, written: BlobsWritten) -> None:
        self._events.blobs_written = written

    def on_snapshot_loaded(self, loaded: SnapshotLoaded) -> None:
        waiting = self._events.snapshot_loaded
        if waiting is not None and waiting.meta == loaded.meta:
            loaded = SnapshotLoaded(loaded.meta, waiting.slices + loaded.slices, loaded.last)
        self._events.snapshot_loaded = loaded

    # --- the turn --------------------------------------------------------------------------------------------------

    def take(self, now_ms: int, *, with_asks: bool = True) -> Events:
        """`with_asks` False: client requests stay here for a later turn."""
        events, self._events = self._events, Events()
        asks = events.asks
        if self._keep_alives:
            self._take_keep_alives(asks)
        if not with_asks:
            return events
        frames = self._frames
        if frames:
            self._others_ms = now_ms
        while frames and len(asks) < ASKS_PER_TURN:
            connection, waiting, deadline_ms = frames.popleft()
            self.asks_waiting -= len(waiting)
            if self._gone and connection in self._gone:
                continue
            if 0 < deadline_ms < now_ms:
                self._refuse_late(connection, waiting)
                continue
            for ask in waiting:
                asks.append((connection, ask))
        if self._gone and not frames and not self._keep_alives:
            self._gone.clear()
        if self.lines.waiting:
            self._take_from_lines(asks, now_ms)
        return events

    def _take_keep_alives(self, asks: list[tuple[int, Ask]]) -> None:
        """As many as are no more work than a turn's puts: a hundred thousand sessions may want to be renewed at once."""
        units = ASKS_PER_TURN
        while self._keep_alives and units > 0:
            connection, ask = self._keep_alives.popleft()
            self._renewing.discard(connection)
            if connection not in self._gone:
                units -= units_of(ask)
                asks.append((connection, ask))

    def _take_from_lines(self, asks: list[tuple[int, Ask]], now_ms: int) -> None:
        beside_others = self._is_beside_others = now_ms - self._others_ms < OTHERS_MS
        too_late: list[tuple[int, Ask]] = []
        units = UNITS_BESIDE_OTHERS if beside_others else ASKS_PER_TURN - len(asks)
        self.lines.take(units, asks, too_late, now_ms, beside_others=beside_others)
        for connection, ask in too_late:
            self._refuse_late(connection, [ask])

    def _refuse_late(self, connection: int, asks: list[Ask]) -> None:
        sentence = "the client's patience ended before this could begin; nothing was done"
        answers: list[Answer] = []
        for ask in asks:
            if not isinstance(ask, UnwatchAsk):
                answers.append(ErrorReply(ask.request, Overloaded.code, sentence, Overloaded.definite))
        self.too_late += len(answers)
        if answers:
            self._answer(connection, answers)
