"""The ways in which lives are cut, and one life for each point."""

import errno
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.processes.members import free_port, own_hosts
from tests.processes.points.control import (
    CHANGES,
    CREATE,
    FAIL,
    KILL,
    LIST,
    LOOKS,
    MKDIR,
    OPEN,
    READ,
    RENAME,
    SOURCE,
    STAT,
    SYNC,
    SYNC_FOLDER,
    TEAR,
    TRUNCATE,
    UNLINK,
    WRITE,
    Control,
)
from tests.processes.points.life import Life
from tests.processes.points.nursery import Born, Nursery
from tests.processes.points.story import OPERATIONS
from tests.processes.shims import compiled
from tests.processes.violence.power import SOURCE as POWER
from tests.processes.violence.power import Power

AGAIN_MAX = 80  # a start after a cut is cut, too, at one of so many of its calls


class Way(NamedTuple):
    """`kinds`: of calls that are points; `act`: what happens at one; `error`: how it fails; `lasting`: so do all that follow."""

    kinds: int
    act: int
    error: int = 0
    lasting: bool = False
    power: bool = False  # the disk forgets what was not synced


GROWS = CREATE | WRITE | TRUNCATE | MKDIR
WAYS = {
    "kill": Way(CHANGES | LOOKS, KILL),
    "torn-write": Way(WRITE, TEAR),
    "power": Way(CHANGES, KILL, power=True),
    "torn-power": Way(WRITE, TEAR, power=True),
    "full-once": Way(GROWS | SYNC, FAIL, errno.ENOSPC),
    "full": Way(GROWS, FAIL, errno.ENOSPC, lasting=True),
    "write-error": Way(GROWS | RENAME | UNLINK, FAIL, errno.EIO),
    "sync-error": Way(SYNC | SYNC_FOLDER, FAIL, errno.EIO),
    "read-error": Way(OPEN | READ | LIST | STAT, FAIL, errno.EIO),
    "unreadable": Way(OPEN | READ | LIST | STAT, FAIL, errno.EIO, lasting=True),
    "dead-disk": Way(CHANGES | LOOKS, FAIL, errno.EIO, lasting=True),
    "no-files": Way(OPEN | CREATE | LIST, FAIL, errno.EMFILE),
    "read-only": Way(CREATE | WRITE | TRUNCATE | RENAME | UNLINK | MKDIR, FAIL, errno.EROFS, lasting=True),
}


def points_of(name: str, calls: Mapping[int, int]) -> int:
    return sum(count for kind, count in calls.items() if kind & WAYS[name].kinds)


class Found(NamedTuple):
    cut: int  # lives that were
    hits: Counter[str]  # what was hit, without numbers
    ends: int  # of processes
    refusals: int
    lost: tuple[int, int]  # writes and names that a disk without power forgot
    broken: list[str]  # promises: where, and which


class Campaign:
    def __init__(self, folder: Path, seed: int = 1) -> None:
        self._folder = folder.resolve()
        self._seed = seed
        self._host = own_hosts(1)[0]
        self._nursery = Nursery([compiled(SOURCE, folder), compiled(POWER, folder)])
        self._lives = 0

    def close(self) -> None:
        self._nursery.close()

    def count(self) -> dict[int, int]:
        """Calls of each kind in a life that nobody cuts."""
        with self._life(power=False, name="whole") as (life, control):
            control.aim(0, kinds=CHANGES | LOOKS)
            life.run()
            return control.calls()

    def cut(self, name: str, points: Sequence[int], *, lies_from: int = OPERATIONS) -> Found:
        """One life for each of these points. `lies_from`: from this operation on the disk says that it synced, and did not."""
        way = WAYS[name]
        hits: Counter[str] = Counter()
        broken: list[str] = []
        cut = ends = refusals = writes = names = 0
        for point in points:
            with self._life(power=way.power, name=f"{name}/{point}") as (life, control):
                rng = random.Random(f"{self._seed}/{name}/{point}/again")
                self._aim(control, way, point)
                life.lies_from = lies_from
                try:
                    life.run(again=partial(self._aim_again, control, way, rng))
                except AssertionError as error:
                    broken.append(f"{name} {point}, {control.hit() or life.hit}: {error}")
                cut += bool(life.hit)
                hits[life.hit] += 1
                ends += life.ends
                refusals += life.refusals
                writes += life.lost.writes
                names += life.lost.names
        return Found(cut, hits, ends, refusals, (writes, names), broken)

    def _aim(self, control: Control, way: Way, point: int) -> None:
        control.aim(point, kinds=way.kinds, act=way.act, error=way.error, lasting=way.lasting)

    def _aim_again(self, control: Control, way: Way, rng: random.Random) -> None:
        """The start after it is cut, too; what fails on and on goes on."""
        if not way.lasting:
            self._aim(control, way, rng.randint(1, AGAIN_MAX))

    @contextmanager
    def _life(self, *, power: bool, name: str) -> Iterator[tuple[Life, Control]]:
        self._lives += 1
        folder = self._folder / f"life{self._lives}"
        control = Control(self._folder / f"control{self._lives}")
        member = Born(self._nursery, control, folder, 1, (self._host, free_port(self._host)))
        supply = Power(self._folder, folder) if power else None
        if supply is not None:
            member.environment = {key: value for key, value in supply.environment.items() if key != "LD_PRELOAD"}
        yield Life(member, control, random.Random(f"{self._seed}/{name}"), supply), control
        control.close()
        control.path.unlink()
        for one in (folder, folder.with_suffix(".power")):
            shutil.rmtree(one, ignore_errors=True)
        member.log.unlink()
