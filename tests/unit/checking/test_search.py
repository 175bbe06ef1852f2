"""How the search spends its budget, and what it says when it stops."""

from collections.abc import Sequence
from random import Random

from coordnode.checking.catalogue import MODELS
from coordnode.checking.certificate import verify
from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, History, Operation, Recorder
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget, Search, search
from coordnode.checking.models import Foresight, KeyValue
from coordnode.checking.set_models import LastReadSet
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.checking.verdict import UNKNOWN as UNDECIDED


def hopeless(key: str, writes: int = 40) -> list[Operation]:
    """Impossible, and hard to prove so: many appends at once, and reads that no order of them gives."""
    operations = [Operation(n, "append", (key, chr(97 + n % 26)), None, 0, 1000) for n in range(writes)]
    operations.append(Operation(99, "get", (key, None), (key, "never"), 1001, 1002))
    return operations


def stale(key: str) -> list[Operation]:
    return [
        Operation(1, "put", (key, "a"), None, 0, 1),
        Operation(1, "put", (key, "b"), None, 2, 3),
        Operation(1, "get", (key, None), (key, "a"), 4, 5),
    ]


def test_the_first_illegal_partition_stops_the_others() -> None:
    operations = [*hopeless("x"), *hopeless("y"), *stale("z")]
    verdict = search(MODELS["kv"](), operations, Budget(steps_max=100_000))
    assert verdict.outcome == VIOLATION
    assert verdict.evidence is not None
    assert verdict.evidence.partition == "z"
    assert verdict.evidence.operation == operations[-1]
    assert verdict.evidence.prefix == tuple(operations[-3:])
    assert verdict.steps < 50_000


def test_each_budget_ends_in_unknown_with_its_reason() -> None:
    model = MODELS["kv"]()
    assert "after" in search(model, hopeless("x"), Budget(steps_max=5000)).reason
    slices = iter(range(1000))
    memory = search(model, hopeless("x"), Budget(out_of_memory=lambda: next(slices) > 5))
    assert (memory.outcome, memory.reason) == (UNDECIDED, "undecided when the memory was used up; 1 of 1 partitions are open")
    assert memory.steps < 10_000
    looks = iter(range(1000))
    late = search(model, [*hopeless("x"), *hopeless("y")], Budget(out_of_time=lambda: next(looks) > 5))
    assert (late.outcome, late.reason) == (UNDECIDED, "undecided when the time was up; 2 of 2 partitions are open")
    assert late.certificate == ()


def placed(count: int) -> list[Operation]:
    return [Operation(0, "put", (number, number % 3), None, 2 * number, 2 * number + 1, OK, number) for number in range(count)]


def test_a_replay_looks_at_its_budget() -> None:
    operations = placed(10_000)
    late = judge(History(tuple(operations)), "queue", Budget(out_of_time=lambda: True))
    assert (late.outcome, late.method) == (UNDECIDED, "witness")
    assert late.reason.startswith("undecided when the time was up; ")
    assert late.steps < 2000
    large = judge(History(tuple(operations)), "queue", Budget(out_of_memory=lambda: True))
    assert (large.outcome, "the memory was used up" in large.reason) == (UNDECIDED, True)
    assert judge(History(tuple(operations[:3000])), "queue", Budget()).outcome == PASS


def test_what_is_open_at_a_return_is_laid_out_when_the_search_comes_there() -> None:
    """Of 2,000 writes at once nearly all are open at each return: two millions, if nobody looked before."""
    operations = [Operation(n, "write", n, None, n, 10_000 + n) for n in range(2000)]
    one = Search(MODELS["register"](), [(operation.invoked, operation.returned, operation) for operation in operations])
    next(one.run())
    assert len(one._open) < 10
    verdict = search(MODELS["register"](), operations, Budget(out_of_memory=lambda: True))
    assert (verdict.outcome, verdict.steps < 10_000) == (UNDECIDED, True)


def test_keys_are_laid_out_when_their_turn_comes() -> None:
    asked: list[object] = []

    class Asked(KeyValue):
        def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
            asked.append(known[0].argument)
            return super().foresight(known, unseen)

    operations = [Operation(n, "put", (str(n), "v"), None, n, n + 1) for n in range(1000)]
    assert search(Asked(), operations, Budget(out_of_time=lambda: True)).outcome == UNDECIDED
    assert len(asked) < 10
    assert search(Asked(), operations, Budget()).outcome == PASS


def test_reads_alone_are_looked_at_in_slices() -> None:
    operations = [Operation(0, "read", None, None, 2 * n, 2 * n + 1) for n in range(10_000)]
    verdict = search(MODELS["register"](), operations, Budget(out_of_time=lambda: True))
    assert (verdict.outcome, verdict.steps < 2000) == (UNDECIDED, True)


def test_outcomes_that_differ_only_in_time_cost_nothing() -> None:
    """Thirty unknown writes of one value: one order of them stands for all."""
    operations = [Operation(n, "write", 1, UNSEEN, n, FOREVER, UNKNOWN) for n in range(30)]
    for n in range(30):
        operations.append(Operation(50, "write", 0, None, 100 + 4 * n, 101 + 4 * n))
        operations.append(Operation(50, "read", None, 1, 102 + 4 * n, 103 + 4 * n))
    verdict = search(MODELS["register"](), operations, Budget())
    assert verdict.outcome == PASS
    assert verdict.steps < 2000
    assert verify(MODELS["register"](), operations, verdict.certificate) == ""
    one_more = [*operations, Operation(50, "write", 0, None, 300, 301), Operation(50, "read", None, 1, 302, 303)]
    refused = search(MODELS["register"](), one_more, Budget())
    assert refused.outcome == VIOLATION
    assert refused.steps < 200_000


def test_certificates_are_not_believed_blindly() -> None:
    model = MODELS["register"]()
    write, read = Operation(0, "write", 1, None, 0, 1), Operation(1, "read", None, 1, 2, 3)
    maybe = Operation(2, "write", 2, UNSEEN, 0, FOREVER, UNKNOWN)
    operations = [write, read, maybe]
    assert verify(model, operations, [[write, read]]) == ""
    assert verify(model, operations, [[maybe, write, read]]) == ""
    assert "not placed exactly once" in verify(model, operations, [[write]])
    assert "not placed exactly once" in verify(model, operations, [[write, read, read]])
    assert "placed" in verify(model, operations, [[maybe, maybe, write, read]])
    assert "real time" in verify(model, operations, [[read, write]])
    assert "cannot have answered" in verify(model, operations, [[write, maybe, read]])


def test_only_the_last_read_of_a_set_counts() -> None:
    model = LastReadSet()
    add, early, last = (
        Operation(0, "add", 1, 1, 0, 1),
        Operation(0, "read", None, (), 2, 3),
        Operation(0, "read", None, (1,), 4, 5),
    )
    assert search(model, model.relevant([add, early, last]), Budget()).outcome == PASS
    assert search(MODELS["set-full"](), [add, early, last], Budget()).outcome == VIOLATION
    assert search(model, model.relevant([add, last, early]), Budget()).outcome == VIOLATION


def test_a_history_with_places_is_replayed_and_not_searched() -> None:
    recorder = Recorder()
    random = Random(3)
    value = None
    for time in range(0, 6000, 10):
        if random.random() < 0.5:
            value = time
            recorder.ok(recorder.invoke(0, "write", value, time), None, time + 5, index=time)
        else:
            recorder.ok(recorder.invoke(0, "read", None, time), value, time + 5, index=time)
    history = recorder.history("register")
    verdict = judge(history, "register", Budget())
    assert (verdict.outcome, verdict.method, verdict.steps) == (PASS, "witness", len(history.operations))
    liar = Operation(1, "read", None, -1, 5990, 6000, OK, 5999)
    found = judge(History((*history.operations, liar)), "register", Budget())
    assert found.outcome == VIOLATION
    assert found.evidence is not None
    assert found.evidence.operation == liar
