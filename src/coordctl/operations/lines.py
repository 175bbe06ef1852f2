"""`logs search` and `logs tail`: lines of all members, one by one, in the order of their times."""

import os
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple, Self

from coordctl.inventory.model import Inventory
from coordctl.logs import files, mining
from coordctl.logs.bounds import bounds
from coordctl.logs.lines import LEVEL_NAMES, Parser
from coordctl.operations.logs import Gathered, no_logs
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
    start, end = (0, files.EVER_MS) if asked == Asked() else _window(logs, asked)
    return (shown(one) for one in files.told(logs.found, start, end) if chosen.takes(one))


def _window(logs: Gathered, asked: Asked) -> tuple[int, int]:
    """Of hosts the one that they were asked for: where the lines that match end says nothing of how late it is."""
    now_ms = time.time_ns() // 1_000_000
    if logs.is_of_hosts:
        return times(asked, 0, now_ms)[:2]
    known = bounds(logs.found.sources, now_ms if logs.is_here else None)
    return times(asked, known.oldest_ms, known.newest_ms)[:2]


def tail(logs: Gathered, count: int, wanted: Wanted, *, follow: bool) -> Iterator[LogLine]:
    """The last lines, then, as long as somebody wants them, those that come."""
    chosen = Filter(wanted)
    sources = [source for source in logs.found.sources if not source.is_packed and not source.is_flight]
    with ExitStack() as open_files:
        followed = [open_files.enter_context(Followed(one)) for one in sources if not files.is_put_aside(one.path)] if follow else []
        told = files.told(files.Found(sources, []), 0, files.EVER_MS, {one.path: one.offset for one in followed})
        last = deque((one for one in told if chosen.takes(one)), maxlen=count)
        yield from map(shown, last)
        while follow:
            fresh = sorted((one for some in followed for one in some.fresh()), key=lambda one: one.at_ms)
            yield from (shown(one) for one in fresh if chosen.takes(one))
            time.sleep(FOLLOW_SECONDS)


class Followed:
    """A log as it grows, from now on; when it is put aside, to its end, and then what takes its name."""

    def __init__(self, source: files.Source) -> None:
        self.path = source.path
        self._source = source
        self._parser = Parser(time.time_ns() // 1_000_000)
        self._file: BinaryIO | None = None
        self._open(is_read=True)
        self.offset = 0 if self._file is None else self._file.tell()  # where it began: what is before it is told by whoever reads the file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def fresh(self) -> list[files.Told]:
        if not self._has_follower():
            return self._lines()
        rest = self._lines()
        self._open(is_read=False)
        return rest + self._lines()

    def _has_follower(self) -> bool:
        """Whether another file has its name by now, and whoever writes has gone over to it."""
        try:
            named = os.stat(self._source.path)
        except OSError:
            return False
        return named.st_size > 0 and (self._file is None or not os.path.samestat(named, os.fstat(self._file.fileno())))

    def _open(self, *, is_read: bool) -> None:
        """`is_read`: so much of it as has an end of line by now."""
        if self._file is not None:
            self._file.close()
        try:
            self._file = open(self._source.path, "rb")  # noqa: SIM115
            if is_read:
                self._file.seek(files.whole_lines_end(self._file))
        except OSError:
            self._file = None

    def _lines(self) -> list[files.Told]:
        """Whole ones only; a file that became shorter was emptied, and begins anew."""
        found: list[files.Told] = []
        if self._file is None:
            return found
        offset = self._file.tell()
        if os.fstat(self._file.fileno()).st_size < offset:
            offset = self._file.seek(0)
        whole, newline, _ = self._file.read().rpartition(b"\n")
        self._file.seek(offset + len(whole) + len(newline))
        for raw in whole.split(b"\n") if newline else ():
            line = mining.parsed(self._parser, raw)
            if line is not None:
                found.append(files.Told(line.at_ms, self._source.label, raw, line))
        return found


Say = Callable[[str], None]


def tail_hosts(inventory: Inventory, count: int, wanted: Wanted, say: Say, *, follow: bool) -> Iterator[LogLine]:
    """As `tail`, of members on hosts: the last minutes are fetched, then again and again what was written since.

    `say`: what cannot be had, and why, each once. Raises Unreachable if that is all there is.
    """
    from coordctl.operations.fetching import Fetcher  # paramiko
    from coordctl.operations.fetching import Wanted as WantedOfHosts

    chosen = Filter(wanted)
    fetcher = Fetcher(inventory, "logs tail")
    since_ms = time.time_ns() // 1_000_000 - LAST_MS
    shown_before: dict[tuple[str, bytes], int] = {}  # with its time; hosts' clocks differ, so what is asked for twice is told once
    said: set[tuple[str, str]] = set()
    is_first = True
    try:
        while True:
            to_ms = time.time_ns() // 1_000_000 + LAST_MS
            with tempfile.TemporaryDirectory(prefix="coordctl-logs-") as folder:
                asked = WantedOfHosts(from_ms=since_ms, to_ms=to_ms, pattern=wanted.pattern, ignore_case=wanted.ignore_case)
                hosts = fetcher.fetch(asked, folder)
                folders = [place for host in hosts for place in host.folders]
                troubles = dict.fromkeys(trouble for host in hosts for trouble in host.missing_logs)
                if is_first and not any(host.has_answered for host in hosts):
                    raise no_logs(inventory, troubles)
                for what, why in (trouble for trouble in troubles if trouble not in said):
                    say(f"{what}: {why}")
                said |= troubles.keys()
                sources = files.find(folders).sources if folders else []
                told = files.told(files.Found([one for one in sources if not one.is_flight], []), since_ms, to_ms)
                fresh = [one for one in told if chosen.takes(one) and (one.label, one.raw) not in shown_before]
                yield from map(shown, deque(fresh, count) if is_first else fresh)
            if not follow:
                return
            is_first = False
            since_ms = max(since_ms, to_ms - LAST_MS - OVERLAP_MS)
            shown_before |= {(one.label, one.raw): one.at_ms for one in fresh}
            shown_before = {key: at_ms for key, at_ms in shown_before.items() if at_ms >= since_ms}  # what is earlier is not asked for
            time.sleep(FOLLOW_HOSTS_SECONDS)
    finally:
        fetcher.close()
