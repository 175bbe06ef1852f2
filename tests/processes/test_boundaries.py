"""Whoever is killed with -9 while a playbook runs, nothing is left of it. The long run: `python -m tests.processes.boundaries`."""

from collections.abc import Callable

import pytest

from coordctl.chaos.playbook import Playbook, parse_playbook
from tests.processes.boundaries import CTL, REAPERS, Boundaries, Snapshot, differences, faster
from tests.processes.playbooks import cluster, playbooks


def test_a_run_and_a_reaper_are_killed_and_all_is_as_before(figure: Callable[[str], None]) -> None:
    (playbook,) = playbooks(["kill-leader"])
    with cluster(3, links=False) as home:
        found = Boundaries(home).all_of(playbook, [CTL, REAPERS[0]], every=12)
    points = sum(there for there, _ in found.values())
    killed = sum(count for _, count in found.values())
    assert min(there for there, _ in found.values()) >= 3
    assert killed >= 4
    figure(f"a run and a reaper have {points} points at which they may die; at {killed} of them they were killed, and nothing was left")


def test_what_is_left_is_told() -> None:
    before = Snapshot((), (), ("a",), (), "{}", (), "", ())
    assert differences(before, before) == ""
    assert differences(before, before._replace(processes=("a", "b"))) == "processes: ('a',) became ('a', 'b')"


@pytest.mark.parametrize("playbook", playbooks([]), ids=lambda playbook: playbook.name)
def test_a_faster_playbook_is_one_and_does_the_same(playbook: Playbook) -> None:
    found = parse_playbook("x", faster(playbook).encode())
    assert [row[3:6] for row in found.rows] == [row[3:6] for row in playbook.rows]
