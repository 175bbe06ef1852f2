"""Whoever is killed with -9 while a playbook runs, nothing is left of it. The long run: `python -m tests.processes.boundaries`."""

from collections.abc import Callable

import pytest

from coordctl.chaos.playbook import Playbook, parse_playbook
from tests.processes.boundaries import (
    CTL,
    HEALED_MS,
    REAPERS,
    RECORD,
    Boundaries,
    Boundary,
    Snapshot,
    boundaries_of,
    differences,
    faster,
    least_ms,
    recorded,
    struck_by,
    table,
    worth_striking,
)
from tests.processes.playbooks import cluster, playbooks
from tests.processes.test_soak import PAGE


def test_a_run_and_a_reaper_are_killed_and_all_is_as_before(figure: Callable[[str], None]) -> None:
    (playbook,) = playbooks(["kill-leader"])
    with cluster(3, links=False) as home:
        found = Boundaries(home, waits=False).all_of(playbook, [CTL, REAPERS[0]], set(), most=4)
    points, killed = sum(found.there.values()), sum(found.died.values())
    assert min(found.there.values()) >= 3
    assert killed >= 4
    figure(f"a run and a reaper have {points} points at which they may die; at {killed} of them they were killed, and nothing was left")


def test_a_boundary_is_who_before_what_during_which_fault_and_is_struck_once() -> None:
    entry = "open /chaos/ID.fault.json.tmp\topen /chaos/{}.fault.json.tmp"
    lines = ["mkdir /RUN\tmkdir /chaos-run-1", entry.format("a" * 8), "signal SIGKILL\tsignal SIGKILL"] + ["POST /x\tPOST /x"] * 3
    found = boundaries_of(CTL, [*lines, entry.format("b" * 8), "POST /x\tPOST /x", "mkdir /kept\tmkdir /kept"], ["kill", "cut"])
    assert [(one.label.split()[0], one.ordinal, one.during) for one in found] == [
        ("mkdir", 1, ""),
        ("open", 1, "kill"),
        ("signal", 1, "kill"),
        *[("POST", number, "kill") for number in (1, 2, 3)],
        ("open", 2, "cut"),
        ("POST", 4, "cut"),
        ("mkdir", 1, ""),
    ]
    struck: set[Boundary] = set()
    assert [(one.label.split()[0], one.ordinal) for one in worth_striking(found, struck)] == [
        ("mkdir", 1), ("open", 1), ("signal", 1), ("POST", 1), ("POST", 3), ("open", 2), ("POST", 4), ("mkdir", 1)
    ]  # fmt: skip
    assert worth_striking(found, struck) == []
    healed = boundaries_of(
        "a", ["signal SIGCONT\tsignal SIGCONT", "remove /chaos/ID.fault.json\tremove /chaos/cccccccc.fault.json"], ["pause"]
    )
    assert [one.during for one in healed] == ["pause", "pause"]


def test_the_record_says_what_the_page_says() -> None:
    lines = recorded(RECORD)
    assert lines
    assert table(lines) in PAGE.read_text(encoding="utf-8")
    assert all(sum(line["died"].values()) > 0 for line in lines)
    kinds = [tuple(kind) for line in lines for kind in line["kinds"]]
    assert {kind[0] for kind in kinds} == {CTL, *REAPERS}
    assert len(struck_by(lines)) == len({*kinds})


def test_what_is_left_is_told() -> None:
    before = Snapshot((), (), ("a",), (), "{}", (), "", ())
    assert differences(before, before) == ""
    assert differences(before, before._replace(processes=("a", "b"))) == "processes: ('a',) became ('a', 'b')"


@pytest.mark.parametrize("playbook", playbooks([]), ids=lambda playbook: playbook.name)
def test_a_faster_playbook_is_one_and_does_the_same(playbook: Playbook) -> None:
    found = parse_playbook("x", faster(playbook).encode())
    assert [row[3:6] for row in found.rows] == [row[3:6] for row in playbook.rows]
    assert beside(found) == beside(playbook)
    assert found.lasts_ms <= playbook.lasts_ms + sum(least_ms(row.do) + HEALED_MS for row in found.rows)


def beside(playbook: Playbook) -> list[tuple[int, int]]:
    """Rows of which one begins while the other lasts."""
    rows = playbook.rows
    return [(one.number, other.number) for one in rows for other in rows if one.at_ms <= other.at_ms < one.end_ms]
