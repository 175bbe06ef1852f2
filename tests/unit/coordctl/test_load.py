"""Load as values: when requests are due, what times add up to, thresholds, and whether each cause is told from the others."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from coordctl.load.causes import CAUSES, CLUSTER, CPU, DISK, GENERATOR, NETWORK, Commit, Evidence, Host, Peer, divide, judge
from coordctl.load.latencies import MS, Latencies
from coordctl.load.pace import NS, Pace
from coordctl.load.tally import Tally
from coordctl.load.thresholds import crossed, parse_threshold
from coordctl.load.workloads import ABOUT, KEYS, MIX, MIXED, OPERATIONS, Place, operations
from coordnode.client.requests import Request
from coordnode.errors import PromiseBroken
from coordnode.ids import Revision, SessionId, Token
from coordnode.services.commands import (
    Acquire,
    Done,
    Get,
    Got,
    Item,
    JournalInfo,
    JournalView,
    LockGranted,
    LockReleased,
    Put,
    RecordsAppended,
    TakenTask,
    TaskPut,
    TasksTaken,
    TransactionDone,
)

# --- pace ----------------------------------------------------------------------------------------------------------------


def due(pace: Pace, now_ns: int) -> list[int]:
    found = []
    while (meant_ns := pace.take(now_ns)) is not None:
        found.append(meant_ns)
    return found


def test_what_is_due_was_meant_to_be_sent_at_its_own_time_however_late_it_is_taken() -> None:
    pace = Pace(1_000, 5 * NS, 6 * NS)
    assert due(pace, 5 * NS - 1) == []
    assert due(pace, 5 * NS + 3_500_000) == [5 * NS, 5 * NS + 1_000_000, 5 * NS + 2_000_000, 5 * NS + 3_000_000]
    assert pace.next_ns == 5 * NS + 4_000_000
    assert len(due(pace, 100 * NS)) == 996  # those that a stall held up are not left out
    assert pace.is_over


def test_processes_that_share_a_rate_send_in_turn_and_nothing_adds_up() -> None:
    parts = [due(Pace(7, NS, 101 * NS, part=part, parts=3), 200 * NS) for part in range(3)]
    together = sorted(meant_ns for part in parts for meant_ns in part)
    assert together == due(Pace(7, NS, 101 * NS), 200 * NS) == [NS + round(number * NS / 7) for number in range(700)]


# --- latencies -----------------------------------------------------------------------------------------------------------


def test_quantiles_are_right_within_a_hundredth() -> None:
    rng = random.Random(5)
    times = sorted(int(rng.lognormvariate(14, 2)) for _ in range(5_000))
    latencies = Latencies()
    for ns in times:
        latencies.add(ns)
    for part in (0.01, 0.5, 0.9, 0.99, 0.999, 1.0):
        exact = times[max(0, -(-round(part * 1_000_000) * len(times) // 1_000_000) - 1)] / MS
        found = latencies.quantile_ms(part)
        assert found is not None
        assert exact <= found <= exact * 1.01 + 1e-6
    assert latencies.mean_ms() == sum(times) / len(times) / MS
    assert (len(latencies), latencies.max_ns) == (5_000, times[-1])


def test_times_of_several_processes_add_up_as_if_one_had_counted_them() -> None:
    rng = random.Random(6)
    times = [rng.randrange(10**10) for _ in range(300)]
    together, first, second = Latencies(), Latencies(), Latencies()
    for number, ns in enumerate(times):
        together.add(ns)
        (first if number % 2 else second).add(ns)
    sent = msgspec.json.decode(msgspec.json.encode(first), type=Latencies)
    sent.merge(second)
    assert sent == together
    assert Latencies().quantile_ms(0.5) is None
    assert Latencies().mean_ms() is None


# --- thresholds ----------------------------------------------------------------------------------------------------------


def tally(times_ms: Sequence[float], failed: int = 0) -> Tally:
    found = Tally()
    for ms in times_ms:
        found.add("put", round(ms * MS))
    if failed:
        found.fail("TimedOut", failed)
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p99>20ms", "p99 of put is 50.0 ms (p99>20ms)"),
        ("p50>2ms", ""),
        ("max>49ms", "max of put is 50.0 ms"),
        ("mean>1s", ""),
        ("mean > 1500us", "mean of put is 2.5 ms"),
        ("errors>0", "1 of 51 failed"),
        ("errors>5%", ""),
        ("errors>1%", "1 of 51 failed"),
        ("rate<30/s", "25/s succeeded"),
        ("rate<25/s", ""),
    ],
)
def test_a_threshold_is_crossed_or_holds(text: str, words: str) -> None:
    said = crossed(parse_threshold(text), tally([1.5] * 49 + [50.0], failed=1), 2.0)
    assert said.startswith(words) if words else not said


@pytest.mark.parametrize("text", ["p99>20", "p98>1ms", "p99=1ms", "errors>1ms", "rate<5", "rate>5%", "p99>1%", "", "p99>20ms or so"])
def test_what_is_no_threshold_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="give for example"):
        parse_threshold(text)


QUICK = Commit(0.1, 0.1, 0.3, 0.2, 0.1)

# --- causes --------------------------------------------------------------------------------------------------------------


def evidence(
    *,
    asked: float = 1.5,
    late: float = 0.05,
    busy: float = 0.2,
    commit: Commit | None = QUICK,
    way: float = 0.05,
    sync: float = 0.3,
    acknowledged: float = 0.6,
    trip: float = 0.1,
    is_open: bool = True,
) -> Evidence:
    peers = tuple(Peer(Host(name, sync), 50, acknowledged, trip) for name in ("n2", "n3"))
    return Evidence(asked, late, busy, is_open, way, commit, Host("n1", sync), peers)


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (evidence(asked=22, commit=Commit(0.1, 0.1, 20, 0.5, 0.1), sync=20, acknowledged=20.5), DISK),
        (evidence(asked=22, commit=Commit(0.1, 0.1, 0.3, 20, 0.1), sync=20, acknowledged=20.5), DISK),  # the followers' disks alone
        (evidence(asked=22, commit=Commit(0.1, 0.1, 0.3, 20, 0.1), acknowledged=20.5, trip=20), NETWORK),
        (evidence(asked=22, commit=Commit(0.1, 0.1, 0.3, 20, 0.1), acknowledged=20.5), CPU),  # the followers are not run
        (evidence(asked=22), CPU),  # the leader is not run
        (evidence(asked=22, way=20), NETWORK),  # the cluster is far from here
        (evidence(asked=22, commit=Commit(18, 0.1, 0.3, 0.2, 0.1)), CPU),
        (evidence(asked=9, late=8), GENERATOR),
        (evidence(asked=9, late=8, is_open=False), GENERATOR),
        (evidence(asked=22, commit=Commit(0.1, 0.1, 20, 0.5, 0.1), sync=20, busy=0.97), GENERATOR),
        (evidence(asked=3, commit=None, trip=2.5), NETWORK),
        (evidence(asked=3, commit=None), CPU),
    ],
)
def test_each_cause_is_told_from_the_others(found: Evidence, cause: str) -> None:
    verdict = judge(found)
    assert (verdict.cause, verdict.is_clear) == (cause, True)


@pytest.mark.parametrize(
    ("found", "cause", "total"),
    [
        (evidence(asked=22, late=1)._replace(leader=None, commit=None, peers=()), CLUSTER, 23),
        (evidence(asked=22, late=20)._replace(leader=None, commit=None, peers=()), GENERATOR, 42),
        (evidence(asked=22, late=20, is_open=False)._replace(leader=None, commit=None, peers=()), GENERATOR, 22),
    ],
)
def test_of_members_that_do_not_say_more_only_the_generator_is_told_from_the_cluster(found: Evidence, cause: str, total: float) -> None:
    verdict = judge(found)
    assert (verdict.cause, set(verdict.milliseconds)) == (cause, {CLUSTER, GENERATOR})
    assert sum(verdict.milliseconds.values()) == pytest.approx(total)


def test_the_causes_are_all_of_the_time_and_none_is_negative() -> None:
    rng = random.Random(7)
    for _ in range(500):
        commit = Commit(*(rng.choice((0, rng.random() * 10)) for _ in range(5))) if rng.random() < 0.8 else None
        found = evidence(
            asked=rng.random() * 20,
            late=rng.random() * 3,
            commit=commit,
            way=rng.random() * 5,
            sync=rng.random() * 10,
            acknowledged=rng.random() * 10,
            trip=rng.random() * 10,
        )
        causes = divide(found)
        assert list(causes) == list(CAUSES)
        assert min(causes.values()) >= -1e-9
        assert sum(causes.values()) == pytest.approx(found.asked_ms + found.late_ms)


def test_peers_that_nobody_waited_for_say_nothing() -> None:
    slow = Peer(Host("n3", 500.0), 0, 0.0, 400.0)
    quick = Peer(Host("n2", 0.3), 80, 0.6, 0.1)
    found = evidence(asked=1.2)._replace(peers=(quick, slow))
    assert divide(found) == divide(found._replace(peers=(quick,)))


# --- workloads -----------------------------------------------------------------------------------------------------------

VALUE = b"v" * 8


class Cluster:
    """Answers as one does that nobody else writes to; `spoil` may change an answer."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.revision = 0
        self.values: dict[bytes, Item] = {}
        self.offset = 0
        self.asked: list[Request[Any]] = []
        self.spoil: Any = lambda answer: answer

    def do(self, name: str) -> int:
        """How many requests it took."""
        operation = self.place.begin(name)
        before = len(self.asked)
        answer: Any = None
        while True:
            try:
                request = operation.send(answer)
            except StopIteration:
                return len(self.asked) - before
            self.asked.append(request)
            answer = request.convert(self.spoil(self._answer(request.operation)))

    def _answer(self, operation: Any) -> Any:
        self.revision += 1
        revision = Revision(self.revision)
        kind = type(operation).__name__
        if isinstance(operation, Get):
            return Got(revision, self.values.get(operation.key))
        if isinstance(operation, Acquire):
            return LockGranted(revision, Token(1_000 + self.revision))
        if isinstance(operation, Put):
            self._put(operation, revision)
        if kind == "Transaction":
            self._put(operation.then[0], revision)
            return TransactionDone(revision, True, [])
        if kind == "TakeTasks":
            return TasksTaken(revision, [TakenTask(self.revision - 1, Token(self.revision), VALUE, 1, 0)], 1_000)
        if kind == "AppendRecords":
            self.offset += 1
            return RecordsAppended(revision, self.offset - 1, self.offset)
        answers = {
            "PutTask": TaskPut(revision, self.revision),
            "Release": LockReleased(revision, 0, Token(1)),
            "ConfigureJournal": JournalView(revision, JournalInfo(b"j", 1, 0, 0, 0)),
        }
        return answers.get(kind, Done(revision))

    def _put(self, put: Put, revision: Revision) -> None:
        assert put.bound
        self.values[put.key] = Item(put.key, put.value, revision, revision, 1, SessionId(1))


@pytest.mark.parametrize(
    ("name", "first", "later"), [("put", 1, 1), ("get", 2, 1), ("lock", 2, 2), ("cas", 1, 1), ("queue", 3, 3), ("journal", 2, 1)]
)
def test_each_operation_asks_what_it_says_over_and_over(name: str, first: int, later: int) -> None:
    cluster = Cluster(Place("_bench/x/0", VALUE))
    took = [cluster.do(name) for _ in range(3 * KEYS)]
    assert took[0] == first
    assert took[KEYS:] == [later] * 2 * KEYS


def test_every_workload_is_explained_and_the_mix_is_as_it_is_explained() -> None:
    assert set(ABOUT) == {*OPERATIONS, MIXED}
    assert operations("lock") == ("lock",)
    assert {name: MIX.count(name) for name in OPERATIONS} == {"put": 5, "get": 10, "lock": 1, "cas": 2, "queue": 1, "journal": 1}


SPOILT: dict[str, tuple[type, Callable[[Any], Any], str]] = {
    "put": (Done, lambda answer: Done(Revision(1)), "acknowledged at revision 1 after one at"),
    "get": (Got, lambda answer: Got(answer.revision, None), "a later read found nothing"),
    "lock": (LockGranted, lambda answer: LockGranted(answer.revision, Token(9)), "token 9 was granted after"),
    "cas": (TransactionDone, lambda answer: TransactionDone(answer.revision, False, []), "nobody else writes it"),
    "queue": (TasksTaken, lambda answer: TasksTaken(answer.revision, [], 1_000), "was put, and [] taken"),
    "journal": (RecordsAppended, lambda answer: RecordsAppended(answer.revision, 0, 1), "a record got offset 0 where"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_that_must_never_be_is_seen(name: str) -> None:
    kind, spoil, words = SPOILT[name]
    cluster = Cluster(Place("_bench/x/0", VALUE))
    for _ in range(KEYS):
        cluster.do(name)
    cluster.spoil = lambda answer: spoil(answer) if isinstance(answer, kind) else answer
    with pytest.raises(PromiseBroken) as broken:
        for _ in range(KEYS):
            cluster.do(name)
    assert words in broken.value.sentence


def keys_of(cluster: Cluster) -> set[bytes]:
    return {request.operation.key for request in cluster.asked if isinstance(request.operation, Get | Put)}


def test_after_a_failure_nothing_is_believed_of_the_names_of_before() -> None:
    cluster = Cluster(Place("_bench/x/0", VALUE))
    for name in OPERATIONS:
        cluster.do(name)
    before = keys_of(cluster)
    cluster.place.start_anew()
    cluster.values.clear()
    cluster.offset = 0
    cluster.asked.clear()
    for name in OPERATIONS:
        cluster.do(name)
    assert before
    assert not before & keys_of(cluster)
