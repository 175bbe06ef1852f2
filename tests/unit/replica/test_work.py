"""No turn carries much more work than others, and what waits is not lost."""

from collections.abc import Sequence as SequenceOf

from coordnode.limits import EXPIRE_SESSIONS_MAX, EXPIRE_SESSIONS_PER_ENTRY, EXPIRE_SESSIONS_PER_TICK
from coordnode.raft.entry import BATCH
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.effects import Effects
from coordnode.services.commands import Acquire, Command, Expire, OpenSession, Operation, Put, decode_batch, encode
from coordnode.services.dialogue import KeepAliveAsk, KeepAliveReply, Reply, WriteAsk
from coordnode.services.work import work_of
from tests.unit.replica.trio import MEMBERS, TICK_MS, Trio

TTL_MS = 4_000
ENTRY_WORK_MAX = ReplicaConfig().entry_work_max


def asked(trio: Trio, operations: SequenceOf[Operation]) -> tuple[range, Effects]:
    """All at one turn of the leader."""
    numbers = range(trio.request + 1, trio.request + 1 + len(operations))
    trio.request = numbers[-1]
    asks = [(1, WriteAsk(number, encode(Command(0, 0, 0, "", operation)))) for number, operation in zip(numbers, operations, strict=True)]
    return numbers, trio.turn(trio.leader(), asks=list(asks))


def opening(number: int, *, lock: bool = False) -> OpenSession:
    return OpenSession(b"nonce %d" % number, TTL_MS, first=Acquire(b"lock %d" % number) if lock else None)


def commands_of(effects: Effects) -> list[list[Operation]]:
    assert effects.write is not None
    return [[command.operation for command in decode_batch(entry.data).commands] for entry in effects.write.entries if entry.kind == BATCH]


def test_an_entry_has_so_many_puts_and_fewer_of_what_takes_longer() -> None:
    trio = Trio(level=3)
    _, effects = asked(trio, [Put(b"k%d" % number, b"") for number in range(ENTRY_WORK_MAX + 1)])
    assert [len(entry) for entry in commands_of(effects)] == [ENTRY_WORK_MAX, 1]
    trio.settle()
    _, effects = asked(trio, [opening(number, lock=True) for number in range(200)])
    entries = commands_of(effects)
    assert sum(len(entry) for entry in entries) == 200
    assert len(entries) > 2
    for entry in entries:
        assert sum(work_of(operation) for operation in entry) <= ENTRY_WORK_MAX


def test_a_turn_applies_so_much_and_the_next_ones_the_rest() -> None:
    trio = Trio(level=3)
    numbers, _ = asked(trio, [opening(number, lock=True) for number in range(1_000)])
    for _ in range(3):
        for member in MEMBERS:
            trio.turn(member)
    leader = trio.replicas[trio.leader()]
    turns = 0
    while leader.applied < leader.raft.committed:
        machine = leader.machine
        assert machine is not None
        before = machine.work
        effects = trio.turn(leader.member)
        turns += 1
        assert machine.work - before <= leader.config.apply_work_per_turn + ENTRY_WORK_MAX
        assert effects.again == (leader.applied < leader.raft.committed), "the loop comes back at once while something waits"
    assert turns > 2
    trio.tick(4)
    assert all(isinstance(trio.answer(number), Reply) for number in numbers)
    digests = {replica.machine.digest for replica in trio.replicas.values() if replica.machine is not None}
    assert len(digests) == 1


def test_sessions_that_expire_together_are_ended_by_entries_of_a_few_and_a_few_entries_at_each_tick() -> None:
    trio = Trio()
    leader = trio.leader()
    asked(trio, [opening(number) for number in range(EXPIRE_SESSIONS_PER_TICK + 3 * EXPIRE_SESSIONS_PER_ENTRY // 2)])
    trio.settle(12)
    sizes: list[list[int]] = []
    for _ in range(2 * TTL_MS // TICK_MS):
        trio.now_ms += TICK_MS
        for member in MEMBERS:
            effects = trio.turn(member, ticked=True)
            if member == leader and effects.write is not None:
                sizes.append([len(one.sessions) for entry in commands_of(effects) for one in entry if isinstance(one, Expire)])
        trio.settle(4)
    full = EXPIRE_SESSIONS_PER_ENTRY
    assert [size for size in sizes if size] == [[full] * (EXPIRE_SESSIONS_PER_TICK // full), [full, full // 2]]
    machine = trio.replicas[leader].machine
    assert machine is not None
    assert not list(machine.sessions())


def test_a_keep_alive_for_more_sessions_than_one_entry_may_name_withdraws_all_their_checkpoints() -> None:
    """Apply refuses a Withdraw of more: the leader would grant what no other member knows of."""
    trio = Trio()
    leader = trio.leader()
    count = EXPIRE_SESSIONS_MAX + 1
    asked(trio, [opening(number) for number in range(count)])
    trio.settle(20)
    machine = trio.replicas[leader].machine
    assert machine is not None
    sessions = [session for session, _ in machine.sessions()]
    assert len(sessions) == count
    while any(machine.remaining_ms(session) is None for session in sessions):
        trio.tick()
    request = trio.ask(leader, KeepAliveAsk, sessions)
    trio.settle(20)
    answer = trio.answer(request)
    assert isinstance(answer, KeepAliveReply)
    assert [session for session, _ in answer.alive] == sessions
    assert [session for session in sessions if machine.remaining_ms(session) is not None] == []
