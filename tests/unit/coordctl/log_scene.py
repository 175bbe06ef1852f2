"""Logs of a cluster that never ran: pulses, commits, faults, and clocks that are off, written as members write them."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_MS = 1_795_875_600_000  # 2026-11-28T14:20:00Z
IDS = {"n1": 101, "n2": 102, "n3": 103, "n4": 104, "n5": 105}


def utc(ms: int) -> str:
    from coordnode.node.telemetry import utc as told

    return told(ms)


class Scene:
    """Time in seconds from the start; each second the log grows by some entries."""

    def __init__(self, members: int = 3, seconds: int = 120, seed: int = 1, **skew_ms: int) -> None:
        self.members = list(IDS)[:members]
        self.seconds = seconds
        self.skew_ms = skew_ms
        self.events: list[tuple[float, str, str, str, dict[str, Any]]] = []  # (second, member, level, event, fields)
        self.rng = random.Random(seed)
        self.leader = "n1"
        self.gone: dict[str, list[tuple[float, float]]] = {name: [] for name in self.members}
        self.pulse: dict[tuple[str, str], list[tuple[float, float, Any]]] = {}  # (member, field) -> (from, to, value)
        self.index_per_second = 20
        self._terms: dict[str, list[float]] = {}

    def tell(self, second: float, member: str, event: str, level: str = "warning", **fields: Any) -> None:
        self.events.append((second, member, level, event, fields))

    def silent(self, member: str, start: float, end: float) -> None:
        self.gone[member].append((start, end))

    def set(self, member: str, field: str, start: float, end: float, value: Any) -> None:
        self.pulse.setdefault((member, field), []).append((start, end, value))

    def kill(self, member: str, start: float, end: float = 1e9) -> None:
        self.silent(member, start, end)
        others = [name for name in self.members if name != member]
        for number, other in enumerate(others):
            self.tell(start + 0.012 + number / 1000, other, "peer_lost", peer=IDS[member], reason="connection reset")
        if member == self.leader:
            self.tell(start + 0.6, others[0], "role", "info", role="leader", leader=IDS[others[0]])
            self.tell(start + 0.7, others[0], "elected", "info", pre_vote_ms=10, vote_ms=10, first_commit_ms=4)
            for other in others[1:]:
                self.tell(start + 0.65, other, "role", "info", role="follower", leader=IDS[others[0]])
        if end < 1e8:
            self.started(member, end)

    def new_term(self, member: str, second: float) -> None:
        """From then on it knows of one more."""
        self._terms.setdefault(member, []).append(second)

    def started(self, member: str, second: float, **changed: Any) -> None:
        fields = {"name": member, "build": "0.1.0", "config_hash": "0badcafe", "settings": {}, "python": "3.11", "pid": 7, "boot": 2}
        self.tell(second, member, "started", "info", **(fields | changed))

    def slow_disk(self, member: str, start: float, end: float, ms: float) -> None:
        self.set(member, "sync_ms", start, end, ms)
        self.set(member, "sync_worst_ms", start, end, 2 * ms)

    # --- lines -----------------------------------------------------------------------------------------------------

    def lines(self, member: str) -> list[bytes]:
        told = [(second, level, event, fields) for second, whose, level, event, fields in self.events if whose == member]
        phase = self.rng.random()
        starts = [second for second, _, event, _ in told if event == "started"]
        last = 0.0
        for second in range(self.seconds):
            at = second + phase
            if not any(start <= at < end for start, end in self.gone[member]):
                since = max([last, *(start for start in starts if start <= at)])
                told.append((at, "info", "pulse", self._pulse(member, at, max(1_000, round((at - since) * 1_000)))))
                last = at
        if not any(event == "started" and second < 1 for second, _, event, _ in told):
            first = {"name": member, "build": "0.1.0", "config_hash": "0badcafe", "settings": {}, "python": "3.11", "pid": 5, "boot": 1}
            told.append((0.0, "info", "started", first))
        told.sort(key=lambda one: one[0])
        return [self._line(member, *one) for one in told]

    def _pulse(self, member: str, at: float, took_ms: int) -> dict[str, Any]:
        noise = 0.8 + 0.4 * self.rng.random()
        fields: dict[str, Any] = {
            **{"build": "0.1.0", "config_hash": "0badcafe", "role": "follower", "leader": IDS[self.leader], "uptime_ms": round(at * 1000)},
            **{"took_ms": took_ms, "commits": 20, "commit_ms": 3 * noise, "commit_worst_ms": 10, "syncs": 20, "sync_ms": noise},
            **{"sync_worst_ms": 5, "turns": 60, "turn_ms": 0.2, "turn_worst_ms": 5, "late_worst_ms": 10, "round_trip_ms": {}, "behind": {}},
            **{
                "connections": 10,
                "refused": 0,
                "asks": 20,
                "asked_kib": 4,
                "sessions": 10 if member == self.leader else 0,
                "opened": 0,
                "expired": 0,
                "cpu_ms": 50,
                "waited_ms": 5,
                "rss_kib": 60_000,
                "files": 30,
                "pressure": [5.0, 1.0, 0.0],
            },
            "host_free_kib": 8_000_000,
        }
        if member == self.leader:
            fields["role"] = "leader"
            fields["round_trip_ms"] = {str(IDS[other]): 0.5 * noise for other in self.members if other != member}
        for (whose, field), values in self.pulse.items():
            for start, end, value in values:
                if whose == member and start <= at < end:
                    fields[field] = value
        return fields

    def _line(self, member: str, second: float, level: str, event: str, fields: dict[str, Any]) -> bytes:
        wall_ms = START_MS + round(second * 1000) + self.skew_ms.get(member, 0)
        index = round(second * self.index_per_second)
        common = {"at": utc(wall_ms), "hlc": f"{wall_ms}.0", "level": level, "event": event, "cluster": 7, "member": IDS[member]}
        term = 1 + sum(second >= since for since in self._terms.get(member, ()))
        return json.dumps({**common, "term": term, "index": index, **fields}, separators=(",", ":")).encode() + b"\n"

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for member in self.members:
            (folder / f"{member}.log").write_bytes(b"".join(self.lines(member)))
        return folder


def gigantic(folder: Path, megabytes: int, members: int = 5) -> Iterator[Path]:
    """Logs of that size in all: an hour, with a disk that becomes slow at its end."""
    scene = Scene(members, 600)
    scene.slow_disk("n3", 520, 600, 90.0)
    folder.mkdir(parents=True, exist_ok=True)
    for member in scene.members:
        pulses = scene.lines(member)
        wanted = (megabytes << 20) // members
        between = max(0, wanted // 600 - len(pulses[5]))
        with (folder / f"{member}.log").open("wb") as file:
            for number, line in enumerate(pulses):
                file.write(line)
                head = json.loads(line)
                filler = json.dumps({**{key: head[key] for key in ("at", "hlc", "level")}, "event": "peer_up", **{key: head[key] for key in ("cluster", "member", "term", "index")}, "peer": 102, "build": f"0.1.{number}"}, separators=(",", ":")).encode() + b"\n"  # fmt: skip  # noqa: E501
                file.write(filler * (between // len(filler)))
        yield folder / f"{member}.log"
