"""Playbooks on the simulator: which faults rows become there, what is only close to them, and what is refused."""

import pytest

from coordctl.chaos.playbook import parse_playbook
from coordctl.chaos.simulated import NoCounterpart, Plan, plan
from coordctl.operations import chaos_playbooks, chaos_simulate
from coordnode.errors import BadRequest
from coordnode.simulator import faults
from coordnode.simulator.faults import LEADER
from coordnode.simulator.report import Broken, Options
from coordnode.simulator.run import run_seed


def planned(*rows: str) -> Plan:
    text = "version: 1\nproves: x\nrows:\n" + "".join(f"  - {{{row}}}\n" for row in rows)
    return plan(parse_playbook("x", text.encode()), 3)


def told(found: Plan) -> list[tuple[int, str, int, int, int]]:
    return [(one.at_ms, one.kind, one.victim, one.lasting_ms, one.amount) for one in found.faults]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("at: 1s, for: 2s, do: kill, to: leader", [(1_000, faults.CRASH, LEADER, 2_000, 0)]),
        ("at: 1s, for: 2s, do: pause, to: n3", [(1_000, faults.PAUSE, 2, 2_000, 0)]),
        ("at: 1s, for: 2s, do: kill, to: all", [(1_000, faults.CRASH, place, 2_000, 0) for place in range(3)]),
        ("at: 0s, for: 2s, do: crash-loop, to: n1", [(at_ms, faults.CRASH, 0, 300, 0) for at_ms in (0, 1_000)]),
        ("at: 1s, for: 2s, do: cut, to: leader <-> others", [(1_000, faults.ISOLATE, LEADER, 2_000, 0)]),
        ("at: 1s, for: 2s, do: cut, to: leader -> others", [(1_000, faults.ONE_WAY, LEADER, 2_000, other) for other in (0, 1)]),
        ("at: 1s, for: 2s, do: cut, to: n1 -> n3", [(1_000, faults.ONE_WAY, 0, 2_000, 1)]),
        ("at: 1s, for: 2s, do: cut, to: n3 -> n1", [(1_000, faults.ONE_WAY, 2, 2_000, 0)]),
        ("at: 1s, for: 2s, do: delay, to: n1, by: 50ms", [(1_000, faults.DELAY, 0, 2_000, 50)]),
        ("at: 1s, for: 2s, do: loss, to: n1, by: 5%", [(1_000, faults.LOSS, 0, 2_000, 50)]),
        ("at: 1s, for: 2s, do: jitter, to: n1, by: 50ms", [(1_000, faults.DELAY, 0, 2_000, 50)]),
        ("at: 1s, for: 2s, do: transfer, to: all, by: 1s", [(1_000, faults.TRANSFER, 0, 0, 0), (2_000, faults.TRANSFER, 1, 0, 0)]),
        (
            "at: 1s, for: 4s, do: add, to: n1",
            [(1_000, faults.ADD_LEARNER, 0, 0, 0), (2_000, faults.PROMOTE, 0, 0, 0), (5_000, faults.REMOVE, 0, 0, 0)],
        ),
        (
            "at: 1s, for: 4s, do: remove, to: leader",
            [(1_000, faults.REMOVE, LEADER, 0, 0), (5_000, faults.ADD_LEARNER, 0, 0, 0), (6_000, faults.PROMOTE, 0, 0, 0)],
        ),
        ("at: 1s, for: 4s, do: replace, to: n2", [(1_000, faults.REPLACE, 1, 0, 0), (5_000, faults.REPLACE, 0, 0, 0)]),
        ("at: 1s, for: 2s, do: disk-full, to: leader", [(1_000, faults.FULL_DISK, LEADER, 2_000, 0)]),
        ("at: 1s, for: 2s, do: slow-fsync, to: n2, by: 90ms", [(1_000, faults.SLOW_DISK, 1, 2_000, 90)]),
        ("at: 1s, for: 2s, do: eio, to: n2", [(1_000, faults.FSYNC_FAILS, 1, 2_000, 0)]),
        (
            "at: 1s, for: 2s, do: clock-jump, to: n2, by: -5s",
            [(1_000, faults.WALL_JUMP, 1, 0, 9_995_000), (3_000, faults.WALL_JUMP, 1, 0, 10_005_000)],
        ),
        (
            "at: 1s, for: 2s, do: clock-drift, to: n2, by: 0.05%",
            [(1_000, faults.CLOCK_RATE, 1, 0, 1_500), (3_000, faults.CLOCK_RATE, 1, 0, 1_000)],
        ),
    ],
)
def test_a_row_becomes_faults(row: str, expected: list[tuple[int, str, int, int, int]]) -> None:
    assert told(planned(row)) == expected


def test_what_is_only_close_is_told() -> None:
    assert planned("at: 1s, for: 2s, do: kill, to: n1").approximations == ()
    assert "any member" in planned("at: 1s, for: 2s, do: kill, to: follower").approximations[0]
    assert "hits all links" in planned("at: 1s, for: 2s, do: delay, to: n1, by: 50ms").approximations[0]
    assert "0.1% at most" in planned("at: 1s, for: 2s, do: clock-drift, to: n1, by: 5%").approximations[0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("at: 1s, for: 2s, do: bandwidth, to: n1, by: 1KiB/s", "bandwidth has no counterpart"),
        ("at: 1s, for: 2s, do: cpu, to: n1, by: 1", "cpu has no counterpart"),
        ("at: 1s, for: 2s, do: cut, to: follower -> leader", "a leader is cut off from all"),
        ("at: 1s, for: 2s, do: kill, to: n9", "there is no member n9"),
    ],
)
def test_what_has_no_counterpart_is_refused(row: str, words: str) -> None:
    with pytest.raises(NoCounterpart, match=words):
        planned(row)


def test_of_a_timetable_only_what_has_a_counterpart_is_done_and_the_rest_is_told() -> None:
    found = planned("at: 1s, for: 2s, do: cpu, to: n1, by: 1", "at: 2s, for: 2s, do: kill, to: n1")
    assert told(found) == [(2_000, faults.CRASH, 0, 2_000, 0)]
    assert found.approximations == ("row 1 is left out: cpu has no counterpart in the simulator",)


def test_the_simulator_does_what_the_plan_says_and_nothing_else() -> None:
    found = planned("at: 1s, for: 1s, do: kill, to: leader", "at: 3s, for: 1s, do: cut, to: leader <-> others")
    report = run_seed(5, Options(members=3, safety_ms=6_000, plan=found.faults))
    assert (report.faults, report.broken) == ({faults.CRASH: 1, faults.ISOLATE: 1}, None)
    assert report.operations > 20


def test_a_red_seed_is_told_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = chaos_playbooks.load("kill-leader")
    report = run_seed(1, Options(members=3, safety_ms=1_000, plan=()))

    def workers(seeds: object, *_: object) -> object:
        red = Broken("linearizable", "it is not", (), 5)
        return iter([type(report)(**{field: getattr(report, field) for field in report.__struct_fields__} | {"broken": red, "seed": 7})])

    monkeypatch.setattr(chaos_simulate, "in_workers", workers)
    found = chaos_simulate.simulate(playbook, "kill-leader", range(7, 8))
    assert (found.outcome, found.exit_code) == ("promise broken", 2)
    assert found.red[0].again == "coordctl chaos run kill-leader --simulate --seeds 7"


@pytest.mark.parametrize("text", ["", "a", "5-3", "1-2-3", "-1", "0-100000"])
def test_seeds_are_one_or_a_range(text: str) -> None:
    with pytest.raises(BadRequest, match="give one or a range"):
        chaos_simulate.parse_seeds(text)
    assert list(chaos_simulate.parse_seeds("7")) == [7]
    assert chaos_simulate.parse_seeds("0-99") == range(100)
