"""The container of replicated state: ordered keys with frozen leaves, its digest, and copy-on-write under a running snapshot. Pure.

    Container   what snapshot and digest need of any container: rows, a digest kept up to date, freezing
    Table       ordered buckets of at most BUCKET_ITEMS_MAX items: the unit of range, split and of what a snapshot reads at once

A row is the encoded (key, leaf). The same bytes are hashed for the digest and written to the snapshot:
whatever is in one is in the other.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from operator import lt
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import msgspec
from xxhash import xxh3_64_intdigest

from coordnode.errors import RecordError

BUCKET_ITEMS_MAX = 1024  # the shape of buckets is nobody's business: neither digest nor snapshot bytes depend on it
UNHASHED_MAX = 2048  # rows of one table: hashed while what they hold is still in the processor's caches
UNHASHED_ENOUGH = UNHASHED_MAX * 7 // 8  # so many are worth it: or a table with just as many keys might be counted at each change
UNSETTLED_BUCKETS_MAX = 64  # with rows to be hashed: each costs as much as many rows when it has left the processor's caches
DIGEST_MODULUS = 1 << 64
_MASK = DIGEST_MODULUS - 1
_PLACES = tuple(range(BUCKET_ITEMS_MAX + 1))  # one object for each number, shared by all buckets

Key = TypeVar("Key", bytes, int)
Leaf = TypeVar("Leaf")

encode_row = msgspec.msgpack.Encoder().encode


def row_hash(container: int, row: bytes) -> int:
    """64 well mixed bits of one row.

    They are to show what went wrong by accident, and nobody gains by a collision: members that compare digests applied the same log.
    So no cryptographic hash is needed, but one that is not linear, as those of all rows are summed up: values swapped between keys, and
    differences that would cancel in a sum of checksums, show. XXH3 is, at a tenth of the price of crc32 with as many bits more.
    """
    return xxh3_64_intdigest(row, container)


def _first_out_of_order(keys: list[bytes]) -> bytes:
    return next(key for before, key in pairwise(keys) if key <= before)


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
        """Takes the parts out of the list one by one: what the container has replaced meanwhile goes with each. All of it at once
        would take as long as a hundred turns."""
        raise NotImplementedError

    def load(self, rows: msgspec.Raw) -> int:
        """Takes in an encoded list of rows that follow those taken in before, and counts them; RecordError: they are out of order."""
        raise NotImplementedError

    def unhashed(self) -> int:
        """Changes whose rows `digest` or `freeze` would have to hash now; `settle` hashes them."""
        return 0

    def settle(self) -> None:
        pass

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


class _Reader:
    """Of a frozen table: alive as long as somebody holds its rows."""

    __slots__ = ("__weakref__", "epoch")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class _Bucket:
    """An item keeps its place, so that replacing its leaf touches nothing else. While a snapshot has still to read the bucket, the leaf
    that it shall find there is kept beside: most buckets change in a few places meanwhile, and a copy has a thousand items."""

    __slots__ = ("epoch", "free", "hashes", "kept", "kept_epoch", "keys", "leaves", "places", "unhashed")

    def __init__(self, epoch: int, keys: list[bytes], leaves: list[Any], hashes: "array[int]") -> None:
        self.epoch = epoch
        self.keys = keys  # in order
        self.places: dict[bytes, int] = dict(zip(keys, _PLACES, strict=False))
        self.leaves = leaves  # by place, like `hashes`
        self.hashes = hashes  # of the rows, as the digest has them; 0: not in it yet
        self.free: list[int] = []  # places whose items are gone
        self.unhashed: dict[bytes, int] = {}  # keys whose leaves are newer than their hashes, and their places
        self.kept: dict[int, Any] = {}  # by place: leaves as whoever froze the table up to `kept_epoch` shall find them
        self.kept_epoch = 0

    def copy(self, epoch: int) -> "_Bucket":
        copied = _Bucket(epoch, [], self.leaves.copy(), self.hashes[:])
        copied.keys, copied.places, copied.free = self.keys.copy(), self.places.copy(), self.free.copy()
        copied.unhashed, self.unhashed = self.unhashed, {}
        return copied

    def items_at(self, epoch: int) -> list[tuple[bytes, Any]]:
        """In order, as whoever froze the table in that epoch shall find them."""
        leaves = self.leaves
        if self.kept and epoch <= self.kept_epoch:
            leaves = leaves.copy()
            for place, leaf in self.kept.items():
                leaves[place] = leaf
        return list(zip(self.keys, map(leaves.__getitem__, map(self.places.__getitem__, self.keys)), strict=True))

    def part(self, epoch: int, start: int, stop: int) -> "_Bucket":
        keys = self.keys[start:stop]
        places = [self.places[key] for key in keys]
        leaves, hashes = self.leaves, self.hashes
        return _Bucket(epoch, keys, [leaves[place] for place in places], array("Q", [hashes[place] for place in places]))

    def insert(self, at: int, key: bytes, leaf: Any, hashed: int) -> int:
        self.keys.insert(at, key)
        if self.free:
            place = self.free.pop()
            self.leaves[place] = leaf
            self.hashes[place] = hashed
        else:
            place = _PLACES[len(self.leaves)]
            self.leaves.append(leaf)
            self.hashes.append(hashed)
        self.places[key] = place
        return place

    def extend(self, keys: list[bytes], leaves: list[Any], hashes: list[int]) -> None:
        """These follow all others. Only of a table that is still being read back, so nothing is free."""
        self.places.update(zip(keys, _PLACES[len(self.leaves) :], strict=False))
        self.keys += keys
        self.leaves += leaves
        self.hashes.extend(hashes)

    def remove(self, key: bytes) -> int:
        """What the digest has of it."""
        place = self.places.pop(key)
        self.unhashed.pop(key, None)
        del self.keys[bisect_left(self.keys, key)]
        self.leaves[place] = None
        self.free.append(place)
        return self.hashes[place]

    def settle(self, table: int) -> int:
        """Hashes what is newer than its hash; by how much the digest grows."""
        leaves, hashes = self.leaves, self.hashes
        grown = 0
        for key, place in self.unhashed.items():
            hashed = xxh3_64_intdigest(encode_row((key, leaves[place])), table)  # row_hash, written out: many puts pass here
            grown += hashed - hashes[place]
            hashes[place] = hashed
        self.unhashed = {}
        return grown

    def ordered(self) -> Iterator[Any]:
        """The leaves, in the order of their keys."""
        assert len(self.keys) + len(self.free) == len(self.leaves), "each place is an item's or free, in a frozen bucket, too"
        return map(self.leaves.__getitem__, map(self.places.__getitem__, self.keys))


class Table(Container[bytes, Leaf]):
    """Ordered by key. `_bounds[i]` <= every key of `_buckets[i]` < `_bounds[i + 1]`; the first bound is the empty key.

    Rows are hashed when the digest is asked for, so that one that is replaced again and again meanwhile is hashed once; at the
    latest when there are UNHASHED_MAX of them, or when they lie in more than UNSETTLED_BUCKETS_MAX buckets.
    """

    __slots__ = ("_bounds", "_buckets", "_decoder", "_found", "_found_key", "_place", "_readers", "_unhashed", "_unsettled", "count")

    def __init__(self, id: int, leaf: Any) -> None:
        super().__init__(id)
        self.count = 0
        self._bounds: list[bytes] = [b""]
        self._buckets: list[_Bucket] = [_Bucket(0, [], [], array("Q"))]
        self._decoder: msgspec.msgpack.Decoder[list[tuple[bytes, Leaf]]] = msgspec.msgpack.Decoder(list[tuple[bytes, leaf]])
        self._unsettled: dict[_Bucket, None] = {}  # those with `unhashed` keys, and perhaps some that are gone
        self._unhashed = 0  # rows that are newer than their hashes, at most; one that was changed twice may count twice
        self._readers: WeakSet[_Reader] = WeakSet()  # of what was frozen
        # Where the last `get` found its key, for the `set` that mostly follows; None once anything changed.
        self._found_key: bytes | None = None
        self._found = self._buckets[0]
        self._place: int | None = None

    def get(self, key: bytes) -> Leaf | None:
        self._found_key = key
        self._found = bucket = self._buckets[bisect_right(self._bounds, key) - 1]
        self._place = place = bucket.places.get(key)
        if place is None:
            return None
        leaf: Leaf = bucket.leaves[place]
        return leaf

    def set(self, key: bytes, leaf: Leaf) -> None:
        if key is not self._found_key:
            self.get(key)
        self._found_key = None
        bucket, place = self._found, self._place
        if bucket.epoch != self._epoch:
            bucket = self._unfreeze(bucket, key, place)
        if place is None:
            self._insert(bucket, key, leaf)
        else:
            if not bucket.unhashed:
                self._unsettle(bucket)
            bucket.leaves[place] = leaf
            bucket.unhashed[key] = place
        self._count_unhashed(1)

    def _insert(self, bucket: _Bucket, key: bytes, leaf: Leaf) -> None:
        keys = bucket.keys
        if not bucket.unhashed:
            self._unsettle(bucket)
        at = len(keys) if not keys or keys[-1] < key else bisect_left(keys, key)  # mostly last: numbers only grow
        bucket.unhashed[key] = bucket.insert(at, key, leaf, 0)
        self.count += 1
        if len(bucket.keys) > BUCKET_ITEMS_MAX:
            self._split(key, at)

    def delete(self, key: bytes) -> bool:
        self._found_key = None
        bucket = self._buckets[bisect_right(self._bounds, key) - 1]
        if key not in bucket.places:
            return False
        if bucket.epoch != self._epoch:
            bucket = self._unfreeze(bucket, key, None)
        self._hashed -= bucket.remove(key)
        self.count -= 1
        if not bucket.keys and len(self._buckets) > 1:
            bucket_at = bisect_right(self._bounds, key) - 1
            del self._buckets[bucket_at]
            del self._bounds[bucket_at]
            self._bounds[0] = b""
        return True

    def unhashed(self) -> int:
        return self._unhashed

    def _unsettle(self, bucket: _Bucket) -> None:
        """Before the first of its rows waits to be hashed."""
        if len(self._unsettled) >= UNSETTLED_BUCKETS_MAX:
            self.settle()
        self._unsettled[bucket] = None

    def _count_unhashed(self, changes: int) -> None:
        self._unhashed += changes
        if self._unhashed < UNHASHED_MAX:
            return
        self._unhashed = sum([len(bucket.unhashed) for bucket in self._unsettled])
        if self._unhashed >= UNHASHED_ENOUGH:
            self.settle()

    def settle(self) -> None:
        for bucket in self._unsettled:
            self._hashed += bucket.settle(self.id)
        self._unsettled = {}
        self._unhashed = 0

    def digest(self) -> int:
        if self._unsettled:
            self.settle()
        return self._hashed & _MASK

    def freeze(self) -> Iterator[bytes]:
        self.settle()
        self._epoch += 1
        reader = _Reader(self._epoch)
        self._readers.add(reader)
        return self._rows_at(reader, self.parts())

    def _rows_at(self, reader: _Reader, parts: list[Any]) -> Iterator[bytes]:
        parts.reverse()
        while parts:
            bucket = parts.pop()
            items = bucket.items_at(reader.epoch)
            if len(self._readers) == 1:
                bucket.kept = {}
                bucket.epoch = self._epoch
            del bucket  # the table may have another in its place
            yield from map(encode_row, items)  # `row` for a whole bucket: a third of the time

    def _unfreeze(self, bucket: _Bucket, key: bytes, place: int | None) -> _Bucket:
        """Before a change to a bucket that somebody may still have to read as it is: the bucket that may be changed. `place`: of the item
        whose leaf alone will be replaced."""
        if not self._readers:
            bucket.kept = {}
            bucket.epoch = self._epoch
            return bucket
        if place is not None:
            if not bucket.kept:
                bucket.kept_epoch = self._epoch
            if bucket.kept_epoch == self._epoch:
                bucket.kept.setdefault(place, bucket.leaves[place])
                return bucket
        copied = self._buckets[bisect_right(self._bounds, key) - 1] = bucket.copy(self._epoch)
        if copied.unhashed:
            self._unsettled[copied] = None
        return copied

    def first(self) -> tuple[bytes, Leaf] | None:
        """The item with the lowest key."""
        bucket = self._buckets[0]  # empty only when the table is
        return (bucket.keys[0], bucket.leaves[bucket.places[bucket.keys[0]]]) if bucket.keys else None

    def last_up_to(self, key: bytes) -> tuple[bytes, Leaf] | None:
        """The item with the highest key <= `key`."""
        bucket_at = bisect_right(self._bounds, key) - 1
        at = bisect_right(self._buckets[bucket_at].keys, key) - 1
        if at < 0:
            if bucket_at == 0:
                return None
            bucket_at -= 1
        bucket = self._buckets[bucket_at]
        found = bucket.keys[at]
        return found, bucket.leaves[bucket.places[found]]

    def first_from(self, start: bytes) -> tuple[bytes, Leaf] | None:
        """The item with the lowest key >= `start`: what `scan` would begin with, without setting out on a way."""
        bucket_at = bisect_right(self._bounds, start) - 1
        at = bisect_left(self._buckets[bucket_at].keys, start)
        if at == len(self._buckets[bucket_at].keys):
            bucket_at, at = bucket_at + 1, 0
            if bucket_at == len(self._buckets):
                return None
        bucket = self._buckets[bucket_at]
        found = bucket.keys[at]
        return found, bucket.leaves[bucket.places[found]]

    def scan(self, start: bytes, end: bytes = b"") -> Iterator[tuple[bytes, Leaf]]:
        """Items with start <= key < end (end empty: no end), in order. The table must not change meanwhile."""
        bucket_at = bisect_right(self._bounds, start) - 1
        at = bisect_left(self._buckets[bucket_at].keys, start)
        for bucket in self._buckets[bucket_at:]:
            keys, places, leaves = bucket.keys, bucket.places, bucket.leaves
            stop = bisect_left(keys, end) if end else len(keys)
            for position in range(at, stop):
                key = keys[position]
                yield key, leaves[places[key]]
            if stop < len(keys):
                return
            at = 0

    def parts(self) -> list[Any]:
        return self._buckets.copy()

    def items_of(self, parts: list[Any]) -> Iterator[tuple[bytes, Leaf]]:
        parts.reverse()
        while parts:
            bucket = parts.pop()
            yield from zip(bucket.keys, bucket.ordered(), strict=True)

    def load(self, rows: msgspec.Raw) -> int:
        loaded = self._decoder.decode(rows)
        last = self._buckets[-1].keys[-1:]
        keys = [key for key, _ in loaded]
        if not all(map(lt, last + keys, keys if last else keys[1:])):
            raise RecordError(f"a snapshot's table {self.id} is not in order at {_first_out_of_order(last + keys)!r}")
        hashes = [row_hash(self.id, row) for row in map(encode_row, loaded)]
        self._hashed += sum(hashes)
        self.count += len(loaded)
        at = 0
        while at < len(loaded):
            bucket = self._buckets[-1]
            if len(bucket.keys) == BUCKET_ITEMS_MAX:
                bucket = _Bucket(self._epoch, [], [], array("Q"))
                self._buckets.append(bucket)
                self._bounds.append(keys[at])
            stop = at + BUCKET_ITEMS_MAX - len(bucket.keys)
            bucket.extend(keys[at:stop], [leaf for _, leaf in loaded[at:stop]], hashes[at:stop])
            at = stop
        return len(loaded)

    def _split(self, key: bytes, at: int) -> None:
        """The bucket that this key came into, at this position."""
        bucket_at = bisect_right(self._bounds, key) - 1
        bucket = self._buckets[bucket_at]
        count = len(bucket.keys)
        self._hashed += bucket.settle(self.id)
        # Keys that only ever grow (revisions, sessions) leave full buckets behind instead of half-full ones.
        growing = bucket_at == len(self._buckets) - 1 and at == count - 1
        middle = count - 1 if growing else count // 2
        # New lists of exactly the right size: a list that shrinks keeps its room.
        lower, upper = bucket.part(self._epoch, 0, middle), bucket.part(self._epoch, middle, count)
        self._buckets[bucket_at : bucket_at + 1] = [lower, upper]
        self._bounds.insert(bucket_at + 1, upper.keys[0])
