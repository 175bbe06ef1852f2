"""`coordctl backup`: create, ls, verify"""

import time
from collections.abc import Sequence

import click

from coordctl.commands import options
from coordctl.local import clusters
from coordctl.operations import backing_up, backup_proof, backups
from coordctl.report import screen
from coordctl.report.exits import EXPLAINED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.backup import BackupCreated, FoundBackup

EPILOG = "Exit codes: 0 done or answered; each verb explains the others."
FOLDER = click.option("--to", "folder", metavar="DIR", default="", help="Where backups are; default: ~/.local/share/coordctl/backups/NAME.")


@click.command(epilog=EXPLAINED[Kind.ACTION])
@FOLDER
@click.option("--member", metavar="NAME", default="", help="Whose copy is taken; default: a follower's.")
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Afterwards, remove all but the newest N verified ones of this cluster.")
@options.cluster
@options.timeout("30s")
@options.quiet
@output
def create(folder: str, member: str, keep: int | None, cluster: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """Write the cluster's whole state at one index into a file, while it runs; then read it again, and apply it.

    Everything that was acknowledged before this began is inside. --timeout bounds the wait for a member that has it.
    """
    found = clusters.chosen_local(cluster)
    clusters.must_be_own(found.engine)
    say = (lambda text: None) if quiet or output == "json" else screen.note
    done = backing_up.create(found, folder=folder, member=member, keep=keep or 0, timeout_seconds=timeout_seconds, say=say)
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        _show_created(done)
    if output != "json":
        _warn(done.warnings)
    return done.exit_code


def _show_created(done: BackupCreated) -> None:
    made = done.backup
    screen.line(
        f"{screen.short_path(made.path)}: index {made.index}, {screen.short_bytes(made.bytes)}, verified ({done.elapsed_ms / 1000:.1f} s)"
    )
    screen.lines(f"removed {screen.short_path(path)}" for path in done.removed)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        screen.error(warning)


@click.command("ls", epilog=EXPLAINED[Kind.QUERY])
@FOLDER
@options.cluster
@output
def list_command(folder: str, cluster: str, output: str) -> int:
    """Which backups there are, the newest first. Only their beginnings and ends are read: see verify."""
    found = backups.listed(_name(cluster), folder)
    if output == "json":
        screen.json_line(found)
    elif found.backups:
        rows = [_row(one) for one in found.backups]
        screen.lines(screen.aligned(("taken", "age", "index", "size", "verified", "file"), rows, right=("age", "index", "size")))
        for one in found.backups:
            if one.trouble:
                screen.error(f"{one.path}: {one.trouble}")
        _warn(found.warnings)
    else:
        screen.error(f"no backup is in {screen.short_path(found.folder)}: make one with `coordctl backup create`")
    return found.exit_code


def _row(one: FoundBackup) -> list[str]:
    verified = "DAMAGED" if one.trouble else "no" if one.verified_unix_s is None else "yes"
    taken = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one.taken_unix_s)) if one.taken_unix_s else "-"
    return [taken, screen.short_seconds(one.age_s), str(one.index), screen.short_bytes(one.bytes), verified, screen.short_path(one.path)]


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("backup", default="")
@FOLDER
@options.cluster
@output
def verify(backup: str, folder: str, cluster: str, output: str) -> int:
    """Read all of BACKUP, a file or its name, and apply what it holds; default: the newest. Damage is named with its place."""
    found = backup_proof.verify(backups.chosen(backup, "" if backup else _name(cluster), folder))
    if output == "json":
        screen.json_line(found)
    else:
        colour = {0: screen.GREEN, 2: screen.RED}.get(found.exit_code, screen.YELLOW)
        screen.lines(screen.wrapped(f"{screen.coloured(found.outcome.upper(), colour)}  {found.sentence}", indent=4))
    return found.exit_code


def _name(cluster: str) -> str:
    """Backups outlive what they are of."""
    if cluster and clusters.read(clusters.folder_of(cluster)) is None:
        return cluster
    return clusters.chosen_local(cluster).name


VERBS = {"create": (create, Kind.ACTION), "ls": (list_command, Kind.QUERY), "verify": (verify, Kind.PROBE)}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "backup", "The cluster's whole state as a file.", EPILOG)
