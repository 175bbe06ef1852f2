"""The part of docs/protocol.md that a one-question client needs: frames with msgpack bodies, and what is inside them."""

from __future__ import annotations

import os
import time
from zlib import crc32

from coordctl.hot.msgpack import pack, unpack
from coordnode.errors import BY_CODE, CoordError, FrameError, Unknown, WrongCluster
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coordctl.hot.bare import socket
    from coordnode.client.tls import Secured

MAGIC, VERSION = 0xC5, 1
HELLO, ASKS, ANSWERS, REFUSAL = 1, 3, 4, 5
MSGPACK = 0
ANY_CLUSTER = 0
HEADER_BYTES, CHECKED_BYTES = 16, 12
BODY_BYTES_MAX = 16 * 1024 * 1024 - HEADER_BYTES
FIRST_BYTES_MAX = 4096  # a member takes no more from a stranger before it has answered the hello

WRITE, READ, KEEP_ALIVE, WATCH = 1, 2, 3, 4  # tags of asks
REPLY, ERROR, ALIVE, PUSH, GAP, PROGRESS = 1, 2, 3, 4, 5, 6  # tags of answers
DONE, GOT, PAGE, TRANSACTION_DONE, OPENED, FAILURE, SESSIONS = 1, 2, 3, 4, 5, 6, 7  # tags of results
LOCKS, ELECTIONS, GROUPS, SHARDS = 2, 3, 4, 6  # spaces of events, kinds of notices


def frame(kind: int, content: object) -> bytes:
    body = pack(content)
    start = bytes((MAGIC, VERSION, kind, MSGPACK)) + len(body).to_bytes(4) + crc32(body).to_bytes(4)
    return start + crc32(start).to_bytes(4) + body


def hello(identity: str, build: str, token: str, cluster: int = ANY_CLUSTER) -> bytes:
    """To whichever member is there; where it is of another cluster than this, nothing is read but this."""
    return frame(HELLO, [cluster, 0, 0, 0, identity, build, [], token] if token else [cluster, 0, 0, 0, identity, build])


def hello_of_follower(identity: str, build: str, token: str, cluster: int = ANY_CLUSTER) -> bytes:
    """Of one that stays: it understands a hello at any time, and gets one whenever contacts have changed."""
    return frame(HELLO, [cluster, 0, 0, 0, identity, build, [], token, None, True])


def cluster_of(hello: Sequence[Any], known: int) -> int:
    """Which one answers there. Raises WrongCluster where another one has answered before."""
    cluster = int(hello[0])
    if known not in (ANY_CLUSTER, cluster):
        raise WrongCluster(f"this is cluster {cluster}, not {known}: check the endpoints")
    return cluster


def new_request_id() -> str:
    """For a write that nobody named: sent again, it finds what became of it."""
    return f"coordctl-{os.urandom(12).hex()}"


def asks(asked: Sequence[Sequence[object]], patience_ms: int) -> bytes:
    """What is written or read is packed for itself: members pass it on as it is."""
    whole = [[*ask[:2], pack(ask[2]), *ask[3:]] if ask[0] in (WRITE, READ) else ask for ask in asked]
    return frame(ASKS, [whole, patience_ms])


def body_bytes(header: bytes) -> tuple[int, int]:
    """(kind, length of the body) of a header that was not damaged."""
    magic, version, kind, body_format = header[:4]
    length = int.from_bytes(header[4:8])
    if (magic, version) != (MAGIC, VERSION) or int.from_bytes(header[CHECKED_BYTES:]) != crc32(header[:CHECKED_BYTES]):
        raise FrameError("what answers there does not speak coordnode's protocol, version 1: check the endpoint")
    if body_format != MSGPACK or length > BODY_BYTES_MAX:
        raise FrameError(f"a frame of format {body_format} with {length} bytes was not asked for")
    return kind, length


def content(header: bytes, body: bytes) -> Any:
    """Results are unpacked, too; None: there is none."""
    if int.from_bytes(header[8:CHECKED_BYTES]) != crc32(body):
        raise FrameError("a frame was damaged on its way")
    found = unpack(body)
    if header[2] == ANSWERS:
        for answer in found:
            if answer[0] == REPLY:
                answer[4] = unpack(answer[4]) if answer[4] else None
    return found


def receive(connection: socket.socket | Secured, until: float) -> tuple[int, Any]:
    """(kind, content) of the next frame. Raises TimeoutError."""
    header = _exactly(connection, HEADER_BYTES, until)
    kind, length = body_bytes(header)
    return kind, content(header, _exactly(connection, length, until))


def _exactly(connection: socket.socket | Secured, count: int, until: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("hung up")
        parts += part
    return bytes(parts)


def error_of(code: int, sentence: str) -> CoordError:
    return BY_CODE.get(code, Unknown)(sentence)


def expect(result: Any, tag: int) -> None:
    if not result or result[0] != tag:
        raise Unknown("the member answered with something else; is its version the same as this one's?")
