"""A scripted life of one member's storage, and the model of what must be found after it was cut short anywhere."""

from dataclasses import dataclass, field
from random import Random

from coordnode.ids import ClusterId, Index, MemberId, Term, WriteId
from coordnode.raft.entry import Config, Entry, HardState, SnapshotMeta
from coordnode.raft.ready import Write
from coordnode.replica.effects import StoreChunk, StoreSlice
from coordnode.simulator.disk import SimDisk
from coordnode.storage.block import Identity
from coordnode.storage.reader import Reader
from coordnode.storage.recovery import Genesis, Recovered, create_folder, open_folder
from coordnode.storage.wal import Settings

IDENTITY = Identity(ClusterId(11), MemberId(7))
OTHER = Identity(ClusterId(11), MemberId(8))
SMALL = Settings(segment_bytes=16 * 1024, spares_max=3, free_bytes_min=0)
CONFIG = Config((MemberId(7), MemberId(8)))


def meta_at(index: int, term: int, author: int = 7, chain: int = 0) -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), MemberId(author), chain, CONFIG, Index(0))


GENESIS = Genesis(meta_at(0, 0), [b"genesis one", b"genesis two"])


def entry(index: int, term: int, size: int = 100) -> Entry:
    return Entry(Term(term), Index(index), 0, Random(index * 1000 + term).randbytes(size))


def new_disk(seed: int = 1) -> SimDisk:
    disk = SimDisk(Random(seed))
    create_folder(disk, IDENTITY, GENESIS, SMALL)
    disk.settle()
    return disk


def reopen(disk: SimDisk) -> Recovered:
    found = open_folder(disk, IDENTITY, SMALL)
    disk.settle()
    return found


def what_stands(disk: SimDisk) -> tuple[SnapshotMeta, list[Entry]]:
    """For who only reads the folder."""
    reader = Reader(disk)
    state = reader.newest_state()
    assert state is not None
    return state[0], reader.standing(state[0]).entries


def commit(disk: SimDisk, found: Recovered, write_id: int, entries: list[Entry], truncate_from: int = 0) -> None:
    write = Write(WriteId(write_id), truncate_from=Index(truncate_from), entries=entries)
    if entries and entries[-1].term > found.hard_state.term:
        write.hard_state = HardState(entries[-1].term, found.hard_state.vote, found.hard_state.boot, found.hard_state.lost_entries)
    found.wal.commit([write])
    disk.settle()


def filled(count: int, *, size: int = 100, idle: bool = True) -> tuple[SimDisk, Recovered, list[Entry]]:
    """One entry a commit, from index 1."""
    disk = new_disk()
    found = reopen(disk)
    entries = [entry(index, 1, size) for index in range(1, count + 1)]
    for one in entries:
        commit(disk, found, one.index, [one])
    if idle:
        found.wal.idle()
    disk.settle()
    return disk, found, entries


def segments(disk: SimDisk) -> list[str]:
    return [name for name in disk.list("wal") if name.endswith(".seg")]


@dataclass
class Model:
    """What was reported durable, and everything that the call under way may have made of it."""

    base: int = 0  # index of the newest snapshot
    base_term: int = 0
    entries: list[Entry] = field(default_factory=list)  # all since the last reset, also those below the snapshot
    start: int = 1  # index of entries[0]
    term: int = 0
    vote: int = 0
    boot: int = 0

    def copy(self) -> "Model":
        return Model(self.base, self.base_term, list(self.entries), self.start, self.term, self.vote, self.boot)

    def last_index(self) -> int:
        return max(self.start - 1 + len(self.entries), self.base)

    def behind_base(self) -> list[Entry]:
        """What storage returns: entries behind the snapshot, if the log agrees with it."""
        at_base = [found for found in self.entries if found.index == self.base]
        if at_base and at_base[0].term != self.base_term:
            return []
        return [found for found in self.entries if found.index > self.base] if self.start <= self.base + 1 else []

    def seen(self) -> tuple[object, ...]:
        return (self.base, self.base_term, tuple(self.behind_base()))

    def apply(self, write: Write) -> "list[Model]":
        """The states after each of its records."""
        states = []
        now = self.copy()
        if write.reset_to is not None:
            now.start, now.entries = write.reset_to.index + 1, []
            states.append(now.copy())
        if write.truncate_from:
            now.entries = [found for found in now.entries if found.index < write.truncate_from]
            states.append(now.copy())
        for found in write.entries:
            now.entries.append(found)
            states.append(now.copy())
        return states or [now]


class Life:
    """`run` plays it until its end or until the disk is cut. `durable` is what was reported; `possible` what else may be found."""

    def __init__(self, disk: SimDisk, seed: int, steps: int = 60) -> None:
        self.disk = disk
        self.rng = Random(seed)
        self.steps = steps
        self.durable = Model()
        self.possible: list[Model] = []
        self.hard_states: list[tuple[int, int]] = []
        self.write_id = 0

    def begin(self) -> Recovered:
        found = reopen(self.disk)
        self.durable.boot = found.hard_state.boot
        return found

    def run(self) -> None:
        found = self.begin()
        for _ in range(self.steps):
            self._step(found)
            self.disk.settle()

    def _step(self, found: Recovered) -> None:
        chance = self.rng.random()
        if chance < 0.72:
            self._commit(found)
        elif chance < 0.78:
            found.wal.idle()
        elif chance < 0.84:
            found.wal.poll_space()
        elif chance < 0.92:
            self._make_snapshot(found)
        elif chance < 0.96:
            self._receive_snapshot(found)
        else:
            found.wal.release_before(Index(self.durable.base + 1))

    def _commit(self, found: Recovered) -> None:
        rng = self.rng
        states = [self.durable]
        writes = []
        hard_states = [(self.durable.term, self.durable.vote)]
        for _ in range(rng.randint(1, 3)):
            now = states[-1]
            self.write_id += 1
            write = Write(WriteId(self.write_id))
            if rng.random() < 0.25:
                hard_states.append((hard_states[-1][0] + 1, 7))
                write.hard_state = HardState(Term(hard_states[-1][0]), MemberId(7), self.durable.boot, False)
            first = now.last_index() + 1
            if rng.random() < 0.2 and now.entries and now.entries[-1].index > now.base + 1:
                first = rng.randint(now.base + 1, now.entries[-1].index)
                write.truncate_from = Index(first)
            for index in range(first, first + rng.randint(0, 4)):
                size = 18_000 if rng.random() < 0.03 else rng.choice((0, 3, 100, 1000, 3000))
                write.entries.append(entry(index, hard_states[-1][0], size))
            writes.append(write)
            states += now.apply(write)
        self.possible = states[1:]
        self.hard_states = hard_states[-1:]
        found.wal.commit(writes)
        after = states[-1].copy()
        after.term, after.vote = hard_states[-1]
        self._done(after)

    def _done(self, model: Model) -> None:
        self.durable = model
        self.possible = []
        self.hard_states = []

    def _make_snapshot(self, found: Recovered) -> None:
        behind = self.durable.behind_base()
        if not behind:
            return
        last = self.rng.choice(behind)
        after = self.durable.copy()
        after.base, after.base_term = last.index, last.term
        self.possible = [after]
        slices = self.rng.randint(1, 3)
        for number in range(slices):
            found.snapshots.store_slice(StoreSlice(meta_at(last.index, last.term), number, number == slices - 1, b"s" * 700))
        self._done(after)

    def _receive_snapshot(self, found: Recovered) -> None:
        """From a leader whose log is another: in place first, then the log is told."""
        index, term = self.durable.last_index() + self.rng.randint(1, 5), self.durable.term
        never_committed = [found.index for found in self.durable.behind_base() if found.term != term]
        if never_committed:
            index = self.rng.choice(never_committed)
        meta = meta_at(index, term, author=8, chain=index * 7)
        placed = self.durable.copy()
        placed.base, placed.base_term = index, term
        placed.entries = []
        placed.start = index + 1
        self.possible = [placed]
        for number in range(3):
            found.snapshots.store_chunk(StoreChunk(MemberId(8), meta, number, number == 2, b"c" * 500))
        self.write_id += 1
        found.wal.commit([Write(WriteId(self.write_id), reset_to=meta)])
        self._done(placed)


def check_recovered(life: Life, found: Recovered) -> None:
    """Everything reported is there; nothing is there that was never asked for; nothing is called rot."""
    assert not found.lost_entries, found.report
    assert not found.rot, found.report
    assert found.snapshot is not None
    now = (found.snapshot.index, found.snapshot.term, tuple(found.entries))
    allowed = [state.seen() for state in [life.durable, *life.possible]]
    assert now in allowed, (now[:2], [one.index for one in now[2]], [state[:2] for state in allowed], found.report)
    state = found.hard_state
    hard_states = [(life.durable.term, life.durable.vote), *life.hard_states]
    assert (state.term, state.vote) in hard_states
    assert state.boot > life.durable.boot
    assert found.wal.last_index() == (found.entries[-1].index if found.entries else found.snapshot.index)
