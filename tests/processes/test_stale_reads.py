"""What a member of another engine answers from its own state is old now and then, and a playbook shows it: with COORD_LONG=1 only."""

import json
import os
from pathlib import Path

from tests.processes.local import Home

__test__ = bool(os.environ.get("COORD_LONG"))  # half a minute

STALE = """proves: What a member answers from its own state may be old.
version: 1
load:
  - {do: kv, clients: 6, reads: READS}
rows:
  - {at: 1s, for: 3s, do: pause, to: follower}
"""


def test_stale_reads_are_found_and_linearizable_ones_are_not_stale(home: Home) -> None:
    home.engine = "etcd"
    home.up()
    playbook: Path = home.folder / "stale.yaml"
    playbook.write_text(STALE.replace("READS", "stale"))
    stale = json.loads(home.ctl("chaos", "run", str(playbook), "-o", "json", code=2))
    assert "finds no place" in next(one["sentence"] for one in stale["verdicts"] if one["kind"] == "check")
    playbook.write_text(STALE.replace("READS", "linearizable"))
    home.ctl("chaos", "run", str(playbook), code=0)
