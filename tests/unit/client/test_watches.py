"""Watches neither lose nor double a change, whatever happens to the connection."""

import random

from coordnode import errors
from coordnode.client.actions import Disconnect, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.subscriptions import REFUSED_MS
from coordnode.ids import Revision
from coordnode.services.commands import PUT_EVENT, Change, Event
from coordnode.services.dialogue import UnwatchAsk, WatchGap, WatchPush
from tests.unit.client.scripted import Conversation, ReadAsk, WatchAsk


def change(revision: int) -> Change:
    return Change(Revision(revision), [Event(PUT_EVENT, b"k", b"%d" % revision, revision)])


def push(talk: Conversation, ask: WatchAsk, revisions: list[int], up_to: int) -> None:
    talk.answer(WatchPush(ask.request, [change(revision) for revision in revisions], Revision(up_to)))


def seen(talk: Conversation) -> list[int]:
    return [one.revision for events in talk.take(WatchEvents) for one in events.changes]


def test_resumed_behind_what_was_seen() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"z", 3, talk.now_ms)
    talk.connect()
    ask = talk.one_ask(WatchAsk)
    assert (ask.start, ask.end, ask.start_revision) == (b"a", b"z", 3)
    push(talk, ask, [3, 5], 8)
    talk.cut()
    talk.connect()
    assert talk.one_ask(WatchAsk).start_revision == 9
    assert seen(talk) == [3, 5]


def test_from_now_on_is_fixed_by_the_first_word() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 0, talk.now_ms)
    talk.connect()
    ask = talk.one_ask(WatchAsk)
    assert ask.start_revision == 0
    push(talk, ask, [], 40)
    (events,) = talk.take(WatchEvents)
    assert (events.changes, events.up_to) == ([], 40)
    talk.cut()
    talk.connect()
    assert talk.one_ask(WatchAsk).start_revision == 41


def test_one_that_begins_in_the_future_says_once_that_it_is_in_force() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 50, talk.now_ms)
    for wanted in ([([], 49)], []):
        talk.connect()
        push(talk, talk.one_ask(WatchAsk), [], 40)
        assert [(events.changes, events.up_to) for events in talk.take(WatchEvents)] == wanted
        talk.cut()


def test_doubles_are_dropped() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 1, talk.now_ms)
    talk.connect()
    ask = talk.one_ask(WatchAsk)
    push(talk, ask, [1, 2], 2)
    push(talk, ask, [1, 2], 2)
    push(talk, ask, [2, 3], 3)
    assert seen(talk) == [1, 2, 3]


def test_words_of_an_earlier_subscription_are_ignored() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 1, talk.now_ms)
    talk.connect()
    earlier = talk.one_ask(WatchAsk)
    talk.cut()
    talk.connect()
    push(talk, earlier, [9], 9)
    assert seen(talk) == []


def test_a_gap_is_told_and_ends_it() -> None:
    talk = Conversation()
    watch = talk.core.watch(b"a", b"", 1, talk.now_ms)
    talk.connect()
    talk.answer(WatchGap(talk.one_ask(WatchAsk).request, Revision(500)))
    assert talk.take(WatchGapSeen) == [WatchGapSeen(watch, Revision(500))]
    talk.core.unwatch(watch)
    talk.poll()
    assert talk.asks(UnwatchAsk) == []


def test_refusals_that_pass_are_waited_out_and_others_end_it() -> None:
    talk = Conversation()
    watch = talk.core.watch(b"a", b"", 1, talk.now_ms)
    talk.connect()
    talk.refuse(talk.one_ask(WatchAsk), errors.NotReady.code, retry_after_ms=200)
    talk.later(199)
    assert talk.asks(WatchAsk) == []
    talk.later(1)
    talk.refuse(talk.one_ask(WatchAsk), errors.NotPermitted.code)
    (failed,) = talk.take(WatchFailed)
    assert failed.watch == watch
    assert isinstance(failed.error, errors.NotPermitted)


def test_a_lasting_one_goes_on_after_refusals_and_tells_each() -> None:
    talk = Conversation()
    watch = talk.core.watch(b"a", b"z", 3, talk.now_ms, is_lasting=True)
    talk.connect()
    push(talk, talk.one_ask(WatchAsk), [3], 8)
    talk.cut()
    for _ in range(3):
        talk.connect()
        talk.refuse(talk.one_ask(WatchAsk), errors.NotPermitted.code)
        (failed,) = talk.take(WatchFailed)
        assert (failed.watch, type(failed.error)) == (watch, errors.NotPermitted)
        talk.later(REFUSED_MS - 1)
        assert talk.asks(WatchAsk) == []
        talk.later(1)
        (again,) = talk.asks(WatchAsk)
        assert (again.start, again.end, again.start_revision) == (b"a", b"z", 9)
        talk.cut()
    talk.core.end_all(errors.WrongCluster("who are you?"), talk.now_ms)
    talk.poll()
    assert [failed.watch for failed in talk.take(WatchFailed)] == [watch]
    talk.connect()
    push(talk, talk.one_ask(WatchAsk), [9], 9)
    assert seen(talk) == [3, 9]
    talk.core.unwatch(watch)
    talk.poll()
    assert len(talk.asks(UnwatchAsk)) == 1


def test_a_member_that_does_not_lead_is_left() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 1, talk.now_ms)
    first = talk.connect()
    talk.refuse(talk.one_ask(WatchAsk), errors.NotLeader.code)
    assert talk.take(Disconnect) == [Disconnect(first)]
    talk.later(300)
    talk.connect()
    assert talk.one_ask(WatchAsk).start_revision == 1


def test_unwatch() -> None:
    talk = Conversation()
    watch = talk.core.watch(b"a", b"", 1, talk.now_ms)
    talk.connect()
    ask = talk.one_ask(WatchAsk)
    talk.core.unwatch(watch)
    talk.poll()
    assert talk.one_ask(UnwatchAsk).request == ask.request
    push(talk, ask, [1], 1)
    assert seen(talk) == []


def test_a_dead_connection_is_noticed_with_watches_alone() -> None:
    talk = Conversation()
    talk.core.watch(b"a", b"", 1, talk.now_ms)
    first = talk.connect()
    talk.later(3_000)
    assert len(talk.asks(ReadAsk)) == 1
    assert talk.take(Disconnect) == []
    talk.later(600)
    assert talk.take(Disconnect) == [Disconnect(first)]
    talk.connect()
    assert talk.asks(WatchAsk)[-1].start_revision == 1


def test_random_lives_of_a_watch() -> None:
    """A history of 60 changes, members that push it in pieces and again, connections that break: each change once, in order."""
    for seed in range(200):
        rng = random.Random(seed)
        talk = Conversation(seed=seed)
        talk.core.watch(b"a", b"", 1, talk.now_ms)
        ask: WatchAsk | None = None
        sent_up_to = 0
        received: list[int] = []
        for _ in range(2_000):
            if talk.member is None or rng.randrange(20) == 0:
                talk.later(rng.randrange(1, 80))
            if talk.member is not None:
                talk.connect()
            for asked in talk.asks(WatchAsk):
                ask = asked if talk.is_heard(asked) else None
                sent_up_to = asked.start_revision - 1
            if ask is not None and talk.is_heard(ask):
                match rng.randrange(12):
                    case 0:
                        talk.cut()
                    case 1:
                        sent_up_to = max(0, sent_up_to - rng.randrange(5))  # says some of it twice
                    case _:
                        until = min(60, sent_up_to + rng.randrange(1, 6))
                        push(talk, ask, [revision for revision in range(sent_up_to + 1, until + 1) if revision % 3], until)
                        sent_up_to = until
            received += seen(talk)
            if sent_up_to == 60:
                break
        assert received == [revision for revision in range(1, 61) if revision % 3], seed
