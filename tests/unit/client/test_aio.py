"""The same client to await: the same names, and what only a loop can do to it, cancel."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence

import pytest

from coordnode.client import aio, sync
from coordnode.client.addresses import parse_address
from coordnode.client.lease import SessionState
from coordnode.errors import BadRequest, Disconnected, HistoryGone, SessionExpired, TimedOut, Unreachable
from coordnode.ids import MemberId, Revision
from coordnode.services.dialogue import Answer, Ask, KeepAliveAsk, KeepAliveReply, ReadAsk, WatchAsk, WatchGap
from tests.unit.client.member import FakeMember, not_leader
from tests.unit.client.naming import PATIENCE_S, Names, Stuck, deaf

pytestmark = pytest.mark.usefixtures("unstalled")
Story = Callable[[FakeMember, aio.Cluster], Awaitable[None]]


def run(story: Story, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    async def told() -> None:
        with FakeMember() as member:
            async with await aio.connect(member.address, identity="tests", timeout=PATIENCE_S) as cluster:
                await story(member, cluster)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(told())


def test_both_have_the_same_names_and_arguments() -> None:
    for kind in ("Cluster", "Kv", "Session", "Watch"):
        blocking, awaited = getattr(sync, kind), getattr(aio, kind)
        names = {name.replace("__a", "__") for name in vars(awaited) if not name.startswith("_") or name.endswith("__")}
        assert {name for name in vars(blocking) if not name.startswith("_") or name.endswith("__")} == names
        for name in names:
            if not name.startswith("_") and callable(getattr(blocking, name)):
                ours, theirs = inspect.signature(getattr(blocking, name)), inspect.signature(getattr(awaited, name))
                assert [(each.name, each.kind, each.default) for each in ours.parameters.values()] == [
                    (each.name, each.kind, each.default) for each in theirs.parameters.values()
                ]
    assert inspect.signature(sync.connect).parameters == inspect.signature(aio.connect).parameters


@pytest.mark.parametrize("anywhere", [True, False])
def test_whoever_is_connected_to_is_asked_to_answer_itself_where_reads_may_go_anywhere(anywhere: bool) -> None:
    async def read(member: FakeMember) -> None:
        async with await aio.connect(member.address, timeout=PATIENCE_S, reads_anywhere=anywhere) as cluster:
            await cluster.kv.get("a")

    with FakeMember() as member:
        asyncio.run(read(member))
    assert [ask.here for ask in member.asks if isinstance(ask, ReadAsk)] == [anywhere]


def test_keys_and_values() -> None:
    async def story(_member: FakeMember, cluster: aio.Cluster) -> None:
        assert await cluster.kv.get("a") is None
        revisions = await asyncio.gather(*[cluster.kv.put(f"p/{number}", "x") for number in range(20)])
        assert sorted(revisions) == list(range(1, 21))
        assert len([item async for item in cluster.kv.range("p/")]) == 20
        assert await cluster.kv.compare_and_set("p/1", "y", absent=True) is None
        assert await cluster.kv.delete("p/1") is True
        await cluster.barrier()
        assert cluster.revision == 20

    run(story)


def test_who_waits_for_its_own_is_not_woken_by_what_others_are_told() -> None:
    class Silent:
        def on_event(self, event: object) -> None: ...

    async def story(_member: FakeMember, cluster: aio.Cluster) -> None:
        looks = 0

        def look() -> bool:
            nonlocal looks
            looks += 1
            return False

        waits = [asyncio.create_task(cluster._tasks.wait_until(look, None, Silent())) for _ in range(50)]
        for number in range(20):
            await cluster.kv.put(f"p/{number}", "x")
        assert looks == 50
        await cluster.close()
        ended = await asyncio.gather(*waits, return_exceptions=True)
        assert {str(error) for error in ended} == {"the client is closed"}
        assert looks == 100

    run(story)


def test_on_the_loop_that_members_run_on() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed on this system")

    async def story(_member: FakeMember, cluster: aio.Cluster) -> None:
        assert await cluster.kv.put("a", "1") == 1

    run(story, uvloop.new_event_loop)


def test_the_leader_is_followed_from_one_endpoint() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        with FakeMember(2) as leader:
            member.contacts = ((MemberId(1), member.address), (MemberId(2), leader.address))
            member.handler = lambda ask: not_leader(ask, 2)
            assert await cluster.kv.put("a", "1") == 1
            assert leader.hellos == 1

    run(story)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_name_whose_first_place_takes_no_connection_is_reached_at_the_next(names: Names, loop: str) -> None:
    module = pytest.importorskip(loop, reason=f"{loop} is not installed on this system")

    async def story(member: FakeMember, _cluster: aio.Cluster) -> None:
        names.of["two.test"] = lambda: [swallowing, parse_address(member.address)]
        async with await aio.connect("two.test:7001", timeout=PATIENCE_S) as cluster:
            assert await cluster.kv.get("a") is None

    with deaf() as swallowing:
        run(story, module.new_event_loop)


def test_an_answer_that_comes_late_is_for_the_next_dial(names: Names) -> None:
    async def story(member: FakeMember, _cluster: aio.Cluster) -> None:
        resolver = names.of["slow.test"] = Stuck(parse_address(member.address))
        async with await aio.connect("slow.test:7001", timeout=PATIENCE_S) as cluster:
            with pytest.raises(Unreachable):
                await cluster.kv.get("a", timeout=1)  # longer than a dial is waited for
            resolver.may_answer.set()
            assert await cluster.kv.get("a") is None
        assert names.asked == ["slow.test"]

    run(story)


def test_outcomes_that_are_not_known() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        def hang_up(_ask: Ask) -> Sequence[Answer] | None:
            member.cut()
            return []

        member.handler = hang_up
        with pytest.raises(Disconnected):
            await cluster.kv.put("a", "1")
        member.handler = lambda _ask: []
        with pytest.raises(TimedOut):
            await cluster.kv.put("a", "1", timeout=0.1)
        with FakeMember() as gone:
            pass
        async with await aio.connect(gone.address) as nobody:
            with pytest.raises(Unreachable, match="connection refused"):
                await nobody.kv.put("a", "1", timeout=0.5)

    run(story)


def test_what_cannot_be_sent_tears_down_nothing() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        asked = asyncio.create_task(cluster.kv.get("a"))  # it waits for the connection, as what follows does
        await asyncio.sleep(0)
        for wrong in (
            cluster.counters.add("x", 2**70),
            cluster.kv.get("a", min_revision=2**70),
            cluster.session(owner=b"\xff".decode(errors="surrogateescape")),
        ):
            with pytest.raises(BadRequest, match="this cannot be sent"):
                await wrong
        assert await asked is None
        assert member.hellos == 1

    run(story)


def test_a_cancelled_call_is_given_up() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        member.handler = lambda _ask: []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await cluster.kv.get("a")
        assert not cluster._tasks.link.core._calls, "nobody waits for it, so it is not kept until its deadline"
        member.handler = lambda _ask: None
        assert await cluster.kv.get("a") is None

    run(story)


def test_sessions() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        async with await cluster.session(ttl=1) as session:
            assert session.state is SessionState.HELD
            while not any(isinstance(ask, KeepAliveAsk) for ask in member.asks):
                assert not await session.wait_lost(timeout=0.01)
        assert session.state is SessionState.LOST
        member.handler = lambda ask: [KeepAliveReply(ask.request, [], ask.sessions)] if isinstance(ask, KeepAliveAsk) else None
        with pytest.raises(SessionExpired, match="the cluster ended it"):
            async with await cluster.session(ttl=1) as session:
                assert await session.wait_lost(timeout=PATIENCE_S)

    run(story)


def test_watches() -> None:
    async def story(member: FakeMember, cluster: aio.Cluster) -> None:
        async with cluster.kv.watch("p/") as watch:
            assert await watch.wait_ready() == 0
            await cluster.kv.put("p/1", "x")
            async for change in watch:
                assert (change.revision, change.events[0].key) == (1, b"p/1")
                break
            assert await watch.take(timeout=0.01) is None
        member.handler = lambda ask: [WatchGap(ask.request, Revision(40))] if isinstance(ask, WatchAsk) else None
        with pytest.raises(HistoryGone):
            await cluster.kv.watch(from_revision=3).take(timeout=PATIENCE_S)

    run(story)
