"""Hundreds of short random lives of small clusters: no schedule of faults breaks a promise, and calm always heals.

More of them: `COORD_RAFT_SEEDS=10000-20000 python -m pytest tests/unit/raft/test_random.py`.
"""

import os

import pytest

from coordnode.raft import progress, replication
from tests.unit.raft.random_cluster import RandomCluster

FIRST, LAST = (int(bound) for bound in os.environ.get("COORD_RAFT_SEEDS", "0-300").split("-"))
STEPS = 200


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INFLIGHT_APPENDS_MAX", 3)
    monkeypatch.setattr(replication, "APPEND_BYTES_MAX", 12)


def test_random_schedules() -> None:
    marks: dict[str, int] = {}
    for seed in range(FIRST, LAST):
        cluster = RandomCluster(seed)
        try:
            cluster.run(STEPS)
        except AssertionError as error:
            error.add_note(f"replay: COORD_RAFT_SEEDS={seed}-{seed + 1} python -m pytest tests/unit/raft/test_random.py")
            raise
        for mark, count in cluster.marks.items():
            marks[mark] = marks.get(mark, 0) + count
    if LAST - FIRST >= 100:
        for interesting in ("crash", "rot", "installed", "joint", "transfer", "read", "snapshot", "config change"):
            assert marks.get(interesting, 0) > 0, f"no schedule reached: {interesting}"
