"""`coordctl inventory`: init, validate, show, trust"""

import click

from coordctl.commands import options
from coordctl.inventory import pins, places
from coordctl.inventory.model import COORDNODE, ENGINES, ENVIRONMENTS, Inventory
from coordctl.inventory.pins import HostKey
from coordctl.operations import inventories
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, FAILED, REFUSED, Kind
from coordctl.report.running import output, run_group
from coordctl.results.inventory import InventoryTrusted, ShownKey

EPILOG = "Exit codes: 0 done or answered; each verb explains the others."
COLOURS = {"new": screen.YELLOW, "pinned": screen.GREEN, "changed": screen.RED, "failed": screen.RED}

inventory_option = click.option(
    "-c", "--cluster", metavar="NAME", default="", help="NAME.toml here or in ~/.config/coordctl, or the path of a file."
)


@click.command(epilog=EXPLAINED[Kind.ACTION])
@click.argument("name")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--environment", type=click.Choice(ENVIRONMENTS), default="dev", show_default=True)
@click.option("--engine", type=click.Choice(ENGINES), default=COORDNODE, show_default=True, help="Of others: members that run already.")
@options.quiet
@output
def init_command(name: str, addresses: tuple[str, ...], environment: str, engine: str, quiet: bool, output: str) -> int:
    """Write NAME.toml here: a cluster with a member at each of ADDRESSES, and what else can be said, as comments."""
    made = inventories.init(name, addresses, environment, engine)
    if output == "json":
        screen.json_line(made)
    elif not quiet:
        screen.line(f"{screen.short_path(made.path)}: {made.hosts} host{'' if made.hosts == 1 else 's'}. Read it through, then:")
        screen.line(f"coordctl inventory trust -c {name}")
    return made.exit_code


@click.command(
    epilog="Exit codes: 0 ok; 1 nothing is wrong, but something is worth a thought; 2 mistakes; 64 usage, no such file; 130 interrupted."
)
@inventory_option
@output
def validate_command(cluster: str, output: str) -> int:
    """Check the whole file, and name each mistake with its line and the remedy. No host is asked."""
    found = inventories.validate(cluster)
    if output == "json":
        screen.json_line(found)
        return found.exit_code
    screen.lines(found.mistakes)
    screen.lines(f"! {remark}" for remark in found.remarks)
    if found.mistakes:
        screen.line(f"{len(found.mistakes)} mistake{'' if len(found.mistakes) == 1 else 's'} in {screen.short_path(found.path)}")
    else:
        screen.line(f"{found.name}: {found.hosts} host{'' if found.hosts == 1 else 's'}, no mistakes in {screen.short_path(found.path)}")
    return found.exit_code


@click.command(epilog=EXPLAINED[Kind.QUERY])
@inventory_option
@output
def show_command(cluster: str, output: str) -> int:
    """What the file says of each host, together with ~/.ssh/config. No host is asked."""
    found = inventories.show(cluster)
    if output == "json":
        screen.json_line(found)
        return found.exit_code
    whose = "" if found.engine == COORDNODE else f", {found.engine}"
    screen.line(f"{found.name} ({found.environment}{whose})  {screen.short_path(found.path)}")
    rows = [
        [host.name, host.role, host.endpoint, host.zone or "-", host.ssh + (" sudo" if host.sudo else ""), host.jump or "-",
         "pinned" if host.fingerprint else "not pinned"]
        for host in found.hosts
    ]  # fmt: skip
    screen.lines(screen.aligned(("host", "role", "address", "zone", "ssh", "jump", "key"), rows))
    screen.lines(f"! {remark}" for remark in found.remarks)
    return found.exit_code


@click.command(
    epilog="Exit codes: 0 the keys of all are pinned; 1 a host showed no key; 64 usage; 76 a key was not accepted, or has changed; "
    "130 interrupted."
)
@click.argument("hosts", nargs=-1)
@inventory_option
@click.option("--yes", is_flag=True, help="Believe what is shown, without being asked.")
@click.option("--changed", "changed", metavar="HOST", multiple=True, help="This host was made anew: its new key takes the old one's place.")
@options.timeout("10s")
@output
def trust_command(hosts: tuple[str, ...], cluster: str, yes: bool, changed: tuple[str, ...], timeout_seconds: float, output: str) -> int:
    """Show the key of each host, or of HOSTS only, and pin it beside the inventory. Every other verb believes pinned keys alone.

    Compare what is shown with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the host itself.
    """
    from coordctl.operations import trust  # paramiko: the other verbs do without

    inventory = places.of_any_engine(cluster)
    added: dict[str, HostKey] = {}
    while True:
        shown, keys = trust.look(inventory, [*hosts, *changed] if hosts or changed else [], timeout_seconds)
        wanted = [one for one in shown if one.state == "new" or (one.state == "changed" and one.name in changed and one.name not in added)]
        if output != "json":
            _show(shown)
        if not wanted or not _is_accepted(inventory, wanted, yes=yes):
            break
        fresh = {one.name: keys[one.name] for one in wanted}
        trust.pin(inventory, fresh)
        added |= fresh
        if not any(one.state == "failed" for one in shown):  # nobody is behind a host whose key was not believed before
            break
    shown, _ = trust.look(inventory, hosts, timeout_seconds) if added else (shown, keys)
    code = FAILED if any(one.state == "failed" for one in shown) else DONE
    code = REFUSED if any(one.state in ("new", "changed") for one in shown) else code
    outcomes = {DONE: "pinned", FAILED: "failed", REFUSED: "refused"}
    path = inventory.beside(pins.SUFFIX)
    result = InventoryTrusted(outcome=outcomes[code], exit_code=code, path=path, added=len(added), keys=shown)  # type: ignore[arg-type]
    if output == "json":
        screen.json_line(result)
    else:
        well = sum(one.state == "pinned" for one in shown)
        screen.line(f"{well} of {len(shown)} keys pinned in {screen.short_path(path)}, {len(added)} of them now")
    return code


def _is_accepted(inventory: Inventory, wanted: list[ShownKey], *, yes: bool) -> bool:
    names = ", ".join(one.name for one in wanted)
    return yes or screen.confirmed(f"Believe from now on that these are {names} of {inventory.name} ({inventory.environment})?", "--yes")


def _show(shown: list[ShownKey]) -> None:
    for one in shown:
        if one.state == "failed":
            screen.note(f"coordctl: {one.trouble}")
            continue
        line = f"{one.name}  {one.ssh}  {one.kind} {one.fingerprint}  {screen.coloured(one.state, COLOURS[one.state])}"
        screen.line(line)
        if one.state == "changed":
            screen.note(f"coordctl: {one.name}: {one.pinned} is pinned; somebody may be in between.")
            screen.note(f"          If the host was made anew: coordctl inventory trust --changed {one.name}")


VERBS = {
    "init": (init_command, Kind.ACTION),
    "validate": (validate_command, Kind.PROBE),
    "show": (show_command, Kind.QUERY),
    "trust": (trust_command, Kind.ACTION),
}


def main(argv: list[str]) -> int:
    return run_group(VERBS, argv, "inventory", "Which hosts a cluster is to run on, and which keys of theirs are believed.", EPILOG)
