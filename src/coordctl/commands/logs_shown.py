"""The screens of the `logs` verbs."""

from coordctl.report import screen
from coordctl.results.logs import LogFinding, LogMember, LogsDiff, LogSign, LogTrouble

COLOURS = {"error": screen.RED, "warning": screen.YELLOW, "info": screen.GREEN}
CONSEQUENCES_SHOWN = 6
FINDINGS_SHOWN = 8
TEXT_CHARS = 300
CLOCK_SHOWN_MS = 20  # less of a difference is nobody's concern


def diff(found: LogsDiff) -> None:
    screen.line(_head(found))
    compared = f"compared with {found.compared_with}"
    if found.baseline is not None and not found.compared_with.startswith("another"):
        compared = f"compared with {screen.clock(found.baseline.from_ms)} - {screen.clock(found.baseline.to_ms)}"
    screen.lines(screen.wrapped(f"{compared}   {clocks(found.members)}", indent=2))
    if found.first is not None:
        screen.line()
        screen.line(f"first divergence: {screen.clock_ms(found.first.onset_ms)}  {found.first.member}  {_what(found.first)}")
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
    span = f"{screen.clock(found.window.from_ms)} - {screen.clock(found.window.to_ms)}"
    return f"{span}  {len(found.members)} members, {found.lines:,} lines in {found.elapsed_ms / 1000:.1f} s"


def clocks(members: list[LogMember]) -> str:
    if all(member.clock_ms is None for member in members):
        return "clocks: taken as they are, no line names its place in the log"
    off = [
        f"{member.name} {member.clock_ms:+,} ms (+-{member.clock_error_ms})"
        for member in members
        if member.clock_ms is not None and abs(member.clock_ms) > max(CLOCK_SHOWN_MS, member.clock_error_ms)
    ]
    unknown = [member.name for member in members if member.clock_ms is None]
    told = f"clocks: {', '.join(off)}, corrected" if off else "clocks: within their error of each other"
    return told + (f"; not known: {', '.join(unknown)}" if unknown else "")


def _finding(number: int, finding: LogFinding) -> None:
    head = f"{number}. {screen.clock_ms(finding.onset_ms)}  {finding.member}  "
    screen.line(f"{head}{screen.coloured(_what(finding), COLOURS[finding.level])}")
    if finding.text:
        screen.lines(screen.wrapped(finding.text[:TEXT_CHARS], indent=6, first=4))
    if finding.consequences:
        screen.line("   then, as consequences:")
        for sign in finding.consequences[:CONSEQUENCES_SHOWN]:
            screen.line(f"    {screen.clock_ms(sign.onset_ms)}  {sign.member}  {_what(sign)}")
        more = len(finding.consequences) - CONSEQUENCES_SHOWN + finding.consequences_left_out
        if more > 0:
            screen.line(f"    and {more} more")
    if finding.concurrent:
        screen.lines(screen.wrapped(f"concurrent, as far as clocks tell: {', '.join(finding.concurrent)}", indent=6, first=3))


def _what(sign: LogSign) -> str:
    if sign.what == "new":
        return f"{sign.kind}: {_times(sign.now)}, never in the baseline"
    if sign.what in ("more", "fewer"):
        return f"{sign.kind}: {_times(sign.now)}, {_number(sign.before)} were to be expected"
    if sign.what == "silent":
        return f"says nothing for {sign.now:.0f} s"
    if sign.what == "clock set":
        return f"its clock was set by {sign.now / 1000:+.1f} s"
    return f"{sign.kind}: up to {_number(sign.now)}, usually {_number(sign.before)}"


def _times(count: float) -> str:
    return "once" if count == 1 else f"{count:,.0f} times"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def troubles(found: list[LogTrouble], missing: list[str]) -> None:
    if found or missing:
        screen.line()
    if missing:
        screen.line(f"no log of: {', '.join(missing)}")
    for trouble in found:
        screen.lines(screen.wrapped(f"{screen.short_path(trouble.source)}: {trouble.what}", indent=2))
