"""Which stretch of time: `--since 10m`, `--from`, `--to`, `--around 03:12`, read against the newest line there is. All times are UTC."""

import re
from calendar import monthrange, timegm
from time import gmtime
from typing import NamedTuple

from coordnode.errors import BadRequest

WINDOW_MS = 600_000  # where nothing is said
BASELINE_MS = 3_600_000  # so much before it is what it is compared with
AROUND_MS = 300_000
WINDOW_PART = 2 / 3  # of logs that are shorter than all that
DAY_MS = 86_400_000
_WHEN = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d)[T ])?(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?Z?")


class Asked(NamedTuple):
    """As it was typed."""

    since_seconds: float | None = None
    start: str = ""
    end: str = ""
    around: str = ""
    baseline: str = ""  # FROM..TO


class Times(NamedTuple):
    from_ms: int
    to_ms: int
    baseline_from_ms: int
    baseline_to_ms: int


def when(text: str, newest_ms: int) -> int:
    """`03:12`, `03:12:30` or with a date; without one, the last time it was so late before the newest line."""
    match = _WHEN.fullmatch(text.strip())
    if match is None:
        raise BadRequest(f"{text!r} is no time: give UTC as 03:12, 03:12:30 or 2026-11-20T03:12:30Z")
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise BadRequest(f"{text!r} is no time of the day")
    if match[1]:
        date: tuple[int, int, int] = (int(match[1]), int(match[2]), int(match[3]))
        if not 1 <= date[1] <= 12 or not 1 <= date[2] <= monthrange(*date[:2])[1]:
            raise BadRequest(f"{text!r} is no day of the calendar")
    else:
        today = gmtime(newest_ms / 1_000)
        date = (today.tm_year, today.tm_mon, today.tm_mday)
    found = timegm((*date, hour, minute, second)) * 1_000 + int((match[7] or "0").ljust(3, "0"))
    return found - DAY_MS if not match[1] and found > newest_ms + 60_000 else found


def times(asked: Asked, oldest_ms: int, newest_ms: int) -> Times:
    ways = sum((asked.since_seconds is not None, bool(asked.start or asked.end), bool(asked.around)))
    if ways > 1:
        raise BadRequest("give one of --since, --from with --to, or --around")
    end = newest_ms + 1
    if asked.around:
        middle = when(asked.around, newest_ms)
        start, end = middle - AROUND_MS, middle + AROUND_MS
    elif asked.start or asked.end:
        end = when(asked.end, newest_ms) if asked.end else end
        start = when(asked.start, newest_ms) if asked.start else end - WINDOW_MS
    elif asked.since_seconds is not None:
        start = end - round(asked.since_seconds * 1_000)
    else:
        start = end - min(WINDOW_MS, max(1, round((newest_ms - oldest_ms) * WINDOW_PART)))
    if start >= end:
        raise BadRequest("the window ends before it begins: --from must be earlier than --to")
    if not asked.baseline:
        return Times(start, end, max(oldest_ms, start - BASELINE_MS), start)
    first, dots, last = asked.baseline.partition("..")
    if not dots:
        raise BadRequest(f"--baseline {asked.baseline!r}: give FROM..TO, such as 02:02..03:02")
    base_start, base_end = when(first, newest_ms), when(last, newest_ms)
    if base_start >= base_end:
        raise BadRequest(f"--baseline {asked.baseline}: it ends before it begins")
    return Times(start, end, base_start, base_end)
