"""When what waits may be answered: after a round that began later than the question, and when enough is applied."""

from typing import Any, cast

from coordnode.errors import NotLeader, NotPermitted
from coordnode.ids import NOBODY, Index, MemberId, Revision, SessionId
from coordnode.limits import LOOKED_ROW_BYTES, RANGE_ITEMS_MAX, READ_BYTES_PER_TURN
from coordnode.raft.messages import ConfirmReply
from coordnode.raft.reads import ASK_AGAIN_TICKS
from coordnode.replica.pending import KeepAlive, Pending, Read
from coordnode.services.auth.service import OPERATOR
from coordnode.services.callers import Caller
from coordnode.services.commands import (
    IS,
    Done,
    FindMembers,
    Get,
    Got,
    Grant,
    Item,
    Put,
    ReadRecords,
    Require,
    SetRole,
    decode_result,
    encode,
)
from coordnode.services.dialogue import ErrorReply, ReadAsk, Reply, WatchAsk
from coordnode.services.groups import MEMBERS_ID, Joined
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.rights import KV, READ
from coordnode.services.tables import Table
from tests.unit.replica.trio import MEMBERS, Trio


def test_a_round_that_was_just_confirmed_serves_no_later_read() -> None:
    """No lease: not even in the same millisecond."""
    trio = Trio()
    trio.write(Put(b"k", b"v"))
    leader = trio.leader()
    first = trio.ask(leader, ReadAsk, encode(Get(b"k")))
    trio.settle()
    assert isinstance(trio.answer(first), Reply)
    trio.cut = [leader]
    second = trio.ask(leader, ReadAsk, encode(Get(b"k")))
    trio.settle()
    assert (1, second) not in trio.answers


def test_a_confirmed_read_waits_until_its_index_is_applied() -> None:
    pending = Pending()
    waiting = Read((1, 1), Get(b"k"), 0)
    pending.confirm(pending.new_read(waiting), Index(5))
    assert pending.next_read(Index(4)) is None
    assert pending.next_read(Index(5)) is waiting
    assert not pending.has_confirmed()


class Looked(tuple[int, int]):
    """An asker that notes when somebody looks at it."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        Looked.looks += 1
        return super().__getitem__(at)


def test_whoever_goes_and_waits_for_nothing_costs_no_look_at_those_who_wait() -> None:
    pending = Pending()
    reads = [pending.new_read(Read(Looked((1, request)), Get(b"k"), 0)) for request in range(60)]
    pending.new_read(KeepAlive(Looked((1, 60)), [], Index(0)))
    for read in reads[:40]:
        pending.confirm(read, Index(5))
    gone = pending.new_read(Read((2, 1), Get(b"k"), 0))
    pending.confirm(gone, Index(5))
    while pending.next_read(Index(5)) is not None:
        pass
    lost = pending.new_read(Read((3, 1), Get(b"k"), 0))
    assert pending.lose(lost) == (3, 1)
    before = Looked.looks
    pending.drop_connections({2, 3, 4})
    assert Looked.looks == before
    pending.drop_connections({1})
    assert not pending.drop_reads()


def test_who_goes_is_dropped_and_who_stays_is_answered() -> None:
    pending = Pending()
    for index, connection in enumerate((1, 2, 1, 2)):
        pending.confirm(pending.new_read(Read((connection, index), Get(b"k"), 0)), Index(5))
        pending.confirm(pending.new_read(KeepAlive((connection, index + 4), [], Index(0))), Index(5))
        pending.new_read(Read((connection, index + 8), Get(b"k"), 0))
    assert pending.next_read(Index(5)) is not None
    pending.drop_connections({1, 7})
    assert {connection for connection, _ in pending.drop_reads()} == {2}
    assert not pending.has_confirmed()


def test_a_keep_alive_also_waits_for_what_was_withdrawn() -> None:
    pending = Pending()
    waiting = KeepAlive((1, 1), [SessionId(1)], Index(9))
    pending.confirm(pending.new_read(waiting), Index(5))
    assert pending.take_served(Index(8)) == []
    assert pending.take_served(Index(9)) == [waiting]


def test_a_watch_leaves_no_trace_in_log_state_or_snapshot() -> None:
    trio = Trio()
    trio.write(Put(b"k", b"v"))
    trio.tick(4)
    leader = trio.leader()

    def traces() -> list[tuple[int, bytes, bytes]]:
        machines = [trio.replicas[member].machine for member in MEMBERS]
        return [(machine.digest, machine.dump(), b"".join(machine.snapshot())) for machine in machines if machine is not None]

    before, last = traces(), trio.replicas[leader].raft.log.last_index()
    request = trio.ask(leader, WatchAsk, b"", b"", 0)
    trio.settle()
    assert (1, request) in trio.answers
    assert traces() == before
    assert len(before) == 3
    assert trio.replicas[leader].raft.log.last_index() == last


SEARCH = encode(FindMembers(b"g", [Require("zone", IS, "nowhere")]))


def with_members(count: int) -> Trio:
    """So many of one group, which no search for labels finds."""
    trio = Trio(level=SUPPORTED_LEVEL)
    trio.leader()
    for replica in trio.replicas.values():
        assert replica.machine is not None
        members = cast(Table[Joined], replica.machine.containers[MEMBERS_ID])
        for number in range(count):
            members.set(b"g\0%05d" % number, Joined(SessionId(1), b"", (), 1, Revision(1)))
    return trio


def in_turns(trio: Trio, asks: list[ReadAsk]) -> list[int]:
    """How many of them the leader answers in each of the turns that it takes for it."""
    leader = trio.leader()
    trio.turn(leader, asks=[(1, ask) for ask in asks])
    answered: list[int] = []
    while sum(answered) < len(asks):
        for member in MEMBERS:
            effects = trio.turn(member)
            if member == leader and effects.to_clients:
                answered.append(len(effects.to_clients[1]))
                assert effects.again == (sum(answered) < len(asks)), "the rest is not forgotten"
    return answered


def test_a_search_that_finds_nothing_counts_in_its_turn_for_all_that_it_looked_at() -> None:
    trio = with_members(RANGE_ITEMS_MAX + 1)
    answered = in_turns(trio, [ReadAsk(request, SEARCH) for request in range(60)])
    assert max(answered) <= READ_BYTES_PER_TURN // (LOOKED_ROW_BYTES * RANGE_ITEMS_MAX) + 1
    assert len(answered) > 1
    assert len(in_turns(trio, [ReadAsk(request, encode(Get(b"k"))) for request in range(100, 160)])) == 1


def test_what_is_searched_is_charged_to_who_searches_stale_or_not() -> None:
    trio = with_members(10)
    leader = trio.leader()
    asks = [ReadAsk(1, SEARCH, True), ReadAsk(2, SEARCH, True)]
    effects = trio.turn(leader, asks=[*((1, ask) for ask in asks), (2, ReadAsk(3, encode(Get(b"k")), True))])
    assert effects.looked_bytes == {1: 20 * LOOKED_ROW_BYTES}
    assert trio.turn(leader).looked_bytes == {}


# --- by who does not lead --------------------------------------------------------------------------------------------

HERE = (False, Revision(0), True)


def follower_of(trio: Trio) -> MemberId:
    leader = trio.leader()
    return next(member for member in MEMBERS if member != leader)


def test_who_does_not_lead_answers_what_it_is_to_read_here_with_whatever_was_acknowledged_before() -> None:
    trio = Trio()
    follower = follower_of(trio)
    trio.write(Put(b"k", b"v"))
    asked = trio.ask(follower, ReadAsk, encode(Get(b"k")), *HERE)
    elsewhere = trio.ask(follower, ReadAsk, encode(Get(b"k")))
    assert (1, asked) not in trio.answers, "not before the leader was asked"
    trio.settle()
    reply = trio.answer(asked)
    assert isinstance(reply, Reply)
    assert decode_result(reply.result) == Got(Revision(1), Item(b"k", b"v", Revision(1), Revision(1), 1))
    refusal = trio.answer(elsewhere)
    assert isinstance(refusal, ErrorReply)
    assert (refusal.code, refusal.leader) == (NotLeader.code, trio.leader())


def test_who_cannot_ask_its_leader_answers_nothing_and_who_knows_none_says_so_at_once() -> None:
    trio = Trio()
    follower = follower_of(trio)
    trio.cut = [follower]
    waiting = trio.ask(follower, ReadAsk, encode(Get(b"k")), *HERE)
    trio.settle()
    assert (1, waiting) not in trio.answers
    trio.tick(30)
    later = trio.ask(follower, ReadAsk, encode(Get(b"k")), *HERE)
    for request in (waiting, later):
        refusal = trio.answer(request)
        assert isinstance(refusal, ErrorReply)
        assert (refusal.code, refusal.leader, refusal.definite) == (NotLeader.code, NOBODY, True)


def test_who_may_not_read_it_is_told_by_what_is_committed_and_not_by_what_is_known_here() -> None:
    trio = Trio(level=SUPPORTED_LEVEL)
    follower = follower_of(trio)
    trio.replicas[follower].clients.on_opened(2, Caller("guest"))
    allowed = trio.ask(follower, ReadAsk, encode(Get(b"k")), *HERE, connection=2)
    trio.settle()
    assert isinstance(trio.answer(allowed, 2), Reply)
    trio.lost = (ConfirmReply,)
    waiting = trio.ask(follower, ReadAsk, encode(Get(b"k")), *HERE, connection=2)
    trio.replicas[trio.leader()].clients.on_opened(1, Caller("operator", OPERATOR))
    made = trio.result(SetRole("some", (Grant(KV, READ, b"else"),), "with the first role, who has none may do nothing"), request_id="role")
    assert isinstance(made, Done)
    trio.lost = ()
    trio.tick(ASK_AGAIN_TICKS)
    refusal = trio.answer(waiting, 2)
    assert isinstance(refusal, ErrorReply)
    assert refusal.code == NotPermitted.code


def test_what_lies_in_files_is_read_from_the_leader() -> None:
    trio = Trio(level=SUPPORTED_LEVEL)
    follower = follower_of(trio)
    asked = trio.ask(follower, ReadAsk, encode(ReadRecords(b"j", 0, 1, 1)), *HERE)
    refusal = trio.answer(asked)
    assert isinstance(refusal, ErrorReply)
    assert (refusal.code, refusal.leader) == (NotLeader.code, trio.leader())
