"""`logs search` and `logs tail`: lines of all members, one by one, in the order of their times."""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from coordctl.logs import files
from coordctl.logs.lines import LEVEL_NAMES, Parser
from coordctl.operations.logs import Gathered
from coordctl.operations.windows import Asked, times
from coordctl.results.logs import LogLine
from coordnode.errors import BadRequest

FOLLOW_SECONDS = 0.2


class Wanted(NamedTuple):
    pattern: str = ""
    level: str = ""  # that or graver
    member: str = ""
    ignore_case: bool = False


class Filter:
    """Raises BadRequest for a pattern that is none."""

    def __init__(self, wanted: Wanted) -> None:
        try:
            self._pattern = re.compile(wanted.pattern.encode(), re.IGNORECASE if wanted.ignore_case else 0)
        except re.error as error:
            raise BadRequest(f"{wanted.pattern!r} is no regular expression: {error}") from None
        self._level = LEVEL_NAMES.index(wanted.level) if wanted.level else 0
        self._member = wanted.member

    def takes(self, one: files.Told) -> bool:
        if one.line.level < self._level or (self._member and self._member not in (one.label, one.line.member)):
            return False
        return self._pattern.search(one.raw) is not None


def shown(one: files.Told) -> LogLine:
    return LogLine(
        at_ms=one.at_ms, member=one.label, level=LEVEL_NAMES[one.line.level], kind=one.line.kind, text=one.raw.decode(errors="replace")
    )


def search(logs: Gathered, asked: Asked, wanted: Wanted) -> Iterator[LogLine]:
    """With no window: everything."""
    chosen = Filter(wanted)
    oldest_ms, newest_ms = files.bounds(logs.found.sources, time.gmtime().tm_year)
    start, end = (0, files.EVER_MS) if asked == Asked() else times(asked, oldest_ms, newest_ms)[:2]
    return (shown(one) for one in files.told(logs.found, start, end) if chosen.takes(one))


def tail(logs: Gathered, count: int, wanted: Wanted, *, follow: bool) -> Iterator[LogLine]:
    """The last lines, then, as long as somebody wants them, those that come."""
    chosen = Filter(wanted)
    where = {source: os.stat(source.path).st_size for source in logs.found.sources if not source.is_packed and not source.is_flight}
    last = deque((one for one in files.told(files.Found(list(where), []), 0, files.EVER_MS) if chosen.takes(one)), maxlen=count)
    yield from map(shown, last)
    parser = Parser(time.gmtime().tm_year)
    while follow:
        fresh = []
        for source, offset in where.items():
            some, where[source] = _since(source, offset, parser)
            fresh += some
        yield from (shown(one) for one in sorted(fresh, key=lambda one: one.at_ms) if chosen.takes(one))
        time.sleep(FOLLOW_SECONDS)


def _since(source: files.Source, offset: int, parser: Parser) -> tuple[list[files.Told], int]:
    """Whole lines only; a file that became shorter was put aside, and begins anew."""
    found: list[files.Told] = []
    try:
        with open(source.path, "rb") as file:
            if os.fstat(file.fileno()).st_size < offset:
                offset = 0
            file.seek(offset)
            data = file.read()
    except OSError:
        return found, offset
    whole, newline, _ = data.rpartition(b"\n")
    for raw in whole.split(b"\n") if newline else ():
        try:
            line = parser.parse(raw)
        except (ValueError, KeyError, TypeError):
            continue
        if line is not None:
            found.append(files.Told(line.at_ms, source.label, raw, line))
    return found, offset + len(whole) + len(newline)
