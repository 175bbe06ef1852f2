"""The closed list of what clients may ask and leaders may decide, what is answered, and the codec of all three.

A client encodes a `Command` once; those bytes are spliced into a raft entry's `Batch` and never re-encoded.
Tags are never reused. Field order is the wire format: fields are only ever added at the end, with a default.
Each service's own words are in a file of its name, which ends with the list of them; here they become one language.
"""

from collections.abc import Sequence as SequenceOf

import msgspec

from coordnode.errors import BadRequest, RecordError
from coordnode.ids import Sequence, SessionId
from coordnode.services.commands.auth import *
from coordnode.services.commands.barriers import *
from coordnode.services.commands.base import *
from coordnode.services.commands.counters import *
from coordnode.services.commands.elections import *
from coordnode.services.commands.events import *
from coordnode.services.commands.groups import *
from coordnode.services.commands.journals import *
from coordnode.services.commands.kv import *
from coordnode.services.commands.leading import *
from coordnode.services.commands.locks import *
from coordnode.services.commands.queues import *
from coordnode.services.commands.sessions import *
from coordnode.services.commands.shards import *

ClientOperation = (
    KvOperation
    | SessionOperation
    | CounterOperation
    | GroupOperation
    | ShardOperation
    | BarrierOperation
    | LockOperation
    | ElectionOperation
    | QueueOperation
    | JournalOperation
    | AuthOperation
)
Operation = ClientOperation | LeadingOperation
ReadOperation = (
    None  # only the barrier, "everything before this is visible to me"
    | KvRead
    | SessionRead
    | CounterRead
    | GroupRead
    | ShardRead
    | BarrierRead
    | LockRead
    | ElectionRead
    | QueueRead
    | JournalRead
    | AuthRead
)
Result = (
    Failure
    | KvResult
    | SessionResult
    | CounterResult
    | GroupResult
    | ShardResult
    | BarrierResult
    | LockResult
    | ElectionResult
    | QueueResult
    | JournalResult
    | AuthResult
)
Notice = LockNotice | ElectionNotice | ShardNotice | QueueNotice
"""The value of an event in the space of notices; the event's kind is the space of the service that tells it."""


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


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where in the log a command took effect, and its encoded Result. A retry gets the very same Outcome."""

    index: int
    position: int  # within the entry
    result: bytes


# --- codec ---------------------------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_client_command_decoder = msgspec.msgpack.Decoder(ClientCommand)
_read_decoder: msgspec.msgpack.Decoder[ReadOperation] = msgspec.msgpack.Decoder(ReadOperation)
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_notice_decoder: msgspec.msgpack.Decoder[Notice] = msgspec.msgpack.Decoder(Notice)
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


def decode_notice(data: bytes) -> Notice:
    try:
        return _notice_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a notice cannot be decoded: {error}") from None


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
