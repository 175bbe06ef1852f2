"""`coordctl chaos`: run, inject, status, revert, faults, proxy, ls, show, validate, schema"""

from datetime import UTC, datetime

import click
import msgspec

from coordctl.chaos import grammar
from coordctl.chaos.values import shown_ms
from coordctl.commands import chaos_page, confirming, options
from coordctl.commands.deploy import check_reason
from coordctl.commands.units import DURATION
from coordctl.inventory.reading import read
from coordctl.local.clusters import LocalCluster, chosen_local
from coordctl.operations import chaos_faults, chaos_proxy, chaos_run
from coordctl.operations import chaos_playbooks as playbooks
from coordctl.report import outlets, plain, screen
from coordctl.report.exits import DONE, EXPLAINED, INTERRUPTED, REFUSED, Kind
from coordctl.report.junit import junit
from coordctl.report.running import output, run_group
from coordctl.results.chaos import ChaosInjected, ChaosPlaybook, ChaosRun, ChaosShow, ChaosStatus, ChaosTold
from coordnode.errors import BadRequest


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@output
def ls(folder: str | None, output: str) -> int:
    """The playbooks in FOLDER, or those that come with coordctl."""
    found = list(playbooks.list_them(folder or ""))
    if output == "json":
        for one in found:
            screen.json_line(one)
    else:
        screen.lines(line for one in found for line in _listed(one))
    return DONE if found else 1


@click.command(epilog=EXPLAINED[Kind.QUERY])
@click.argument("playbook")
@click.option("--source", is_flag=True, help="The file itself, to begin one's own from.")
@output
def show(playbook: str, source: bool, output: str) -> int:
    """PLAYBOOK, a name of `chaos ls` or a file, as one table."""
    if source:
        screen.line(playbooks.source(playbook).rstrip("\n"))
        return DONE
    found = playbooks.show(playbook)
    if output == "json":
        screen.json_line(found)
    else:
        screen.lines(_table(found))
    return found.exit_code


@click.command(epilog=EXPLAINED[Kind.PROBE])
@click.argument("playbook", nargs=-1, required=True)
@output
def validate(playbook: tuple[str, ...], output: str) -> int:
    """Is each PLAYBOOK one? Every mistake is named with its line and what to do."""
    found = [playbooks.validate(one) for one in playbook]
    for one in found:
        if output == "json":
            screen.json_line(one)
        elif one.mistakes:
            screen.lines(f"{one.path}:{mistake.line}: {mistake.sentence}" for mistake in one.mistakes)
        else:
            screen.line(f"{one.path}: valid")
    return max(one.exit_code for one in found)


@click.command(epilog=EXPLAINED[Kind.QUERY])
def schema() -> int:
    """The JSON Schema of a playbook, for editors and pipelines."""
    plain.json_text(msgspec.json.format(msgspec.json.encode(grammar.schema()), indent=2).decode() + "\n")
    return DONE


def _listed(one: ChaosPlaybook) -> list[str]:
    if one.exit_code:
        return [f"{one.name}", f"    refused: see coordctl chaos validate {one.path}"]
    rows = "1 row" if one.rows == 1 else f"{one.rows} rows"
    return [f"{one.name}  ({shown_ms(one.lasts_ms)}, {rows}: {', '.join(one.faults)})", *screen.wrapped(one.proves, indent=4, first=4)]


def _table(found: ChaosShow) -> list[str]:
    rows = [[str(row.row), shown_ms(row.at_ms), shown_ms(row.for_ms), row.do, row.to, row.by] for row in found.rows]
    lines = [
        *screen.wrapped(f"{found.name}: {found.proves}", indent=4),
        "",
        *screen.aligned(["row", "at", "for", "do", "to", "by"], rows, right=["row", "at", "for"]),
        "",
    ]
    for title, told in (
        ("load", found.load),
        ("probe", found.probes),
        ("goal", found.goals),
        ("expect", found.expect),
        ("check", found.checks),
    ):
        lines += [f"{title:<8}{one}" for one in told]
    return [*lines, f"{'lasts':<8}{shown_ms(found.lasts_ms)}, seed {found.seed}, {found.members_min} members at least"]


# --- faults --------------------------------------------------------------------------------------------------------


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("fault")
@click.argument("target", nargs=-1, required=True)
@click.option("--for", "for_seconds", type=DURATION, required=True, help="How long: every fault ends.")
@click.option("--by", "--to", "by", default="", metavar="HOW", help="How hard: delay 200ms, bandwidth 64KiB/s, fill-disk 98%.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws who is meant by random, follower, minority …")
@click.option("--reason", default="", metavar="TEXT", help="Written down with it.")
@click.option("--accept", type=click.Choice(chaos_faults.RISKS), default=None, help="The cluster may lose its quorum; needs --reason.")
@confirming.confirm
@options.cluster
@options.quiet
@output
def inject(
    fault: str,
    target: tuple[str, ...],
    for_seconds: float,
    by: str,
    seed: int,
    reason: str,
    accept: str | None,
    confirm: str,
    cluster: str,
    quiet: bool,
    output: str,
) -> int:
    """Do FAULT to TARGET, and return once it was seen to have taken. It ends by itself, also when this command is killed.

    TARGET is leader, follower, random, minority, majority, all, a share such as 40%, or names such as n1 or n1,n3; for what hits
    links two of these with -> or <-> between them, such as 'n1 -> n3' or 'leader <-> others', in quotes.
    """
    asked = chaos_faults.Asked(fault, " ".join(target), by, round(for_seconds * 1000), seed, reason, accept or "")
    chosen = chosen_local(cluster)
    if not _is_confirmed(chosen, confirm, reason):
        return REFUSED
    try:
        done = chaos_faults.inject(chosen, asked)
    except chaos_faults.BeyondQuorum as error:
        screen.error(error.sentence)
        return REFUSED
    except chaos_faults.Interrupted as interrupted:
        screen.error(interrupted.sentence)
        return INTERRUPTED
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        screen.lines(_told(done))
    return done.exit_code


def _is_confirmed(cluster: LocalCluster, confirm: str, reason: str) -> bool:
    """Only a fleet has an environment."""
    if not cluster.inventory:
        return True
    inventory = read(cluster.inventory)
    check_reason(inventory, reason)
    return confirming.is_confirmed(inventory, "Break on purpose", yes=True, confirm=confirm)


@click.command(epilog=EXPLAINED[Kind.QUERY])
@options.cluster
@output
def status(cluster: str, output: str) -> int:
    """What is broken on purpose now: since when, until when, by whom; and what was healed lately."""
    found = chaos_faults.status(chosen_local(cluster))
    if output == "json":
        screen.json_line(found)
    else:
        screen.lines(_status(found))
    return found.exit_code


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("ids", nargs=-1, metavar="[ID …]")
@click.option("--all", "everything", is_flag=True, help="All that is broken on purpose.")
@options.cluster
@options.quiet
@output
def revert(ids: tuple[str, ...], everything: bool, cluster: str, quiet: bool, output: str) -> int:
    """Heal at once what is broken on purpose, and return once that was seen. Done twice it changes nothing."""
    done = chaos_faults.revert(chosen_local(cluster), ids, everything=everything)
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        screen.lines(f"{one.member}: {one.fault} is over" for one in done.reverted)
        if not done.reverted:
            screen.line(f"{done.cluster}: nothing of that is broken")
    return done.exit_code


@click.command(epilog=EXPLAINED[Kind.QUERY])
@options.cluster
@output
def faults(cluster: str, output: str) -> int:
    """Every fault: what it does, by which mechanism, how it ends, and whether it can be done to this cluster."""
    found = chaos_faults.faults(cluster)
    for one in found:
        if output == "json":
            screen.json_line(one)
            continue
        screen.line(f"{one.fault} {one.by}".rstrip() + ("" if one.can_be_injected else f"   not now: {one.why_not}"))
        screen.lines(screen.wrapped(f"{one.what}; {one.mechanism}; {one.ends}", indent=4, first=4))
    return DONE


RUN_EXITS = (
    "Exit codes: 0 green; 1 a probe or expectation was not met; 2 a promise was broken; 3 inconclusive: a goal was missed, a fault could "
    "not be done or did not take; 5 not everything could be reverted; 64 usage; 76 another run goes on; 130 interrupted, and reverted. "
    "Of several, 5 counts before 2, then 1, then 3."
)


@click.command(epilog=RUN_EXITS)
@click.argument("playbook")
@click.option("--dry-run", is_flag=True, help="Only print it as one table.")
@click.option("--simulate", is_flag=True, help="On the simulator: close to the same faults, and only promises are judged.")
@click.option("--seeds", default="0-19", show_default=True, metavar="0-999", help="Of --simulate.")
@click.option("--accept", type=click.Choice(chaos_faults.RISKS), default=None, help="The cluster may lose its quorum; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Written down with each fault.")
@click.option("--junit", "junit_path", metavar="FILE", default="", help="The verdicts, for pipelines.")
@click.option("--html", "page", metavar="FILE", default="", help="The report as one HTML file, too.")
@click.option("--keep", metavar="DIR", default="", help="Keep the histories there, also when all is green.")
@confirming.confirm
@options.cluster
@options.quiet
@output
def run_command(
    playbook: str,
    dry_run: bool,
    simulate: bool,
    seeds: str,
    accept: str | None,
    reason: str,
    junit_path: str,
    page: str,
    keep: str,
    confirm: str,
    cluster: str,
    quiet: bool,
    output: str,
) -> int:
    """Run PLAYBOOK, a name of `chaos ls` or a file, and judge what came of it.

    Whatever it breaks heals by itself, also when this command is killed.
    """
    if dry_run:
        found = playbooks.show(playbook)
        screen.json_line(found) if output == "json" else screen.lines(_table(found))
        return found.exit_code
    if simulate:
        return _simulate(playbook, seeds, output)
    if accept and not reason:
        raise BadRequest(f"--accept {accept} needs --reason: it is written down with it")
    chosen = chosen_local(cluster)
    if not _is_confirmed(chosen, confirm, reason):
        return REFUSED
    wanted = playbooks.load(playbook)
    _check_outlets(junit_path, page, keep)
    asked = chaos_run.Asked(accept or "", reason, keep, playbook)
    try:
        done = chaos_run.run(chosen, wanted, asked, _ignore if output == "json" or quiet else _progress)
    except chaos_faults.BeyondQuorum as error:
        screen.error(error.sentence)
        return REFUSED
    if output == "json":
        screen.json_line(done)
    else:
        screen.lines(_verdict_lines(done))
    screen.flush()  # whatever comes of the files
    if junit_path:
        cases = [(f"{one.kind} {one.name}".strip(), one.exit_code in (1, 2, 5), one.exit_code == 3, one.sentence) for one in done.verdicts]
        outlets.write("--junit", junit_path, junit(f"chaos {done.playbook}", done.elapsed_ms / 1000, cases))
    if page:
        outlets.write("--html", page, chaos_page.page(done))
    return done.exit_code


def _check_outlets(junit_path: str, page: str, keep: str) -> None:
    for option, path in (("--junit", junit_path), ("--html", page)):
        if path:
            outlets.check_file(option, path)
    if keep:
        outlets.check_folder("--keep", keep)


def _simulate(playbook: str, seeds: str, output: str) -> int:
    from coordctl.operations import chaos_simulate  # the whole member comes with it

    done = chaos_simulate.simulate(playbooks.load(playbook), playbook, chaos_simulate.parse_seeds(seeds))
    if output == "json":
        screen.json_line(done)
        return done.exit_code
    outcome = screen.coloured(done.outcome.upper(), COLOURS[done.exit_code])
    faults = ", ".join(f"{count} x {kind}" for kind, count in done.faults.items())
    screen.line(f"{outcome}  {done.playbook}, simulated from {done.seeds} seeds: {done.operations} operations, {faults}")
    for one in done.red:
        screen.lines(screen.wrapped(f"seed {one.seed}: {one.check}: {one.sentence}", indent=4, first=2))
        screen.line(f"    {one.again}")
    screen.lines(line for one in done.approximations for line in screen.wrapped(f"approximate: {one}", indent=4, first=2))
    return done.exit_code


def _progress(told: ChaosTold) -> None:
    screen.line(f"{told.at_ms / 1000:5.1f} s  {told.sentence}")
    screen.flush()


def _ignore(told: ChaosTold) -> None:
    """JSON comes at the end, in one line."""


COLOURS = {0: screen.GREEN, 1: screen.YELLOW, 2: screen.RED, 3: screen.YELLOW, 5: screen.RED, 130: screen.YELLOW}


def _verdict_lines(done: ChaosRun) -> list[str]:
    outcome = screen.coloured(done.outcome.upper(), COLOURS[done.exit_code])
    lines = [f"{outcome}  {done.playbook} on {done.cluster}, {done.elapsed_ms / 1000:.1f} s"]
    for one in done.verdicts:
        words = screen.visible(f"{one.outcome:<14} {one.kind} {one.name}".rstrip() + f": {one.sentence}")
        lines += screen.wrapped(words, indent=17, first=2)
    return [*lines, *([f"  histories: {done.kept}"] if done.kept else [])]


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("act", type=click.Choice(["install", "remove"]))
@options.cluster
@options.timeout("2m")
@options.quiet
@output
def proxy(act: str, cluster: str, timeout_seconds: float, quiet: bool, output: str) -> int:
    """Put a proxy into every link between members, or take them out again; members are restarted one at a time for it.

    Done twice it changes nothing; cut short, a second time goes on with it. `coordctl down` takes them out, too.
    """
    change = chaos_proxy.install if act == "install" else chaos_proxy.remove
    done = change(chosen_local(cluster), timeout_seconds)
    if output == "json":
        screen.json_line(done)
    elif not quiet:
        restarted = f"; restarted one at a time: {', '.join(done.restarted)}" if done.restarted else ""
        what = f"{done.links} links through proxies, each seen to pass; API {done.api}" if done.links else "no proxies in its links"
        screen.line(f"{done.cluster}: {what}{restarted}")
    return done.exit_code


def _told(done: ChaosInjected) -> list[str]:
    word = {"kill": "killed", "pause": "stopped", "crash-loop": "killed, again and again"}.get(done.fault, done.fault)
    lines = [
        f"{one.member}{' (leader)' if one.member == done.leader_before else ''} {word}; verified: {one.verified}." for one in done.faults
    ]
    if done.leaderless_ms and done.leader_after:
        lines[-1] += f" {done.leader_after} leads after {done.leaderless_ms / 1000:.2f} s."
    elif done.can_lose < 0:
        lines[-1] += " There is no quorum now."
    return [*lines, f"Healed in {shown_ms(done.for_ms)} even if this command dies; at once: coordctl chaos revert --all"]


def _status(found: ChaosStatus) -> list[str]:
    if found.faults:
        rows = [[one.id, one.fault, one.member, _time(one.since_unix_ms), _time(one.until_unix_ms), one.owner] for one in found.faults]
        lines = [*screen.aligned(["id", "fault", "member", "since", "until", "by"], rows), "", f"reapers: {found.reapers} of 2"]
    else:
        lines = [f"{found.cluster}: nothing is broken on purpose" + (", as far as hosts say" if found.unseen else "")]
    lines += [f"not known: {one}" for one in found.unseen]
    return [*lines, *[f"{_time(one.unix_ms)}  {one.fault} {one.member}: {one.event}" for one in found.lately]]


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%H:%M:%SZ")


VERBS = {
    "run": (run_command, Kind.PROBE),
    "inject": (inject, Kind.ACTION),
    "status": (status, Kind.QUERY),
    "revert": (revert, Kind.ACTION),
    "faults": (faults, Kind.QUERY),
    "proxy": (proxy, Kind.ACTION),
    "ls": (ls, Kind.QUERY),
    "show": (show, Kind.QUERY),
    "validate": (validate, Kind.PROBE),
    "schema": (schema, Kind.QUERY),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "chaos", "Break a cluster on purpose, and heal it.", EXPLAINED[Kind.QUERY])
