"""What is made of a run: figures by the second, a playbook of what was done, the page; and what members said that no fault excuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordctl.chaos import words
from coordctl.chaos.pace import by_second
from coordctl.chaos.playbook import parse_playbook
from coordctl.chaos.schedule import Carried, schedule
from coordctl.commands import chaos_page
from coordctl.results.chaos import ChaosLeader, ChaosRun, ChaosRunRow, ChaosSecond, ChaosSkipped, ChaosVerdict

SECOND = 1_000_000_000


def event(process: int, kind: str, at_s: float, function: str = "get") -> dict[str, Any]:
    return {"process": process, "type": kind, "f": function, "value": None, "time": int(at_s * SECOND)}


def test_each_answer_counts_in_its_second_and_what_was_never_answered_in_none() -> None:
    asked = [event(1, "invoke", 10.1), event(1, "ok", 10.3), event(2, "invoke", 10.2), event(2, "info", 12.5), event(3, "invoke", 10.9)]
    lost = [event(1_001, "invoke", 11.0, "lost"), event(1_001, "info", 11.0, "lost")]
    found = by_second([*asked, *lost], 10 * SECOND)
    assert [(one.answered, one.refused, one.unknown) for one in found] == [(1, 0, 0), (0, 0, 0), (0, 0, 1)]
    assert (found[0].median_ms, found[0].slowest_ms) == (200.0, 200.0)
    assert by_second([], 0) == []


PLAYBOOK = b"""\
proves: x
version: 1
load: [{do: kv}]
rows:
  - {at: 1s, for: 2s, do: kill, to: random}
  - {at: 4s, for: 2s, do: cut, to: leader <-> others}
  - {at: 8s, for: 2s, do: slow-fsync, to: minority, by: 50ms}
  - {at: 9s, for: 2s, do: cut, to: n1 -> n2}
"""


def test_what_was_done_is_a_playbook_with_the_names_that_were_hit_and_the_roles_that_mean_something_elsewhere() -> None:
    playbook = parse_playbook("x", PLAYBOOK)
    carried = [
        Carried(1, 1_020, ("n3",), ()),
        Carried(2, 4_100, (), (("n1", "n2"), ("n2", "n1"))),
        Carried(3, 8_005, ("n2",), ()),
        Carried(4, 9_001, (), (("n1", "n2"),)),
    ]
    again = parse_playbook("again", schedule(playbook, carried).encode())
    assert [(row.at_ms, row.for_ms, row.do, row.to.text, row.by) for row in again.rows] == [
        (1_020, 2_000, "kill", "n3", ""),
        (4_100, 2_000, "cut", "leader <-> others", ""),
        (8_005, 2_000, "slow-fsync", "n2", "50ms"),
        (9_001, 2_000, "cut", "n1 -> n2", ""),
    ]


def test_a_bug_is_told_and_a_disk_that_failed_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "n1.log"
    path.write_text(json.dumps({"event": "bug", "error": "of another run"}) + "\n")
    ends = words.where_they_end({"n1": str(path), "n2": str(tmp_path / "n2.log")})
    with path.open("a") as file:
        for found in (
            {"event": "failed", "error": "cannot sync", "trace": ""},
            {"event": "failed", "error": "a bug", "trace": "Traceback"},
            {"event": "diverged", "error": "not the majority's"},
            {"event": "rotten", "error": "rot"},
        ):
            file.write(json.dumps(found) + "\n")
        file.write('{"event": "bug", "err')  # a line that is being written
    said = words.since({"n1": str(path), "n2": str(tmp_path / "n2.log")}, ends)
    assert [(one.member, one.event) for one in said] == [("n1", "failed"), ("n1", "diverged")]
    path.write_text(json.dumps({"event": "bug", "error": "in a new file"}) + "\n")
    assert [one.sentence for one in words.since({"n1": str(path)}, ends)] == ["in a new file"]


@pytest.mark.parametrize("lines", [0, 40])
def test_a_bug_in_a_log_that_was_put_aside_since_is_told_however_long_the_new_one_is(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "n1.log"
    path.write_text(json.dumps({"event": "bug", "error": "of another run"}) + "\n")
    ends = words.where_they_end({"n1": str(path)})
    with path.open("a") as file:
        file.write(json.dumps({"event": "bug", "error": "put aside"}) + "\n")
    path.rename(tmp_path / "n1.log.1")
    new = [{"event": "bug", "error": "in the new one"}, *[{"event": "elected", "error": ""}] * lines]
    path.write_text("".join(json.dumps(one) + "\n" for one in new))
    assert [one.sentence for one in words.since({"n1": str(path)}, ends)] == ["put aside", "in the new one"]
    path.rename(tmp_path / "n1.log.1")
    path.write_text(json.dumps({"event": "bug", "error": "in the third"}) + "\n")
    assert [one.sentence for one in words.since({"n1": str(path)}, ends)] == ["in the new one", "in the third"]


def test_the_page_shows_who_led_what_was_done_each_verdict_and_how_to_do_it_again_and_asks_for_nothing() -> None:
    page = chaos_page.page(
        ChaosRun(
            outcome="promise broken",
            exit_code=2,
            cluster="local",
            playbook="x",
            proves="Nothing <is> lost.",
            seed=1,
            rows=[ChaosRunRow(row=1, do="kill", hit="n1", began_ms=1_000, for_ms=2_000, verified="process gone")],
            verdicts=[ChaosVerdict(kind="check", name="kv", outcome="promise broken", exit_code=2, sentence="a read of <old>")],
            told=[],
            leaders=[
                ChaosLeader(at_ms=0, leader="n1", term=1),
                ChaosLeader(at_ms=1_100, leader="", term=0),
                ChaosLeader(at_ms=1_700, leader="n2", term=2),
            ],
            pace=[ChaosSecond(at_ms=0, answered=10, refused=0, unknown=1, median_ms=1.5, slowest_ms=9.0)],
            skipped=[ChaosSkipped(row="2: cut leader", why="interrupted")],
            again=["coordctl chaos run x -c local", "coordctl chaos run kept/schedule.yaml --simulate --seeds 0-99"],
            began_unix_ms=1,
            kept="kept",
            elapsed_ms=5_000,
        )
    )
    for words_there in (
        "n1 leads",
        "n2 leads",
        "no leader answers from",
        "process gone",
        "a read of &lt;old&gt;",
        "2: cut leader",
        "--simulate",
        "<polyline",
    ):
        assert words_there in page, words_there
    assert "<old>" not in page
    assert not [word for word in ("http://", "https://", "<script", "url(") if word in page]
