"""What is inside PEER, ASKS and ANSWERS frames. Encoded straight behind the room left for the header: one buffer, no second copy.

A client chooses the format with its hello. In JSON, bytes are base64 and the nested command or result is JSON too; members
always speak msgpack among themselves, and there the nested bytes are spliced through as they are.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from coordnode.errors import FrameError, TooLarge
from coordnode.ids import Revision
from coordnode.limits import COMMAND_BYTES_MAX, FRAME_HEADER_BYTES, MIB
from coordnode.raft.messages import Message
from coordnode.services import commands
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    LevelAsk,
    ReadAsk,
    Reply,
    TransferAsk,
    UnwatchAsk,
    WatchAsk,
    WatchGap,
    WatchProgress,
    WatchPush,
    WriteAsk,
)
from coordnode.wire.frames import ANSWERS, ASKS, BODY_BYTES_MAX, JSON, MSGPACK, PEER, Frame, frame, header

ITEMS_MAX = 4096  # messages, asks or answers of one frame
CLIENT_BODY_BYTES_MAX = 4 * MIB  # of a frame from a client
assert 4 * COMMAND_BYTES_MAX // 3 < CLIENT_BODY_BYTES_MAX, "the largest command fits, in base64 too"
assert CLIENT_BODY_BYTES_MAX < BODY_BYTES_MAX
ASK_BYTES_MAX = CLIENT_BODY_BYTES_MAX - 64  # of one ask, in msgpack; what stands around it is less than that

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
S = TypeVar("S")
T = TypeVar("T")


class Asks(msgspec.Struct, frozen=True, array_like=True):
    """`patience_ms`: the client waits no longer than this from now; what could not begin by then is refused. 0: not said."""

    asks: Annotated[list[Ask], Meta(max_length=ITEMS_MAX)]
    patience_ms: Annotated[int, Meta(ge=0)] = 0


class JsonWriteAsk(msgspec.Struct, frozen=True, array_like=True, tag=1):
    request: int
    body: commands.ClientCommand


class JsonReadAsk(msgspec.Struct, frozen=True, array_like=True, tag=2):
    request: int
    body: commands.ReadOperation
    stale: bool = False
    min_revision: Revision = Revision(0)
    here: bool = False


class JsonReply(msgspec.Struct, frozen=True, array_like=True, tag=1):
    request: int
    index: int
    position: int
    result: commands.Result | None
    age_ms: int = 0


JsonAsk = JsonWriteAsk | JsonReadAsk | KeepAliveAsk | WatchAsk | UnwatchAsk | TransferAsk | ConfigAsk | LevelAsk
JsonAnswer = JsonReply | ErrorReply | KeepAliveReply | WatchPush | WatchGap | WatchProgress


class JsonAsks(msgspec.Struct, frozen=True, array_like=True):
    asks: Annotated[list[JsonAsk], Meta(max_length=ITEMS_MAX)]
    patience_ms: Annotated[int, Meta(ge=0)] = 0


_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_messages = msgspec.msgpack.Decoder(Annotated[list[Message], Meta(max_length=ITEMS_MAX)])
_asks = msgspec.msgpack.Decoder(Asks)
_answers = msgspec.msgpack.Decoder(Annotated[list[Answer], Meta(max_length=ITEMS_MAX)])
_json_asks = msgspec.json.Decoder(JsonAsks)
_json_answers = msgspec.json.Decoder(Annotated[list[JsonAnswer], Meta(max_length=ITEMS_MAX)])


# --- encoding: one frame where it fits, more where it does not ------------------------------------------------------


def encode_messages(messages: Sequence[Message]) -> list[bytearray]:
    return _encode_split(PEER, MSGPACK, messages, list)


def encode_asks(asks: Sequence[Ask], body_format: int, patience_ms: int = 0) -> list[bytearray]:
    if body_format == JSON:
        return _encode_split(
            ASKS, JSON, [_ask_to_json(ask) for ask in asks], lambda part: JsonAsks(list(part), patience_ms), CLIENT_BODY_BYTES_MAX
        )
    return _encode_split(ASKS, MSGPACK, asks, lambda part: Asks(list(part), patience_ms), CLIENT_BODY_BYTES_MAX)


def encode_answers(answers: Sequence[Answer], body_format: int) -> Sequence[bytes | bytearray]:
    if body_format == JSON:
        return _encode_split(ANSWERS, JSON, [_answer_to_json(answer) for answer in answers], list)
    if len(answers) <= ITEMS_MAX:
        body = _encoder.encode(answers)
        if len(body) <= BODY_BYTES_MAX:
            return [frame(ANSWERS, MSGPACK, body)]  # answers are small and many: one copy costs less than a view of one buffer
    return _encode_split(ANSWERS, MSGPACK, answers, list)


def _encode_split(
    kind: int, body_format: int, items: Sequence[T], wrap: Callable[[Sequence[T]], object], body_bytes_max: int = BODY_BYTES_MAX
) -> list[bytearray]:
    """Halves what is too large for one frame; raises TooLarge for a single item that is."""
    encoder = _json_encoder if body_format == JSON else _encoder
    frames: list[bytearray] = []
    parts = [items]
    while parts:
        part = parts.pop()
        if len(part) <= ITEMS_MAX:
            buffer = bytearray(FRAME_HEADER_BYTES)
            encoder.encode_into(wrap(part), buffer, FRAME_HEADER_BYTES)
            if len(buffer) <= FRAME_HEADER_BYTES + body_bytes_max:
                with memoryview(buffer) as view:
                    start = header(kind, body_format, view[FRAME_HEADER_BYTES:], len(buffer) - FRAME_HEADER_BYTES)
                buffer[:FRAME_HEADER_BYTES] = start
                frames.append(buffer)
                continue
        if len(part) == 1:
            raise TooLarge(f"one item of a frame of kind {kind} is larger than {body_bytes_max} bytes")
        middle = len(part) // 2
        parts.append(part[middle:])
        parts.append(part[:middle])
    return frames


# --- decoding ------------------------------------------------------------------------------------------------------


def decode_messages(frame: Frame) -> list[Message]:
    _expect(frame, PEER)
    if frame.format != MSGPACK:
        raise FrameError("members speak msgpack among themselves")
    return _decode(_messages.decode, frame)


def decode_asks(frame: Frame) -> tuple[list[Ask], int]:
    """The asks, and the client's patience in milliseconds (0: not said)."""
    _expect(frame, ASKS)
    if frame.format == JSON:
        received = _decode(_json_asks.decode, frame)
        return _convert(_ask_from_json, received.asks), received.patience_ms
    try:
        plain = _asks.decode(frame.body)
    except _UNREADABLE as error:
        raise _unreadable(frame, error) from None
    return plain.asks, plain.patience_ms


def decode_answers(frame: Frame) -> list[Answer]:
    _expect(frame, ANSWERS)
    if frame.format == JSON:
        return _convert(_answer_from_json, _decode(_json_answers.decode, frame))
    return _decode(_answers.decode, frame)


def _expect(frame: Frame, kind: int) -> None:
    if frame.kind != kind:
        raise FrameError(f"a frame of kind {frame.kind} where only kind {kind} makes sense")


def _decode(decode: Callable[[bytes], T], frame: Frame) -> T:
    try:
        return decode(frame.body)
    except _UNREADABLE as error:
        raise _unreadable(frame, error) from None


def _unreadable(frame: Frame, error: Exception) -> FrameError:
    return FrameError(f"a frame of kind {frame.kind} cannot be decoded: {error}")


def _convert(convert: Callable[[S], T], items: list[S]) -> list[T]:
    try:
        return [convert(item) for item in items]
    except OverflowError as error:
        raise FrameError(f"a number has no place in the log: {error}") from None


# --- the JSON shapes -----------------------------------------------------------------------------------------------


def _ask_to_json(ask: Ask) -> JsonAsk:
    if isinstance(ask, WriteAsk):
        return JsonWriteAsk(ask.request, commands.decode_client_command(ask.body))
    if isinstance(ask, ReadAsk):
        return JsonReadAsk(ask.request, commands.decode_read(ask.body), ask.stale, ask.min_revision, ask.here)
    return ask


def _ask_from_json(ask: JsonAsk) -> Ask:
    if isinstance(ask, JsonWriteAsk):
        return WriteAsk(ask.request, commands.encode(ask.body))
    if isinstance(ask, JsonReadAsk):
        return ReadAsk(ask.request, commands.encode(ask.body), ask.stale, ask.min_revision, ask.here)
    return ask


def _answer_to_json(answer: Answer) -> JsonAnswer:
    if not isinstance(answer, Reply):
        return answer
    result = commands.decode_result(answer.result) if answer.result else None
    return JsonReply(answer.request, answer.index, answer.position, result, answer.age_ms)


def _answer_from_json(answer: JsonAnswer) -> Answer:
    if not isinstance(answer, JsonReply):
        return answer
    result = b"" if answer.result is None else commands.encode(answer.result)
    return Reply(answer.request, answer.index, answer.position, result, answer.age_ms)
