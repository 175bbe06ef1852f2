"""One hostile client at full speed beside 100 that behave: how much longer these wait, and whether any of their sessions is lost.

    PYTHONPATH=src:. python benchmarks/hostile.py --seconds 3 --rate 2000

Three members. 100 connections put at a fixed rate (a time counts from when its request was due), and 100 clients keep a session each.
For each kind of hostility (tests/processes/hostile/greed.py) the p99 of those puts is measured alone and then beside it, which has
a process and an address of its own. That process is nice (19): it would not share a machine with members. The exit code is 1 when a
p99 grows beyond --times-max, a session is lost, or a put is refused: this is told in the place of the times, and the next kind begins.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.beside.clusters import Shape
from benchmarks.beside.coordnode import Coordnode, compile_load, coordnode
from coordnode.client import aio
from coordnode.client.lease import SessionState
from tests.processes.hostile.greed import KINDS, Greed

BEHAVED = Shape(100, 1)
SESSIONS = 100
SESSION_SECONDS = 3.0
WARM_SECONDS = 1.0
FILLED_KEYS = 10_000
FILLS_MAX = 5
OWN_ADDRESS = "127.0.0.77"


class Keeper:
    """Clients with a session each, in a thread of their own."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = endpoints
        self._stopping = threading.Event()
        self._are_open = threading.Event()
        self.lost = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._keep()))

    def __enter__(self) -> "Keeper":
        self._thread.start()
        self._are_open.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _keep(self) -> None:
        try:
            await self._keep_sessions()
        finally:
            self._are_open.set()  # also when they could not be opened: nobody waits for ever

    async def _keep_sessions(self) -> None:
        clusters = [await aio.connect(self._endpoints, timeout=30) for _ in range(SESSIONS)]
        sessions = [await cluster.session(SESSION_SECONDS) for cluster in clusters]
        self._are_open.set()
        while not self._stopping.is_set():
            await asyncio.sleep(0.1)
            self.lost = sum(session.state is SessionState.LOST for session in sessions)
        for cluster in clusters:
            await cluster.close()


def p99_ms(cluster: Coordnode, seconds: float, rate: float) -> float:
    return cluster.load("put", BEHAVED, seconds, rate=rate).p99_ms


def fill(cluster: Coordnode) -> None:
    """Begun again when the leader changed meanwhile: what happens before anything is measured does not count."""
    for _ in range(FILLS_MAX - 1):
        with suppress(subprocess.CalledProcessError):
            return cluster.fill(FILLED_KEYS)
        cluster.look_who_leads()
    return cluster.fill(FILLED_KEYS)


class Waits(NamedTuple):
    alone_ms: float
    beside_ms: float
    times: float


def waits(cluster: Coordnode, kind: str, rounds: int, seconds: float, rate: float) -> Waits:
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(p99_ms(cluster, seconds, rate))
        with Greed(kind, cluster.members[0].address, OWN_ADDRESS, nice=19) as greed:
            p99_ms(cluster, WARM_SECONDS, rate)
            beside.append(p99_ms(cluster, seconds, rate))
            assert greed.is_running(), f"{kind}: it ended by itself"
    times = statistics.median([late / usual for late, usual in zip(beside, alone, strict=True)])
    return Waits(statistics.median(alone), statistics.median(beside), times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="puts a second of those who behave, all together")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kinds", default=";".join(KINDS), help="with semicolons in between")
    parser.add_argument("--times-max", type=float, default=3.0)
    wanted = parser.parse_args()
    kinds = [kind for kind in wanted.kinds.split(";") if KINDS[kind]]
    failed = False
    with tempfile.TemporaryDirectory(prefix="coordnode-hostile-") as folder:
        program = compile_load(Path(folder))
        with coordnode(Path(folder), program) as cluster:
            fill(cluster)
            print("| hostile | p99 alone, ms | p99 beside, ms | times | sessions lost |\n|---|---|---|---|---|", flush=True)
            for kind in kinds:
                cluster.look_who_leads()
                with Keeper(",".join(member.address for member in cluster.members)) as keeper:
                    try:
                        found = waits(cluster, kind, wanted.rounds, wanted.seconds, wanted.rate)
                        shown = f"{found.alone_ms:.1f} | {found.beside_ms:.1f} | {found.times:.1f}"
                        failed = failed or found.times > wanted.times_max
                    except subprocess.CalledProcessError:  # the generator has said why
                        shown, failed = "- | a put was refused | -", True
                failed = failed or keeper.lost > 0
                print(f"| {kind} | {shown} | {keeper.lost} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
