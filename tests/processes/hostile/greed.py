"""One client that wants all there is, in each of the ways that we know of, as fast as a process can; until its input ends.

    python -m tests.processes.hostile.greed KIND MEMBER:PORT OWN-ADDRESS

It connects from an address of its own, so that members take it for somebody else than the others.
"""

import asyncio
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from coordnode.ids import Revision, SessionId
from coordnode.services.commands import ClientCommand, ClientOperation, Get, OpenSession, Put, Range, encode
from coordnode.services.dialogue import Ask, KeepAliveAsk, ReadAsk, WatchAsk, WriteAsk
from coordnode.wire.bodies import encode_asks
from coordnode.wire.frames import MSGPACK
from tests.processes.hostile.inputs import CLIENT

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024
HELLO = CLIENT[MSGPACK]
ASKS = 256  # of one frame
WATCHES = 1_000  # of one connection
HALVES = 1_000  # connections that say half of something
AT_ONCE = 64  # attempts to connect
REST_S = 0.05
RESET = struct.pack("ii", 1, 0)  # closing leaves nothing behind: no port that has to rest


def frames(asks: list[Ask]) -> bytes:
    return b"".join(bytes(part) for part in encode_asks(asks, MSGPACK))


def write(number: int, operation: ClientOperation) -> Ask:
    return WriteAsk(number, encode(ClientCommand(0, 0, 0, "", operation)))  # type: ignore[arg-type]


def always(data: bytes) -> Callable[[], Iterator[bytes]]:
    def again() -> Iterator[bytes]:
        while True:
            yield data

    return again


def puts() -> Iterator[bytes]:
    return always(frames([write(number, Put(b"greed/%d" % number, bytes(64))) for number in range(ASKS)]))()


def large_puts() -> Iterator[bytes]:
    return always(frames([write(1, Put(b"greed/large", bytes(MIB)))]))()


def gets() -> Iterator[bytes]:
    return always(frames([ReadAsk(number, encode(Get(b"greed/%d" % number))) for number in range(ASKS)]))()


def ranges() -> Iterator[bytes]:
    return always(frames([ReadAsk(number, encode(Range(b"", b""))) for number in range(ASKS)]))()


def watches() -> Iterator[bytes]:
    """Of everything: whatever anybody puts is told over each of them."""
    yield frames([WatchAsk(number, b"", b"", Revision(0)) for number in range(WATCHES)])


def sessions() -> Iterator[bytes]:
    rng = random.Random(1)
    while True:
        yield frames([write(number, OpenSession(rng.randbytes(16), 1_000)) for number in range(ASKS)])


def keep_alives() -> Iterator[bytes]:
    named = [SessionId(number) for number in range(1, 200)]
    return always(b"".join(frames([KeepAliveAsk(number, named)]) for number in range(ASKS)))()


def http_puts() -> Iterator[bytes]:
    return always(b"PUT /v1/kv/greed HTTP/1.1\r\nHost: h\r\nContent-Length: 64\r\n\r\n%b" % bytes(64) * 64)()


def http_ranges() -> Iterator[bytes]:
    return always(b"GET /v1/kv?prefix= HTTP/1.1\r\nHost: h\r\n\r\n" * 64)()


class Pouring(NamedTuple):
    """Says something without end."""

    connections: int
    first: bytes
    then: Callable[[], Iterator[bytes]]
    is_reading: bool = True


class Knocking(NamedTuple):
    """Connects without end; `kept`: so many connections stay, each with half of something said."""

    kept: int
    half: bytes = b""


KINDS: dict[str, Pouring | Knocking] = {
    "puts": Pouring(1, HELLO, puts),
    "puts on 100 connections": Pouring(100, HELLO, puts),
    "puts of 1 MiB": Pouring(4, HELLO, large_puts),
    "gets": Pouring(1, HELLO, gets),
    "huge ranges": Pouring(1, HELLO, ranges),
    "huge ranges, not read": Pouring(8, HELLO, ranges, is_reading=False),
    "16,000 watches of everything": Pouring(16, HELLO, watches),
    "sessions": Pouring(1, HELLO, sessions),
    "keep-alives": Pouring(1, HELLO, keep_alives),
    "HTTP puts": Pouring(16, b"", http_puts),
    "HTTP huge ranges": Pouring(16, b"", http_ranges),
    "half a hello": Knocking(HALVES, HELLO[:10]),
    "half an HTTP request": Knocking(HALVES, b"GET /v1/kv/a HT"),
    "connections that say nothing": Knocking(HALVES),
    "connections, at once closed": Knocking(0),
}


@cache
def tell_connected() -> None:
    """Once."""
    print("connected", flush=True)


class _Pour(asyncio.Protocol):
    def __init__(self, how: Pouring) -> None:
        self._how = how
        self._said = how.then()
        self._transport: asyncio.Transport
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=MIB)
        if not self._how.is_reading:
            transport.pause_reading()
        transport.write(self._how.first)
        self._go_on()

    def _go_on(self) -> None:
        """One piece in a turn of the loop, so that each connection has its turn."""
        data = next(self._said, None)
        if data is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() <= MIB:
                asyncio.get_running_loop().call_soon(self._go_on)

    def resume_writing(self) -> None:
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def pour(how: Pouring, address: tuple[str, int], own: str) -> None:
    async def one() -> None:
        while True:
            try:
                _, said = await asyncio.get_running_loop().create_connection(lambda: _Pour(how), *address, local_addr=(own, 0))
                tell_connected()
                await said.over
            except OSError:
                await asyncio.sleep(REST_S)

    await asyncio.gather(*(one() for _ in range(how.connections)))


async def knock(how: Knocking, address: tuple[str, int], own: str) -> None:
    loop = asyncio.get_running_loop()
    kept: list[socket.socket] = []

    async def one() -> None:
        while True:
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            try:
                sock.bind((own, 0))
                await loop.sock_connect(sock, address)
                if how.half:
                    await loop.sock_sendall(sock, how.half)
                kept.append(sock)
                tell_connected()
            except OSError:
                sock.close()
                await asyncio.sleep(REST_S)
            while len(kept) > how.kept:
                kept.pop(0).close()

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


class Greed:
    """Such a client in a process of its own, from its first connection on."""

    def __init__(self, kind: str, address: str, own: str, *, nice: int = 0) -> None:
        self._command = ["nice", "-n", str(nice), sys.executable, "-m", "tests.processes.hostile.greed", kind, address, own]
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Greed":
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"connected\n"
        return self

    def is_running(self) -> bool:
        return self._process.poll() is None

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


async def main(kind: str, address: str, own: str) -> None:
    host, _, port = address.rpartition(":")
    how = KINDS[kind]
    work = pour(how, (host, int(port)), own) if isinstance(how, Pouring) else knock(how, (host, int(port)), own)
    task = asyncio.ensure_future(work)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
