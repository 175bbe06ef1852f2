"""What a member answers, and when it must not."""

from collections.abc import Sized

import msgspec
import pytest

from coordnode.client.sessions import Sessions
from coordnode.errors import BadRequest, LeadershipLost, LevelMissing, NoSpace, NotLeader, NotReady, WritesStopped
from coordnode.ids import MemberId, Revision, SessionId
from coordnode.limits import KEEP_ALIVE_NAMED_MAX
from coordnode.raft.entry import NOOP, Config
from coordnode.raft.messages import DigestReport, Heal, Message
from coordnode.raft.state import LEADER
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.events import Events
from coordnode.services.callers import Caller
from coordnode.services.commands import (
    CloseSession,
    Command,
    Delete,
    Done,
    Get,
    Got,
    OpenSession,
    Put,
    SessionOpened,
    decode_result,
    encode,
)
from coordnode.services.dialogue import (
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    LevelAsk,
    ReadAsk,
    Reply,
    TransferAsk,
    UnwatchAsk,
    WatchAsk,
    WatchGap,
    WatchPush,
    WriteAsk,
)
from coordnode.services.tables import Table
from tests.unit.replica.trio import MEMBERS, TICK_MS, Trio, whole_turn


@pytest.fixture
def trio() -> Trio:
    return Trio()


def put(key: bytes, value: bytes) -> bytes:
    return encode(Command(0, 0, 0, "", Put(key, value)))


def error(trio: Trio, request: int) -> ErrorReply:
    answer = trio.answer(request)
    assert isinstance(answer, ErrorReply), answer
    return answer


def test_a_put_is_answered_with_its_place_and_read_back(trio: Trio) -> None:
    answer = trio.write(Put(b"k", b"v"))
    assert isinstance(answer, Reply)
    assert isinstance(decode_result(answer.result), Done)
    request = trio.ask(trio.leader(), ReadAsk, encode(Get(b"k")))
    trio.settle()
    reply = trio.answer(request)
    assert isinstance(reply, Reply)
    assert reply.index >= answer.index
    got = decode_result(reply.result)
    assert isinstance(got, Got)
    assert got.item is not None
    assert got.item.value == b"v"


def test_a_follower_names_the_leader_and_nothing_happened(trio: Trio) -> None:
    leader = trio.leader()
    follower = next(member for member in MEMBERS if member != leader)
    refused = error(trio, trio.ask(follower, WriteAsk, put(b"k", b"v")))
    assert (refused.code, refused.definite, refused.leader) == (NotLeader.code, True, leader)


def test_a_new_leader_answers_nothing_before_its_own_term_is_applied(trio: Trio) -> None:
    leader = trio.leader()
    replica = trio.replicas[leader]
    replica.clients.serving = False
    for ask in ((WriteAsk, put(b"k", b"v")), (ReadAsk, encode(Get(b"k"))), (KeepAliveAsk, [])):
        refused = error(trio, trio.ask(leader, *ask))
        assert (refused.code, refused.definite) == (NotReady.code, True)
        assert refused.retry_after_ms > 0


def test_a_read_is_not_served_without_a_round(trio: Trio) -> None:
    leader = trio.leader()
    trio.cut = [leader]
    request = trio.ask(leader, ReadAsk, encode(Get(b"k")))
    trio.settle()
    assert (1, request) not in trio.answers
    trio.tick(60)
    refused = error(trio, request)
    assert refused.code == NotLeader.code


def test_losing_the_lead_makes_a_write_unknown(trio: Trio) -> None:
    leader = trio.leader()
    trio.cut = [leader]
    request = trio.ask(leader, WriteAsk, put(b"k", b"v"))
    trio.tick(60)
    refused = error(trio, request)
    assert (refused.code, refused.definite) == (LeadershipLost.code, False)


def test_a_stale_read_is_answered_by_a_follower_with_its_age(trio: Trio) -> None:
    trio.write(Put(b"k", b"v"))
    trio.tick(4)
    follower = next(member for member in MEMBERS if member != trio.leader())
    fresh = trio.answer(trio.ask(follower, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(fresh, Reply)
    assert fresh.age_ms <= 3 * TICK_MS
    trio.cut = [follower]
    trio.tick(30)
    old = trio.answer(trio.ask(follower, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(old, Reply)
    assert old.age_ms >= 29 * TICK_MS
    ahead = error(trio, trio.ask(follower, ReadAsk, encode(Get(b"k")), True, Revision(99)))
    assert ahead.code == NotReady.code


@pytest.mark.parametrize("leads", [True, False])
def test_a_member_that_stood_still_says_how_old_its_state_may_be(trio: Trio, leads: bool) -> None:
    """It missed the ticks, and finds what it was told before it stood still only afterwards."""
    trio.write(Put(b"k", b"v"))
    trio.tick(40)
    leader = trio.leader()
    paused = leader if leads else next(member for member in MEMBERS if member != leader)
    fresh = trio.answer(trio.ask(paused, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(fresh, Reply)
    assert fresh.age_ms <= 2 * trio.replicas[leader].raft.timing.election_ticks_min * TICK_MS
    trio.turn(leader, ticked=True)
    trio.turn(leader, ticked=True)
    assert trio.inbox[paused].messages or leads
    trio.cut = [paused]
    paused_ms = 60_000
    trio.now_ms += paused_ms
    old = trio.answer(trio.ask(paused, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(old, Reply)
    assert old.age_ms >= paused_ms
    trio.turn(paused, ticked=True)
    old = trio.answer(trio.ask(paused, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(old, Reply)
    assert old.age_ms >= paused_ms
    trio.cut = []
    trio.tick(40)
    fresh = trio.answer(trio.ask(paused, ReadAsk, encode(Get(b"k")), True))
    assert isinstance(fresh, Reply)
    assert fresh.age_ms <= 2 * trio.replicas[leader].raft.timing.election_ticks_min * TICK_MS


def test_a_leader_that_always_has_something_waiting_forgets_who_is_gone(trio: Trio) -> None:
    """And answers nothing of theirs."""
    leader = trio.leader()
    clients = trio.replicas[leader].clients
    body = encode(Get(b"k"))

    def kept() -> int:
        return sum(len(value) for owner in (clients, clients._pending) for value in vars(owner).values() if isinstance(value, Sized))

    before = kept()
    reads = 300
    for number in range(reads):
        passing = 1_000 + number
        trio.inbox[leader].opened.append((passing, Caller()))
        trio.turn(leader, asks=[(1, ReadAsk(number, body)), (passing, ReadAsk(number, body)), (passing, WatchAsk(reads, b"k", b"", 0))])
        assert clients._pending.unconfirmed
        trio.inbox[leader].closed.append(passing)
        trio.turn(leader, asks=[(1, ReadAsk(reads + number, body))])
        for member in MEMBERS:
            trio.turn(member)
    assert kept() < before + 10
    trio.settle()
    assert {connection for connection, _ in trio.answers} == {1}
    assert len(trio.answers) == 2 * reads


def test_garbage_is_refused_and_the_rest_of_the_batch_is_not_hurt(trio: Trio) -> None:
    leader = trio.leader()
    trio.turn(leader, asks=[(1, WriteAsk(900, b"\xc1garbage")), (1, WriteAsk(901, put(b"k", b"v")))])
    trio.settle()
    assert error(trio, 900).code == BadRequest.code
    assert isinstance(trio.answer(901), Reply)


def test_data_is_refused_while_members_with_space_are_no_quorum(trio: Trio) -> None:
    leader = trio.leader()
    trio.write(Put(b"k", b"v"))
    others = [member for member in MEMBERS if member != leader]
    for member in others:
        trio.inbox[member].space_ok = False
    trio.tick(5)
    refused = trio.write(Put(b"more", b"v"))
    assert isinstance(refused, ErrorReply)
    assert (refused.code, refused.definite) == (NoSpace.code, True)
    assert isinstance(trio.write(Delete(b"k")), Reply), "deleting must still work"
    trio.inbox[others[0]].space_ok = True
    trio.tick(5)
    assert isinstance(trio.write(Put(b"more", b"v")), Reply), "the alarm clears itself"


def test_a_member_that_is_not_heard_of_is_no_member_with_space(trio: Trio) -> None:
    leader = trio.leader()
    full, dead = (member for member in MEMBERS if member != leader)
    trio.tick(5)
    trio.cut = [dead]
    trio.tick(60)
    assert isinstance(trio.write(Put(b"k", b"v")), Reply)
    trio.inbox[full].space_ok = False
    trio.tick(5)
    refused = trio.write(Put(b"more", b"v"))
    assert isinstance(refused, ErrorReply), "one of the two copies would have to be on the full disk"
    assert refused.code == NoSpace.code


# --- sessions ----------------------------------------------------------------------------------------------------------


def test_a_keep_alive_of_as_many_sessions_as_it_may_name_is_answered_about_each() -> None:
    """Earlier clients name all of theirs at once, and do not ask again in time for what an answer leaves out."""
    trio = Trio()
    sessions = Sessions()
    for number in range(KEEP_ALIVE_NAMED_MAX):
        sessions.add(number, 9_000, 1)
        sessions.on_opened(number, SessionOpened(SessionId(10**6 + number), 9_000, Revision(1)), 0, 0)
    request = trio.ask(trio.leader(), KeepAliveAsk, sessions.due(3_000))
    trio.settle()
    answer = trio.answer(request)
    assert isinstance(answer, KeepAliveReply)
    assert len(sessions.on_renewed(answer, 3_000)) == KEEP_ALIVE_NAMED_MAX


def keep_alive(trio: Trio, session: int) -> KeepAliveReply:
    request = trio.ask(trio.leader(), KeepAliveAsk, [session])
    trio.settle()
    answer = trio.answer(request)
    assert isinstance(answer, KeepAliveReply)
    return answer


def test_a_silent_session_expires_and_a_renewed_one_does_not(trio: Trio) -> None:
    silent, renewed = trio.open_session(2_000), trio.open_session(2_000)
    for _ in range(6):
        trio.tick(10)
        assert keep_alive(trio, renewed).alive == [(renewed, 2_000)]
    assert keep_alive(trio, silent).expired == [silent]


def test_an_expiry_that_could_not_be_proposed_is_tried_again(trio: Trio) -> None:
    """While leadership is handed over nothing is proposed; the session must not stay for ever because of that."""
    session = trio.open_session(2_000)
    leader = trio.leader()
    trio.tick(35)
    target = next(member for member in MEMBERS if member != leader)
    trio.cut = [target]
    trio.ask(leader, TransferAsk, target)
    trio.tick(10)
    machine = trio.replicas[leader].machine
    assert machine is not None
    assert machine.has_session(session), "it is due, and nothing can be proposed"
    trio.tick(20)
    assert trio.replicas[leader].raft.role == LEADER
    assert not machine.has_session(session)


def test_one_client_opens_only_so_many_sessions_and_those_that_are_over_make_room(trio: Trio) -> None:
    leader = trio.leader()
    openings = trio.replicas[leader].clients.authority.openings
    openings.sessions_max = 3
    for connection, place in ((1, "10.0.0.1:4000"), (2, "10.0.0.1:4001"), (3, "10.0.0.2:4000")):
        trio.replicas[leader].clients.on_opened(connection, Caller("me", place=place))

    def open_over(connection: int) -> ErrorReply | SessionId:
        body = encode(Command(0, 0, 0, "", OpenSession(trio.request.to_bytes(16, "big"), 5_000)))
        request = trio.ask(leader, WriteAsk, body, connection=connection)
        trio.settle()
        answer = trio.answer(request, connection)
        if isinstance(answer, ErrorReply):
            return answer
        assert isinstance(answer, Reply)
        opened = decode_result(answer.result)
        assert isinstance(opened, SessionOpened)
        return opened.session

    opened = [open_over(connection) for connection in (1, 1, 2)]
    refused = open_over(2)
    assert isinstance(refused, ErrorReply)
    assert (refused.code, refused.definite, bool(refused.retry_after_ms)) == (12, True, True)
    assert "has 3 sessions already" in refused.sentence
    assert isinstance(open_over(3), int), "another host"
    trio.result(CloseSession(opened[0]))  # type: ignore[arg-type]
    assert isinstance(open_over(1), int)
    assert isinstance(open_over(1), ErrorReply)
    trio.tick(5_000 // TICK_MS + 20)
    assert isinstance(open_over(1), int), "those expired"
    assert openings.refused == 2


def test_a_pause_expires_nobody(trio: Trio) -> None:
    session = trio.open_session(2_000)
    trio.now_ms += 60_000
    trio.tick()
    assert keep_alive(trio, session).alive == [(session, 2_000)]


def test_a_checkpoint_is_withdrawn_before_the_keep_alive_is_answered(trio: Trio) -> None:
    session = trio.open_session(4_000)
    trio.tick(50)
    leader = trio.leader()
    machine = trio.replicas[leader].machine
    assert machine is not None
    assert machine.remaining_ms(session) is not None, "half the ttl passed in silence: checkpointed"
    first = trio.ask(leader, KeepAliveAsk, [session])
    second = trio.ask(leader, KeepAliveAsk, [session])
    for _ in range(20):
        trio.settle(1)
        answered = [request for request in (first, second) if (1, request) in trio.answers]
        assert not answered or machine.remaining_ms(session) is None
    assert len(answered) == 2


def test_a_new_leader_grants_what_a_checkpoint_left(trio: Trio) -> None:
    session = trio.open_session(4_000)
    trio.tick(60)
    old = trio.leader()
    trio.cut = [old]
    ticks = 0
    while True:
        new = trio.leader()
        machine = trio.replicas[new].machine
        assert machine is not None
        if not machine.has_session(session):
            break
        trio.tick()
        ticks += 1
    assert ticks * TICK_MS < 2_000, "three quarters of the lease were over before the leader changed"


# --- watches -----------------------------------------------------------------------------------------------------------


def test_a_watch_is_told_of_what_it_missed_and_of_what_comes(trio: Trio) -> None:
    for value in (b"1", b"2"):
        trio.write(Put(b"k", value))
    trio.write(Put(b"other", b"x"))
    request = trio.ask(trio.leader(), WatchAsk, b"k", b"l", Revision(2))
    trio.settle()
    trio.write(Put(b"k", b"3"))
    pushes = trio.answers[1, request]
    assert all(isinstance(push, WatchPush) for push in pushes)
    assert [change.revision for push in pushes for change in push.changes] == [2, 4]
    trio.ask(trio.leader(), UnwatchAsk)
    trio.turn(trio.leader(), asks=[(1, UnwatchAsk(request))])
    trio.write(Put(b"k", b"4"))
    assert trio.answers[1, request] == pushes


def test_a_watch_from_before_the_history_gets_a_gap(trio: Trio) -> None:
    trio.write(Put(b"k", b"1"))
    for replica in trio.replicas.values():
        assert replica.machine is not None
        replica.machine.scalars.history_floor = Revision(2)
    request = trio.ask(trio.leader(), WatchAsk, b"", b"", Revision(1))
    trio.settle()
    assert trio.answer(request) == WatchGap(request, Revision(2))


def puts(trio: Trio, count: int) -> None:
    """In one turn of the leader, so that all are applied in one."""
    trio.request += count
    asks = [(9, WriteAsk(trio.request - number, put(b"k", b"%d" % number))) for number in range(count)]
    trio.turn(trio.leader(), asks=asks)  # type: ignore[arg-type]
    trio.settle()


def test_watches_that_one_turn_leaves_behind_the_history_get_a_gap_and_begin_anew() -> None:
    trio = Trio(history_count_max=4, history_group_count_max=2)
    puts(trio, 2)
    some = [trio.ask(trio.leader(), WatchAsk, b"k", b"k\0", Revision(0), connection=connection) for connection in (1, 1, 2)]
    trio.settle()
    puts(trio, 10)
    for connection, request in zip((1, 1, 2), some, strict=True):
        assert trio.answers[connection, request][1:] == [WatchGap(request, Revision(9))]
    again = trio.ask(trio.leader(), WatchAsk, b"k", b"k\0", Revision(9))
    trio.settle()
    puts(trio, 1)
    told = trio.answers[1, again]
    assert all(isinstance(push, WatchPush) for push in told)
    assert [change.revision for push in told for change in push.changes] == [9, 10, 11, 12, 13]  # type: ignore[union-attr]
    assert [len(trio.answers[connection, request]) for connection, request in zip((1, 1, 2), some, strict=True)] == [2, 2, 2]


def test_what_watches_missed_is_read_anew_once_the_history_has_gone_on() -> None:
    trio = Trio(history_count_max=4, history_group_count_max=2)
    puts(trio, 2)
    first = trio.ask(trio.leader(), WatchAsk, b"k", b"k\0", Revision(1))
    trio.settle()
    trio.turn(trio.leader(), asks=[(1, UnwatchAsk(first))])
    puts(trio, 10)
    second = trio.ask(trio.leader(), WatchAsk, b"k", b"k\0", Revision(11))
    trio.settle()
    (told,) = trio.answers[1, second]
    assert isinstance(told, WatchPush)
    assert [change.revision for change in told.changes] == [11, 12]


def test_a_deposed_leader_ends_its_watches(trio: Trio) -> None:
    leader = trio.leader()
    request = trio.ask(leader, WatchAsk, b"", b"", Revision(0))
    trio.settle()
    trio.cut = [leader]
    trio.tick(40)
    last = trio.answers[1, request][-1]
    assert isinstance(last, ErrorReply)
    assert last.code == NotLeader.code


# --- administration ----------------------------------------------------------------------------------------------------


def test_a_transfer_is_answered_when_the_other_leads(trio: Trio) -> None:
    leader = trio.leader()
    target = next(member for member in MEMBERS if member != leader)
    request = trio.ask(leader, TransferAsk, target)
    trio.settle(12)
    assert isinstance(trio.answer(request), Reply)
    assert trio.leader() == target


def test_a_membership_change_is_answered_when_it_is_over(trio: Trio) -> None:
    leader = trio.leader()
    rest = tuple(member for member in MEMBERS if member != MEMBERS[0]) if leader != MEMBERS[0] else MEMBERS[:2]
    request = trio.ask(leader, ConfigAsk, Config(voters=rest))
    assert (1, request) not in trio.answers
    trio.settle(20)
    assert isinstance(trio.answer(request), Reply)
    config = trio.replicas[leader].raft.config
    assert config.voters == rest
    assert not config.is_joint()


def _until_answered(trio: Trio, request: int) -> None:
    for _ in range(50):
        if (1, request) in trio.answers:
            return
        for member in MEMBERS:
            if (1, request) not in trio.answers:
                trio.turn(member)
    raise AssertionError("no answer")


def test_a_membership_change_is_not_answered_while_its_last_step_may_be_undone(trio: Trio) -> None:
    leader = trio.leader()
    rest = tuple(member for member in MEMBERS if member != MEMBERS[0]) if leader != MEMBERS[0] else MEMBERS[:2]
    request = trio.ask(leader, ConfigAsk, Config(voters=rest))
    _until_answered(trio, request)
    raft = trio.replicas[leader].raft
    assert not raft.config.is_joint()
    assert raft.configs[-1][0] <= raft.committed, "whoever is removed is still needed"


def test_a_leader_that_leaves_with_the_change_answers_it_none_the_less(trio: Trio) -> None:
    leader = trio.leader()
    rest = tuple(member for member in MEMBERS if member != leader)
    request = trio.ask(leader, ConfigAsk, Config(voters=rest))
    _until_answered(trio, request)
    answer = trio.answer(request)
    assert isinstance(answer, Reply), answer
    raft = trio.replicas[leader].raft
    assert raft.role != LEADER
    assert (raft.configs[-1][0], raft.config.voters) == (answer.index, rest)
    assert answer.index <= raft.committed


def test_the_level_is_raised_only_when_everybody_can() -> None:
    trio = Trio(level=1)
    leader = trio.leader()
    trio.tick(5)
    other = next(member for member in MEMBERS if member != leader)
    trio.replicas[other].raft.level_max = 1
    trio.tick(5)
    assert error(trio, trio.ask(leader, LevelAsk, 2)).code == LevelMissing.code
    trio.replicas[other].raft.level_max = 2
    trio.tick(5)
    request = trio.ask(leader, LevelAsk, 2)
    trio.settle()
    assert isinstance(trio.answer(request), Reply)
    trio.tick(3)
    assert all(replica.machine is not None and replica.machine.level == 2 for replica in trio.replicas.values())


# --- digests -----------------------------------------------------------------------------------------------------------


def corrupt(trio: Trio, member: MemberId, value: bytes) -> None:
    """A bit flips in memory: one key of this member holds another value."""
    machine = trio.replicas[member].machine
    assert machine is not None
    for table in machine.containers.values():
        stored = table.get(b"k") if isinstance(table, Table) else None
        if stored is not None:
            table.set(b"k", msgspec.structs.replace(stored, value=value))
            return
    raise AssertionError("the key is nowhere")


def test_a_follower_that_differs_is_told_to_heal(trio: Trio) -> None:
    trio.write(Put(b"k", b"right"))
    trio.tick(3)
    wrong = next(member for member in MEMBERS if member != trio.leader())
    corrupt(trio, wrong, b"wrong")
    for number in range(6):
        trio.write(Put(b"n", b"%d" % number))
        trio.tick(3)
    assert list(trio.failed) == [wrong]


@pytest.mark.parametrize("lost", [DigestReport, Heal])
def test_a_report_that_was_lost_is_made_again_though_nothing_is_written(trio: Trio, lost: type[Message]) -> None:
    trio.write(Put(b"k", b"right"))
    trio.tick(3)
    wrong = next(member for member in MEMBERS if member != trio.leader())
    corrupt(trio, wrong, b"wrong")
    trio.lost = (lost,)
    for number in range(6):
        trio.write(Put(b"n", b"%d" % number))
    trio.tick(3)
    trio.lost = ()
    trio.tick(3)
    assert not trio.failed
    trio.tick(ReplicaConfig().report_again_ms // TICK_MS)
    assert list(trio.failed) == [wrong]


def test_a_leader_that_differs_gives_way(trio: Trio) -> None:
    trio.write(Put(b"k", b"right"))
    trio.tick(3)
    wrong = trio.leader()
    corrupt(trio, wrong, b"wrong")
    for number in range(6):
        trio.write(Put(b"n", b"%d" % number))
        trio.tick(3)
    assert list(trio.failed) == [wrong]


def test_writes_stop_when_nobody_has_a_majority(trio: Trio) -> None:
    trio.write(Put(b"k", b"right"))
    trio.tick(3)
    for member, value in zip(MEMBERS, (b"one", b"two", b"three"), strict=True):
        corrupt(trio, member, value)
    for number in range(6):
        answer = trio.write(Put(b"n", b"%d" % number))
        trio.tick(3)
    assert isinstance(answer, ErrorReply)
    assert (answer.code, answer.definite) == (WritesStopped.code, True)
    assert "index" in answer.sentence
    assert not trio.failed


def test_writes_go_on_when_all_members_agree_again(trio: Trio) -> None:
    trio.write(Put(b"k", b"right"))
    trio.tick(3)
    for member, value in zip(MEMBERS, (b"one", b"two", b"right"), strict=True):
        corrupt(trio, member, value)
    for number in range(6):
        trio.write(Put(b"n", b"%d" % number))
        trio.tick(3)
    leader = trio.replicas[trio.leader()]
    assert leader.clients.stopped_at
    for member in MEMBERS:
        corrupt(trio, member, b"right")
    while leader.checkpoint()[0] <= leader.clients.stopped_at or leader.checkpoint()[1] is None:
        leader.raft.append_own(NOOP, b"")  # checkpoints come with any entry, also while no writes are let in
        trio.tick(2)
    trio.tick(2)
    assert not leader.clients.stopped_at
    assert isinstance(trio.write(Put(b"n", b"more")), Reply)


def test_an_event_turn_without_anything_costs_no_effects(trio: Trio) -> None:
    leader = trio.leader()
    trio.settle(20)
    effects = whole_turn(trio.replicas[leader], Events(now_ms=trio.now_ms))
    assert effects.write is None
    assert not effects.send_now
    assert not effects.send_applied
    assert not effects.to_clients


def test_the_clock_must_not_go_back(trio: Trio) -> None:
    trio.leader()
    with pytest.raises(AssertionError, match="monotonic"):
        trio.replicas[MEMBERS[0]].handle(Events(now_ms=0))
