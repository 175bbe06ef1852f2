"""The table of keys, which takes many puts at once: most of what is ever applied. Pure."""

from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId
from coordnode.services.commands import PUT_EVENT, Put
from coordnode.services.context import ChangeRow
from coordnode.services.tables import Table

KEYS_ID = 6

KEY_CHARGE_BYTES = 240  # what a key takes in memory beside its own bytes and its value's


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """commands.Item without its key."""

    value: bytes
    create_revision: Revision
    mod_revision: Revision
    version: int
    session: SessionId


class Keys(Table[Stored]):
    def __init__(self) -> None:
        super().__init__(KEYS_ID, Stored)

    def put_all(self, puts: Iterator[Put], revision: Revision, changes: list[ChangeRow]) -> tuple[Revision, int, Put | None]:
        """Each is a change with a revision of its own, after `revision`. Ends before a put whose key is bound to a session.

        The last revision, by how much the state has grown, and the put that is left to the caller.
        """
        self._found_key = None
        bounds, buckets, epoch = self._bounds, self._buckets, self._epoch
        before = revision
        grown = 0
        bound: Put | None = None
        for put in puts:
            key, value = put.key, put.value
            bucket = buckets[bisect_right(bounds, key) - 1]
            place = bucket.places.get(key)
            if bucket.epoch != epoch:
                bucket = self._unfreeze(bucket, key, place)
            if place is None:
                version = 1
                grown += len(key) + len(value) + KEY_CHARGE_BYTES
                revision += 1  # type: ignore[assignment]  # calling a NewType costs as much as a dictionary
                self._insert(bucket, key, Stored(value, revision, revision, version, NO_SESSION))
            else:
                leaves = bucket.leaves
                old = leaves[place]
                if old.session:
                    bound = put
                    break
                version = old.version + 1
                grown += len(value) - len(old.value)
                revision += 1  # type: ignore[assignment]
                leaves[place] = Stored(value, old.create_revision, revision, version, NO_SESSION)
                if not bucket.unhashed:
                    self._unsettle(bucket)
                bucket.unhashed[key] = place
            changes.append((revision, ((PUT_EVENT, key, value, version, NO_SESSION),)))
        self._count_unhashed(revision - before)
        return revision, grown, bound
