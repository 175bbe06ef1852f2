"""How far each member's clock is from the others', from the places of the log that their lines name. Pure.

Members pass the same (term, index) at nearly the same moment. A line of one that stands before that place and a line behind it give
an interval in which its clock passed it; two members' intervals bound the difference of their clocks. Most bounds are right, those of
a member that was behind are not: the offset that most of them agree on is taken (Marzullo's algorithm), with what is left as its error.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

PLACES_MAX = 2_000  # of one pair of members
AGREEING_MIN = 0.7  # share of the bounds; fewer: the clock was set meanwhile, or the member was far behind, and nothing is corrected
PASSING_MS = 80  # followers hear of what is committed with the next heartbeat
PLACES_MIN = 3  # fewer bounds may all be wrong
ERROR_LEAST_MS = 5
BEGINS, ENDS = -1, 1  # of an interval; where one begins and another ends they overlap

Anchor = tuple[int, int, int]  # term, index, ms


class Offset(NamedTuple):
    ms: int  # so much is its clock ahead of the cluster's middle
    error_ms: int
    places: int  # bounds that it rests on, one if its clock was asked; 0: nothing is known, its times are taken as they are
    agreeing: float  # share of the bounds that hold for it


UNKNOWN = Offset(0, 0, 0, 0.0)
NOTHING_ASKED: Mapping[str, Offset] = MappingProxyType({})
ASKED_ERROR_MS = 2_000  # of a host that is asked what time it is, and takes a while to answer


def of_one_clock(members: Iterable[str]) -> dict[str, Offset]:
    return dict.fromkeys(members, Offset(0, ERROR_LEAST_MS, 1, 1.0))


def of_hosts(ahead_ms: Mapping[str, int]) -> dict[str, Offset]:
    """`ahead_ms`: of our clock, by what they said when they were asked; what most of them say is taken to be right."""
    middle_ms = sorted(ahead_ms.values())[(len(ahead_ms) - 1) // 2] if ahead_ms else 0
    off_ms = {member: ms - middle_ms for member, ms in ahead_ms.items()}
    return {member: Offset(ms if abs(ms) > ASKED_ERROR_MS else 0, ASKED_ERROR_MS, 1, 1.0) for member, ms in off_ms.items()}


def offsets(anchors: Mapping[str, Sequence[Anchor]], asked: Mapping[str, Offset] = NOTHING_ASKED) -> dict[str, Offset]:
    """Of each member; `asked`: what is known of their clocks otherwise, for those whose lines do not tell."""
    found = _by_places(anchors)
    return found | {member: offset for member, offset in asked.items() if not found.get(member, UNKNOWN).places}


def _by_places(anchors: Mapping[str, Sequence[Anchor]]) -> dict[str, Offset]:
    """Against what most of them agree on, so that one wrong clock is not seen as all others being wrong."""
    known = {member: sorted(found) for member, found in anchors.items() if len(found) > 1}
    if not known:
        return dict.fromkeys(anchors, UNKNOWN)
    reference = max(sorted(known), key=lambda member: len(known[member]))
    found = {member: between(known[reference], mine) for member, mine in known.items() if member != reference}
    found[reference] = Offset(0, ERROR_LEAST_MS, len(known[reference]), 1.0)
    edges: list[tuple[int, int]] = []
    for offset in found.values():
        if offset.places:
            edges += [(offset.ms - offset.error_ms, BEGINS), (offset.ms + offset.error_ms, ENDS)]
    start, end, agreeing = _most_covered(edges)
    if 2 * agreeing > len(edges) // 2:
        middle = 0 if start <= 0 <= end else (start + end) // 2  # the reference stays where it is, as long as most agree with it
        if middle:
            found[reference] = found[reference]._replace(error_ms=max(ERROR_LEAST_MS, (end - start + 1) // 2))
    else:
        sure = sorted(offset.ms for offset in found.values() if offset.places)
        middle = sure[(len(sure) - 1) // 2]
    return {member: _moved(found.get(member, UNKNOWN), middle) for member in anchors}


def _moved(offset: Offset, middle: int) -> Offset:
    """A clock that may well be right is taken to be."""
    if not offset.places:
        return UNKNOWN
    ms = offset.ms - middle
    return offset._replace(ms=ms if abs(ms) > offset.error_ms and offset.agreeing >= AGREEING_MIN else 0)


def between(theirs: Sequence[Anchor], ours: Sequence[Anchor]) -> Offset:
    """Our clock less theirs. Both sorted by place."""
    places = [(anchor[0], anchor[1]) for anchor in theirs]
    step = max(1, len(ours) // PLACES_MAX)
    edges: list[tuple[int, int]] = []
    count = 0
    for position in range(step, len(ours), step):
        before, after = ours[position - 1], ours[position]
        place = (after[0], after[1])
        if (before[0], before[1]) == place:
            continue
        behind = bisect_left(places, place)
        if not 0 < behind < len(places):
            continue  # nobody else's line stands before or behind it
        low = before[2] - theirs[behind][2] - PASSING_MS
        high = after[2] - theirs[behind - 1][2] + PASSING_MS
        if low > high:
            continue
        edges += [(low, BEGINS), (high, ENDS)]
        count += 1
    if count < PLACES_MIN:
        return UNKNOWN
    start, end, depth = _most_covered(edges)
    return Offset((start + end) // 2, max(ERROR_LEAST_MS, (end - start + 1) // 2), count, depth / count)


def _most_covered(edges: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Where most intervals overlap, and how many do."""
    edges.sort()
    best = depth = start = end = 0
    for number, (at, kind) in enumerate(edges):
        depth -= kind
        if depth > best:
            best, start = depth, at
            end = edges[number + 1][0]
    return start, end, best
