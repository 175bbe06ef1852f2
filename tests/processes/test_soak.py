"""The soak's record: that it says what the page says of it, that nothing broke in it, and that a draw is a playbook. The soak: soak.py."""

import json
from pathlib import Path

from coordctl.chaos.faults import FAULTS, exclude_each_other
from coordctl.chaos.loads.words import KINDS
from coordctl.chaos.playbook import parse_playbook
from tests.processes.soak import NOT_ONE_HOST, RECORD, drawn, totals

PAGE = Path(__file__).resolve().parents[2] / "docs" / "chaos.md"
FIELDS = {"build", "seed", "began", "seconds", "cores", "members", "outcome", "operations", "loads", "faults", "not_green", "left"}


def test_the_record_is_whole_nothing_broke_in_it_and_the_page_says_its_totals() -> None:
    lines = [json.loads(line) for line in RECORD.read_text().splitlines()]
    assert lines
    assert all({*line} == FIELDS for line in lines)
    assert [line["seed"] for line in lines if line["outcome"] == "promise broken" or line["left"]] == []
    assert totals(RECORD) in PAGE.read_text(encoding="utf-8")


def test_every_draw_is_a_playbook_and_together_they_do_all_that_may_hit_one_host() -> None:
    found = [parse_playbook("x", drawn(seed, 60.0).encode()) for seed in range(200)]
    assert {row.do for one in found for row in one.rows} == {*FAULTS} - {*NOT_ONE_HOST}
    assert {load.do for one in found for load in one.load} == {*KINDS}
    assert drawn(7, 60.0) == drawn(7, 60.0) != drawn(8, 60.0)


def test_what_would_be_refused_beside_what_lasts_is_not_drawn() -> None:
    for seed in range(200):
        rows = parse_playbook("x", drawn(seed, 60.0).encode()).rows
        pairs = [(one, other) for one in rows for other in rows if one.number < other.number and other.at_ms < one.end_ms]
        assert not any(exclude_each_other(one.do, other.do) for one, other in pairs)


def test_totals_of_nothing_are_nothing(tmp_path: Path) -> None:
    assert totals(tmp_path / "none").startswith("0 segments, 0 minutes, 0 operations")
