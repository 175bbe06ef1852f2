"""How many records a second three members acknowledge as durable, from producers that append batches, while a reader verifies all of
them at once and old ones are dropped; and what a batch costs every process.

    PYTHONPATH=src:. python benchmarks/journals.py --producers 8 --outstanding 4 --batch 1000 --record 64 --seconds 8

Producers share processes, because here they share the machine's cores with the members. Each has a journal of its own, bounded so
that retention has to work; the reader is a process that follows all of them from the beginning, checks each batch's checksum and every
byte, and must have seen all that was acknowledged at the end.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.beside.clusters import SOURCE
from benchmarks.beside.coordnode import Coordnode, coordnode
from coordnode.client import aio
from coordnode.client.sync import connect
from coordnode.ids import ClusterId, Index, Sequence, SessionId, Term
from coordnode.services.commands import AppendRecords, Batch, Command, JournalInfo, Operation, ReadRecords, RecordsRead, encode
from coordnode.services.commands.records import FRAME_HEAD_BYTES, frames_in
from coordnode.services.dialogue import ReadAsk
from coordnode.services.machine import Machine
from coordnode.services.state import Settings
from tests.processes.members import Connection, result_of

APPLIED = 2_000
MEANS = ("coordnode_commit_", "coordnode_sync_", "coordnode_turn_")
IDLE_SECONDS = 0.002  # of the reader, when nothing new was there


def records_of(batch: int, record: int) -> list[bytes]:
    """What every batch holds."""
    return [b"%0*d" % (record, place) for place in range(batch)]


# --- a producing process ---------------------------------------------------------------------------------------------


async def produce(given: argparse.Namespace) -> None:
    """Says how many batches were acknowledged, each one's time on its way, and what all of it took."""
    clusters = [await aio.connect(given.endpoints, timeout=60) for _ in range(given.producers)]
    took_ms: list[float] = []
    records = records_of(given.batch, given.record)

    async def append(cluster: aio.Cluster, number: int) -> None:
        async with await cluster.session(30) as session:
            journal = session.journal(f"{given.name}-{number}")
            await journal.configure(given.keep)
            until = time.monotonic() + given.seconds

            async def repeat() -> None:
                while (began := time.monotonic()) < until:
                    await journal.append(records)
                    took_ms.append((time.monotonic() - began) * 1_000)

            await asyncio.gather(*[repeat() for _ in range(given.outstanding)])

    await asyncio.gather(*[append(cluster, number) for number, cluster in enumerate(clusters)])
    print(json.dumps({"batches": len(took_ms), "took_ms": sorted(took_ms), "cpu_s": time.process_time()}), flush=True)
    for cluster in clusters:
        await cluster.close()


# --- the reading process ---------------------------------------------------------------------------------------------


def follow(address: str, names: list[str], batch: int, record: int) -> None:
    """Until its input ends and everything up to then is read: says how many records it saw of each, and verified."""
    wanted = b"".join(records_of(batch, record))
    offsets = dict.fromkeys(names, 0)
    host, _, port = address.rpartition(":")
    os.set_blocking(0, False)
    is_over = False
    with Connection((host, int(port))) as connection:
        while True:
            is_over = is_over or sys.stdin.buffer.raw.read(1) == b""
            seen = 0
            asks = [ReadAsk(connection.number(), encode(ReadRecords(name.encode(), offset))) for name, offset in offsets.items()]
            connection.send(asks)
            answers = {answer.request: answer for answer in (connection.next_answer() for _ in asks)}
            for (name, offset), ask in zip(list(offsets.items()), asks, strict=True):
                found = result_of(answers[ask.request])
                if not isinstance(found, RecordsRead):
                    assert not offset, f"{name} from {offset} on: {found}"  # it is there with its first append
                    continue
                for position, frame in frames_in(found.frames):
                    assert frame.offset == offsets[name], f"{name} goes on with {frame.offset}, not with {offsets[name]}"
                    body = position + FRAME_HEAD_BYTES
                    assert found.frames[body : body + len(wanted)] == wanted, f"{name} has other records from {frame.offset} on"
                    offsets[name] += frame.records
                    seen += frame.records
            if not seen:
                if is_over:
                    break
                time.sleep(IDLE_SECONDS)
    print(json.dumps({"seen": offsets, "cpu_s": time.process_time()}), flush=True)


# --- all of them -----------------------------------------------------------------------------------------------------


def measure(cluster: Coordnode, given: argparse.Namespace) -> bool:
    endpoints = ",".join(member.address for member in cluster.members)
    shares = [given.producers // given.processes + (number < given.producers % given.processes) for number in range(given.processes)]
    again = [sys.executable, __file__, "--endpoints", endpoints, "--batch", str(given.batch), "--record", str(given.record)]
    again += ["--seconds", str(given.seconds), "--outstanding", str(given.outstanding), "--keep", str(given.keep)]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
    names = [f"p{number}-{producer}" for number, share in enumerate(shares) for producer in range(share)]
    before = [member.cpu_seconds() for member in cluster.members]
    names = names if given.reader else []
    reader = subprocess.Popen([*again, "--follow", ",".join(names)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    running = [
        subprocess.Popen([*again, "--name", f"p{number}", "--producers", str(share)], stdout=subprocess.PIPE, env=environment)
        for number, share in enumerate(shares)
    ]
    found = [json.loads(one.communicate()[0]) for one in running]
    began = time.monotonic()
    read = json.loads(reader.communicate()[0])
    late_s = time.monotonic() - began
    batches = sum(one["batches"] for one in found)
    took_ms = sorted(took for one in found for took in one["took_ms"])
    with connect(endpoints, timeout=60) as client:
        journals: list[JournalInfo] = list(client.journals.list())
    kept = sum(info.next for info in journals)
    assert kept == batches * given.batch, f"{batches * given.batch} records acknowledged, {kept} are there"
    assert not given.reader or sum(read["seen"].values()) == kept, f"{kept} records are there, {sum(read['seen'].values())} were read"
    assert all(info.size <= given.keep for info in journals), journals
    dropped = sum(info.first for info in journals)
    per_second = batches * given.batch / given.seconds
    cpu = [after.cpu_seconds() - earlier for after, earlier in zip(cluster.members, before, strict=True)]
    cpu += [sum(one["cpu_s"] for one in found), read["cpu_s"]]
    each = [seconds / batches * 1e6 for seconds in cpu]
    print(f"{given.producers} producers in {given.processes} processes, {given.outstanding} batches of each under way", end=", ")
    print(f"{given.batch} x {given.record} bytes each:\n  {per_second:,.0f} records/s acknowledged", end=" ")
    print(f"({batches / given.seconds:,.0f} batches/s, median {took_ms[len(took_ms) // 2]:.1f} ms, longest {took_ms[-1]:.0f} ms)")
    print(f"  all {kept:,} read and verified {late_s:.2f} s after the last; {dropped:,} dropped for new ones")
    print(f"  µs of CPU for a batch: leader {each[0]:.0f}, followers {each[1]:.0f} and {each[2]:.0f}", end=", ")
    print(f"producers {each[3]:.0f}, reader {each[4]:.0f}")
    for number, member in enumerate(cluster.members):
        print(f"  {'follower' if number else 'leader'}: {', '.join(means_of(member.address))}")
    print(f"  {cluster.check()}", flush=True)
    return per_second >= given.at_least


def means_of(address: str) -> list[str]:
    """What a member says of commits, syncs and turns: how long on average, and how many."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if "{" not in line and not line.startswith("#"))
    }
    means = []
    for name, count in found.items():
        if name.startswith(MEANS) and name.endswith("_seconds_count") and count:
            what = name.removeprefix("coordnode_").removesuffix("_seconds_count").replace("_", " ")
            means.append(f"{what} {found[name.removesuffix('count') + 'sum'] / count * 1_000:.2f} ms ({count:.0f})")
    return means


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


@contextmanager
def members(parent: str | None) -> Iterator[Coordnode]:
    with tempfile.TemporaryDirectory(prefix="journals-", dir=parent) as folder, coordnode(Path(folder), Path()) as cluster:
        yield cluster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--producers", type=int, default=8)
    parser.add_argument("--outstanding", type=int, default=4, help="batches of one producer under way at a time")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--record", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--keep", type=int, default=64 << 20, help="bytes that each journal may hold")
    parser.add_argument("--reader", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--at-least", type=float, default=0.0, help="records a second: less is a failure")
    parser.add_argument("--parent", help="folder for scratch")
    parser.add_argument("--endpoints", default="", help="be a producer, or the reader")
    parser.add_argument("--name", default="")
    parser.add_argument("--follow", help="be the reader of these journals")
    given = parser.parse_args()
    if given.follow is not None:
        follow(given.endpoints.partition(",")[0], [name for name in given.follow.split(",") if name], given.batch, given.record)
        return 0
    if given.endpoints:
        asyncio.run(produce(given))
        return 0
    apply_cost(given.batch, given.record)
    with members(given.parent) as cluster:
        return 0 if measure(cluster, given) else 1


if __name__ == "__main__":
    raise SystemExit(main())
