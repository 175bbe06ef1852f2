"""What waits for a turn: members and keep-alives first, client requests in order and bounded, the late and the gone not at all."""

from collections.abc import Sequence
from random import Random

from coordnode.ids import Index, MemberId, SessionId, Term
from coordnode.node.eager import SESSIONS_PER_UNIT
from coordnode.node.inbox import ASKS_PER_TURN, MESSAGES_WAITING_MAX, Inbox
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.raft.messages import TakeOver
from coordnode.replica.events import SnapshotLoaded
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk, UnwatchAsk, WriteAsk


class Told:
    def __init__(self) -> None:
        self.answers: list[tuple[int, Answer]] = []

    def __call__(self, connection: int, answers: Sequence[Answer]) -> None:
        self.answers += [(connection, answer) for answer in answers]


def writes(count: int, first: int = 0) -> list[Ask]:
    return [WriteAsk(number, b"") for number in range(first, first + count)]


def test_keep_alives_do_not_wait_behind_requests() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    inbox.on_asks(1, writes(2 * ASKS_PER_TURN), 0)
    inbox.on_asks(2, writes(3), 0)
    keep_alive = KeepAliveAsk(9, [SessionId(1)])
    inbox.on_asks(3, [keep_alive], 0)
    first = inbox.take(0).asks
    assert first[0] == (3, keep_alive)
    assert len(first) == 1 + 2 * ASKS_PER_TURN  # a frame is never split
    assert inbox.has_more()
    assert inbox.take(0).asks == [(2, ask) for ask in writes(3)]
    assert not inbox.has_more()


def test_a_turn_takes_no_more_frames_than_it_should_carry() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    for number in range(3 * ASKS_PER_TURN):
        inbox.on_asks(1, writes(1, number), 0)
    taken = []
    for _ in range(3):
        asks = inbox.take(0).asks
        assert len(asks) == ASKS_PER_TURN
        taken += asks
    assert [ask.request for _, ask in taken] == list(range(3 * ASKS_PER_TURN))
    assert inbox.asks_waiting == 0


def test_requests_can_be_left_for_a_later_turn() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    inbox.on_tick()
    inbox.on_asks(1, writes(2), 0)
    events = inbox.take(0, with_asks=False)
    assert events.ticked
    assert not events.asks
    assert inbox.asks_waiting == 2
    assert len(inbox.take(0).asks) == 2


def test_whoever_lost_patience_is_told_that_nothing_was_done() -> None:
    told = Told()
    inbox = Inbox(told, Random(1).randrange)
    inbox.on_asks(1, [WriteAsk(1, b""), UnwatchAsk(2)], 100)
    inbox.on_asks(2, writes(1), 101)
    inbox.on_asks(3, writes(1), 0)
    assert [connection for connection, _ in inbox.take(101).asks] == [2, 3]
    ((connection, answer),) = told.answers
    assert connection == 1
    assert isinstance(answer, ErrorReply)
    assert (answer.request, answer.code, answer.definite) == (1, 12, True)
    assert inbox.too_late == 1


def test_requests_of_connections_that_are_gone_are_forgotten() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    inbox.on_opened(1, "a")
    inbox.on_asks(1, writes(ASKS_PER_TURN), 0)
    inbox.on_asks(2, writes(1), 0)
    inbox.on_asks(1, writes(5), 0)
    inbox.on_closed(1)
    events = inbox.take(0)
    assert (events.opened, events.closed) == ([(1, "a")], [1])
    assert events.asks == [(2, WriteAsk(0, b""))]
    assert not inbox.has_more()


def test_messages_are_bounded() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    message = TakeOver(MemberId(1), MemberId(2), 1, Term(1))
    for _ in range(3):
        inbox.on_messages([message] * (MESSAGES_WAITING_MAX // 2 + 1))
    assert len(inbox.take(0).messages) <= MESSAGES_WAITING_MAX + 2
    assert inbox.messages_dropped == MESSAGES_WAITING_MAX // 2 + 1


def test_slices_that_were_read_back_gather_in_order() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    meta = SnapshotMeta(Index(1), Term(1), MemberId(1), 0, Config(), Index(0))
    inbox.on_snapshot_loaded(SnapshotLoaded(meta, [b"a"], False))
    inbox.on_snapshot_loaded(SnapshotLoaded(meta, [b"b"], True))
    assert inbox.take(0).snapshot_loaded == SnapshotLoaded(meta, [b"a", b"b"], True)


def test_keep_alives_of_many_sessions_are_no_more_work_in_a_turn_than_puts_and_the_rest_comes_first_in_the_next() -> None:
    inbox = Inbox(Told(), Random(1).randrange)
    large = [KeepAliveAsk(request, [SessionId(1)] * (SESSIONS_PER_UNIT * ASKS_PER_TURN // 2)) for request in range(5)]
    for ask in large:
        inbox.on_asks(1, [ask], 0)
    inbox.on_asks(2, writes(1), 0)
    assert inbox.take(0, with_asks=False).asks == [(1, ask) for ask in large[:2]]
    assert inbox.take(0).asks == [*((1, ask) for ask in large[2:4]), (2, WriteAsk(0, b""))]
    assert inbox.has_more()
    inbox.on_closed(1)
    assert inbox.take(0).asks == []
    assert inbox.is_empty()
