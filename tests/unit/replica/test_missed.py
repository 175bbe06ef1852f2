"""What watches missed is read once for all that come together, and for each it is what the history says."""

import random

from coordnode.ids import NO_SESSION, Revision
from coordnode.replica.missed import Missed
from coordnode.replica.watching import Watching
from coordnode.services.commands import COUNTERS, KV, Change, Event
from coordnode.services.dialogue import WatchAsk

KEYS = [b"a", b"b", b"c", b"d"]


class History:
    """Stands for the machine, of which nothing else is asked."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._changes: list[Change] = []
        self.read = 0

    @property
    def revision(self) -> Revision:
        return Revision(len(self._changes))

    history_floor = Revision(1)

    def trim(self) -> None:
        self.history_floor = Revision(max(self.history_floor, self.revision - self._chance.randrange(5)))

    def grow(self) -> None:
        for _ in range(self._chance.randrange(4)):
            events = [Event(0, key, b"", 0, NO_SESSION, space) for key in KEYS for space in (KV, COUNTERS) if self._chance.random() < 0.3]
            self._changes.append(Change(Revision(len(self._changes) + 1), events))

    def changes(self, after: Revision, up_to: Revision) -> list[Change]:
        assert after + 1 >= self.history_floor
        self.read += up_to - after
        return self._changes[after:up_to]


def told(ask: WatchAsk, missed: list[Change], revision: Revision) -> object:
    return Watching(1_000).begin(1, ask, missed, revision)


def test_each_watch_is_told_what_the_history_says() -> None:
    chance = random.Random(7)
    for _ in range(300):
        history, missed = History(chance), Missed()
        for number in range(30):
            history.grow()
            if chance.random() < 0.1:
                missed.tick()
            if chance.random() < 0.1:
                history.trim()
            key = chance.choice(KEYS)
            end = chance.choice([key + b"\0", b"", b"c"])
            start = Revision(chance.randrange(history.history_floor, history.revision + 3))
            ask = WatchAsk(number, key, end, start, chance.choice([KV, COUNTERS]))
            found = missed.of(history, ask)  # type: ignore[arg-type]
            whole = history.changes(Revision(ask.start_revision - 1), history.revision)
            assert told(ask, found, history.revision) == told(ask, whole, history.revision)


def test_a_crowd_reads_each_change_once() -> None:
    chance = random.Random(8)
    history, missed = History(chance), Missed()
    while history.revision < 50:
        history.grow()
    for number in range(1_000):
        missed.of(history, WatchAsk(number, b"a", b"a\0", Revision(2 + number * 7 % 40), KV))  # type: ignore[arg-type]
        if number % 100 == 0:
            missed.tick()
    assert history.read == history.revision - 1
    missed.tick()
    missed.tick()
    missed.of(history, WatchAsk(0, b"a", b"a\0", Revision(2), KV))  # type: ignore[arg-type]
    assert history.read == 2 * (history.revision - 1), "nobody came between two ticks"
