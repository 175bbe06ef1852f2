"""Linearizable reads that are answered by whoever is asked, on real members."""

import asyncio
import signal

from coordnode.client import aio
from coordnode.client.sync import connect
from coordnode.services.commands import Get, Got, Put, encode
from coordnode.services.dialogue import ReadAsk
from tests.processes.members import LOYAL, PATIENCE_S, Cluster, Connection, result_of, wait_until


def test_followers_answer_with_whatever_was_acknowledged_before(cluster: Cluster) -> None:
    cluster.start(*LOYAL)
    cluster.wait_ready()
    leader = cluster.leader()
    followers = [one for one in cluster.members.values() if one is not leader]
    with Connection(leader.address) as writing, Connection(followers[0].address) as one, Connection(followers[1].address) as other:
        for number in range(100):
            result_of(writing.write(Put(b"a", b"%d" % number)))
            for connection in (one, other, writing):
                got = result_of(connection.ask(ReadAsk(connection.number(), encode(Get(b"a")), here=True)))
                assert isinstance(got, Got)
                assert got.item is not None
                assert got.item.value == b"%d" % number


def test_a_client_that_reads_anywhere_outlives_the_leader_and_writes_as_ever(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    leader = cluster.leader()
    follower = next(one for one in cluster.members.values() if one is not leader)
    everywhere = [f"{host}:{port}" for host, port in (one.address for one in cluster.members.values())]
    with connect("{}:{}".format(*follower.address), timeout=PATIENCE_S, reads_anywhere=True) as reading:
        with connect(everywhere, timeout=PATIENCE_S) as writing:
            writing.kv.put("a", b"1")
        item = reading.kv.get("a")
        assert item is not None
        leader.signal(signal.SIGSTOP)
        try:
            item = reading.kv.get("a")
            assert item is not None
            assert item.value == b"1"
            reading.kv.put("a", b"2")
            item = reading.kv.get("a")
            assert item is not None
            assert item.value == b"2"
        finally:
            leader.signal(signal.SIGCONT)
    wait_until(lambda: leader.is_ready() or None, "who stood still serves again")

    async def read() -> bytes:
        async with await aio.connect(everywhere, timeout=PATIENCE_S, reads_anywhere=True) as far:
            found = await far.kv.get("a")
            assert found is not None
            return found.value

    assert asyncio.run(read()) == b"2"
