"""The container of replicated state: ordered keys with frozen leaves, its digest, and copy-on-write under a running snapshot. Pure.

    Container   what snapshot and digest need of any container: rows, a digest kept up to date, freezing
    Table       ordered buckets of at most BUCKET_ITEMS_MAX items: the unit of range, split and copy-on-write

A row is the encoded (key, leaf). The same bytes are hashed for the digest and written to the snapshot:
whatever is in one is in the other.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, TypeVar
from zlib import adler32, crc32

import msgspec

from coordnode.errors import RecordError

BUCKET_ITEMS_MAX = 1024  # the shape of buckets is nobody's business: neither digest nor snapshot bytes depend on it
DIGEST_MODULUS = 1 << 64
_MASK = DIGEST_MODULUS - 1

Key = TypeVar("Key", bytes, int)
Leaf = TypeVar("Leaf")

encode_row = msgspec.msgpack.Encoder().encode


def row_hash(container: int, row: bytes) -> int:
    """64 well mixed bits of one row.

    Two checksums of different kind make 64 bits at half the price of a cryptographic hash. The row holds key and leaf together, and the
    middle of a square is not linear, so that values swapped between keys, or differences that cancel in a sum of checksums, show.
    """
    mixed = crc32(row, container) << 32 | adler32(row)
    return mixed * mixed >> 32 & _MASK


class Container(Generic[Key, Leaf]):
    """Some items of replicated state, and the sum of the hashes of their rows."""

    __slots__ = ("_epoch", "_hashed", "id")

    def __init__(self, id: int) -> None:
        self.id = id  # names the container in snapshots and digests; never reused
        self._epoch = 0  # a part of an older epoch may belong to a snapshot: it is copied before it is changed
        self._hashed = 0  # not reduced: it may lie outside 0 .. DIGEST_MODULUS - 1

    def row(self, key: Key, leaf: Leaf) -> bytes:
        return encode_row((key, leaf))

    def parts(self) -> list[Any]:
        raise NotImplementedError

    def items_of(self, parts: list[Any]) -> Iterator[tuple[Key, Leaf]]:
        raise NotImplementedError

    def load(self, rows: msgspec.Raw) -> int:
        """Takes in an encoded list of rows that follow those taken in before, and counts them; RecordError: they are out of order."""
        raise NotImplementedError

    def digest(self) -> int:
        return self._hashed & _MASK

    def items(self) -> Iterator[tuple[Key, Leaf]]:
        return self.items_of(self.parts())

    def recompute_digest(self) -> int:
        """From the rows alone: what `digest` must be."""
        return sum(row_hash(self.id, self.row(key, leaf)) for key, leaf in self.items()) & _MASK

    def freeze(self) -> Iterator[bytes]:
        """The rows as they are now; nothing is read before it is asked for."""
        self._epoch += 1
        return self._rows(self.parts())

    def _rows(self, parts: list[Any]) -> Iterator[bytes]:
        row = self.row
        for key, leaf in self.items_of(parts):
            yield row(key, leaf)


class _Bucket:
    __slots__ = ("epoch", "hashes", "keys", "leaves")

    def __init__(self, epoch: int, keys: list[bytes], leaves: list[Any], hashes: "array[int]") -> None:
        self.epoch = epoch
        self.keys = keys
        self.leaves = leaves
        self.hashes = hashes  # of the rows: what must leave the digest when an item is replaced

    def slice(self, epoch: int, start: int, stop: int) -> "_Bucket":
        return _Bucket(epoch, self.keys[start:stop], self.leaves[start:stop], self.hashes[start:stop])


class Table(Container[bytes, Leaf]):
    """Ordered by key. `_bounds[i]` <= every key of `_buckets[i]` < `_bounds[i + 1]`; the first bound is the empty key."""

    __slots__ = ("_at", "_bounds", "_bucket_at", "_buckets", "_decoder", "_found_key", "count")

    def __init__(self, id: int, leaf: Any) -> None:
        super().__init__(id)
        self.count = 0
        self._bounds: list[bytes] = [b""]
        self._buckets: list[_Bucket] = [_Bucket(0, [], [], array("Q"))]
        self._decoder: msgspec.msgpack.Decoder[list[tuple[bytes, Leaf]]] = msgspec.msgpack.Decoder(list[tuple[bytes, leaf]])
        # Where the last `get` found its key, for the `set` or `delete` that mostly follows; None once anything changed.
        self._found_key: bytes | None = None
        self._bucket_at = 0
        self._at = 0

    def get(self, key: bytes) -> Leaf | None:
        bucket_at = bisect_right(self._bounds, key) - 1
        bucket = self._buckets[bucket_at]
        keys = bucket.keys
        at = bisect_left(keys, key)
        self._found_key = key
        self._bucket_at = bucket_at
        self._at = at
        if at < len(keys) and keys[at] == key:
            leaf: Leaf = bucket.leaves[at]
            return leaf
        return None

    def set(self, key: bytes, leaf: Leaf) -> None:
        if key is not self._found_key:
            self.get(key)
        self._found_key = None
        bucket = self._buckets[self._bucket_at]
        if bucket.epoch != self._epoch:
            bucket = self._copy_bucket()
        row = encode_row((key, leaf))
        mixed = crc32(row, self.id) << 32 | adler32(row)
        hashed = mixed * mixed >> 32 & _MASK  # row_hash, written out: every put passes here
        at = self._at
        keys = bucket.keys
        if at < len(keys) and keys[at] == key:
            self._hashed += hashed - bucket.hashes[at]
            bucket.hashes[at] = hashed
            bucket.leaves[at] = leaf
            return
        self._hashed += hashed
        keys.insert(at, key)
        bucket.leaves.insert(at, leaf)
        bucket.hashes.insert(at, hashed)
        self.count += 1
        if len(keys) > BUCKET_ITEMS_MAX:
            self._split(bucket)

    def delete(self, key: bytes) -> bool:
        if key is not self._found_key:
            self.get(key)
        self._found_key = None
        bucket_at, at = self._bucket_at, self._at
        bucket = self._buckets[bucket_at]
        if at == len(bucket.keys) or bucket.keys[at] != key:
            return False
        if bucket.epoch != self._epoch:
            bucket = self._copy_bucket()
        self._hashed -= bucket.hashes.pop(at)
        del bucket.keys[at]
        del bucket.leaves[at]
        self.count -= 1
        if not bucket.keys and len(self._buckets) > 1:
            del self._buckets[bucket_at]
            del self._bounds[bucket_at]
            self._bounds[0] = b""
        return True

    def first(self) -> tuple[bytes, Leaf] | None:
        """The item with the lowest key."""
        bucket = self._buckets[0]  # empty only when the table is
        return (bucket.keys[0], bucket.leaves[0]) if bucket.keys else None

    def last_up_to(self, key: bytes) -> tuple[bytes, Leaf] | None:
        """The item with the highest key <= `key`."""
        bucket_at = bisect_right(self._bounds, key) - 1
        at = bisect_right(self._buckets[bucket_at].keys, key) - 1
        if at < 0:
            if bucket_at == 0:
                return None
            bucket_at -= 1
        bucket = self._buckets[bucket_at]
        return bucket.keys[at], bucket.leaves[at]

    def scan(self, start: bytes, end: bytes = b"") -> Iterator[tuple[bytes, Leaf]]:
        """Items with start <= key < end (end empty: no end), in order. The table must not change meanwhile."""
        bucket_at = bisect_right(self._bounds, start) - 1
        at = bisect_left(self._buckets[bucket_at].keys, start)
        for bucket in self._buckets[bucket_at:]:
            keys = bucket.keys
            stop = bisect_left(keys, end) if end else len(keys)
            for place in range(at, stop):
                yield keys[place], bucket.leaves[place]
            if stop < len(keys):
                return
            at = 0

    def parts(self) -> list[Any]:
        return self._buckets.copy()

    def items_of(self, parts: list[Any]) -> Iterator[tuple[bytes, Leaf]]:
        for bucket in parts:
            yield from zip(bucket.keys, bucket.leaves, strict=True)

    def _rows(self, parts: list[Any]) -> Iterator[bytes]:
        for bucket in parts:
            yield from map(encode_row, zip(bucket.keys, bucket.leaves, strict=True))  # `row` for a whole bucket: a third of the time

    def load(self, rows: msgspec.Raw) -> int:
        bucket = self._buckets[-1]
        last = bucket.keys[-1] if bucket.keys else None
        loaded = self._decoder.decode(rows)
        for key, leaf in loaded:
            if last is not None and key <= last:
                raise RecordError(f"a snapshot's table {self.id} is not in order: key {key!r} after {last!r}")
            if len(bucket.keys) == BUCKET_ITEMS_MAX:
                bucket = _Bucket(self._epoch, [], [], array("Q"))
                self._buckets.append(bucket)
                self._bounds.append(key)
            hashed = row_hash(self.id, encode_row((key, leaf)))
            bucket.keys.append(key)
            bucket.leaves.append(leaf)
            bucket.hashes.append(hashed)
            self._hashed += hashed
            last = key
        self.count += len(loaded)
        return len(loaded)

    def _copy_bucket(self) -> _Bucket:
        """The bucket that `get` found may belong to a snapshot: from here on the table has its own."""
        old = self._buckets[self._bucket_at]
        bucket = old.slice(self._epoch, 0, len(old.keys))
        self._buckets[self._bucket_at] = bucket
        return bucket

    def _split(self, bucket: _Bucket) -> None:
        bucket_at, count = self._bucket_at, len(bucket.keys)
        # Keys that only ever grow (revisions, sessions) leave full buckets behind instead of half-full ones.
        growing = bucket_at == len(self._buckets) - 1 and self._at == count - 1
        middle = count - 1 if growing else count // 2
        # New lists of exactly the right size: a list that shrinks keeps its room.
        lower, upper = bucket.slice(self._epoch, 0, middle), bucket.slice(self._epoch, middle, count)
        self._buckets[bucket_at : bucket_at + 1] = [lower, upper]
        self._bounds.insert(bucket_at + 1, upper.keys[0])
