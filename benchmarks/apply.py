"""What applying costs: microseconds per command, bytes per key, and the pieces of a snapshot.

    python benchmarks/apply.py [--keys N]

A batch has 200 puts (16-byte keys, 64-byte values), each in a session, deduplicated, with history and digest kept. Time is that of the
processor that this process had.
"""

import argparse
import gc
import random
import time
from collections.abc import Callable

from coordnode.ids import NO_SESSION, ClusterId, Index, Sequence, SessionId, Term
from coordnode.services.commands import Batch, Command, OpenSession, Put, decode_batch, encode, splice_batch
from coordnode.services.machine import Machine
from coordnode.services.state import Settings

BATCH_COMMANDS = 200
BATCHES = 200
OPEN_REQUESTS = 10  # of one client at a time
STALL_ENTRIES, STALL_PUTS = 3_200, 20


def make_machine(sessions: int) -> Machine:
    machine = Machine.genesis(Settings(), cluster=ClusterId(1), created_unix_s=1_700_000_000, level=2)
    openings = [
        Command(NO_SESSION, Sequence(0), Sequence(0), "", OpenSession(number.to_bytes(8, "big"), 10_000)) for number in range(sessions)
    ]
    machine.apply(Index(1), Term(1), Batch(0, 0, openings))
    return machine


def make_batches(sessions: int, keys: list[bytes], first_index: int) -> list[bytes]:
    chance = random.Random(1)
    sequences = [0] * (sessions + 1)
    batches = []
    for number in range(BATCHES):
        commands = []
        for place in range(BATCH_COMMANDS):
            session = 1 + place % sessions
            sequences[session] += 1
            sequence = sequences[session]
            lowest_open = Sequence(max(1, sequence - OPEN_REQUESTS))
            put = Put(chance.choice(keys), chance.randbytes(64))
            commands.append(encode(Command(SessionId(session), Sequence(sequence), lowest_open, "", put)))
        batches.append(splice_batch(first_index + number, 0, commands))
    return batches


def best_of(runs: int, once: Callable[[], float]) -> float:
    return min(once() for _ in range(runs))


def measure_apply(sessions: int, keys: list[bytes]) -> None:
    data = make_batches(sessions, keys, 2)

    def decoded() -> float:
        began = time.process_time()
        for batch in data:
            decode_batch(batch)
        return time.process_time() - began

    def applied() -> float:
        machine = make_machine(sessions)
        batches = [decode_batch(batch) for batch in data]
        began = time.process_time()
        for number, batch in enumerate(batches):
            machine.apply(Index(2 + number), Term(1), batch)
            if (2 + number) % machine.settings.digest_every == 0:
                assert machine.digest
        return time.process_time() - began

    commands = BATCHES * BATCH_COMMANDS
    print(
        f"{sessions:5} sessions, {len(keys):7} keys: apply {best_of(3, applied) / commands * 1e6:5.2f} us, "
        f"decode {best_of(3, decoded) / commands * 1e6:5.2f} us per command"
    )


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def measure_size(count: int) -> None:
    chance = random.Random(2)
    # History keeps values, too; what is measured here are the keys.
    machine = Machine.genesis(Settings(history_count_max=1000), cluster=ClusterId(1), created_unix_s=1_700_000_000, level=2)
    gc.collect()
    before = resident_bytes()
    began = time.process_time()
    for index, start in enumerate(range(0, count, BATCH_COMMANDS), 1):
        commands = [
            Command(NO_SESSION, Sequence(0), Sequence(0), "", Put(chance.randbytes(16), chance.randbytes(64)))
            for _ in range(min(BATCH_COMMANDS, count - start))
        ]
        machine.apply(Index(index), Term(1), decode_batch(encode(Batch(index, 0, commands))))
    took = time.process_time() - began
    gc.collect()
    print(f"{count} keys: {(resident_bytes() - before) / count:.0f} B per key, {took / count * 1e6:.1f} us each with making the input")
    began = time.process_time()
    gc.collect()
    print(f"gc.collect {(time.process_time() - began) * 1e3:.1f} ms")

    began = time.process_time()
    slices = machine.snapshot()
    froze = time.process_time() - began
    steps = []
    total = 0
    pieces = []
    while True:
        began = time.process_time()
        piece = next(slices, None)
        steps.append(time.process_time() - began)
        if piece is None:
            break
        pieces.append(piece)
        total += len(piece)
    steps.sort()
    median, slowest = steps[len(steps) // 2], steps[-1]
    print(f"snapshot: taken in {froze * 1e6:.0f} us; {len(pieces)} slices, {total / 1e6:.0f} MB", end=", ")
    print(f"median {median * 1e3:.2f} ms, slowest {slowest * 1e3:.2f} ms")
    began = time.process_time()
    restored = Machine.restore(pieces)
    print(f"restore: {(time.process_time() - began) / len(pieces) * 1e3:.2f} ms per slice")
    assert restored.digest == machine.digest


def measure_stalls(count: int) -> None:
    """The longest that anything takes at a time, with puts all over so many keys: an entry, a digest, a slice of a snapshot."""
    machine = make_machine(1)
    names = [b"%016d" % number for number in range(count)]
    longest: dict[str, list[float]] = {}

    def timed(what: str, once: Callable[[], object]) -> object:
        began = time.process_time()
        found = once()
        longest.setdefault(what, []).append((time.process_time() - began) * 1e3)
        return found

    def put(keys: list[bytes], what: str) -> None:
        commands = [Command(NO_SESSION, Sequence(0), Sequence(0), "", Put(key, bytes(64))) for key in keys]
        index = Index(machine.applied + 1)
        timed(what, lambda: machine.apply(index, Term(1), Batch(index, 0, commands)))

    for start in range(0, count, BATCH_COMMANDS):
        put(names[start : start + BATCH_COMMANDS], "filling")
    gc.collect()
    gc.freeze()
    random.Random(5).shuffle(names)
    entries = [names[start : start + STALL_PUTS] for start in range(0, STALL_ENTRIES * STALL_PUTS, STALL_PUTS)]
    for number, keys in enumerate(entries, 1):
        put(keys, "entry")
        if number % machine.settings.digest_every == 0:
            timed("digest", lambda: machine.digest)
    slices = machine.snapshot()
    timed("slice", lambda: next(slices))
    for keys in entries:
        put(keys, "entry, snapshot under way")
    while timed("slice", lambda: next(slices, None)) is not None:
        pass
    print(f"{count} keys, {STALL_PUTS} puts all over them in each entry, at most:", end=" ")
    print(", ".join(f"{what} {max(took):.1f} ms" for what, took in longest.items() if what != "filling"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000, help="keys for the memory and snapshot figures")
    arguments = parser.parse_args()
    chance = random.Random(3)
    few = [chance.randbytes(16) for _ in range(1_000)]
    many = [chance.randbytes(16) for _ in range(100_000)]
    measure_apply(1, few)
    measure_apply(20, few)
    measure_apply(200, few)
    measure_apply(20, many)
    measure_size(arguments.keys)
    measure_stalls(arguments.keys)


if __name__ == "__main__":
    main()
