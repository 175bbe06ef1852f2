"""Members' data folders as they can be read here: where they are, of a cluster on this machine; of one on hosts as copies that go away.

Nothing of a member is stopped for it. A host needs sshd and Python; what it keeps of journals stays there.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from shlex import quote
from typing import NamedTuple

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Inventory
from coordctl.local import fleet
from coordctl.local.clusters import must_be_own
from coordctl.logs import files
from coordctl.operations.logs import Whose

PACK_SECONDS = 600.0
FETCH_SECONDS = 1_800.0
IN_ORDER = ("identity", "hard_state.0", "hard_state.1", "mark", "snapshots", "wal")
"""The log last: whatever the others speak of is in it then, however busy the member is meanwhile."""


class Folder(NamedTuple):
    path: str
    called: str  # what whoever asked knows it as
    trouble: str = ""  # why there is nothing at `path`

    def told(self, text: str) -> str:
        """A path within, or a sentence with one, as whoever asked knows it."""
        return text.replace(self.path, self.called) if self.path else text


def here(path: str) -> Folder:
    return Folder(path, path)


@contextmanager
def folders_of(named: Sequence[str], whose: Whose) -> Iterator[list[Folder]]:
    """Those that are named, else of that cluster. Raises BadRequest where these are of another engine."""
    if whose is not None:
        must_be_own(whose.engine)
    if named:
        yield [here(path) for path in named]
    elif isinstance(whose, Inventory):
        with tempfile.TemporaryDirectory(prefix="coordctl-folders-") as scratch:
            yield _copies(whose, scratch)
    else:
        assert whose is not None
        yield [here(fleet.data_folder(whose, member)) for member in whose.members]


def _copies(inventory: Inventory, scratch: str) -> list[Folder]:
    from coordctl.operations import fetching  # paramiko
    from coordctl.operations.fleet import Fleet
    from coordctl.transport.base import Script, Transport, must_run

    wanted = fetching.hosts_of(inventory)
    hosts = Fleet(inventory, "folders", "")
    try:
        hosts.connect(wanted)
        hosts.ask()

        def copy(transport: Transport) -> Folder:
            name, facts = transport.host, hosts.facts[transport.host]
            place = f"{facts.base}/folder-{os.getpid()}-{time.time_ns()}.part"
            archive, path = os.path.join(scratch, f"{name}.tar.gz"), os.path.join(scratch, name)
            os.mkdir(path)
            try:
                must_run(transport, Script("pack folder", _pack_script(facts, place)), PACK_SECONDS)
                transport.get(place, archive, FETCH_SECONDS)
            finally:
                transport.run(Script("remove packed folder", f"rm -f {quote(place)}\n"), PACK_SECONDS)
            trouble = "; ".join(one.why for one in files.unpack(archive, path))
            os.unlink(archive)
            return Folder(path, f"{name}:{facts.base}/data", trouble)

        copied = hosts.at_each(hosts.names(), copy, PACK_SECONDS + FETCH_SECONDS)
        return [copied.get(host.name) or Folder("", host.name, hosts.failed[host.name].sentence) for host in wanted]
    finally:
        hosts.close()


def _pack_script(facts: HostFacts, place: str) -> str:
    """A file that is written meanwhile is no failure (1). What commands that were killed left is removed after a day."""
    base = quote(facts.base)
    return (
        f"set -eu\numask 077\nfind {base} -maxdepth 1 -name 'folder-*.part' -mmin +1440 -delete\ncd {base}/data\n"
        f'set --\nfor part in {" ".join(IN_ORDER)}; do if [ -e "$part" ]; then set -- "$@" "$part"; fi; done\n'
        f'code=0\ntar -czf {quote(place)} --ignore-failed-read -- "$@" || code=$?\n[ "$code" -le 1 ]\n'
    )
