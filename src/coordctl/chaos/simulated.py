"""A playbook's rows as faults of the simulator: the same timetable on the same code, many times faster, from many seeds. Pure.

It is an approximation, and each one is told: there a follower is any member, what is done to a link's speed is done to all links, and
what has no counterpart is left out.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from coordctl.chaos import targets, values
from coordctl.chaos.clients import PAUSE_HOLDER
from coordctl.chaos.faults import ADD, BELONGING, REPLACE
from coordctl.chaos.playbook import Playbook, Row
from coordctl.chaos.targets import ONE_WAY, Group, Members
from coordnode.simulator import faults
from coordnode.simulator.faults import LEADER, Fault

LOOP_EVERY_MS, LOOP_DOWN_MS = 1_000, 300
JOINS_MS = 1_000  # from a learner to a voter
WALL_MIDDLE_MS, WALL_MS_MAX = 10_000_000, 9_000_000  # how the simulator writes a jump of nothing, and the widest that is surely one
RATE_MIDDLE_PPM = 1_000  # and a clock that goes right; it goes wrong by no more than that


class Plan(NamedTuple):
    faults: tuple[Fault, ...]
    approximations: tuple[str, ...]


class NoCounterpart(Exception):
    """A row, or all of a playbook, that the simulator cannot do."""


class _Draft(NamedTuple):
    at_ms: int
    kind: str
    victim: int
    lasting_ms: int
    amount: int


def plan(playbook: Playbook, members: int) -> Plan:
    """Raises NoCounterpart when nothing is left of it."""
    chance = Random(playbook.seed)
    approximations: dict[str, None] = {}
    drafts: list[_Draft] = []
    left_out: list[str] = []
    for row in playbook.rows:
        try:
            drafts += _drafts(row, members, chance, approximations)
        except NoCounterpart as error:
            left_out.append(f"row {row.number} is left out: {error}")
    if not drafts:
        raise NoCounterpart(f"nothing of it can be done in the simulator: {'; '.join(left_out)}; run it on members")
    return Plan(tuple([Fault(number, *draft) for number, draft in enumerate(sorted(drafts))]), (*approximations, *left_out))


def _drafts(row: Row, members: int, chance: Random, told: dict[str, None]) -> list[_Draft]:
    where = f"row {row.number}"
    for group in (row.to.source, row.to.sink):
        if group.text == targets.FOLLOWER:
            told[f"{where}: a follower is any member there, and may lead"] = None
    if row.do in WEATHER:
        told[f"{where}: {row.do} hits all links there"] = None
        amount = round(values.percent(row.by) * 10) if row.do == "loss" else values.duration_ms(row.by)
        return [_Draft(row.at_ms, WEATHER[row.do], 0, row.for_ms, amount)]
    if row.do == "cut":
        return list(_cuts(row, members, chance))
    if row.do == "transfer":
        every_ms = values.duration_ms(row.by)
        return [_Draft(at_ms, faults.TRANSFER, turn, 0, 0) for turn, at_ms in enumerate(range(row.at_ms, row.end_ms, every_ms))]
    if row.do == PAUSE_HOLDER:
        told[f"{where}: a client falls silent there, whether it has the lock or not"] = None
        return [_Draft(row.at_ms, faults.SILENCE, chance.randrange(10**6), row.for_ms, 0)]
    if row.do not in ON_MEMBERS:
        raise NoCounterpart(f"{row.do} has no counterpart in the simulator")
    return [draft for victim in _victims(row.to.source, members, chance) for draft in _on_member(row, victim, chance, told)]


def _on_member(row: Row, victim: int, chance: Random, told: dict[str, None]) -> Iterator[_Draft]:
    if row.do in DISKS:
        yield from _on_disk(row, victim, chance)
    elif row.do in CLOCKS:
        yield from _on_clock(row, victim, told)
    elif row.do in BELONGING:
        yield from _on_members(row, victim, told)
    elif row.do == "crash-loop":
        for at_ms in range(row.at_ms, row.end_ms, LOOP_EVERY_MS):
            yield _Draft(at_ms, faults.CRASH, victim, LOOP_DOWN_MS, 0)
    else:
        yield _Draft(row.at_ms, faults.CRASH if row.do == "kill" else faults.PAUSE, victim, row.for_ms, 0)


def _on_members(row: Row, victim: int, told: dict[str, None]) -> Iterator[_Draft]:
    """There nothing undoes it by itself, and who left never comes back."""
    told[f"row {row.number}: there another member comes in the place of one that left, and any voter leaves when there is one more"] = None
    if row.do == REPLACE:
        yield _Draft(row.at_ms, faults.REPLACE, victim, 0, 0)
        yield _Draft(row.end_ms, faults.REPLACE, 0, 0, 0)
        return
    joins_ms, leaves_ms = (row.at_ms, row.end_ms) if row.do == ADD else (row.end_ms, row.at_ms)
    yield _Draft(joins_ms, faults.ADD_LEARNER, 0, 0, 0)
    yield _Draft(joins_ms + JOINS_MS, faults.PROMOTE, 0, 0, 0)
    yield _Draft(leaves_ms, faults.REMOVE, victim, 0, 0)


WEATHER = {"delay": faults.DELAY, "jitter": faults.DELAY, "loss": faults.LOSS}
DISKS = {
    "disk-full": faults.FULL_DISK,
    "fill-disk": faults.FULL_DISK,
    "slow-fsync": faults.SLOW_DISK,
    "eio": faults.FSYNC_FAILS,
    "rot": faults.ROT_RECORD,
    "power-loss": faults.CRASH_IN_WRITE,
}
CLOCKS = ("clock-jump", "clock-drift")
ON_MEMBERS = (*DISKS, *CLOCKS, *BELONGING, "kill", "pause", "crash-loop")


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
            raise NoCounterpart("there a leader is cut off from all: leader -> others, or leader <-> others")
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
