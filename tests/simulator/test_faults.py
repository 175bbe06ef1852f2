"""The plan of a seed, its shortest naming, and how a failing run is made smaller."""

import random

import msgspec
import pytest

from coordnode.simulator.faults import KINDS, draw_plan, parse_keep, show_keep
from coordnode.simulator.report import Broken, Options, SeedReport
from coordnode.simulator.shrink import shrink


def test_a_plan_is_explicit_ordered_and_inside_its_phase() -> None:
    kinds: dict[str, int] = {}
    for seed in range(200):
        plan = draw_plan(random.Random(seed), safety_ms=60_000)
        assert [fault.number for fault in plan] == list(range(len(plan)))
        assert [fault.at_ms for fault in plan] == sorted(fault.at_ms for fault in plan)
        assert all(0 < fault.at_ms < 60_000 for fault in plan)
        for fault in plan:
            kinds[fault.kind] = kinds.get(fault.kind, 0) + 1
    assert sorted(kinds) == sorted(KINDS), "every kind of fault is drawn"


def test_swarm_every_seed_leaves_something_out() -> None:
    for seed in range(100):
        present = {fault.kind for fault in draw_plan(random.Random(seed), safety_ms=60_000)}
        assert present != {*KINDS}


def test_kept_faults_are_named_shortly_and_read_back() -> None:
    chance = random.Random(5)
    assert show_keep(frozenset({3, 7, 8, 9})) == "3,7-9"
    assert parse_keep("") == frozenset()
    for _ in range(200):
        numbers = frozenset(chance.sample(range(40), chance.randint(0, 40)))
        assert parse_keep(show_keep(numbers)) == numbers
    with pytest.raises(ValueError):
        parse_keep("3,x")


def fails_if(options: Options, *, faults_needed: frozenset[int], operations_needed: int) -> SeedReport:
    kept = options.keep_faults if options.keep_faults is not None else frozenset(range(30))
    operations = options.operations or 900
    red = faults_needed <= kept and operations >= operations_needed
    broken = Broken("state", "members differ", (), 1) if red else None
    return SeedReport(4, options, 3, 1, operations, 0, 0, "", {}, {}, 30, 0.0, broken)


def test_a_failure_shrinks_to_what_it_needs() -> None:
    needed = frozenset({4, 17})
    runs: list[Options] = []

    def run(seed: int, options: Options) -> SeedReport:
        assert seed == 4
        runs.append(options)
        return fails_if(options, faults_needed=needed, operations_needed=121)

    smaller = shrink(run(4, Options()), run, budget_s=1e9)
    assert smaller.options.keep_faults == needed
    assert smaller.options.operations == 121
    assert smaller.replay_command() == "coordnode simulate --seeds 4-4 --keep-faults '4,17' --operations 121"
    assert len(runs) < 80


def test_shrinking_ends_with_its_budget_and_never_takes_another_failure_for_the_same() -> None:
    def run(seed: int, options: Options) -> SeedReport:
        report = fails_if(options, faults_needed=frozenset({1}), operations_needed=1)
        if report.broken is not None and options.operations:
            return msgspec.structs.replace(report, broken=Broken("another check", "", (), 1))
        return report

    red = fails_if(Options(), faults_needed=frozenset({1}), operations_needed=1)
    assert shrink(red, run, budget_s=1e9).options == Options(keep_faults=frozenset({1}))
    assert shrink(red, run, budget_s=0.0) == red
