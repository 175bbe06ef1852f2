"""What puts cost, ten asked at a time, counted by the members themselves: how often they sync, take a turn, send.

No clock decides here. On a slower machine more requests share a log entry, so the counts only fall; what members do by the clock
(ticks, heartbeats) is taken off by the time that passed.
"""

from typing import NamedTuple

from coordnode.services.commands import ClientCommand, Done, Put, encode
from coordnode.services.dialogue import WriteAsk
from tests.processes.members import Cluster, Connection, Process, result_of

CONNECTIONS = 10
ROUNDS = 300
PUTS = CONNECTIONS * ROUNDS
CLOCKED_PER_SECOND = 50  # turns and messages by the clock, of one member, at most
SPARE = 20  # looking at a member costs turns, too


class Counts(NamedTuple):
    entries: float
    syncs: float
    turns: float
    messages: float
    seconds: float


def counts_of(one: Process) -> Counts:
    names = ("commit_index", "sync_seconds_count", "turn_seconds_count", "peer_messages_sent_total", "up_seconds")
    return Counts(*[one.metric(f"coordnode_{name}") for name in names])


def burst(connections: list[Connection], number: int) -> None:
    """All of them ask, then all of them are answered."""
    for place, connection in enumerate(connections):
        put = Put(b"%d/%d" % (place, number), bytes(64))
        connection.send([WriteAsk(connection.number(), encode(ClientCommand(0, 0, 0, "", put)))])  # type: ignore[arg-type]
    for connection in connections:
        assert isinstance(result_of(connection.next_answer()), Done)


def test_what_puts_cost(cluster: Cluster) -> None:
    cluster.start()
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
        entries, syncs, turns, messages, seconds = (late - early for late, early in zip(after[number], before[number], strict=True))
        said = f"member {number}: {entries:.0f} entries, {syncs:.0f} syncs, {turns:.0f} turns, {messages:.0f} messages in {seconds:.1f} s"
        clocked = CLOCKED_PER_SECOND * seconds + SPARE
        assert entries <= PUTS / 4, f"what is asked at once does not share entries; {said}"
        assert syncs <= entries + SPARE, f"an entry is synced more than once; {said}"
        if one is leader:
            assert messages <= 2 * entries + clocked, f"an entry is sent to each follower more than once; {said}"
            assert turns <= 5 * entries + clocked, f"too many turns for an entry; {said}"
        else:
            assert messages <= entries + clocked, f"an entry is acknowledged more than once; {said}"
            assert turns <= 1.5 * entries + clocked, f"a follower's finished write costs a turn of its own; {said}"
