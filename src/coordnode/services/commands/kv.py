"""Keys and values: what may be asked and what is answered. Pure."""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId
from coordnode.services.commands.base import OperationBase, ResultBase


class Put(OperationBase, frozen=True, array_like=True, gc=False, tag=1):
    key: bytes
    value: bytes
    bound: bool = False  # the key lives no longer than the command's session


class Delete(OperationBase, frozen=True, array_like=True, gc=False, tag=2):
    key: bytes


class DeleteRange(OperationBase, frozen=True, array_like=True, gc=False, tag=3):
    """One slice: at most `limit` keys; the reply says whether more remain."""

    start: bytes
    end: bytes  # exclusive; empty: no end
    limit: int = 128


VALUE = 0
MOD_REVISION = 1
CREATE_REVISION = 2
VERSION = 3  # 0 when the key does not exist; so do both revisions
TOKEN = 4  # `number` is a token that is held for what `key` names: a lock, an election, a shard, a task

EQUAL = 0
NOT_EQUAL = 1
LESS = 2
GREATER = 3


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    field: int  # VALUE, MOD_REVISION, CREATE_REVISION, VERSION, TOKEN
    relation: int  # EQUAL, NOT_EQUAL, LESS, GREATER; VALUE and TOKEN know only EQUAL and NOT_EQUAL
    number: int = 0
    value: bytes | None = None  # for VALUE; None is equal only to a key that does not exist


class Get(OperationBase, frozen=True, array_like=True, gc=False, tag=4):
    key: bytes


class Range(OperationBase, frozen=True, array_like=True, gc=False, tag=5):
    start: bytes
    end: bytes  # exclusive; empty: no end
    limit: int = 0  # 0: as many as one page may hold
    keys_only: bool = False


class Transaction(OperationBase, frozen=True, array_like=True, tag=6):
    """All comparisons hold: `then`, else `otherwise`. One revision for all of it, one watch message."""

    compares: list[Compare]
    then: list[Put | Delete | Get]
    otherwise: list[Put | Delete | Get] = []


# --- what is answered ----------------------------------------------------------------------------------------------


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    value: bytes
    create_revision: Revision
    mod_revision: Revision
    version: int
    session: SessionId = NO_SESSION


class Done(ResultBase, frozen=True, array_like=True, gc=False, tag=1):
    """`changed` 0: nothing was there to delete. `more`: a range delete has another slice to go."""

    revision: Revision
    changed: int = 1
    more: bool = False


class Got(ResultBase, frozen=True, array_like=True, gc=False, tag=2):
    revision: Revision
    item: Item | None


class Page(ResultBase, frozen=True, array_like=True, gc=False, tag=3):
    revision: Revision
    items: list[Item]
    more: bool


class TransactionDone(ResultBase, frozen=True, array_like=True, gc=False, tag=4):
    revision: Revision
    succeeded: bool
    results: list[Done | Got]


# --- all of them --------------------------------------------------------------------------------------------------

KvOperation = Put | Delete | DeleteRange | Transaction | Get | Range
KvRead = Get | Range
KvResult = Done | Got | Page | TransactionDone
