"""Who may still renew a session, who ends it, and what a new leader grants."""

from coordnode.errors import NotLeader
from coordnode.ids import Index, SessionId
from coordnode.limits import EXPIRE_SESSIONS_PER_TICK
from coordnode.replica.leases import Leases, SessionTraffic
from coordnode.services.dialogue import ErrorReply, KeepAliveAsk
from tests.unit.replica.trio import TICK_MS, Trio

TTL_MS = 4_000


def test_one_tick_ends_a_few_sessions_and_none_is_forgotten() -> None:
    leases = Leases(SessionTraffic())
    for number in range(1, 501):
        leases.grant(SessionId(number), TTL_MS, 0)
    ended: list[SessionId] = []
    sizes = []
    while True:
        expire, checkpoint = leases.due(TTL_MS)
        assert not checkpoint
        if not expire:
            break
        sizes.append(len(expire))
        ended += expire
    assert sizes == [EXPIRE_SESSIONS_PER_TICK, EXPIRE_SESSIONS_PER_TICK, 500 - 2 * EXPIRE_SESSIONS_PER_TICK]
    assert sorted(ended) == list(range(1, 501))


def test_nothing_renews_a_session_once_its_expiry_is_proposed() -> None:
    leases = Leases(SessionTraffic())
    for number in (1, 2):
        leases.grant(SessionId(number), TTL_MS, 0)
    assert leases.renew(SessionId(2), TTL_MS - 1, Index(0)) == TTL_MS
    assert leases.due(TTL_MS) == ([1], []), "its first look comes at the deadline, so nothing is checkpointed"
    assert leases.renew(SessionId(1), TTL_MS, Index(0)) is None
    leases.grant(SessionId(1), TTL_MS, TTL_MS)
    assert leases.renew(SessionId(1), TTL_MS, Index(0)) is None, "an opening that is repeated is no sign of life"
    assert leases.renew(SessionId(2), TTL_MS, Index(0)) == TTL_MS


def test_nothing_renews_a_session_until_what_withdrew_its_checkpoint_is_applied() -> None:
    """Not even the keep-alive that came before the checkpoint: it is confirmed while the withdrawal of a later one is under way."""
    leases = Leases(SessionTraffic())
    leases.grant(SessionId(1), TTL_MS, 0)
    assert leases.due(TTL_MS // 2) == ([], [(1, TTL_MS // 2)])
    assert leases.renew(SessionId(1), TTL_MS // 2, Index(8)) is None
    leases.withdrawing(SessionId(1), Index(9))
    assert leases.renew(SessionId(1), TTL_MS // 2, Index(8)) is None
    assert leases.due(TTL_MS * 7 // 8) == ([], []), "it was heard of: it neither ends nor is checkpointed again meanwhile"
    assert leases.renew(SessionId(1), TTL_MS * 7 // 8, Index(9)) == TTL_MS


def test_sessions_that_are_opened_and_that_expire_are_counted_once_and_by_the_next_leadership_too() -> None:
    traffic = SessionTraffic()
    leases = Leases(traffic)
    for number in (1, 2, 2, 3):
        leases.grant(SessionId(number), TTL_MS, 0)
    leases.end(SessionId(1))  # its client closed it
    assert leases.due(TTL_MS) == ([2, 3], [])
    leases.end(SessionId(2))
    leases.end(SessionId(2))
    assert (traffic.opened, traffic.expired) == (3, 1)
    Leases(traffic).grant_all([(SessionId(3), TTL_MS, None)], 0)
    assert (traffic.opened, traffic.expired) == (3, 1), "a new leader finds sessions, and opens none"


def test_a_keep_alive_is_not_answered_without_a_round() -> None:
    trio = Trio()
    session = trio.open_session(TTL_MS)
    leader = trio.leader()
    trio.cut = [leader]
    request = trio.ask(leader, KeepAliveAsk, [session])
    trio.settle()
    assert (1, request) not in trio.answers
    trio.tick(60)
    refused = trio.answer(request)
    assert isinstance(refused, ErrorReply)
    assert (refused.code, refused.definite) == (NotLeader.code, True)


def test_a_new_leader_grants_the_whole_ttl_where_nothing_is_checkpointed() -> None:
    trio = Trio()
    session = trio.open_session(TTL_MS)
    trio.tick(TTL_MS * 3 // 8 // TICK_MS)
    trio.cut = [trio.leader()]
    machine = trio.replicas[trio.leader()].machine
    assert machine is not None
    assert machine.remaining_ms(session) is None
    ticks = 0
    while machine.has_session(session):
        trio.tick()
        ticks += 1
    assert TTL_MS - 2 * TICK_MS <= ticks * TICK_MS <= TTL_MS + 4 * TICK_MS


def test_the_leader_counts_the_sessions_of_its_log() -> None:
    trio = Trio()
    for _ in range(3):
        trio.open_session(TTL_MS)
    clients = trio.replicas[trio.leader()].clients
    assert (clients.sessions_open(), clients.sessions.opened, clients.sessions.expired) == (3, 3, 0)
    trio.tick(2 * TTL_MS // TICK_MS)
    assert (clients.sessions_open(), clients.sessions.opened, clients.sessions.expired) == (0, 3, 3)
    others = [replica.clients for member, replica in trio.replicas.items() if member != trio.leader()]
    assert {(other.sessions_open(), other.sessions.opened) for other in others} == {(0, 0)}
