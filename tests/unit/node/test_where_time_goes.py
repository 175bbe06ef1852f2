"""What a leader measures: the parts of a commit are all of it, and a lost answer shifts no round trip for good."""

import json
from collections.abc import Sequence

from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.node.commits import PARTS, Commits
from coordnode.node.lanes import Committed
from coordnode.node.metrics import Durations, Text
from coordnode.node.round_trips import UNANSWERED_MAX, RoundTrips
from coordnode.node.telemetry import Telemetry
from coordnode.raft.entry import Entry
from coordnode.raft.messages import AppendReply, Heartbeat, HeartbeatReply, Message
from coordnode.raft.ready import Write
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events

MS = 1_000_000
ONE, TWO, THREE = MemberId(1), MemberId(2), MemberId(3)


def acknowledged(member: MemberId, match: int) -> AppendReply:
    return AppendReply(member, ONE, 1, Term(1), True, Index(match), Index(0), Term(0), 0, True, 1)


def write(index: int) -> Write:
    return Write(WriteId(index), entries=[Entry(Term(1), Index(index), 0, b"data")], last_term=Term(1), last_index=Index(index))


class Leader:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.telemetry = Telemetry(self.lines.append, lambda: 0)
        self.commits = Commits(self.telemetry, slow_commit_ms=100)

    def turn(
        self,
        began_ms: float,
        ended_ms: float,
        *,
        write: Write | None = None,
        asked_ms: float = 0,
        applied: int = 0,
        messages: Sequence[Message] = (),
    ) -> None:
        events, effects = Events(), Effects()
        events.messages.extend(messages)
        effects.write = write
        began_ns, ended_ns = round(began_ms * MS), round(ended_ms * MS)
        self.commits.turned(events, effects, round(asked_ms * MS), began_ns, ended_ns, applied)

    def durable(self, index: int, began_ms: float, ended_ms: float) -> None:
        self.commits.on_committed(Committed([write(index)], 0, round(began_ms * MS), round(ended_ms * MS)))

    def parts_ms(self) -> list[float]:
        return [durations.sum_ns / MS for durations in self.commits.parts.values()]

    def total_ms(self) -> float:
        return self.commits.total.sum_ns / MS


def test_the_parts_of_a_commit_are_all_of_it() -> None:
    leader = Leader()
    leader.turn(10, 11, write=write(1), asked_ms=8)
    leader.durable(1, 12, 15)
    leader.turn(16, 16, messages=[acknowledged(TWO, 1)])
    leader.turn(19, 24, applied=1)
    assert list(PARTS) == ["queue", "log_wait", "log_sync", "replication", "apply"]
    assert leader.parts_ms() == [2, 2, 3, 4, 5]
    assert leader.total_ms() == sum(leader.parts_ms()) == 16
    assert {member: durations.sum_ns / MS for member, durations in leader.commits.acknowledged.items()} == {TWO: 6}


def test_a_commit_that_did_not_wait_for_our_own_disk_waited_for_the_others() -> None:
    leader = Leader()
    leader.turn(10, 11, write=write(1), asked_ms=10)
    leader.turn(17, 18, applied=1, messages=[acknowledged(TWO, 1), acknowledged(THREE, 1)])
    leader.durable(1, 12, 90)
    assert leader.parts_ms() == [0, 0, 0, 7, 1]
    assert leader.total_ms() == 8


def test_one_acknowledgement_is_of_every_entry_up_to_it_and_counted_once() -> None:
    leader = Leader()
    leader.turn(10, 11, write=write(1), asked_ms=10)
    leader.turn(12, 13, write=write(2), asked_ms=12)
    leader.turn(20, 20, messages=[acknowledged(TWO, 2)])
    leader.turn(21, 21, messages=[acknowledged(TWO, 2), acknowledged(THREE, 1)])
    found = leader.commits.acknowledged
    assert (found[TWO].count, found[TWO].sum_ns / MS) == (2, 10 + 8)
    assert (found[THREE].count, found[THREE].sum_ns / MS) == (1, 11)


def test_what_a_leader_that_was_replaced_had_under_way_is_not_counted() -> None:
    leader = Leader()
    leader.turn(10, 11, write=write(1), asked_ms=10)
    leader.commits.clear()
    leader.turn(90, 91, applied=1)
    assert leader.commits.total.count == 0


def test_a_slow_commit_is_told_with_its_parts() -> None:
    leader = Leader()
    leader.turn(10, 11, write=write(1), asked_ms=5)
    leader.durable(1, 12, 40)
    leader.turn(50, 50, messages=[acknowledged(TWO, 1)])
    leader.turn(200, 203, applied=1)
    leader.telemetry.close(20)
    (event,) = (json.loads(line) for line in leader.lines)
    told = {name: event[name] for name in ("total_ms", "queue_ms", "wait_ms", "fsync_ms", "peers_ms", "apply_ms")}
    assert told == {"total_ms": 198, "queue_ms": 5, "wait_ms": 2, "fsync_ms": 28, "peers_ms": {"2": 40}, "apply_ms": 3}


class Ways:
    def __init__(self) -> None:
        self.trips = RoundTrips()

    def turn(self, now_ms: float, *, sends: Sequence[int] = (), hears: Sequence[int] = ()) -> None:
        """To and from member 2; numbers are rounds."""
        events, effects = Events(), Effects()
        events.messages.extend(HeartbeatReply(TWO, ONE, 1, Term(1), number, True, 1) for number in hears)
        effects.send_now = [Heartbeat(ONE, TWO, 1, Term(1), Index(0), number, True) for number in sends]
        self.trips.turned(events, effects, round(now_ms * MS))

    def found_ms(self) -> tuple[int, float]:
        durations = self.trips.by_peer.get(TWO, Durations())
        return durations.count, durations.sum_ns / MS


def test_each_answer_is_to_the_oldest_heartbeat_of_its_round() -> None:
    ways = Ways()
    ways.turn(0, sends=[1])
    ways.turn(3, sends=[2, 2])
    ways.turn(7, hears=[1])
    assert ways.found_ms() == (1, 7)
    ways.turn(8, hears=[2])
    ways.turn(9, hears=[2, 2])
    assert ways.found_ms() == (3, 7 + 5 + 6)


def test_an_answer_that_was_lost_shifts_nothing_once_another_round_began() -> None:
    ways = Ways()
    ways.turn(0, sends=[1])
    ways.turn(80, sends=[1])
    ways.turn(160, sends=[2])
    ways.turn(161, hears=[2])
    assert ways.found_ms() == (1, 1)
    ways.turn(170, hears=[1])  # late, over a connection of before
    assert ways.found_ms() == (1, 1)


def test_what_was_sent_over_a_connection_that_ended_is_not_waited_for() -> None:
    ways = Ways()
    ways.turn(0, sends=[1])
    ways.trips.on_connection(TWO)
    ways.turn(500, sends=[1])
    ways.turn(502, hears=[1])
    assert ways.found_ms() == (1, 2)


def test_a_member_that_never_answers_fills_no_memory() -> None:
    ways = Ways()
    for number in range(3 * UNANSWERED_MAX):
        ways.turn(number, sends=[7])
    ways.turn(4 * UNANSWERED_MAX, hears=[7] * (UNANSWERED_MAX + 1))
    assert ways.found_ms()[0] == UNANSWERED_MAX


def test_histograms_by_peer_are_labelled() -> None:
    durations = Durations()
    durations.observe(3 * MS)
    text = Text()
    text.durations_by_peer("coordnode_x_seconds", "a thing", {THREE: durations, TWO: Durations()})
    lines = text.encode().decode().splitlines()
    assert lines[2] == 'coordnode_x_seconds_bucket{peer="2",le="0.0001"} 0'
    assert 'coordnode_x_seconds_bucket{peer="3",le="0.005"} 1' in lines
    assert 'coordnode_x_seconds_sum{peer="3"} 0.003000000' in lines
    assert 'coordnode_x_seconds_count{peer="3"} 1' in lines
