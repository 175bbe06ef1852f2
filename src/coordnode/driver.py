"""One turn of a member: hand what happened to the replica, carry out what it wants, in order.

The node and the simulator both run this very code, so the order itself is under test:

    send_now → write (its send_after waits inside it) → apply → replies → bytes of journals → snapshot work

A write that no message waits for may come behind the replies: storage says so itself when it takes it (`settle`).
A message that may only leave after a write is inside that Write: storage hands the Write back when it is durable
and only then does `on_written` send what was waiting.
"""

from collections.abc import Sequence
from typing import Protocol

from coordnode.errors import Diverged
from coordnode.ids import Index, Term
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.ready import ChunkWanted, Write
from coordnode.replica.effects import Effects, RecordsWanted, StoreChunk, StoreSlice
from coordnode.replica.events import Events, Persisted
from coordnode.services.dialogue import Answer


class Core(Protocol):
    """A replica."""

    def handle(self, events: Events) -> Effects: ...

    def apply(self) -> None:
        """Fills in the rest of the effects that `handle` returned last."""


class Network(Protocol):
    def send(self, messages: Sequence[Message]) -> None:
        """To peers; may be lost, delayed, doubled or reordered."""

    def answer(self, connection: int, replies: Sequence[Answer]) -> None: ...

    def close(self, connection: int) -> None: ...


class Storage(Protocol):
    """Two lanes. The log's lane is one ordered queue; each Write comes back by `on_written` once durable.
    The snapshot lane's completions come back as events of the replica; it carries out in order, too."""

    def submit(self, write: Write) -> None:
        """It may be durable, and back, when this returns."""

    def settle(self) -> None:
        """Whoever waits for this turn has heard: what `submit` put off may be made durable now."""

    def store_blobs(self, writes: Sequence[BlobWrite]) -> None: ...

    def read_records(self, work: RecordsWanted) -> None: ...

    def store_slice(self, work: StoreSlice) -> None: ...

    def store_chunk(self, work: StoreChunk) -> None: ...

    def read_chunk(self, work: ChunkWanted) -> None: ...

    def load_snapshot(self, meta: SnapshotMeta) -> None: ...

    def release_before(self, index: Index) -> None: ...


class Driver:
    def __init__(self, core: Core, storage: Storage, network: Network) -> None:
        self._core = core
        self._storage = storage
        self._network = network

    def turn(self, events: Events) -> Effects:
        """Returns what was carried out; its owner takes another turn soon when `again` is set."""
        core = self._core
        storage = self._storage
        network = self._network
        effects = core.handle(events)
        if effects.failed:
            raise Diverged(effects.failed)
        if effects.send_now:
            network.send(effects.send_now)
        if effects.write is not None:
            storage.submit(effects.write)
        core.apply()
        if effects.failed:
            raise Diverged(effects.failed)
        if effects.send_applied:
            network.send(effects.send_applied)
        if effects.to_clients:
            for connection, replies in effects.to_clients.items():
                network.answer(connection, replies)
        for connection in effects.close:
            network.close(connection)
        storage.settle()
        if effects.store_blobs:
            storage.store_blobs(effects.store_blobs)
        for records in effects.read_records:
            storage.read_records(records)
        if effects.store_slice is not None:
            storage.store_slice(effects.store_slice)
        for chunk in effects.store_chunks:
            storage.store_chunk(chunk)
        for wanted in effects.read_chunks:
            storage.read_chunk(wanted)
        if effects.load_snapshot is not None:
            storage.load_snapshot(effects.load_snapshot)
        if effects.release_before:
            storage.release_before(effects.release_before)
        return effects

    def on_written(self, writes: Sequence[Write]) -> Persisted:
        """These writes, in the order of submission, are durable: what waited for them leaves now."""
        term = max((write.hard_state.term for write in writes if write.hard_state is not None), default=Term(0))
        for write in writes:
            if write.send_after:
                # What was to be said in a term that a later one of these writes has left may speak of entries that it has undone.
                messages = [message for message in write.send_after if message.term >= term]
                if messages:
                    self._network.send(messages)
        last = writes[-1]
        return Persisted(last.write_id, last.last_term, last.last_index)
