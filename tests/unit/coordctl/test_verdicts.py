"""What is slow, and why: from figures of the last minutes, with those that are usual beside them."""

from collections.abc import Mapping
from typing import Any

import pytest

from coordctl.facts import verdicts
from coordctl.facts.judgement import OK, WARNING
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.metrics import Metrics, parse_metrics
from coordctl.facts.verdicts import Sample
from coordnode.node import commits

BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
Timed = Mapping[str, tuple[int, float]]  # histogram → how many, each so many milliseconds


def metrics(times: Timed, more: Mapping[str, float] | None = None, before: Timed | None = None) -> Metrics:
    """Text as a member has it; `before`: what it had counted earlier, which stays counted."""
    lines = []
    for name in sorted({*times, *(before or {})}):
        base, _, peer = name.partition("/")
        label = f'peer="{peer}",' if peer else ""
        parts = [part[name] for part in (times, before or {}) if name in part]
        for bound in (*BOUNDS, "+Inf"):
            within = sum(count for count, ms in parts if bound == "+Inf" or ms / 1000 <= float(bound))
            lines.append(f'{base}_bucket{{{label}le="{bound}"}} {within}')
        peer_label = f'{{peer="{peer}"}}' if peer else ""
        lines.append(f"{base}_sum{peer_label} {sum(count * ms / 1000 for count, ms in parts)}")
        lines.append(f"{base}_count{peer_label} {sum(count for count, _ in parts)}")
    lines += [f"{name} {number}" for name, number in (more or {}).items()]
    return parse_metrics(("\n".join(lines) + "\n").encode())


USUAL: dict[str, tuple[int, float]] = {
    "coordnode_sync_seconds": (5_000, 0.7),
    "coordnode_commit_seconds": (5_000, 1.5),
    "coordnode_commit_log_sync_seconds": (5_000, 0.7),
    "coordnode_commit_replication_seconds": (5_000, 0.7),
    "coordnode_peer_round_trip_seconds/2": (500, 0.7),
    "coordnode_peer_round_trip_seconds/3": (500, 0.7),
}


class Story:
    """Three members, of which n1 leads, and what came in the last minute."""

    def __init__(self) -> None:
        self.late: dict[int, dict[str, tuple[int, float]]] = {member: {} for member in (1, 2, 3)}
        self.numbers: dict[int, dict[str, float]] = {member: {} for member in (1, 2, 3)}
        self.free: dict[int, int] = dict.fromkeys((1, 2, 3), 1 << 40)
        self.walls: dict[int, int] = dict.fromkeys((1, 2, 3), 1_000_000)
        self.seconds = 60.0

    def told(self) -> list[tuple[int, str]]:
        facts = ClusterFacts([self._member(member) for member in (1, 2, 3)])
        since = {}
        for one in facts.answered:
            sample = Sample(1_000.0, 7, 1 << 40, metrics(USUAL if one.member == 1 else {"coordnode_sync_seconds": (5_000, 0.7)}))
            recent = verdicts.recent(one, sample, 1_000.0 + self.seconds)
            if recent is not None:
                since[one.member] = recent
        return [(found.level, found.sentence) for found in verdicts.of(facts, since, error_ms=20)]

    def _member(self, member: int) -> MemberFacts:
        before = USUAL if member == 1 else {"coordnode_sync_seconds": (5_000, 0.7)}
        status: dict[str, Any] = {
            **{"name": f"n{member}", "member": member, "pid": 7, "term": 3, "role": "leader" if member == 1 else "follower"},
            **{"cluster": 77, "cluster_name": "local", "applied": 9, "clock": {"wall_ms": self.walls[member]}},
            "disk": {"free_bytes": self.free[member]},
        }
        found = metrics(self.late[member], self.numbers[member], before)
        return MemberFacts(f"a:{member}", status, "", f"n{member}", member, found)


def test_a_quiet_minute_says_nothing() -> None:
    story = Story()
    assert story.told() == []
    story.late[1] = {"coordnode_commit_seconds": (19, 900.0)}  # a few are no rule
    assert story.told() == []


def test_the_disk_is_told_from_the_network() -> None:
    story = Story()
    story.late[1] = {
        "coordnode_commit_seconds": (300, 90.0),
        "coordnode_commit_log_sync_seconds": (300, 1.0),
        "coordnode_commit_replication_seconds": (300, 80.0),
        "coordnode_peer_round_trip_seconds/2": (60, 0.8),
        "coordnode_peer_round_trip_seconds/3": (60, 0.8),
    }
    story.late[3] = {"coordnode_sync_seconds": (300, 75.0)}
    told = story.told()
    assert [level for level, _ in told] == [WARNING, WARNING]
    assert "it is the disk of n3 (fsync 75 ms), not the network (round trips" in told[0][1]
    assert told[1][1].startswith("n3 fsync 75 ms, ")
    assert told[1][1].endswith("x its usual, in the last 60 s")

    story.late[1] |= {"coordnode_peer_round_trip_seconds/2": (60, 80.0)}
    story.late[3] = {"coordnode_sync_seconds": (300, 0.7)}
    [(level, sentence)] = story.told()
    assert (level, "it is the network: round trips to n2 take 75 ms" in sentence) == (WARNING, True), sentence


def test_parts_of_a_commit_are_called_as_members_call_them() -> None:
    assert list(verdicts.PARTS) == list(commits.PARTS)


def test_a_disk_that_is_busy_all_the_time_is_slow_however_few_syncs_it_came_to() -> None:
    story = Story()
    story.late[2] = {"coordnode_sync_seconds": (2, 20_000.0)}
    [(level, sentence)] = story.told()
    assert (level, sentence.startswith("n2 fsync 20000 ms")) == (WARNING, True), sentence
    story.late[2] = {"coordnode_sync_seconds": (2, 2_000.0)}  # two stalls are no slow disk
    assert story.told() == []


def test_a_leaders_own_disk_is_told() -> None:
    story = Story()
    story.late[1] = {
        name: (300, 90.0) for name in ("coordnode_commit_seconds", "coordnode_commit_log_sync_seconds", "coordnode_sync_seconds")
    }
    sentences = [sentence for _, sentence in story.told()]
    assert "most of it is the leader's disk" in sentences[0]
    assert sentences[1].startswith("n1 fsync")


@pytest.mark.parametrize(
    ("numbers", "level", "words"),
    [
        ({"coordnode_elections_won_total": 6}, WARNING, "6 elections in the last 60 s"),
        ({"coordnode_asks_too_late_total": 40, "coordnode_client_asks_total": 900}, WARNING, "40 of 900 asks waited at n1 longer"),
        (
            {"coordnode_client_pauses_total": 12, "coordnode_client_pending_bytes": 3 << 20},
            OK,
            "work piles up at n1: clients were paused 12",
        ),
        ({"coordnode_loop_cpu_wait_seconds_total": 30}, OK, "others had the CPU while n1 could have run, 50% of the time"),
    ],
)
def test_each_is_told_with_its_figures(numbers: dict[str, float], level: int, words: str) -> None:
    story = Story()
    story.numbers[1] = numbers
    [(found, sentence)] = story.told()
    assert (found, words in sentence) == (level, True), sentence


def test_a_disk_that_fills_and_a_clock_that_is_off() -> None:
    story = Story()
    story.seconds = 120.0
    story.free[2] = (1 << 40) - (60 << 30)
    story.walls[3] += 3_000
    assert [sentence for _, sentence in story.told()] == [
        "n2's disk is full in 32 min, if it goes on like the last 120 s",
        "n3's clock is +3.0 s from the others'",
    ]
    story.walls[3] = story.walls[1] + 510  # within what asking takes
    assert len(story.told()) == 1


def test_another_process_and_too_short_a_time_say_nothing() -> None:
    story = Story()
    story.numbers[1] = {"coordnode_elections_won_total": 6}
    story.seconds = 5.0
    assert story.told() == []
