"""All kinds of load work beside each other while a leader is killed; what they were told is possible, and nothing is left."""

from pathlib import Path

from coordctl.chaos.loads.words import KINDS
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid

PLAYBOOK = """\
proves: All loads at once.
version: 1
lasts: 10s
load: [{loads}]
rows:
  - {{at: 2s, for: 3s, do: kill, to: leader}}
expect:
  - {{that: healthy, within: 60s}}
"""
LISTS = (("kv", "ls"), ("counter", "ls"), ("queue", "ls"), ("journal", "ls"), ("group", "ls"), ("elect", "ls"), ("lock", "ls"))


def test_every_kind_of_load_is_green_on_a_healthy_build_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    home.ctl("up")
    path = tmp_path / "all.yaml"
    path.write_text(PLAYBOOK.format(loads=", ".join(f"{{do: {kind}, clients: 2}}" for kind in KINDS)))
    done = valid(home.ctl("chaos", "run", str(path), "-o", "json", TMPDIR=str(tmp_path)))
    checks = {one["name"]: one["outcome"] for one in done["verdicts"] if one["kind"] == "check"}  # type: ignore[attr-defined]
    assert checks == dict.fromkeys(KINDS, "green")
    assert done["outcome"] == "green"
    for words in LISTS:
        until(lambda words=words: b"_chaos/" not in home.run(*words).stdout, f"{words[0]} has something left")  # type: ignore[misc]
