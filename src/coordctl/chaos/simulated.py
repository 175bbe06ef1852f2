"""A playbook's rows as faults of the simulator: the same timetable on the same code, many times faster, from many seeds. Pure.

It is an approximation, and each one is told: there a follower is any member, and what is done to a link's speed is done to all links.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from coordctl.chaos import targets, values
from coordctl.chaos.playbook import Playbook, Row
from coordctl.chaos.targets import ONE_WAY, Group, Members
from coordnode.simulator import faults
from coordnode.simulator.faults import LEADER, Fault

LOOP_EVERY_MS, LOOP_DOWN_MS = 1_000, 300
NO_COUNTERPART = ("bandwidth", "reset", "clock-strobe")
WALL_MIDDLE_MS, WALL_MS_MAX = 10_000_000, 9_000_000  # how the simulator writes a jump of nothing, and the widest that is surely one
RATE_MIDDLE_PPM = 1_000  # and a clock that goes right; it goes wrong by no more than that


class Plan(NamedTuple):
    faults: tuple[Fault, ...]
    approximations: tuple[str, ...]


class NoCounterpart(Exception):
    """A row that the simulator cannot do."""


class _Draft(NamedTuple):
    at_ms: int
    kind: str
    victim: int
    lasting_ms: int
    amount: int


def plan(playbook: Playbook, members: int) -> Plan:
    """Raises NoCounterpart."""
    chance = Random(playbook.seed)
    approximations: dict[str, None] = {}
    drafts = sorted(draft for row in playbook.rows for draft in _drafts(row, members, chance, approximations))
    return Plan(tuple([Fault(number, *draft) for number, draft in enumerate(drafts)]), tuple(approximations))


def _drafts(row: Row, members: int, chance: Random, told: dict[str, None]) -> Iterator[_Draft]:
    where = f"row {row.number}"
    if row.do in NO_COUNTERPART:
        raise NoCounterpart(f"{where}: {row.do} has no counterpart in the simulator: leave the row out, or run it on members")
    for group in (row.to.source, row.to.sink):
        if group.text == targets.FOLLOWER:
            told[f"{where}: a follower is any member there, and may lead"] = None
    if row.do in ("delay", "loss"):
        told[f"{where}: {row.do} hits all links there"] = None
        amount = values.duration_ms(row.by) if row.do == "delay" else round(values.percent(row.by) * 10)
        yield _Draft(row.at_ms, faults.DELAY if row.do == "delay" else faults.LOSS, 0, row.for_ms, amount)
    elif row.do == "cut":
        yield from _cuts(row, members, chance)
    elif row.do in DISKS or row.do in CLOCKS:
        for victim in _victims(row.to.source, members, chance):
            yield from _on_disk(row, victim, chance) if row.do in DISKS else _on_clock(row, victim, told)
    else:
        for victim in _victims(row.to.source, members, chance):
            if row.do == "crash-loop":
                for at_ms in range(row.at_ms, row.end_ms, LOOP_EVERY_MS):
                    yield _Draft(at_ms, faults.CRASH, victim, LOOP_DOWN_MS, 0)
            else:
                yield _Draft(row.at_ms, faults.CRASH if row.do == "kill" else faults.PAUSE, victim, row.for_ms, 0)


DISKS = {
    "disk-full": faults.FULL_DISK,
    "fill-disk": faults.FULL_DISK,
    "slow-fsync": faults.SLOW_DISK,
    "eio": faults.FSYNC_FAILS,
    "rot": faults.ROT_RECORD,
    "power-loss": faults.CRASH_IN_WRITE,
}
CLOCKS = ("clock-jump", "clock-drift")


def _on_disk(row: Row, victim: int, chance: Random) -> Iterator[_Draft]:
    amounts = {"slow-fsync": values.duration_ms(row.by) if row.do == "slow-fsync" else 0, "power-loss": 1 + chance.randrange(40)}
    amount = chance.randrange(10**9) if row.do == "rot" else amounts.get(row.do, 0)
    yield _Draft(row.at_ms, DISKS[row.do], victim, row.for_ms, amount)


def _on_clock(row: Row, victim: int, told: dict[str, None]) -> Iterator[_Draft]:
    """There nothing undoes it by itself."""
    if row.do == "clock-jump":
        jump_ms = max(-WALL_MS_MAX, min(WALL_MS_MAX, values.signed_duration_ms(row.by)))
        told[f"row {row.number}: only the clock on the wall jumps there"] = None
        yield _Draft(row.at_ms, faults.WALL_JUMP, victim, 0, WALL_MIDDLE_MS + jump_ms)
        yield _Draft(row.end_ms, faults.WALL_JUMP, victim, 0, WALL_MIDDLE_MS - jump_ms)
        return
    wanted_ppm = round(values.signed_percent(row.by) * 10_000)
    rate_ppm = max(-RATE_MIDDLE_PPM, min(RATE_MIDDLE_PPM, wanted_ppm))
    if rate_ppm != wanted_ppm:
        told[f"row {row.number}: clocks go wrong by 0.1% at most there"] = None
    yield _Draft(row.at_ms, faults.CLOCK_RATE, victim, 0, RATE_MIDDLE_PPM + rate_ppm)
    yield _Draft(row.end_ms, faults.CLOCK_RATE, victim, 0, RATE_MIDDLE_PPM)


def _victims(group: Group, members: int, chance: Random) -> list[int]:
    return [LEADER] if group.text == targets.LEADER else _places(group, members, chance, [])


def _places(group: Group, members: int, chance: Random, left: list[int]) -> list[int]:
    """A member named nK is the K-th there; a follower is any."""
    names = tuple([f"n{number + 1}" for number in range(members)])
    meant = Group(targets.RANDOM) if group.text == targets.FOLLOWER else group
    try:
        chosen = meant.names(Members(names, names[0]), chance, [names[place] for place in left])
    except ValueError as error:
        raise NoCounterpart(str(error)) from None
    return [names.index(name) for name in chosen]


def _cuts(row: Row, members: int, chance: Random) -> Iterator[_Draft]:
    source, sink = row.to.source, row.to.sink if row.to.arrow else Group(targets.OTHERS)
    is_one_way = row.to.arrow == ONE_WAY
    if targets.LEADER in (source.text, sink.text):
        if source.text != targets.LEADER or sink.text != targets.OTHERS:
            raise NoCounterpart(f"row {row.number}: there a leader is cut off from all: leader -> others, or leader <-> others")
        if is_one_way:
            for other in range(members - 1):
                yield _Draft(row.at_ms, faults.ONE_WAY, LEADER, row.for_ms, other)
        else:
            yield _Draft(row.at_ms, faults.ISOLATE, LEADER, row.for_ms, 0)
        return
    left, right = targets.in_both(source, sink, lambda group, of: _places(group, members, chance, of))
    pairs = [(one, other) for one in left for other in right if one != other]
    if not is_one_way:
        pairs += [(other, one) for one, other in pairs if (other, one) not in pairs]
    for one, other in pairs:
        yield _Draft(row.at_ms, faults.ONE_WAY, one, row.for_ms, other - (other > one))
