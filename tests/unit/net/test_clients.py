"""Back-pressure: a connection is not read while it has too much under way, and nobody holds more than the bounds say."""

import asyncio
from typing import cast

import pytest

from coordnode.errors import Disconnected
from coordnode.ids import Revision
from coordnode.net.clients import ClientLink, Clients
from coordnode.net.limits import (
    LINK_PENDING_BYTES_MAX,
    OUTSTANDING_MAX,
    PARTIAL_BYTES_ALL_MAX,
    PARTIAL_SECONDS_MAX,
    UNREAD_BYTES_ALL_MAX,
    UNREAD_BYTES_MAX,
    WATCHES_MAX,
    Limits,
)
from coordnode.raft.entry import Config
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    ErrorReply,
    ReadAsk,
    Reply,
    UnwatchAsk,
    WatchAsk,
    WatchGap,
    WatchPush,
    WriteAsk,
)
from coordnode.wire.bodies import CLIENT_BODY_BYTES_MAX, encode_asks
from coordnode.wire.frames import JSON, MSGPACK, PEER, FrameReader, frame
from tests.unit.net.fakes import FakeSink, FakeTransport


class Side:
    """One client's connection, from the client's side."""

    def __init__(self, clients: Clients, body_format: int = MSGPACK) -> None:
        self.transport = FakeTransport()
        self.link: ClientLink = clients.open(cast(asyncio.Transport, self.transport), FrameReader(), "me", body_format)
        self.format = body_format

    def say(self, *asks: Ask, patience_ms: int = 0) -> None:
        for part in encode_asks(asks, self.format, patience_ms):
            self.link.data_received(bytes(part))


@pytest.fixture
def sink() -> FakeSink:
    return FakeSink()


@pytest.fixture
def clients(sink: FakeSink) -> Clients:
    return Clients(sink, Limits(pending_bytes_max=16 * 1024 * 1024))


def reply(request: int) -> Reply:
    return Reply(request, 1, 0, b"")


def test_asks_go_in_and_answers_come_out(clients: Clients, sink: FakeSink) -> None:
    for body_format in (MSGPACK, JSON):
        side = Side(clients, body_format)
        side.say(UnwatchAsk(9), patience_ms=70)
        assert sink.opened[-1] == (side.link.connection, "me")
        assert sink.asks[-1] == (side.link.connection, UnwatchAsk(9))
        assert sink.patience_ms[-1] == 70
        clients.answer(side.link.connection, [reply(1), reply(2)])
        assert side.transport.answers() == [reply(1), reply(2)]
        side.link.connection_lost(None)
        assert sink.closed[-1] == side.link.connection
    clients.answer(side.link.connection, [reply(3)])  # gone: nobody hears it
    assert not clients.links


def test_a_connection_with_too_many_open_asks_is_not_read_until_half_are_answered(clients: Clients) -> None:
    side = Side(clients)
    side.say(*[WriteAsk(number, b"x") for number in range(OUTSTANDING_MAX - 1)])
    assert side.transport.reading
    side.say(WriteAsk(OUTSTANDING_MAX, b"x"))
    assert not side.transport.reading
    for number in range(OUTSTANDING_MAX // 2):
        clients.answer(side.link.connection, [reply(number)])
        assert not side.transport.reading
    clients.answer(side.link.connection, [ErrorReply(5000, 12, "", True)])
    assert side.transport.reading
    assert clients.traffic.pauses == 1


def test_the_same_for_bytes(clients: Clients) -> None:
    side = Side(clients)
    megabyte = bytes(1024 * 1024)
    for number in range(LINK_PENDING_BYTES_MAX // len(megabyte)):
        assert side.transport.reading
        side.say(WriteAsk(number, megabyte))
    assert not side.transport.reading
    for number in range(LINK_PENDING_BYTES_MAX // len(megabyte)):
        clients.answer(side.link.connection, [reply(number)])
    assert side.transport.reading
    assert (side.link.pending_bytes, clients.pending_bytes) == (0, 0)


def test_everybodys_bytes_together_are_bounded_and_let_go_in_order(clients: Clients) -> None:
    sides = [Side(clients) for _ in range(5)]
    block = bytes(4 * 1024 * 1024 - 1024 * 512)
    for side in sides:
        side.say(WriteAsk(1, block))
    assert [side.transport.reading for side in sides] == [True, True, True, True, False]
    for side in sides[:3]:
        clients.answer(side.link.connection, [reply(1)])
    assert all(side.transport.reading for side in sides)
    sides[3].link.connection_lost(None)
    clients.answer(sides[4].link.connection, [reply(1)])
    assert clients.pending_bytes == 0


def test_a_pipelining_client_that_never_stops_is_accounted_exactly(clients: Clients) -> None:
    side = Side(clients)
    side.say(WriteAsk(0, b"x" * 100))
    for number in range(2_000):
        side.say(WriteAsk(number + 1, b"x" * 100))
        clients.answer(side.link.connection, [reply(number)])
        assert side.link.outstanding == 1
        assert 0 < side.link.pending_bytes < 300
    assert side.transport.reading


def test_watches_are_no_open_asks_but_they_are_counted(clients: Clients) -> None:
    side = Side(clients)
    side.say(WatchAsk(1, b"a", b"", Revision(0)), WatchAsk(2, b"a", b"", Revision(0)), WriteAsk(3, b"x"))
    assert side.link.outstanding == 1
    clients.answer(side.link.connection, [WatchPush(1, [], Revision(1)), WatchGap(2, Revision(5))])
    assert (side.link.outstanding, side.link.watches) == (1, {1})
    clients.answer(side.link.connection, [ErrorReply(1, 10, "", True), reply(3)])
    assert (side.link.outstanding, side.link.watches) == (0, set())
    side.say(WatchAsk(1, b"a", b"", Revision(0)), UnwatchAsk(1))
    assert side.link.watches == set()
    for start in range(0, WATCHES_MAX, 2048):
        side.say(*[WatchAsk(number, b"a", b"", Revision(0)) for number in range(start, start + 2048)])
    assert not side.transport.closed
    side.say(WatchAsk(WATCHES_MAX + 1, b"a", b"", Revision(0)))
    assert "watches stand on this connection already" in side.transport.refusal()


def test_a_client_that_does_not_read_is_not_read_and_then_cut_off(clients: Clients) -> None:
    side = Side(clients)
    side.link.pause_writing()
    assert not side.transport.reading
    side.link.resume_writing()
    assert side.transport.reading
    side.link.pause_writing()
    side.transport.unread = UNREAD_BYTES_MAX
    clients.answer(side.link.connection, [WatchPush(1, [], Revision(1))])
    assert not side.transport.closed
    side.transport.unread += 1
    clients.answer(side.link.connection, [WatchPush(1, [], Revision(1))])
    assert side.transport.aborted
    assert clients.traffic.cut_off == 1


def test_of_many_slow_readers_the_slowest_goes_first(clients: Clients) -> None:
    sides = [Side(clients) for _ in range(9)]
    for side in sides:
        side.link.pause_writing()
        side.transport.unread = UNREAD_BYTES_ALL_MAX // 9
    clients.sweep(1.0)
    assert not any(side.transport.aborted for side in sides)
    sides[4].transport.unread += 1_000
    clients.sweep(1.0)
    assert [side.transport.aborted for side in sides] == [number == 4 for number in range(9)]


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (frame(PEER, MSGPACK, b"\x90"), "where only asks make sense"),
        (encode_asks([UnwatchAsk(1)], JSON)[0], "keeps the format of its hello"),
        (frame(3, MSGPACK, b"\xc1"), "cannot be decoded"),
        (b"\x00" * 20, "not coordnode's protocol"),
    ],
)
def test_what_makes_no_sense_ends_the_connection_with_a_sentence(clients: Clients, sink: FakeSink, sent: bytes, sentence: str) -> None:
    side = Side(clients)
    side.link.data_received(bytes(sent))
    assert sentence in side.transport.refusal()
    assert side.transport.closed
    side.link.data_received(bytes(encode_asks([UnwatchAsk(1)], MSGPACK)[0]))
    assert not sink.asks


def test_a_configuration_that_cannot_be_stored_never_reaches_the_replica(clients: Clients, sink: FakeSink) -> None:
    side = Side(clients, JSON)
    side.say(ConfigAsk(1, Config(voters=(2**70,))))  # type: ignore[arg-type]
    assert "a configuration cannot be stored" in side.transport.refusal()
    assert not sink.asks


def test_an_answer_that_does_not_fit_ends_the_connection_not_the_member(clients: Clients) -> None:
    side = Side(clients)
    clients.answer(side.link.connection, [cast(Answer, Reply(2**70, 1, 0, b""))])
    assert "an answer cannot be put into a frame" in side.transport.refusal()


def test_all_are_told_when_the_member_leaves(clients: Clients) -> None:
    sides = [Side(clients), Side(clients, JSON)]
    side = sides[0]
    side.say(ReadAsk(1, b""))
    clients.close_all(Disconnected("bye"))
    for side in sides:
        assert side.transport.refusal() == "bye"
        assert not side.transport.aborted


def part_of_a_frame(size: int) -> bytes:
    """All but the end of one."""
    whole = b"".join(bytes(part) for part in encode_asks([WriteAsk(1, bytes(size))], MSGPACK))
    return whole[:-1]


def test_frames_whose_end_does_not_come_have_a_bound_together(clients: Clients) -> None:
    size = CLIENT_BODY_BYTES_MAX - 1000
    sides = [Side(clients) for _ in range(PARTIAL_BYTES_ALL_MAX // size + 2)]
    for side in sides:
        side.link.data_received(part_of_a_frame(size - side.link.connection))
    clients.sweep(1.0)
    assert [side.transport.aborted for side in sides] == [True, True, *[False] * (len(sides) - 2)], "the largest first"
    assert "too many large frames" in sides[0].transport.refusal()


def test_a_frame_that_takes_too_long_is_not_waited_for(clients: Clients, sink: FakeSink) -> None:
    slow, steady = Side(clients), Side(clients)
    frames = b"".join(bytes(part) for part in encode_asks([ReadAsk(1, b"")], MSGPACK)) * 2
    for second in range(1, int(PARTIAL_SECONDS_MAX) + 1):
        slow.link.data_received(part_of_a_frame(1000)[second - 1 : second])
        steady.link.data_received(frames[:50] if second == 1 else frames[50:] + frames[:50])
        steady.link.answer([reply(1), reply(1)])
        clients.sweep(float(second))
        assert not slow.transport.aborted
    clients.sweep(PARTIAL_SECONDS_MAX + 1)
    assert slow.transport.aborted
    assert not steady.transport.aborted, "it is always in the middle of a frame, and never of the same"


def test_whoever_is_made_to_wait_is_not_late(clients: Clients) -> None:
    side = Side(clients)
    side.link.data_received(part_of_a_frame(1000))
    clients.sweep(1.0)
    side.link.pause_writing()
    clients.sweep(500.0)
    side.link.resume_writing()
    clients.sweep(510.0)
    assert not side.transport.aborted
    clients.sweep(500.0 + PARTIAL_SECONDS_MAX)
    assert side.transport.aborted
