"""Events, metrics and leaving: a closed catalogue, clocks that never go back, and the best successor."""

import json
import random
import threading
from pathlib import Path
from typing import cast

import pytest

from coordnode.ids import Index, MemberId, Term
from coordnode.node.leaving import HAND_OVER_MS_MAX, LINGER_MS_MAX, Leaving, best_successor
from coordnode.node.metrics import Durations, Text
from coordnode.node.telemetry import (
    CATALOGUE,
    COMMON,
    PULSE,
    RECORDED_PER_SECOND_MAX,
    REPEATS_PER_SECOND_MAX,
    HybridClock,
    Telemetry,
    document,
    utc,
)
from coordnode.raft.entry import Config, HardState, SnapshotMeta
from coordnode.raft.state import FOLLOWER, LEADER
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.replica import Replica

LINE_S = 20.0


class Log:
    def __init__(self) -> None:
        self.wall_ms = 1_700_000_000_123
        self.lines: list[bytes] = []
        self.telemetry = Telemetry(self.lines.append, lambda: self.wall_ms)

    def events(self) -> list[dict[str, object]]:
        self.telemetry.close(LINE_S)
        return [json.loads(line) for line in self.lines]


def test_an_event_is_one_line_with_everything_needed_to_put_it_in_order() -> None:
    log = Log()
    log.telemetry.cluster, log.telemetry.member = 7, 1
    log.telemetry.place = lambda: (3, 40)
    log.telemetry.emit("peer_up", peer=2, build="0.1")
    assert log.events() == [
        {
            "at": "2023-11-14T22:13:20.123Z",
            "hlc": "1700000000123.0",
            "level": "info",
            "event": "peer_up",
            "cluster": 7,
            "member": 1,
            "term": 3,
            "index": 40,
            "peer": 2,
            "build": "0.1",
        }
    ]
    assert log.lines[0].endswith(b"}\n")


def test_the_catalogue_is_closed_and_says_what_each_event_means() -> None:
    log = Log()
    with pytest.raises(KeyError):
        log.telemetry.emit("surprise")
    with pytest.raises(AssertionError, match="peer_up is"):
        log.telemetry.emit("peer_up", peer=2)
    log.telemetry.close(LINE_S)
    for name, kind in CATALOGUE.items():
        assert kind.level in ("info", "warning", "error"), name
        assert len(kind.meaning) > 10, name
        assert not set(kind.fields) & set(COMMON), name


def test_the_catalogue_is_documented() -> None:
    """To write it anew: python -c 'from coordnode.node.telemetry import document; print(document(), end="")' > docs/events.md"""
    assert (Path(__file__).resolve().parents[3] / "docs/events.md").read_text() == document()


def test_the_hybrid_clock_never_goes_back() -> None:
    walls = iter([10, 11, 11, 5, 11, 12])
    clock = HybridClock(lambda: next(walls))
    assert [clock.now() for _ in range(6)] == [(10, "10.0"), (11, "11.0"), (11, "11.1"), (5, "11.2"), (11, "11.3"), (12, "12.0")]
    assert utc(0) == "1970-01-01T00:00:00.000Z"


def test_a_kind_that_repeats_without_end_is_counted_and_not_written() -> None:
    log = Log()
    for _ in range(REPEATS_PER_SECOND_MAX + 7):
        log.telemetry.emit("regained")
    log.telemetry.emit("peer_up", peer=1, build="")
    log.wall_ms += 1_000
    log.telemetry.emit("regained")
    events = log.events()
    assert [event["event"] for event in events].count("regained") == REPEATS_PER_SECOND_MAX + 1
    assert [event["count"] for event in events if event["event"] == "events_dropped"] == [7]


def test_the_flight_recorder_keeps_what_the_log_only_counts() -> None:
    log = Log()
    recorded: list[bytes] = []
    log.telemetry.record = recorded.append
    for _ in range(RECORDED_PER_SECOND_MAX + 7):
        log.telemetry.emit("regained")
    log.telemetry.emit("pulse", **dict.fromkeys(PULSE, 0))
    assert [event["event"] for event in log.events()] == ["regained"] * REPEATS_PER_SECOND_MAX
    assert [json.loads(line)["event"] for line in recorded] == [*["regained"] * RECORDED_PER_SECOND_MAX, "pulse"]
    assert log.telemetry.dropped == RECORDED_PER_SECOND_MAX + 7 - REPEATS_PER_SECOND_MAX  # a pulse that the log does not take is none


def test_a_flight_recorder_whose_disk_is_full_keeps_nothing_from_the_log() -> None:
    log = Log()

    def full(line: bytes) -> None:
        raise OSError(28, "No space left on device")

    log.telemetry.record = full
    log.telemetry.emit("regained")
    assert [event["event"] for event in log.events()] == ["regained"]


def test_a_reader_that_hangs_does_not_stop_the_member() -> None:
    hang = threading.Event()
    telemetry = Telemetry(lambda line: hang.wait(LINE_S), lambda: 0)
    for number in range(100):
        telemetry.emit("peer_up", peer=number, build="")
    hang.set()
    telemetry.close(LINE_S)


def test_metrics_are_prometheus_text() -> None:
    durations = Durations()
    for ns in (50_000, 100_000, 100_001, 3_000_000, 60_000_000_000):
        durations.observe(ns)
    text = Text()
    text.durations("coordnode_x_seconds", "a thing", durations)
    text.labelled("coordnode_y_total", "counter", "others", "why", [('a"b\\\n', 2)])
    lines = text.encode().decode().splitlines()
    assert lines[:2] == ["# HELP coordnode_x_seconds a thing", "# TYPE coordnode_x_seconds histogram"]
    assert 'coordnode_x_seconds_bucket{le="0.0001"} 2' in lines
    assert 'coordnode_x_seconds_bucket{le="0.0002"} 3' in lines
    assert 'coordnode_x_seconds_bucket{le="10"} 4' in lines
    assert 'coordnode_x_seconds_bucket{le="+Inf"} 5' in lines
    assert "coordnode_x_seconds_count 5" in lines
    assert 'coordnode_y_total{why="a\\"b\\\\\\n"} 2' in lines


# --- leaving -------------------------------------------------------------------------------------------------------


def leading(voters: tuple[int, ...] = (1, 2, 3), learners: tuple[int, ...] = ()) -> Replica:
    config = Config(cast("tuple[MemberId, ...]", voters), (), cast("tuple[MemberId, ...]", learners))
    meta = SnapshotMeta(Index(0), Term(0), MemberId(0), 0, config, Index(0))
    replica = Replica(
        member=MemberId(1),
        config=ReplicaConfig(),
        hard_state=HardState(Term(3), MemberId(1), 1, False),
        snapshot=meta,
        entries=[],
        commit_hint=Index(0),
        rng=random.Random(1),
        supported_level=1,
    )
    raft = replica.raft
    raft.role = LEADER
    raft.leader = MemberId(1)
    raft.match_progress_to_config()
    return replica


class Exit:
    def __init__(self, replica: Replica) -> None:
        self.log = Log()
        self.now_ms = 1_000
        self.quiet = False
        self.replica = replica
        self.leaving = Leaving(replica, self.log.telemetry, lambda: self.now_ms, lambda: self.quiet)

    def told(self) -> list[object]:
        return [event["event"] for event in self.log.events()]


def test_the_successor_is_a_voter_that_was_heard_and_has_most() -> None:
    replica = leading((1, 2, 3, 4), (5,))
    progress = replica.raft.progress
    for member, match, active in ((2, 9, False), (3, 7, True), (4, 8, True), (5, 9, True)):
        progress[MemberId(member)].match = Index(match)
        progress[MemberId(member)].active = active
    assert best_successor(replica, []) == 4
    assert best_successor(replica, [MemberId(4)]) == 3
    assert best_successor(replica, [MemberId(4), MemberId(3)]) == 2
    assert best_successor(leading((1,)), []) == 0


def test_the_successor_is_none_that_is_silent_however_much_of_the_log_it_had_and_one_that_has_room() -> None:
    replica = leading((1, 2, 3, 4))
    progress = replica.raft.progress
    for peer in progress.values():
        peer.become_replicate()
        peer.match = Index(9)
    progress[MemberId(2)].active = False
    assert best_successor(replica, []) == 3
    progress[MemberId(3)].active, progress[MemberId(3)].was_active = False, True  # right after the leader asked itself who is there
    assert best_successor(replica, []) == 3
    progress[MemberId(3)].space_ok = False
    progress[MemberId(4)].match = Index(8)
    assert best_successor(replica, []) == 4
    assert best_successor(replica, [MemberId(4)]) == 3


def test_a_leader_hands_over_then_waits_until_nothing_is_under_way() -> None:
    leaver = Exit(leading())
    assert not leaver.leaving.is_over()
    raft = leaver.replica.raft
    assert raft.transferee in (2, 3)
    target = raft.transferee
    leaver.now_ms += 40
    assert not leaver.leaving.is_over()
    raft.role, raft.leader = FOLLOWER, MemberId(0)
    leaver.quiet = True
    assert not leaver.leaving.is_over()  # nobody leads yet: clients could not be told where to go
    raft.leader = target
    leaver.quiet = False
    assert not leaver.leaving.is_over()
    leaver.quiet = True
    assert leaver.leaving.is_over()
    (event,) = leaver.log.events()
    assert (event["event"], event["target"], event["took_ms"]) == ("handed_over", target, 40)


def test_another_successor_is_tried_when_the_first_does_not_take_over() -> None:
    leaver = Exit(leading())
    leaver.leaving.is_over()
    raft = leaver.replica.raft
    first = raft.transferee
    raft.transferee = MemberId(0)  # raft gave up on it
    assert not leaver.leaving.is_over()
    assert raft.transferee not in (0, first)


def test_nobody_waits_for_ever() -> None:
    leaver = Exit(leading())
    assert not leaver.leaving.is_over()
    leaver.now_ms += HAND_OVER_MS_MAX
    assert not leaver.leaving.is_over()
    leaver.now_ms += LINGER_MS_MAX
    assert leaver.leaving.is_over()
    assert leaver.told() == ["not_handed_over"]


def test_a_follower_and_a_sole_voter_go_as_soon_as_they_are_quiet() -> None:
    for replica in (leading(), leading((1,))):
        if len(replica.raft.config.voters) > 1:
            replica.raft.role = FOLLOWER
        leaver = Exit(replica)
        assert not leaver.leaving.is_over()
        leaver.quiet = True
        assert leaver.leaving.is_over()
        assert leaver.told() == []
