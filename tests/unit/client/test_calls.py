"""What may be sent again, and when an outcome is definite: one conversation for each rule."""

import random

import pytest

from coordnode import errors
from coordnode.client import calls
from coordnode.client.actions import Connect, Disconnect, Finished
from coordnode.client.connection import HUNG_UP_AVOID_MS
from coordnode.client.lease import SessionState
from coordnode.ids import NO_SESSION, MemberId, Revision, Sequence, SessionId
from coordnode.limits import CLIENT_CALLS_MAX, CLIENT_OUTSTANDING_MAX, CLIENT_SESSION_WINDOW
from coordnode.raft.entry import Config
from coordnode.services.commands import ClientCommand, Done, Failure, Get, Got, Put, SessionOpened, decode_client_command, encode
from coordnode.services.dialogue import ConfigAsk, ErrorReply, Reply
from coordnode.wire.bodies import ASK_BYTES_MAX
from tests.unit.client.scripted import A, B, C, Conversation, ReadAsk, WriteAsk

PUT = Put(b"k", b"v")


def put(talk: Conversation, *, deadline_ms: int = 5_000, session: int = 0, request_id: str = "") -> int:
    call = talk.core.call(PUT, talk.now_ms, deadline_ms=talk.now_ms + deadline_ms, session=session, request_id=request_id)
    talk.poll()
    return call


def test_a_write_finds_its_place() -> None:
    talk = Conversation()
    call = put(talk)
    talk.connect()
    ask = talk.one_ask(WriteAsk)
    assert decode_client_command(ask.body).operation == PUT
    talk.done(ask, index=12)
    finished = talk.finished()
    assert (finished.call, finished.result, finished.error, finished.index) == (call, Done(Revision(5)), None, 12)
    assert not finished.definite


def test_a_hint_is_followed_at_once() -> None:
    talk = Conversation()
    put(talk)
    first = talk.connect()
    hinted = B if first != B else C
    talk.take(Connect)
    talk.refuse(talk.one_ask(WriteAsk), errors.NotLeader.code, leader=hinted)
    assert talk.take(Disconnect) == [Disconnect(first)]
    assert talk.take(Connect) == [Connect(hinted)]
    talk.connect()
    talk.done(talk.one_ask(WriteAsk))
    assert talk.finished().error is None


def test_without_a_hint_every_member_is_tried_with_growing_pauses() -> None:
    talk = Conversation()
    put(talk, deadline_ms=60_000)
    tried, pauses = [], []
    for _ in range(8):
        tried.append(talk.connect())
        talk.refuse(talk.one_ask(WriteAsk), errors.NotLeader.code)
        began_ms = talk.now_ms
        while talk.member is None:
            talk.later(1)
        pauses.append(talk.now_ms - began_ms)
    assert set(tried[:3]) == {A, B, C}
    assert tried[3:6] == tried[:3]
    assert all(pause > 0 for pause in pauses)
    assert max(pauses[:2]) < min(pauses[-2:]) <= 250


def test_members_that_point_at_each_other_are_slowed_down() -> None:
    talk = Conversation((A, B))
    put(talk, deadline_ms=60_000)
    began_ms, hops = talk.now_ms, 0
    while talk.now_ms < began_ms + 1_000:
        if talk.member is None:
            talk.later(1)
            continue
        member = talk.connect()
        hops += 1
        talk.refuse(talk.one_ask(WriteAsk), errors.NotLeader.code, leader=B if member == A else A)
    assert hops < 30


@pytest.mark.parametrize("silent", [True, False])
def test_a_hint_to_a_member_that_fell_silent_is_not_followed_to_one_that_hung_up_it_is(silent: bool) -> None:
    """Silence costs the whole patience once more; who hung up may be back, and whoever is not refuses at once."""
    talk = Conversation()
    put(talk)
    failed = talk.connect()
    talk.asks(WriteAsk)
    if silent:
        talk.later(600)
    else:
        talk.cut()
    talk.later(HUNG_UP_AVOID_MS)
    put(talk)
    talk.connect()
    talk.refuse(talk.asks(WriteAsk)[-1], errors.NotLeader.code, leader=failed)
    talk.take(Connect)
    talk.later(300)
    assert (talk.member == failed) is not silent


@pytest.mark.parametrize("code", [errors.NotReady.code, errors.Overloaded.code, errors.NoSpace.code])
def test_what_may_be_over_soon_is_tried_again_after_the_pause_asked_for(code: int) -> None:
    talk = Conversation()
    put(talk)
    talk.connect()
    talk.refuse(talk.one_ask(WriteAsk), code, retry_after_ms=400)
    talk.later(399)
    assert talk.asks(WriteAsk) == []
    talk.later(1)
    talk.done(talk.one_ask(WriteAsk))
    assert talk.finished().error is None


def test_a_large_operation_is_encoded_once_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def measured(asked: object) -> bytes:
        made = encode(asked)
        sizes.append(len(made))
        return made

    monkeypatch.setattr(calls, "encode", measured)
    core = Conversation().core
    core.call(Put(b"a", bytes(1_000_000)), 0, deadline_ms=9, request_id="mine")
    assert sum(size >= 1_000_000 for size in sizes) == 1


def test_what_just_fits_is_sent_and_one_byte_more_is_not() -> None:
    def command(size: int) -> ClientCommand:
        return ClientCommand(NO_SESSION, Sequence(0), Sequence(0), "", Put(b"a", bytes(size)))

    around = len(encode(WriteAsk(0, encode(command(100_000))))) - 100_000
    core = Conversation().core
    core.submit(command(ASK_BYTES_MAX - around), 0, deadline_ms=9)
    with pytest.raises(errors.TooLarge, match=f"of {ASK_BYTES_MAX + 1} bytes"):
        core.submit(command(ASK_BYTES_MAX - around + 1), 0, deadline_ms=9)


@pytest.mark.parametrize("code", [errors.BadRequest.code, errors.TooLarge.code, errors.NotPermitted.code, errors.StateFull.code])
def test_other_refusals_are_final_and_definite(code: int) -> None:
    talk = Conversation()
    put(talk)
    talk.connect()
    talk.refuse(talk.one_ask(WriteAsk), code)
    finished = talk.finished()
    assert type(finished.error) is errors.BY_CODE[code]
    assert finished.definite


def test_a_plain_write_is_not_sent_twice_once_it_may_have_happened() -> None:
    talk = Conversation()
    put(talk)
    talk.connect()
    talk.refuse(talk.one_ask(WriteAsk), errors.LeadershipLost.code, definite=False)
    finished = talk.finished()
    assert isinstance(finished.error, errors.LeadershipLost)
    assert not finished.definite
    talk.later(5_000)
    assert talk.asks(WriteAsk) == []


@pytest.mark.parametrize("with_session", [True, False])
def test_a_numbered_write_is_sent_until_it_is_answered_with_the_same_number(with_session: bool) -> None:
    talk = Conversation()
    session = talk.open_session() if with_session else 0
    put(talk, session=session, request_id="" if with_session else "order-66")
    talk.connect()
    first = talk.one_ask(WriteAsk)
    talk.refuse(first, errors.LeadershipLost.code, definite=False)
    talk.later(300)
    second = talk.one_ask(WriteAsk)
    talk.cut()
    talk.connect()
    third = talk.one_ask(WriteAsk)
    assert len({first.request, second.request, third.request}) == 3
    commands = [decode_client_command(ask.body) for ask in (first, second, third)]
    assert commands[0] == commands[1] == commands[2]
    assert (commands[0].session, commands[0].sequence, commands[0].request_id) == ((77, 1, "") if with_session else (0, 0, "order-66"))
    talk.done(third)
    assert talk.finished().error is None


def test_the_deadline_of_a_write_under_way_leaves_it_unknown() -> None:
    talk = Conversation()
    put(talk, deadline_ms=100)
    talk.connect()
    talk.later(100)
    finished = talk.finished()
    assert isinstance(finished.error, errors.TimedOut)
    assert not finished.definite


def test_the_deadline_of_a_write_that_was_always_refused_is_definite() -> None:
    talk = Conversation()
    put(talk, deadline_ms=100)
    talk.connect()
    talk.refuse(talk.one_ask(WriteAsk), errors.Overloaded.code, retry_after_ms=1_000)
    talk.later(100)
    finished = talk.finished()
    assert isinstance(finished.error, errors.Overloaded)
    assert finished.definite


def test_the_deadline_of_a_write_that_was_never_sent_is_definite() -> None:
    talk = Conversation()
    put(talk, deadline_ms=100)
    talk.later(100)
    finished = talk.finished()
    assert isinstance(finished.error, errors.Unreachable)
    assert finished.definite


def test_one_attempt_in_doubt_keeps_the_outcome_in_doubt() -> None:
    talk = Conversation()
    put(talk, request_id="once", deadline_ms=1_000)
    talk.connect()
    talk.refuse(talk.one_ask(WriteAsk), errors.LeadershipLost.code, definite=False)
    talk.later(300)
    talk.refuse(talk.one_ask(WriteAsk), errors.StateFull.code)
    finished = talk.finished()
    assert not finished.definite
    assert isinstance(finished.error, errors.LeadershipLost)


def test_too_old_says_that_it_was_answered_before() -> None:
    talk = Conversation()
    session = talk.open_session()
    put(talk, session=session)
    talk.refuse(talk.one_ask(WriteAsk), errors.TooOld.code)
    assert not talk.finished().definite
    put(talk, session=session)
    talk.done(talk.one_ask(WriteAsk), Failure(errors.TooOld.code, "too old"))
    assert not talk.finished().definite


def test_an_applied_failure_is_definite_and_has_its_place() -> None:
    talk = Conversation()
    session = talk.open_session()
    put(talk, session=session)
    talk.refuse(talk.one_ask(WriteAsk), errors.LeadershipLost.code, definite=False)
    talk.later(300)
    talk.done(talk.one_ask(WriteAsk), Failure(errors.StateFull.code, "full"), index=31)
    finished = talk.finished()
    assert isinstance(finished.error, errors.StateFull)
    assert (finished.definite, finished.index) == (True, 31)


@pytest.mark.parametrize(("in_doubt", "definite"), [(True, False), (False, True)])
def test_an_expired_session_says_nothing_about_an_earlier_attempt(in_doubt: bool, definite: bool) -> None:
    talk = Conversation()
    session = talk.open_session()
    put(talk, session=session)
    talk.refuse(talk.one_ask(WriteAsk), (errors.LeadershipLost if in_doubt else errors.Overloaded).code, definite=not in_doubt)
    talk.later(300)
    talk.done(talk.one_ask(WriteAsk), Failure(errors.SessionExpired.code, "over"))
    assert talk.finished().definite is definite
    assert talk.core.session_state(session, talk.now_ms) is SessionState.LOST


def test_reads_are_always_asked_again() -> None:
    talk = Conversation()
    talk.core.call(Get(b"k"), talk.now_ms, deadline_ms=9_000, min_revision=4)
    talk.connect()
    first = talk.one_ask(ReadAsk)
    talk.cut()
    talk.connect()
    second = talk.one_ask(ReadAsk)
    assert (first.body, first.min_revision) == (second.body, second.min_revision) == (encode(Get(b"k")), 4)
    talk.refuse(second, errors.LeadershipLost.code, definite=False)
    talk.later(300)
    talk.done(talk.one_ask(ReadAsk), Got(Revision(4), None))
    assert talk.finished().result == Got(Revision(4), None)


def test_a_barrier_has_no_result() -> None:
    talk = Conversation()
    talk.core.call(None, talk.now_ms, deadline_ms=9_000)
    talk.connect()
    talk.answer(Reply(talk.one_ask(ReadAsk).request, 9, 0, b""))
    finished = talk.finished()
    assert (finished.result, finished.error, finished.index) == (None, None, 9)


def test_administrative_calls_are_not_repeated_in_doubt() -> None:
    talk = Conversation()
    talk.core.administer(ConfigAsk(0, Config((A, B))), talk.now_ms, deadline_ms=9_000)
    talk.connect()
    talk.refuse(talk.one_ask(ConfigAsk), errors.NotReady.code)
    talk.later(300)
    talk.cut() if talk.one_ask(ConfigAsk) else None
    finished = talk.finished()
    assert isinstance(finished.error, errors.Disconnected)


def test_answers_that_are_on_their_way_are_waited_for_before_leaving() -> None:
    """Of two plain writes the first is refused; the answer to the second must not be thrown away with the connection."""
    talk = Conversation()
    put(talk)
    second_call = put(talk)
    talk.connect()
    first, second = talk.asks(WriteAsk)
    talk.refuse(first, errors.NotLeader.code, leader=B)
    assert talk.take(Disconnect) == []
    talk.done(second)
    finished = talk.finished()
    assert (finished.call, finished.error) == (second_call, None)
    assert len(talk.take(Disconnect)) == 1


def test_leaving_does_not_wait_long() -> None:
    talk = Conversation()
    put(talk)
    put(talk)
    talk.connect()
    first, _ = talk.asks(WriteAsk)
    talk.refuse(first, errors.NotLeader.code, leader=B)
    talk.later(50)
    assert len(talk.take(Disconnect)) == 1
    assert isinstance(talk.finished().error, errors.Disconnected)


def test_a_silent_member_is_left() -> None:
    talk = Conversation()
    put(talk, request_id="once")
    silent = talk.connect()
    talk.later(599)
    assert talk.take(Disconnect) == []
    talk.later(1)
    assert talk.take(Disconnect) == [Disconnect(silent)]
    assert talk.connect() != silent
    assert len(talk.asks(WriteAsk)) == 2


def test_who_did_not_come_to_listen_takes_no_silence_for_the_members() -> None:
    talk = Conversation()
    put(talk, request_id="once")
    silent = talk.connect()
    talk.now_ms += 5_000  # a loop that was busy with other things; what came meanwhile is not read yet
    talk.poll()
    assert talk.take(Disconnect) == []
    talk.later(599)
    assert talk.take(Disconnect) == []
    talk.later(1)
    assert talk.take(Disconnect) == [Disconnect(silent)]


def test_nor_for_that_of_one_it_is_about_to_reach() -> None:
    talk = Conversation()
    put(talk, deadline_ms=60_000)
    (first,) = talk.take(Connect)
    talk.now_ms += 5_000
    talk.poll()
    assert talk.take(Connect) == []
    talk.core.on_connected(first.member, talk.now_ms)
    talk.poll()
    assert len(talk.asks(WriteAsk)) == 1


def test_a_member_that_has_become_slow_is_given_more_time() -> None:
    talk = Conversation()
    put(talk, request_id="slow", deadline_ms=60_000)
    slow = talk.connect()
    talk.later(500)
    talk.done(talk.one_ask(WriteAsk))
    put(talk, request_id="slower", deadline_ms=60_000)
    talk.later(999)
    assert talk.take(Disconnect) == []
    talk.later(1)
    assert talk.take(Disconnect) == [Disconnect(slow)]


def test_a_way_that_is_longer_than_the_usual_patience_is_learnt() -> None:
    """All are a second away. Each time that all were silent, they get twice the time; an answer sets it back."""
    talk = Conversation()
    put(talk, request_id="far", deadline_ms=60_000)
    for patience_ms in (600, 600, 600, 1_200):
        member = talk.connect()
        asked = talk.one_ask(WriteAsk)
        talk.later(min(1_000, patience_ms - 1))
        assert talk.take(Disconnect) == []
        if patience_ms < 1_000:
            talk.later(1)
            assert talk.take(Disconnect) == [Disconnect(member)]
    talk.done(asked)
    assert talk.finished().error is None
    talk.cut()
    put(talk, request_id="farther", deadline_ms=60_000)
    member = talk.connect()
    talk.later(1_999)
    assert talk.take(Disconnect) == []
    talk.later(1)
    assert talk.take(Disconnect) == [Disconnect(member)], "twice what is usual by now, and no more"


def test_a_member_that_answers_others_but_not_this_is_left_too() -> None:
    talk = Conversation()
    put(talk, request_id="once", deadline_ms=60_000)
    talk.connect()
    talk.asks(WriteAsk)
    for turn in range(14):
        put(talk)
        for ask in talk.asks(WriteAsk):
            talk.done(ask)
        talk.later(200)
        assert bool(talk.take(Disconnect)) == (turn == 11), turn
        if turn == 11:
            return


def test_a_connection_that_never_comes_up_is_given_up() -> None:
    talk = Conversation()
    put(talk)
    (first,) = talk.take(Connect)
    talk.later(600)
    assert talk.take(Disconnect) == [Disconnect(first.member)]
    talk.later(300)
    assert talk.take(Connect)[0].member != first.member


def test_late_words_of_an_earlier_connection_change_nothing() -> None:
    talk = Conversation()
    put(talk, request_id="once")
    earlier = talk.connect()
    ask = talk.one_ask(WriteAsk)
    talk.cut()
    talk.connect()
    talk.core.on_answer(earlier, Reply(ask.request, 1, 0, encode(Done(Revision(1)))), talk.now_ms)
    talk.core.on_disconnected(earlier, talk.now_ms)
    assert talk.member is not None
    talk.done(talk.one_ask(WriteAsk))
    assert talk.finished().index == 7


def test_calls_are_sent_in_the_order_asked_and_no_more_than_the_bound() -> None:
    talk = Conversation()
    for number in range(CLIENT_OUTSTANDING_MAX + 5):
        talk.core.call(Put(b"%d" % number, b""), 0, deadline_ms=9_000, request_id=str(number))
    talk.connect()
    asks = talk.asks(WriteAsk)
    assert [decode_client_command(ask.body).request_id for ask in asks] == [str(number) for number in range(CLIENT_OUTSTANDING_MAX)]
    talk.done(asks[0])
    assert len(talk.asks(WriteAsk)) == 1


def test_calls_without_end_are_refused() -> None:
    talk = Conversation()
    for _ in range(CLIENT_CALLS_MAX):
        talk.core.call(PUT, 0, deadline_ms=9_000)
    with pytest.raises(errors.Overloaded):
        talk.core.call(PUT, 0, deadline_ms=9_000)


def test_lowest_open_follows_the_answers_and_the_window_is_kept() -> None:
    talk = Conversation()
    session = talk.open_session()
    for _ in range(CLIENT_SESSION_WINDOW + 3):
        talk.core.call(PUT, talk.now_ms, deadline_ms=9_000, session=session)
    talk.poll()
    asks = talk.asks(WriteAsk)
    assert len(asks) == CLIENT_SESSION_WINDOW
    talk.done(asks[1])  # the window is counted from the lowest, which is still open
    assert talk.asks(WriteAsk) == []
    talk.done(asks[0])
    following = [decode_client_command(ask.body) for ask in talk.asks(WriteAsk)]
    assert [(command.sequence, command.lowest_open) for command in following] == [
        (CLIENT_SESSION_WINDOW + 1, 3),
        (CLIENT_SESSION_WINDOW + 2, 3),
    ]


def test_a_given_up_call_says_what_is_known() -> None:
    talk = Conversation()
    call = put(talk, request_id="once")
    talk.connect()
    talk.core.give_up(call)
    talk.poll()
    assert not talk.finished().definite
    talk.core.give_up(call)
    talk.poll()
    assert talk.take(Finished) == []


def test_an_answer_that_cannot_be_read_is_not_taken_for_a_failure() -> None:
    talk = Conversation()
    put(talk)
    talk.connect()
    talk.answer(Reply(talk.one_ask(WriteAsk).request, 1, 0, b"\xff"))
    assert not talk.finished().definite


def test_an_unknown_error_code_is_taken_as_doubt() -> None:
    talk = Conversation()
    put(talk)
    talk.connect()
    talk.answer(ErrorReply(talk.one_ask(WriteAsk).request, 999, "from the future", True, 0, MemberId(0)))
    assert not talk.finished().definite


def test_every_call_finishes_exactly_once_whatever_members_say() -> None:
    """Random conversations; the outcome is compared with what the script knows of the attempts."""
    for seed in range(300):
        rng = random.Random(seed)
        talk = Conversation(seed=seed)
        doubtful: dict[bytes, bool] = {}
        calls: dict[bytes, int] = {}
        for number in range(6):
            key = b"%d" % number
            doubtful[key] = False
            deadline_ms = talk.now_ms + rng.randrange(200, 4_000)
            calls[key] = talk.core.call(Put(key, b""), talk.now_ms, deadline_ms=deadline_ms, request_id=rng.choice(("", key.decode())))
        outcomes: dict[int, bool | None] = {}
        for _ in range(400):
            if talk.member is None:
                talk.later(rng.randrange(1, 100))
            elif rng.randrange(4) == 0:
                talk.connect()
            for finished in talk.take(Finished):
                assert finished.call not in outcomes, seed
                outcomes[finished.call] = None if finished.error is None else finished.definite
            for ask in talk.asks(WriteAsk):
                key = decode_client_command(ask.body).operation.key  # type: ignore[union-attr]
                if not talk.is_heard(ask) or calls[key] in outcomes:
                    doubtful[key] = True
                    continue
                match rng.randrange(6):
                    case 0:
                        talk.done(ask)
                    case 1:
                        talk.refuse(ask, errors.NotLeader.code, leader=rng.randrange(4))
                    case 2:
                        talk.refuse(ask, errors.Overloaded.code, retry_after_ms=rng.randrange(100))
                    case 3:
                        doubtful[key] = True
                        talk.refuse(ask, errors.LeadershipLost.code, definite=False)
                    case 4:
                        doubtful[key] = True  # never answered
                    case 5:
                        doubtful[key] = True
                        talk.cut()
            talk.later(rng.randrange(1, 60))
        assert len(outcomes) == 6, seed
        for key, call in calls.items():
            assert not (outcomes[call] is True and doubtful[key]), (seed, key)
            assert not (outcomes[call] is False and not doubtful[key]), (seed, key)


def test_a_session_opened_with_a_first_command_goes_on_with_sequence_two() -> None:
    talk = Conversation()
    session = talk.core.open_session(talk.now_ms, deadline_ms=9_000, ttl_ms=9_000, first=PUT)
    talk.connect()
    talk.done(talk.one_ask(WriteAsk), SessionOpened(SessionId(5), 9_000, Revision(1), Done(Revision(1))))
    put(talk, session=session)
    assert decode_client_command(talk.one_ask(WriteAsk).body).sequence == 2
