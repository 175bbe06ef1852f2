"""The screens of the `logs` verbs."""

import msgspec

from coordctl.report import screen
from coordctl.results.logs import (
    Collected,
    LogFinding,
    LogHypothesis,
    LogLine,
    LogMember,
    LogsDiff,
    LogsExplained,
    LogSign,
    LogTrouble,
    LogWindow,
)

COLOURS = {"error": screen.RED, "warning": screen.YELLOW, "info": screen.GREEN}
CONSEQUENCES_SHOWN = 6
FINDINGS_SHOWN = 8
TEXT_CHARS = 300
SAID_ELSEWHERE = frozenset({"at", "hlc", "level", "event", "cluster", "member", "term", "index"})


def diff(found: LogsDiff) -> None:
    screen.line(_head(found))
    compared = f"compared with {found.compared_with}"
    if found.baseline is not None and not found.compared_with.startswith("another"):
        compared = f"compared with {screen.clock(found.baseline.from_ms)} - {screen.clock(found.baseline.to_ms)}"
    screen.lines(screen.wrapped(f"{compared}   {clocks(found.members)}", indent=2))
    if found.first is not None:
        screen.line()
        screen.line(f"first divergence: {screen.clock_ms(found.first.onset_ms)}  {found.first.member}  {what(found.first)}")
    for number, finding in enumerate(found.findings[:FINDINGS_SHOWN], 1):
        screen.line()
        _finding(number, finding)
    left_out = len(found.findings) - FINDINGS_SHOWN + found.findings_left_out
    if left_out > 0:
        screen.line()
        screen.line(f"{left_out} more, of less weight: -o json has them")
    if not found.findings:
        screen.line()
        screen.line("no difference that is more than chance" if found.outcome != "unknown" else "no line of any member is in this window")
    for oddity in found.oddities:
        screen.line(f"beside the others: {oddity.member} {oddity.kind} {_number(oddity.value)}, the others {_number(oddity.others)}")
    troubles(found.troubles, found.missing)
    screen.line(f"sources: {len(found.sources)} files, {screen.short_bytes(found.bytes)}, {found.comparisons:,} comparisons")


def _head(found: LogsDiff) -> str:
    return _span(found.window, len(found.members), found.lines, found.elapsed_ms)


def _span(window: LogWindow, members: int, lines: int, elapsed_ms: int) -> str:
    span = f"{screen.clock(window.from_ms)} - {screen.clock(window.to_ms)}"
    return f"{span}  {members} members, {lines:,} lines in {elapsed_ms / 1000:.1f} s"


def clocks(members: list[LogMember]) -> str:
    if all(member.clock_ms is None for member in members):
        return "clocks: taken as they are, too few lines tell them apart"
    known = [f"{member.name} {member.clock_ms:+,} ms (+-{member.clock_error_ms})" for member in members if member.clock_ms is not None]
    unknown = [member.name for member in members if member.clock_ms is None]
    told = f"clocks: {', '.join(known)}" + (", corrected" if any(member.clock_ms for member in members) else "")
    return told + (f"; not known: {', '.join(unknown)}" if unknown else "")


def _finding(number: int, finding: LogFinding) -> None:
    head = f"{number}. {screen.clock_ms(finding.onset_ms)}  {finding.member}  "
    screen.line(f"{head}{screen.coloured(what(finding), COLOURS[finding.level])}")
    if finding.text:
        screen.lines(screen.wrapped(screen.visible(finding.text[:TEXT_CHARS]), indent=6, first=4))
    if finding.consequences:
        screen.line("   then, as consequences:")
        for sign in finding.consequences[:CONSEQUENCES_SHOWN]:
            screen.line(f"    {screen.clock_ms(sign.onset_ms)}  {sign.member}  {what(sign)}")
        more = len(finding.consequences) - CONSEQUENCES_SHOWN + finding.consequences_left_out
        if more > 0:
            screen.line(f"    and {more} more")
    if finding.concurrent:
        screen.lines(screen.wrapped(f"concurrent, as far as clocks tell: {', '.join(finding.concurrent)}", indent=6, first=3))


def what(sign: LogSign) -> str:
    kind = screen.visible(sign.kind)
    if sign.what == "new":
        return f"{kind}: {_times(sign.now)}, never in the baseline"
    if sign.what in ("more", "fewer"):
        return f"{kind}: {_times(sign.now)}, {_number(sign.before)} were to be expected"
    if sign.what == "silent":
        return f"says nothing for {sign.now:.0f} s"
    if sign.what == "clock set":
        return f"its clock was set by {sign.now / 1000:+.1f} s"
    return f"{kind}: up to {_number(sign.now)}, usually {_number(sign.before)}"


def _times(count: float) -> str:
    return "once" if count == 1 else f"{count:,.0f} times"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def troubles(found: list[LogTrouble], missing: list[str]) -> None:
    if found or missing:
        screen.line()
    if missing:
        screen.line(f"no lines of: {', '.join(missing)}")
    for trouble in found:
        screen.lines(screen.wrapped(f"{screen.short_path(trouble.source)}: {trouble.what}", indent=2))


def left_out(what: str) -> None:
    """Beside the lines, which are not all there are."""
    screen.note(f"left out: {screen.visible(what)}")


def line(one: LogLine, output: str) -> None:
    if output == "json":
        screen.json_line(one)
    else:
        screen.line(f"{screen.clock_ms(one.at_ms)}  {one.member}  {screen.visible(_plain(one))}")


def _plain(one: LogLine) -> str:
    """Of our own events what differs from line to line; everything else as it is."""
    try:
        found = msgspec.json.decode(one.text.encode())
    except msgspec.DecodeError:
        return one.text
    if not isinstance(found, dict) or "hlc" not in found:
        return one.text
    words = " ".join(f"{key}={_short(value)}" for key, value in found.items() if key not in SAID_ELSEWHERE and value not in ("", None))
    return f"{one.level:<7}  {one.kind}  {words}  (term {found.get('term')}, index {found.get('index')})"


def _short(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else msgspec.json.encode(value).decode()


def collected(made: Collected, output: str) -> None:
    if output == "json":
        screen.json_line(made)
        return
    lines = sum(one.lines for one in made.files)
    hidden = sum(one.hidden for one in made.files)
    screen.line(
        f"{made.archive}: {screen.short_bytes(made.bytes)}, {len(made.files)} files, {lines:,} lines in {made.elapsed_ms / 1000:.1f} s"
    )
    screen.line(f"{screen.clock(made.window.from_ms)} - {screen.clock(made.window.to_ms)}; {hidden} secrets were taken out")
    for one in made.missing:
        screen.lines(screen.wrapped(f"missing: {screen.short_path(one.what)}: {one.why}", indent=2))
    screen.line(f"look into it: coordctl logs explain {made.archive}")


def explained(found: LogsExplained, evidence: int | None) -> None:
    screen.line(_span(found.window, len(found.members), found.lines, found.elapsed_ms))
    before = (
        "nothing before it" if found.baseline is None else f"{screen.clock(found.baseline.from_ms)} - {screen.clock(found.baseline.to_ms)}"
    )
    screen.lines(screen.wrapped(f"compared with {before}   {clocks(found.members)}", indent=2))
    for number, one in enumerate(found.hypotheses, 1):
        if evidence in (None, number):
            screen.line()
            _hypothesis(number, one, everything=evidence == number)
    if evidence is not None:
        if evidence > len(found.hypotheses):
            screen.line(f"there are {len(found.hypotheses)} hypotheses")
        return
    if found.unexplained:
        screen.line()
        screen.line(screen.coloured("began, and is explained by nothing that is known here:", screen.YELLOW))
        for finding in found.unexplained:
            screen.lines(screen.wrapped(f"{screen.clock_ms(finding.onset_ms)}  {finding.member}  {what(finding)}", indent=6, first=3))
    if not found.hypotheses and not found.unexplained:
        screen.line()
        screen.line("nothing abnormal" if found.outcome == "normal" else "no line of any member is in this window")
    if found.ruled_out:
        screen.line()
        screen.lines(screen.wrapped(f"ruled out  {', '.join(found.ruled_out)}", indent=11))
    troubles(found.troubles, found.missing)
    if any(one.runbook for one in found.hypotheses):
        screen.line("all lines: --evidence N     share: coordctl bundle")
    screen.line(f"sources: {len(found.sources)} files")


def _hypothesis(number: int, one: LogHypothesis, *, everything: bool) -> None:
    colour = screen.GREEN if one.is_planned else screen.RED if one.confidence == "high" else screen.YELLOW
    told = "planned" if one.is_planned else f"confidence {one.confidence}"
    words = screen.wrapped(f"{number}. {one.sentence}", indent=3)
    gap = screen.COLUMNS_MIN - len(words[-1]) - len(told)
    if gap >= 2:
        words[-1] += " " * gap + screen.coloured(told, colour)
    else:
        words.append(f"   {screen.coloured(told, colour)}")
    screen.lines(words)
    shown = one.evidence if everything else one.evidence[:CONSEQUENCES_SHOWN]
    for line in shown:
        screen.lines(
            screen.wrapped(f"{screen.clock_ms(line.at_ms)}  {line.member}  {screen.visible(line.text)}"[:TEXT_CHARS], indent=9, first=3)
        )
    if len(one.evidence) > len(shown):
        screen.line(f"   and {len(one.evidence) - len(shown)} more: --evidence {number}")
    if one.is_planned:
        return
    for label, text in (("risk", one.risk), ("confirm", one.confirm), ("fix", one.runbook or one.remedy)):
        screen.lines(screen.wrapped(f"{label:<9} {text}", indent=13, first=3))
