"""The hot verbs speak the same bytes as the wire room, and find, follow and doubt as the client core does."""

from collections.abc import Iterator, Sequence

import pytest
from msgspec import structs

from coordctl.hot import frames, kv, session
from coordctl.hot.asking import Asking
from coordctl.hot.overhearing import told_after_ms
from coordctl.local.clusters import Endpoint
from coordnode.errors import FrameError, NoSpace, NotPermitted, Overloaded, SessionExpired, TimedOut, Unknown, Unreachable
from coordnode.ids import ClusterId, MemberId, Revision, SessionId
from coordnode.services.commands import Get, Put, SessionInfo, SessionPage, decode_client_command, encode
from coordnode.services.dialogue import Answer, Ask, ErrorReply, ReadAsk, Reply, WriteAsk
from coordnode.wire import hello as wire_hello
from coordnode.wire.bodies import decode_asks, encode_asks
from coordnode.wire.frames import MSGPACK, FrameReader
from tests.unit.client.member import FakeMember, not_leader


@pytest.fixture
def member() -> Iterator[FakeMember]:
    with FakeMember() as made:
        yield made


def asking(*members: FakeMember, timeout_ms: int = 5_000) -> Asking:
    return Asking([Endpoint(one.address, one.id) for one in members], timeout_ms)


def test_frames_are_those_of_the_wire_room() -> None:
    hello = wire_hello.Hello(wire_hello.ANY_CLUSTER, MemberId(0), MemberId(0), 0, "me")
    ours = frames.frame(frames.HELLO, [0, 0, 0, 0, "me", "", [], "", None, False])
    assert ours == wire_hello.encode_hello(hello, MSGPACK)
    follower = structs.replace(hello, build="1", token="t", follows=True)
    assert frames.hello_of_follower("me", "1", "t") == wire_hello.encode_hello(follower, MSGPACK)
    for token in ("", "secret"):
        (received,) = FrameReader().feed(frames.hello("me", "9.9", token, 7))
        said = wire_hello.decode_hello(received)
        assert (said.cluster, said.identity, said.build, said.token) == (7, "me", "9.9", token)
    (theirs,) = encode_asks([ReadAsk(1, encode(Get(b"\x00key")))], MSGPACK, 250)
    ask = [frames.READ, 1, [kv.GET_TAG, b"\x00key"], False, 0, False]
    assert frames.asks([ask], 250) == theirs
    (received,) = FrameReader().feed(bytes(theirs))
    assert decode_asks(received)[1] == 250
    assert frames.body_bytes(bytes(theirs[:16])) == (frames.ASKS, len(theirs) - 16)
    damaged = bytes(theirs[:6]) + b"\xff" + bytes(theirs[7:16])
    with pytest.raises(FrameError):
        frames.body_bytes(damaged)
    with pytest.raises(FrameError):
        frames.content(bytes(theirs[:16]), b"something else")


def test_a_hint_is_followed_at_once(member: FakeMember) -> None:
    with FakeMember(2) as other, FakeMember(3) as leader:
        member.handler = other.handler = lambda ask: not_leader(ask, 3)
        for turn in range(1, 13):
            asked = len(member.asks) + len(other.asks)
            kv.put(asking(member, other, leader), b"k", b"v", "id")
            assert leader.revision == turn
            assert len(member.asks) + len(other.asks) <= asked + 1, "no second member is asked on the way"
        member.contacts = ((MemberId(3), leader.address),)
        assert kv.get(asking(member), b"k", stale=False, min_revision=0).item is not None


def test_where_the_leader_was_is_asked_first_and_where_it_is_now_is_told_once(member: FakeMember) -> None:
    with FakeMember(2) as leader:
        member.handler = lambda ask: not_leader(ask, 2)
        endpoints = [Endpoint(one.address, one.id) for one in (member, leader)]
        told: list[str] = []
        for _ in range(10):
            kv.get(Asking(endpoints, 5_000, led=leader.address, on_led=told.append), b"k", stale=False, min_revision=0)
        assert (member.asks, told) == ([], [])
        asking = Asking(endpoints, 5_000, led=member.address, on_led=told.append)
        for _ in range(2):
            kv.get(asking, b"k", stale=False, min_revision=0)
        assert (len(member.asks), told) == (1, [leader.address])
        member.handler = lambda _ask: None
        for _ in range(30):
            kv.get(Asking(endpoints, 5_000, led=leader.address, on_led=told.append), b"k", stale=True, min_revision=0)
        assert len(member.asks) > 1, "what may be stale is asked of anybody"
        assert told == [leader.address]


def test_what_is_in_doubt_is_sent_to_no_other_cluster(member: FakeMember) -> None:
    """The place of a member that is gone may be another's by now."""
    with FakeMember(1, cluster=ClusterId(78)) as stranger:
        seen = 0
        member.contacts = ((member.id, member.address), (MemberId(2), stranger.address))

        def hang_up_at_first(_ask: Ask) -> Sequence[Answer] | None:
            if stranger.hellos > seen:
                return None
            member.cut()
            return []

        member.handler = hang_up_at_first
        for turn in range(1, 4):
            seen = stranger.hellos
            assert kv.put(asking(member), b"k", b"v", f"id-{turn}") == turn
        assert stranger.asks == []


def test_what_was_taken_away_is_so_even_if_nobody_hears_its_holder_being_told(member: FakeMember) -> None:
    """The connection on which we listen ends with what is done."""
    is_cut = False

    def cut_at_first(ask: Ask) -> Sequence[Answer] | None:
        nonlocal is_cut
        if isinstance(ask, WriteAsk) and not is_cut:
            is_cut = True
            member.cut()
            return []
        return None

    asked = asking(member)
    kv.get(asked, b"k", stale=False, min_revision=0)
    member.handler = cut_at_first
    assert told_after_ms(asked, [kv.PUT_TAG, b"k", b"v"], [5]) is None
    assert member.kv[b"k"].value == b"v"


def test_a_large_value_waits_for_the_hello(member: FakeMember) -> None:
    value = bytes(range(256)) * 1_000
    kv.put(asking(member), b"k", value, "id")
    assert kv.get(asking(member), b"k", stale=False, min_revision=0).item == kv.Item(b"k", value, 1, 1, 1, 0)


def test_a_write_with_an_id_is_sent_again_and_says_when_it_cannot_know(member: FakeMember) -> None:
    left = [2]

    def hang_up(_ask: Ask) -> Sequence[Answer] | None:
        if left[0] == 0:
            return None
        left[0] -= 1
        member.cut()
        return []

    member.handler = hang_up
    assert kv.put(asking(member), b"k", b"v", "id-1") == 1
    commands = [decode_client_command(ask.body) for ask in member.asks if isinstance(ask, WriteAsk)]
    assert [(command.request_id, command.operation) for command in commands] == [("id-1", Put(b"k", b"v"))] * 3
    member.handler = lambda _ask: []
    with pytest.raises(TimedOut, match="may have happened") as unknown:
        kv.put(asking(member, timeout_ms=100), b"k", b"v", "id-2")
    assert not unknown.value.definite
    with pytest.raises(Unreachable, match="fell silent"):
        kv.get(asking(member, timeout_ms=100), b"k", stale=False, min_revision=0)
    left[0] = 1
    member.handler = hang_up
    with pytest.raises(Unknown, match="may have happened"):
        asking(member).ask(frames.WRITE, [0, 0, 0, "", [1, "", ""]], is_safe_twice=False)


def test_refusals(member: FakeMember) -> None:
    def refuse(code: int, definite: bool = True) -> None:
        member.handler = lambda ask: [ErrorReply(ask.request, code, "said so", definite, 5)]

    refuse(NotPermitted.code)
    with pytest.raises(NotPermitted, match="said so"):
        kv.put(asking(member), b"k", b"v", "id")
    refuse(Overloaded.code)
    with pytest.raises(Overloaded):
        kv.put(asking(member, timeout_ms=1_000), b"k", b"v", "id")
    refuse(10)
    with pytest.raises(Unreachable, match="no leader answered"):
        kv.put(asking(member, timeout_ms=1_000), b"k", b"v", "id")
    refuse(50, definite=False)
    with pytest.raises(TimedOut):
        kv.put(asking(member, timeout_ms=1_000), b"k", b"v", "id")
    with FakeMember(refusal=NotPermitted("not you")) as stern, pytest.raises(NotPermitted, match="not you"):
        kv.get(asking(stern), b"k", stale=False, min_revision=0)


def test_what_the_leader_refuses_is_said_whoever_was_asked_last(member: FakeMember) -> None:
    with FakeMember(2) as leader:
        member.handler = lambda ask: not_leader(ask, 9)
        leader.handler = lambda ask: [ErrorReply(ask.request, NoSpace.code, "full", True, 5)]
        for _ in range(3):
            with pytest.raises(NoSpace, match="full"):
                kv.put(asking(member, leader, timeout_ms=2_000), b"k", b"v", "id")


def test_a_member_that_dies_while_others_live(member: FakeMember) -> None:
    with FakeMember(2) as gone:
        pass
    for _ in range(4):
        assert kv.get(asking(gone, member), b"k", stale=False, min_revision=0).item is None


def test_sessions(member: FakeMember) -> None:
    found = [SessionInfo(SessionId(4), 3_000, "me", 10, 1), SessionInfo(SessionId(7), 3_000, "you", 10, 0)]
    member.handler = lambda ask: [Reply(ask.request, 1, 0, encode(SessionPage(Revision(1), found, False)))]
    mine, yours = session.Session(4, 3_000, "me", 10, 1), session.Session(7, 3_000, "you", 10, 0)
    assert session.page(asking(member), 0, 0, stale=False) == ([mine, yours], False)
    assert session.get(asking(member), 4, stale=False).owner == "me"
    with pytest.raises(SessionExpired, match="no session 5"):
        session.get(asking(member), 5, stale=False)
