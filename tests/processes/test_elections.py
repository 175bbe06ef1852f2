"""Elections through the client, against a real member: standing, leading, handing over, observing."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from coordnode.client import aio
from coordnode.client.elections import Observed
from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.errors import Busy, Missing, NotHeld
from tests.processes.members import PATIENCE_S, Cluster, wait_until


@pytest.fixture
def client(one_member: Cluster) -> Iterator[Client]:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster:
        yield cluster


def said(observed: Observed | None) -> tuple[str, bytes] | None:
    assert observed is not None
    return (observed.leader.candidate, observed.leader.value) if observed.leader is not None else None


def test_a_leader_proclaims_hands_over_and_everybody_sees_it(client: Client) -> None:
    election = client.election("primary")
    with election.observe() as observer:
        assert said(observer.take(PATIENCE_S)) is None
        ended = threading.Event()

        def follow() -> None:
            with election.campaign(b"b:80", candidate="b") as leadership:
                ended.wait(PATIENCE_S)
                leadership.check()

        with election.campaign(b"a:80", candidate="a") as first:
            assert said(observer.take(PATIENCE_S)) == ("a", b"a:80")
            first.proclaim(b"a:81")
            assert said(observer.take(PATIENCE_S)) == ("a", b"a:81")
            with pytest.raises(Busy, match="election primary is led by a for"):
                election.campaign(wait=False).win()
            thread = threading.Thread(target=follow)
            thread.start()
            wait_until(lambda: len(election.view().candidates) == 1, "somebody stands")
            with pytest.raises(Missing, match="nobody called c stands"):
                first.resign(to="c")
            first.check()
            first.resign(to="b")
        assert said(observer.take(PATIENCE_S)) == ("b", b"b:80")
        assert [info.leader.candidate for info in client.elections.list()] == ["b"]
        ended.set()
        thread.join(PATIENCE_S)
        assert said(observer.take(PATIENCE_S)) is None
        assert observer.take(0.05) is None


def test_who_is_deposed_is_told(client: Client) -> None:
    election = client.election("primary")
    with pytest.raises(NotHeld, match="election primary was lost: ann ended it: upgrade"), election.campaign() as leadership:
        election.depose(reason="upgrade", by="ann")
        assert leadership.wait_lost(PATIENCE_S)
        leadership.check()
        raise AssertionError("it was not told")
    with pytest.raises(Missing, match="nobody leads"):
        election.depose(reason="again")


def test_to_await(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with asyncio.timeout(PATIENCE_S), await aio.connect(address) as cluster:
            election = cluster.election("primary")
            async with election.observe() as observer:
                assert said(await observer.take()) is None
                async with election.campaign(b"a:80", candidate="a") as leadership:
                    assert said(await observer.take()) == ("a", b"a:80")
                    await leadership.proclaim(b"a:81")
                    assert said(await observer.take()) == ("a", b"a:81")
                    stands = asyncio.create_task(election.campaign(candidate="b").win())
                    while not (await election.view()).candidates:
                        await asyncio.sleep(0.02)
                    await leadership.resign(to="b")
                second = await stands
                assert said(await observer.take()) == ("b", b"")
                await second.resign()
                assert said(await observer.take()) is None
            with pytest.raises(NotHeld, match="ann ended it: why"):
                async with election.campaign():
                    await election.depose(reason="why", by="ann")
                    await asyncio.sleep(600)
            assert [info async for info in cluster.elections.list()] == []

    asyncio.run(use())
