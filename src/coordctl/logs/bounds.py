"""From when to when logs go, and how far apart those of several members end."""

import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from coordctl.logs import mining
from coordctl.logs.files import EVER_MS, TAIL_BYTES, Source, line_start, lines_of, opened, readable, seek, timed_lines
from coordctl.logs.lines import Line

TAIL_LINES = 1_000
APART_MS_MAX = 3_600_000  # by which members' clocks, or the ends of their logs, may differ and still be of one time


class Ends(NamedTuple):
    """Of one file."""

    first_ms: int
    last_ms: int
    member: str  # whose its last lines are
    is_pulsing: bool  # whose member says something each second, so that it ends when that did


class Bounds(NamedTuple):
    oldest_ms: int
    newest_ms: int  # 0: no line has a time
    begun_ms: Mapping[str, int]  # label of a pulsing member -> its first line
    apart_ms: Mapping[str, int]  # label -> so much later than the others its log ends
    members: Mapping[str, str]  # label of a pulsing member -> its id

    @property
    def astray_ms(self) -> dict[str, int]:
        """Of whom it is not known whether their clocks are off or they, or all others, were gone."""
        return {label: ms for label, ms in self.apart_ms.items() if abs(ms) > APART_MS_MAX}

    @property
    def spread_ms(self) -> int:
        """How far apart the others end: members whose clocks are minutes off are read as far as those that are right."""
        near = [ms for ms in self.apart_ms.values() if abs(ms) <= APART_MS_MAX]
        return max(near) - min(near) if near else 0


def bounds(sources: Sequence[Source], now_ms: int | None = None) -> Bounds:
    """From the oldest line to the newest. `now_ms`: of a cluster that is there, which has none that is later.

    In files a clock that is hours ahead of most says nothing of how late it is, but whoever goes on and misses the others does.
    """
    ends = [(source, found) for source in sources if (found := ends_of(source)) is not None]
    begun: dict[str, int] = {}
    pulsing: dict[str, int] = {}
    others: dict[str, int] = {}  # who speaks only now and then ends where it has nothing to say
    members: dict[str, str] = {}
    for source, found in ends:
        lasts = pulsing if found.is_pulsing else others
        lasts[source.label] = max(found.last_ms, lasts.get(source.label, 0))
        if found.is_pulsing:
            begun[source.label] = min(found.first_ms, begun.get(source.label, EVER_MS))
            members[source.label] = found.member
    oldest_ms, latest_ms = min((found.first_ms for _, found in ends), default=0), max((found.last_ms for _, found in ends), default=0)
    if now_ms is not None:
        newest_ms = min(latest_ms, now_ms)
        usual_ms = min(max(pulsing.values(), default=latest_ms), now_ms)
    elif pulsing:
        usual_ms = _newest_of_most(sources, pulsing, members)
        newest_ms = max(last for last in (*pulsing.values(), *others.values(), usual_ms) if last <= usual_ms + APART_MS_MAX)
    else:
        newest_ms = usual_ms = latest_ms
    if pulsing:
        return Bounds(oldest_ms, newest_ms, begun, {label: last - usual_ms for label, last in pulsing.items()}, members)
    return Bounds(oldest_ms, newest_ms, begun, {label: max(last - usual_ms, -APART_MS_MAX) for label, last in others.items()}, members)


def _newest_of_most(sources: Sequence[Source], lasts: Mapping[str, int], members: Mapping[str, str]) -> int:
    """Of those that most are near; or of who goes on later, and misses all that end earlier."""
    most_ms = max(lasts.values(), key=lambda last: (sum(0 <= last - other <= APART_MS_MAX for other in lasts.values()), last))
    later = {label: last for label, last in lasts.items() if last > most_ms + APART_MS_MAX}
    for label, last_ms in sorted(later.items(), key=lambda one: -one[1]):
        earlier = {other: last for other, last in lasts.items() if last < last_ms - APART_MS_MAX}
        missed = _missed_by([source for source in sources if source.label == label], min(earlier.values()) - APART_MS_MAX)
        if {members[other] for other in earlier} <= missed:
            return last_ms
    return most_ms


def _missed_by(sources: Sequence[Source], since_ms: int) -> set[str]:
    """Ids of those that whoever wrote these lost since then, and who have not come back."""
    told = sorted((line for source in sources for line in readable(_of_peers(source, since_ms))), key=lambda line: line.at_ms)
    latest = {str(line.fields.get("peer")): line.kind for line in told}
    return {peer for peer, kind in latest.items() if kind in mining.PEER_MISSED}


def _of_peers(source: Source, since_ms: int) -> Iterator[Line]:
    parser = source.parser()
    with opened(source.path) as file:
        for _, raw in lines_of(file, seek(source, since_ms), EVER_MS):
            line = mining.parsed(parser, raw) if b'"peer_' in raw else None  # few are: the others are not parsed for them
            if line is not None and line.at_ms >= since_ms and line.kind in (*mining.PEER_MISSED, *mining.PEER_BACK):
                yield line


@cache
def ends_of(source: Source) -> Ends | None:
    try:
        with opened(source.path) as file:
            first = next(timed_lines(file, source.parser(), 0, EVER_MS), None)
        last = _last_lines(source) if first is not None else ()
    except (OSError, EOFError, zlib.error):
        return None
    if first is None or not last:
        return None
    member = next((line.member for line in reversed(last) if line.member), "")
    is_pulsing = source.is_flight or any(line.kind == "pulse" for line in last)
    return Ends(min(first.at_ms, last[-1].at_ms), max(first.at_ms, last[-1].at_ms), member, is_pulsing)


def _last_lines(source: Source) -> Sequence[Line]:
    """The newest one with a time, and some before it."""
    parser = source.parser()
    with opened(source.path) as file:
        if source.is_packed:
            return deque(readable(timed_lines(file, parser, 0, EVER_MS)), TAIL_LINES)
        end, block = source.size, TAIL_BYTES
        while end > 0:
            start = max(0, end - block)
            found = deque(timed_lines(file, parser, line_start(file, start), end), TAIL_LINES)
            if found:
                return found
            end, block = start, 2 * block
    return ()
