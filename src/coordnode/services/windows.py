"""Exactly once inside sessions: for each session, the replies at and above its floor. Pure.

A container of its own because every command passes here: a dictionary per session costs a quarter of an ordered table. The dictionary
is also the unit of copy-on-write, as dedupe_entries_max bounds it. Rows are (key, floor) and (key, Outcome), with
key = session * 2**53 + sequence; sequence 0 is the floor's place.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from itertools import count, islice, repeat
from typing import Any, cast

import msgspec

from coordnode.errors import RecordError
from coordnode.ids import NO_SESSION, Index, Revision, Sequence, SessionId
from coordnode.services.commands import Command, Done, Outcome, Put, encode
from coordnode.services.keys import KEY_CHARGE_BYTES
from coordnode.services.state import Scalars, Settings
from coordnode.services.tables import Container, encode_row, row_hash

WINDOWS_ID = 3
SEQUENCE_BITS = 53
SEQUENCE_MAX = (1 << SEQUENCE_BITS) - 1
REPLY_CHARGE_BYTES = 160  # what a kept reply takes beside its own bytes

PUT_CHARGE_BYTES_MAX = (
    KEY_CHARGE_BYTES + REPLY_CHARGE_BYTES + 32
)  # by which a put makes the state grow, beside key and value: its reply is less than 32

SETTLE_COMMANDS = 8192

_rows_decoder = msgspec.msgpack.Decoder(list[tuple[SessionId, int, int | Outcome]])


class Window:
    __slots__ = ("bytes", "epoch", "floor", "floor_hashed", "replies", "round")

    def __init__(self, epoch: int, floor: int, floor_hashed: int, replies: dict[int, Outcome], size: int) -> None:
        self.epoch = epoch
        self.round = 0  # of settling, in which it was last changed; then it is in `_touched`, and belongs to no snapshot
        self.floor = floor  # sequences below were answered once, and their replies are gone
        self.floor_hashed = floor_hashed  # the floor that the digest has; 0: none yet
        self.replies = replies  # by sequence, all >= floor
        self.bytes = size  # of the replies' results


class Windows(Container[int, int | Outcome]):
    """The digest has the replies of entries up to `_settled`: those that come and go between two settlings are never hashed."""

    __slots__ = ("_bytes_max", "_entries_max", "_round", "_scalars", "_settings", "_settled", "_touched", "_unsettled", "windows")

    def __init__(self, settings: Settings, scalars: Scalars) -> None:
        super().__init__(WINDOWS_ID)
        self._entries_max = settings.dedupe_entries_max
        self._bytes_max = settings.dedupe_bytes_max
        self._settings = settings
        self._scalars = scalars
        self._settled = scalars.applied
        self._round = 1  # grows with each settling
        self._touched: dict[SessionId, None] = {}  # since then
        self._unsettled = 0  # commands since then
        self.windows: dict[SessionId, Window] = {}  # in the order of session ids, as these only grow

    def open(self, session: SessionId) -> Window:
        assert session not in self.windows
        self.windows[session] = Window(self._epoch, 1, 0, {}, 0)
        return self._touch(session)

    def close(self, session: SessionId) -> None:
        window = self._owned(session)
        self._forget(window, session, list(window.replies))
        if window.floor_hashed:
            self._hashed -= self._hash(session, 0, window.floor_hashed)
        del self.windows[session]
        self._touched.pop(session, None)

    def keep(self, window: Window, session: SessionId, sequence: Sequence, lowest_open: Sequence, outcome: Outcome) -> None:
        """The reply to a command of this open session, whose window this is; then raises the floor as the client and the bounds want."""
        if window.round != self._round:
            window = self._touch(session)
        replies = window.replies
        replies[sequence] = outcome
        grown = len(outcome.result)
        window.bytes += grown
        self._scalars.state_bytes += grown + REPLY_CHARGE_BYTES
        if lowest_open > window.floor:
            self._raise_floor(window, session, lowest_open)
        while len(replies) > self._entries_max or window.bytes > self._bytes_max:
            lowest = window.floor if window.floor in replies else min(replies)
            self._raise_floor(window, session, lowest + 1)

    def take_puts(self, index: Index, commands: SequenceOf[Command], start: int, outcomes: list[Outcome]) -> list[Put]:
        """As many of an entry's commands, from `start` on, as are new puts that nothing can refuse; adds what they are answered.

        That is known before they are carried out: each gets a revision of its own.
        """
        windows, round_, settled, settings, scalars = self.windows, self._round, self._settled, self._settings, self._scalars
        key_bytes_max, value_bytes_max = settings.key_bytes_max, settings.value_bytes_max
        room = max(0, settings.state_bytes_max - scalars.state_bytes)
        puts_max = room // (key_bytes_max + value_bytes_max + PUT_CHARGE_BYTES_MAX)
        puts: list[Put] = []
        revisions = cast("Iterator[Revision]", count(scalars.revision + 1))
        answers = map(Outcome, repeat(index), count(start), map(encode, map(Done, revisions)))
        for command, outcome in zip(islice(commands, start, start + puts_max), answers, strict=False):
            operation = command.operation
            if type(operation) is not Put or operation.bound or command.request_id:
                break
            if not 0 < len(operation.key) <= key_bytes_max or len(operation.value) > value_bytes_max:
                break
            session, sequence, lowest_open = command.session, command.sequence, command.lowest_open
            window = windows.get(session)
            if window is None or not lowest_open <= sequence <= SEQUENCE_MAX:
                break
            replies, floor = window.replies, window.floor
            if sequence < floor or sequence in replies:
                break
            puts.append(operation)
            outcomes.append(outcome)
            gone = replies.get(floor) if lowest_open == floor + 1 else None
            if gone is not None and len(gone.result) == len(outcome.result) and window.round == round_:
                # `keep`, written out for what mostly comes: one reply of the same size goes, so that no bound is nearer than before.
                del replies[floor]
                replies[sequence] = outcome
                window.floor = lowest_open
                if gone.index <= settled:
                    self._hashed -= self._hash(session, floor, gone)
            else:
                self.keep(window, session, sequence, lowest_open, outcome)
        return puts

    def _raise_floor(self, window: Window, session: SessionId, floor: int) -> None:
        old, replies = window.floor, window.replies
        window.floor = floor
        near = floor - old <= len(replies)
        self._forget(window, session, range(old, floor) if near else [sequence for sequence in replies if sequence < floor])

    def _forget(self, window: Window, session: SessionId, sequences: Iterable[int]) -> None:
        """Those of these that are there."""
        take, settled = window.replies.pop, self._settled
        size = count = 0
        for sequence in sequences:
            outcome = take(sequence, None)
            if outcome is not None:
                count += 1
                size += len(outcome.result)
                if outcome.index <= settled:
                    self._hashed -= self._hash(session, sequence, outcome)
        window.bytes -= size
        self._scalars.state_bytes -= size + REPLY_CHARGE_BYTES * count

    def _touch(self, session: SessionId) -> Window:
        """The session's window, to be changed: once in a round."""
        window = self._owned(session)
        window.round = self._round
        self._touched[session] = None
        return window

    def _owned(self, session: SessionId) -> Window:
        """The session's window, copied first when a snapshot may need it as it is."""
        window = self.windows[session]
        if window.epoch != self._epoch:
            window = Window(self._epoch, window.floor, window.floor_hashed, window.replies.copy(), window.bytes)
            self.windows[session] = window
        return window

    def maybe_settle(self, applied: Index, commands: int) -> None:
        """At the end of each entry: so that no single turn has too much to hash."""
        self._unsettled += commands
        if self._unsettled >= SETTLE_COMMANDS:
            self._settle(applied)

    def _settle(self, applied: Index) -> None:
        for session in self._touched:
            window = self._owned(session)
            if window.floor != window.floor_hashed:
                if window.floor_hashed:
                    self._hashed -= self._hash(session, 0, window.floor_hashed)
                self._hashed += self._hash(session, 0, window.floor)
                window.floor_hashed = window.floor
            for sequence in reversed(window.replies):  # the newest last: replies are kept in the order of entries
                outcome = window.replies[sequence]
                if outcome.index <= self._settled:
                    break
                self._hashed += self._hash(session, sequence, outcome)
        self._touched.clear()
        self._round += 1
        self._settled = applied
        self._unsettled = 0

    def digest(self) -> int:
        self._settle(self._scalars.applied)
        return super().digest()

    def freeze(self) -> Iterator[bytes]:
        self._settle(self._scalars.applied)
        return super().freeze()

    def _hash(self, session: int, sequence: int, leaf: int | Outcome) -> int:
        return row_hash(WINDOWS_ID, encode_row((session, sequence, leaf)))

    # --- snapshot and digest -------------------------------------------------------------------------------------------

    def row(self, key: int, leaf: int | Outcome) -> bytes:
        return encode_row((key >> SEQUENCE_BITS, key & SEQUENCE_MAX, leaf))

    def parts(self) -> list[Any]:
        return list(self.windows.items())

    def items_of(self, parts: list[Any]) -> Iterator[tuple[int, int | Outcome]]:
        parts.reverse()
        while parts:
            session, window = parts.pop()
            place = session << SEQUENCE_BITS
            yield place, window.floor
            for sequence in sorted(window.replies):
                yield place | sequence, window.replies[sequence]

    def load(self, rows: msgspec.Raw) -> int:
        session = next(reversed(self.windows), NO_SESSION)
        window = self.windows.get(session)
        last = next(reversed(window.replies), 0) if window is not None else 0
        loaded = _rows_decoder.decode(rows)
        for row_session, sequence, leaf in loaded:
            if sequence == 0 and isinstance(leaf, int) and session < row_session <= SEQUENCE_MAX:
                session, window = row_session, Window(self._epoch, leaf, leaf, {}, 0)
                self.windows[session] = window
            elif window is not None and isinstance(leaf, Outcome) and row_session == session and last < sequence <= SEQUENCE_MAX:
                window.replies[sequence] = leaf
                window.bytes += len(leaf.result)
            else:
                raise RecordError(f"a snapshot's replies are not in order: session {row_session}, sequence {sequence}")
            last = sequence
            self._hashed += self._hash(row_session, sequence, leaf)
        return len(loaded)
