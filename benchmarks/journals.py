"""How many records a second three members acknowledge, from producers that append batches; what one batch costs a member to apply;
and that at the end everything that was acknowledged is read back.

    PYTHONPATH=src:. python benchmarks/journals.py --producers 8 --batch 1000 --record 64 --seconds 5

Producers share processes, because here they share the machine's cores with the members.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coordnode.client import aio
from coordnode.client.sync import connect
from coordnode.ids import ClusterId, Index, Sequence, SessionId, Term
from coordnode.services.commands import AppendRecords, Batch, Command, JournalInfo, Operation
from coordnode.services.machine import Machine
from coordnode.services.state import Settings
from tests.processes.members import SOURCE, Cluster

BYTES_MAX = 4 << 30
APPLIED = 2_000


async def produce(endpoints: str, name: str, producers: int, outstanding: int, batch: int, record: int, seconds: float) -> None:
    """Says how many records were acknowledged, and each batch's time on its way."""
    clusters = [await aio.connect(endpoints, timeout=60) for _ in range(producers)]
    took_ms: list[float] = []

    async def append(cluster: aio.Cluster, number: int) -> None:
        records = [b"%0*d" % (record, number * batch + place) for place in range(batch)]
        async with await cluster.session(30) as session:
            journal = session.journal(f"{name}-{number}")
            await journal.configure(BYTES_MAX)
            until = time.monotonic() + seconds

            async def repeat() -> None:
                while (began := time.monotonic()) < until:
                    await journal.append(records)
                    took_ms.append((time.monotonic() - began) * 1_000)

            await asyncio.gather(*[repeat() for _ in range(outstanding)])

    await asyncio.gather(*[append(cluster, number) for number, cluster in enumerate(clusters)])
    print(json.dumps({"batches": len(took_ms), "took_ms": sorted(took_ms)}), flush=True)
    for cluster in clusters:
        await cluster.close()


def measure(members: int, processes: int, producers: int, outstanding: int, batch: int, record: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="journals-") as folder:
        cluster = Cluster(Path(folder), count=members)
        try:
            cluster.start()
            cluster.wait_ready()
            endpoints = ",".join(cluster.contacts.values())
            shares = [producers // processes + (number < producers % processes) for number in range(processes)]
            command = [sys.executable, __file__, "--endpoints", endpoints, "--batch", str(batch), "--record", str(record)]
            command += ["--seconds", str(seconds), "--outstanding", str(outstanding)]
            environment = {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
            began = time.monotonic()
            running = [
                subprocess.Popen([*command, "--name", f"p{number}", "--producers", str(share)], stdout=subprocess.PIPE, env=environment)
                for number, share in enumerate(shares)
            ]
            found = [json.loads(one.communicate()[0]) for one in running]
            wall = time.monotonic() - began
            batches = sum(one["batches"] for one in found)
            took_ms = sorted(took for one in found for took in one["took_ms"])
            kept = sum(info.next for info in _journals(endpoints))
            assert kept == batches * batch, f"{batches * batch} records acknowledged, {kept} are there"
            began = time.monotonic()
            with connect(endpoints, timeout=60) as client:
                read = sum(1 for _ in client.journal("p0-0").records())
            read_s = time.monotonic() - began
            print(
                f"{members} members, {producers} producers in {processes} processes, {outstanding} under way of each, "
                f"batches of {batch} x {record} bytes: "
                f"{batches * batch / seconds:,.0f} records/s acknowledged ({batches / seconds:,.0f} batches/s, median "
                f"{took_ms[len(took_ms) // 2]:.1f} ms, longest {took_ms[-1]:.0f} ms, {wall:.1f} s with starts); "
                f"read back {read / read_s:,.0f} records/s",
                flush=True,
            )
        finally:
            cluster.end()


def _journals(endpoints: str) -> list[JournalInfo]:
    with connect(endpoints, timeout=60) as client:
        return list(client.journals.list())


def apply_cost(batch: int, record: int) -> None:
    machine = Machine.genesis(Settings(), cluster=ClusterId(1), created_unix_s=1_700_000_000, level=3)
    data = bytes(batch * record)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(APPLIED // 5):
            operation: Operation = AppendRecords(b"audit", batch, data)
            command = Command(SessionId(0), Sequence(0), Sequence(0), "", operation)
            machine.apply(Index(machine.applied + 1), Term(1), Batch(0, 0, [command]))
            machine.take_blobs()
        best = min(best, (time.perf_counter() - began) / (APPLIED // 5))
    print(f"applying a batch of {batch} x {record} bytes: {best * 1e6:.0f} µs, {best * 1e9 / batch:.0f} ns a record", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--producers", type=int, default=8)
    parser.add_argument("--outstanding", type=int, default=1, help="batches of one producer under way at a time")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--record", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--endpoints", default="", help="be a producer")
    parser.add_argument("--name", default="")
    given = parser.parse_args()
    if given.endpoints:
        asyncio.run(produce(given.endpoints, given.name, given.producers, given.outstanding, given.batch, given.record, given.seconds))
        return
    apply_cost(given.batch, given.record)
    measure(given.members, given.processes, given.producers, given.outstanding, given.batch, given.record, given.seconds)


if __name__ == "__main__":
    main()
