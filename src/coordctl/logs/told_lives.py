"""Lives of members that speak only when something happens: from their own starts and ends, and from what the others say of them. Pure.

Silence alone proves nothing here. Whoever is stopped says nothing while others give it up by a timeout, and speaks again as the same
process; whoever is only cut off misses them just as they miss it, and says so at the same time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordctl.logs.comparing import Side
from coordctl.logs.foreign import ENGINE
from coordctl.logs.mining import PEER_MISSED, Act

ENDS = ("leaving", "stopped", "failed", "rotten", "diverged")  # some do not say more than that they leave
NOT_RUNNING = "not_running"  # an act: whoever asks sees it
GIVEN_UP_MS = 5_000  # after so much silence at least
STILL_MS = 4_000  # before it was given up it had said nothing for so long
AT_ONCE_MS = 200  # whoever speaks so soon after it was given up was not stopped
AWAY_MS = 4_000  # and not heard of since: it may be gone
SAME_MS = 1_000  # a start is many lines
NEW_START_MS = 10_000  # whoever speaks again and has started is not the same process


class Stretch(NamedTuple):
    """Of time in which one was not there."""

    from_ms: int
    to_ms: int
    is_over: bool
    ended: Act | None  # its own word for it
    started: Act | None
    is_still: bool  # the same process, which was not run
    around: list[Act]


class _One:
    """All that is known of a member."""

    def __init__(self, side: Side, acts: Sequence[Act], member: str, name: Callable[[object], str]) -> None:
        shift_ms = side.offset(member).ms
        cells = (cells for (whose, _), cells in side.summary.cells.items() if whose == member)
        self.spoke_ms = sorted({int(cell[2]) - shift_ms for kind in cells for cell in kind.values()})
        self.last_ms = side.summary.spans[member][1] - shift_ms
        self.mine = [act for act in acts if act.member == member]
        about = [act for act in acts if act.member != member and name(act.fields.get("peer")) == member]
        self.missed = [act for act in about if act.kind in PEER_MISSED]
        self.up = [act for act in about if act.kind == "peer_up"]
        self.starts = [act for act in self.mine if act.kind == "started"]
        since, engine = side.summary.facts[member, ENGINE][0]
        self.first_ms = since - shift_ms  # of its whole log
        # Who was stopped finds its connections ended; who waited for their timeout was not. etcd counts the time in which it was not run.
        self.hears_ends = engine == "zookeeper"

    def last_before(self, at_ms: int) -> int:
        place = bisect_left(self.spoke_ms, at_ms)
        return self.spoke_ms[place - 1] if place else 0

    def first_after(self, at_ms: int) -> int:
        place = bisect_right(self.spoke_ms, at_ms)
        return self.spoke_ms[place] if place < len(self.spoke_ms) else 0

    def spoke_at(self, given_up_ms: int) -> bool:
        """When others had no answer for long."""
        return 0 < self.first_after(given_up_ms - STILL_MS) <= given_up_ms + AT_ONCE_MS

    def missed_between(self, from_ms: int, to_ms: int) -> list[Act]:
        return [act for act in self.missed if from_ms <= act.at_ms < to_ms]


def stretches(side: Side, acts: Sequence[Act], member: str, name: Callable[[object], str]) -> list[Stretch]:
    one = _One(side, acts, member, name)
    found = [*_ended(one, side.window.from_ms), *_still(one)]
    open_end = _open_end(one, min(side.heard_ms(), side.window.to_ms))
    return [*found, open_end] if open_end is not None else found


def _ended(one: _One, from_ms: int) -> list[Stretch]:
    """Before each start but the first."""
    found = []
    before_ms = 0
    for start in one.starts:
        ended = next((act for act in one.mine if act.kind in ENDS and before_ms <= act.at_ms < start.at_ms), None)
        last_ms = one.last_before(start.at_ms - SAME_MS)
        missed = one.missed_between(max(last_ms, before_ms), start.at_ms)
        before_ms = start.at_ms + SAME_MS
        is_first = one.first_ms > start.at_ms - SAME_MS
        if start.at_ms < from_ms or is_first:
            continue
        began_ms = ended.at_ms if ended is not None else missed[0].at_ms if missed else last_ms or start.at_ms
        found.append(Stretch(began_ms, start.at_ms, True, ended, start, False, []))
    return found


def _still(one: _One) -> list[Stretch]:
    found: list[Stretch] = []
    for act in one.missed:
        if act.kind != "peer_silent" or (found and act.at_ms < found[-1].to_ms + GIVEN_UP_MS):
            continue
        back_ms = one.first_after(act.at_ms)
        started = any(act.at_ms < start.at_ms < back_ms + NEW_START_MS for start in one.starts)
        words = [mine for mine in one.mine if back_ms <= mine.at_ms < back_ms + SAME_MS]
        if one.spoke_at(act.at_ms) or started or not back_ms or (one.hears_ends and any(mine.kind == "peer_silent" for mine in words)):
            continue
        around = one.missed_between(act.at_ms, back_ms) + words
        began_ms = max(act.at_ms - GIVEN_UP_MS, one.last_before(act.at_ms))
        found.append(Stretch(began_ms, back_ms, True, None, None, True, around))
    return found


def _open_end(one: _One, heard_ms: int) -> Stretch | None:
    """It is not there, or nobody hears of it."""
    started_ms = one.starts[-1].at_ms if one.starts else 0
    ended = next((act for act in one.mine if act.kind in ENDS and act.at_ms > started_ms), None)
    missing = next((act for act in one.mine if act.kind == NOT_RUNNING), None)
    last_ms = (
        one.last_ms if one.last_ms <= heard_ms else one.last_before(heard_ms + 1) // 1_000 * 1_000 + 999
    )  # of a second only its first line is known
    missed = one.missed_between(last_ms, heard_ms)
    if ended is not None:
        return Stretch(ended.at_ms, heard_ms, False, ended, None, False, [])
    if missing is not None:
        return Stretch(missed[0].at_ms if missed else last_ms or heard_ms, heard_ms, False, None, None, False, [missing])
    back = {act.member: act.at_ms for act in one.up}
    missed = [act for act in missed if back.get(act.member, 0) < act.at_ms and not (act.kind == "peer_silent" and one.spoke_at(act.at_ms))]
    if missed and heard_ms - missed[0].at_ms >= AWAY_MS:
        return Stretch(missed[0].at_ms, heard_ms, False, None, None, False, [])
    return None
