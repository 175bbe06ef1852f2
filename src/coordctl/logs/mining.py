"""What one log says, counted: how often each kind of line in each second, how large its numbers were, and where the log stood. Pure.

A gigabyte of lines becomes a few megabytes of counts, so logs of any size can be compared; summaries of parts add up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from coordctl.logs import dialects, foreign
from coordctl.logs.covering import Covered, covers
from coordctl.logs.foreign import Dialect, Said
from coordctl.logs.lines import INFO, KILLED_PID, Line, Parser
from coordctl.logs.wall_clock import JUMP_MS, WallClock

KINDS_MAX = 3_000  # of one member; lines of further kinds are counted together
OTHER = "(other lines)"
ACTS_MAX = 4_000  # of one member; what is told once, and wanted in full
TOLD_MAX = 20_000  # acts of other engines' members, whose floods stand among them
TOLD_OFTEN_MAX, OFTEN_MS = 20, 10_000  # of one kind, in so long
ANCHORS_MAX = 20_000  # of one member
ANCHOR_EVERY_MS = 20
SAMPLE_CHARS = 400
FILE_SHIFT = 44  # a line's place: number of its file, and its offset there
SETTLING_MS = 2_000

# Of our own events, those that are kept whole.
ACTS = frozenset(
    {
        *(
            "started",
            "folder",
            "listening",
            "restored",
            "leaving",
            "handed_over",
            "not_handed_over",
            "stopped",
            "failed",
            "diverged",
            "rotten",
        ),
        *("role", "elected", "config", "lost_entries", "regained", "writes_stopped", "peer_up", "peer_lost", "peer_refused", "peer_silent"),
        *("peer_heard", "space_low", "space_back", "snapshot_failed", "installed", "contact_unreadable", "bug"),
    }
)
NOT_NUMBERS = frozenset({"term", "index", "member", "cluster", "leader", "took_ms", "uptime_ms", "digest_index", "digest"})
OOM_KILLED = "oom_killed"  # what becomes of a kernel's line about a process that it ended
OUR_WORDS = b"coordnode: "  # what a member that does not start says, without a time
FACTS = ("config_hash", "build", "role", "pid")  # what is told again and again, and matters when it changes
DIGESTS_MAX = 1_000
PEER_MISSED, PEER_BACK = ("peer_lost", "peer_silent"), ("peer_up", "peer_heard")
SPEAKS_OF = ("peer", "leader", "target")  # fields that hold a member's id
SPEAKING_OF = frozenset({"pulse.round_trip_ms", "pulse.behind"})  # numbers, of each member
MOVED = "clock.moved_ms"  # series: by how much a wall clock was set

CUT, DAMAGED, BINARY, BACKWARDS, NO_TIME, UNREADABLE = "cut off", "damaged", "binary", "time goes back", "without a time", "unreadable"


@dataclass(slots=True)
class Act:
    """One event of ours, whole."""

    at_ms: int
    member: str
    kind: str
    term: int
    index: int
    fields: dict[str, Any]


@dataclass(slots=True)
class Summary:
    cells: dict[tuple[str, str], dict[int, list[int]]] = field(
        default_factory=dict
    )  # (member, kind) -> second -> [lines, first's place, its ms]
    series: dict[tuple[str, str], dict[int, list[float]]] = field(default_factory=dict)  # (member, name) -> second -> [count, sum, most]
    levels: dict[str, int] = field(default_factory=dict)  # kind -> the gravest it was written with
    anchors: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # member -> (term, index, ms)
    acts: list[Act] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # id -> what it calls itself
    labels: dict[str, set[str]] = field(default_factory=dict)  # id -> what the files are called in which its lines are
    spans: dict[str, list[int]] = field(default_factory=dict)  # member -> [first ms, last ms, lines]
    facts: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)  # (member, what) -> from when on it was what
    digests: dict[int, dict[str, int]] = field(default_factory=dict)  # index -> member -> digest of its state there
    problems: dict[tuple[str, str], list[Any]] = field(default_factory=dict)  # (file, what) -> [how often, the first time's line]
    lines: int = 0
    bytes: int = 0

    def problem(self, file: str, what: str, where: str) -> None:
        self.problems.setdefault((file, what), [0, where])[0] += 1

    def add(self, other: "Summary") -> None:
        for key, cells in other.cells.items():
            mine = self.cells.setdefault(key, {})
            for second, other_cell in cells.items():
                cell = mine.get(second)
                if cell is None:
                    mine[second] = other_cell
                else:
                    first_cell = cell if cell[2] <= other_cell[2] else other_cell
                    mine[second] = [cell[0] + other_cell[0], first_cell[1], first_cell[2]]
        for key, values in other.series.items():
            ours = self.series.setdefault(key, {})
            for second, value in values.items():
                known = ours.get(second)
                ours[second] = value if known is None else [known[0] + value[0], known[1] + value[1], max(known[2], value[2])]
        for kind, level in other.levels.items():
            self.levels[kind] = max(level, self.levels.get(kind, INFO))
        for member, anchors in other.anchors.items():
            self.anchors.setdefault(member, []).extend(anchors)
        self.acts += other.acts
        for key, changes in other.facts.items():
            self.facts[key] = _changes([*self.facts.get(key, ()), *changes])
        for index, digests in other.digests.items():
            self.digests.setdefault(index, {}).update(digests)
        self.names |= other.names
        for member, labels in other.labels.items():
            self.labels.setdefault(member, set()).update(labels)
        for member, (first, last, lines) in other.spans.items():
            span = self.spans.setdefault(member, [first, last, 0])
            self.spans[member] = [min(span[0], first), max(span[1], last), span[2] + lines]
        for (file, what), (count, where) in other.problems.items():
            self.problems.setdefault((file, what), [0, where])[0] += count
        self.lines += other.lines
        self.bytes += other.bytes


def _changes(values: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for at_ms, value in sorted(values, key=lambda one: one[0]):
        if not found or found[-1][1] != value:
            found.append((at_ms, value))
    return found


@dataclass(frozen=True, slots=True)
class Piece:
    """What of which file is to be mined."""

    path: str
    number: int  # of the file, for places
    label: str  # the member it is of, where its lines do not say so
    written_ms: int
    from_ms: int
    to_ms: int
    covered: Covered


class Miner:
    def __init__(self, piece: Piece) -> None:
        self.summary = Summary()
        self._piece = piece
        self._parser = Parser(piece.written_ms)
        self._dialect: Dialect | None = None  # of another engine's member
        self._foreign: Line | None = None  # its newest line
        self._often: dict[tuple[str, int], int] = {}  # (kind of act, when) -> how many
        self._first_ms = 0  # when its first one was written
        self._newest_ms = 0
        self._latest = ("", -1)  # who said what came last, and when
        self._anchored: dict[str, tuple[int, int, int]] = {}  # member -> its newest line's place and time
        self._settling: dict[str, int] = {}  # member -> until then its place in the log may be behind
        self._clocks: dict[str, WallClock] = {}  # by member
        self._numbers: dict[str, tuple[str, ...]] = {}  # kind -> fields that are numbers
        self._kinds: dict[str, int] = {}  # member -> how many

    def take(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """(offset, line without its end) for each."""
        parse = self._parser.parse
        for offset, raw in lines:
            try:
                line = parse(raw)
            except (ValueError, KeyError, TypeError):
                line = self._mended(offset, raw, BINARY if b"\0" in raw else DAMAGED)
            else:
                if line is None and raw.strip():
                    line = self._mended(offset, raw, BINARY if _is_binary(raw) else "")
            if line is None:
                continue
            self._count(line if line.is_event or self._parser.found is None else self._translated(line), offset)
        self._end()

    # --- of other engines ------------------------------------------------------------------------------------------

    def _translated(self, line: Line) -> Line:
        found, self._parser.found = self._parser.found, None
        dialect = self._dialect
        self._first_ms = self._first_ms or line.at_ms
        if dialect is None:
            dialect = self._dialect = dialects.of(found)
        if dialect is None or not dialect.speaks(found):
            return line
        said = dialect.said(line, found)
        label = self._piece.label
        member = label if line.member in ("", dialect.identity) else line.member  # several may write into one file
        for what, value in dialect.facts:
            self.summary.facts.setdefault((label, what), []).append((line.at_ms, value))
        dialect.facts.clear()
        self._foreign = msgspec.structs.replace(line, member=member) if said is None else foreign.translated(line, said, member)
        return self._foreign

    def _more(self, raw: bytes) -> None:
        if self._dialect is not None and self._foreign is not None and (said := self._dialect.more(raw)) is not None:
            self._keep(self._foreign.member, self._foreign.at_ms, said)

    def _keep(self, member: str, at_ms: int, said: Said) -> None:
        if not self._piece.from_ms <= at_ms < self._piece.to_ms or len(self.summary.acts) >= TOLD_MAX:
            return
        often = (said.kind, at_ms // OFTEN_MS)
        self._often[often] = self._often.get(often, 0) + 1
        if self._often[often] <= TOLD_OFTEN_MAX:
            self.summary.acts.append(Act(at_ms, member, said.kind, int(said.fields.get("term", 0)), 0, said.fields))

    def _end(self) -> None:
        for member, clock in self._clocks.items():
            for move in clock.moves():
                self._value(member, MOVED, move.at_ms // 1_000, move.by_ms)
        self._say_whose()

    def _say_whose(self) -> None:
        """Whenever that was said: others name it by its id, and it may have said nothing since."""
        dialect, summary, (label, (_, at_ms)) = self._dialect, self.summary, (self._piece.label, self._latest)
        if dialect is None:
            return
        summary.facts[label, foreign.ENGINE] = [(self._first_ms, dialect.engine)]
        if dialect.identity:
            summary.names[dialect.identity] = label
        if label not in summary.spans and 0 < at_ms < self._piece.to_ms:
            summary.spans[label] = [at_ms, at_ms, 0]
            summary.labels[label] = {label}

    # --- what is wrong with a line ---------------------------------------------------------------------------------

    def _mended(self, offset: int, raw: bytes, trouble: str) -> Line | None:
        """A line that another one was written into, zeros that a crash left, or bytes that are no text."""
        line = mended(self._parser, raw)
        if trouble or line is not None:
            self.summary.problem(self._piece.path, trouble or DAMAGED, f"offset {offset}")
        if line is None:
            self._without_time(offset, raw, is_known=bool(trouble))
        return line

    def _without_time(self, offset: int, raw: bytes, *, is_known: bool) -> None:
        """Belongs to the line before it, as a traceback does; or it is no text at all, which is known."""
        self._more(raw)
        if raw.startswith(OUR_WORDS):
            self._did_not_start(raw)
        elif not is_known and not self._newest_ms:
            self.summary.problem(self._piece.path, NO_TIME, f"offset {offset}")

    def _did_not_start(self, raw: bytes) -> None:
        """Right after whatever this member said before."""
        member, at_ms = self._latest
        if self._piece.from_ms <= at_ms < self._piece.to_ms and len(self.summary.acts) < ACTS_MAX:
            error = raw.removeprefix(OUR_WORDS).decode(errors="replace")[:SAMPLE_CHARS]
            self.summary.acts.append(Act(at_ms + 1, member, "failed", 0, 0, {"error": error}))

    def _count(self, line: Line, offset: int) -> None:
        piece = self._piece
        summary = self.summary
        at_ms = line.at_ms
        member = line.member or piece.label
        self._latest = (member, at_ms)
        covered = piece.covered.get(member)
        if covered is not None and covers(covered, at_ms):
            return
        if line.kind == "pulse":
            self._look_at_clock(member, line)
        clock = self._clocks.get(member)
        if clock is not None:
            at_ms -= clock.shift_ms
        if not piece.from_ms <= at_ms < piece.to_ms:
            return
        if at_ms < self._newest_ms - JUMP_MS:
            summary.problem(piece.path, BACKWARDS, f"offset {offset}, by {(self._newest_ms - at_ms) / 1_000:.1f} s")
        self._newest_ms = at_ms
        kind = line.kind
        key = (member, kind)
        cells = summary.cells.get(key)
        if cells is None:
            key, cells = self._new_kind(member, kind)
        second = at_ms // 1_000
        cell = cells.get(second)
        if cell is None:
            cells[second] = [1, piece.number << FILE_SHIFT | offset, at_ms]
        else:
            cell[0] += 1
        if line.level > summary.levels.get(kind, -1):
            summary.levels[kind] = line.level
        span = summary.spans.get(member)
        if span is None:
            summary.spans[member] = [at_ms, at_ms, 1]
            summary.labels[member] = {piece.label}
        else:
            span[2] += 1
            if at_ms > span[1]:
                span[1] = at_ms
            elif at_ms < span[0]:
                span[0] = at_ms
        summary.lines += 1
        if line.fields or line.is_event:
            self._look_into(member, line, at_ms)
        if line.term:
            self._anchor(member, line, at_ms)

    def _new_kind(self, member: str, kind: str) -> tuple[tuple[str, str], dict[int, list[int]]]:
        count = self._kinds[member] = self._kinds.get(member, 0) + 1
        key = (member, kind if count <= KINDS_MAX else OTHER)
        return key, self.summary.cells.setdefault(key, {})

    def _is_behind(self, line: Line) -> bool:
        """Who was just not run, or follows nobody, may stand where the others passed long ago: that tells no time."""
        if line.kind == "late_tick":
            return True
        took_ms = line.fields.get("took_ms")
        return line.kind == "pulse" and (line.fields.get("leader") == 0 or (isinstance(took_ms, int) and took_ms > SETTLING_MS))

    def _anchor(self, member: str, line: Line, at_ms: int) -> None:
        """Where the log stood the moment before it moved, and right after it had."""
        if self._is_behind(line):
            self._settling[member] = at_ms + SETTLING_MS
            self._anchored.pop(member, None)
        if at_ms < self._settling.get(member, 0):
            return
        term, index = line.term, line.index
        before = self._anchored.get(member)
        self._anchored[member] = (term, index, at_ms)
        if before is not None and (before[0] == term and before[1] == index):
            return
        anchors = self.summary.anchors.setdefault(member, [])
        if anchors and at_ms - anchors[-1][2] < ANCHOR_EVERY_MS and anchors[-1][0] == term:
            return
        if len(anchors) >= ANCHORS_MAX:
            del anchors[::2]
        if before is not None:
            anchors.append(before)
        anchors.append((term, index, at_ms))

    def _look_into(self, member: str, line: Line, at_ms: int) -> None:
        kind, fields = line.kind, line.fields
        second = at_ms // 1_000
        if line.is_event and "hlc" not in fields:
            self._keep(member, at_ms, Said(kind, fields))
        elif kind in ACTS and line.is_event:
            if len(self.summary.acts) < ACTS_MAX:
                self.summary.acts.append(Act(at_ms, member, kind, line.term, line.index, fields))
            if kind == "started":
                self.summary.names[member] = str(fields.get("name", member))
                if member in self._clocks:
                    self._clocks[member].restart()
                self._settling[member] = at_ms + SETTLING_MS
                self._anchored.pop(member, None)
                for what in FACTS:
                    self._fact(member, what, line)
        elif kind == "pulse":
            self._pulse(member, line, second)
        elif KILLED_PID in fields:
            self.summary.acts.append(Act(at_ms, member, OOM_KILLED, 0, 0, fields))
        names = self._numbers.get(kind)
        if names is None:
            names = self._numbers[kind] = tuple(key for key, value in fields.items() if _is_number(key, value, kind))
        for name in names:
            value = fields.get(name)
            if isinstance(value, int | float):
                if value >= 0:  # -1: not known yet
                    self._value(member, f"{kind}.{name}", second, value)
            elif isinstance(value, dict):
                for part, number in value.items():
                    if isinstance(number, int | float):
                        self._value(member, f"{kind}.{name}.{part}", second, number)
            elif isinstance(value, list):
                for part, number in zip(("cpu", "io", "memory"), value, strict=False):
                    if isinstance(number, int | float):
                        self._value(member, f"{kind}.{name}.{part}", second, number)

    def _look_at_clock(self, member: str, line: Line) -> None:
        """From where it was set on, its lines are read as if it had not been."""
        uptime_ms, late_ms = line.fields.get("uptime_ms"), line.fields.get("late_worst_ms")
        if isinstance(uptime_ms, int):
            clock = self._clocks.setdefault(member, WallClock())
            clock.see(line.at_ms, uptime_ms, late_ms if isinstance(late_ms, int | float) else 0.0)

    def _pulse(self, member: str, line: Line, second: int) -> None:
        took_ms = line.fields.get("took_ms")
        if isinstance(took_ms, int):
            self._value(member, "pulse.took_ms", second, took_ms)
        for what in FACTS:
            self._fact(member, what, line)
        index, digest = line.fields.get("digest_index"), line.fields.get("digest")
        if isinstance(index, int) and isinstance(digest, int):
            if index not in self.summary.digests and len(self.summary.digests) >= DIGESTS_MAX:
                self.summary.digests.pop(next(iter(self.summary.digests)))
            self.summary.digests.setdefault(index, {})[member] = digest

    def _fact(self, member: str, what: str, line: Line) -> None:
        value = line.fields.get(what)
        values = self.summary.facts.setdefault((member, what), [])
        if isinstance(value, str | int) and (not values or values[-1][1] != value) and len(values) < ACTS_MAX:
            values.append((line.at_ms, value))

    def _value(self, member: str, name: str, second: int, value: float) -> None:
        values = self.summary.series.get((member, name))
        if values is None:
            values = self.summary.series[member, name] = {}
        cell = values.get(second)
        if cell is None:
            values[second] = [1, value, value]
        else:
            cell[0] += 1
            cell[1] += value
            if value > cell[2]:
                cell[2] = value


def parsed(parser: Parser, raw: bytes) -> Line | None:
    """As whoever mines reads it: None when it has no time, whatever a crash did to it."""
    return _parsed(parser, raw) or mended(parser, raw)


def mended(parser: Parser, raw: bytes) -> Line | None:
    """Of a line in which zeros of a crash stand, or that another one was written into, what there is."""
    text = raw.replace(b"\0", b"")
    line = _parsed(parser, text) if len(text) < len(raw) else None
    return line or _behind_the_break(parser, text)


def _behind_the_break(parser: Parser, raw: bytes) -> Line | None:
    """The line that was written into another one."""
    start = raw.find(b'{"', 1)
    while start > 0:
        found = _parsed(parser, raw[start:])
        if found is not None:
            return found
        start = raw.find(b'{"', start + 1)
    return None


def _is_binary(raw: bytes) -> bool:
    return b"\0" in raw or sum(byte < 9 or 13 < byte < 32 for byte in raw[:200]) > 4


def _parsed(parser: Parser, raw: bytes) -> Line | None:
    try:
        return parser.parse(raw)
    except (ValueError, KeyError, TypeError):
        return None


def _is_number(key: str, value: object, kind: str) -> bool:
    if key in NOT_NUMBERS:
        return False
    if kind == "pulse":
        return isinstance(value, int | float | dict | list) and not isinstance(value, bool)
    return key.endswith("_ms") and isinstance(value, int | float | dict)


def merged(parts: Iterator[Summary]) -> Summary:
    whole = Summary()
    for part in parts:
        whole.add(part)
    whole.acts.sort(key=lambda act: act.at_ms)
    for anchors in whole.anchors.values():
        anchors.sort()
    return whole


class Belonging(NamedTuple):
    """Who is of the cluster, by what its members say."""

    ids: set[str]
    is_told: bool  # by a membership, so that nobody else is

    def is_out(self, identity: str) -> bool:
        return self.is_told and identity not in self.ids and identity != ""  # who does not say who it is


def belonging(summary: Summary) -> Belonging:
    """The newest membership, and whoever is named after it and was in none before; without one, whoever is named."""
    acts = [act for act in summary.acts if "hlc" in act.fields]
    configs = sorted((act for act in acts if act.kind == "config"), key=lambda act: (act.term, act.index))
    if not configs:
        return Belonging({one for act in acts for one in _named(act)} | {one for _, one, _ in _measured(summary)}, False)
    newest, now = configs[-1], _belong(configs[-1])
    heard_ms = {act.member: act.at_ms for act in configs}
    later = {one for act in acts if (act.term, act.index) > (newest.term, newest.index) for one in _named(act, but=PEER_MISSED)}
    later |= {one for member, one, last_ms in _measured(summary) if last_ms > max(newest.at_ms, heard_ms.get(member, 0)) + SETTLING_MS}
    former = {one for act in configs for one in _belong(act)} - now
    return Belonging(now | (later - former), True)


def _belong(config: Act) -> set[str]:
    return {str(one) for which in ("voters", "learners", "outgoing") for one in config.fields.get(which, ())}


def _named(act: Act, but: Sequence[str] = ()) -> set[str]:
    """`but`: kinds in which nobody is named: that a connection ended is told of who leaves, too."""
    return set() if act.kind in but else {str(act.fields[key]) for key in SPEAKS_OF if act.fields.get(key)}


def _measured(summary: Summary) -> Iterator[tuple[str, str, int]]:
    """(member, id of whom its numbers are, when the last of them was told)"""
    for (member, name), values in summary.series.items():
        family, _, last = name.rpartition(".")
        if family in SPEAKING_OF and last.isdecimal():
            yield member, last, max(values) * 1_000


def by_name(summary: Summary) -> Summary:
    """The same, with members called by their names: ids are different in each cluster, and nobody knows them by heart."""
    names = _names(summary)
    named = Summary(
        levels=summary.levels, problems=summary.problems, lines=summary.lines, bytes=summary.bytes, names={**names}, labels=summary.labels
    )
    for (member, kind), cells in summary.cells.items():
        named.add(Summary(cells={(names.get(member, member), kind): cells}))
    for (member, name), values in summary.series.items():
        head, _, last = name.rpartition(".")
        named.add(Summary(series={(names.get(member, member), f"{head}.{names[last]}" if last in names else name): values}))
    for member, anchors in summary.anchors.items():
        named.anchors[names.get(member, member)] = sorted([*named.anchors.get(names.get(member, member), []), *anchors])
    for member, span in summary.spans.items():
        named.add(Summary(spans={names.get(member, member): span}))
    for (member, what), changes in summary.facts.items():
        named.add(Summary(facts={(names.get(member, member), what): changes}))
    for index, digests in summary.digests.items():
        named.digests[index] = {names.get(member, member): digest for member, digest in digests.items()}
    named.acts = [Act(act.at_ms, names.get(act.member, act.member), act.kind, act.term, act.index, act.fields) for act in summary.acts]
    return named


def _names(summary: Summary) -> dict[str, str]:
    """What a member calls itself; else what its file is called, when that is of no other member."""
    names = dict(summary.names)
    taken = set(names.values())
    labels = {member: next(iter(found)) for member, found in summary.labels.items() if member not in names and len(found) == 1}
    for member, label in labels.items():
        if label not in taken and list(labels.values()).count(label) == 1:
            names[member] = label
    return names
