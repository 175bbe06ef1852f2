"""Queues through the client, against a real member."""

import asyncio
import threading
import time

import pytest

from coordnode.client import aio
from coordnode.client.queue_words import nack_request
from coordnode.client.queues import Queue, Task
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, Busy, NotHeld
from coordnode.services.commands import DEAD, EQUAL, TOKEN, Compare, Put, QueueSettings, TaskInfo
from tests.processes.members import Cluster
from tests.processes.runner.jobs import until

LEASE_MS = 9_000  # extended after a third of it: a machine that stands still meanwhile ends none
CONCURRENCY = 8


def test_blocking(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (address,) = single.contacts.values()
    with connect(address) as cluster, cluster.session(ttl=60) as session:
        queue = cluster.queue("mail")
        first = queue.put("to: ann", key="invoice 7")
        assert queue.put("to: ann", key="invoice 7").task == first.task
        queue.put(b"to: bob", priority=3)
        (task,) = queue.take()
        assert (task.payload, task.attempts, task.is_held) == (b"to: bob", 1, True)
        assert 20_000 < task.remaining_ms < 30_000
        task.extend(60)
        assert 50_000 < task.remaining_ms < 60_000
        done = cluster.kv.transaction([Compare(b"mail", TOKEN, EQUAL, task.token)], [Put(b"sent", b"bob")])
        assert done.succeeded
        task.ack()
        with pytest.raises(BadRequest, match="already"):
            task.ack()
        with pytest.raises(NotHeld, match="acknowledged or returned already"):
            task.check()
        (task,) = queue.take()
        task.nack(note="no such street")
        assert [each.note for each in queue.tasks("delayed")] == ["no such street"]
        assert session.queue("mail").take(wait=0.05) == []
        assert [each.name for each in cluster.queues.list("ma")] == [b"mail"]
        with pytest.raises(Busy, match="1 tasks"):
            queue.delete()
        assert queue.purge() == 1
        assert queue.delete()
        assert not queue.delete()
        with pytest.raises(BadRequest, match="only a session can wait"):
            queue.take(wait=1)
        with pytest.raises(BadRequest, match="no state 'done'"):
            list(queue.tasks("done"))


def test_large_payloads_come_along_all_the_same(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (address,) = single.contacts.values()
    payload = b"x" * 262_144
    with connect(address) as cluster, cluster.session(ttl=60) as session:
        cluster.queue("q").put(payload)
        cluster.queue("q").put(payload)
        assert [task.payload == payload for task in cluster.queue("q").take(2)] == [True, True]
        waited: list[Task] = []
        waiter = threading.Thread(target=lambda: waited.extend(session.queue("q").take(wait=60)))
        waiter.start()
        while not cluster.queue("q").info().waiting:
            time.sleep(0.01)
        cluster.queue("q").put(payload)
        waiter.join(60)
        assert [task.payload == payload for task in waited] == [True]


def ends_ms(task: TaskInfo) -> int:
    """When its lease ends, counted from when it was put: it is later each time that it is extended, and only then."""
    return task.age_ms + task.due_ms


def until_extended_beyond_its_lease(queue: Queue) -> None:
    """Works until a task is ours for longer than it would be without anybody who extends it."""
    (taken,) = queue.tasks("taken")
    until(lambda: [each for each in queue.tasks("taken") if ends_ms(each) > ends_ms(taken)], "it was not extended")


def test_a_worker_acknowledges_extends_and_puts_back(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (address,) = single.contacts.values()
    with connect(address) as cluster:
        queue = cluster.queue("jobs")
        queue.configure(QueueSettings(lease_ms=LEASE_MS, backoff_ms=0, retries_max=1))
        for payload in ("one", "slow", "bad", "three"):
            queue.put(payload)
        seen: list[tuple[bytes, int]] = []

        def work(worker_of: Task) -> None:
            seen.append((worker_of.payload, worker_of.attempts))
            if worker_of.payload == b"slow":
                until_extended_beyond_its_lease(queue)
                worker_of.check()
            if worker_of.payload == b"bad":
                raise ValueError("not a number")

        while True:
            worker = queue.worker()
            try:
                for task in worker:
                    work(task)
                    if task.payload == b"three":
                        worker.stop()
                break
            except ValueError:
                pass
        assert seen == [(b"one", 1), (b"slow", 1), (b"bad", 1), (b"bad", 2), (b"three", 1)]
        (dead,) = queue.tasks("dead")
        assert (dead.state, dead.attempts, dead.note) == (DEAD, 2, "the worker left its loop")
        assert queue.redrive() == 1
        for task in queue.worker():
            assert task.payload == b"bad"
            task.ack()
            break
        info = queue.info()
        assert (info.ready, info.delayed, info.taken, info.dead, info.waiting) == (0, 0, 0, 0, 0)


def test_a_lost_task_is_impossible_to_miss(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (address,) = single.contacts.values()
    with connect(address) as cluster, connect(address) as other:
        queue = cluster.queue("jobs")
        queue.put("work")
        with pytest.raises(NotHeld, match="holds no task"):
            for task in queue.worker():
                other.queue("jobs").configure(QueueSettings(lease_ms=200))
                (info,) = other.queue("jobs").tasks("taken")
                assert info.token == task.token
                other.queue("jobs")._call(nack_request(b"jobs", task.token, 60_000, "taken away", True), None)
        queue.put("more")
        (task,) = other.queue("jobs").take(2)[:1]
        with pytest.raises(NotHeld), task:
            while task.is_held:  # nobody extends it
                time.sleep(0.02)
            other.queue("jobs").purge()
            while other.queue("jobs").info().taken:
                time.sleep(0.02)


def test_to_await(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (address,) = single.contacts.values()

    async def use() -> None:
        async with await aio.connect(address) as cluster:
            queue = cluster.queue("jobs")
            await queue.configure(QueueSettings(lease_ms=LEASE_MS, backoff_ms=0, retries_max=0))
            for number in range(20):
                await queue.put(b"%d" % number)
            order = []
            async with queue.worker() as worker:
                async for task in worker:
                    order.append(int(task.payload))
                    if len(order) == 3:
                        await task.ack()
                        break
            assert order == [0, 1, 2]
            busy, most, outlived, done = 0, 0, asyncio.Event(), asyncio.Event()

            async def handle(task: object) -> None:
                nonlocal busy, most
                busy += 1
                most = max(most, busy)
                if busy == CONCURRENCY and not outlived.is_set():
                    ends = {each.task: ends_ms(each) async for each in queue.tasks("taken")}
                    while not all([ends_ms(each) > ends[each.task] async for each in queue.tasks("taken")]):
                        await asyncio.sleep(0.05)
                    outlived.set()
                await outlived.wait()  # all of them at once, each for longer than its lease
                busy -= 1
                number = int(task.payload)  # type: ignore[attr-defined]
                order.append(number)
                if number == 13:
                    raise ValueError("unlucky")
                if len(order) == 20:
                    done.set()

            working = asyncio.create_task(queue.work(handle, concurrency=CONCURRENCY))
            await asyncio.wait_for(done.wait(), 60)
            while (await queue.info()).taken:
                await asyncio.sleep(0.02)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert sorted(order) == list(range(20))
            assert most == CONCURRENCY
            (dead,) = [task async for task in queue.tasks("dead")]
            assert dead.note == "ValueError: unlucky"
            assert await queue.redrive(dead.task) == 1

            async with await cluster.session(ttl=60) as session:
                (task,) = await session.queue("jobs").take(wait=60)
                with pytest.raises(NotHeld, match="is lost"):
                    async with task:
                        (info,) = [each async for each in queue.tasks("taken")]
                        await queue._call(nack_request(b"jobs", info.token, 60_000, "taken away", True), None)
                        await asyncio.sleep(60)
                assert [each.name async for each in cluster.queues.list()] == [b"jobs"]
                waiting = asyncio.create_task(session.queue("other").take(wait=60))
                while not [each async for each in cluster.queues.list("other")]:
                    await asyncio.sleep(0.02)
                await cluster.queue("other").put("at last")
                assert [each.payload for each in await waiting] == [b"at last"]
                waiting = asyncio.create_task(session.queue("other").take(wait=60))
                while not (await cluster.queue("other").info()).waiting:
                    await asyncio.sleep(0.02)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert (await cluster.queue("other").info()).waiting == 0

    asyncio.run(use())
