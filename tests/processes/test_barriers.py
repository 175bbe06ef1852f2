"""Barriers through the client, against a real member: threads and tasks that wait for one another."""

import asyncio
import threading
import time

import pytest

from coordnode.client import aio
from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.errors import Conflict, Full, TimedOut
from tests.processes.members import Cluster


def test_threads_go_on_together_and_leave_together(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    said: list[str] = []

    def work(cluster: Client, number: int) -> None:
        with cluster.session(ttl=60) as session:
            for turn in range(3):
                said.append(f"before {turn}")
                with session.barrier("step", 3, timeout=30):
                    said.append(f"inside {turn}")

    with connect(address) as cluster:
        threads = [threading.Thread(target=work, args=(cluster, number)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert list(cluster.barriers.list()) == []
    assert said == [f"{phase} {turn}" for turn in range(3) for phase in ["before"] * 3 + ["inside"] * 3]


def test_in_vain_it_is_left_again(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster, cluster.session(ttl=60) as one, cluster.session(ttl=60) as two:
        began = time.monotonic()
        with pytest.raises(TimedOut, match="barrier step did not open in time: 0 of 2 sessions were inside; it was left again"):
            one.barrier("step", 2).enter(timeout=0.2)
        assert time.monotonic() - began >= 0.2
        assert cluster.barriers.view("step").barrier is None
        barrier = one.barrier("alone", 1)
        barrier.enter()
        assert [session for session, _ in cluster.barriers.view("alone").sessions] == [one.id]
        with pytest.raises(Full, match="is open"):
            two.barrier("alone", 1).enter()
        with pytest.raises(Conflict, match="already"):
            barrier.enter()
        barrier.leave()


def test_to_await(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with await aio.connect(address) as cluster:
            inside = 0

            async def work() -> int:
                nonlocal inside
                async with await cluster.session(ttl=60) as session, session.barrier("step", 4, timeout=30):
                    inside += 1
                    return inside

            await asyncio.gather(*[work() for _ in range(4)])
            assert inside == 4
            assert [barrier async for barrier in cluster.barriers.list()] == []

    asyncio.run(use())
