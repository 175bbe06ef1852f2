"""A claim on etcd, told without sockets: what a member answers comes in, what the runner is told goes out."""

from base64 import b64encode
from typing import Any

from coordctl.engines.etcd.gateway import Answer, Ask
from coordctl.engines.etcd.talk import Talk, Watch
from coordctl.engines.lines import Place
from coordctl.engines.speaking import Send
from coordctl.hot.locks import Wish
from coordctl.hot.talk import Connect
from coordctl.runner import ending, outcome
from coordctl.runner.claim import Claim, Terms
from coordctl.runner.source import Closed, Granted, Lost, Refused, Renewed
from tests.unit.coordctl.test_talk import NoChance

NONCE = b"\x10" * 16
SESSION = int.from_bytes(NONCE[:8]) >> 12 | 1
TTL_MS = 9_000
FOLDER = b"coordctl/locks/x"
MINE, OTHER = b"%x" % SESSION, b"77"


def text(content: bytes) -> str:
    return b64encode(content).decode()


def head(revision: int, term: int = 2) -> dict[str, str]:
    return {"revision": str(revision), "raft_term": str(term)}


def row(key: bytes, created: int, session: int) -> dict[str, Any]:
    kept = Place(key, created, session, "ops@web1").kept()
    return {"key": text(FOLDER + b"/" + key), "value": text(kept), "create_revision": str(created), "lease": str(session)}


class World:
    def __init__(self, **changes: Any) -> None:
        self.talk = Talk(["10.0.0.1:1", "10.0.0.2:1"], NoChance(), 0)
        self.claim = Claim(self.talk, Terms(Wish("x"), TTL_MS, "me", 10_000)._replace(**changes), lambda: NONCE, 1)
        self.asked: list[Ask] = []
        self.watched: list[Ask] = []
        self.connected: list[str] = []
        self.turn(1)

    def turn(self, now_ms: int) -> list[Any]:
        told = self.claim.poll(now_ms)
        while actions := self.talk.poll(now_ms):
            for action in actions:
                if isinstance(action, Connect):
                    self.connected.append(action.address)
                    self.talk.on_connected(now_ms)
                elif isinstance(action, Send):
                    self.asked.append(action.ask)
                elif isinstance(action, Watch):
                    self.watched.append(action.ask)
        return told + self.claim.poll(now_ms)

    def answer(self, path: str, body: dict[str, Any], now_ms: int, status: int = 200) -> list[Any]:
        assert [ask.path for ask in self.asked] == [path]
        self.asked.clear()
        self.talk.on_answer(Answer(status, body), now_ms)
        return self.turn(now_ms)

    def enter(self, *rows: dict[str, Any], now_ms: int = 10) -> list[Any]:
        self.answer("lease/grant", {"header": head(5), "ID": str(SESSION), "TTL": "9"}, now_ms)
        found = {"response_range": {"header": head(11), "kvs": list(rows)}}
        return self.answer("kv/txn", {"header": head(11), "succeeded": True, "responses": [{"response_put": {}}, found]}, now_ms)

    def alive(self, now_ms: int, term: int = 2, ttl: int = 9) -> list[Any]:
        return self.answer("lease/keepalive", {"result": {"header": head(11, term), "ID": str(SESSION), "TTL": str(ttl)}}, now_ms)

    def confirmed(self, now_ms: int, term: int = 2, *, is_there: bool = True) -> list[Any]:
        return self.answer("kv/txn", {"header": head(11, term), **({"succeeded": True} if is_there else {})}, now_ms)

    def looked(self, *rows: dict[str, Any], now_ms: int) -> list[Any]:
        return self.answer("kv/range", {"header": head(13), "kvs": list(rows)}, now_ms)

    def left(self, key: bytes, now_ms: int) -> list[Any]:
        event = {"type": "DELETE", "kv": {"key": text(FOLDER + b"/" + key), "mod_revision": "12"}}
        self.talk.on_watched(Answer(200, {"result": {"header": head(12), "events": [event]}}), now_ms)
        return self.turn(now_ms)


def granted() -> World:
    world = World()
    (told,) = world.enter(row(MINE, 11, SESSION))
    assert isinstance(told, Granted)
    assert (told.token, told.environment["COORD_SESSION"]) == (11, str(SESSION))
    assert told.deadline_ms <= TTL_MS, "counted from when the lease was asked for"
    return world


def test_a_renewal_counts_from_its_sending_and_only_once_the_log_confirmed_it_in_the_same_term() -> None:
    world = granted()
    assert world.turn(3_001) == []
    assert world.alive(3_050) == [], "a leader that was deposed answers keep-alives, too"
    (told,) = world.confirmed(3_060)
    assert isinstance(told, Renewed)
    assert 3_001 + TTL_MS - 100 < told.deadline_ms <= 3_001 + TTL_MS


def test_another_term_than_that_of_the_keep_alive_makes_it_ask_again() -> None:
    world = granted()
    world.turn(3_001)
    world.alive(3_050, term=2)
    assert world.confirmed(3_060, term=3) == []
    world.alive(3_100, term=3)
    (told,) = world.confirmed(3_110, term=3)
    assert isinstance(told, Renewed)


def test_without_a_confirmation_it_is_lost_on_our_own_clock() -> None:
    world = granted()
    world.turn(3_001)
    world.alive(3_010)
    told = world.turn(TTL_MS + 1)
    assert [type(one) for one in told] == [Lost]
    assert told[0].reason == ending.LOST


def test_a_waiter_is_given_it_when_those_before_it_have_left() -> None:
    world = World()
    assert world.enter(row(OTHER, 9, 77), row(b"78", 10, 78), row(MINE, 11, SESSION)) == []
    assert world.watched[0].body["create_request"]["start_revision"] == 12
    assert world.left(b"78", 100) == [], "who stood before us gave up, but it is still held"
    assert world.left(OTHER, 200) == []
    assert world.alive(210) == []
    told = world.confirmed(220)
    assert [type(one) for one in told] == [Granted]
    assert 200 + TTL_MS - 100 < told[0].deadline_ms <= 200 + TTL_MS


def test_a_waiter_whose_watch_died_in_silence_is_given_it_at_its_next_renewal() -> None:
    """Behind something that forgets connections: its renewals go on, so nobody else would be given it, either."""
    world = World()
    world.enter(row(OTHER, 9, 77), row(b"78", 10, 78), row(MINE, 11, SESSION))
    world.turn(3_001)
    world.alive(3_010)
    assert world.asked[0].body["max_create_revision"] == 11, "who came later is nothing to us"
    assert world.looked(row(OTHER, 9, 77), row(MINE, 11, SESSION), now_ms=3_020) == []
    assert len(world.watched) == 2, "it has not told who left, and is begun anew"
    world.turn(6_002)
    world.alive(6_010)
    world.looked(row(MINE, 11, SESSION), now_ms=6_020)
    world.alive(6_030)
    told = world.confirmed(6_040)
    assert [type(one) for one in told] == [Granted]


def test_a_waiter_that_finds_the_line_as_it_knows_it_leaves_its_watch_alone() -> None:
    world = World()
    world.enter(row(OTHER, 9, 77), row(MINE, 11, SESSION))
    world.turn(3_001)
    world.alive(3_010)
    assert world.looked(row(OTHER, 9, 77), row(MINE, 11, SESSION), now_ms=3_020) == []
    assert (world.asked, len(world.watched)) == ([], 1)


def test_a_waiter_that_finds_its_own_place_gone_begins_anew() -> None:
    world = World()
    world.enter(row(OTHER, 9, 77), row(MINE, 11, SESSION))
    world.turn(3_001)
    world.alive(3_010)
    assert world.looked(row(OTHER, 9, 77), now_ms=3_020) == []
    assert [ask.path for ask in world.asked] == ["kv/deleterange"], "why is looked for"


def test_a_waiter_whose_place_is_gone_when_its_turn_comes_begins_anew() -> None:
    """etcd#11456: a lock that was returned after the wait, although the lease was over."""
    world = World()
    world.enter(row(OTHER, 9, 77), row(MINE, 11, SESSION))
    world.left(OTHER, 200)
    world.alive(210)
    assert world.confirmed(220, is_there=False) == []
    world.answer("kv/deleterange", {"header": head(12)}, 230)
    assert world.answer("lease/timetolive", {"header": head(12), "TTL": "-1"}, 240) == []
    assert [ask.path for ask in world.asked] == ["lease/grant"]


def test_who_breaks_it_and_why_is_told() -> None:
    world = granted()
    assert world.left(MINE, 100) == []
    why = {"value": text(b'{"reason":"host retired","by":"ops@web1"}')}
    (told,) = world.answer("kv/deleterange", {"header": head(12), "deleted": "1", "prev_kvs": [why]}, 110)
    assert told == Lost(ending.BROKEN, "x was broken by ops@web1: host retired")


def test_a_place_that_another_tool_took_away_is_lost_as_well() -> None:
    world = granted()
    world.left(MINE, 100)
    world.answer("kv/deleterange", {"header": head(12)}, 110)
    (told,) = world.answer("lease/timetolive", {"header": head(12), "TTL": "5"}, 120)
    assert told.sentence == "x was broken by somebody, with another tool"


def test_a_lease_that_is_over_is_a_loss() -> None:
    world = granted()
    world.turn(3_001)
    (told,) = world.answer("lease/keepalive", {"result": {"header": head(11), "ID": str(SESSION)}}, 3_010)
    assert told == Lost(ending.LOST, "x is lost: the cluster ended its session")


def test_an_opening_that_was_cut_off_is_begun_again_elsewhere_and_counts_from_its_first_sending() -> None:
    world = World()
    assert world.connected == ["10.0.0.1:1"]
    world.asked.clear()
    world.turn(700)
    world.turn(800)
    assert world.connected == ["10.0.0.1:1", "10.0.0.2:1"]
    world.answer("lease/grant", {"code": 9, "message": "etcdserver: lease already exists"}, 810, status=400)
    world.answer("lease/timetolive", {"header": head(5), "TTL": "8", "grantedTTL": "9"}, 820)
    found = {"response_range": {"header": head(11), "kvs": [row(MINE, 11, SESSION)]}}
    (told,) = world.answer("kv/txn", {"header": head(11), "responses": [found]}, 830)
    assert isinstance(told, Granted)
    assert told.deadline_ms <= TTL_MS + 1


def test_who_does_not_wait_is_told_who_holds_it() -> None:
    world = World(wish=Wish("x", waits=False))
    (told,) = world.enter(row(OTHER, 9, 77), row(MINE, 11, SESSION))
    assert isinstance(told, Refused)
    assert told.outcome == outcome.NOT_ACQUIRED
    assert "x is held by ops@web1" in told.sentence


def test_it_is_released_by_its_lease_and_a_lease_that_is_gone_is_released() -> None:
    world = granted()
    world.claim.close(100, succeeded=True)
    world.turn(100)
    assert world.asked[0].body == {"ID": SESSION}
    (told,) = world.answer("lease/revoke", {"code": 5, "message": "etcdserver: requested lease not found"}, 110, status=404)
    assert told == Closed()


def test_what_was_cut_off_and_asked_again_is_known_to_have_been() -> None:
    world = granted()
    put = [1, b"k", b"v", True]
    number = world.talk.write(put)
    world.turn(100)
    (first,) = world.asked
    assert first.body == {"key": b"k", "value": b"v", "lease": SESSION}, "what is bound goes with the session"
    assert world.talk.begun_again != number
    world.asked.clear()
    world.talk.on_disconnected("connection reset", 200)
    world.turn(2_000)
    assert world.asked == [first]
    assert world.talk.begun_again == number


def test_what_something_else_says_in_place_of_a_member_is_asked_again_elsewhere() -> None:
    """A proxy whose member has gone: neither what is asked nor what it says is an end of anything."""
    world = World()
    (grant,) = world.asked
    for turn, answer in enumerate([Answer(502, "<html>Bad Gateway</html>"), Answer(404, "404 page not found")], 1):
        world.asked.clear()
        world.talk.on_answer(answer, turn * 2_000)
        assert world.turn(turn * 2_000 + 1_000) == []
        assert world.asked == [grant]
    assert world.connected == ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:1"]
