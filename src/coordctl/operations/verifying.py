"""`wal verify` of several members: their folders on this machine, or on the hosts that they are on. Nothing is written."""

from collections.abc import Iterator, Sequence

import msgspec

from coordctl.facts import hosts as questions
from coordctl.inventory.model import Inventory
from coordctl.local.clusters import must_be_own
from coordctl.operations import wal
from coordctl.operations.folders import folders_of
from coordctl.operations.logs import Whose
from coordctl.results.wal import WalVerified
from coordnode.errors import CoordError
from coordnode.storage.reader import Report

VERIFY_SECONDS = 1_800.0


def verified(named: Sequence[str], whose: Whose) -> Iterator[WalVerified | CoordError]:
    """Of each what was found, or why nothing was."""
    if whose is not None:
        must_be_own(whose.engine)
    if isinstance(whose, Inventory) and not named:
        yield from _verified_there(whose)
        return
    with folders_of(named, whose) as found:
        for folder in found:
            try:
                yield wal.verify(folder.path)
            except CoordError as error:
                yield error


def _verified_there(inventory: Inventory) -> Iterator[WalVerified | CoordError]:
    from coordctl.operations import fetching  # paramiko
    from coordctl.operations.fleet import Fleet
    from coordctl.transport.base import HostFailed, Script, Transport, must_run

    hosts = Fleet(inventory, "wal verify", "")
    try:
        hosts.connect(fetching.hosts_of(inventory))
        hosts.ask()

        def verify(transport: Transport) -> WalVerified:
            base = hosts.facts[transport.host].base
            ran = must_run(transport, Script("verify", questions.verify_text({"base": base})), VERIFY_SECONDS)
            try:
                cluster, member, report = msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=tuple[int, int, Report])
            except (msgspec.MsgspecError, IndexError):
                raise HostFailed(transport.host, "failed", f"it did not say what is in {base}/data: {ran.last_words()}") from None
            return wal.verified(f"{transport.host}:{base}/data", cluster, member, report)

        found = hosts.at_each(hosts.names(), verify, VERIFY_SECONDS)
        for host in hosts.hosts:
            yield found[host.name] if host.name in found else hosts.failed[host.name]
    finally:
        hosts.close()
