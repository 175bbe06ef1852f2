"""`logs search` and `logs tail`: lines of all members, one by one, in the order of their times."""

import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from coordctl.inventory.model import Inventory
from coordctl.logs import files
from coordctl.logs.lines import LEVEL_NAMES, Parser
from coordctl.operations.logs import Gathered
from coordctl.operations.windows import Asked, times
from coordctl.results.logs import LogLine
from coordnode.errors import BadRequest

FOLLOW_SECONDS = 0.2
FOLLOW_HOSTS_SECONDS = 1.0
LAST_MS = 600_000  # of hosts so much is looked at for the last lines
OVERLAP_MS = 10_000  # asked for again each time: a line may have been on its way, and clocks differ


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


def tail_hosts(inventory: Inventory, count: int, wanted: Wanted, *, follow: bool) -> Iterator[LogLine]:
    """As `tail`, of members on hosts: the last minutes are fetched, then again and again what was written since."""
    from coordctl.operations.fetching import Fetcher  # paramiko
    from coordctl.operations.fetching import Wanted as WantedOfHosts

    chosen = Filter(wanted)
    fetcher = Fetcher(inventory, "logs tail")
    since_ms = time.time_ns() // 1_000_000 - LAST_MS
    shown_before: set[tuple[str, bytes]] = set()  # hosts' clocks differ, so what is asked for twice is told once
    try:
        while True:
            to_ms = time.time_ns() // 1_000_000 + LAST_MS
            with tempfile.TemporaryDirectory(prefix="coordctl-logs-") as folder:
                asked = WantedOfHosts(from_ms=since_ms, to_ms=to_ms, pattern=wanted.pattern, ignore_case=wanted.ignore_case)
                folders = [place for host in fetcher.fetch(asked, folder) for place in host.folders]
                sources = files.find(folders).sources if folders else []
                told = files.told(files.Found([one for one in sources if not one.is_flight], []), since_ms, to_ms)
                fresh = [one for one in told if chosen.takes(one) and (one.label, one.raw) not in shown_before]
                yield from (shown(one) for one in (fresh if shown_before else deque(fresh, count)))
            if not follow:
                return
            shown_before |= {(one.label, one.raw) for one in fresh} or {("", b"")}
            since_ms = max(since_ms, to_ms - LAST_MS - OVERLAP_MS)
            time.sleep(FOLLOW_HOSTS_SECONDS)
    finally:
        fetcher.close()


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
