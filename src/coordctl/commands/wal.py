"""`coordctl wal`: dump, verify, diff"""

import click

from coordctl.commands import options
from coordctl.commands.logs import cluster_for
from coordctl.operations import verifying, wal
from coordctl.operations.folders import folders_of
from coordctl.report import screen
from coordctl.report.exits import CRITICAL, DONE, EXPLAINED, OK, UNKNOWN, WARNING, Kind
from coordctl.report.running import output, run_group
from coordctl.results.wal import WalDiff, WalRecord, WalVerified
from coordnode.errors import CoordError

FOLDER = click.Path(exists=True, file_okay=False)
GRAVITY = (OK, UNKNOWN, WARNING, CRITICAL)


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("folder", type=FOLDER)
@click.option("--from", "first", type=click.IntRange(0), default=0, metavar="INDEX", help="Only entries from this index on.")
@click.option("--to", "last", type=click.IntRange(0), metavar="INDEX", help="Only entries up to this index.")
@click.option("--data", "with_data", is_flag=True, help="With -o json: the bytes of each entry, base64.")
@output
def dump(folder: str, first: int, last: int | None, with_data: bool, output: str) -> int:
    """Print the log in FOLDER, a member's data folder, one record a line. The member may run meanwhile."""
    records = wal.dump(folder, first=first, last=last, with_data=with_data)
    if output == "json":
        for record in records:
            screen.json_line(record)
        return DONE
    screen.line(_LINE.format("WHERE", "KIND", "TERM", "INDEX", "CHAIN", "BYTES", "VERDICT"))
    for record in records:
        screen.line(_line_of(record))
    return DONE


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("folders", type=FOLDER, nargs=-1, metavar="[FOLDER]...")
@options.cluster
@output
def verify(folders: tuple[str, ...], cluster: str, output: str) -> int:
    """Do members' data folders, the FOLDERs or those of the cluster, also on hosts, hold what was written there? Reads the log, the hard
    state, the mark and every snapshot.

    A torn tail is no damage: it is what a crash leaves of writes that nobody was told about.
    """
    codes = []
    for found in verifying.verified(folders, cluster_for(folders, cluster)):
        if isinstance(found, CoordError):
            if len(folders) == 1:
                raise found
            screen.error(found.sentence)
            codes.append(UNKNOWN)
            continue
        codes.append(found.exit_code)
        if output == "json":
            screen.json_line(found)
        else:
            screen.lines(_lines_of(found))
    return max(codes, key=GRAVITY.index)


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("folders", type=FOLDER, nargs=-1, metavar="[FOLDER FOLDER...]")
@options.cluster
@output
def diff(folders: tuple[str, ...], cluster: str, output: str) -> int:
    """Where do the logs of members first differ, and what does that mean? FOLDERs are their data folders, or copies of these; else it is
    about those of the cluster, also on hosts.

    A tail that no majority has is legal (1): it is undone when its member follows a later leader. Other bytes under the same term and
    index, or another history that was applied, are not (2).
    """
    with folders_of(folders, cluster_for(folders, cluster)) as some:
        found = wal.diff(some)
    if output == "json":
        screen.json_line(found)
    else:
        screen.lines(_lines_of_diff(found))
    return found.exit_code


VERBS = {"dump": (dump, Kind.QUERY), "verify": (verify, Kind.PROBE), "diff": (diff, Kind.PROBE)}
COLOURS = {"equal": screen.GREEN, "deviates": screen.YELLOW, "broken": screen.RED, "unknown": screen.YELLOW}

_LINE = "{:<30} {:<9} {:>4} {:>8} {:>8} {:>8} {}"


def _line_of(record: WalRecord) -> str:
    where = f"{record.path}+{record.offset}"
    verdict = f"{record.verdict}: {record.reason}" if record.reason else record.verdict
    return _LINE.format(where, record.holds or record.kind, record.term, record.index, record.chain, record.size_bytes, verdict)


def _lines_of(found: WalVerified) -> list[str]:
    whose = f"member {found.member} of cluster {found.cluster}" if found.member else "an unknown member"
    counted = f"{found.entries} entries in {found.segments} segments, up to index {found.last_index}, chain {found.last_chain}"
    if found.outcome != "rot":
        tail = f"; torn tail in {found.tail_path}, harmless" if found.outcome == "torn tail" else ""
        return [f"{screen.coloured('OK', screen.GREEN)}  {whose}", f"    {counted}{tail}"]
    lines = [f"{screen.coloured('ROT', screen.RED)}  {whose}: {len(found.damages)} damages", f"     {counted}"]
    for damage in found.damages:
        lines += ["", f"{damage.path}, offset {damage.offset}: {damage.reason}", f"  what to do: {damage.remedy}"]
    return lines


def _lines_of_diff(found: WalDiff) -> list[str]:
    head = screen.coloured(found.outcome.upper(), COLOURS[found.outcome])
    if found.first_difference is None and found.outcome == "unknown":
        lines = [f"{head}  not all of {len(found.sides)} logs can be compared ({found.probes} hashes compared)"]
    elif found.first_difference is None:
        lines = [f"{head}  no index of {len(found.sides)} logs differs ({found.probes} hashes compared)"]
    else:
        by = "the majority says which is right" if found.has_majority else "no majority says which is right"
        lines = [f"{head}  first difference at index {found.first_difference}; {by} ({found.probes} hashes compared)"]
    for side in found.sides:
        mark = "+" if side.is_right else "-"
        lines += screen.wrapped(f"{mark} {screen.short_path(side.folder)}: {side.verdict}; {side.sentence}", indent=4)
        chain = f", chain {side.chain} there" if side.term else ""
        lines.append(f"    entries {side.first_index} to {side.last_index}, snapshot {side.snapshot_index}{chain}")
        lines += [f"    at {found.first_difference}: {sentence}" for sentence in side.entry]
        lines += [f"    missing: {gap}" for gap in side.gaps]
        lines += [f"    damaged: {damage}" for damage in side.damages]
        if side.is_torn:
            lines.append("    torn tail, harmless")
    return lines


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "wal", "Look into a member's log.")
