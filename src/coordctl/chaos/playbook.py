"""A playbook: what is done to whom and when, and what must come of it; read with every mistake named by its line. Pure."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NamedTuple

from coordctl.chaos.faults import FAULTS, HOLDERS, trouble_with_by
from coordctl.chaos.grammar import LASTS_MS_MAX, SECTIONS, TOP, Field
from coordctl.chaos.lined import Fields, Mistake, Node, NotYaml, Rows, Text, parse_lined
from coordctl.chaos.loads.words import READS
from coordctl.chaos.targets import Target

AFTER_MS = 5_000  # from the end of the last row to the end of the run
ROWS_MAX = 200


class Row(NamedTuple):
    number: int  # from 1
    at_ms: int
    for_ms: int
    do: str
    to: Target
    by: str  # as written; "": nothing
    line: int

    @property
    def end_ms(self) -> int:
        return self.at_ms + self.for_ms


class Load(NamedTuple):
    do: str
    clients: int
    reads: str = READS[0]


class Probe(NamedTuple):
    when: str
    kind: str  # ask, http, command
    what: tuple[str, ...]
    every_ms: int
    within_ms: int
    percent_min: float


class Goal(NamedTuple):
    see: str
    during: int  # number of a row; 0: at any time


class Expectation(NamedTuple):
    that: str
    within_ms: int


class Playbook(NamedTuple):
    name: str
    proves: str
    members_min: int
    seed: int
    lasts_ms: int
    load: tuple[Load, ...]
    rows: tuple[Row, ...]
    probes: tuple[Probe, ...]
    goals: tuple[Goal, ...]
    expect: tuple[Expectation, ...]
    checks: tuple[str, ...]


class Refused(Exception):
    """With every mistake there is, in order of lines."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(f"line {one.line}: {one.sentence}" for one in mistakes))
        self.mistakes = mistakes


def parse_playbook(name: str, content: bytes) -> Playbook:
    """Raises Refused."""
    try:
        tree = parse_lined(content)
    except NotYaml as error:
        raise Refused([error.mistake]) from None
    return playbook_of(name, tree)


def playbook_of(name: str, tree: Node) -> Playbook:
    """Raises Refused."""
    reading = _Reading()
    found = reading.playbook(name, tree)
    if reading.mistakes or found is None:
        raise Refused(sorted(reading.mistakes))
    return found


class _Entry(NamedTuple):
    """One mapping of a section, with what its fields hold."""

    line: int
    values: dict[str, Any]
    lines: dict[str, int]

    def line_of(self, name: str) -> int:
        return self.lines.get(name, self.line)


def _row(number: int, entry: _Entry) -> Row:
    held = entry.values
    return Row(number, held["at"], held["for"], held["do"], held["to"], held.get("by", ""), entry.line)


class _Reading:
    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def wrong(self, line: int, sentence: str) -> None:
        self.mistakes.append(Mistake(line, sentence))

    def playbook(self, name: str, tree: Node) -> Playbook | None:
        if not isinstance(tree, Fields):
            self.wrong(tree.line, "a playbook is a mapping: begin with `version: 1`")
            return None
        top = self._entry(
            Fields({key: found for key, found in tree.fields.items() if key not in SECTIONS}, tree.line), TOP, [*TOP, *SECTIONS]
        )
        entries = {section: list(self._entries(tree, section)) for section in SECTIONS}
        if "rows" not in tree.fields:
            self.wrong(tree.line, "rows is missing: nothing would be done; give one such as - {at: 2s, for: 5s, do: kill, to: leader}")
        if self.mistakes:
            return None
        rows = tuple([_row(number, one) for number, one in enumerate(entries["rows"], 1)])
        self._check_rows(rows, entries["rows"])
        load = tuple([Load(one.values["do"], one.values.get("clients", 3), one.values.get("reads", READS[0])) for one in entries["load"]])
        last_ms = max((row.end_ms for row in rows), default=0)
        found = Playbook(
            name=name,
            proves=top.values["proves"],
            members_min=top.values.get("members", 3),
            seed=top.values.get("seed", 1),
            lasts_ms=top.values.get("lasts", last_ms + AFTER_MS),
            load=load,
            rows=rows,
            probes=tuple([self._probe(one) for one in entries["probes"]]),
            goals=tuple([Goal(one.values["see"], one.values.get("during", 0)) for one in entries["goals"]]),
            expect=tuple([Expectation(one.values["that"], one.values.get("within", 30_000)) for one in entries["expect"]]),
            checks=tuple(top.values.get("checks", dict.fromkeys(one.do for one in load))),
        )
        self._check_whole(found, top, entries)
        return found

    # --- the table's own rules -------------------------------------------------------------------------------------

    def _entries(self, tree: Fields, section: str) -> Iterator[_Entry]:
        line, node = tree.fields.get(section, (0, Rows([], 0)))
        if not isinstance(node, Rows):
            self.wrong(line, f"{section} is a list: begin each of its lines with a dash")
            return
        for item in node.items:
            if isinstance(item, Fields):
                yield self._entry(item, SECTIONS[section][1])
            else:
                self.wrong(item.line, f"a row of {section} is a mapping, such as {{{_example(section)}}}")

    def _entry(self, tree: Fields, fields: dict[str, Field], known: list[str] | None = None) -> _Entry:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name, (line, node) in tree.fields.items():
            if name not in fields:
                close = get_close_matches(name, known or list(fields), 1)
                self.wrong(
                    line,
                    f"there is no field {name}; " + (f"did you mean {close[0]}?" if close else f"there are: {', '.join(known or fields)}"),
                )
                continue
            lines[name] = line
            held = self._held(name, node, fields[name])
            if held is not None:
                values[name] = held
        for name, field in fields.items():
            if field.is_required and name not in tree.fields:
                self.wrong(tree.line, f"{name} is missing: {field.help}")
        return _Entry(tree.line, values, lines)

    def _held(self, name: str, node: Node, field: Field) -> Any:
        if field.is_list:
            items = node.items if isinstance(node, Rows) else [node]
            held = [self._held(name, item, field._replace(is_list=False)) for item in items]
            if not held:
                self.wrong(node.line, f"{name} is empty: {field.help}")
            return held
        if not isinstance(node, Text):
            self.wrong(node.line, f"{name} is one value, not a list or a mapping: {field.help}")
            return None
        try:
            return field.value.parse(node.text)
        except ValueError as error:
            self.wrong(node.line, f"{name}: {node.text or 'nothing'}: {error}")
            return None

    # --- what no field can know alone ------------------------------------------------------------------------------

    def _check_rows(self, rows: tuple[Row, ...], entries: list[_Entry]) -> None:
        if not rows:
            self.wrong(1, "rows is empty: give one such as - {at: 2s, for: 5s, do: kill, to: leader}")
        if len(rows) > ROWS_MAX:
            self.wrong(rows[ROWS_MAX].line, f"these are more than {ROWS_MAX} rows: split the playbook")
        for before, row in pairwise(rows):
            if row.at_ms < before.at_ms:
                self.wrong(row.line, f"row {row.number} begins before row {before.number}, above it: put the rows in order of time")
        for row, entry in zip(rows, entries, strict=True):
            fault = FAULTS[row.do]
            if not row.for_ms:
                self.wrong(entry.line_of("for"), "for: 0 is no time: give how long it lasts, such as 5s")
            if not fault.hits_links and row.to.arrow:
                self.wrong(entry.line_of("to"), f"{row.do} hits members, not links: leave out the arrow")
            by = trouble_with_by(row.do, row.by)
            if by:
                self.wrong(entry.line_of("by"), f"{row.do}: by: {row.by}: {by}" if row.by else f"{row.do} without by: {by}")

    def _probe(self, entry: _Entry) -> Probe:
        kinds = [kind for kind in ("ask", "http", "command") if kind in entry.values]
        if len(kinds) != 1:
            self.wrong(entry.line, "a probe has one of ask, http and command: give one" + (", and leave out the others" if kinds else ""))
            kinds = [*kinds, "ask"]
        what = entry.values.get(kinds[0], "")
        every_ms = entry.values.get("every", 200)
        for name in ("every", "within"):
            if entry.values.get(name, 1) < 1:
                self.wrong(entry.line_of(name), f"{name}: 0 is no time: give such as 200ms")
        return Probe(
            when=entry.values["when"],
            kind=kinds[0],
            what=tuple(what) if isinstance(what, list) else (what,),
            every_ms=every_ms,
            within_ms=entry.values["within"],
            percent_min=entry.values.get("at-least", 100.0),
        )

    def _check_whole(self, found: Playbook, top: _Entry, entries: dict[str, list[_Entry]]) -> None:
        last_ms = max((row.end_ms for row in found.rows), default=0)
        if found.lasts_ms < last_ms:
            self.wrong(top.line_of("lasts"), f"lasts: the last row ends after {last_ms / 1000:g} s: give more, or leave it out")
        if found.lasts_ms > LASTS_MS_MAX:
            self.wrong(top.line_of("lasts"), f"a run of more than {LASTS_MS_MAX // 3_600_000} hours is a soak: split it")
        for goal, entry in zip(found.goals, entries["goals"], strict=True):
            if goal.during > len(found.rows):
                self.wrong(entry.line_of("during"), f"during: there is no row {goal.during}: rows go from 1 to {len(found.rows)}")
            if goal.see == "lock-moved" and "lock" not in [load.do for load in found.load]:
                self.wrong(entry.line, "lock-moved: no load takes a lock: add - {do: lock} to load")
        for row in found.rows:
            if row.do in HOLDERS and (row.to.text != "lock" or "lock" not in [load.do for load in found.load]):
                self.wrong(row.line, f"{row.do} hits the client that holds the lock: say to: lock, and add - {{do: lock}} to load")
        for number, (load, entry) in enumerate(zip(found.load, entries["load"], strict=True)):
            if load.do in [one.do for one in found.load[:number]]:
                self.wrong(entry.line, f"load: {load.do} is given twice: raise clients instead")
        for check in found.checks:
            if check not in [load.do for load in found.load]:
                self.wrong(
                    top.line_of("checks"), f"checks: no load writes a history of {check}: add - {{do: {check}}} to load, or leave it out"
                )


def _example(section: str) -> str:
    return {
        "load": "do: kv, clients: 3",
        "rows": "at: 2s, for: 5s, do: kill, to: leader",
        "probes": "when: throughout, ask: write, within: 3s, at-least: 95%",
        "goals": "see: leader-changed, during: 1",
        "expect": "that: healthy, within: 30s",
    }[section]
