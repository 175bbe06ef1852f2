"""Locks changing hands: after a clean release, after a kill, and with a long line behind.

    PYTHONPATH=src:. python benchmarks/locks.py [--kills 5] [--hand-overs 300] [--waiters 1000]

Three members on this machine. A hand-over is held against the round trip of the release
itself, and of a put after an equal pause, in the same run; the long line against a short one.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from coordnode.client.addresses import parse_addresses
from coordnode.client.inboxes import Scope
from coordnode.client.requests import Request
from coordnode.client.sync import connect
from coordnode.client.tasks import Tasks
from coordnode.ids import Token
from coordnode.services.commands import NOTICES, Acquire, LockGiven, Release, Result, decode_notice
from tests.processes.members import SOURCE, Cluster

ENVIRONMENT = {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}

HOLDER = """
import sys, time
from coordnode.client.sync import connect
with connect(sys.argv[1]) as cluster, cluster.lock("killed", ttl=float(sys.argv[2])) as lock:
    print(lock.token, flush=True)
    time.sleep(600)
"""

PLAYER = """
import json, sys, time
from coordnode.client.sync import connect
taken, given, ended = [], [], []
with connect(sys.argv[1]) as cluster:
    lock = cluster.lock("ball")
    for _ in range(int(sys.argv[2])):
        lock.acquire()
        taken.append((lock.token, time.monotonic()))
        time.sleep(0.02)  # the other stands in line long before this
        given.append((lock.token, time.monotonic()))
        token = lock.token
        lock.release()
        ended.append((token, time.monotonic()))
print(json.dumps([taken, given, ended]))
"""


def ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def clean_release(endpoints: str, rounds: int) -> dict[str, float]:
    """Two processes play ball: from the call of release in one until acquire has returned in the other."""
    command = [sys.executable, "-c", PLAYER, endpoints, str(rounds)]
    players = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken: dict[int, float] = {}
    given: dict[int, float] = {}
    ended: dict[int, float] = {}
    for player in players:
        said, _ = player.communicate(timeout=180)
        for into, rows in zip((taken, given, ended), json.loads(said), strict=True):
            into.update({token: at for token, at in rows})
    order = sorted(taken)
    releases = [ended[token] - given[token] for token in order]
    times = [taken[later] - given[earlier] for earlier, later in pairwise(order)]
    with connect(endpoints) as cluster:
        puts = []
        for number in range(rounds):
            time.sleep(0.02)  # as idle before as a release is
            began = time.monotonic()
            cluster.kv.put("k", str(number))
            puts.append(time.monotonic() - began)
    return {
        "hand_over_ms": ms(statistics.median(times)),
        "hand_over_p90_ms": ms(sorted(times)[len(times) * 9 // 10]),
        "release_ms": ms(statistics.median(releases)),
        "put_ms": ms(statistics.median(puts)),
        "put_p90_ms": ms(sorted(puts)[len(puts) * 9 // 10]),
    }


def kill(endpoints: str, ttl: float) -> float:
    """Seconds from the kill of a holder until the next one holds."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, endpoints, str(ttl)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    with connect(endpoints) as cluster:
        held: list[float] = []

        def wait() -> None:
            with cluster.lock("killed"):
                held.append(time.monotonic())

        thread = threading.Thread(target=wait)
        thread.start()
        while not cluster.locks.view("killed").waiters:
            time.sleep(0.01)
        killed = time.monotonic()
        child.kill()
        thread.join()
    child.wait()
    return held[0] - killed


def _nothing(result: Result | None) -> Result | None:
    return result


async def line(endpoints: str, waiters: int, hand_overs: int) -> float:
    """Seconds for each hand-over in a line that stays so long: who releases stands behind the others again."""
    name = f"line of {waiters} {time.monotonic()}".encode()
    tasks = Tasks(parse_addresses(endpoints), "line")
    watch = tasks.watch(Scope(b"", b"", NOTICES), 0)
    await tasks.wait_until(lambda: watch.up_to is not None, None)
    numbers: dict[int, int] = {}
    first: tuple[int, int] = (0, 0)
    for _ in range(waiters + 1):
        number, opened = await tasks.open_session(60_000, "", 10_000, Acquire(name))
        numbers[opened.session] = number
        token = getattr(opened.first, "token", 0)
        if token:
            first = (number, token)
    done = 0
    under_way: set[asyncio.Task[Result | None]] = set()

    def pass_on(number: int, token: int) -> None:
        for operation in (Release(name, Token(token)), Acquire(name)):
            task = asyncio.ensure_future(tasks.call(Request(operation, _nothing), 30_000, number))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    began = time.monotonic()
    pass_on(*first)
    while done < hand_overs:
        await tasks.wait_until(watch.has_something, None)
        while (change := tasks.take_change(watch)) is not None:
            for event in change.events:
                notice = decode_notice(event.value)
                if isinstance(notice, LockGiven) and notice.name == name:
                    done += 1
                    pass_on(numbers[event.session], notice.token)
    took = time.monotonic() - began
    await asyncio.gather(*under_way)
    for number in numbers.values():
        await tasks.close_session(number, 10_000)
    await tasks.close()
    return took / hand_overs


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/locks.py")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--ttl", type=float, default=3.0)
    parser.add_argument("--hand-overs", type=int, default=300)
    parser.add_argument("--waiters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="locks-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            cluster.wait_ready()
            endpoints = ",".join(cluster.contacts.values())
            print(json.dumps({"clean release": clean_release(endpoints, asked.hand_overs)}), flush=True)
            short, long = [], []
            for _ in range(asked.rounds):
                short.append(asyncio.run(line(endpoints, 10, asked.hand_overs)))
                long.append(asyncio.run(line(endpoints, asked.waiters, asked.hand_overs)))
            ratio = round(statistics.median(long) / statistics.median(short), 2)
            shown = {"10_ms": ms(statistics.median(short)), f"{asked.waiters}_ms": ms(statistics.median(long)), "ratio": ratio}
            print(json.dumps({"each hand-over in a line of": shown}), flush=True)
            killed = [round(kill(endpoints, asked.ttl), 2) for _ in range(asked.kills)]
            print(json.dumps({"seconds after a kill": killed, "ttl": asked.ttl, "within": max(killed) <= asked.ttl + 0.5}), flush=True)
        finally:
            cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
