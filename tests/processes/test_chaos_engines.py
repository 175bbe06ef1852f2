"""Playbooks on other engines: the same clients, faults and checks; what has no mechanism there is skipped, with the reason."""

import json

import pytest

from tests.door import IS_LONG
from tests.processes.conftest import is_here
from tests.processes.local import Home

KILLED = """proves: A member that is killed comes back with everything that was acknowledged.
version: 1
members: 1
lasts: 6s
load:
  - {do: kv, clients: 2}
  - {do: lock, clients: 2}
rows:
  - {at: 1s, for: 3s, do: kill, to: n1}
expect:
  - {that: healthy, within: 60s}
"""
CUT = """proves: Nothing, for there is no proxy in the links of this engine.
version: 1
load:
  - {do: kv}
rows:
  - {at: 1s, for: 1s, do: cut, to: leader <-> others}
"""


@pytest.mark.parametrize("engine", ["etcd", *(["zookeeper"] if IS_LONG else [])])
def test_a_member_of_another_engine_is_killed_and_what_clients_saw_is_judged(home: Home, engine: str) -> None:
    if not is_here(engine):
        pytest.skip(f"{engine} is not on this machine")
    home.engine = engine
    home.up(1)
    before = home.pid("n1")
    playbook = home.folder / "killed.yaml"
    playbook.write_text(KILLED)
    found = json.loads(home.ctl("chaos", "run", str(playbook), "-o", "json", "--accept", "beyond-quorum", "--reason", "a test", code=None))
    codes = {(one["kind"], one["name"]): (one["outcome"], one["sentence"]) for one in found["verdicts"]}
    assert (found["outcome"], found["exit_code"]) == ("green", 0), codes
    assert codes["check", "kv"][0] == codes["check", "lock"][0] == codes["expect", "healthy"][0] == "green"
    assert home.pid("n1") not in (0, before), "it was started anew"
    playbook.write_text(CUT.replace("version: 1", "version: 1\nmembers: 1"))
    cut = json.loads(home.ctl("chaos", "run", str(playbook), "-o", "json", code=3))
    assert [one["row"] for one in cut["skipped"]] == ["1: cut leader <-> others"]
    assert "there is no mechanism for it on" in cut["skipped"][0]["why"]
    assert home.ctl("wait", "--for", "members=1").startswith("members=1"), "and a cluster of another engine can be waited for"
