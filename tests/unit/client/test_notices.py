"""What a session is told: one subscription, taken up behind what was seen, and gaps that are said."""

import random

from coordnode.client.actions import WatchEvents, WatchFailed, WatchGapSeen
from coordnode.client.core import ClientCore
from coordnode.client.inboxes import Receiver
from coordnode.client.notices import Notices
from coordnode.errors import BadRequest
from coordnode.ids import MemberId, Revision, SessionId, Token
from coordnode.services.commands import LOCKS, NOTICES, Change, Event, LockGiven, LockTaken, Notice, encode

GIVEN = LockGiven(b"x", Token(5), Token(6))
TAKEN = LockTaken(b"x", Token(6), "why", "ann")


class Told:
    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes, int, int]] = []
        core = ClientCore([MemberId(1)], random.Random(1))
        watch = core.watch

        def note(start: bytes, end: bytes, start_revision: int, now_ms: int, *, space: int = 0, is_lasting: bool = False) -> int:
            assert is_lasting, "it goes on for as long as the session"
            self.asked.append((start, end, start_revision, space))
            return watch(start, end, start_revision, now_ms, space=space, is_lasting=is_lasting)

        core.watch = note  # type: ignore[method-assign]
        self.receivers: dict[int, Receiver] = {}
        self.notices = Notices(core, self.receivers, SessionId(9))
        self.seen: list[Notice] = []
        self.notices.attach(self.seen.append)

    def events(self, revision: int, *notices: Notice) -> WatchEvents:
        events = [Event(LOCKS, b"", encode(notice), 0, SessionId(9), NOTICES) for notice in notices]
        (number,) = self.receivers
        return WatchEvents(number, [Change(Revision(revision), events)], Revision(revision))


KEY = (9).to_bytes(8, "big")


def test_one_subscription_for_all_who_listen() -> None:
    told = Told()
    told.notices.start(7, 0)
    told.notices.start(3, 0)
    assert told.asked == [(KEY, KEY + b"\0", 7, NOTICES)]
    other: list[Notice] = []
    told.notices.attach(other.append)
    told.notices.on_event(told.events(8, GIVEN, TAKEN))
    assert told.seen == other == [GIVEN, TAKEN]
    told.notices.detach(other.append)
    told.notices.on_event(told.events(9, TAKEN))
    assert (told.seen, other) == ([GIVEN, TAKEN, TAKEN], [GIVEN, TAKEN])


def test_after_a_gap_it_goes_on_from_the_floor_and_says_so() -> None:
    told = Told()
    told.notices.start(7, 0)
    (number,) = told.receivers
    told.notices.on_event(WatchGapSeen(number, Revision(50)))
    assert told.notices.gaps == 1
    assert told.asked[-1] == (KEY, KEY + b"\0", 50, NOTICES)
    told.notices.on_event(told.events(51, GIVEN))
    assert told.seen == [GIVEN]


def test_a_refusal_is_a_gap_and_what_comes_after_it_is_heard() -> None:
    told = Told()
    told.notices.start(7, 0)
    (number,) = told.receivers
    told.notices.on_event(WatchFailed(number, BadRequest("no")))
    assert told.notices.gaps == 1
    told.notices.on_event(told.events(8, GIVEN))
    assert told.seen == [GIVEN]


def test_after_its_end_nothing_begins_anew() -> None:
    told = Told()
    told.notices.start(7, 0)
    told.notices.end()
    told.notices.start(8, 0)
    assert told.receivers == {}
    assert len(told.asked) == 1
