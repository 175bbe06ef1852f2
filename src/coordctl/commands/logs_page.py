"""The HTML reports of `logs explain`, `logs diff` and `bundle`."""

import time

from coordctl.commands import logs_shown
from coordctl.report import html, screen
from coordctl.report.html import BAD, CALM, GOOD, WARN, Badge, Block, Lane, Lanes, Mark, Page, Section
from coordctl.results.logs import LogFinding, LogHypothesis, LogMember, LogsDiff, LogsExplained, LogSign, LogTrouble, LogWindow
from coordnode import __version__

OUTCOMES = {
    "normal": Badge("nothing abnormal", GOOD),
    "planned": Badge("planned work only", GOOD),
    "explained": Badge("explained", BAD),
    "unknown": Badge("unknown", WARN),
    "no difference": Badge("no difference", GOOD),
    "different": Badge("different", WARN),
}
LEVELS = {"info": CALM, "warning": WARN, "error": BAD}
MARKS_MAX = 400
LINES_SHOWN = 8


def explained(found: LogsExplained) -> str:
    blocks: list[Block] = []
    for number, one in enumerate(found.hypotheses, 1):
        blocks.append(_hypothesis(number, one))
    if found.unexplained:
        blocks.append(Section("Began, and is explained by nothing that is known here", [_signs(found.unexplained)]))
    marks = {one.name: list[Mark]() for one in found.members}
    for one in found.hypotheses:
        for line in one.evidence[:MARKS_MAX]:
            marks.setdefault(line.member, []).append(Mark(line.at_ms, f"{screen.clock_ms(line.at_ms)} {line.text}", _tone(one)))
    for finding in found.unexplained:
        marks.setdefault(finding.member, []).append(_mark(finding))
    if any(marks.values()):
        blocks.insert(0, Section("When and where", [_lanes(found.window, marks)]))
    if found.ruled_out:
        blocks.append(Section("Ruled out", [html.Text(", ".join(found.ruled_out))]))
    blocks += _input(found.members, found.troubles, found.missing, found.sources)
    summary = found.hypotheses[0].sentence if found.hypotheses else OUTCOMES[found.outcome].text
    return html.render(
        Page(
            title="What most likely happened",
            badge=OUTCOMES[found.outcome],
            summary=summary,
            facts=_facts(found.window, found.baseline, found.members, found.lines),
            blocks=blocks,
            made=_made("logs explain"),
        )
    )


def diff(found: LogsDiff) -> str:
    marks = {one.name: list[Mark]() for one in found.members}
    for finding in found.findings:
        for sign in (finding, *finding.consequences):
            marks.setdefault(sign.member, []).append(_mark(sign))
    blocks: list[Block] = [Section("When and where", [_lanes(found.window, marks)])] if any(marks.values()) else []
    for number, finding in enumerate(found.findings, 1):
        blocks.append(_finding(number, finding))
    if found.oddities:
        rows = [(one.member, one.kind, f"{one.value:,.1f}", f"{one.others:,.1f}") for one in found.oddities]
        blocks.append(
            Section("Beside the others", [html.Table(("member", "what", "here", "the others"), rows, numbers=("here", "the others"))])
        )
    blocks += _input(found.members, found.troubles, found.missing, found.sources)
    first = found.first
    summary = (
        OUTCOMES[found.outcome].text
        if first is None
        else f"First divergence: {screen.clock_ms(first.onset_ms)} {first.member}, {logs_shown.what(first)}"
    )
    return html.render(
        Page(
            title="What was different",
            badge=OUTCOMES[found.outcome],
            summary=summary,
            facts=[*_facts(found.window, found.baseline, found.members, found.lines), ("compared", f"with {found.compared_with}")],
            blocks=blocks,
            made=_made("logs diff"),
        )
    )


def _made(by: str) -> str:
    return f"coordctl {by} {__version__}, {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())}. All times are UTC."


def _facts(window: LogWindow, baseline: LogWindow | None, members: list[LogMember], lines: int) -> list[tuple[str, str]]:
    before = "nothing before it" if baseline is None else f"{screen.clock(baseline.from_ms)} - {screen.clock(baseline.to_ms)}"
    day = time.strftime("%Y-%m-%d", time.gmtime(window.from_ms // 1_000))
    return [
        ("window", f"{day} {screen.clock(window.from_ms)} - {screen.clock(window.to_ms)}"),
        ("baseline", before),
        ("members", ", ".join(one.name for one in members)),
        ("lines", f"{lines:,}"),
    ]


def _lanes(window: LogWindow, marks: dict[str, list[Mark]]) -> Lanes:
    lanes = [Lane(name, some[:MARKS_MAX]) for name, some in sorted(marks.items())]
    return Lanes(window.from_ms, window.to_ms, (screen.clock(window.from_ms), screen.clock(window.to_ms)), lanes)


def _tone(one: LogHypothesis) -> str:
    return GOOD if one.is_planned else BAD if one.confidence == "high" else WARN


def _mark(sign: LogSign) -> Mark:
    return Mark(sign.onset_ms, f"{screen.clock_ms(sign.onset_ms)} {logs_shown.what(sign)}", LEVELS[sign.level])


def _hypothesis(number: int, one: LogHypothesis) -> Section:
    rows = [(screen.clock_ms(line.at_ms), line.member, line.text) for line in one.evidence]
    blocks: list[Block] = [html.Lines(rows[:LINES_SHOWN])] if rows else []
    if len(rows) > LINES_SHOWN:
        blocks.append(Section(f"{len(rows) - LINES_SHOWN} more lines", [html.Lines(rows[LINES_SHOWN:])], is_folded=True))
    if not one.is_planned:
        blocks.append(html.Facts([("risk", one.risk), ("confirm", one.confirm), ("fix", one.runbook or one.remedy)]))
    told = "planned" if one.is_planned else f"confidence {one.confidence}"
    return Section(f"{number}. {one.sentence}", blocks, Badge(told, _tone(one)))


def _finding(number: int, finding: LogFinding) -> Section:
    blocks: list[Block] = [html.Lines([(screen.clock_ms(finding.onset_ms), finding.member, finding.text)])] if finding.text else []
    if finding.consequences:
        more = f" ({finding.consequences_left_out} more)" if finding.consequences_left_out else ""
        blocks.append(Section(f"{len(finding.consequences)} consequences{more}", [_signs(finding.consequences)], is_folded=True))
    if finding.concurrent:
        blocks.append(html.Text(f"concurrent, as far as clocks tell: {', '.join(finding.concurrent)}"))
    head = f"{number}. {screen.clock_ms(finding.onset_ms)} {finding.member}: {logs_shown.what(finding)}"
    return Section(head, blocks, Badge(finding.level, LEVELS[finding.level]))


def _signs(signs: "list[LogFinding] | list[LogSign]") -> html.Table:
    return html.Table(("time", "member", "what"), [(screen.clock_ms(one.onset_ms), one.member, logs_shown.what(one)) for one in signs])


def _input(members: list[LogMember], troubles: list[LogTrouble], missing: list[str], sources: list[str]) -> list[Block]:
    rows = [
        (
            one.name,
            f"{one.lines:,}",
            f"{screen.clock(one.from_ms)} - {screen.clock(one.to_ms)}",
            "not known" if one.clock_ms is None else f"{one.clock_ms:+,} ms (± {one.clock_error_ms})",
        )
        for one in members
    ]
    blocks: list[Block] = [html.Table(("member", "lines", "from - to", "clock"), rows, numbers=("lines",))]
    if missing:
        blocks.append(html.Text(f"no lines of: {', '.join(missing)}", WARN))
    if troubles:
        blocks.append(html.Table(("file", "what is wrong with it"), [(one.source, one.what) for one in troubles]))
    blocks.append(Section(f"{len(sources)} files", [html.Table(("file",), [(one,) for one in sources])], is_folded=True))
    return [Section("What was read", blocks)]
