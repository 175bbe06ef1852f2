"""Back-pressure: a connection is not read while it has too much under way, and nobody holds more than the bounds say."""

import asyncio
from typing import cast

import pytest

from coordnode.errors import Disconnected
from coordnode.ids import Revision, SessionId
from coordnode.net.clients import ClientLink, Clients
from coordnode.net.limits import (
    CALM_SWEEPS_MIN,
    EAGER_ASKS,
    EAGER_BYTES,
    EAGER_SENT_BYTES,
    GUEST_EAGER_ASKS,
    LINK_PENDING_BYTES_MAX,
    OUTSTANDING_MAX,
    PARTIAL_BYTES_ALL_MAX,
    PARTIAL_SECONDS_MAX,
    RENEWAL_BYTES,
    UNREAD_BYTES_ALL_MAX,
    UNREAD_BYTES_MAX,
    Limits,
)
from coordnode.raft.entry import Config
from coordnode.services.callers import Caller
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
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

ME = Caller("me", place="10.0.0.1:4000")


class Side:
    """One client's connection, from the client's side."""

    def __init__(self, clients: Clients, body_format: int = MSGPACK, caller: Caller = ME) -> None:
        self.transport = FakeTransport()
        self.link: ClientLink = clients.open(cast(asyncio.Transport, self.transport), FrameReader(), caller, body_format)
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
        assert sink.opened[-1] == (side.link.connection, ME)
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
    assert (side.link.pending_bytes, clients.guests.pending_bytes) == (0, 0)


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
    assert clients.guests.pending_bytes == 0


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
    assert side.link.guest.watches == 0


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


# --- quotas of one identity, over all of its connections ---------------------------------------------------------------


def other(number: int) -> Caller:
    return Caller("me", user=f"user{number}", place="10.0.0.1:4000")


def test_the_watches_of_one_client_are_bounded_whatever_connection_they_are_on(clients: Clients, sink: FakeSink) -> None:
    clients.limits = clients.limits._replace(client_watches_max=10)
    one, two, neighbour = Side(clients), Side(clients), Side(clients, caller=other(1))
    one.say(*[WatchAsk(number, b"a", b"", Revision(0)) for number in range(1, 9)])
    two.say(*[WatchAsk(number, b"a", b"", Revision(0)) for number in range(1, 4)], WriteAsk(9, b"x"))
    (refused,) = two.transport.answers()
    assert isinstance(refused, ErrorReply)
    assert (refused.request, refused.code, refused.definite) == (3, 12, True)
    assert "this client has 10 watches already" in refused.sentence
    assert [ask.request for connection, ask in sink.asks if connection == two.link.connection] == [1, 2, 9]
    neighbour.say(WatchAsk(1, b"a", b"", Revision(0)))
    assert neighbour.transport.answers() == []
    one.link.connection_lost(None)
    two.say(WatchAsk(3, b"a", b"", Revision(0)))
    assert two.transport.answers() == []
    assert (two.link.guest.watches, clients.traffic.watches_refused) == (3, 1)


def test_who_has_too_much_under_way_is_not_read_on_any_connection_and_nobody_else_notices(clients: Clients, sink: FakeSink) -> None:
    clients.limits = clients.limits._replace(client_requests_max=100)
    one, two, neighbour = Side(clients), Side(clients), Side(clients, caller=other(1))
    one.say(*[WriteAsk(number, b"x") for number in range(99)])
    assert one.transport.reading
    two.say(WriteAsk(1, b"x"))
    assert one.transport.reading, "it asked for nothing since"
    one.say(WriteAsk(99, b"x"))
    neighbour.say(WriteAsk(1, b"x"))
    assert (one.transport.reading, two.transport.reading, neighbour.transport.reading) == (False, True, True)
    two.say(WriteAsk(2, b"x"))
    assert not two.transport.reading
    assert (two.link.connection, WriteAsk(2, b"x")) not in sink.asks, "what had arrived is not even looked at"
    clients.answer(one.link.connection, [reply(number) for number in range(51)])
    assert not one.transport.reading
    clients.answer(two.link.connection, [reply(1)])
    assert (one.transport.reading, two.transport.reading) == (True, True), "half of it is answered"
    assert (two.link.connection, WriteAsk(2, b"x")) in sink.asks
    one.link.connection_lost(None)
    assert two.link.guest.outstanding == 1
    assert two.link.guest.connections == 1


def test_of_many_connections_that_are_not_read_a_few_go_on_at_a_time(clients: Clients) -> None:
    clients.limits = clients.limits._replace(client_requests_max=100)
    sides = [Side(clients) for _ in range(40)]
    for side in sides:
        side.say(*[WriteAsk(number, b"x") for number in range(80)])
    assert [side.transport.reading for side in sides[:3]] == [True, False, False]
    clients.answer(sides[0].link.connection, [reply(number) for number in range(80)])
    clients.answer(sides[1].link.connection, [reply(number) for number in range(80)])
    assert [side.transport.reading for side in sides[:4]] == [True, True, True, False], "what the third had to say was enough again"
    assert sides[0].link.guest.outstanding == 80
    for side in sides[2:]:
        clients.answer(side.link.connection, [reply(number) for number in range(80)])
    assert (sides[0].link.guest.outstanding, clients.guests.holding) == (0, {})
    assert all(side.transport.reading for side in sides)


def test_what_arrives_and_is_not_looked_at_has_a_bound_too(clients: Clients) -> None:
    clients.limits = clients.limits._replace(client_requests_max=65)
    size = 4 * 1024 * 1024 - 1000
    sides = [Side(clients) for _ in range(PARTIAL_BYTES_ALL_MAX // size + 2)]
    sides[0].say(*[WriteAsk(number, b"x") for number in range(65)])
    for side in sides[1:]:
        side.link.data_received(part_of_a_frame(size))
    assert [side.transport.aborted for side in sides] == [False] * (len(sides) - 1) + [True]
    for side in sides:
        side.link.connection_lost(None)
    assert clients.guests.unheard_bytes == 0


def test_where_all_have_too_much_those_go_on_who_have_less_than_their_part(clients: Clients) -> None:
    greedy = [Side(clients, caller=other(number)) for number in range(4)]
    modest = Side(clients, caller=other(9))
    for side in greedy:
        side.say(WriteAsk(1, bytes(3 * 1024 * 1024)))
        side.say(WriteAsk(2, bytes(1024 * 1024)))
    assert not greedy[-1].transport.reading
    modest.say(WriteAsk(1, bytes(1000)))
    assert modest.transport.reading


def test_who_asks_for_much_at_once_is_eager_until_it_is_calm_for_a_while(clients: Clients, sink: FakeSink) -> None:
    side, neighbour = Side(clients), Side(clients, caller=other(1))
    side.say(*[WriteAsk(number, b"x") for number in range(EAGER_ASKS)])
    neighbour.say(WriteAsk(1, b"x"))
    assert not sink.eager
    side.say(WriteAsk(EAGER_ASKS, b"x"))
    assert sink.eager == [(side.link.connection, WriteAsk(EAGER_ASKS, b"x"))]
    clients.answer(side.link.connection, [reply(number) for number in range(EAGER_ASKS + 1)])
    for second in range(CALM_SWEEPS_MIN - 1):
        clients.sweep(float(second))
    side.say(WriteAsk(200, b"x"))
    assert len(sink.eager) == 2
    clients.answer(side.link.connection, [reply(200)])
    for second in range(CALM_SWEEPS_MIN):
        clients.sweep(float(second))
    side.say(WriteAsk(201, b"x"))
    assert len(sink.eager) == 2
    assert not clients.eager


def test_so_is_who_is_answered_much_and_who_asks_on_many_connections(clients: Clients, sink: FakeSink) -> None:
    side = Side(clients)
    side.say(ReadAsk(1, b"x"))
    clients.answer(side.link.connection, [Reply(1, 1, 0, bytes(EAGER_SENT_BYTES))])
    side.say(ReadAsk(2, b"x"))
    assert [ask.request for _, ask in sink.eager] == [2]
    for start in range(0, GUEST_EAGER_ASKS, EAGER_ASKS):
        Side(clients, caller=other(1)).say(*[ReadAsk(start + number, b"x") for number in range(EAGER_ASKS)])
    assert len(sink.eager) == 1
    Side(clients, caller=other(1)).say(ReadAsk(1, b"x"))
    assert len(sink.eager) == 2


def test_so_is_who_has_much_looked_at_however_little_it_is_answered(clients: Clients, sink: FakeSink) -> None:
    side = Side(clients)
    side.say(ReadAsk(1, b"x"))
    clients.answer(side.link.connection, [reply(1)])
    clients.charge(side.link.connection, EAGER_SENT_BYTES)
    side.say(ReadAsk(2, b"x"))
    assert [ask.request for _, ask in sink.eager] == [2]
    side.link.connection_lost(None)
    clients.charge(side.link.connection, 1)  # gone: it owes nothing
    assert not clients.eager


def test_sessions_that_are_renewed_count_like_the_bytes_of_as_much_work(clients: Clients, sink: FakeSink) -> None:
    side = Side(clients)
    named = [SessionId(1)] * (EAGER_BYTES // RENEWAL_BYTES // 2)
    side.say(KeepAliveAsk(1, named))
    assert not clients.eager
    side.say(KeepAliveAsk(2, named))
    assert list(clients.eager) == [side.link.connection]
    assert clients.guests.pending_bytes == side.link.pending_bytes > EAGER_BYTES
    clients.answer(side.link.connection, [KeepAliveReply(request, [], []) for request in (1, 2)])
    assert (side.link.outstanding, clients.guests.pending_bytes) == (0, 0)


def test_who_has_too_many_sessions_to_be_renewed_is_not_read_until_half_of_them_are(clients: Clients) -> None:
    side = Side(clients)
    side.say(*[KeepAliveAsk(request, [SessionId(1)] * (LINK_PENDING_BYTES_MAX // RENEWAL_BYTES // 2)) for request in (1, 2)])
    assert not side.transport.reading
    clients.answer(side.link.connection, [KeepAliveReply(1, [], [])])
    assert not side.transport.reading
    clients.answer(side.link.connection, [KeepAliveReply(2, [], [])])
    assert side.transport.reading
