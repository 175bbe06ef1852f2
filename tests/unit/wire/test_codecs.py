"""Whatever value its type allows comes out of a codec as it went in; cut anywhere, it is refused by name."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, get_args
from zlib import crc32

import msgspec
import pytest
from msgspec import inspect

from coordnode.errors import CoordError
from coordnode.ids import ClusterId, MemberId, Term
from coordnode.raft.blobs import Blob, decode_list, encode_lists
from coordnode.raft.entry import Config, HardState, SnapshotMeta, decode_config, encode_config
from coordnode.raft.messages import Message
from coordnode.services import commands
from coordnode.services.dialogue import Answer, Ask, ReadAsk, Reply, WriteAsk
from coordnode.storage.block import Identity
from coordnode.storage.hard_state import Copy, decode_copy, encode_copy
from coordnode.storage.mark import Mark, decode_mark, encode_mark
from coordnode.storage.record import ENTRY, decode_meta, decode_record, encode_meta, encode_record, segment_seed
from coordnode.wire import bodies
from coordnode.wire.frames import ANSWERS, ASKS, JSON, MSGPACK, PEER, Frame, FrameReader

ROUNDS = 300
CUTS = 12  # of each value, beside those near its ends
OURS = Identity(ClusterId(77), MemberId(7))
SEED = segment_seed(1, 1)
NUMBERS = (0, 1, 23, 127, 128, 255, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1)
TEXTS = ("", "a", "é" * 40, '\x00\n"', "🔑", "x" * 300)


def drawn(rng: Random, kind: inspect.Type, depth: int = 0) -> Any:
    """A value of that type."""
    match kind:
        case inspect.IntType():
            return rng.choice(NUMBERS)
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.StrType():
            return rng.choice(TEXTS)
        case inspect.BytesType():
            return rng.randbytes(rng.choice((0, 1, 5, 300)))
        case inspect.NoneType():
            return None
        case inspect.LiteralType():
            return rng.choice(kind.values)
        case inspect.ListType():
            return [drawn(rng, kind.item_type, depth + 1) for _ in range(rng.choice((0, 1, 3)) if depth < 4 else 0)]
        case inspect.VarTupleType():
            return tuple(drawn(rng, kind.item_type, depth + 1) for _ in range(rng.choice((0, 1, 3)) if depth < 4 else 0))
        case inspect.TupleType():
            return tuple(drawn(rng, item, depth + 1) for item in kind.item_types)
        case inspect.UnionType():
            return drawn(rng, rng.choice(kind.types), depth + 1)
        case inspect.StructType():
            return kind.cls(**{field.name: drawn(rng, field.type, depth + 1) for field in kind.fields})
        case inspect.CustomType() if kind.cls is msgspec.Raw:
            return msgspec.Raw(msgspec.msgpack.encode(rng.choice(NUMBERS)))
    raise AssertionError(f"no values of {kind} are known")


def drawer(kind: Any) -> Callable[[Random], Any]:
    known = inspect.type_info(kind)
    return lambda rng: drawn(rng, known)


def one_of(union: Any) -> Callable[[Random], Any]:
    """Each member of the union as often as the others."""
    drawers = [drawer(kind) for kind in get_args(union)]
    return lambda rng: rng.choice(drawers)(rng)


class Codec(NamedTuple):
    draw: Callable[[Random], Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


command, read, result = drawer(commands.ClientCommand), one_of(commands.ReadOperation), one_of(commands.Result)


def draw_ask(rng: Random) -> Any:
    """What is spliced through is a command or a read, whole."""
    ask = one_of(Ask)(rng)
    if isinstance(ask, WriteAsk):
        return msgspec.structs.replace(ask, body=commands.encode(command(rng)))
    return msgspec.structs.replace(ask, body=commands.encode(read(rng))) if isinstance(ask, ReadAsk) else ask


def draw_answer(rng: Random) -> Any:
    answer = one_of(Answer)(rng)
    return msgspec.structs.replace(answer, result=commands.encode(result(rng))) if isinstance(answer, Reply) else answer


def body(frames: Sequence[bytes | bytearray]) -> bytes:
    (one,) = FrameReader().feed(b"".join(frames))
    return one.body


def asks(body_format: int) -> Codec:
    return Codec(
        draw_ask,
        lambda ask: body(bodies.encode_asks([ask], body_format)),
        lambda data: bodies.decode_asks(Frame(ASKS, body_format, data))[0][0],
    )


def answers(body_format: int) -> Codec:
    return Codec(
        draw_answer,
        lambda answer: body(bodies.encode_answers([answer], body_format)),
        lambda data: bodies.decode_answers(Frame(ANSWERS, body_format, data))[0],
    )


def record(data: bytes) -> bytes:
    return encode_record(SEED, ENTRY, 0, 3, 8, 99, 5, data, crc32(data)) + data + bytes(-len(data) & 7)


NUMBER = drawer(int)
CODECS = {
    "commands": Codec(command, commands.encode, commands.decode_client_command),
    "reads": Codec(read, commands.encode, commands.decode_read),
    "results": Codec(result, commands.encode, commands.decode_result),
    "notices": Codec(one_of(commands.Notice), commands.encode, commands.decode_notice),
    "batches": Codec(drawer(commands.Batch), commands.encode, commands.decode_batch),
    "messages": Codec(
        one_of(Message),
        lambda message: body(bodies.encode_messages([message])),
        lambda data: bodies.decode_messages(Frame(PEER, MSGPACK, data))[0],
    ),
    "asks": asks(MSGPACK),
    "asks in JSON": asks(JSON),
    "answers": answers(MSGPACK),
    "answers in JSON": answers(JSON),
    "configs": Codec(drawer(Config), encode_config, decode_config),
    "metas": Codec(drawer(SnapshotMeta), encode_meta, decode_meta),
    "blobs": Codec(drawer(list[Blob]), lambda blobs: b"".join(encode_lists(blobs or [Blob(1, 2, 3)])), lambda data: decode_list(data)[0]),
    "records": Codec(drawer(bytes), record, lambda data: decode_record(data, 0, len(data), SEED).data),
    "marks": Codec(
        lambda rng: (NUMBER(rng), Mark(*(NUMBER(rng) for _ in Mark._fields))),
        lambda value: encode_mark(OURS, *value),
        lambda data: decode_mark(data, "mark", OURS),
    ),
    "hard states": Codec(
        lambda rng: Copy(NUMBER(rng), HardState(Term(NUMBER(rng)), MemberId(NUMBER(rng)), NUMBER(rng), rng.random() < 0.5)),
        lambda copy: encode_copy(OURS, copy),
        lambda data: decode_copy(data, "hard state", OURS),
    ),
}


@pytest.mark.parametrize("name", CODECS)
def test_any_value_comes_out_as_it_went_in(name: str) -> None:
    codec = CODECS[name]
    rng = Random(name)
    for _ in range(ROUNDS):
        value = codec.draw(rng)
        data = codec.encode(value)
        again = codec.decode(data)
        assert again == value or not value
        assert codec.encode(again) == data


@pytest.mark.parametrize("name", CODECS)
def test_what_is_cut_anywhere_is_refused_by_name(name: str) -> None:
    codec = CODECS[name]
    rng = Random(name)
    for _ in range(ROUNDS):
        data = codec.encode(codec.draw(rng)).rstrip(b"\0") if name == "records" else codec.encode(codec.draw(rng))
        for end in {0, 1, len(data) - 1, *(rng.randrange(len(data)) for _ in range(CUTS))}:
            if end < len(data):
                with pytest.raises(CoordError):
                    codec.decode(data[:end])
