"""A claim on ZooKeeper, told without sockets: what a server answers comes in, what the runner is told goes out."""

from typing import Any

from coordctl.engines.lines import Place
from coordctl.engines.speaking import Send
from coordctl.engines.zookeeper import jute
from coordctl.engines.zookeeper.jute import Answer, Ask, Greeted
from coordctl.engines.zookeeper.talk import Greet, Talk
from coordctl.hot.locks import Wish
from coordctl.hot.talk import Connect
from coordctl.runner import ending
from coordctl.runner.claim import Claim, Terms
from coordctl.runner.source import Closed, Granted, Lost, Renewed
from tests.unit.coordctl.test_talk import NoChance

NONCE = b"\x10" * 16
SESSION, OTHER_SESSION, TTL_MS = 72_057, 77, 8_000
FOLDER = b"/coordctl/locks/x"
MINE = NONCE.hex().encode() + b"__lock__0000000002"
OTHER = b"aa__lock__0000000001"
END = jute.number(-1) + b"\1" + jute.number(-1)
DONE = jute.number(jute.CHECK) + b"\0" + jute.number(0) + END
REFUSED = jute.number(-1) + b"\0" + jute.number(-101) + jute.number(-101) + END


def stat(created: int, owner: int) -> bytes:
    return jute.long(created) + jute.long(created) + bytes(16) + jute.number(0) + bytes(8) + jute.long(owner) + bytes(16)


def node(key: bytes, created: int, owner: int) -> bytes:
    return jute.buffer(Place(key, created, owner, "ops@web1").kept()) + stat(created, owner)


def listed(*names: bytes) -> bytes:
    return jute.number(len(names)) + b"".join(map(jute.buffer, names)) + bytes(68)


class World:
    def __init__(self) -> None:
        self.talk = Talk(["10.0.0.1:1", "10.0.0.2:1"], NoChance(), 0)
        self.claim = Claim(self.talk, Terms(Wish("x"), TTL_MS, "me", 10_000), lambda: NONCE, 1)
        self.asked: list[Ask] = []
        self.greetings: list[Greet] = []
        self.turn(1)

    def turn(self, now_ms: int) -> list[Any]:
        told = self.claim.poll(now_ms)
        while actions := self.talk.poll(now_ms):
            for action in actions:
                if isinstance(action, Connect):
                    self.talk.on_connected(now_ms)
                elif isinstance(action, Greet):
                    self.greetings.append(action)
                elif isinstance(action, Send):
                    self.asked.append(action.ask)
        return told + self.claim.poll(now_ms)

    def greet(self, now_ms: int, session: int = SESSION) -> list[Any]:
        self.talk.on_greeted(Greeted(session, TTL_MS, b"p" * 16), now_ms)
        return self.turn(now_ms)

    def answer(self, kind: int, body: bytes, now_ms: int, error: int = 0) -> list[Any]:
        assert [ask.kind for ask in self.asked] == [kind]
        self.asked.clear()
        self.talk.on_answer(Answer(20, error, body), now_ms)
        return self.turn(now_ms)

    def enter(self, *others: tuple[bytes, int, int]) -> list[Any]:
        self.greet(5)
        self.answer(jute.CREATE2, jute.buffer(FOLDER + b"/" + MINE) + stat(12, SESSION), 6)
        self.answer(jute.CHILDREN, listed(*[key for key, _, _ in others], MINE), 7)
        for key, created, owner in others:
            self.answer(jute.GET, node(key, created, owner), 8)
        return self.answer(jute.GET, node(MINE, 12, SESSION), 9)


def granted() -> World:
    world = World()
    (told,) = world.enter()
    assert isinstance(told, Granted)
    assert (told.token, told.environment["COORD_SESSION"]) == (12, str(SESSION))
    assert told.deadline_ms <= TTL_MS, "counted from when the session was asked for"
    assert world.turn(10) == []
    world.answer(jute.GET, node(MINE, 12, SESSION), 11)  # its own place is watched
    return world


def test_a_renewal_extends_what_was_sent_a_quarter_of_the_lease_before_it() -> None:
    """What a follower answers at once its leader may not have heard of."""
    world = granted()
    deadlines = []
    for sent_ms in (1_400, 2_800, 4_200, 5_600):
        world.turn(sent_ms)
        deadlines += [told.deadline_ms for told in world.answer(jute.MULTI, DONE, sent_ms + 5) if isinstance(told, Renewed)]
    latest = 1_400 + TTL_MS, 2_800 + TTL_MS
    assert [one <= bound for one, bound in zip(deadlines[-2:], latest, strict=True)] == [True, True], deadlines
    assert deadlines[-1] > 2_800 + TTL_MS - 100


def test_pings_renew_nothing_by_themselves() -> None:
    world = World()
    assert world.enter((OTHER, 9, OTHER_SESSION)) == []
    until_ms = world.talk.lease.until_ms
    world.turn(1_400)
    pings = [ask for ask in world.asked if ask.kind == jute.PING]
    assert pings or world.asked, "it is told that we are there"
    assert world.talk.lease.until_ms == until_ms


def waiting() -> World:
    world = World()
    assert world.enter((OTHER, 9, OTHER_SESSION)) == []
    world.turn(10)
    world.answer(jute.CHILDREN, listed(OTHER, MINE), 11)
    world.answer(jute.GET, node(OTHER, 9, OTHER_SESSION), 12)  # the one before us is watched
    assert world.asked == []
    return world


def test_a_waiter_is_given_it_when_the_one_before_it_has_left_and_its_own_node_is_still_there() -> None:
    world = waiting()
    world.talk.on_event(FOLDER + b"/" + OTHER, 500)
    world.turn(500)
    assert world.answer(jute.CHILDREN, listed(MINE), 510) == []
    told = world.answer(jute.MULTI, jute.number(jute.SET) + b"\0" + jute.number(0) + bytes(68) + END, 520)
    assert [type(one) for one in told] == [Granted]


def test_a_waiter_whose_node_is_gone_when_its_turn_comes_begins_anew() -> None:
    world = waiting()
    world.talk.on_event(FOLDER + b"/" + OTHER, 500)
    world.turn(500)
    world.answer(jute.CHILDREN, listed(MINE), 510)
    assert world.answer(jute.MULTI, REFUSED, 520) == []
    world.answer(jute.GET, b"", 530, error=-101)
    assert world.greetings[-1].session == 0, "in a new session"


def test_a_holder_whose_node_is_gone_has_lost_it_and_is_told_why() -> None:
    world = granted()
    world.talk.on_event(FOLDER + b"/" + MINE, 100)
    world.turn(100)
    world.answer(jute.GET, b"", 110, error=-101)
    world.answer(jute.GET, jute.buffer(b'{"reason":"host retired","by":"ops@web1"}') + stat(13, 1), 120)
    (told,) = world.answer(jute.DELETE, b"", 130)
    assert told == Lost(ending.BROKEN, "x was broken by ops@web1: host retired")


def test_a_session_goes_on_at_another_server_and_its_end_is_a_loss() -> None:
    world = granted()
    world.talk.on_disconnected("hung up", 200)
    world.turn(400)
    assert (world.greetings[-1].session, world.greetings[-1].seen_zxid) == (SESSION, 20)
    (told,) = world.greet(410, session=0)
    assert told == Lost(ending.LOST, "x is lost: the cluster ended its session")


def test_without_a_confirmation_it_is_lost_on_our_own_clock() -> None:
    world = granted()
    world.talk.on_disconnected("hung up", 200)
    (told,) = world.turn(TTL_MS + 1)
    assert isinstance(told, Lost)


def test_a_node_that_may_have_been_made_is_looked_for_before_another_is() -> None:
    world = World()
    world.greet(5)
    world.asked.clear()
    world.talk.on_disconnected("hung up", 6)
    world.turn(300)
    world.greet(310)
    world.answer(jute.MULTI, DONE, 320)
    world.answer(jute.CHILDREN, listed(MINE), 330)
    world.answer(jute.CHILDREN, listed(MINE), 340)
    (told,) = world.answer(jute.GET, node(MINE, 12, SESSION), 350)
    assert isinstance(told, Granted)


def test_it_is_released_by_closing_its_session() -> None:
    world = granted()
    world.claim.close(100, succeeded=True)
    world.turn(100)
    (told,) = world.answer(jute.CLOSE, b"", 110)
    assert told == Closed()
