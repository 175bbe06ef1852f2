"""A session for a process that starts fast: retries, leaders, leases and notices, told without sockets."""

from random import Random
from typing import Any

from coordctl.hot.talk import Answered, Connect, Disconnect, Expired, Missed, Noticed, Renewed, Send, Talk
from coordnode.client.renewal import believed_ms
from coordnode.errors import ClusterReplaced, NotPermitted, UnknownVersion, WrongCluster

FIRST, SECOND = "127.0.0.1:1", "127.0.0.1:2"
DONE = [1, 5, 1, False]


class NoChance:
    def randrange(self, start: int, stop: int) -> int:
        return start


def asks(actions: list[Any]) -> list[Any]:
    return [action.ask for action in actions if isinstance(action, Send)]


def connected(talk: Talk, now_ms: int = 0) -> list[Any]:
    assert Connect in [type(action) for action in talk.poll(now_ms)]
    talk.on_connected(now_ms)
    return asks(talk.poll(now_ms))


def opened(now_ms: int = 0) -> Talk:
    talk = Talk([FIRST, SECOND], NoChance())
    call = talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    (ask,) = connected(talk)
    assert ask[2] == [0, 0, 0, "", [10, b"n" * 16, 9_000, "me", [30, b"x"], 0]]
    talk.on_answer([1, ask[1], 7, 0, [5, 44, 9_000, 11, [30, 11, 1234, 1]], 0], now_ms)
    assert talk.told() == [Answered(call, [5, 44, 9_000, 11, [30, 11, 1234, 1]], None)]
    return talk


def test_opening_follows_the_leader_with_the_same_nonce() -> None:
    talk = Talk([FIRST, SECOND], NoChance())
    talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    (first,) = connected(talk)
    talk.on_hello([1, 11, 0, 0, "", "", [[12, SECOND]]], 5)
    talk.on_answer([2, first[1], 10, "not me", True, 0, 12], 5)
    disconnect, connect = talk.poll(5)
    assert (disconnect, connect) == (Disconnect(), Connect(SECOND))
    talk.on_connected(6)
    (second,) = asks(talk.poll(6))
    assert second[2] == first[2]
    assert second[1] != first[1]


def test_where_the_leader_was_is_asked_first_and_where_it_is_now_is_known_then() -> None:
    talk = Talk([FIRST, SECOND], NoChance(), SECOND)
    talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    assert talk.poll(0) == [Connect(SECOND)]
    talk.on_connected(0)
    (first,) = asks(talk.poll(0))
    talk.on_hello([1, 12, 0, 0, "", "", [[11, FIRST]]], 5)
    talk.on_answer([2, first[1], 10, "not me", True, 0, 11], 5)
    assert Connect(FIRST) in talk.poll(5)
    talk.on_connected(6)
    (second,) = asks(talk.poll(6))
    assert talk.led == SECOND
    talk.on_answer([1, second[1], 7, 0, [5, 44, 9_000, 11, [30, 11, 1234, 1]], 0], 7)
    assert talk.led == FIRST


def test_a_leader_of_somewhere_else_is_not_asked() -> None:
    talk = Talk([FIRST, SECOND], NoChance(), "10.0.0.1:1")
    talk.open(b"n" * 16, 9_000, "me", None)
    assert talk.poll(0) == [Connect(FIRST)]


def test_the_lease_counts_from_the_first_attempt() -> None:
    talk = Talk([FIRST], NoChance())
    talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    connected(talk, 100)
    talk.on_disconnected("hung up", 2_000)
    (again,) = connected(talk, 3_000)
    talk.on_answer([1, again[1], 7, 0, [5, 44, 9_000, 11, None], 0], 3_010)
    assert talk.lease.until_ms == 100 + believed_ms(9_000)


def test_it_watches_its_notices_and_renews_after_a_third() -> None:
    talk = opened()
    (watch,) = asks(talk.poll(1))
    assert watch[0] == 4
    assert watch[2:] == [(44).to_bytes(8), (44).to_bytes(8) + b"\0", 12, 1]
    assert talk.wake_at_ms() == 3_000
    (renewal,) = asks(talk.poll(3_000))
    assert renewal[0] == 3
    assert renewal[2] == [44]
    talk.on_answer([3, renewal[1], [[44, 9_000]], []], 3_020)
    assert talk.told() == [Renewed(3_000 + believed_ms(9_000))]
    (late,) = asks(talk.poll(6_000))
    talk.on_answer([3, late[1], [], [44]], 6_010)
    assert talk.told() == [Expired()]


def test_notices_are_told_once_across_connections() -> None:
    talk = opened()
    (watch,) = asks(talk.poll(1))
    event = [2, "", b"\x01", 0, 44, 1]
    talk.on_answer([4, watch[1], [[13, [event]]], 13], 2)
    assert talk.told() == [Noticed(2, b"\x01")]
    talk.on_answer([6, 0, 20], 3)
    talk.on_disconnected("hung up", 4)
    talk.on_connected(4)
    (again,) = connected(talk, talk.wake_at_ms() or 0)
    assert again[4] == 21, "from where it was told last"
    talk.on_answer([4, again[1], [[20, [event]]], 20], 60)
    assert talk.told() == []
    talk.on_answer([5, again[1], 100], 61)
    assert talk.told() == [Missed()]


def test_a_silent_member_is_left_and_writes_keep_their_sequence() -> None:
    talk = opened()
    talk.poll(1)
    call = talk.write([6, [], [], []])
    (write,) = asks(talk.poll(10))
    assert write[2] == [44, 2, 2, "", [6, [], [], []]]
    assert talk.poll(609) == []
    assert Disconnect() in talk.poll(610)
    assert talk.address() == SECOND
    _, again = connected(talk, 640)[::-1]
    assert again[2] == write[2]
    talk.on_answer([1, again[1], 9, 0, [4, 12, True, []], 0], 650)
    assert talk.told() == [Answered(call, [4, 12, True, []], None)]


def test_a_refusal_that_all_would_give_is_the_answer() -> None:
    talk = Talk([FIRST, SECOND], NoChance())
    call = talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    connected(talk)
    talk.on_refused(ClusterReplaced("it is gone"), 5)
    (answered,) = talk.told()
    assert isinstance(answered, Answered)
    assert (answered.call, type(answered.error)) == (call, ClusterReplaced)


def test_what_another_cluster_says_is_not_about_this_session() -> None:
    talk = opened()
    talk.on_hello([1, 11, 0, 0, "", "", [[12, SECOND]]], 1)
    talk.poll(1)
    talk.on_disconnected("hung up", 2)
    connected(talk, talk.wake_at_ms() or 0)
    assert talk.address() == SECOND
    talk.on_hello([2, 11, 0, 0, "", "", [[12, "127.0.0.1:3"]]], 60)
    for request in range(1, 100):
        talk.on_answer([3, request, [], [44]], 61)
        talk.on_answer([5, request, 100], 61)
    talk.on_answer([6, 0, 10_000], 61)
    assert talk.poll(61) == [Disconnect()]
    assert talk.told() == []
    assert talk.troubles[SECOND] == "this is cluster 2, not 1: check the endpoints"
    (watch,) = connected(talk, talk.wake_at_ms() or 0)
    assert (talk.address(), watch[0], watch[4]) == (FIRST, 4, 12)


def test_a_cluster_that_is_no_more_has_ended_the_session_and_the_next_one_is_of_whichever_cluster_is_there() -> None:
    for refusal in (ClusterReplaced("it was replaced by 2"), WrongCluster("this is cluster 2, not 1")):
        talk = opened()
        talk.on_hello([1, 11, 0, 0, "", "", []], 1)
        talk.poll(1)
        talk.on_disconnected("hung up", 2)
        talk.poll(100)
        talk.on_disconnected("connection refused", 101)
        connected(talk, 300)
        talk.on_refused(refusal, 301)
        assert talk.told() == [Expired()]
        assert talk.cluster == 1, "nothing of the session is for any other cluster"
        talk.open(b"m" * 16, 9_000, "me", [30, b"x"])
        assert talk.cluster == 0
        connected(talk, 900)
        talk.on_hello([2, 11, 0, 0, "", "", []], 901)
        assert talk.cluster == 2


def test_a_session_of_a_cluster_that_is_no_more_is_closed() -> None:
    talk = opened()
    talk.on_hello([1, 11, 0, 0, "", "", []], 1)
    call = talk.close()
    talk.on_refused(ClusterReplaced("it was replaced by 2"), 5)
    assert talk.told() == [Answered(call, None, None)]


def test_a_stranger_ends_nothing_while_no_member_can_be_reached() -> None:
    talk = opened()
    talk.on_hello([1, 11, 0, 0, "", "", []], 1)
    call = talk.read([1])
    talk.poll(1)
    talk.on_disconnected("hung up", 2)
    now_ms = 2
    for _ in range(4):
        now_ms += 1_500
        talk.poll(now_ms)
        if talk.address() == SECOND:
            talk.on_connected(now_ms)
            talk.on_refused(WrongCluster("this is cluster 3, not 1"), now_ms)
        else:
            talk.on_disconnected("connection refused", now_ms)
    assert set(talk.troubles.values()) == {"connection refused", "this is cluster 3, not 1"}
    assert talk.told() == [], f"call {call} may be answered yet"


def test_who_cannot_be_reached_lets_nobody_in() -> None:
    talk = Talk([FIRST, SECOND], NoChance())
    call = talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    connected(talk)
    talk.on_refused(NotPermitted("who are you?"), 5)
    assert talk.told() == []
    talk.poll(100)
    talk.on_disconnected("connection refused", 101)
    (answered,) = talk.told()
    assert isinstance(answered, Answered)
    assert (answered.call, type(answered.error)) == (call, NotPermitted)


def test_all_that_refuse_for_good_are_the_answer_and_fewer_are_none() -> None:
    talk = Talk([FIRST, SECOND], NoChance())
    call = talk.open(b"n" * 16, 9_000, "me", [30, b"x"])
    connected(talk)
    talk.on_refused(UnknownVersion("too new"), 5)
    assert talk.told() == []
    connected(talk, 100)
    talk.on_hello([1, 12, 0, 0, "", "", []], 100)
    talk.on_disconnected("hung up", 100)
    connected(talk, 200)
    talk.on_refused(UnknownVersion("too new"), 205)
    assert talk.told() == [], "one that let us in may do so again"
    connected(talk, 1_500)
    talk.on_refused(UnknownVersion("too new"), 1_505)
    (answered,) = talk.told()
    assert isinstance(answered, Answered)
    assert (answered.call, type(answered.error)) == (call, UnknownVersion)


def test_closing_is_done_when_the_session_is_over() -> None:
    talk = opened()
    talk.poll(1)
    call = talk.close()
    (ask,) = asks(talk.poll(2))
    assert ask[2] == [0, 0, 0, "", [11, 44]]
    talk.on_answer([1, ask[1], 9, 0, [6, 20, "it is over"], 0], 3)
    assert talk.told() == [Answered(call, None, None)]
    assert (talk.poll(60_000), talk.wake_at_ms()) == ([], None), "nothing is renewed any more"


def test_one_member_that_shuts_it_out_keeps_nobody_out_and_all_of_them_do() -> None:
    addresses = ["n1:7001", "n2:7001"]
    talk = Talk(addresses, Random(1))
    call = talk.open(b"nonce", 10_000, "me", None)
    for now_ms in range(0, 60_000, 10):
        if any(isinstance(action, Connect) for action in talk.poll(now_ms)):
            talk.on_connected(now_ms)
            talk.on_shut_out("it does not believe it", now_ms)
            if told := talk.told():
                break
            assert set(talk.troubles) != set(addresses), "it was told as soon as both had shut it out"
    (answered,) = told
    assert isinstance(answered, Answered)
    assert (answered.call, type(answered.error)) == (call, NotPermitted)
    assert set(talk.troubles) == set(addresses)
