"""Counters through the client, against a real member."""

import asyncio

from coordnode.client import aio
from coordnode.client.sync import connect
from coordnode.services.commands import CounterInfo
from tests.processes.members import Cluster


def test_blocking(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()
    with connect(address) as cluster:
        counters = cluster.counters
        assert counters.add("visits", 5) == 5
        assert counters.add("visits", -2, request_id="once") == 3
        assert counters.add("visits", -2, request_id="once") == 3
        with cluster.session(ttl=60) as session:
            assert session.counters.add("visits") == 4
        assert counters.get("visits") == 4
        counters.add("other")
        assert list(counters.list()) == [CounterInfo(b"other", 1), CounterInfo(b"visits", 4)]
        assert counters.delete("visits")
        assert not counters.delete("visits")
        assert list(counters.list("v")) == []
        assert counters.delete("other")


def test_to_await(one_member: Cluster) -> None:
    (address,) = one_member.contacts.values()

    async def use() -> None:
        async with await aio.connect(address) as cluster:
            assert await cluster.counters.add("visits", 5) == 5
            assert await cluster.counters.get("visits") == 5
            assert [counter.name async for counter in cluster.counters.list()] == [b"visits"]
            assert await cluster.counters.delete("visits")

    asyncio.run(use())
