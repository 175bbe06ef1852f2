"""Whole clusters under faults: a short range of seeds, the same run twice, a failure that shrinks and replays, every crash point."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest

from coordnode.raft.state import State
from coordnode.simulator.faults import draw_plan
from coordnode.simulator.report import Options, SeedReport
from coordnode.simulator.run import run_seed
from coordnode.simulator.shrink import shrink
from coordnode.simulator.world import World
from tests.door import IS_LONG

SOURCE = os.path.join(os.path.dirname(__file__), "..", "..", "src")


def must_hold(report: SeedReport) -> SeedReport:
    assert report.broken is None, f"{report.broken}\n{report.replay_command()}"
    return report


@pytest.mark.parametrize("seed", range(1, 11))
def test_every_promise_holds_under_stock_faults(seed: int) -> None:
    report = must_hold(run_seed(seed))
    assert report.simulated_ms >= 60_000
    assert report.operations >= 500
    assert report.checked >= 0.7 * report.operations  # of the others nobody was told what became of them
    assert report.faults


@pytest.mark.parametrize("members", [1, 3, 5])
def test_every_size_of_cluster_runs(members: int) -> None:
    report = must_hold(run_seed(7, Options(members=members, safety_ms=8_000)))
    assert report.members == members


def test_without_faults_nothing_is_refused_or_repeated() -> None:
    report = must_hold(run_seed(3, Options(members=3, safety_ms=8_000, keep_faults=frozenset())))
    assert report.faults == {}
    assert report.operations >= 150


# --- determinism -----------------------------------------------------------------------------------------------------

TRACES = """
import sys
from coordnode.simulator.command import main
sys.exit(main(["--seeds", "3-5", "--seconds", "12", "--trace-hash", "--shrink", "0"]))
"""


def pythons() -> Iterator[str]:
    """Other Python versions on this machine that could run the simulator."""
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        if path is not None and name != f"python3.{sys.version_info[1]}":
            done = subprocess.run([path, "-c", "import msgspec"], capture_output=True, check=False)
            if done.returncode == 0:
                yield path
            else:
                print(f"not compared: {path} cannot import msgspec")


def traces(python: str, hash_seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": SOURCE}
    done = subprocess.run([python, "-c", TRACES], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("trace ")]


def test_the_same_seed_is_the_same_run_in_every_process() -> None:
    first = traces(sys.executable, "0")
    assert len(first) == 3
    assert len({*first}) == 3
    assert traces(sys.executable, "12345") == first
    for python in pythons():
        assert traces(python, "7") == first, f"{python} runs another course"


# --- shrinking -------------------------------------------------------------------------------------------------------


def test_a_failure_is_named_shrinks_and_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledgements before the fsync: found by a named check, made smaller, found again by the printed options."""
    monkeypatch.setattr(State, "send_durable", lambda raft, message, match: raft.send(message))
    red = next((report for seed in range(1, 40) if (report := run_seed(seed)).broken is not None), None)
    assert red is not None
    assert red.broken is not None
    assert red.broken.check == "acknowledge-durable"
    assert f"--seeds {red.seed}-{red.seed}" in red.replay_command()
    smaller = shrink(red, run_seed, budget_s=20.0)
    assert smaller.broken is not None
    kept = smaller.options.keep_faults
    plan = draw_plan(World(red.seed).stream("faults"), safety_ms=60_000)
    assert kept is None or len(kept) < len(plan)
    assert smaller.operations <= red.operations
    again = run_seed(smaller.seed, smaller.options)
    assert again.broken == smaller.broken
    assert again.trace == smaller.trace


# --- crash points ----------------------------------------------------------------------------------------------------

LIFE = Options(members=3, safety_ms=9_000, operations=200, keep_faults=frozenset())
LIFE_SEED = 42
POINTS_IN_THE_DOOR = 24


def test_a_life_of_200_operations_is_cut_at_every_disk_operation(figure: Callable[[str], None]) -> None:
    whole = must_hold(run_seed(LIFE_SEED, LIFE))
    assert whole.operations == 200
    points = [
        (member, operation) for member, (first, last) in enumerate(whole.disk_operations, start=1) for operation in range(first, last + 1)
    ]
    stride = 1 if IS_LONG else max(1, len(points) // POINTS_IN_THE_DOOR)
    cut = points[::stride]
    for member, operation in cut:
        report = must_hold(run_seed(LIFE_SEED, msgspec.structs.replace(LIFE, cut=(member, operation))))
        assert report.operations == 200
    figure(f"a life of 200 operations: cut at {len(cut)} of {len(points)} disk operations")
