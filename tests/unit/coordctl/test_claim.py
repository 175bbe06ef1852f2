"""One claim, told without sockets: what the cluster answers comes in, what the runner is told goes out."""

import json
from typing import Any

from coordctl.hot import elections, groups
from coordctl.hot.locks import Wish
from coordctl.hot.talk import Send, Talk
from coordctl.runner import ending, outcome
from coordctl.runner.claim import Claim, Phase, Terms
from coordctl.runner.source import Closed, Granted, Lost, Refused
from coordnode.errors import ClusterReplaced, NotPermitted, NotReady, WrongCluster
from coordnode.services.commands import LeadershipGiven, LeadershipTaken, LockGiven, LockTaken, encode
from tests.unit.coordctl.test_talk import FIRST, NoChance

TOKEN, TICKET, SESSION = 1_000, 900, 44
NAME = b"x"
HOLDER = [700, 8, "ops@web1", 0, 1, 1, "nightly", 0, 2_000, 0]
LOCK = [NAME, 0, 0, 1, 1, 0, HOLDER]


class World:
    """A claim, its talk, and a leader that answers what it is told to."""

    def __init__(self, **changes: Any) -> None:
        self.talk = Talk([FIRST], NoChance())
        self.claim = Claim(self.talk, Terms(Wish("x"), 9_000, "me", 10_000)._replace(**changes), lambda: b"n" * 16, 0)
        self.asked: list[Any] = []
        self.turn(0)
        self.talk.on_connected(0)
        self.turn(0)

    def turn(self, now_ms: int) -> list[Any]:
        self.asked += [action.ask for action in self.talk.poll(now_ms) if isinstance(action, Send)]
        told = self.claim.poll(now_ms)
        self.asked += [action.ask for action in self.talk.poll(now_ms) if isinstance(action, Send)]
        return told

    def answer(self, result: list[Any], now_ms: int) -> list[Any]:
        """To the oldest write or read that is not answered."""
        ask = next(ask for ask in self.asked if ask[0] in (1, 2))
        self.asked.remove(ask)
        self.talk.on_answer([1, ask[1], 5, 0, result, 0], now_ms)
        return self.turn(now_ms)

    def notice(self, notice: bytes, now_ms: int, kind: int = 2) -> list[Any]:
        watch = next(ask for ask in self.asked if ask[0] == 4)
        revision = 20 + now_ms
        self.talk.on_answer([4, watch[1], [[revision, [[kind, "", notice, 0, SESSION, 1]]]], revision], now_ms)
        return self.turn(now_ms)

    def open(self, first: list[Any] | None, now_ms: int = 10) -> list[Any]:
        return self.answer([5, SESSION, 9_000, 11, first], now_ms)


def granted(**changes: Any) -> World:
    world = World(**changes)
    (told,) = world.open([30, 11, TOKEN, 1])
    assert isinstance(told, Granted)
    assert told.environment["COORD_TOKEN"] == str(told.token) == str(TOKEN)
    return world


def test_a_grant_at_once_and_one_by_notice() -> None:
    granted()
    world = World()
    assert world.open([31, 11, TICKET, 0, LOCK]) == []
    assert world.notice(encode(LockGiven(b"x", TICKET + 1, TOKEN)), 20) == [], "somebody else's ticket"
    (told,) = world.notice(encode(LockGiven(b"x", TICKET, TOKEN)), 30)
    assert isinstance(told, Granted)


def test_a_grant_on_the_rest_of_a_lease_waits_for_a_renewal() -> None:
    world = World()
    assert world.open([31, 11, TICKET, 0, LOCK]) == []
    assert world.notice(encode(LockGiven(b"x", TICKET, TOKEN)), 8_000) == []
    renewal = next(ask for ask in world.asked if ask[0] == 3)
    world.talk.on_answer([3, renewal[1], [[SESSION, 9_000]], []], 8_010)
    (told,) = world.turn(8_010)
    assert isinstance(told, Granted)
    assert told.deadline_ms > 16_000


def test_a_session_that_begins_anew_has_nothing_of_the_old_one() -> None:
    """Granted while asleep: the renewal says that the session is over, and the grant of the next one is found by looking, not by notice."""
    world = World()
    world.open([31, 11, TICKET, 0, LOCK])
    assert world.notice(encode(LockGiven(b"x", TICKET, TOKEN)), 8_900) == []
    renewal = next(ask for ask in world.asked if ask[0] == 3)
    world.asked.clear()
    world.talk.on_answer([3, renewal[1], [], [SESSION]], 9_300)
    assert world.turn(9_300) == []
    assert world.answer([5, SESSION + 1, 9_000, 50, [31, 50, TICKET + 7, 1, LOCK]], 9_310) == []
    watch = next(ask for ask in world.asked if ask[0] == 4)
    world.talk.on_answer([5, watch[1], 90], 9_400)
    world.turn(9_400)
    (told,) = world.answer([36, 95, [[NAME, TOKEN + 50, TICKET + 7]], False], 9_500)
    assert isinstance(told, Granted)
    assert told.token == TOKEN + 50


def test_whose_cluster_was_replaced_has_lost_it_at_once_and_who_waited_waits_again() -> None:
    world = granted()
    world.talk.on_refused(ClusterReplaced("it was replaced by 2"), 20)
    (lost,) = world.turn(20)
    assert isinstance(lost, Lost)
    world = World()
    world.open([31, 11, TICKET, 0, LOCK])
    world.asked.clear()
    world.talk.on_refused(ClusterReplaced("it was replaced by 2"), 20)
    assert world.turn(20) == []
    assert world.claim.phase == Phase.OPENING
    world.turn(500)
    world.talk.on_connected(500)
    world.turn(500)
    (told,) = world.answer([5, 3, 9_000, 2, [30, 2, TOKEN, 1]], 510)
    assert isinstance(told, Granted)


def test_nothing_is_left_of_what_nobody_let_in() -> None:
    def asked_again() -> World:
        world = World()
        world.talk.on_disconnected("connection refused", 1)
        world.turn(500)
        world.talk.on_connected(500)
        world.turn(500)
        return world

    world = asked_again()
    world.claim.close(505, succeeded=False)
    assert world.turn(505) == [], "it may have been read"
    world.talk.on_refused(NotPermitted("who are you?"), 520)
    assert world.turn(520) == [Closed()]
    world = asked_again()
    world.talk.on_refused(NotReady("not yet"), 520)
    world.claim.close(525, succeeded=False)
    assert world.turn(525) == [Closed()]


def test_who_waited_in_vain_and_heard_nobody_says_what_members_did() -> None:
    world = World(wait_ms=1_000)
    world.talk.on_disconnected("fell silent", 20)
    world.turn(1_000)
    (told,) = world.turn(2_000)
    assert told.outcome == outcome.NOT_ACQUIRED
    assert f"{FIRST}: fell silent" in told.sentence


def test_busy_names_the_holder() -> None:
    world = World()
    (told,) = world.open([32, 11, LOCK])
    assert isinstance(told, Refused)
    assert told.outcome == outcome.NOT_ACQUIRED
    assert "held by ops@web1, for 2 s (nightly)" in told.sentence


def test_errors_are_sorted() -> None:
    for code, kind in ((14, outcome.WRONG), (34, outcome.WRONG), (15, outcome.NOT_PERMITTED), (32, outcome.NOT_ACQUIRED)):
        (told,) = World().open([6, code, "why"])
        assert (told.outcome, told.sentence) == (kind, "why")


def test_silence_is_unreachable() -> None:
    world = World()
    assert world.turn(9_999) == []
    (told,) = world.turn(10_000)
    assert told.outcome == outcome.UNREACHABLE


def test_losses() -> None:
    world = granted()
    assert world.notice(encode(LockTaken(b"x", TOKEN - 1, "why", "me")), 20) == [], "an older token"
    world = granted()
    assert world.notice(encode(LockTaken(b"x", TOKEN, "why", "ops")), 20) == [Lost(ending.BROKEN, "x was broken by ops: why")]
    world = granted()
    (told,) = world.turn(world.talk.lease.until_ms)
    assert told.reason == ending.LOST


def test_a_missed_break_is_found_out() -> None:
    world = granted()
    watch = next(ask for ask in world.asked if ask[0] == 4)
    world.talk.on_answer([5, watch[1], 90], 30)
    world.turn(30)
    (told,) = world.answer([36, 12, [], False], 40)
    assert (type(told), told.reason) == (Lost, ending.BROKEN)


def test_an_outer_session_of_another_cluster_is_left_out() -> None:
    world = World(parent=10**12)
    assert world.asked[0][2][4][5] == 10**12
    assert world.answer([6, 14, "there never was one of that number"], 5) == []
    assert world.asked[0][2][4][5] == 0


def test_an_outer_session_of_another_cluster_is_not_even_named_there() -> None:
    """Its number may be that of somebody else's session."""
    world = World(parent=12, parent_cluster=77)
    assert world.asked.pop()[2][4][5] == 12
    assert world.talk.cluster == 77, "that is what the hello asks for: another cluster reads no more than this"
    world.talk.on_hello([78, 1], 5)
    world.turn(5)
    world.talk.on_connected(6)
    world.turn(6)
    assert world.asked[0][2][4][5] == 0
    world.talk.on_hello([78, 1], 7)
    (told,) = world.open([30, 11, TOKEN, 1])
    assert told.environment["COORD_SESSION_CLUSTER"] == "78"


def test_an_outer_session_is_left_out_where_a_member_refuses_its_cluster() -> None:
    world = World(parent=12, parent_cluster=77)
    world.asked.clear()
    world.talk.on_refused(WrongCluster("this is cluster 78, not 77"), 5)
    world.turn(5)
    world.talk.on_connected(6)
    world.turn(6)
    assert (world.talk.cluster, world.asked[0][2][4][5]) == (0, 0)


def test_an_outer_session_of_the_same_cluster_stays() -> None:
    world = World(parent=12, parent_cluster=77)
    world.talk.on_hello([77, 1], 5)
    (told,) = world.open([30, 11, TOKEN, 1])
    assert told.environment["COORD_SESSION_CLUSTER"] == "77"
    assert world.claim.phase == Phase.HELD


def record(until_ms: int) -> bytes:
    return json.dumps({"by": "ops@web1", "at_unix_ms": 0, "until_unix_ms": until_ms}).encode()


def item(key: str, value: bytes) -> list[Any]:
    return [key.encode(), value, 1, 1, 1, 0]


def test_once() -> None:
    world = World(once="k", keep_ms=1_000)
    assert world.open([30, 11, TOKEN, 1]) == []
    (told,) = world.answer([3, 11, [item("coordctl/once/x/k", record(5_000))], False], 20)
    assert told == Refused(outcome.DONE_BEFORE, "k was done by ops@web1, at 1970-01-01 00:00:00Z")


def test_an_answer_about_once_that_took_long_grants_no_lease_that_is_over() -> None:
    world = World(once="k", keep_ms=1_000)
    world.open([30, 11, TOKEN, 1])
    late_ms = world.talk.lease.until_ms + 500
    assert world.answer([3, 11, [], False], late_ms) == []
    renewal = next(ask for ask in world.asked if ask[0] == 3)
    world.talk.on_answer([3, renewal[1], [[SESSION, 9_000]], []], late_ms + 10)
    (told,) = world.turn(late_ms + 10)
    assert isinstance(told, Granted)
    assert told.deadline_ms > late_ms + 8_000
    assert [ask for ask in world.asked if ask[0] == 2] == [], "it was asked before, and nobody else can have run since"


def test_an_answer_about_once_after_the_end_grants_nothing() -> None:
    world = World(once="k", keep_ms=1_000)
    world.open([30, 11, TOKEN, 1])
    world.claim.close(100, succeeded=False)
    assert world.answer([3, 11, [], False], 110) == []
    (told,) = world.turn(20_000)
    assert isinstance(told, Closed)


def test_a_success_is_recorded_before_the_release_and_only_while_it_is_held() -> None:
    world = World(once="k", keep_ms=1_000)
    world.open([30, 11, TOKEN, 1])
    (told,) = world.answer([3, 11, [item("coordctl/once/x/old", record(15))], False], 20)
    assert isinstance(told, Granted)
    world.claim.close(100, succeeded=True)
    world.turn(100)
    write = next(ask for ask in world.asked if ask[0] == 1)
    tag, compares, (put, delete), _ = write[2][4]
    assert (tag, compares) == (6, [[NAME, 4, 0, TOKEN]])
    assert (put[1], delete[1]) == (item("coordctl/once/x/k", "")[0], item("coordctl/once/x/old", "")[0])
    assert world.answer([4, 12, True, []], 110) == []
    assert world.answer([1, 13, 1, False], 120) == [Closed()]
    lost = World(once="k", keep_ms=1_000)
    lost.open([30, 11, TOKEN, 1])
    lost.answer([3, 11, [], False], 20)
    lost.claim.close(100, succeeded=True)
    lost.turn(100)
    (closed,) = lost.answer([4, 12, False, []], 110)
    assert closed.outcome == outcome.LOST


def test_closing_gives_up_when_nobody_answers() -> None:
    world = granted()
    world.claim.close(100, succeeded=False)
    assert world.turn(100) == []
    (told,) = world.turn(20_000)
    assert isinstance(told, Closed)
    assert "could not be released" in told.sentence


# --- leaderships and memberships -------------------------------------------------------------------------------------

ELECTION = [NAME, b"v", "me", True]
LEADER = [700, 8, "ops@web1", "web1", b"", 0, 2_000]


def leadership(**changes: Any) -> World:
    return World(wish=elections.Wish("x", b"v", "me"), **changes)


def test_a_leadership_is_stood_for_told_and_taken_away() -> None:
    world = leadership(tells_news=True)
    (opening,) = [ask for ask in world.asked if ask[0] == 1]
    assert opening[2][4][4] == [40, *ELECTION]
    (news,) = world.open([41, 11, TICKET, 0, LEADER])
    assert news.sentence == "x is led by web1, for 2 s"
    assert world.notice(encode(LockGiven(b"x", TICKET, TOKEN)), 20) == [], "a lock of that name"
    (told,) = world.notice(encode(LeadershipGiven(b"x", TICKET, TOKEN)), 30, kind=3)
    assert (told.token, told.environment["COORD_ELECTION"], told.environment["COORD_TOKEN"]) == (TOKEN, "x", str(TOKEN))
    lost = world.notice(encode(LeadershipTaken(b"x", TOKEN, "upgrade", "ops")), 40, kind=3)
    assert lost == [Lost(ending.BROKEN, "x was ended by ops: upgrade")]


def test_who_leads_is_named_to_who_does_not_wait() -> None:
    world = World(wish=elections.Wish("x", b"", "", waits=False))
    (told,) = world.open([42, 11, LEADER])
    assert (told.outcome, told.sentence.splitlines()[0]) == (outcome.NOT_ACQUIRED, "x is led by web1, for 2 s")
    assert told.sentence.endswith("see the queue with: coordctl elect show x")


def test_a_membership_is_joined_once_the_session_is_open_and_has_no_token() -> None:
    world = World(wish=groups.Wish("web", b"", b"data", {"zone": "eu"}, 1))
    assert world.open(None) == []
    (joining,) = [ask for ask in world.asked if ask[0] == 1]
    assert joining[2][4] == [50, b"web", b"", b"data", [("zone", "eu")], 1]
    (told,) = world.answer([50, 12, 7, b"me"], 20)
    assert told.token is None
    assert {name: told.environment[name] for name in ("COORD_GROUP", "COORD_MEMBER", "COORD_VIEW")} == {
        "COORD_GROUP": "web",
        "COORD_MEMBER": "me",
        "COORD_VIEW": "7",
    }
    assert "COORD_TOKEN" not in told.environment


def test_a_conflict_is_a_name_that_is_taken_or_other_settings() -> None:
    world = World(wish=groups.Wish("web", b"me", b"", {}, 1))
    world.open(None)
    assert world.answer([6, 34, "me is there"], 20) == [Refused(outcome.NOT_ACQUIRED, "me is there")]
    assert World().open([6, 34, "other settings"]) == [Refused(outcome.WRONG, "other settings")]
