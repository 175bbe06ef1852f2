"""What is inside the frames comes out as it went in, in both formats, in as many frames as it takes."""

from collections.abc import Sequence
from typing import get_args

import pytest

from coordnode.errors import FrameError, TooLarge
from coordnode.ids import Index, Revision, SessionId, Term
from coordnode.limits import FRAME_BYTES_MAX, KEEP_ALIVE_NAMED_MAX, MIB
from coordnode.raft.entry import BATCH, Entry
from coordnode.raft.messages import Append, Message
from coordnode.services import commands
from coordnode.services.dialogue import Answer, Ask, KeepAliveAsk, Reply, UnwatchAsk, WatchPush, WriteAsk
from coordnode.wire import bodies
from coordnode.wire.frames import ANSWERS, ASKS, JSON, MSGPACK, PEER, Frame, FrameReader
from tests.unit.wire import samples


def frames(encoded: Sequence[bytearray]) -> list[Frame]:
    return FrameReader().feed(b"".join(encoded))


def test_the_samples_hold_one_of_everything() -> None:
    assert {type(message) for message in samples.MESSAGES} == set(get_args(Message))
    assert {type(ask) for ask in samples.ASKS} == set(get_args(Ask))
    assert {type(answer) for answer in samples.ANSWERS} == set(get_args(Answer))
    assert {type(operation) for operation in samples.OPERATIONS} == set(get_args(commands.ClientOperation))
    assert {type(result) for result in samples.RESULTS} == set(get_args(commands.Result))


def test_messages_round_trip() -> None:
    (one,) = frames(bodies.encode_messages(samples.MESSAGES))
    assert bodies.decode_messages(one) == samples.MESSAGES


@pytest.mark.parametrize("body_format", [MSGPACK, JSON])
def test_asks_round_trip(body_format: int) -> None:
    (one,) = frames(bodies.encode_asks(samples.ASKS, body_format, patience_ms=250))
    assert one.format == body_format
    assert bodies.decode_asks(one) == (samples.ASKS, 250)


@pytest.mark.parametrize("body_format", [MSGPACK, JSON])
def test_answers_round_trip(body_format: int) -> None:
    (one,) = frames(bodies.encode_answers(samples.ANSWERS, body_format))
    assert bodies.decode_answers(one) == samples.ANSWERS


def test_commands_are_spliced_through_as_they_are() -> None:
    encoded = bodies.encode_asks(samples.ASKS, MSGPACK)[0]
    assert all(command in encoded for command in samples.COMMANDS)
    encoded = bodies.encode_messages(samples.MESSAGES)[0]
    assert samples.BATCH_BYTES in encoded


def test_what_does_not_fit_one_frame_takes_more_and_keeps_its_order() -> None:
    entry = Entry(Term(1), Index(1), BATCH, bytes(3 * MIB))
    many: list[Message] = [Append(samples.A, samples.B, 1, Term(1), Index(number), Term(1), Index(0), 0, [entry]) for number in range(12)]
    received = frames(bodies.encode_messages(many))
    assert 2 < len(received) <= 4
    assert [message for one in received for message in bodies.decode_messages(one)] == many


def test_many_small_items_take_more_frames_too() -> None:
    asks: list[Ask] = [UnwatchAsk(number) for number in range(bodies.ITEMS_MAX + 1)]
    received = frames(bodies.encode_asks(asks, MSGPACK))
    assert len(received) == 2
    assert [ask for one in received for ask in bodies.decode_asks(one)[0]] == asks


def test_no_frame_of_asks_is_larger_than_a_member_takes_from_a_client() -> None:
    asks: list[Ask] = [WriteAsk(number, bytes(MIB)) for number in range(1, 10)]
    asks.append(WriteAsk(10, bytes(bodies.ASK_BYTES_MAX - 16)))
    received = frames(bodies.encode_asks(asks, MSGPACK, 2**62))
    assert max(len(one.body) for one in received) <= bodies.CLIENT_BODY_BYTES_MAX
    assert [ask for one in received for ask in bodies.decode_asks(one)[0]] == asks


def test_one_item_beyond_the_bound_is_refused_by_name() -> None:
    event = commands.Event(0, b"k", bytes(FRAME_BYTES_MAX), 1)
    with pytest.raises(TooLarge):
        bodies.encode_answers([WatchPush(1, [commands.Change(Revision(1), [event])], Revision(1))], MSGPACK)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\x91\xdd\xff\xff\xff\xff",  # announces four milliard asks
        b"\x93\x90\x00" + b"\x91" * 100_000,  # deeper than any stack
        b"\x92\x90\xff",  # negative patience
    ],
)
def test_bad_msgpack_is_a_named_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        bodies.decode_asks(Frame(ASKS, MSGPACK, body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[[[1,1,[0,0,0,\"\",[20,1,[5]]]]]]",  # Expire is not a client's to ask
        b"[[[1,1,[0,0,0,\"\",[2,\"not base64!\"]]]]]",
        b"[[[1,1,[99999999999999999999999999,0,0,\"\",[2,\"YQ==\"]]]]]",  # no such number in msgpack
        b"[[],0," + b"[" * 100_000,
        b"[" + b"[" * 100_000,
    ],
)  # fmt: skip
def test_bad_json_is_a_named_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        bodies.decode_asks(Frame(ASKS, JSON, body))


def test_kinds_and_formats_have_their_places() -> None:
    with pytest.raises(FrameError, match="only kind"):
        bodies.decode_asks(Frame(PEER, MSGPACK, b"\x90"))
    with pytest.raises(FrameError, match="only kind"):
        bodies.decode_answers(Frame(ASKS, MSGPACK, b"\x90"))
    with pytest.raises(FrameError, match="msgpack among themselves"):
        bodies.decode_messages(Frame(PEER, JSON, b"[]"))


def test_an_empty_result_stays_empty_in_json() -> None:
    (one,) = frames(bodies.encode_answers([Reply(1, 2, 3, b"", 4)], JSON))
    assert one.body == b"[[1,1,2,3,null,4]]"
    assert bodies.decode_answers(Frame(ANSWERS, JSON, one.body)) == [Reply(1, 2, 3, b"", 4)]


@pytest.mark.parametrize("body_format", [MSGPACK, JSON])
def test_a_keep_alive_that_names_too_many_sessions_is_refused_by_what_it_is(body_format: int) -> None:
    (most,) = frames(bodies.encode_asks([KeepAliveAsk(1, [SessionId(7)] * KEEP_ALIVE_NAMED_MAX)], body_format))
    (ask,) = bodies.decode_asks(most)[0]
    assert isinstance(ask, KeepAliveAsk)
    (too_many,) = frames(bodies.encode_asks([KeepAliveAsk(1, [SessionId(7)] * (KEEP_ALIVE_NAMED_MAX + 1))], body_format))
    with pytest.raises(FrameError, match=f"of length <= {KEEP_ALIVE_NAMED_MAX}"):
        bodies.decode_asks(too_many)
