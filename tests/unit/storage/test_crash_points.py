"""A life of 60 calls is cut at every disk operation: no promise is broken.

CRASH_OUTCOMES and CRASH_LIVES ask for more outcomes of each cut, and for more lives.
"""

import copy
import os
from collections.abc import Callable
from random import Random

import pytest

from coordnode.simulator.disk import PowerLost, SimDisk
from coordnode.storage.recovery import create_folder
from tests.unit.storage.lives import GENESIS, IDENTITY, SMALL, Life, check_recovered, new_disk, reopen, what_stands

OUTCOMES = int(os.environ.get("CRASH_OUTCOMES", "1"))
LIVES = int(os.environ.get("CRASH_LIVES", "1"))


def operations_of(seed: int) -> tuple[int, int]:
    disk = new_disk(seed)
    first = disk.operations
    Life(disk, seed).run()
    return first, disk.operations


@pytest.mark.parametrize("seed", range(1, LIVES + 1))
def test_every_point_of_a_life(seed: int, figure: Callable[[str], None]) -> None:
    first, last = operations_of(seed)
    points = range(first + 1, last + 1)
    torn = 0
    for point in points:
        disk = new_disk(seed)
        life = Life(disk, seed)
        disk.cut_at(point)
        with pytest.raises(PowerLost):
            life.run()
        for outcome in range(OUTCOMES):
            torn += _check_outcome(copy.deepcopy(disk) if OUTCOMES > 1 else disk, life, point * OUTCOMES + outcome)
    assert torn > 5
    figure(f"life {seed}: cut at each of {len(points)} disk operations, {OUTCOMES} outcomes each, {torn} torn tails")


def _check_outcome(disk: SimDisk, life: Life, seed: int) -> bool:
    rng = Random(seed)
    only_read = None
    if rng.random() < 0.25:
        disk.crash(rng)
    else:
        disk.power_loss(rng)
        only_read = what_stands(disk)  # of what is durable: the power may go again
    # The power goes again while the folder is opened.
    disk.cut_at(disk.operations + rng.randint(1, 30))
    try:
        found = reopen(disk)
    except PowerLost:
        disk.power_loss(rng)
        found = reopen(disk)
    torn = any(line.startswith("torn tail") for line in found.report)
    check_recovered(life, found)
    assert only_read in (None, (found.snapshot, found.entries))
    # What was found is durable.
    disk.settle()
    disk.power_loss(rng)
    again = reopen(disk)
    assert (again.snapshot, again.entries, again.lost_entries) == (found.snapshot, found.entries, False)
    assert again.hard_state.boot == found.hard_state.boot + 1
    assert again.report == []
    return torn


def test_every_point_of_making_a_folder() -> None:
    last = new_disk().operations
    for point in range(1, last + 1):
        for outcome in range(4):
            disk = SimDisk(Random(1))
            disk.cut_at(point)
            with pytest.raises(PowerLost):
                create_folder(disk, IDENTITY, GENESIS, SMALL)
            disk.power_loss(Random(point * 4 + outcome))
            create_folder(disk, IDENTITY, GENESIS, SMALL)
            disk.settle()
            found = reopen(disk)
            assert found.snapshot == GENESIS.meta
            assert not found.report
