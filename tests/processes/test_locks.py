"""Locks through the client, against a real member: waiting, losing, nesting; and a holder that is killed."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import pytest

from coordctl.hot import session
from coordctl.hot.asking import Asking
from coordctl.local.clusters import Endpoint
from coordnode.client import aio
from coordnode.client.aio_elections import AsyncLeadership
from coordnode.client.aio_locks import AsyncLock
from coordnode.client.clock import now_ms
from coordnode.client.elections import Leadership
from coordnode.client.locks import Lock
from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, Busy, Conflict, Deadlock, NotHeld, WrongCluster
from coordnode.ids import SessionId
from coordnode.services.commands import EQUAL, TOKEN, Compare, Put, ReadSessions
from tests.processes.delaying import Delaying
from tests.processes.members import PATIENCE_S, SOURCE, Cluster, Connection, result_of, wait_until
from tests.unit.client.member import FakeMember


@pytest.fixture
def single(one_member: Cluster) -> Cluster:
    return one_member


@pytest.fixture
def address(single: Cluster) -> str:
    (found,) = single.contacts.values()
    return found


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with connect(address) as cluster:
        yield cluster


def in_thread(work: object) -> threading.Thread:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    return thread


def waiting(client: Client, name: str, count: int) -> None:
    wait_until(lambda: len(client.locks.view(name).waiters) == count, f"{count} wait for {name}")


def test_one_after_the_other_with_growing_tokens(client: Client) -> None:
    seen: list[int] = []
    inside = threading.Lock()

    def work() -> None:
        with client.lock("nightly", ttl=PATIENCE_S, note="a test") as lock:
            assert inside.acquire(blocking=False), "two hold it"
            lock.check()
            assert lock.remaining_ms > 5_000
            seen.append(lock.token)
            inside.release()

    threads = [in_thread(work) for _ in range(8)]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(seen) == 8
    assert seen == sorted(set(seen))
    assert client.locks.view("nightly").lock is None


def test_now_or_not_at_all_and_for_some_time(client: Client, address: str) -> None:
    with client.lock("x", note="the first"), connect(address) as other:
        with pytest.raises(Busy, match=r"lock x is held by .* \(the first\); 0 wait for it") as caught:
            other.lock("x").try_acquire()
        assert caught.value.definite
        with pytest.raises(Busy), other.lock("x", wait=False):
            raise AssertionError("it is held")
        with pytest.raises(Busy, match=r"was not to be had within 0\.2 s"), other.lock("x", wait=0.2):
            raise AssertionError("it is held")
        assert client.locks.view("x").waiters == []
        assert len([session for session in client.locks.list("x")]) == 1


def test_what_kinds_there_are(client: Client) -> None:
    with client.lock("rw", shared=True), client.lock("rw", shared=True):
        assert len(client.locks.view("rw").holders) == 2
    with client.lock("s", limit=3, permits=2):
        with pytest.raises(Conflict, match="is a semaphore of 3 permits"):
            client.lock("s").acquire()
        with client.lock("s", limit=3) as second:
            assert [holder.permits for holder in client.locks.view("s").holders] == [2, 1]
            assert second.is_held
    assert [lock.name for lock in client.locks.list()] == []


def test_nested_in_one_thread(client: Client) -> None:
    with client.lock("outer") as outer:
        with client.lock("outer", reentrant=True) as again:
            assert again.token == outer.token
        with pytest.raises(Deadlock, match="outer is held by session"):
            client.lock("outer").acquire()
        done = client.kv.transaction([Compare(b"outer", TOKEN, EQUAL, outer.token)], [Put(b"k", b"v")])
        assert done.succeeded
    assert not client.kv.transaction([Compare(b"outer", TOKEN, EQUAL, outer_token(client))], [Put(b"k", b"v")]).succeeded


def outer_token(client: Client) -> int:
    """One that is not live any more."""
    with client.lock("outer") as lock:
        return lock.token


def test_two_that_wait_for_each_other(client: Client) -> None:
    def other() -> None:
        with client.lock("b"), client.lock("a"):
            pass

    with client.lock("a"):
        thread = in_thread(other)
        waiting(client, "a", 1)
        with pytest.raises(Deadlock, match="waiting would never end: b is held by session"), client.lock("b"):
            raise AssertionError("a circle")
    thread.join(PATIENCE_S)


def test_a_lock_that_is_broken_is_an_error_at_the_end_and_told_at_once(client: Client, address: str) -> None:
    told: list[str] = []
    with (
        pytest.raises(NotHeld, match="lock x was lost: ann ended it: host retired") as caught,
        client.lock("x", on_lost=told.append) as lock,
    ):
        with connect(address) as operator:
            assert operator.locks.break_lock("x", reason="host retired", by="ann") == 1
        assert lock.wait_lost(PATIENCE_S)
        assert not lock.is_held
        assert lock.until_ms == 0
        with pytest.raises(NotHeld):
            lock.check()
    assert caught.value.definite
    wait_until(lambda: told == ["ann ended it: host retired"], "the callback is called")
    with pytest.raises(BadRequest, match="it is not held"):
        lock.check()


@pytest.fixture
def way() -> Iterator[Delaying]:
    relays = Delaying()
    yield relays
    relays.close()


def test_a_holder_that_met_another_cluster_on_its_way_still_hears_that_it_lost(single: Cluster, client: Client, way: Delaying) -> None:
    host, port = way.before(single.members[1].address)
    told: list[str] = []
    with (
        FakeMember(refusal=WrongCluster("this is another cluster")) as stranger,
        connect(f"{host}:{port},{stranger.address}", timeout=PATIENCE_S) as far,
    ):
        lock = far.lock("nightly", ttl=PATIENCE_S, on_lost=told.append).acquire()
        seen = stranger.hellos
        while stranger.hellos == seen:
            way.cut()
            lock.check()
        client.locks.break_lock("nightly", reason="host retired", by="ops@web1")
        with client.lock("nightly"):
            assert lock.wait_lost(PATIENCE_S), "it believes that it holds what another holds"
            with pytest.raises(NotHeld):
                lock.check()
            wait_until(lambda: told == ["ops@web1 ended it: host retired"], "the callback is called")


def carried_out(single: Cluster, way: Delaying, session: SessionId) -> None:
    """A release, and with it the end of its session; then answers come through again, but not these."""
    with Connection(single.members[1].address) as connection:

        def there() -> list[SessionId]:
            return [one.session for one in result_of(connection.read(ReadSessions(SessionId(0), 100))).sessions]  # type: ignore[union-attr]

        wait_until(lambda: session not in there(), "its session is over")
    way.loses_answers = False


class Kind(NamedTuple):
    """Of what is given back: a lock, or a leadership."""

    take: Callable[[Client], Lock | Leadership]
    take_in_task: Callable[[aio.Cluster], Awaitable[AsyncLock | AsyncLeadership]]
    end: Callable[[Client], object]
    lost: str


KINDS = {
    "lock": Kind(
        lambda far: far.lock("nightly").acquire(),
        lambda far: far.lock("nightly").acquire(),
        lambda client: client.locks.break_lock("nightly", reason="host retired", by="ops@web1"),
        "lock nightly was lost: ops@web1 ended it: host retired",
    ),
    "leadership": Kind(
        lambda far: far.election("primary").campaign().win(),
        lambda far: far.election("primary").campaign().win(),
        lambda client: client.election("primary").depose(reason="host retired", by="ops@web1"),
        "election primary was lost: deposed by ops@web1: host retired",
    ),
}


@pytest.mark.parametrize("is_ended", [False, True])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_release_whose_answer_was_lost_is_looked_up_in_the_history(
    single: Cluster, client: Client, way: Delaying, kind: Kind, is_ended: bool
) -> None:
    """Asked for again, there is nobody left to answer for it."""
    host, port = way.before(single.members[1].address)
    with connect(f"{host}:{port}", timeout=PATIENCE_S) as far:
        held = kind.take(far)
        way.loses_answers = True
        if is_ended:
            kind.end(client)
        thread = in_thread(partial(carried_out, single, way, held.session))
        with pytest.raises(NotHeld, match=kind.lost) if is_ended else nullcontext():
            held.release() if isinstance(held, Lock) else held.resign()
        thread.join()


@pytest.mark.parametrize("is_ended", [False, True])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_so_is_one_in_a_task(single: Cluster, client: Client, way: Delaying, kind: Kind, is_ended: bool) -> None:
    host, port = way.before(single.members[1].address)

    async def work() -> None:
        async with await aio.connect(f"{host}:{port}", timeout=PATIENCE_S) as far:
            held = await kind.take_in_task(far)
            way.loses_answers = True
            if is_ended:
                kind.end(client)
            thread = in_thread(partial(carried_out, single, way, held.session))
            await (held.release() if isinstance(held, AsyncLock) else held.resign())
            thread.join()

    with pytest.raises(NotHeld, match=kind.lost) if is_ended else nullcontext():
        asyncio.run(work())


def test_a_release_that_is_refused_says_what_the_history_tells(single: Cluster, client: Client, way: Delaying) -> None:
    """It is asked for before word has come that an operator was quicker."""
    host, port = way.before(single.members[1].address)
    with connect(f"{host}:{port}", timeout=PATIENCE_S) as far:
        lock = far.lock("nightly").acquire()
        with way.by(0.3):
            client.locks.break_lock("nightly", reason="host retired", by="ops@web1")
            with pytest.raises(NotHeld, match=KINDS["lock"].lost):
                lock.release()


def test_so_it_does_in_a_task(single: Cluster, client: Client, way: Delaying) -> None:
    host, port = way.before(single.members[1].address)

    async def work() -> None:
        async with await aio.connect(f"{host}:{port}", timeout=PATIENCE_S) as far:
            lock = await far.lock("nightly").acquire()
            with way.by(0.3):
                client.locks.break_lock("nightly", reason="host retired", by="ops@web1")
                await lock.release()

    with pytest.raises(NotHeld, match=KINDS["lock"].lost):
        asyncio.run(work())


def test_an_operator_whose_answer_was_lost_is_told_that_it_is_released(single: Cluster, client: Client, way: Delaying) -> None:
    host, port = way.before(single.members[1].address)
    lock = client.lock("nightly").acquire()
    way.loses_answers = True

    def lose_the_answer() -> None:
        wait_until(lambda: client.locks.view("nightly").lock is None, "it is released")
        way.cut()
        way.loses_answers = False

    thread = in_thread(lose_the_answer)
    assert session.close(Asking([Endpoint(f"{host}:{port}")], round(PATIENCE_S * 1_000)), lock.session) > 0
    thread.join()


def test_another_error_on_its_way_out_says_that_the_lock_was_lost(client: Client) -> None:
    with pytest.raises(ZeroDivisionError) as caught, client.lock("x") as lock:
        client.locks.break_lock("x", reason="why", by="me")
        lock.wait_lost(PATIENCE_S)
        raise ZeroDivisionError
    assert caught.value.__notes__[0].startswith("and lock x was lost: me ended it: why")


def test_a_lease_that_ran_out_is_a_lost_lock_without_a_word_from_the_cluster(single: Cluster, client: Client) -> None:
    (member,) = single.members.values()
    with pytest.raises(NotHeld, match="lock x was lost: session .* is over"), client.lock("x", ttl=1) as lock:
        member.signal(signal.SIGSTOP)
        try:
            assert lock.wait_lost(PATIENCE_S)
        finally:
            member.signal(signal.SIGCONT)


def test_who_gives_up_waiting_by_control_c_leaves_the_line(client: Client, address: str) -> None:
    script = f"""
from coordnode.client.sync import connect
with connect({address!r}) as cluster:
    try:
        cluster.lock("x").acquire()
    except KeyboardInterrupt:
        print("interrupted")
"""
    with client.lock("x"):
        child = subprocess.Popen([sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, text=True)
        waiting(client, "x", 1)
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=PATIENCE_S)
        assert said == "interrupted\n"
        waiting(client, "x", 0)


HOLDER = """
import sys, time
from coordnode.client.sync import connect
address, name, ttl, delay = sys.argv[1:]
with connect(address) as cluster, cluster.lock(name, ttl=float(ttl), delay=float(delay) or None) as lock:
    print(lock.token, flush=True)
    while lock.is_held:
        print(lock.until_ms, flush=True)
        time.sleep(0.05)
"""


def hold_elsewhere(address: str, ttl: float, name: str = "x", delay: float = 0) -> tuple["subprocess.Popen[str]", int]:
    """It says which token it has, and then again and again until when the lock is surely its own."""
    command = [sys.executable, "-c", HOLDER, address, name, str(ttl), str(delay)]
    child = subprocess.Popen(command, env={"PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def test_a_holder_that_is_killed_is_followed_after_its_ttl(client: Client, address: str) -> None:
    child, token = hold_elsewhere(address, 2)
    killed = 0.0

    def kill() -> None:
        nonlocal killed
        waiting(client, "x", 1)
        killed = time.monotonic()
        child.kill()

    thread = in_thread(kill)
    with client.lock("x") as lock:
        granted_ms, took = now_ms(), time.monotonic() - killed
        assert lock.token > token
        assert took < 2 + PATIENCE_S  # by its TTL, counted from its last renewal
    thread.join()
    said, _ = child.communicate()
    assert granted_ms >= max(map(int, said.split("\n")[:-1])), "while it was surely the other's"


def test_a_lock_delay_follows_a_kill(client: Client, address: str) -> None:
    for name, delay in (("long", 60), ("short", 1)):
        child, _ = hold_elsewhere(address, 1, name, delay)
        child.kill()
        child.communicate()
    wait_until(lambda: [each.session for each in client.locks.view("long").holders] == [0], "the lock is in its delay")
    with pytest.raises(Busy, match="kept closed for .* more, as its holder was lost"):
        client.lock("long").try_acquire()
    with client.lock("short"):
        pass
