"""The blocking client on real sockets: what callers see of leaders that move, members that hang up, and clusters that refuse."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from msgspec import structs

from coordnode.client import requests
from coordnode.client.addresses import parse_address
from coordnode.client.lease import SessionState
from coordnode.client.link import Step
from coordnode.client.sync import Cluster, connect
from coordnode.errors import (
    BadRequest,
    Disconnected,
    HistoryGone,
    MembershipBusy,
    SessionExpired,
    TimedOut,
    TooLarge,
    Unreachable,
    WrongCluster,
)
from coordnode.ids import MemberId, Revision
from coordnode.limits import MIB
from coordnode.raft.entry import Config
from coordnode.services.commands import CloseSession, Get, OpenSession, Put, decode_client_command
from coordnode.services.dialogue import (
    Answer,
    Ask,
    ConfigAsk,
    ErrorReply,
    KeepAliveAsk,
    KeepAliveReply,
    LevelAsk,
    ReadAsk,
    Reply,
    TransferAsk,
    WatchAsk,
    WatchGap,
    WriteAsk,
)
from tests.unit.client.member import FakeMember, not_leader
from tests.unit.client.naming import PATIENCE_S, Names, Stuck, deaf
from tests.unit.unstalled import Unstalled

pytestmark = pytest.mark.usefixtures("unstalled")


@pytest.fixture
def member() -> Iterator[FakeMember]:
    with FakeMember() as made:
        yield made


@pytest.fixture
def cluster(member: FakeMember) -> Iterator[Cluster]:
    with connect(member.address, identity="tests", timeout=PATIENCE_S) as made:
        yield made


def writes(member: FakeMember) -> list[object]:
    return [decode_client_command(ask.body).operation for ask in member.asks if isinstance(ask, WriteAsk)]


@pytest.mark.parametrize("anywhere", [True, False])
def test_whoever_is_connected_to_is_asked_to_answer_itself_where_reads_may_go_anywhere(member: FakeMember, anywhere: bool) -> None:
    with connect(member.address, timeout=PATIENCE_S, reads_anywhere=anywhere) as cluster:
        cluster.kv.get("a")
        list(cluster.kv.range("a"))
    assert [ask.here for ask in member.asks if isinstance(ask, ReadAsk)] == [anywhere, anywhere]


def test_keys_and_values(cluster: Cluster) -> None:
    assert cluster.kv.get("a") is None
    assert cluster.kv.put("a", "one") == 1
    found = cluster.kv.get(b"a")
    assert found is not None
    assert (found.value, found.mod_revision, cluster.revision) == (b"one", 1, 1)
    assert cluster.kv.delete("a") is True
    assert cluster.kv.delete("a") is False
    for number in range(5):
        cluster.kv.put(f"p/{number}", b"x")
    assert [item.key for item in cluster.kv.range("p/")] == [b"p/0", b"p/1", b"p/2", b"p/3", b"p/4"]  # over three pages
    assert [item.key for item in cluster.kv.range(start="p/1", end="p/3")] == [b"p/1", b"p/2"]
    cluster.barrier()


def test_compare_and_set(cluster: Cluster) -> None:
    first = cluster.kv.compare_and_set("a", "one", absent=True)
    assert first == 1
    assert cluster.kv.compare_and_set("a", "two", absent=True) is None
    assert cluster.kv.compare_and_set("a", "two", prev_revision=first) == 2
    with pytest.raises(BadRequest, match="exactly one"):
        cluster.kv.compare_and_set("a", "three")
    done = cluster.kv.transaction([requests.at_revision("a", 9)], [Put(b"a", b"x")], [Get(b"a")])
    assert (done.succeeded, len(done.results)) == (False, 1)


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), float("nan")])
def test_a_timeout_that_makes_no_sense(cluster: Cluster, timeout: float | timedelta) -> None:
    with pytest.raises(BadRequest, match="above 0"):
        cluster.kv.get("a", timeout=timeout)


def test_members_and_leadership_are_changed_by_whoever_leads(member: FakeMember, cluster: Cluster) -> None:
    refusals = [not_leader, not_leader]

    def handler(ask: Ask) -> Sequence[Answer] | None:
        if refusals:
            return refusals.pop()(ask)
        return [Reply(ask.request, 5, 0, b"")]

    member.handler = handler
    cluster.members.change([2, 1], [4], {1: "a:1", 2: "a:2", 3: "a:3", 4: "a:4"})
    cluster.members.lead(2)
    cluster.members.raise_level(3)
    wanted = Config(
        (MemberId(1), MemberId(2)), learners=(MemberId(4),), contacts=((MemberId(1), "a:1"), (MemberId(2), "a:2"), (MemberId(4), "a:4"))
    )
    kinds = [structs.replace(ask, request=0) for ask in member.asks[2:]]
    assert kinds == [ConfigAsk(0, wanted), TransferAsk(0, MemberId(2)), LevelAsk(0, 3)]

    busy = MembershipBusy("another membership change is under way")
    member.handler = lambda ask: [ErrorReply(ask.request, busy.code, busy.sentence, True)]
    with pytest.raises(MembershipBusy):
        cluster.members.lead(2)
    assert len(member.asks) == 6  # not repeated: what is in force may be another membership by now


def test_one_endpoint_is_enough_to_find_the_leader(member: FakeMember) -> None:
    with FakeMember(2) as other, FakeMember(3) as leader:
        member.contacts = tuple((one.id, one.address) for one in (member, other, leader))
        member.handler = lambda ask: not_leader(ask, 3)
        with connect(member.address) as cluster:
            assert cluster.kv.put("a", "1") == 1
            assert cluster.kv.get("a") is not None
        assert (member.hellos, other.hellos, leader.hellos) == (1, 0, 1)
        assert len(member.asks) == 1


def test_a_member_that_hangs_up_before_it_answers(member: FakeMember, cluster: Cluster) -> None:
    """A read is asked again; a plain write may have happened; one with a request id, or of a session, is sent again."""
    left = [2]

    def hang_up(_ask: Ask) -> Sequence[Answer] | None:
        if not left[0]:
            return None
        left[0] -= 1
        member.cut()
        return []

    member.handler = hang_up
    assert cluster.kv.get("a") is None
    left[0] = 1
    with pytest.raises(Disconnected) as unknown:
        cluster.kv.put("a", "1")
    assert unknown.value.definite is False
    assert writes(member) == [Put(b"a", b"1")]
    left[0] = 1
    assert cluster.kv.put("a", "2", request_id="id-1") == 1
    with cluster.session(ttl=3) as session:
        left[0] = 1
        assert session.kv.put("a", "3") == 2


def test_a_refusal_that_passes_is_waited_out(member: FakeMember, cluster: Cluster) -> None:
    left = [3]

    def not_ready(ask: Ask) -> Sequence[Answer] | None:
        left[0] -= 1
        return [ErrorReply(ask.request, 11, "not ready", True, 5)] if left[0] > 0 else None

    member.handler = not_ready
    assert cluster.kv.put("a", "1") == 1
    assert len(member.asks) == 3


def test_a_deadline_ends_everything(member: FakeMember, cluster: Cluster) -> None:
    cluster.kv.put("a", "1")  # connected: a busy machine may need longer for that than these deadlines
    member.handler = lambda _ask: []
    with pytest.raises(TimedOut):
        cluster.kv.put("a", "1", timeout=0.1)
    with pytest.raises(TimedOut):
        cluster.kv.get("a", timeout=timedelta(milliseconds=100))
    with pytest.raises(TimedOut):
        cluster.session(ttl=3, timeout=0.1)


def told(cluster: Cluster) -> str:
    """Why nobody could be asked, once the time was enough to learn it."""
    for timeout in (0.1, 5):
        with pytest.raises(Unreachable) as refused:
            cluster.kv.put("a", "1", timeout=timeout)
        assert refused.value.definite
        if "cannot be resolved" in str(refused.value) or "refused" in str(refused.value):
            break
    return str(refused.value)


def test_nobody_there_says_why() -> None:
    with FakeMember() as gone:
        pass
    with connect([gone.address]) as cluster:
        assert "connection refused" in told(cluster)
    for wrong in ("", "host", "host:0", "::1:7"):
        with pytest.raises(BadRequest):
            connect(wrong)


def test_a_cluster_that_refuses_us_is_not_asked_again(unstalled: Unstalled) -> None:
    with FakeMember(refusal=WrongCluster("this is another cluster")) as stranger, connect(stranger.address) as cluster:
        began_ns = unstalled.now_ns()
        with pytest.raises(WrongCluster, match="another cluster"):
            cluster.kv.get("a")
        assert unstalled.now_ns() - began_ns < 4e9
        assert stranger.hellos == 1


def test_one_place_that_refuses_us_for_good_ends_nothing_while_others_let_us_in(member: FakeMember) -> None:
    with (
        FakeMember(refusal=WrongCluster("this is another cluster")) as stranger,
        connect(f"{member.address},{stranger.address}", timeout=PATIENCE_S) as cluster,
    ):
        watch = cluster.kv.watch("a")
        watch.wait_ready()
        for number in range(1, 6):
            seen = stranger.hellos
            while stranger.hellos == seen:
                member.cut()
                cluster.kv.get("a")
            member.write(Put(b"a", b"%d" % number))
            change = watch.take(timeout=PATIENCE_S)
            assert change is not None
            assert change.events[0].value == b"%d" % number


def place_of(member: FakeMember) -> tuple[str, int]:
    return parse_address(member.address)


def test_a_deadline_waits_for_no_resolver(member: FakeMember, names: Names) -> None:
    resolver = names.of["slow.test"] = Stuck(place_of(member))
    with connect("slow.test:7001") as cluster, pytest.raises(Unreachable):
        cluster.kv.get("a", timeout=0.3)
    assert not resolver.has_answered
    resolver.may_answer.set()


def test_a_lease_ends_in_time_whatever_the_resolver_does(member: FakeMember, names: Names) -> None:
    names.of["slow.test"] = lambda: [place_of(member)]
    with connect("slow.test:7001") as cluster:
        session = cluster.session(ttl=1)
        resolver = names.of["slow.test"] = Stuck(place_of(member))
        member.cut()
        assert session.wait_lost(timeout=PATIENCE_S)
        assert not resolver.has_answered
        resolver.may_answer.set()


def test_an_answer_that_comes_late_is_for_the_next_dial(member: FakeMember, names: Names) -> None:
    resolver = names.of["slow.test"] = Stuck(place_of(member))
    with connect("slow.test:7001", timeout=PATIENCE_S) as cluster:
        with pytest.raises(Unreachable):
            cluster.kv.get("a", timeout=1)  # longer than a dial is waited for
        resolver.may_answer.set()
        assert cluster.kv.get("a") is None
    assert names.asked == ["slow.test"]


def test_a_name_whose_first_place_takes_no_connection_is_reached_at_the_next(member: FakeMember, names: Names) -> None:
    with deaf() as swallowing, connect("two.test:7001", timeout=PATIENCE_S) as cluster:
        names.of["two.test"] = lambda: [swallowing, place_of(member)]
        assert cluster.kv.get("a") is None


def test_a_name_that_nobody_knows_is_said(names: Names) -> None:
    def unknown() -> list[tuple[str, int]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    names.of["no.test"] = unknown
    with connect("no.test:7001") as cluster:
        assert "no.test:7001 cannot be resolved: Name or service" in told(cluster)


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_is_renewed_in_the_background_and_closed_at_the_end(member: FakeMember, cluster: Cluster, unstalled: Unstalled) -> None:
    renewed, alone = threading.Event(), []

    def watch_renewals(ask: Ask) -> Sequence[Answer] | None:
        if isinstance(ask, KeepAliveAsk):
            if len(ask.sessions) < 2:
                alone.append(ask)
                return []  # it is asked for again, until the other one is due as well
            renewed.set()
        return None

    member.handler = watch_renewals
    began_ns = unstalled.now_ns()
    with cluster.session(ttl=3) as first, cluster.session(ttl=3) as second:
        are_due_together = unstalled.now_ns() - began_ns < 2e8  # a machine that is busy with other things may open them far apart
        assert first.state is SessionState.HELD
        assert 0 < first.remaining_ms < 3000
        assert renewed.wait(PATIENCE_S), "one frame renews both"
        assert not (alone and are_due_together)
        second.check()
    assert first.state is second.state is SessionState.LOST
    assert [operation for operation in writes(member) if isinstance(operation, CloseSession)] == [CloseSession(2), CloseSession(1)]
    assert [kind for kind in map(type, writes(member)) if kind is OpenSession] == [OpenSession] * 2
    cluster.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "coordnode sessions"]


def test_losing_a_session_inside_its_block_cannot_be_missed(member: FakeMember, cluster: Cluster) -> None:
    def expire(ask: Ask) -> Sequence[Answer] | None:
        return [KeepAliveReply(ask.request, [], ask.sessions)] if isinstance(ask, KeepAliveAsk) else None

    member.handler = expire
    with pytest.raises(SessionExpired, match="the cluster ended it"), cluster.session(ttl=1) as session:
        assert session.wait_lost(timeout=PATIENCE_S)
        with pytest.raises(SessionExpired):
            session.kv.put("a", "1", bound=True)
    with pytest.raises(ZeroDivisionError), cluster.session(ttl=1) as session:
        assert session.wait_lost(timeout=PATIENCE_S)
        _ = 1 // 0


def test_a_session_that_nobody_renews_is_lost_by_our_own_clock(member: FakeMember, cluster: Cluster) -> None:
    session = cluster.session(ttl=2)
    member.handler = lambda _ask: []
    states = []
    assert not session.wait_lost(timeout=0.05)
    states.append(session.state)
    assert session.wait_lost(timeout=PATIENCE_S)
    states.append(session.state)
    assert states == [SessionState.HELD, SessionState.LOST]
    assert session.remaining_ms == 0


# --- watches ---------------------------------------------------------------------------------------------------------


def test_a_watch_sees_changes_in_order_and_goes_on_after_a_lost_connection(member: FakeMember, cluster: Cluster) -> None:
    with cluster.kv.watch("p/") as watch:
        assert watch.wait_ready() == 0
        for number in range(3):
            cluster.kv.put(f"p/{number}", "x")
        changes = iter(watch)
        assert [next(changes).events[0].key for _ in range(3)] == [b"p/0", b"p/1", b"p/2"]
        assert watch.take(timeout=0.01) is None
        member.cut()
        cluster.kv.put("q", "x", request_id="id")
        again = [ask for ask in member.asks if isinstance(ask, WatchAsk)]
        while len(again) < 2:
            assert watch.take(timeout=0.01) is None
            again = [ask for ask in member.asks if isinstance(ask, WatchAsk)]
        assert [ask.start_revision for ask in again] == [0, 4]


def test_a_gap_is_an_error_that_names_the_floor(member: FakeMember, cluster: Cluster) -> None:
    member.handler = lambda ask: [WatchGap(ask.request, Revision(40))] if isinstance(ask, WatchAsk) else None
    watch = cluster.kv.watch(key="a", from_revision=3)
    with pytest.raises(HistoryGone, match="before revision 40") as gone:
        watch.take(timeout=PATIENCE_S)
    assert gone.value.floor == 40


# --- threads ---------------------------------------------------------------------------------------------------------


def test_many_threads_share_one_connection(member: FakeMember, cluster: Cluster) -> None:
    def work(name: str) -> None:
        for number in range(20):
            cluster.kv.put(f"{name}/{number}", "x")

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(member.kv) == 160
    assert member.hellos == 1


def test_what_cannot_be_sent_is_refused_before_it_travels_with_the_asks_of_others(member: FakeMember, cluster: Cluster) -> None:
    surrogate = b"\xff".decode(errors="surrogateescape")
    with cluster.session(ttl=3) as session:
        member.cut()  # whoever finds the way back carries what all have asked
        for wrong in (
            lambda: cluster.counters.add("x", 2**70),
            lambda: session.counters.add("x", 2**70),
            lambda: cluster.kv.get("a", min_revision=2**70),
            lambda: cluster.kv.put("a", "1", request_id=surrogate),
            lambda: cluster.kv.watch("a", from_revision=2**70),
            lambda: cluster.session(owner=surrogate),
            lambda: cluster.members.lead(2**70),
        ):
            with pytest.raises(BadRequest, match="this cannot be sent"):
                wrong()
        with pytest.raises(TooLarge, match="was not sent"):
            session.kv.put("a", bytes(5 * MIB))
        with pytest.raises(TooLarge, match="was not sent"):
            cluster.kv.watch(bytes(5 * MIB))
        assert session.kv.put("a", "1") == 1
        assert not cluster._pump.link.core._calls, "what is not sent is not kept"
    assert session.state is SessionState.LOST


def test_sessions_are_renewed_whatever_goes_wrong_in_the_thread_that_does_it(
    member: FakeMember, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: said.append(f"{args.thread.name}: {args.exc_value}"))
    poll = cluster._pump.link.poll

    def failing_once(now_ms: int) -> list[Step]:
        if not said and threading.current_thread() is cluster._pump._keeper:
            raise ZeroDivisionError("a mistake")
        return poll(now_ms)

    renewed = threading.Event()

    def note_renewals(ask: Ask) -> None:
        if said and isinstance(ask, KeepAliveAsk):
            renewed.set()

    member.handler = note_renewals
    with cluster.session(ttl=3) as session:
        monkeypatch.setattr(cluster._pump.link, "poll", failing_once)
        assert renewed.wait(PATIENCE_S)
        assert said == ["coordnode sessions: a mistake"]
        assert session.state is SessionState.HELD


def test_closing_tells_those_who_wait(member: FakeMember, cluster: Cluster) -> None:
    asked = threading.Event()

    def never(ask: Ask) -> Sequence[Answer] | None:
        asked.set()
        return []

    member.handler = never
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            cluster.kv.get("a")
        except BadRequest as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert asked.wait(PATIENCE_S)
    cluster.close()
    thread.join(PATIENCE_S)
    assert len(errors) == 1
    with pytest.raises(BadRequest, match="closed"):
        cluster.kv.get("a")
    assert isinstance(member.asks[0], ReadAsk)


def test_the_blocking_client_does_without_asyncio() -> None:
    script = "import sys, coordnode.client.sync; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode == 0
