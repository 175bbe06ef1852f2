"""Bad input of every kind, drawn from a seed. What a member of the cluster itself would have to say in bad faith is not among it."""

import random
from collections.abc import Callable

from coordnode.errors import CoordError
from coordnode.services.dialogue import ConfigAsk, LevelAsk, TransferAsk
from coordnode.wire import bodies
from coordnode.wire.frames import ASKS, JSON, MAGIC, MSGPACK, PEER, VERSION, Frame, frame
from coordnode.wire.hello import Hello, encode_hello
from tests.fuzz.mutate import mutated
from tests.unit.wire import samples

Make = Callable[[random.Random], bytes]

CLIENT = {one: encode_hello(Hello(0, 0, 0, 0, "stranger"), one) for one in (MSGPACK, JSON)}  # type: ignore[arg-type]
MEMBER = encode_hello(Hello(7, 9, 0, 1, ""), MSGPACK)  # type: ignore[arg-type]  # of no member that this cluster has

ASKED = [ask for ask in samples.ASKS if not isinstance(ask, ConfigAsk | LevelAsk | TransferAsk)]  # an operator's may be carried out
ASK_FRAMES = {one: [bytes(bodies.encode_asks([ask], one, 5)[0]) for ask in ASKED] for one in (MSGPACK, JSON)}
ASK_BODIES = {one: [data[16:] for data in ASK_FRAMES[one]] for one in (MSGPACK, JSON)}
PEER_FRAMES = [bytes(bodies.encode_messages([message])[0]) for message in samples.MESSAGES]
PEER_BODIES = [data[16:] for data in PEER_FRAMES]

REQUESTS = [
    b"GET /v1/kv/fuzz%2Fa?stale=false&min_revision=0 HTTP/1.1\r\nHost: h\r\nAccept: application/octet-stream\r\n\r\n",
    b"GET /v1/kv?prefix=fuzz&limit=10&keys_only=true&timeout_ms=500 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b'DELETE /v1/kv/fuzz HTTP/1.1\r\nHost: h\r\nIdempotency-Key: "k"\r\nCoord-Sequence: 1\r\n\r\n',
    b"PUT /v1/kv/fuzz?prev_revision=9&bound=false HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    b'{"value": "xy"}',
    b"POST /v1/transactions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 111\r\n\r\n"
    b'{"compares": [{"key": "a", "field": "version", "number": 9}], "then": [{"op": "put", "key": "b", "value": ""}]}',
    b"POST /v1/sessions/12/keep-alive?timeout_ms=500 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"GET /v1/watch?prefix=fuzz&from_revision=1&wait_ms=1 HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 3\r\n\r\n",
    b"GET /v1/members?prefix=fuzz&where=zone%3Deu,rack!%3D%C3%A4,up&limit=3 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /v1/queues/fuzz/tasks?state=delayed&after=0a1b&limit=2 HTTP/1.1\r\nHost: h\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    b"POST /v1/queues/fuzz/tasks HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
    b"GET /status HTTP/1.1\r\nHost: h\r\n\r\nGET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"HEAD /v1/openapi.json HTTP/1.0\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
]


def garbage(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 400))


def almost_a_frame(rng: random.Random) -> bytes:
    return bytes((MAGIC, VERSION)) + rng.randbytes(rng.randrange(400))


def cut_short(rng: random.Random) -> bytes:
    one = rng.choice((MSGPACK, JSON))
    whole = CLIENT[one] + rng.choice(ASK_FRAMES[one])
    return whole[: rng.randrange(1, len(whole))]


def bad_hello(rng: random.Random) -> bytes:
    return mutated(rng, [*CLIENT.values(), MEMBER]) or b"\0"


def damaged_asks(rng: random.Random) -> bytes:
    one = rng.choice((MSGPACK, JSON))
    return CLIENT[one] + mutated(rng, ASK_FRAMES[one])


def sealed_asks(rng: random.Random) -> bytes:
    """The checksums are right: what is wrong is inside."""
    one = rng.choice((MSGPACK, JSON))
    return CLIENT[one] + frame(ASKS, one, mutated(rng, ASK_BODIES[one]))


def damaged_messages(rng: random.Random) -> bytes:
    return MEMBER + mutated(rng, PEER_FRAMES)


def sealed_messages(rng: random.Random) -> bytes:
    """Of these, only what cannot be understood."""
    while True:
        body = mutated(rng, PEER_BODIES)
        try:
            bodies.decode_messages(Frame(PEER, MSGPACK, body))
        except CoordError:
            return MEMBER + frame(PEER, MSGPACK, body)


def bad_request(rng: random.Random) -> bytes:
    return mutated(rng, REQUESTS) or b"\0"


def cut_request(rng: random.Random) -> bytes:
    whole = rng.choice(REQUESTS)
    return whole[: rng.randrange(1, len(whole))]


FOR_EVERYONE: tuple[Make, ...] = (
    garbage,
    almost_a_frame,
    cut_short,
    bad_hello,
    damaged_asks,
    sealed_asks,
    damaged_messages,
    sealed_messages,
    bad_request,
    cut_request,
)
FOR_HTTP: tuple[Make, ...] = (garbage, bad_hello, bad_request, bad_request, cut_request)
