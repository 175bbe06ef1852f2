"""`coordctl status`"""

from datetime import UTC, datetime

import click

from coordctl.commands import options
from coordctl.local.clusters import chosen
from coordctl.operations.engines import status
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run
from coordctl.results.status import Finding, FoundMember, Status

COLOURS = {"OK": screen.GREEN, "WARNING": screen.YELLOW, "CRITICAL": screen.RED, "UNKNOWN": screen.YELLOW}
HEADINGS = ("member", "role", "state", "lag", "commit99", "fsync99", "free", "up", "version")
MARKS = {"ok": "-", "critical": "!!", "warning": "!", "unknown": "?"}


@click.command(epilog=EXPLAINED[Kind.QUERY])
@options.cluster
@options.endpoints
@options.timeout("5s")
@output
def command(cluster: str, endpoints: str, timeout_seconds: float, output: str) -> int:
    """How the cluster and each of its members are. Exits with 0 when that could be found out, whatever it is."""
    found = status(chosen(endpoints, cluster), timeout_seconds)
    if output == "json":
        screen.json_line(found)
    else:
        _show(found)
    return found.exit_code


def _show(found: Status) -> None:
    when = datetime.fromtimestamp(found.unix_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    head = f"{found.cluster or 'cluster'}  "
    gap = max(2, screen.COLUMNS_MIN - len(head) - len(found.judgement) - len(when))
    screen.line(f"{head}{screen.coloured(found.judgement, COLOURS[found.judgement])}{' ' * gap}{when}")
    leader = f"leader {found.leader}, term {found.term}" if found.leader else "no leader"
    if found.over_s is not None and found.elections:
        leader += f" ({found.elections} election{'' if found.elections == 1 else 's'} in {screen.short_seconds(found.over_s)})"
    screen.line(f"{can_lose(found.can_lose, found.sources_answered):<31}{leader}")
    if found.changing:
        screen.lines(screen.wrapped(f"changing: {found.changing}", indent=2))
    screen.line()
    _table(found.members, found.unix_ms // 1000)
    if found.findings:
        screen.line()
    show_findings(found.findings)
    if not found.findings:
        screen.line()
    if found.backup_age_s is not None:
        screen.line(f"backup   {screen.short_seconds(found.backup_age_s)} ago, verified")
    if found.canary:
        screen.lines(screen.wrapped(f"canary   {found.canary}", indent=9))
    digest = f"digest {found.digest}" + (f" at index {found.digest_index}" if found.digest != "unknown" else "")
    screen.line(f"sources: API {found.sources_answered}/{found.sources_asked}                {digest}")


def remedy_of(finding: Finding) -> list[str]:
    page = f"runbooks/{finding.runbook}" if finding.runbook else ""
    gap = screen.columns() - 2 - len(finding.remedy) - len(page)
    if page and gap >= 2:
        return [f"  {finding.remedy}{' ' * gap}{page}"]
    return [*screen.wrapped(finding.remedy, indent=2, first=2), *([f"  {page}"] if page else [])]


def show_findings(findings: list[Finding]) -> None:
    for finding in findings:
        screen.lines(screen.wrapped(f"{MARKS[finding.level]} {finding.sentence}", indent=2))
        screen.lines(remedy_of(finding))


def can_lose(count: int, answered: int) -> str:
    if not answered:
        return "can lose: not known"
    if count < 0:
        return "can lose: no quorum is left"
    return f"can lose: {count} more member{'' if count == 1 else 's'}"


def _table(members: list[FoundMember], now_s: int) -> None:
    rows = [_row(one) for one in members]
    table = screen.aligned(HEADINGS, rows, right=("lag", "commit99", "fsync99", "free", "up"))
    screen.line(table[0])
    for one, line in zip(members, table[1:], strict=True):
        screen.line(line)
        about = "; ".join(one.reasons)
        if one.state == "UNREACHABLE":
            about = f"{one.trouble}; {_seen(one.seen_unix_s, now_s)}"
        if about:
            screen.lines(screen.wrapped(f"{one.address}: {about}", indent=8, first=8))


def _seen(then_s: int | None, now_s: int) -> str:
    return "never seen from here" if then_s is None else f"seen {screen.short_seconds(max(0, now_s - then_s))} ago"


def _row(one: FoundMember) -> list[str]:
    def shown(value: float | None, unit: str) -> str:
        return "-" if value is None else f"{value:.1f} {unit}"

    return [
        one.name,
        one.role,
        one.state,
        "-" if one.lag is None else str(one.lag),
        shown(_newest(one.recent_commit_p99_ms, one.commit_p99_ms) if one.role == "leader" else None, "ms"),
        shown(_newest(one.recent_sync_p99_ms, one.sync_p99_ms), "ms"),
        screen.short_bytes(one.free_bytes),
        screen.short_seconds(one.uptime_s),
        one.version or "-",
    ]


def _newest(recent: float | None, ever: float | None) -> float | None:
    return ever if recent is None else recent


def main(argv: list[str]) -> int:
    return run(command, argv, "status", Kind.QUERY)
