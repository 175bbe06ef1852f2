"""What checking costs: `python benchmarks/checking.py [thousands of operations with a witness]`."""

import sys
import time
from collections.abc import Callable
from random import Random

from coordnode.checking.catalogue import MODELS
from coordnode.checking.certificate import verify
from coordnode.checking.cluster import CommittedEntries, StateAgreement
from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, History, Operation
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget
from coordnode.checking.promises import ExactlyOnce, RevisionMonotonic
from coordnode.checking.reading import parse_history
from coordnode.checking.store import NAME, Store
from coordnode.checking.verdict import Verdict
from coordnode.checking.writing import history_lines

SECONDS_MAX = 10.0


def store_history(count: int, random: Random, clients: int = 50, keys: int = 1000, unknown: float = 0.0) -> History:
    """What coordnode answers to a mix of half reads, with every place but those of unknown outcomes."""
    store = Store()
    operations: list[Operation] = []
    free_at = [0] * clients
    for index in range(1, count + 1):
        moment = 100 * index
        process = random.randrange(clients)
        invoked = max(free_at[process] + 1, moment - random.randrange(100 * clients))
        returned = free_at[process] = max(invoked, moment) + random.randrange(100)
        if invoked > moment:
            continue
        key = b"key%d" % random.randrange(keys)
        fate = random.random()
        function: str
        argument: object
        if fate < 0.5:
            function, argument = "get", key
        elif fate < 0.9:
            function, argument = "put", (key, b"value %d" % index, 0)
        elif fate < 0.95:
            function, argument = "delete", key
        else:
            function, argument = "transaction", (((key, 3, 3, 0, None),), (("put", key, b"swap %d" % index, 0),), (("get", key),))
        asked = Operation(process, function, argument, UNSEEN, invoked, returned, OK, index)
        expected, changes = store.answer(asked)
        if random.random() < unknown:
            if random.random() < 0.5:
                store.commit(asked, changes)
            operations.append(Operation(process, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN))
            continue
        store.commit(asked, changes)
        operations.append(Operation(process, function, argument, expected, invoked, returned, OK, index))
    operations.sort(key=lambda operation: operation.invoked)
    return History(tuple(operations), NAME)


def model_history(name: str, count: int, random: Random, concurrency: int = 10, unknown: float = 0.0, values: int = 1 << 30) -> History:
    """One key, no places."""
    model = MODELS[name]()
    state = model.initial
    operations: list[Operation] = []
    free_at = [0] * concurrency
    for number in range(1, count + 1):
        process = min(range(concurrency), key=lambda which: free_at[which])
        moment = max(100 * number, free_at[process] + 2)
        invoked = max(free_at[process] + 1, moment - random.randrange(1, 100 * concurrency))
        returned = moment + random.randrange(1, 100 * concurrency)
        function, argument = ("read", None) if random.random() < 0.5 else ("write", random.randrange(values))
        if function == "write" and random.random() < unknown:
            if random.random() < 0.5:
                state = argument
            operations.append(Operation(number + concurrency, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN))
            continue
        free_at[process] = returned
        if function == "write":
            state = argument
        operations.append(Operation(process, function, argument, state, invoked, returned))
    operations.sort(key=lambda operation: operation.invoked)
    return History(tuple(operations), name)


def lied_to(history: History) -> History:
    """Late in it, one read does not see the key that it reads."""
    operations = list(history.operations)
    for number in range(len(operations) * 9 // 10, len(operations)):
        one = operations[number]
        result = one.result
        if one.function == "get" and isinstance(result, tuple) and result[1] is not None:
            operations[number] = Operation(one.process, "get", one.argument, (result[0], None), one.invoked, one.returned, OK, one.index)
            break
    return History(tuple(operations), history.model)


def timed(what: str, count: int, work: Callable[[], object]) -> object:
    begin = time.perf_counter()
    made = work()
    seconds = time.perf_counter() - begin
    said = f"  {made.outcome}: {made.reason}" if isinstance(made, Verdict) else ""
    print(f"{what:58} {count:9} {seconds:8.3f} s {seconds / max(1, count) * 1e6:8.2f} µs each{said}", flush=True)
    return made


def repeated(what: str, observe: Callable[[int], None], count: int = 200_000) -> None:
    def work() -> None:
        for number in range(count):
            observe(number)

    timed(what, count, work)


def budget() -> Budget:
    end = time.monotonic() + SECONDS_MAX
    return Budget(out_of_time=lambda: time.monotonic() > end)


def main() -> None:
    random = Random(7)
    thousands = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    history = store_history(thousands * 1000, random)
    count = len(history.operations)
    verdict = timed("coordnode's store, every reply with its place", count, lambda: judge(history, NAME, budget(), complete=True))
    assert isinstance(verdict, Verdict)
    timed("  the certificate, verified", count, lambda: verify(None, history.operations, verdict.certificate))
    lines = timed("  the history, written", count, lambda: b"".join(history_lines(history)))
    assert isinstance(lines, bytes)
    timed("  the history, read", count, lambda: parse_history(lines))
    small = store_history(1500, random)
    timed("  one simulated seed's history", len(small.operations), lambda: judge(small, NAME, budget(), complete=True))
    for unknown in (0.001, 0.01):
        doubtful = store_history(20_000, random, unknown=unknown)
        what = f"coordnode's store, {unknown:.1%} unknown, half of them happened"
        timed(what, len(doubtful.operations), lambda doubtful=doubtful: judge(doubtful, NAME, budget()))  # type: ignore[misc]
        lied = lied_to(doubtful)
        timed("  with one stale read", len(doubtful.operations), lambda lied=lied: judge(lied, NAME, budget()))  # type: ignore[misc]
    for unknown, values in ((0.0, 1 << 30), (0.0, 5), (0.01, 1 << 30), (0.01, 5)):
        searched = model_history("register", 10_000, random, unknown=unknown, values=values)
        what = f"one register, 10 at once, {unknown:.0%} unknown, {min(values, 10_000)} values, no places"
        timed(what, len(searched.operations), lambda searched=searched: judge(searched, "register", budget()))  # type: ignore[misc]
    committed, agreement, once, monotonic = CommittedEntries(), StateAgreement(), ExactlyOnce(), RevisionMonotonic()
    repeated("CommittedEntries.observe", lambda number: committed.observe(number % 5, 3, number // 5, 3, number // 5))
    repeated("StateAgreement.observe", lambda number: agreement.observe(number % 5, number // 5, number // 5))
    repeated("ExactlyOnce.applied", lambda number: once.applied((number % 5, number), (number, 0), (number, 0), b""))
    repeated("RevisionMonotonic", lambda number: monotonic.answered(1, monotonic.asked(1), number))


if __name__ == "__main__":
    main()
