"""What is asked on behalf of somebody else, who keeps sessions and sequences: a gateway does this."""

import pytest

from coordnode import errors
from coordnode.client.actions import Finished
from coordnode.ids import Sequence, SessionId
from coordnode.services.commands import ClientCommand, CloseSession, Put, decode_client_command
from coordnode.services.dialogue import KeepAliveReply
from tests.unit.client.scripted import Conversation, KeepAliveAsk, WriteAsk

PUT = Put(b"k", b"v")
PLAIN = ClientCommand(SessionId(0), Sequence(0), Sequence(0), "", PUT)
IN_SESSION = ClientCommand(SessionId(4), Sequence(9), Sequence(7), "", PUT)
NAMED = ClientCommand(SessionId(0), Sequence(0), Sequence(0), "id", PUT)
CLOSE = ClientCommand(SessionId(0), Sequence(0), Sequence(0), "", CloseSession(SessionId(4)))


@pytest.mark.parametrize(
    ("command", "is_safe_twice", "is_repeated"),
    [(PLAIN, False, False), (IN_SESSION, False, True), (NAMED, False, True), (CLOSE, True, True), (CLOSE, False, False)],
)
def test_a_command_is_sent_as_it_is_and_repeated_only_where_that_is_safe(
    command: ClientCommand, is_safe_twice: bool, is_repeated: bool
) -> None:
    talk = Conversation()
    call = talk.core.submit(command, talk.now_ms, deadline_ms=talk.now_ms + 5_000, is_safe_twice=is_safe_twice)
    talk.connect()
    assert decode_client_command(talk.one_ask(WriteAsk).body) == command
    talk.cut()
    if not is_repeated:
        assert isinstance(talk.finished().error, errors.Disconnected)
        return
    talk.connect()
    again = talk.one_ask(WriteAsk)
    assert decode_client_command(again.body) == command
    talk.done(again)
    assert talk.finished().call == call


def renewal() -> tuple[Conversation, KeepAliveAsk]:
    talk = Conversation()
    talk.core.renew(SessionId(4), talk.now_ms, deadline_ms=talk.now_ms + 5_000)
    talk.connect()
    ask = talk.one_ask(KeepAliveAsk)
    assert ask.sessions == [4]
    return talk, ask


def test_a_session_is_renewed_once() -> None:
    talk, ask = renewal()
    talk.answer(KeepAliveReply(ask.request, [(SessionId(4), 9_000)], []))
    finished = talk.finished()
    assert (finished.ttl_ms, finished.error) == (9_000, None)
    talk.later(20_000)
    assert talk.asks(KeepAliveAsk) == []


def test_a_session_that_is_over_is_told() -> None:
    talk, ask = renewal()
    talk.answer(KeepAliveReply(ask.request, [], [SessionId(4)]))
    assert isinstance(talk.finished().error, errors.SessionExpired)


def test_what_cannot_be_confirmed_is_asked_again() -> None:
    talk, ask = renewal()
    talk.answer(KeepAliveReply(ask.request, [], []))
    assert talk.take(Finished) == []
    talk.later(300)
    again = talk.one_ask(KeepAliveAsk)
    talk.cut()
    talk.connect()
    third = talk.one_ask(KeepAliveAsk)
    assert third.request != again.request
    talk.answer(KeepAliveReply(third.request, [(SessionId(4), 9_000)], []))
    assert talk.finished().ttl_ms == 9_000
