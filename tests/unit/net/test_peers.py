"""Connections to other members, over real sockets: made, refused, lost, made again, and never a backlog."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from coordnode.ids import ClusterId, MemberId, Term
from coordnode.net.clients import Clients
from coordnode.net.door import Door, Ours
from coordnode.net.http import TEXT, HttpAnswer
from coordnode.net.limits import PEER_UNSENT_BYTES_MAX, Limits
from coordnode.net.peers import Address, Peers
from coordnode.raft.messages import HeartbeatReply, Message
from coordnode.wire.frames import MSGPACK
from coordnode.wire.hello import Hello, encode_hello
from tests.unit.net.fakes import FakeSink

HOST = "127.77.7.7"
CONTACTS = ((MemberId(1), "h1:1"), (MemberId(2), "h2:1"))


class Told:
    def __init__(self) -> None:
        self.up: list[int] = []
        self.lost: list[int] = []
        self.refused: list[str] = []

    def on_peer_up(self, member: MemberId, build: str) -> None:
        self.up.append(member)

    def on_peer_lost(self, member: MemberId, why: str) -> None:
        self.lost.append(member)

    def on_peer_refused(self, member: MemberId, why: str) -> None:
        self.refused.append(why)


class Other:
    """Member 2, listening."""

    def __init__(self, cluster: int = 77, member: int = 2) -> None:
        self.messages: list[Message] = []
        ours = Ours(ClusterId(cluster), MemberId(member), 1, "0.2")
        clients = Clients(FakeSink(), Limits())
        self.door = Door(ours, clients, self.messages.extend, tuple, lambda path: HttpAnswer(200, TEXT, b""), lambda: 0.0)
        self.server: asyncio.Server
        self.port = 0

    async def open(self) -> "Other":
        loop = asyncio.get_running_loop()
        self.door.is_closed = False  # its next life, with everything that listens at this one
        self.server = await loop.create_server(self.door.for_everyone, HOST, self.port, reuse_address=True)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self.server.close()
        self.door.close_all()
        await asyncio.sleep(0)


def heartbeat(number: int) -> HeartbeatReply:
    return HeartbeatReply(MemberId(1), MemberId(2), 1, Term(1), number, True, 1)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.002)


def run(story: Callable[[Peers, Told], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        told = Told()
        peers = Peers(asyncio.get_running_loop(), Ours(ClusterId(77), MemberId(1), 1, "0.1"), told, lambda: CONTACTS, random.Random(1))
        try:
            await story(peers, told)
        finally:
            peers.close()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_messages_arrive_and_a_lost_connection_is_made_again() -> None:
    async def story(peers: Peers, told: Told) -> None:
        other = await Other().open()
        heard: list[Hello] = []
        left: list[int] = []
        other.door.on_member = heard.append
        other.door.on_member_lost = left.append
        peers.set_members({MemberId(2): Address(HOST, other.port)})
        peers.send([heartbeat(0)])
        assert peers.traffic.dropped == 1
        await until(lambda: told.up)
        assert peers.links[MemberId(2)].build == "0.2"
        assert peers.is_connected(MemberId(2))
        assert other.door.is_connected(MemberId(1))
        assert not left
        assert [hello.contacts for hello in heard] == [CONTACTS]
        peers.send([heartbeat(1), heartbeat(2)])
        await until(lambda: len(other.messages) == 2)
        assert other.messages == [heartbeat(1), heartbeat(2)]
        await other.close()
        await until(lambda: told.lost)
        assert not peers.is_connected(MemberId(2))
        await until(lambda: left == [1])
        assert not other.door.is_connected(MemberId(1))
        peers.send([heartbeat(3)])
        assert peers.traffic.dropped == 2
        await other.open()
        peers.poke(MemberId(2))
        await until(lambda: len(told.up) == 2)
        peers.send([heartbeat(4)])
        await until(lambda: len(other.messages) == 3)
        await other.close()

    run(story)


def test_whoever_is_not_the_member_we_want_is_named_once() -> None:
    async def story(peers: Peers, told: Told) -> None:
        stranger = await Other(member=3).open()
        peers.set_members({MemberId(2): Address(HOST, stranger.port)})
        await until(lambda: told.refused)
        await until(lambda: stranger.door.refusals.get("WrongMember", 0) >= 3)
        assert told.refused == ["this is member 3, not 2: check which address belongs to which member"]
        assert not told.up
        await stranger.close()
        foreign = Other(cluster=78)
        foreign.port = stranger.port
        await foreign.open()
        await until(lambda: len(told.refused) == 2)
        assert "this is cluster 78, not 77" in told.refused[1]
        await foreign.close()

    run(story)


def test_a_name_that_is_not_found_is_told_once() -> None:
    async def story(peers: Peers, told: Told) -> None:
        peers.set_members({MemberId(2): Address("nowhere.invalid", 7001)})
        await until(lambda: told.refused)
        assert told.refused[0].startswith("its name nowhere.invalid is not found: ")

    run(story)


def test_members_come_and_go_with_the_configuration() -> None:
    async def story(peers: Peers, told: Told) -> None:
        other = await Other().open()
        peers.set_members({MemberId(2): Address(HOST, other.port), MemberId(3): Address(HOST, 1)})
        await until(lambda: told.up)
        link = peers.links[MemberId(2)]
        peers.set_members({MemberId(2): Address(HOST, other.port)})
        assert list(peers.links) == [2]
        assert peers.links[MemberId(2)] is link
        peers.set_members({})
        await until(lambda: not other.door.members)
        await other.close()

    run(story)


def test_what_a_member_does_not_take_is_dropped_and_not_kept() -> None:
    async def story(peers: Peers, told: Told) -> None:
        other = await Other().open()
        peers.set_members({MemberId(2): Address(HOST, other.port)})
        await until(lambda: told.up)
        await until(lambda: other.door.members)
        for member in other.door.members:
            member.transport.pause_reading()
        link = peers.links[MemberId(2)]
        assert link._transport is not None
        batch = [heartbeat(number) for number in range(4_000)]
        while not peers.traffic.dropped:
            peers.send(batch)
            assert link._transport.get_write_buffer_size() < PEER_UNSENT_BYTES_MAX + 1024 * 1024
        await other.close()

    run(story)


def test_a_listener_that_lies_about_the_cluster_gets_no_message() -> None:
    async def story(peers: Peers, told: Told) -> None:
        async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(encode_hello(Hello(ClusterId(78), MemberId(2), MemberId(1), 1, ""), MSGPACK))
            await reader.read()
            writer.close()

        server = await asyncio.start_server(lie, HOST, 0)
        peers.set_members({MemberId(2): Address(HOST, server.sockets[0].getsockname()[1])})
        await until(lambda: told.refused)
        assert told.refused == ["this is cluster 77, not 78: check the address and the cluster's name"]
        assert not told.up
        peers.send([heartbeat(1)])
        assert peers.traffic.dropped == 1
        server.close()

    run(story)
