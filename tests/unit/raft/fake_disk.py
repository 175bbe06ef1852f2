"""A disk in memory for one raft core: what is durable, what is in flight, and what a crash or rot leaves of both."""

import random
from collections import deque

import msgspec

from coordnode.ids import Index, MemberId, Term
from coordnode.raft.entry import Config, Entry, HardState, SnapshotMeta
from coordnode.raft.ready import Write

SLICES = 3  # of every snapshot
FIRST_INDEX = Index(1)  # a cluster is born with a snapshot at this index, so that every voter starts with state


def first_snapshot(voters: tuple[MemberId, ...]) -> SnapshotMeta:
    return SnapshotMeta(FIRST_INDEX, Term(1), voters[0], 0, Config(voters=voters), FIRST_INDEX)


class FakeDisk:
    def __init__(self, snapshot: SnapshotMeta | None) -> None:
        self.hard_state = HardState(Term(1 if snapshot else 0), MemberId(0), 0, False)
        self.snapshot = snapshot
        self.records: list[Write] = []  # durable, in order; the log is what replaying them gives
        self.commit = Index(0)
        self.writes: deque[Write] = deque()  # submitted, not durable
        self.receiving: tuple[SnapshotMeta, int] | None = None  # (snapshot, next slice)

    def submit(self, write: Write) -> None:
        assert not self.writes or self.writes[-1].write_id < write.write_id
        self.writes.append(write)

    def finish_one(self) -> Write:
        write = self.writes.popleft()
        self._make_durable(write)
        self.commit = max(self.commit, write.commit)
        return write

    def _make_durable(self, write: Write) -> None:
        if write.hard_state is not None:
            self.hard_state = write.hard_state
        self.records.append(write)

    def crash(self, rng: random.Random) -> None:
        """Of what was in flight some whole writes survive, and of the next one a torn piece."""
        for _ in range(rng.randint(0, len(self.writes))):
            self._make_durable(self.writes.popleft())
        if self.writes:
            torn = self.writes.popleft()
            if rng.random() < 0.5:
                self._make_durable(msgspec.structs.replace(torn, entries=torn.entries[: rng.randint(0, len(torn.entries))]))
        self.writes.clear()
        if self.receiving is not None and rng.random() < 0.5:
            self.receiving = None

    def rot(self, rng: random.Random) -> None:
        """Durable records at the end become unreadable; the log is again what it was before them."""
        for _ in range(rng.randint(1, 4)):
            if self.records:
                self.records.pop()
        self.mark_lost()

    def mark_lost(self) -> None:
        self.hard_state = msgspec.structs.replace(self.hard_state, lost_entries=True)

    def start(self) -> tuple[HardState, SnapshotMeta | None, list[Entry]]:
        assert not self.writes
        self.hard_state = msgspec.structs.replace(self.hard_state, boot=self.hard_state.boot + 1)
        entries: list[Entry] = []
        for record in self.records:
            if record.reset_to is not None:
                entries = []
            if record.truncate_from:
                entries = [entry for entry in entries if entry.index < record.truncate_from]
            entries.extend(record.entries)
        snapshot = self.snapshot
        if snapshot is None:
            return self.hard_state, None, []
        covered = [entry for entry in entries if entry.index <= snapshot.index]
        if covered and covered[-1].index == snapshot.index and covered[-1].term != snapshot.term:
            entries = []  # another branch than the snapshot's
        entries = [entry for entry in entries if entry.index > snapshot.index]
        if entries and entries[0].index != snapshot.index + 1:
            entries = []  # they stood on a snapshot that is gone
        return self.hard_state, snapshot, entries

    def place_snapshot(self, meta: SnapshotMeta) -> None:
        if self.snapshot is None or meta.index > self.snapshot.index:
            self.snapshot = meta

    def has_snapshot(self, meta: SnapshotMeta) -> bool:
        return self.snapshot == meta

    def store_chunk(self, meta: SnapshotMeta, number: int, last: bool) -> tuple[int, bool]:
        """(next slice wanted, whole snapshot in place)."""
        if self.snapshot is not None and meta.index <= self.snapshot.index:
            return SLICES, True
        if self.receiving is None or self.receiving[0] != meta:
            self.receiving = (meta, 0)
        wanted = self.receiving[1]
        if number != wanted:
            return wanted, False
        if not last:
            self.receiving = (meta, number + 1)
            return number + 1, False
        self.receiving = None
        self.place_snapshot(meta)
        return number + 1, True
