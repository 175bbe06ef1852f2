"""Leases as the client sees them: HELD, UNSURE until t, LOST, and never believed longer than the cluster keeps them."""

import random
from fractions import Fraction

import pytest

from coordnode import errors
from coordnode.client.actions import Finished, SessionChanged
from coordnode.client.lease import Lease, SessionState
from coordnode.client.renewal import believed_ms
from coordnode.ids import Revision, SessionId
from coordnode.limits import CLIENT_KEEP_ALIVE_SESSIONS_MAX, CLOCK_RATE_ERROR_PPM, SESSION_TTL_MS_MAX, SESSION_TTL_MS_MIN
from coordnode.services.commands import CloseSession, Done, Failure, OpenSession, Put, SessionOpened, decode_client_command
from coordnode.services.dialogue import KeepAliveReply
from tests.unit.client.scripted import TTL_MS, Conversation, KeepAliveAsk, WriteAsk

PUT = Put(b"k", b"v", True)
BELIEVED_MS = believed_ms(TTL_MS)


def alive(talk: Conversation, ask: KeepAliveAsk, *sessions: int) -> None:
    talk.answer(KeepAliveReply(ask.request, [(SessionId(session), TTL_MS) for session in sessions], []))


def test_never_believed_longer_than_the_cluster_keeps_it() -> None:
    """Our clock slow, the leader's fast, both by the stated bound, and our reading cut to whole milliseconds."""
    error = Fraction(CLOCK_RATE_ERROR_PPM, 1_000_000)
    rng = random.Random(1)
    for ttl_ms in [SESSION_TTL_MS_MIN, SESSION_TTL_MS_MAX, *[rng.randrange(SESSION_TTL_MS_MIN, SESSION_TTL_MS_MAX) for _ in range(1_000)]]:
        true_ms = (believed_ms(ttl_ms) + 1) / (1 - error)
        assert true_ms * (1 + error) <= ttl_ms
        assert believed_ms(ttl_ms) > ttl_ms * 99 // 100


def test_open_retries_with_the_same_nonce_and_counts_from_the_first_attempt() -> None:
    talk = Conversation()
    session = talk.core.open_session(talk.now_ms, deadline_ms=20_000, ttl_ms=TTL_MS)
    talk.connect()
    first_sent_ms = talk.now_ms
    first = talk.one_ask(WriteAsk)
    talk.refuse(first, errors.LeadershipLost.code, definite=False)
    talk.later(500)
    second = talk.one_ask(WriteAsk)
    assert second.body == first.body
    operation = decode_client_command(first.body).operation
    assert isinstance(operation, OpenSession)
    assert (len(operation.nonce), operation.owner) == (16, "tests")
    talk.done(second, SessionOpened(SessionId(77), TTL_MS, Revision(1)))
    changed = talk.changed()
    assert (changed.session, changed.session_id, changed.state) == (session, 77, SessionState.HELD)
    assert changed.until_ms == first_sent_ms + BELIEVED_MS


def test_opened_too_late_is_not_held_before_a_renewal_says_so() -> None:
    talk = Conversation()
    session = talk.core.open_session(talk.now_ms, deadline_ms=60_000, ttl_ms=TTL_MS)
    talk.connect()
    for _ in range(40):
        for ask in talk.asks(WriteAsk):
            talk.refuse(ask, errors.LeadershipLost.code, definite=False)
        talk.later(300)
    talk.later(1)
    talk.done(talk.asks(WriteAsk)[-1], SessionOpened(SessionId(77), TTL_MS, Revision(1)))
    assert talk.take(SessionChanged) == []
    assert talk.core.session_state(session, talk.now_ms) is SessionState.OPENING
    alive(talk, talk.one_ask(KeepAliveAsk), 77)
    assert talk.changed().state is SessionState.HELD


def test_held_then_unsure_then_lost() -> None:
    talk = Conversation()
    sent_ms = talk.now_ms
    session = talk.open_session()
    held = talk.changed()
    talk.cut()
    talk.later(sent_ms + 2 * TTL_MS // 3 + 10 - talk.now_ms)
    unsure = talk.changed()
    assert (held.state, unsure.state, unsure.until_ms) == (SessionState.HELD, SessionState.UNSURE, held.until_ms)
    talk.later(unsure.until_ms - talk.now_ms - 1)
    assert talk.take(SessionChanged) == []
    assert talk.core.session_state(session, talk.now_ms) is SessionState.UNSURE
    talk.later(1)
    lost = talk.changed()
    assert (lost.state, lost.until_ms) == (SessionState.LOST, 0)


def test_renewed_every_third_counted_from_sending() -> None:
    talk = Conversation()
    session = talk.open_session()
    opened_ms = talk.now_ms
    for turn in range(1, 4):
        talk.later(opened_ms + turn * (TTL_MS // 3) - talk.now_ms)
        asked_ms = talk.now_ms
        ask = talk.one_ask(KeepAliveAsk)
        assert ask.sessions == [77]
        alive(talk, ask, 77)
        assert talk.core.session_until_ms(session) == asked_ms + BELIEVED_MS
    assert [changed.state for changed in talk.take(SessionChanged)] == [SessionState.HELD]


def test_a_late_answer_counts_from_its_own_question() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.later(TTL_MS // 3)
    asked_ms = talk.now_ms
    first = talk.one_ask(KeepAliveAsk)
    talk.later(500)
    alive(talk, first, 77)
    assert talk.core.session_until_ms(session) == asked_ms + BELIEVED_MS


def test_asked_again_sooner_while_unanswered() -> None:
    talk = Conversation()
    talk.open_session()
    talk.later(TTL_MS // 3)
    first = talk.one_ask(KeepAliveAsk)
    talk.refuse(first, errors.NotReady.code)
    talk.later(TTL_MS // 12 - 1)
    assert talk.asks(KeepAliveAsk) == []
    talk.later(1)
    assert len(talk.asks(KeepAliveAsk)) == 1


def test_a_session_that_could_not_be_confirmed_is_asked_for_again() -> None:
    talk = Conversation()
    talk.open_session()
    talk.later(TTL_MS // 3)
    alive(talk, talk.one_ask(KeepAliveAsk))
    talk.later(TTL_MS // 12)
    assert talk.one_ask(KeepAliveAsk).sessions == [77]


def test_one_frame_for_many_sessions() -> None:
    talk = Conversation()
    for session_id in (77, 78, 79):
        talk.open_session(session_id)
        talk.later(50)
    talk.later(TTL_MS // 3 - 100)
    assert talk.one_ask(KeepAliveAsk).sessions == [77, 78, 79]


def test_more_sessions_than_one_keep_alive_may_name_are_all_asked_for_at_once() -> None:
    talk = Conversation()
    opened = [1_000 + number for number in range(CLIENT_KEEP_ALIVE_SESSIONS_MAX + 1)]
    for session_id in opened:
        talk.open_session(session_id)
        talk.take(SessionChanged)  # or each that is opened would be looked through for the next
    talk.later(TTL_MS // 3)
    asks = talk.asks(KeepAliveAsk)
    assert [len(ask.sessions) for ask in asks] == [CLIENT_KEEP_ALIVE_SESSIONS_MAX, 1]
    assert sorted(session for ask in asks for session in ask.sessions) == opened
    for ask in asks:
        alive(talk, ask, *ask.sessions)
    talk.later(TTL_MS // 12)
    assert talk.asks(KeepAliveAsk) == []


def test_those_that_an_answer_left_out_are_asked_for_again_alone() -> None:
    """As of a member that still withdraws a checkpoint of theirs."""
    talk = Conversation()
    for session_id in (77, 78, 79):
        talk.open_session(session_id)
    talk.later(TTL_MS // 3)
    alive(talk, talk.one_ask(KeepAliveAsk), 77)
    talk.later(TTL_MS // 12)
    assert talk.one_ask(KeepAliveAsk).sessions == [78, 79]


def test_who_is_asked_for_early_and_left_out_of_the_answer_is_asked_for_again() -> None:
    """It wanted to be renewed a twelfth later, and so it does again once it was asked for."""
    talk = Conversation()
    talk.open_session(77)
    talk.later(TTL_MS // 12)
    talk.open_session(78)
    talk.later(TTL_MS // 3 - TTL_MS // 12)
    ask = talk.one_ask(KeepAliveAsk)
    assert ask.sessions == [77, 78]
    alive(talk, ask, 77)
    talk.later(TTL_MS // 12)
    assert talk.one_ask(KeepAliveAsk).sessions == [78]


def test_the_cluster_ends_it() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.take(SessionChanged)
    talk.later(TTL_MS // 3)
    ask = talk.one_ask(KeepAliveAsk)
    waiting = talk.core.call(PUT, talk.now_ms, deadline_ms=90_000, session=session)
    talk.poll()
    talk.answer(KeepAliveReply(ask.request, [], [SessionId(77)]))
    assert talk.changed().state is SessionState.LOST
    finished = talk.finished()
    assert (finished.call, finished.definite) == (waiting, False)


def test_calls_of_a_lost_session_fail_definitely_and_are_never_sent() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.cut()
    talk.later(2 * TTL_MS)
    talk.take(SessionChanged)
    talk.core.call(PUT, talk.now_ms, deadline_ms=90_000, session=session)
    talk.poll()
    finished = talk.finished()
    assert isinstance(finished.error, errors.SessionExpired)
    assert finished.definite


def test_lost_by_our_own_clock_is_released_in_the_cluster() -> None:
    talk = Conversation()
    talk.open_session()
    talk.cut()
    talk.later(BELIEVED_MS + 100)
    talk.connect()
    assert decode_client_command(talk.asks(WriteAsk)[-1].body).operation == CloseSession(SessionId(77))
    assert talk.take(Finished) == []


def test_lost_stays_lost_even_if_a_renewal_is_answered_later() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.later(TTL_MS // 3)
    ask = talk.one_ask(KeepAliveAsk)
    talk.now_ms += 2 * TTL_MS // 3 + 100  # a pause: no poll in between
    assert talk.core.session_state(session, talk.now_ms) is SessionState.LOST
    alive(talk, ask, 77)
    assert talk.core.session_state(session, talk.now_ms) is SessionState.LOST
    assert [changed.state for changed in talk.take(SessionChanged)][-1] is SessionState.LOST


def test_a_renewal_answered_after_the_lease_ran_out_comes_too_late() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.later(TTL_MS // 3)
    ask = talk.one_ask(KeepAliveAsk)
    talk.now_ms += 2 * TTL_MS // 3 + 100  # a pause, in which nobody looked at the session
    alive(talk, ask, 77)
    assert talk.core.session_state(session, talk.now_ms) is SessionState.LOST


def test_a_lease_seen_lost_is_never_held_again() -> None:
    lease = Lease(TTL_MS)
    lease.on_opened(SessionId(77), TTL_MS, first_sent_ms=0, now_ms=5)
    assert lease.state(TTL_MS) is SessionState.LOST
    lease.on_alive(TTL_MS, TTL_MS)
    assert lease.state(TTL_MS) is SessionState.LOST


def test_calls_wait_for_the_session_to_open() -> None:
    talk = Conversation()
    session = talk.core.open_session(talk.now_ms, deadline_ms=90_000, ttl_ms=TTL_MS)
    talk.core.call(PUT, talk.now_ms, deadline_ms=90_000, session=session)
    talk.connect()
    opening = talk.one_ask(WriteAsk)
    talk.done(opening, SessionOpened(SessionId(77), TTL_MS, Revision(1)))
    command = decode_client_command(talk.one_ask(WriteAsk).body)
    assert (command.session, command.sequence, command.lowest_open) == (77, 1, 1)


def test_a_session_that_cannot_be_opened_takes_its_calls_with_it() -> None:
    talk = Conversation()
    session = talk.core.open_session(talk.now_ms, deadline_ms=90_000, ttl_ms=TTL_MS)
    call = talk.core.call(PUT, talk.now_ms, deadline_ms=90_000, session=session)
    talk.connect()
    talk.done(talk.one_ask(WriteAsk), Failure(errors.StateFull.code, "full"))
    outcomes = {finished.call: finished.definite for finished in talk.take(Finished)}
    assert outcomes == {session: True, call: True}
    assert talk.changed().state is SessionState.LOST


@pytest.mark.parametrize("over_already", [False, True])
def test_closed(over_already: bool) -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.take(SessionChanged)
    call = talk.core.close_session(session, talk.now_ms, deadline_ms=90_000)
    talk.poll()
    ask = talk.one_ask(WriteAsk)
    talk.cut()
    talk.connect()
    again = talk.one_ask(WriteAsk)
    assert again.body == ask.body
    talk.done(again, Failure(errors.SessionExpired.code, "over") if over_already else Done(Revision(2)))
    finished = talk.finished()
    assert (finished.call, finished.error) == (call, None)
    assert talk.changed().reason == "closed"
    talk.later(TTL_MS)
    assert talk.asks(KeepAliveAsk) == []


def test_a_closing_session_takes_no_new_calls() -> None:
    talk = Conversation()
    session = talk.open_session()
    talk.core.close_session(session, talk.now_ms, deadline_ms=90_000)
    talk.core.call(PUT, talk.now_ms, deadline_ms=90_000, session=session)
    talk.poll()
    assert talk.finished().definite


def test_silence_is_noticed_soon_enough_to_save_a_short_lease() -> None:
    talk = Conversation()
    number = talk.open_session(ttl_ms=1_000)
    first = talk.member
    talk.later(700)
    assert talk.member != first
    talk.connect()
    talk.answer(KeepAliveReply(talk.asks(KeepAliveAsk)[-1].request, [(SessionId(77), 1_000)], []))
    assert talk.core.session_state(number, talk.now_ms) is SessionState.HELD
