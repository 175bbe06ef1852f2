"""Real members with a planted bug are found out by a playbook. The long run: `python -m tests.mutants.met`."""

from pathlib import Path

from coordctl.chaos.playbook import parse_playbook
from tests.mutants.met import BEGIN, PAGE, meet, shortened
from tests.mutants.plant import load
from tests.processes.playbooks import playbooks

SHORT = """\
proves: A few seconds are enough for a bug that every client meets.
version: 1
lasts: 3s
load:
  - {do: counter, clients: 3}
rows:
  - {at: 500ms, for: 1s, do: pause, to: follower}
expect:
  - {that: healthy, within: 60s}
"""
BY_NAME = {bug.name: bug for bug in load()}


def test_a_planted_bug_is_caught(tmp_path: Path) -> None:
    """That the same load is green without it: tests/processes/test_chaos_loads.py."""
    (tmp_path / "short.yaml").write_text(SHORT)
    met = meet(BY_NAME["counter-adds-one-for-nothing"], parse_playbook("short", SHORT.encode()), tmp_path)
    assert met.sentence.startswith("check counter: "), met
    assert met.outcome == "promise broken"


def test_every_bug_that_is_said_to_be_met_has_its_playbook_and_its_row() -> None:
    met = {bug.name: bug.playbook for bug in BY_NAME.values() if bug.playbook}
    assert len(met) >= 20
    assert {*met.values()} <= {one.name for one in playbooks([])}
    _, _, table = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()]
    assert {row[1].strip(" `"): row[2].strip(" `") for row in rows} == met
    assert all(float(row[3].strip().removesuffix(" s")) < 120 for row in rows)


def test_a_long_sentence_is_cut() -> None:
    assert shortened("a" * 400).endswith("a…")
