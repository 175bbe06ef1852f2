"""What one operation on a queue costs a member to apply, with few tasks in it and with many: it must not grow with them.

python -m benchmarks.queues [--tasks 1000000]
"""

import argparse
import resource
import time

from coordnode.ids import ClusterId, Index, Sequence, SessionId, Term
from coordnode.services.commands import AckTask, Batch, Command, NackTask, Operation, PutTask, TakeTasks, TasksTaken, decode_result
from coordnode.services.machine import Machine
from coordnode.services.state import Settings

BATCH = 500
MEASURED = 20_000
PAYLOAD = b"x" * 100
QUEUE = b"queue"


class Applied:
    def __init__(self) -> None:
        settings = Settings(state_bytes_max=1 << 40)
        self.machine = Machine.genesis(settings, cluster=ClusterId(1), created_unix_s=1_700_000_000, level=3)
        self.seconds = 0.0

    def apply(self, operations: list[Operation]) -> list[bytes]:
        commands = [Command(SessionId(0), Sequence(0), Sequence(0), "", operation) for operation in operations]
        began = time.perf_counter()
        outcomes = self.machine.apply(Index(self.machine.applied + 1), Term(1), Batch(self.machine.applied, 0, commands))
        self.seconds += time.perf_counter() - began
        return [outcome.result for outcome in outcomes]

    def spent(self) -> float:
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def measure(applied: Applied) -> dict[str, float]:
    """Microseconds for each operation; what is in the queue stays as many."""
    found = {"put": 0.0, "take": 0.0, "return": 0.0, "ack": 0.0}
    for _ in range(MEASURED // BATCH):
        applied.spent()
        applied.apply([PutTask(QUEUE, PAYLOAD, 1) for _ in range(BATCH)])
        found["put"] += applied.spent()
        for verb in ("return", "ack"):
            taken = [decode_result(result) for result in applied.apply([TakeTasks(QUEUE) for _ in range(BATCH)])]
            found["take"] += applied.spent() / 2
            tokens = [one.tasks[0].token for one in taken if isinstance(one, TasksTaken)]
            finish: list[Operation] = [AckTask(QUEUE, token) if verb == "ack" else NackTask(QUEUE, token, 0) for token in tokens]
            applied.apply(finish)
            found[verb] += applied.spent()
    return {verb: seconds / MEASURED * 1e6 for verb, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000_000)
    most = parser.parse_args().tasks
    applied = Applied()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = 0
    for target in (1_000, most // 100, most):
        while count < target:
            step = min(BATCH, target - count)
            applied.apply([PutTask(QUEUE, PAYLOAD, number % 3 - 3) for number in range(step)])
            count += step
        found = measure(applied)
        print(f"{target:>9} tasks: " + ", ".join(f"{verb} {found[verb]:.1f} µs" for verb in found), flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"memory {grown / most:.0f} bytes a task of {len(PAYLOAD)}; charged {applied.machine.state_bytes / most:.0f}")


if __name__ == "__main__":
    main()
