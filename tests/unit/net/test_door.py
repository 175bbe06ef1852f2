"""Who is there: clients, members, browsers, and those who are refused by name."""

import asyncio
from typing import cast

import pytest
from msgspec import structs

from coordnode.ids import MemberId, Term
from coordnode.net.clients import ClientLink, Clients
from coordnode.net.door import TOLD_PER_TICK, Door, Ours, together
from coordnode.net.http_link import HttpLink
from coordnode.net.limits import HELLO_SECONDS_MAX, MEMBERS_MAX, Limits
from coordnode.net.members import MemberLink
from coordnode.raft.messages import HeartbeatReply, Message
from coordnode.services.callers import Caller
from coordnode.services.dialogue import UnwatchAsk
from coordnode.wire.bodies import encode_asks, encode_messages
from coordnode.wire.frames import JSON, MSGPACK, frame
from coordnode.wire.hello import Hello, decode_hello, encode_hello
from tests.unit.net.fakes import FakeHandler, FakeSink, FakeTransport

GET = b"GET / HTTP/1.1\r\n\r\n"
CONTACTS = ((MemberId(1), "h1:1"), (MemberId(2), "h2:1"))


class House:
    def __init__(self, connections_max: int = 10, strangers_max: int = 100) -> None:
        self.sink = FakeSink()
        self.now = 0.0
        self.messages: list[Message] = []
        self.clients = Clients(self.sink, Limits(connections_max=connections_max, strangers_max=strangers_max))
        self.contacts: tuple[tuple[MemberId, str], ...] = CONTACTS
        ours = Ours(77, MemberId(1), 4, "0.1")  # type: ignore[arg-type]
        self.door = Door(ours, self.clients, self.messages.extend, lambda: self.contacts, FakeHandler(), lambda: self.now)

    def knock(self, *data: bytes, http_only: bool = False) -> FakeTransport:
        transport = FakeTransport()
        stranger = self.door.for_http() if http_only else self.door.for_everyone()
        transport.protocol = stranger
        stranger.connection_made(cast(asyncio.BaseTransport, transport))
        for part in data:
            cast(asyncio.Protocol, transport.protocol).data_received(part)
        return transport


def hello(cluster: int = 77, member: int = 0, target: int = 0, boot: int = 0) -> Hello:
    return Hello(cluster, member, target, boot, "me")  # type: ignore[arg-type]


def test_a_client_is_greeted_with_everyones_contacts_and_may_ask_in_the_same_breath() -> None:
    house = House()
    sent = encode_hello(hello(), JSON) + bytes(encode_asks([UnwatchAsk(3)], JSON)[0])
    for parts in ([sent], [sent[number : number + 1] for number in range(len(sent))]):
        transport = house.knock(*parts)
        greeting = decode_hello(transport.frames()[0])
        assert (greeting.cluster, greeting.member, greeting.boot, greeting.contacts) == (77, 1, 4, CONTACTS)
        assert isinstance(transport.protocol, ClientLink)
        assert house.sink.opened[-1][1] == Caller("me", place="127.0.0.1:4000")
        assert house.sink.asks.pop() == (transport.protocol.connection, UnwatchAsk(3))
    assert not house.door.strangers


def test_clients_that_follow_contacts_are_told_of_others_a_few_hundred_in_a_tick() -> None:
    house = House(connections_max=TOLD_PER_TICK + 10, strangers_max=TOLD_PER_TICK + 10)
    following = [house.knock(encode_hello(structs.replace(hello(), follows=True), MSGPACK)) for _ in range(TOLD_PER_TICK + 1)]
    in_json = house.knock(encode_hello(structs.replace(hello(), follows=True), JSON))
    older = house.knock(encode_hello(hello(), MSGPACK))
    everybody = [*following, in_json, older]
    assert [len(transport.frames()) for transport in everybody] == [1] * len(everybody)
    house.contacts = (*CONTACTS, (MemberId(3), "h3:1"))
    house.door.on_contacts()
    cast(asyncio.Protocol, following[0].protocol).connection_lost(None)
    told: list[list[Hello]] = []
    for _ in range(3):
        house.door.sweep()
        told.append([decode_hello(one) for transport in everybody for one in transport.frames()])
        house.door.on_contacts()  # they are the same
    assert [len(hellos) for hellos in told] == [TOLD_PER_TICK - 1, 2, 0]
    for again in (told[0][0], *told[1]):
        assert (again.cluster, again.member, again.boot, again.contacts) == (77, 1, 4, house.contacts)


def test_a_hello_always_fits_whatever_the_contacts_are() -> None:
    house = House()
    house.contacts = tuple((MemberId(number), "x" * 300) for number in range(100))
    greeting = decode_hello(house.knock(encode_hello(hello(), MSGPACK)).frames()[0])
    assert 1 < len(greeting.contacts) < 10


def test_a_member_is_greeted_and_its_messages_arrive() -> None:
    house = House()
    there: list[Hello] = []
    house.door.on_member = there.append
    transport = house.knock(encode_hello(hello(member=2, target=1, boot=3), MSGPACK))
    assert [hello.member for hello in there] == [2]
    assert decode_hello(transport.frames()[0]).contacts == CONTACTS
    link = transport.protocol
    assert isinstance(link, MemberLink)
    good = HeartbeatReply(MemberId(2), MemberId(1), 3, Term(1), 0, True, 1)
    link.data_received(bytes(encode_messages([good])[0]))
    assert house.messages == [good]
    forged = HeartbeatReply(MemberId(3), MemberId(1), 3, Term(1), 0, True, 1)
    link.data_received(bytes(encode_messages([good, forged])[0]))
    assert house.messages == [good]
    assert "sent a message from 3 to 1" in transport.refusal()
    link.connection_lost(None)
    assert not house.door.members


def test_http_is_told_by_its_first_byte() -> None:
    house = House()
    transport = house.knock(b"G", b"ET /x HTTP/1.1\r\n\r\n")
    assert bytes(transport.written).endswith(b"/x")
    assert isinstance(transport.protocol, HttpLink)
    assert len(house.door.https.links) == 1
    transport.protocol.connection_lost(None)
    assert not house.door.https.links
    transport = house.knock(encode_hello(hello(), MSGPACK), http_only=True)
    assert isinstance(transport.protocol, HttpLink)


@pytest.mark.parametrize(
    ("sent", "sentence", "error"),
    [
        (encode_hello(hello(cluster=78), MSGPACK), "this is cluster 77, not 78", "WrongCluster"),
        (encode_hello(hello(cluster=0, member=2), MSGPACK), "this is cluster 77", "WrongCluster"),
        (encode_hello(hello(target=2), JSON), "this is member 1, not 2", "WrongMember"),
        (encode_hello(hello(member=1, target=1), MSGPACK), "a copied folder is running somewhere", "WrongMember"),
        (encode_hello(hello(member=2, target=1), JSON), "members speak msgpack", "FrameError"),
        (frame(3, MSGPACK, b"\x92\x90\x00"), "must be a hello", "FrameError"),
        (frame(1, MSGPACK, b"\x90"), "cannot be decoded", "FrameError"),
        (frame(3, MSGPACK, bytes(5000)), "4096 are accepted here", "FrameError"),
        (b"\xc5\x02", "wire version 2", "UnknownVersion"),
        (b"\x16\x03\x01", "the first byte is 0x16", "FrameError"),
    ],
)
def test_who_does_not_belong_here_is_refused_by_name(sent: bytes, sentence: str, error: str) -> None:
    house = House()
    transport = house.knock(sent)
    assert sentence in transport.refusal()
    assert transport.closed
    assert house.door.refusals == {error: 1}
    assert not house.door.strangers
    assert not house.sink.opened


def test_who_says_nothing_in_time_is_sent_away() -> None:
    house = House()
    first = house.knock()
    house.now = HELLO_SECONDS_MAX / 2
    second = house.knock(b"\xc5\x01")
    house.now = HELLO_SECONDS_MAX
    house.door.sweep()
    assert "no hello within" in first.refusal()
    assert not second.closed
    house.now *= 2
    house.door.sweep()
    assert second.closed
    assert house.door.refusals == {"TimedOut": 2}


def test_a_full_house_says_so_in_the_words_of_whoever_knocks() -> None:
    house = House(connections_max=2)
    client = house.knock(encode_hello(hello(), MSGPACK))
    house.knock(GET)
    for body_format in (MSGPACK, JSON):
        assert "2 connections are open already" in house.knock(encode_hello(hello(), body_format)).refusal()
    assert bytes(house.knock(GET).written).startswith(b"HTTP/1.1 503 ")
    assert house.door.refusals == {"Overloaded": 3}
    cast(ClientLink, client.protocol).connection_lost(None)
    assert not house.knock(encode_hello(hello(), MSGPACK)).closed


def test_no_number_of_clients_or_strangers_keeps_members_apart() -> None:
    house = House(connections_max=1, strangers_max=2)
    house.knock(GET)
    first, second = house.knock(), house.knock(b"\xc5")
    member = house.knock(encode_hello(hello(member=2), MSGPACK))
    assert isinstance(member.protocol, MemberLink)
    assert "2 newer connections" in first.refusal()
    assert not second.closed
    assert len(house.door.strangers) == 1


def test_the_newest_connections_of_a_member_count() -> None:
    house = House()
    lost: list[int] = []
    house.door.on_member_lost = lost.append
    knocks = [house.knock(encode_hello(hello(member=2), MSGPACK)) for _ in range(4)]
    assert [knock.closed for knock in knocks] == [True, True, False, False]
    assert "newer connection" in knocks[0].refusal()
    for knock in knocks[:2]:
        cast(MemberLink, knock.protocol).connection_lost(None)
    assert house.door.is_connected(MemberId(2))
    for number in range(100):
        house.knock(encode_hello(hello(member=100 + number), MSGPACK))
    assert sum(not knock.closed for knock in knocks) == 0
    closed = [link for link in house.door.members if cast(FakeTransport, link.transport).closed]
    assert len(house.door.members) - len(closed) <= MEMBERS_MAX


def test_who_is_late_on_the_port_for_http_is_told_in_http() -> None:
    house = House()
    transport = house.knock(http_only=True)
    house.now += HELLO_SECONDS_MAX
    house.door.sweep()
    assert bytes(transport.written).startswith(b"HTTP/1.1 408 ")


def test_leaving_closes_everything() -> None:
    house = House()
    transports = [house.knock(), house.knock(b"GET "), house.knock(encode_hello(hello(member=2), MSGPACK))]
    house.door.close_all()
    assert all(transport.closed for transport in transports)


def test_whoever_comes_after_the_door_is_closed_is_not_let_in() -> None:
    """The loop may run on, for the next life of this member: a connection with this one would be heard by nobody."""
    house = House()
    before = house.knock()
    house.door.close_all()
    assert before.aborted
    after = house.knock(encode_hello(hello(member=2, target=1, boot=3), MSGPACK))
    assert after.aborted
    assert not after.written
    assert not house.door.members
    assert not house.door.strangers


def test_contacts_that_several_told_come_together_the_newest_first_and_are_bounded() -> None:
    one, two = MemberId(1), MemberId(2)
    assert together((), ((one, "a:1"),)) == ((one, "a:1"),)
    assert together(((two, "b:1"), (one, "c:1")), ((one, "a:1"),)) == ((two, "b:1"), (one, "c:1"))
    many = tuple((MemberId(number), "a:1") for number in range(1, MEMBERS_MAX + 9))
    assert len(together(many, ((MemberId(900), "z:1"),))) == MEMBERS_MAX
