"""Our connections to the other members: one each, opened by us, for what we send. Lost ones are opened again after a jittered pause.

Nothing is kept for a member that cannot be reached: raft sends again what matters.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from coordnode.errors import CoordError, FrameError, NotPermitted
from coordnode.ids import MemberId
from coordnode.net.clients import as_transport
from coordnode.net.door import Contacts, Ours, shown_contacts
from coordnode.net.limits import PEER_UNSENT_BYTES_MAX
from coordnode.net.sockets import PEER_UNACKNOWLEDGED_MS_MAX, tune
from coordnode.net.tls import check_member
from coordnode.raft.messages import Message
from coordnode.wire.bodies import encode_messages
from coordnode.wire.frames import MSGPACK, FrameReader
from coordnode.wire.hello import HELLO_BYTES_MAX, Hello, check_hello, decode_hello, encode_hello

DIAL_SECONDS_MAX = 2.0  # to a connection, and again to the other side's hello
PAUSE_SECONDS_MIN = 0.02  # before the first new attempt
PAUSE_SECONDS_MAX = 1.0


class Address(NamedTuple):
    host: str
    port: int


class PeerSink(Protocol):
    def on_peer_up(self, member: MemberId, build: str) -> None: ...

    def on_peer_lost(self, member: MemberId, why: str) -> None:
        """An established connection ended: a hint that the member may be gone."""

    def on_peer_refused(self, member: MemberId, why: str) -> None:
        """It answers, but will not have us, or is not who it should be. Told once until that changes."""


class PeerTraffic:
    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.dropped = 0  # messages: no connection, or too much unsent on it
        self.connected = 0


class Peers:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, ours: Ours, sink: PeerSink, contacts: Callable[[], Contacts], rng: random.Random
    ) -> None:
        self.loop = loop
        self.ours = ours
        self.sink = sink
        self.contacts = contacts  # told to the other side: one without state knows nobody
        self.rng = rng
        self.links: dict[MemberId, PeerLink] = {}
        self.traffic = PeerTraffic()

    def set_members(self, addresses: Mapping[MemberId, Address]) -> None:
        """Everyone to be connected to, without ourselves."""
        assert self.ours.member not in addresses
        for member in [member for member, link in self.links.items() if addresses.get(member) != link.address]:
            self.links.pop(member).close()
        for member, address in addresses.items():
            if member not in self.links:
                self.links[member] = PeerLink(self, member, address)

    def send(self, messages: Sequence[Message]) -> None:
        first = messages[0].target
        if all(message.target == first for message in messages):
            self._send_to(first, messages)
            return
        by_target: dict[MemberId, list[Message]] = {}
        for message in messages:
            by_target.setdefault(message.target, []).append(message)
        for target, group in by_target.items():
            self._send_to(target, group)

    def _send_to(self, target: MemberId, messages: Sequence[Message]) -> None:
        link = self.links.get(target)
        if link is None or not link.send(messages):
            self.traffic.dropped += len(messages)

    def is_connected(self, member: MemberId) -> bool:
        link = self.links.get(member)
        return link is not None and link.is_up()

    def poke(self, member: MemberId) -> None:
        """It is surely there now: a pause before the next attempt makes no sense any more."""
        link = self.links.get(member)
        if link is not None:
            link.try_now()

    def end_revoked(self) -> None:
        for link in self.links.values():
            link.maybe_end()

    def close(self) -> None:
        for link in self.links.values():
            link.close()
        self.links.clear()


class PeerLink:
    """Keeps a connection to one member, for as long as it is wanted."""

    def __init__(self, peers: Peers, member: MemberId, address: Address) -> None:
        self.member = member
        self.address = address
        self.build = ""  # of the other side, once connected
        self._peers = peers
        self._transport: asyncio.Transport | None = None  # set while both hellos are said
        self._pause_s = PAUSE_SECONDS_MIN
        self._refusal = ""
        self._wake = asyncio.Event()
        self._task = peers.loop.create_task(self._keep_connected())

    def is_up(self) -> bool:
        return self._transport is not None

    def check_believed(self, transport: asyncio.BaseTransport) -> None:
        if self._peers.ours.tls is not None:
            self._peers.ours.tls.check(transport)

    def maybe_end(self) -> None:
        """What it showed when the connection was made may have been revoked since."""
        if self._transport is not None:
            try:
                self.check_believed(self._transport)
            except NotPermitted:
                self._transport.abort()

    def send(self, messages: Sequence[Message]) -> bool:
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > PEER_UNSENT_BYTES_MAX:
            return False
        traffic = self._peers.traffic
        traffic.messages += len(messages)
        for frame in encode_messages(messages):
            traffic.bytes += len(frame)
            transport.write(frame)
        return True

    def try_now(self) -> None:
        self._pause_s = PAUSE_SECONDS_MIN
        self._wake.set()

    def close(self) -> None:
        self._task.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def _keep_connected(self) -> None:
        loop, ours = self._peers.loop, self._peers.ours
        while True:
            dialled = _Dialled(self)
            try:
                async with asyncio.timeout(DIAL_SECONDS_MAX):
                    await loop.create_connection(lambda dialled=dialled: dialled, self.address.host, self.address.port, ssl=ours.dialling())
                async with asyncio.timeout(DIAL_SECONDS_MAX):
                    await dialled.greeted
                await dialled.lost
            except CoordError as error:
                self._on_refused(error.sentence)
            except ssl.SSLError as error:
                self._on_refused(f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}")
            except socket.gaierror as error:
                self._on_refused(f"its name {self.address.host} is not found: {error.strerror or error}")
            except (OSError, TimeoutError):
                pass  # nobody is there: the usual reason to try again
            finally:
                dialled.abort()
            await self._pause()

    def _on_refused(self, why: str) -> None:
        if why != self._refusal:
            self._refusal = why
            self._peers.sink.on_peer_refused(self.member, why)

    async def _pause(self) -> None:
        pause_s = self._pause_s * self._peers.rng.uniform(0.5, 1.0)
        self._pause_s = min(self._pause_s * 2, PAUSE_SECONDS_MAX)
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()

    def on_greeted(self, transport: asyncio.Transport, build: str) -> None:
        self._transport = transport
        self.build = build
        self._pause_s = PAUSE_SECONDS_MIN
        self._refusal = ""
        self._peers.traffic.connected += 1
        self._peers.sink.on_peer_up(self.member, build)

    def on_lost(self, why: str) -> None:
        if self._transport is not None:
            self._transport = None
            self._peers.sink.on_peer_lost(self.member, why)

    def hello(self) -> Hello:
        ours = self._peers.ours
        return Hello(ours.cluster, ours.member, self.member, ours.boot, "", ours.build, shown_contacts(self._peers.contacts()))

    def check(self, hello: Hello) -> None:
        ours = self._peers.ours
        check_hello(hello, ours.cluster, ours.member)
        if hello.member != self.member:
            raise FrameError(f"{self.address.host}:{self.address.port} should be member {self.member}, but it is {hello.member}")


class _Dialled(asyncio.Protocol):
    """One attempt, and the connection if it succeeds."""

    def __init__(self, link: PeerLink) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._link = link
        self._reader = FrameReader(HELLO_BYTES_MAX)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = as_transport(transport)
        tune(transport, PEER_UNACKNOWLEDGED_MS_MAX)
        self._transport.write(encode_hello(self._link.hello(), MSGPACK))

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                hello = decode_hello(frame)
                if self.greeted.done():
                    raise FrameError("a member says hello once, and answers on its own connection")
                self._link.check(hello)
                assert self._transport is not None
                check_member(self._transport, hello.member)
                self._link.check_believed(self._transport)
                self.greeted.set_result(None)
                self._link.on_greeted(self._transport, hello.build)
        except CoordError as error:
            self._fail(error)

    def _fail(self, error: CoordError) -> None:
        future = self.lost if self.greeted.done() else self.greeted
        if not future.done():
            future.set_exception(error)
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        for future in (self.greeted, self.lost):
            future.cancel()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._link.on_lost(str(error) if error is not None else "the other side closed it")
        for future in (self.greeted, self.lost):
            if not future.done():
                future.set_exception(ConnectionResetError("the connection ended"))
                future.exception()  # looked at: it is not an error that nobody waits for this one
