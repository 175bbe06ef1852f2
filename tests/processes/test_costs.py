"""What puts cost, ten asked at a time: how often members sync, take a turn and send, by their own count; how often they read and write,
sockets and files alike, and how many bytes, by the kernel's.

No clock decides here. On a slower machine more requests share a log entry, so the counts only fall; what members do by the clock
(ticks, heartbeats) is taken off by the time that passed.
"""

from pathlib import Path
from typing import NamedTuple

from coordnode.services.commands import ClientCommand, Done, Put, encode
from coordnode.services.dialogue import WriteAsk
from tests.processes.members import LOYAL, Cluster, Connection, Process, result_of

CONNECTIONS = 10
ROUNDS = 300
PUTS = CONNECTIONS * ROUNDS
CLOCKED_PER_SECOND = 50  # turns and messages by the clock, of one member, at most
SPARE = 20  # looking at a member costs turns, too
CLOCKED_BYTES = 64  # of a message by the clock
LOOKS_BYTES = 60_000  # of what is shown to who looks
PUT_BYTES = 85  # of a put, on its way to a member or in the log
ENTRY_BYTES = 150  # what else there is to an entry there: frame, message, batch, record
ANSWER_BYTES = 50


class Counts(NamedTuple):
    entries: float
    syncs: float
    turns: float
    messages: float
    seconds: float
    reads: float  # calls of the system
    writes: float
    written_bytes: float


def counts_of(one: Process) -> Counts:
    names = ("commit_index", "sync_seconds_count", "turn_seconds_count", "peer_messages_sent_total", "up_seconds")
    assert one.running is not None
    calls = dict(line.split(": ") for line in Path(f"/proc/{one.running.pid}/io").read_text().splitlines())
    return Counts(*one.metrics(*[f"coordnode_{name}" for name in names]), *[float(calls[name]) for name in ("syscr", "syscw", "wchar")])


def burst(connections: list[Connection], number: int) -> None:
    """All of them ask, then all of them are answered."""
    for place, connection in enumerate(connections):
        put = Put(b"%d/%d" % (place, number), bytes(64))
        connection.send([WriteAsk(connection.number(), encode(ClientCommand(0, 0, 0, "", put)))])  # type: ignore[arg-type]
    for connection in connections:
        assert isinstance(result_of(connection.next_answer()), Done)


def test_what_puts_cost(cluster: Cluster) -> None:
    cluster.start(*LOYAL)
    cluster.wait_ready()
    leader = cluster.leader()
    connections = [Connection(leader.address) for _ in range(CONNECTIONS)]
    try:
        burst(connections, ROUNDS)  # everything is connected and warm
        cluster.wait_equal()
        before = {number: counts_of(one) for number, one in cluster.members.items()}
        for number in range(ROUNDS):
            burst(connections, number)
        cluster.wait_equal()
        after = {number: counts_of(one) for number, one in cluster.members.items()}
    finally:
        for connection in connections:
            connection.close()
    assert cluster.leader() is leader, "an election in between: the counts are of two leaders"
    for number, one in cluster.members.items():
        spent = Counts(*[late - early for late, early in zip(after[number], before[number], strict=True)])
        said = f"member {number}: {spent}"
        entries = spent.entries
        clocked = CLOCKED_PER_SECOND * spent.seconds + SPARE
        assert entries <= PUTS / 4, f"what is asked at once does not share entries; {said}"
        assert spent.syncs <= entries + SPARE, f"an entry is synced more than once; {said}"
        if one is leader:
            others, asked = 2, PUTS
            assert spent.messages <= others * entries + clocked, f"an entry is sent to each follower more than once; {said}"
            assert spent.turns <= 5 * entries + clocked, f"too many turns for an entry; {said}"
        else:
            others, asked = 1, 0
            assert spent.messages <= entries + clocked, f"an entry is acknowledged more than once; {said}"
            assert spent.turns <= 1.5 * entries + clocked, f"a follower's finished write costs a turn of its own; {said}"
        # To and from each of the others once, the log once, and a wake-up by the log's thread where the disk is slow.
        assert spent.reads <= asked + (others + 1) * entries + clocked, f"more is read than what arrives; {said}"
        assert spent.writes <= asked + (others + 2) * entries + clocked, f"more is written than what leaves, and the log; {said}"
        copies = others + 1 if one is leader else 1
        least = asked * ANSWER_BYTES + copies * (PUTS * PUT_BYTES + entries * ENTRY_BYTES)
        assert spent.written_bytes <= least + clocked * CLOCKED_BYTES + LOOKS_BYTES, f"what was put is written more often than once; {said}"
