"""What the pure core costs per command, for three members together, in batches of 200: no clock, disk or socket.

    python benchmarks/core.py [--parts raft,decode,apply,record] [--batches N] [--window N] [--members N] [--budget-us 12]

    raft     proposing, replicating, acknowledging, committing
    decode   the leader decodes each command to admit it and joins them to one entry; each follower decodes the entry
    apply    every member applies every entry
    record   every member encodes every entry as a WAL record

Parts can be left out to see what the others cost. What is counted is the time of the processor that this process had, as a member's
interpreter is set, in the best of some runs; with --budget-us the exit code says whether that kept within it. All runs do the same, so the
second figure takes the best time of each batch: what a run costs that nothing else on the machine disturbs. Three members' states of
10,000 keys do not fit into a core's caches: who shares these makes it slower even so.
"""

import argparse
import gc
import random
import sys
import time
from collections import deque
from zlib import crc32

from coordnode.ids import ClusterId, Index, MemberId, Sequence, SessionId, Term
from coordnode.node.tuning import tune_interpreter
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, Config, Entry, HardState, SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.state import LEADER, Timing
from coordnode.services.commands import Batch, Command, OpenSession, Put, decode_batch, decode_client_command, encode, splice_batch
from coordnode.services.machine import Machine
from coordnode.services.state import Settings
from coordnode.storage.record import ENTRY, encode_record, link_chain, segment_seed

PARTS = ("raft", "decode", "apply", "record")
BATCH_COMMANDS = 200
SESSIONS = 20
OPEN_REQUESTS = 10  # of one client at a time
FIRST_INDEX = Index(1)
COMPACT_EVERY = 64  # batches; as a member does after a snapshot, so that the log in memory stays short
RUNS = 7


class Member:
    def __init__(self, member: MemberId, voters: tuple[MemberId, ...], parts: list[str]) -> None:
        meta = SnapshotMeta(FIRST_INDEX, Term(1), member, 0, Config(voters=voters), FIRST_INDEX)
        self.raft = Raft(
            member=member,
            hard_state=HardState(Term(1), MemberId(0), 1, False),
            snapshot=meta,
            entries=[],
            commit_hint=Index(0),
            timing=Timing(),
            rng=random.Random(member),
        )
        self.parts = parts
        self.chain = 0
        self.seed = segment_seed(1, 1)
        self.proposed: dict[Index, Batch] = {}  # what a leader has decoded already
        self.machine = Machine.genesis(Settings(), cluster=ClusterId(1), created_unix_s=1_700_000_000, level=2)
        openings = [
            Command(SessionId(0), Sequence(0), Sequence(0), "", OpenSession(number.to_bytes(8, "big"), 10_000))
            for number in range(SESSIONS)
        ]
        self.machine.apply(FIRST_INDEX, Term(1), Batch(0, 0, openings))

    def propose(self, bodies: list[bytes], now_ms: int) -> None:
        if "decode" in self.parts:
            commands = [decode_client_command(body) for body in bodies]
            batch = Batch(now_ms, 0, commands)  # type: ignore[arg-type]  # a ClientCommand is a Command of fewer kinds
            self.proposed[self.raft.propose(splice_batch(now_ms, 0, bodies))] = batch
        else:
            self.raft.propose(splice_batch(now_ms, 0, bodies))

    def turn(self, messages: list[Message], network: deque[Message]) -> None:
        """One turn on a disk that is done at once."""
        raft = self.raft
        for message in messages:
            raft.step(message)
        while True:
            ready = raft.ready()
            network.extend(ready.send_now)
            for entry in ready.committed:
                self.apply(entry)
            write = ready.write
            if write is None:
                return
            if "record" in self.parts:
                for entry in write.entries:
                    self.record(entry)
            raft.on_persisted(write.write_id, write.last_term, write.last_index)
            network.extend(write.send_after)

    def record(self, entry: Entry) -> None:
        data_crc = crc32(entry.data)
        self.chain = link_chain(self.chain, entry.term, entry.index, entry.kind, data_crc)
        encode_record(self.seed, ENTRY, entry.kind, entry.term, entry.index, self.chain, 1, entry.data, data_crc)

    def apply(self, entry: Entry) -> None:
        if entry.kind != BATCH:
            self.machine.skip(entry.index)
            return
        batch = self.proposed.pop(entry.index, None)
        if batch is None and "decode" in self.parts:
            batch = decode_batch(entry.data)
        if batch is not None and "apply" in self.parts:
            self.machine.apply(entry.index, entry.term, batch)
        if entry.index % COMPACT_EVERY == 0 and "apply" in self.parts:
            assert self.machine.digest

    def compact(self) -> None:
        raft = self.raft
        index = raft.committed
        term = raft.log.term_at(index)
        assert term is not None
        raft.compact(SnapshotMeta(index, term, raft.member, 0, raft.config, FIRST_INDEX), Index(index + 1))


class Cluster:
    def __init__(self, count: int, parts: list[str]) -> None:
        voters = tuple(MemberId(number) for number in range(1, count + 1))
        self.members = {member: Member(member, voters, parts) for member in voters}
        self.network: deque[Message] = deque()
        self.leader = self.members[voters[0]]
        while self.leader.raft.role != LEADER:
            self.leader.raft.tick()
            self.leader.turn([], self.network)
            self.settle()

    def settle(self) -> None:
        """Each member takes everything that waits for it in one turn, until nothing does."""
        network = self.network
        while network:
            waiting: dict[MemberId, list[Message]] = {}
            while network:
                message = network.popleft()
                waiting.setdefault(message.target, []).append(message)
            for target, messages in waiting.items():
                self.members[target].turn(messages, network)


def make_bodies(batches: int) -> list[list[bytes]]:
    chance = random.Random(1)
    keys = [chance.randbytes(16) for _ in range(10_000)]
    sequences = [0] * (SESSIONS + 1)
    made = []
    for _ in range(batches):
        bodies = []
        for place in range(BATCH_COMMANDS):
            session = 1 + place % SESSIONS
            sequences[session] += 1
            sequence = sequences[session]
            lowest_open = Sequence(max(1, sequence - OPEN_REQUESTS + 1))
            put = Put(chance.choice(keys), chance.randbytes(64))
            bodies.append(encode(Command(SessionId(session), Sequence(sequence), lowest_open, "", put)))
        made.append(bodies)
    return made


def measure(made: list[list[bytes]], parts: list[str], members: int, window: int) -> list[float]:
    """Seconds for each batch, `window` of them proposed before the answers are looked at."""
    cluster = Cluster(members, parts)
    leader = cluster.leader
    gc.collect()
    seconds: list[float] = []
    began = time.process_time()
    for number, bodies in enumerate(made):
        leader.propose(bodies, number)
        leader.turn([], cluster.network)
        is_last = number == len(made) - 1
        is_compacting = number % COMPACT_EVERY == COMPACT_EVERY - 1
        if number % window == window - 1 or is_compacting or is_last:
            cluster.settle()
        if is_compacting:
            for member in cluster.members.values():
                member.compact()
        now = time.process_time()
        seconds.append(now - began)
        began = now
    assert leader.raft.committed == leader.raft.log.last_index()
    if "apply" in parts and "decode" in parts:
        assert leader.machine.applied == leader.raft.committed
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which parts to carry out (default: all)")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--window", type=int, default=1, help="batches under way at a time")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--budget-us", type=float, default=0.0, help="fail when the best run costs more per command")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or "raft" not in parts:
        parser.error(f"--parts: raft, and any of {', '.join(PARTS[1:])}")
    if "apply" in parts and "decode" not in parts:
        parser.error("--parts: nothing can be applied that is not decoded")
    made = make_bodies(arguments.batches)
    tune_interpreter()
    runs = [measure(made, parts, arguments.members, arguments.window) for _ in range(RUNS)]
    commands = arguments.batches * BATCH_COMMANDS
    us = min(sum(run) for run in runs) / commands * 1e6
    undisturbed_us = sum(min(batch) for batch in zip(*runs, strict=True)) / commands * 1e6
    print(
        f"{'+'.join(parts)}: {us:.2f} us per command for {arguments.members} members, {undisturbed_us:.2f} by the best time of each batch"
    )
    if arguments.budget_us and us > arguments.budget_us:
        sys.exit(f"more than {arguments.budget_us} us per command")


if __name__ == "__main__":
    main()
