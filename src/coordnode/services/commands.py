"""The closed list of what clients may ask and leaders may decide, what is answered, and the codec of all three.

A client encodes a `Command` once; those bytes are spliced into a raft entry's `Batch` and never re-encoded.
Tags are never reused. Field order is the wire format: fields are only ever added at the end, with a default.
"""

from collections.abc import Sequence as SequenceOf

import msgspec

from coordnode.errors import BadRequest, RecordError
from coordnode.ids import Revision, Sequence, SessionId, Term


class _Operation(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    pass


# --- what a client may ask to change -------------------------------------------------------------------------------


class Put(_Operation, frozen=True, array_like=True, gc=False, tag=1):
    key: bytes
    value: bytes
    bound: bool = False  # the key lives no longer than the command's session


class Delete(_Operation, frozen=True, array_like=True, gc=False, tag=2):
    key: bytes


class DeleteRange(_Operation, frozen=True, array_like=True, gc=False, tag=3):
    """One slice: at most `limit` keys; the reply says whether more remain."""

    start: bytes
    end: bytes  # exclusive; empty: no end
    limit: int = 128


VALUE = 0
MOD_REVISION = 1
CREATE_REVISION = 2
VERSION = 3  # 0 when the key does not exist; so do both revisions

EQUAL = 0
NOT_EQUAL = 1
LESS = 2
GREATER = 3


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    field: int  # VALUE, MOD_REVISION, CREATE_REVISION, VERSION
    relation: int  # EQUAL, NOT_EQUAL, LESS, GREATER; VALUE knows only EQUAL and NOT_EQUAL
    number: int = 0
    value: bytes | None = None  # for VALUE; None is equal only to a key that does not exist


class Get(_Operation, frozen=True, array_like=True, gc=False, tag=4):
    key: bytes


class Range(_Operation, frozen=True, array_like=True, gc=False, tag=5):
    start: bytes
    end: bytes  # exclusive; empty: no end
    limit: int = 0  # 0: as many as one page may hold
    keys_only: bool = False


class Transaction(_Operation, frozen=True, array_like=True, tag=6):
    """All comparisons hold: `then`, else `otherwise`. One revision for all of it, one watch message."""

    compares: list[Compare]
    then: list[Put | Delete | Get]
    otherwise: list[Put | Delete | Get] = []


class OpenSession(_Operation, frozen=True, array_like=True, gc=False, tag=10):
    """`nonce` makes a retry find the session that the first attempt opened."""

    nonce: bytes
    ttl_ms: int
    owner: str = ""  # shown to operators, decides nothing
    first: Put | Delete | Transaction | None = None  # carried out in the new session, as its sequence 1


class CloseSession(_Operation, frozen=True, array_like=True, gc=False, tag=11):
    session: SessionId


class ReadSessions(_Operation, frozen=True, array_like=True, gc=False, tag=12):
    """Who is there, in the order of their ids; only ever a read."""

    after: SessionId = SessionId(0)
    limit: int = 0  # 0: as many as one page may hold


# --- what only a leader may decide ---------------------------------------------------------------------------------


class Expire(_Operation, frozen=True, array_like=True, tag=20):
    """Refused by apply unless `term` is the term of the entry it stands in."""

    term: Term
    sessions: list[SessionId]


class Checkpoint(_Operation, frozen=True, array_like=True, tag=21):
    """What is left of leases that are running out, so that a new leader does not grant them whole."""

    remaining_ms: list[tuple[SessionId, int]]


class Withdraw(_Operation, frozen=True, array_like=True, tag=22):
    """These sessions were heard of again: their checkpoints are void."""

    sessions: list[SessionId]


class Wake(_Operation, frozen=True, array_like=True, gc=False, tag=23):
    """Something falls due: brings the batch's cluster_ms into the log when nobody else does."""


class RaiseLevel(_Operation, frozen=True, array_like=True, gc=False, tag=24):
    level: int


ClientOperation = Put | Delete | DeleteRange | Transaction | OpenSession | CloseSession | Get | Range
Operation = ClientOperation | Expire | Checkpoint | Withdraw | Wake | RaiseLevel
ReadOperation = Get | Range | ReadSessions | None  # None: only the barrier, "everything before this is visible to me"

ADDS_DATA = (Put, Transaction, OpenSession)  # refused while the members with free space are no quorum
READS = (Get, Range, ReadSessions)


class Command(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`sequence` 0 with an empty `request_id`: not deduplicated; the client must not retry it unless refused."""

    session: SessionId
    sequence: Sequence
    lowest_open: Sequence  # the client will never ask again about anything below this
    request_id: str  # exactly-once without a session (Idempotency-Key, --request-id); "" otherwise
    operation: Operation


class ClientCommand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The same bytes as Command, but only with what a client may ask."""

    session: SessionId
    sequence: Sequence
    lowest_open: Sequence
    request_id: str
    operation: ClientOperation


class Batch(msgspec.Struct, frozen=True, array_like=True):
    cluster_ms: int  # decides what is due; never goes back; stands still while there is no leader
    wall_ms: int  # only shown; no rule reads it
    commands: list[Command]


# --- what is answered ----------------------------------------------------------------------------------------------


class _Result(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    pass


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes
    value: bytes
    create_revision: Revision
    mod_revision: Revision
    version: int
    session: SessionId = SessionId(0)


class Done(_Result, frozen=True, array_like=True, gc=False, tag=1):
    """`changed` 0: nothing was there to delete. `more`: a range delete has another slice to go."""

    revision: Revision
    changed: int = 1
    more: bool = False


class Got(_Result, frozen=True, array_like=True, gc=False, tag=2):
    revision: Revision
    item: Item | None


class Page(_Result, frozen=True, array_like=True, gc=False, tag=3):
    revision: Revision
    items: list[Item]
    more: bool


class TransactionDone(_Result, frozen=True, array_like=True, gc=False, tag=4):
    revision: Revision
    succeeded: bool
    results: list[Done | Got]


class SessionOpened(_Result, frozen=True, array_like=True, gc=False, tag=5):
    session: SessionId
    ttl_ms: int
    revision: Revision
    first: "Done | TransactionDone | Failure | None" = None


class Failure(_Result, frozen=True, array_like=True, gc=False, tag=6):
    """The command was applied and changed nothing: `code` is one of errors.BY_CODE, which says whether that is definite."""

    code: int
    sentence: str


class SessionInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    session: SessionId
    ttl_ms: int
    owner: str
    open_ms: int  # for how long, as the cluster counts
    keys: int  # that are bound to it


class SessionPage(_Result, frozen=True, array_like=True, gc=False, tag=7):
    revision: Revision
    sessions: list[SessionInfo]
    more: bool


Result = Done | Got | Page | TransactionDone | SessionOpened | Failure | SessionPage


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where in the log a command took effect, and its encoded Result. A retry gets the very same Outcome."""

    index: int
    position: int  # within the entry
    result: bytes


# --- what watches see ----------------------------------------------------------------------------------------------

PUT_EVENT = 0
DELETE_EVENT = 1


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A put shows the key as it is now. A delete has no value and version 0, and names the session the key was bound to."""

    kind: int
    key: bytes
    value: bytes
    version: int
    session: SessionId = SessionId(0)


class Change(msgspec.Struct, frozen=True, array_like=True):
    """All that happened at one revision; a watch gets all of it that matches, or nothing yet."""

    revision: Revision
    events: list[Event]


# --- codec ---------------------------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_client_command_decoder = msgspec.msgpack.Decoder(ClientCommand)
_read_decoder: msgspec.msgpack.Decoder[ReadOperation] = msgspec.msgpack.Decoder(ReadOperation)
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_result_decoder: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)

encode = _encoder.encode


def decode_client_command(data: bytes) -> ClientCommand:
    try:
        return _client_command_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the command cannot be decoded: {error}") from None


def decode_read(data: bytes) -> ReadOperation:
    try:
        return _read_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the read cannot be decoded: {error}") from None


def decode_result(data: bytes) -> Result:
    try:
        return _result_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a result cannot be decoded: {error}") from None


def decode_batch(data: bytes) -> Batch:
    try:
        return _batch_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a log entry's batch cannot be decoded: {error}") from None


def array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    if length < 65536:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def splice_batch(cluster_ms: int, wall_ms: int, commands: SequenceOf[bytes]) -> bytes:
    """The bytes of a Batch around commands that are already encoded."""
    head = b"\x93" + _encoder.encode(cluster_ms) + _encoder.encode(wall_ms)
    return b"".join((head, array_header(len(commands)), *commands))
