"""Cluster time: it goes on with the log, stands still without a leader, and what falls due reaches the log without traffic."""

from coordnode.raft.entry import BATCH
from coordnode.services.commands import Put, Wake, decode_batch
from tests.unit.replica.trio import MEMBERS, TICK_MS, Trio


def cluster_ms(trio: Trio) -> list[int]:
    machines = [trio.replicas[member].machine for member in MEMBERS]
    return [machine.cluster_ms for machine in machines if machine is not None]


def test_it_stands_still_while_there_is_no_leader() -> None:
    trio = Trio()
    trio.tick(20)
    trio.write(Put(b"k", b"1"))
    trio.tick(4)
    before = cluster_ms(trio)
    assert before[0] > 0
    assert len({*before}) == 1
    trio.cut = list(MEMBERS)
    trio.tick(400)
    assert cluster_ms(trio) == before
    trio.cut = []
    trio.leader()
    serves_since_ms = trio.now_ms - TICK_MS
    trio.write(Put(b"k", b"2"))
    trio.tick(4)
    after = cluster_ms(trio)
    assert len({*after}) == 1
    assert before[0] <= after[0] <= before[0] + trio.now_ms - serves_since_ms


def test_what_falls_due_without_traffic_is_woken_through_the_log() -> None:
    trio = Trio()
    leader = trio.leader()
    trio.write(Put(b"k", b"1"))
    replica = trio.replicas[leader]
    machine = replica.machine
    assert machine is not None
    due_ms = machine.cluster_ms + 10 * TICK_MS
    machine.due = lambda: due_ms if machine.cluster_ms < due_ms else None  # type: ignore[method-assign]
    last = replica.raft.log.last_index()
    trio.tick(5)
    assert replica.raft.log.last_index() == last, "nothing is due yet"
    trio.tick(20)
    entries = [entry for entry in replica.raft.log.entries if entry.index > last]
    assert [entry.kind for entry in entries] == [BATCH]
    assert [type(command.operation) for command in decode_batch(entries[0].data).commands] == [Wake]
    assert all(shown >= due_ms for shown in cluster_ms(trio))
