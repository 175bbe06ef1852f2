"""Who asks for much at once is served in turns: no one of them more than its part, and others first."""

from random import Random

from coordnode.errors import Overloaded
from coordnode.ids import SessionId
from coordnode.net.guests import Guest
from coordnode.node.eager import (
    QUANTUM,
    SESSIONS_PER_UNIT,
    SHED_EVERY_MS,
    UNDER_WAY_BESIDE_OTHERS,
    UNIT_BYTES,
    UNITS_BESIDE_OTHERS,
    WAITED_MS_MAX,
)
from coordnode.node.inbox import ASKS_PER_TURN, OTHERS_MS, Inbox
from coordnode.services.dialogue import Ask, ErrorReply, KeepAliveAsk, ReadAsk, UnwatchAsk, WriteAsk
from tests.unit.node.test_inbox import Told, writes


class Asking:
    """A connection; what was asked on it and not answered is what the test says."""

    def __init__(self, connection: int, guest: Guest) -> None:
        self.connection = connection
        self.guest = guest
        self.outstanding = 0
        self.charged_bytes = 0


class House:
    def __init__(self) -> None:
        self.told = Told()
        self.inbox = Inbox(self.told, Random(1).randrange)
        self.now_ms = 1_000
        self.links: dict[int, Asking] = {}

    def link(self, connection: int, guest: Guest) -> Asking:
        return self.links.setdefault(connection, Asking(connection, guest))

    def say(self, link: Asking, asks: list[Ask], patience_ms: int = 0) -> None:
        link.outstanding += len(asks)
        self.inbox.on_eager_asks(link, asks, patience_ms, self.now_ms)

    def turn(self) -> list[tuple[int, Ask]]:
        return self.inbox.take(self.now_ms).asks

    def answered(self, asks: list[tuple[int, Ask]], size: int = 0) -> None:
        for connection, _ in asks:
            if connection in self.links:
                self.links[connection].outstanding -= 1
                self.links[connection].charged_bytes += size


def counts(asks: list[tuple[int, Ask]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for connection, _ in asks:
        found[connection] = found.get(connection, 0) + 1
    return found


def test_others_come_first_and_who_asks_for_thousands_gets_only_so_much_beside_them() -> None:
    house = House()
    hog = house.link(1, Guest("hog"))
    house.say(hog, writes(4_000))
    for turn in range(10):
        house.inbox.on_asks(2, writes(1, turn), 0)
        asks = house.turn()
        assert asks[0] == (2, WriteAsk(turn, b""))
        assert QUANTUM < len(asks) <= 1 + UNITS_BESIDE_OTHERS, "what nobody knows the cost of is taken with care"
        house.answered(asks)
    assert len(asks) == 1 + UNITS_BESIDE_OTHERS
    assert house.inbox.has_more()


def test_alone_it_gets_the_whole_turn_and_its_asks_keep_their_order() -> None:
    house = House()
    house.say(house.link(1, Guest("hog")), writes(1_000))
    house.say(house.link(1, Guest("hog")), writes(1_000, 1_000))
    assert house.inbox.is_full()
    asks = house.turn() + house.turn()
    assert [ask.request for _, ask in asks] == list(range(2_000))
    assert house.inbox.is_empty()


def test_what_follows_on_its_connection_comes_after_what_waits_in_its_line() -> None:
    house = House()
    house.say(house.link(1, Guest("hog")), writes(2 * ASKS_PER_TURN))
    house.inbox.on_asks(1, writes(1, 9_999), 0)
    asks = [*house.turn(), *house.turn(), *house.turn()]
    assert [ask.request for _, ask in asks] == [*range(2 * ASKS_PER_TURN), 9_999]


def test_identities_take_turns_first_then_the_connections_of_each() -> None:
    house = House()
    crowd, one = Guest("crowd"), Guest("one")
    for connection in range(10, 40):
        house.say(house.link(connection, crowd), writes(200))
    house.say(house.link(1, one), writes(4_000))
    found = counts(house.turn())
    assert abs(found[1] - ASKS_PER_TURN // 2) <= QUANTUM
    assert {found.get(connection, 0) for connection in range(10, 40)} <= {QUANTUM, 2 * QUANTUM}


def test_a_line_pays_for_what_it_was_answered_before_it_takes_more() -> None:
    house = House()
    ranges, puts = house.link(1, Guest("ranges")), house.link(2, Guest("puts"))
    reads: list[Ask] = [ReadAsk(number, b"") for number in range(2_000)]
    house.say(ranges, reads)
    house.say(puts, writes(4_000))
    taken: dict[int, int] = {}
    for turn in range(60):
        house.inbox.on_asks(3, writes(1, turn), 0)
        asks = house.turn()
        for connection, count in counts(asks).items():
            taken[connection] = taken.get(connection, 0) + count
        house.answered([one for one in asks if one[0] == 1], size=512 * UNIT_BYTES)
        house.answered([one for one in asks if one[0] == 2])
    assert taken[1] * 512 <= 60 * UNITS_BESIDE_OTHERS + 2 * UNDER_WAY_BESIDE_OTHERS * 512 // 8
    assert taken[1] <= UNDER_WAY_BESIDE_OTHERS // 8 + 4
    assert taken[2] >= 55 * UNITS_BESIDE_OTHERS // 2


def test_a_large_write_costs_as_many_turns_as_its_bytes() -> None:
    house = House()
    large, small = house.link(1, Guest("large")), house.link(2, Guest("small"))
    house.say(large, [WriteAsk(number, bytes(64 * UNIT_BYTES)) for number in range(8)])
    house.say(small, writes(4_000))
    found: dict[int, int] = {}
    for turn in range(8):
        house.inbox.on_asks(3, writes(1, turn), 0)
        asks = house.turn()
        house.answered(asks)
        for connection, count in counts(asks).items():
            found[connection] = found.get(connection, 0) + count
    assert 3 <= found[1] <= 6
    assert found[2] >= 3 * UNITS_BESIDE_OTHERS


def test_beside_others_a_line_has_only_so_much_under_way_and_waits_for_its_answers() -> None:
    house = House()
    hog = house.link(1, Guest("hog"))
    house.say(hog, writes(4_000))
    taken = []
    for turn in range(8):
        house.inbox.on_asks(2, writes(1, turn), 0)
        taken += [one for one in house.turn() if one[0] == 1]
    assert len(taken) <= UNDER_WAY_BESIDE_OTHERS
    assert not house.inbox.has_more(), "it would be a turn for nothing"
    house.answered(taken)
    assert house.inbox.has_more()
    house.now_ms += OTHERS_MS
    assert len(house.turn()) >= ASKS_PER_TURN, "the others are gone"


def test_what_cannot_be_carried_out_in_time_is_refused_with_a_jittered_time_to_come_again() -> None:
    house = House()
    hog = house.link(1, Guest("hog"))
    house.say(hog, writes(3_000))
    house.now_ms += WAITED_MS_MAX
    house.say(hog, [*writes(3, 5_000), UnwatchAsk(6_000)])
    refused = [answer for _, answer in house.told.answers]
    assert [answer.request for answer in refused] == [5_000, 5_001, 5_002]
    house.say(hog, writes(1, 5_003))
    assert len(house.told.answers) == 3, "who does not listen is not answered the faster for it"
    house.now_ms += SHED_EVERY_MS
    house.say(hog, writes(1, 5_004))
    hints = []
    for answer in [*refused, house.told.answers[-1][1]]:
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.definite) == (Overloaded.code, True)
        assert WAITED_MS_MAX // 2 <= answer.retry_after_ms < 2 * WAITED_MS_MAX
        hints.append(answer.retry_after_ms)
    assert len(set(hints)) > 1
    assert house.inbox.lines.shed == 4
    asks = [*house.turn(), *house.turn(), *house.turn()]
    assert asks[-2:] == [(1, UnwatchAsk(6_000)), (1, WriteAsk(5_003, b""))], "what asks for less is heard"


def test_whoever_lost_patience_in_a_line_is_told_that_nothing_was_done() -> None:
    house = House()
    house.say(house.link(1, Guest("hog")), writes(2), patience_ms=50)
    house.now_ms += 51
    assert house.turn() == []
    assert [(answer.request, isinstance(answer, ErrorReply)) for _, answer in house.told.answers] == [(0, True), (1, True)]


def test_one_keep_alive_in_a_turn_does_not_wait_in_the_line() -> None:
    house = House()
    hog = house.link(1, Guest("hog"))
    house.say(hog, writes(4_000))
    house.inbox.on_asks(2, writes(1), 0)
    for request in (8_000, 8_001, 8_002):
        house.say(hog, [KeepAliveAsk(request, [SessionId(1)])])
    asks = house.turn()
    assert asks[0] == (1, KeepAliveAsk(8_000, [SessionId(1)]))
    assert sum(isinstance(ask, KeepAliveAsk) for _, ask in asks) == 1
    house.say(hog, [KeepAliveAsk(8_003, [SessionId(1)])])
    assert house.turn()[0] == (1, KeepAliveAsk(8_003, [SessionId(1)]))


def test_a_keep_alive_of_who_asks_for_much_is_not_followed_by_another_while_it_waits() -> None:
    house = House()
    named = [SessionId(1)] * SESSIONS_PER_UNIT * ASKS_PER_TURN
    for connection in (1, 2):
        house.inbox.on_asks(connection, [KeepAliveAsk(1, named)], 0)
    hog = house.link(3, Guest("hog"))
    for request in range(3):
        house.say(hog, [KeepAliveAsk(request, [SessionId(1)])])
        assert house.inbox.lines.waiting == request
        house.inbox.take(house.now_ms, with_asks=False)


def test_a_line_whose_connection_is_gone_is_forgotten() -> None:
    house = House()
    house.say(house.link(1, Guest("hog")), writes(4_000))
    house.say(house.link(2, Guest("hog")), writes(10))
    house.inbox.on_closed(1)
    assert (house.inbox.lines.waiting, house.inbox.lines.count()) == (10, 1)
    assert counts(house.turn()) == {2: 10}
    house.inbox.on_closed(2)
    assert house.inbox.is_empty()
