"""The table of decoders: what each is fed with, and how."""

from collections.abc import Callable
from zlib import crc32

from coordnode.checking.reading import parse_history
from coordnode.ids import ClusterId, MemberId
from coordnode.raft.entry import decode_config, encode_config
from coordnode.services import commands
from coordnode.storage import record
from coordnode.storage.block import Identity, seal, unseal
from coordnode.wire import bodies, hello
from coordnode.wire.frames import ANSWERS, ASKS, HELLO, JSON, MSGPACK, PEER, Frame, FrameReader
from tests.fuzz.files import FILES
from tests.fuzz.http import HTTP
from tests.fuzz.tools import TOOLS
from tests.unit.wire import samples

Decoder = tuple[list[bytes], Callable[[bytes], object]]

SEED = record.segment_seed(1, 1)
MAGIC = b"coordtst"

HISTORIES = [
    b'{"history": 1, "model": "register"}\n'
    b'{"process": 0, "type": "invoke", "f": "write", "value": 1}\n{"process": 0, "type": "ok", "f": "write", "value": 1}\n',
    b'[{"process": 0, "type": "invoke", "f": "cas", "value": [1, 2]}, {"process": 0, "type": "info", "f": "cas", "value": [1, 2]}]',
    b"[{:process 0, :type :invoke, :f :read, :value nil}\n {:process 0, :type :ok, :f :read, :value 4}]",
    b"INFO  jepsen.util - 3\t:invoke\t:write\t3\nINFO  jepsen.util - 3\t:ok\t:write\t3\n",
]


def in_body(kind: int, body_format: int, decode: Callable[[Frame], object]) -> Callable[[bytes], object]:
    """Mutations of the body alone: the frame's checksums would hide them from the decoder."""
    return lambda data: decode(Frame(kind, body_format, data))


def bodies_of(frames: list[bytearray]) -> list[bytes]:
    return [one.body for one in FrameReader().feed(b"".join(frames))]


def one_by_one(kind: int, body_format: int) -> list[bytes]:
    if kind == PEER:
        return bodies_of([bodies.encode_messages([message])[0] for message in samples.MESSAGES])
    if kind == ASKS:
        return bodies_of([bodies.encode_asks([ask], body_format, 5)[0] for ask in samples.ASKS])
    return bodies_of([bodies.encode_answers([answer], body_format)[0] for answer in samples.ANSWERS])


def feed(data: bytes) -> object:
    """Whole and in two pieces; both must come to the same end."""
    reader = FrameReader()
    middle = len(data) // 2
    return reader.feed(data[:middle]) + reader.feed(data[middle:])


def records() -> list[bytes]:
    data = samples.BATCH_BYTES
    entry = record.encode_record(SEED, record.ENTRY, 0, 3, 8, 99, 5, data, crc32(data)) + data
    meta = record.encode_meta(samples.META)
    reset = record.encode_record(SEED, record.RESET, 0, 3, 70, 99, 5, meta, crc32(meta)) + meta
    return [record.encode_batch(SEED, 5, 8, 99, 4096, len(entry)), *[one + bytes(-len(one) & 7) for one in (entry, reset)]]


DECODERS: dict[str, Decoder] = {
    "frames": ([bytes(b"".join(bodies.encode_asks(samples.ASKS, JSON))), hello.encode_hello(samples.HELLO, MSGPACK)], feed),
    "hello": (bodies_of([bytearray(hello.encode_hello(samples.HELLO, MSGPACK))]), in_body(HELLO, MSGPACK, hello.decode_hello)),
    "hello-json": (bodies_of([bytearray(hello.encode_hello(samples.HELLO, JSON))]), in_body(HELLO, JSON, hello.decode_hello)),
    "messages": (one_by_one(PEER, MSGPACK), in_body(PEER, MSGPACK, bodies.decode_messages)),
    "asks": (one_by_one(ASKS, MSGPACK), in_body(ASKS, MSGPACK, bodies.decode_asks)),
    "asks-json": (one_by_one(ASKS, JSON), in_body(ASKS, JSON, bodies.decode_asks)),
    "answers": (one_by_one(ANSWERS, MSGPACK), in_body(ANSWERS, MSGPACK, bodies.decode_answers)),
    "answers-json": (one_by_one(ANSWERS, JSON), in_body(ANSWERS, JSON, bodies.decode_answers)),
    "commands": (samples.COMMANDS, commands.decode_client_command),
    "reads": (samples.READS, commands.decode_read),
    "results": ([commands.encode(result) for result in samples.RESULTS], commands.decode_result),
    "batches": ([samples.BATCH_BYTES], commands.decode_batch),
    "configs": ([encode_config(samples.CONFIG_OF_THREE)], decode_config),
    "records": (records(), lambda data: record.decode_record(data, 0, len(data), SEED)),
    "snapshot-meta": ([record.encode_meta(samples.META)], record.decode_meta),
    "blocks": ([seal(MAGIC, Identity(ClusterId(7), MemberId(8)), b"body")], lambda data: unseal(MAGIC, data, "a file")),
    "histories": (HISTORIES, parse_history),
    **FILES,
    **HTTP,
    **TOOLS,
}
SLOW = {"playbooks": 20}  # takes so many times as long as the others: the parser of YAML is Python's
