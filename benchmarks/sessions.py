"""Very many sessions with a lock each on three members: taken, kept through deaths of the leader, and what each costs a member in memory.

    PYTHONPATH=src:. python benchmarks/sessions.py --sessions 100000 --connections 100 --processes 4 --seconds 300 --kills 2

Each client process holds its share of connections, each connection its share of locks, taken one by one as users do: a session of
its own, a watch for what it is told, a guard. Renewed by as few frames as the client makes of it. A lock that is lost is a failure,
and the exit code says so.
"""

import argparse
import asyncio
import gc
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from coordnode.client import aio
from coordnode.client.aio_locks import AsyncLock
from coordnode.errors import CoordError
from tests.processes.members import SOURCE, Cluster

OPENING_AT_ONCE = 10  # of one connection
LOOK_SECONDS = 0.25
LOOKS = 10  # of a client process, until it has looked at all of its sessions: looking at 100,000 at once takes from all others
DOWN_SECONDS = 5.0  # between a leader's death and its return


# --- a client process ------------------------------------------------------------------------------------------------


async def hold(endpoints: str, name: str, connections: int, sessions: int, ttl: float) -> None:
    """Says what it holds, line by line, until its input ends."""
    gc.disable()  # looking through all of 25,000 locks' tasks and futures would stop this process for seconds
    clusters = [await aio.connect(endpoints, timeout=60) for _ in range(connections)]
    held: list[AsyncLock] = []
    numbers = itertools.count()

    async def open_some(cluster: aio.Cluster, count: int) -> None:
        for _ in range(count):
            lock = cluster.lock(f"{name}/{next(numbers)}", ttl=ttl)
            held.append(await asyncio.create_task(lock.acquire()))  # what one task takes is below what it holds already

    began = time.monotonic()
    shares = [sessions // connections + (number < sessions % connections) for number in range(connections)]
    workers = [
        open_some(cluster, share // OPENING_AT_ONCE + (number < share % OPENING_AT_ONCE))
        for cluster, share in zip(clusters, shares, strict=True)
        for number in range(OPENING_AT_ONCE)
    ]
    await asyncio.gather(*workers)
    print(json.dumps({"opened": len(held), "seconds": time.monotonic() - began}), flush=True)
    tightest_ms = int(ttl * 1000)
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    look = 0
    while not ended.done():
        tightest_ms = min([tightest_ms, *[lock.remaining_ms for lock in held[look % LOOKS :: LOOKS]]])
        look += 1
        await asyncio.wait([ended], timeout=LOOK_SECONDS)
    lost = [lock for lock in held if not lock.is_held]
    print(json.dumps({"held": len(held) - len(lost), "lost": len(lost), "tightest_ms": tightest_ms}), flush=True)
    for cluster in clusters:
        await cluster.close()


class Holder:
    def __init__(self, endpoints: str, name: str, connections: int, sessions: int, ttl: float) -> None:
        command = [sys.executable, __file__, "--hold", endpoints, name, str(connections), str(sessions), str(ttl)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
        )

    def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found = self._process.stdout.readline()
        if not found:
            raise SystemExit(f"a client process ended with {self._process.wait()}")
        return dict(json.loads(found))

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# --- the members -----------------------------------------------------------------------------------------------------


def memory_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def run(arguments: argparse.Namespace, folder: Path) -> int:
    cluster = Cluster(folder)
    holders: list[Holder] = []
    try:
        cluster.start()
        cluster.wait_ready()
        running = [one.running for one in cluster.members.values() if one.running is not None]
        before = [memory_bytes(one.pid) for one in running]
        endpoints = ",".join(cluster.contacts.values())
        for number in range(arguments.processes):
            connections = arguments.connections // arguments.processes + (number < arguments.connections % arguments.processes)
            sessions = arguments.sessions // arguments.processes + (number < arguments.sessions % arguments.processes)
            holders.append(Holder(endpoints, f"lock/{number}", connections, sessions, arguments.ttl))
        opened = [holder.line() for holder in holders]
        count = sum(one["opened"] for one in opened)
        slowest = max(one["seconds"] for one in opened)
        print(f"{count} locks taken in {slowest:.1f} s, {count / slowest:,.0f} a second", flush=True)
        cluster.wait_equal()
        grown = [memory_bytes(one.pid) - earlier for one, earlier in zip(running, before, strict=True)]
        print("memory for each, with its session, on a member: " + ", ".join(f"{bytes_ / count:,.0f} B" for bytes_ in grown), flush=True)
        pause = arguments.seconds / (arguments.kills + 1)
        for number in range(arguments.kills):
            time.sleep(pause - DOWN_SECONDS * (number > 0))
            leader = cluster.leader()
            leader.kill()
            time.sleep(DOWN_SECONDS)
            leader.start()
            print(f"leader {leader.member} killed, back {DOWN_SECONDS:g} s later", flush=True)
        time.sleep(pause)
        for holder in holders:
            holder.stop()
        found = [holder.line() for holder in holders]
        lost = sum(one["lost"] for one in found)
        tightest_ms = min(one["tightest_ms"] for one in found)
        held = sum(one["held"] for one in found)
        print(f"{held} held, {lost} lost; at the tightest moment {tightest_ms} ms of {arguments.ttl:g} s were left")
        return 1 if lost else 0
    finally:
        for holder in holders:
            holder.end()
        cluster.end()


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == "--hold":
        try:
            asyncio.run(hold(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])))
        except CoordError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--ttl", type=float, default=10.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="to hold them")
    parser.add_argument("--kills", type=int, default=1, help="deaths of the leader meanwhile")
    with tempfile.TemporaryDirectory() as folder:
        return run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
