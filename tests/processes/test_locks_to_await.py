"""Locks to await: the block is cancelled when the lock is lost, and says why."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from coordnode.client import aio
from coordnode.errors import Busy, Deadlock, NotHeld
from tests.processes.members import PATIENCE_S, Cluster


def run(one_member: Cluster, work: Callable[[aio.Cluster], Awaitable[None]]) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with asyncio.timeout(PATIENCE_S), await aio.connect(address) as cluster:
            await work(cluster)

    asyncio.run(use())


async def wait_for_waiters(cluster: aio.Cluster, name: str, count: int) -> None:
    while len((await cluster.locks.view(name)).waiters) != count:
        await asyncio.sleep(0.02)


def test_one_after_the_other(one_member: Cluster) -> None:
    async def work(cluster: aio.Cluster) -> None:
        seen: list[int] = []

        async def one() -> None:
            async with cluster.lock("x") as lock:
                await lock.check()
                seen.append(lock.token)

        await asyncio.gather(*[one() for _ in range(10)])
        assert seen == sorted(set(seen))
        assert [lock.name async for lock in cluster.locks.list()] == []
        async with cluster.lock("x"):
            with pytest.raises(Deadlock):
                await cluster.lock("x").acquire()
            async with cluster.lock("x", reentrant=True):
                pass

            async def at_once() -> None:
                with pytest.raises(Busy):
                    await cluster.lock("x").try_acquire()
                with pytest.raises(Busy):
                    await cluster.lock("x", wait=0.1).acquire()

            await asyncio.create_task(at_once())
            assert (await cluster.locks.view("x")).waiters == []

    run(one_member, work)


def test_the_block_is_cancelled_when_the_lock_is_lost(one_member: Cluster) -> None:
    async def work(cluster: aio.Cluster) -> None:
        reached: list[str] = []
        told: list[str] = []

        async def hold() -> None:
            async with cluster.lock("x", on_lost=told.append):
                reached.append("inside")
                await asyncio.sleep(600)
                reached.append("after")

        task = asyncio.create_task(hold())
        while not reached:
            await asyncio.sleep(0.02)
        assert await cluster.locks.break_lock("x", reason="host retired", by="ann") == 1
        with pytest.raises(NotHeld, match="lock x was lost: ann ended it: host retired"):
            await task
        assert reached == ["inside"]
        assert told == ["ann ended it: host retired"]

    run(one_member, work)


def test_a_cancellation_from_outside_stays_one_and_gives_the_lock_back(one_member: Cluster) -> None:
    async def work(cluster: aio.Cluster) -> None:
        inside = asyncio.Event()

        async def hold() -> None:
            async with cluster.lock("x"):
                inside.set()
                await asyncio.sleep(600)

        task = asyncio.create_task(hold())
        await inside.wait()
        waiter = asyncio.create_task(cluster.lock("x").acquire())
        await wait_for_waiters(cluster, "x", 1)
        waiter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        await wait_for_waiters(cluster, "x", 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await cluster.locks.view("x")).lock is None

    run(one_member, work)
