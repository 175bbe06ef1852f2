"""The snapshot that this member is making: one slice at a time, the next only when the last is synced. Pure."""

from collections.abc import Iterator

from coordnode.raft.entry import SnapshotMeta
from coordnode.replica.effects import StoreSlice


class SnapshotMaker:
    def __init__(self) -> None:
        self.due = False  # wanted at once, whatever the log's length: the stored one was found rotten
        self.not_before_ms = 0
        self._meta: SnapshotMeta | None = None
        self._slices: Iterator[bytes] = iter(())
        self._next: bytes | None = None  # one slice ahead, so that the last one is known as such
        self._number = 0
        self._storing = False

    def is_idle(self) -> bool:
        return self._meta is None

    def begin(self, meta: SnapshotMeta, slices: Iterator[bytes]) -> None:
        assert self._meta is None
        self._meta = meta
        self._slices = slices
        self._next = next(slices)
        self._number = 0
        self._storing = False
        self.due = False

    def take_slice(self) -> StoreSlice | None:
        meta, data = self._meta, self._next
        if meta is None or data is None or self._storing:
            return None
        self._next = next(self._slices, None)
        self._storing = True
        return StoreSlice(meta, self._number, self._next is None, data)

    def on_slice_stored(self, number: int) -> None:
        if self._meta is not None and self._storing and number == self._number:
            self._storing = False
            self._number += 1

    def abandon(self) -> None:
        self._meta = None
        self._slices = iter(())
        self._next = None
        self._storing = False
