"""The files that logs are in: found below a folder or in a bundle, read in pieces by several processes, whatever became of them."""

import gzip
import heapq
import multiprocessing
import os
import re
import stat
import tarfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from io import BufferedIOBase
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from coordctl.logs import mining
from coordctl.logs.covering import Covered, covers, joined
from coordctl.logs.lines import Line, Parser, is_host
from coordctl.logs.mining import Miner, Piece, Summary
from coordnode.errors import BadRequest

PIECE_BYTES = 32 * 1024 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
HEAD_BYTES = 64 * 1024  # in which a member of another engine says who it is
ALONE_BYTES_MAX = 24 * 1024 * 1024  # so much is read sooner than other processes are started
LINE_BYTES_MAX = 1024 * 1024  # what has no end of line for so long is cut there
UNPACKED_BYTES_MAX = 8 * 1024 * 1024 * 1024  # of one bundle
EVER_MS = 1 << 62
MARK = b"\xef\xbb\xbf"  # with which some begin a file of text
ENTRY_BYTES_MAX = 1024 * 1024  # of a line and what has no time behind it: what goes on for longer is cut there
ENTRY_LINES_MAX = 1_000
TAIL_BYTES = 64 * 1024  # in which most logs have their last lines
NOBODY_APART: Mapping[str, int] = MappingProxyType({})
WHOLE: Mapping[str, int] = MappingProxyType({})
HOLE_MS = 2_000  # a flight recorder that told nothing for so long lost a pulse
FLIGHT = "flight.log"
GENERIC = frozenset({"log", "logs", "flight", "etcd", "zookeeper", "coordnode", "events", "output", "messages", "journal", "kernel", "out"})
HOST_LOGS = ("kernel", "journal", "output")
NOT_LOGS = (".seg", ".snap", ".part", ".rotten", ".tmp", ".pyc", ".pid", ".sock", ".toml", ".html", ".md", ".py")
NOT_LOG_FILES = frozenset(
    {
        "cluster.json",
        "manifest.json",
        "identity",
        "mark",
        "lock",
        "hard_state.a",
        "hard_state.b",
        "status.json",
        "metrics.txt",
        "settings.txt",
        "wal-verify.json",
    }
)
_PUT_ASIDE = re.compile(r"\.\d{1,4}$")
_ROTATED = re.compile(r"(?:[.-]\d{8}(?:-\d+)?|\.\d{1,4}|\.gz|\.log|\.txt|\.jsonl?|\.out|\.err)$")


class Source(NamedTuple):
    path: str
    label: str  # of the member it is of, as far as its place tells
    is_flight: bool
    size: int
    written_ms: int
    called: str  # what whoever asked knows it as: `path` may be of a copy that goes away

    @property
    def is_packed(self) -> bool:
        return self.path.endswith(".gz")

    def parser(self) -> Parser:
        return Parser(self.written_ms)


class Troubled(NamedTuple):
    called: str
    why: str


class Found(NamedTuple):
    sources: list[Source]
    troubles: list[Troubled]


# --- finding -------------------------------------------------------------------------------------------------------


def as_it_is(path: str) -> str:
    return path


def find(places: Sequence[str], troubles: Sequence[Troubled] = (), called: Callable[[str], str] = as_it_is) -> Found:
    """Every file below these places that may be a log. Raises BadRequest when there is none. `troubles`: with getting at the places."""
    sources: list[Source] = []
    troubles = [*troubles]
    for place in places:
        if not os.path.exists(place):
            raise BadRequest(f"{place}: there is no such file or folder")
        for path in sorted(_below(place)) if os.path.isdir(place) else [place]:
            name = called(path)
            if (shown := os.fsencode(name).decode(errors="backslashreplace")) != name:
                troubles.append(Troubled(shown, "its name is no text: rename it"))
                continue
            try:
                found = os.stat(path)
                if not stat.S_ISREG(found.st_mode):  # whoever opens a pipe waits for its other end
                    troubles.append(Troubled(name, "is no file"))
                    continue
                size = found.st_size
                with open(path, "rb"):
                    pass
            except OSError as error:
                troubles.append(Troubled(name, f"cannot be read: {error.strerror}"))
                continue
            if size == 0:
                troubles.append(Troubled(name, "is empty"))
                continue
            written_ms = min(found.st_mtime_ns, time.time_ns()) // 1_000_000
            sources.append(Source(path, label_of(path), os.path.basename(path).startswith(FLIGHT), size, written_ms, name))
    if not sources and not troubles:
        raise BadRequest(f"no logs are in {', '.join(map(called, places))}: name log files, folders with logs in them, or a bundle")
    return Found(sources, troubles)


def _below(place: str) -> Iterator[str]:
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name not in ("wal", "snapshots", "journals", "blobs", "__pycache__") and name[:1] != "."]
        for name in names:
            if is_host(os.path.basename(folder)) and name.partition(".")[0] not in HOST_LOGS:
                continue  # what a bundle has of a host beside its logs
            if not name.endswith(NOT_LOGS) and name not in NOT_LOG_FILES and not name.startswith("hard_state"):
                yield os.path.join(folder, name)


def label_of(path: str) -> str:
    """n1 of n1.log.2.gz, n1-20261128.log and n1/flight.log."""
    name = os.path.basename(path)
    while True:
        shorter = _ROTATED.sub("", name)
        if shorter == name or not shorter:
            break
        name = shorter
    if not name.strip("."):  # a folder is made by that name, where an archive is
        name = os.path.basename(path)
    parent = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return parent if name.lower() in GENERIC and parent else name


def is_put_aside(path: str) -> bool:
    """n1.log.1: nobody writes to it any more."""
    return _PUT_ASIDE.search(path) is not None


# --- bundles -------------------------------------------------------------------------------------------------------


def is_bundle(path: str) -> bool:
    return path.endswith((".tar.gz", ".tgz", ".tar")) and os.path.isfile(path)


def unpack(path: str, folder: str) -> list[Troubled]:
    """Files only, below `folder` only, whatever the names in the archive say."""
    troubles = []
    room = UNPACKED_BYTES_MAX
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                parts = [part for part in member.name.split("/") if part not in ("", ".", "..")]
                if not member.isfile() or not parts:
                    continue
                room -= member.size
                if room < 0:
                    troubles.append(
                        Troubled(path, f"holds more than {UNPACKED_BYTES_MAX >> 30} GiB: what is behind {member.name} is left out")
                    )
                    break
                content = archive.extractfile(member)
                assert content is not None
                where = os.path.join(folder, *parts)
                os.makedirs(os.path.dirname(where), exist_ok=True)
                with open(where, "wb") as file:
                    while block := content.read(BLOCK_BYTES):
                        file.write(block)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:  # ValueError: a name that no file can have
        troubles.append(Troubled(path, f"is cut off or damaged ({error}): what could be unpacked is used"))
    return troubles


# --- reading -------------------------------------------------------------------------------------------------------


def opened(path: str) -> BufferedIOBase:
    return gzip.GzipFile(path, "rb") if path.endswith(".gz") else open(path, "rb")


def lines_of(file: BufferedIOBase, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Lines that begin in [start, end), each with its offset. `start` is where a line begins."""
    file.seek(start)
    base, rest = start, b""
    while base < end:
        block = file.read1(BLOCK_BYTES)  # of what is cut off, all that there is
        if not block:
            break
        data = rest + block
        at = len(MARK) if base == 0 and data.startswith(MARK) else 0
        find_end = data.find
        while (stop := find_end(b"\n", at)) >= 0 and base + at < end:
            yield base + at, data[at:stop]
            at = stop + 1
        rest = data[at:]
        base += at
        if len(rest) > LINE_BYTES_MAX and base < end:
            yield base, rest[:LINE_BYTES_MAX]
            base, rest = base + len(rest), b""
    if rest and base < end:
        yield base, rest


def line_start(file: BufferedIOBase, offset: int) -> int:
    """Where the first line begins at or behind it."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    ahead = file.read(1)
    while b"\n" not in ahead and len(ahead) <= LINE_BYTES_MAX and (more := file.read(65_536)):
        ahead += more
    return offset + ahead.find(b"\n") if b"\n" in ahead else offset - 1 + len(ahead)


def whole_lines_end(file: BinaryIO) -> int:
    """Behind the last end of line that is there by now."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - TAIL_BYTES)
        file.seek(start)
        if (newline := file.read(end - start).rfind(b"\n")) >= 0:
            return start + newline + 1
        end = start
    return 0


def timed_lines(file: BufferedIOBase, parser: Parser, start: int, end: int) -> Iterator[Line]:
    """Those that begin in [start, end) and have a time, however much without one stands between them."""
    for _, raw in lines_of(file, start, end):
        line = mining.parsed(parser, raw)
        if line is not None:
            yield line


def seek(source: Source, at_ms: int) -> int:
    """An offset before which no line is as late as that, found by halving: times of a log only grow, but for small steps."""
    if at_ms <= 0 or source.is_packed or source.size < BLOCK_BYTES:
        return 0
    parser = source.parser()
    low, high = 0, source.size
    with open(source.path, "rb") as file:
        while high - low > BLOCK_BYTES:
            middle = (low + high) // 2
            start = line_start(file, middle)
            line = next(timed_lines(file, parser, start, high), None)
            if line is None or line.at_ms >= at_ms:
                high = middle
            else:
                low = start
    return low


def readable(lines: Iterator[Line]) -> Iterator[Line]:
    """As far as what is packed can be unpacked; whoever mines it says what is wrong."""
    try:
        yield from lines
    except (OSError, EOFError, zlib.error):
        return


def mine_piece(piece: Piece, start: int, end: int) -> Summary:
    """What a process of the pool does."""
    miner = Miner(piece)
    try:
        with opened(piece.path) as file:
            miner.take(lines_of(file, start, end))
            if not piece.path.endswith(".gz") and end >= os.fstat(file.fileno()).st_size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    miner.summary.problem(piece.path, mining.CUT, "its last line has no end")
    except (OSError, EOFError, zlib.error) as error:
        miner.summary.problem(piece.path, mining.CUT if isinstance(error, EOFError) else mining.UNREADABLE, str(error))
    return miner.summary


class Mined(NamedTuple):
    summary: Summary
    sources: list[Source]
    troubles: list[Troubled]


Progress = Callable[[int, int], None]


def no_progress(done: int, whole: int) -> None:
    pass


def mine(found: Found, from_ms: int, to_ms: int, apart_ms: Mapping[str, int] = NOBODY_APART, progress: Progress = no_progress) -> Mined:
    """Everything from then to then, by as many processes as it is worth. `apart_ms`: by label, how far off a member's clock may be."""
    covered = _covered(found.sources)
    jobs: list[tuple[Piece, int, int]] = []
    for number, source in enumerate(found.sources):
        low_ms, high_ms = reach(from_ms, to_ms, apart_ms.get(source.label, 0))
        piece = Piece(source.path, number, source.label, source.written_ms, low_ms, high_ms, {} if source.is_flight else covered)
        start = seek(source, low_ms)
        end = source.size if source.is_packed or high_ms >= EVER_MS else min(source.size, seek(source, high_ms) + 2 * BLOCK_BYTES)
        if source.is_packed:
            jobs.append((piece, 0, EVER_MS))
            continue
        with open(source.path, "rb") as file:
            if start and not is_ours(source):  # who it is and whom it follows was said before
                jobs.append((piece, 0, min(start, HEAD_BYTES)))
                start = line_start(file, max(0, start - BLOCK_BYTES))
            while start < end:
                stop = min(end, line_start(file, start + PIECE_BYTES)) if start + PIECE_BYTES < end else end
                jobs.append((piece, start, stop))
                start = stop
    summary = mining.merged(_done(jobs, found.sources, progress))
    summary.bytes = sum(source.size for source in found.sources)
    return Mined(summary, found.sources, found.troubles)


def reach(from_ms: int, to_ms: int, off_ms: int) -> tuple[int, int]:
    """Of a log, by its own clock, that is so much off or that much earlier or later than the others."""
    return from_ms + min(0, off_ms), to_ms + max(0, off_ms)


def is_ours(source: Source) -> bool:
    with open(source.path, "rb") as file:
        line = next(timed_lines(file, source.parser(), 0, EVER_MS), None)
    return line is not None and line.is_event


def _done(jobs: list[tuple[Piece, int, int]], sources: list[Source], progress: Progress) -> Iterator[Summary]:
    sizes = [sources[piece.number].size if end >= EVER_MS else end - start for piece, start, end in jobs]
    whole, done = sum(sizes), 0
    workers = min(len(jobs), os.cpu_count() or 1)
    if whole <= ALONE_BYTES_MAX or workers < 2:
        for job, size in zip(jobs, sizes, strict=True):
            yield mine_piece(*job)
            done += size
            progress(done, whole)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context()) as pool:
        for result, size in zip(pool.map(mine_piece, *zip(*jobs, strict=True)), sizes, strict=True):
            yield result
            done += size
            progress(done, whole)


def _covered(sources: Iterable[Source]) -> Covered:
    """Members whose flight recorder is there: their logs say nothing more about the times in which it told each second."""
    found: dict[str, list[tuple[int, int]]] = {}
    for source in sources:
        if not source.is_flight:
            continue
        member, stretches = _stretches(source)
        for whose in {member or source.label, source.label}:
            found.setdefault(whose, []).extend(stretches)
    return {member: joined(stretches) for member, stretches in found.items() if stretches}


def _stretches(source: Source) -> tuple[str, list[tuple[int, int]]]:
    """Whose recorder it is, and from when to when it told something each second: what it lost, for want of room, its log may have."""
    member = ""
    found: list[tuple[int, int]] = []
    with opened(source.path) as file:
        for line in readable(timed_lines(file, source.parser(), 0, EVER_MS)):
            member = member or line.member
            if found and -HOLE_MS <= line.at_ms - found[-1][1] <= HOLE_MS:
                found[-1] = (min(found[-1][0], line.at_ms), max(found[-1][1], line.at_ms))
            else:
                found.append((line.at_ms, line.at_ms))
    return member, found


def text_at(sources: Sequence[Source], place: int) -> str:
    """The line that a summary remembers by its place."""
    source = sources[place >> mining.FILE_SHIFT]
    offset = place & ((1 << mining.FILE_SHIFT) - 1)
    try:
        with opened(source.path) as file:
            _, raw = next(lines_of(file, offset, offset + 1))
    except (OSError, EOFError, zlib.error, StopIteration):
        return ""
    return raw[: mining.SAMPLE_CHARS].replace(b"\0", b"").decode(errors="replace")


# --- lines, one by one ---------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A line with its time; what has none, as the lines of a traceback, belongs to the line before it."""

    at_ms: int
    label: str
    raw: bytes
    line: Line


def head_of(source: Source, before_ms: int) -> Iterator[Told]:
    """What a member of another engine said first, which is who it is."""
    if not source.is_packed and not source.is_flight and not is_ours(source):
        yield from told_in(source, 0, before_ms, HEAD_BYTES)


class _Entry:
    """A line with a time, and what stands behind it without one."""

    def __init__(self, first: Told) -> None:
        self._first = first
        self._more: list[bytes] = []
        self._room = ENTRY_BYTES_MAX - len(first.raw)
        self._cut = 0

    def add(self, raw: bytes) -> None:
        self._room -= len(raw) + 1
        if self._cut or self._room < 0 or len(self._more) >= ENTRY_LINES_MAX:
            self._cut += 1
        else:
            self._more.append(raw)

    def told(self) -> Told:
        if not self._more and not self._cut:
            return self._first
        cut = [b"... cut: %d more lines without a time" % self._cut] if self._cut else []
        return self._first._replace(raw=b"\n".join([self._first.raw, *self._more, *cut]))


def told_in(source: Source, from_ms: int, to_ms: int, end: int = EVER_MS) -> Iterator[Told]:
    """Lines of one file within that time, as far as it can be read."""
    parser = source.parser()
    newest: _Entry | None = None
    try:
        with opened(source.path) as file:
            for _, raw in lines_of(file, seek(source, from_ms), end):
                line = mining.parsed(parser, raw)
                if line is None:
                    if newest is not None and raw.strip(b"\0 \r"):
                        newest.add(raw[:LINE_BYTES_MAX])
                    continue
                if newest is not None:
                    yield newest.told()
                newest = _Entry(Told(line.at_ms, source.label, raw, line)) if from_ms <= line.at_ms < to_ms else None
    except (OSError, EOFError, zlib.error):
        pass  # what could be read was; whoever mines it says what is wrong
    if newest is not None:
        yield newest.told()


def told(found: Found, from_ms: int, to_ms: int, ends: Mapping[str, int] = WHOLE) -> Iterator[Told]:
    """Lines of all files, each event once, in the order of their own clocks. `ends`: path -> no line that begins there or behind it."""
    covered = _covered(found.sources)

    def once(source: Source) -> Iterator[Told]:
        for one in told_in(source, from_ms, to_ms, ends.get(source.path, EVER_MS)):
            if source.is_flight or not covers(covered.get(one.line.member or source.label, ()), one.at_ms):
                yield one

    return heapq.merge(*[once(source) for source in found.sources], key=lambda one: one.at_ms)
