"""One raft core with a disk in memory and a state machine that is a checksum: what tests and transcripts drive."""

import random
import zlib
from collections.abc import Sequence

from coordnode.ids import Index, MemberId
from coordnode.raft.core import Raft
from coordnode.raft.entry import Entry, SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.ready import ChunkWanted, Ready
from coordnode.raft.state import Timing
from tests.unit.raft.fake_disk import SLICES, FakeDisk


def chain_after(chain: int, entry: Entry) -> int:
    return zlib.crc32(b"%d %d %d %b" % (chain, entry.index, entry.term, entry.data))


class FakeMember:
    def __init__(self, member: MemberId, disk: FakeDisk, timing: Timing, rng: random.Random) -> None:
        self.member = member
        self.disk = disk
        self.timing = timing
        self.rng = rng
        self.sent: list[Message] = []  # left this member, for the network to take
        self.chunks_to_read: list[ChunkWanted] = []
        self.chunks_to_store: list[tuple[MemberId, SnapshotMeta, int, bool, bytes]] = []
        self.running = False
        self.start()

    def start(self) -> None:
        hard_state, snapshot, entries = self.disk.start()
        self.raft = Raft(
            member=self.member,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            commit_hint=self.disk.commit,
            timing=self.timing,
            rng=self.rng,
        )
        self.applied = snapshot.index if snapshot is not None else Index(0)
        self.chain = snapshot.chain if snapshot is not None else 0
        self.running = True

    def crash(self, rng: random.Random) -> None:
        assert self.running
        self.disk.crash(rng)
        self.sent.clear()
        self.chunks_to_read.clear()
        self.chunks_to_store.clear()
        self.running = False

    # --- one turn, in the order of replica.handle ------------------------------------------------------------------

    def turn(
        self,
        *,
        finish_writes: int = 0,
        messages: Sequence[Message] = (),
        ticks: int = 0,
        chunks: bool = False,
    ) -> Ready:
        raft = self.raft
        last = None
        for _ in range(min(finish_writes, len(self.disk.writes))):
            last = self.disk.finish_one()
            self.sent.extend(last.send_after)
        if last is not None:
            raft.on_persisted(last.write_id, last.last_term, last.last_index)
        for message in messages:
            raft.step(message)
        for _ in range(ticks):
            raft.tick()
        if chunks:
            self._carry_chunks()
        return self.carry_out()

    def _carry_chunks(self) -> None:
        reads, self.chunks_to_read = self.chunks_to_read, []
        for read in reads:
            found = self.disk.has_snapshot(read.meta)
            data = b"slice %d" % read.number
            self.raft.on_chunk_read(read.target, read.meta, read.number, read.number == SLICES - 1, data, found)
        stores, self.chunks_to_store = self.chunks_to_store, []
        for source, meta, number, last, _ in stores:
            next_number, complete = self.disk.store_chunk(meta, number, last)
            self.raft.on_chunk_stored(source, meta, next_number, complete)

    def carry_out(self) -> Ready:
        ready = self.raft.ready()
        self.sent.extend(ready.send_now)
        if ready.write is not None:
            self.disk.submit(ready.write)
        if ready.restore is not None:
            self.applied, self.chain = ready.restore.index, ready.restore.chain
        for entry in ready.committed:
            assert entry.index == self.applied + 1
            self.applied, self.chain = entry.index, chain_after(self.chain, entry)
        self.chunks_to_read.extend(ready.chunks_wanted)
        self.chunks_to_store.extend(ready.chunk_received)
        return ready

    def snapshot(self, keep: int) -> SnapshotMeta | None:
        """Makes a snapshot of what is applied and forgets the log but for `keep` entries; None when there is nothing new."""
        raft = self.raft
        term = raft.log.term_at(self.applied)
        newest = raft.snapshot
        if newest is None or self.applied <= newest.index or self.applied > raft.persisted or term is None:
            return None
        config_index, config = raft.config_at(self.applied)
        meta = SnapshotMeta(self.applied, term, self.member, self.chain, config, config_index)
        self.disk.place_snapshot(meta)
        raft.compact(meta, Index(meta.index - keep + 1))
        return meta
