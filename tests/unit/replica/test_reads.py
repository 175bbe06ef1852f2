"""When what waits may be answered: after a round that began later than the question, and when enough is applied."""

from coordnode.ids import Index, SessionId
from coordnode.replica.pending import KeepAlive, Pending, Read
from coordnode.services.commands import Get, Put, encode
from coordnode.services.dialogue import ReadAsk, Reply, WatchAsk
from tests.unit.replica.trio import MEMBERS, Trio


def test_a_round_that_was_just_confirmed_serves_no_later_read() -> None:
    """No lease: not even in the same millisecond."""
    trio = Trio()
    trio.write(Put(b"k", b"v"))
    leader = trio.leader()
    first = trio.ask(leader, ReadAsk, encode(Get(b"k")))
    trio.settle()
    assert isinstance(trio.answer(first), Reply)
    trio.cut = [leader]
    second = trio.ask(leader, ReadAsk, encode(Get(b"k")))
    trio.settle()
    assert (1, second) not in trio.answers


def test_a_confirmed_read_waits_until_its_index_is_applied() -> None:
    pending = Pending()
    waiting = Read((1, 1), Get(b"k"), 0)
    pending.confirm(pending.new_read(waiting), Index(5))
    assert pending.next_read(Index(4)) is None
    assert pending.next_read(Index(5)) is waiting
    assert not pending.is_waiting()


def test_a_keep_alive_also_waits_for_what_was_withdrawn() -> None:
    pending = Pending()
    waiting = KeepAlive((1, 1), [SessionId(1)], Index(9))
    pending.confirm(pending.new_read(waiting), Index(5))
    assert pending.take_served(Index(8)) == []
    assert pending.take_served(Index(9)) == [waiting]


def test_a_watch_leaves_no_trace_in_log_state_or_snapshot() -> None:
    trio = Trio()
    trio.write(Put(b"k", b"v"))
    trio.tick(4)
    leader = trio.leader()

    def traces() -> list[tuple[int, bytes, bytes]]:
        machines = [trio.replicas[member].machine for member in MEMBERS]
        return [(machine.digest, machine.dump(), b"".join(machine.snapshot())) for machine in machines if machine is not None]

    before, last = traces(), trio.replicas[leader].raft.log.last_index()
    request = trio.ask(leader, WatchAsk, b"", b"", 0)
    trio.settle()
    assert (1, request) in trio.answers
    assert traces() == before
    assert len(before) == 3
    assert trio.replicas[leader].raft.log.last_index() == last
