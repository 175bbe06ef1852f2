"""What a member of another engine answers from its own state is old now and then, and a playbook shows it: with COORD_LONG=1 only."""

import json
from pathlib import Path

import pytest

from tests.door import IS_LONG
from tests.processes.local import Home

__test__ = IS_LONG  # a minute

# Shorter than a client waits for a member: who had asked the one that stands still is answered by it, before it has heard what it missed.
STALE = """proves: What a member answers from its own state may be old.
version: 1
load:
  - {do: kv, clients: 12, reads: READS}
rows:
  - {at: 1s, for: 1s, do: pause, to: follower}
  - {at: 4s, for: 1s, do: pause, to: follower}
  - {at: 7s, for: 1s, do: pause, to: follower}
  - {at: 10s, for: 1s, do: pause, to: follower}
"""


@pytest.mark.parametrize("engine", ["etcd", "zookeeper"])
def test_stale_reads_are_found_and_linearizable_ones_are_not_stale(home: Home, engine: str) -> None:
    home.engine = engine
    home.up()
    assert "finds no place" in _judged(home, "stale")
    assert "every operation finds its place" in _judged(home, "linearizable")


def _judged(home: Home, reads: str) -> str:
    """What the checker says of a run in which followers did stand still."""
    playbook: Path = home.folder / f"{reads}.yaml"
    playbook.write_text(STALE.replace("READS", reads))
    found = json.loads(home.ctl("chaos", "run", str(playbook), "-o", "json", code=None, TMPDIR=str(home.folder)))
    assert any(row["verified"] == "process stopped" for row in found["rows"])
    return next(str(one["sentence"]) for one in found["verdicts"] if one["kind"] == "check")
