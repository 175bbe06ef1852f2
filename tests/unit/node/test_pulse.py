"""Each second is told from what was counted anyway, and who does not answer is named once."""

import json
from typing import Any

from coordnode.ids import MemberId
from coordnode.net.clients import ClientTraffic
from coordnode.node.commits import Commits
from coordnode.node.metrics import Durations
from coordnode.node.pulse import Pulse, Since
from coordnode.node.round_trips import RoundTrips
from coordnode.node.telemetry import PULSE, Telemetry
from coordnode.raft.state import FOLLOWER
from tests.unit.node.test_telling import LINE_S, leading

MS = 1_000_000
TWO, THREE = MemberId(2), MemberId(3)


class Watched:
    def __init__(self, telemetry: Telemetry) -> None:
        self.commits = Commits(telemetry, 100)
        self.round_trips = RoundTrips()
        self.turns = Durations()
        self.syncs = Durations()
        self.late_ticks = Durations()


class Leader:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.telemetry = Telemetry(lambda line: None, lambda: self.now_ns // MS)
        self.telemetry.record = self.lines.append
        self.watched = Watched(self.telemetry)
        for peer in (TWO, THREE):
            self.watched.round_trips.by_peer[peer] = Durations()
        self.replica = leading()
        self.pulse = Pulse(self.replica, self.telemetry, self.watched)
        self.traffic = ClientTraffic()
        self.refusals: dict[str, int] = {}
        self.pulse.follow(self.traffic, self.refusals, "0badcafe")
        self.now_ns = self.pulse._told_ns

    def second(self, *answering: MemberId, seconds: float = 1) -> None:
        for peer in answering:
            self.watched.round_trips.by_peer[peer].observe(3 * MS)
        self.now_ns += round(seconds * 1_000) * MS
        self.pulse.maybe_tell(self.now_ns)

    def told(self) -> list[dict[str, Any]]:
        self.telemetry.close(LINE_S)
        return [json.loads(line) for line in self.lines]


def test_a_histogram_since_it_was_last_asked() -> None:
    durations = Durations()
    durations.observe(900 * MS)
    since = Since(durations)
    since.advance()
    assert (since.count, since.mean_ms, since.worst_ms) == (1, 900, 900)
    since.advance()
    assert (since.count, since.mean_ms, since.worst_ms) == (0, 0, 0)
    for ms in (1, 1, 7):
        durations.observe(ms * MS)
    since.advance()
    assert (since.count, since.mean_ms, since.worst_ms) == (3, 3, 10)
    durations.observe(30_000 * MS)
    since.advance()
    assert (since.count, since.mean_ms, since.worst_ms) == (1, 30_000, 30_000)


def test_each_second_is_told_once() -> None:
    leader = Leader()
    leader.traffic.asks, leader.traffic.connections = 12, 3
    leader.refusals["Overloaded"] = 5
    sessions = leader.replica.clients.sessions
    sessions.opened, sessions.expired = 40, 7
    leader.watched.syncs.observe(4 * MS)
    leader.second(TWO, THREE)
    leader.pulse.maybe_tell(leader.now_ns + 999 * MS)
    sessions.expired = 9
    leader.second(TWO, THREE)
    first, second = leader.told()
    assert list(first)[-len(PULSE) :] == list(PULSE)
    assert (first["event"], first["config_hash"], first["role"], first["took_ms"]) == ("pulse", "0badcafe", "leader", 1_000)
    assert (first["asks"], first["connections"], first["syncs"], first["sync_ms"]) == (12, 3, 1, 4)
    assert (first["refused"], second["refused"]) == (5, 0)
    assert (first["sessions"], first["opened"], first["expired"]) == (0, 40, 7)
    assert (second["opened"], second["expired"]) == (0, 2)
    assert (second["asks"], second["syncs"], second["sync_ms"]) == (0, 0, 0)
    assert first["round_trip_ms"] == {"2": 3, "3": 3}
    assert first["rss_kib"] > 1_000


def test_a_member_that_does_not_answer_is_named_once_and_again_when_it_does() -> None:
    leader = Leader()
    leader.second(TWO, THREE)
    for _ in range(4):
        leader.second(TWO)
    leader.second(TWO, THREE)
    told = [(event["event"], event.get("peer")) for event in leader.told() if event["event"] != "pulse"]
    assert told == [("peer_silent", 3), ("peer_heard", 3)]


def test_nobody_is_called_silent_for_a_time_in_which_the_leader_itself_did_not_run_or_did_not_lead() -> None:
    leader = Leader()
    leader.second(TWO, THREE)
    leader.second(seconds=20)
    leader.second(TWO, THREE)
    leader.replica.raft.role = FOLLOWER
    for _ in range(3):
        leader.second()
    assert [event["event"] for event in leader.told()] == ["pulse"] * 6
