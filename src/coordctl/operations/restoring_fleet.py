"""`restore` onto hosts: a deployment whose members begin with a backup's state. What is not done yet when it ends early, `deploy` does."""

import os
import tempfile
from collections.abc import Sequence

from coordctl.inventory.model import Host, Inventory
from coordctl.local import clusters
from coordctl.operations import identities
from coordctl.operations.deploying import Deployment
from coordctl.operations.hosting import Say
from coordctl.operations.identities import Ids
from coordctl.operations.restoring import UNTOUCHED, InTheWay, Rehearsed, rehearse, state_of, told
from coordctl.results.backup import Restored
from coordctl.results.deploy import Deployed


class Restoration(Deployment):
    VERB = "restore"

    def __init__(self, inventory: Inventory, path: str, reason: str, say: Say) -> None:
        super().__init__(inventory, reason, say)
        self._path = path
        self._rehearsed: Rehearsed | None = None
        self._cluster = 0

    def restore(self, *, dry_run: bool) -> Restored:
        done: Deployed = self.run(dry_run=dry_run)
        rehearsed = self._rehearsed
        is_well = rehearsed is not None and done.outcome in ("done", "would change")
        return Restored(
            outcome=done.outcome,
            exit_code=done.exit_code,
            cluster=done.cluster,
            sentence=told(rehearsed, self._cluster) if rehearsed is not None and is_well else done.sentence,
            hosts=done.hosts,
            noted=done.noted,
            elapsed_ms=done.elapsed_ms,
            backup=self._path,
            state=state_of(rehearsed, self._cluster) if rehearsed is not None else None,
        )

    def _members(self) -> tuple[Host, ...]:
        return self.inventory.voters()

    def _others(self, members: Sequence[Host]) -> tuple[list[Host], list[Host]]:
        """None: `deploy` takes them in, once somebody has looked at what was restored. Until then they have nothing, as members have."""
        if self._begun() is None:
            self._check_is_bare()
        return [], []

    def _begun(self) -> Ids | None:
        """By an earlier run with this backup, which ended before the new cluster was seen to serve."""
        known = identities.written(self.inventory)
        if known is None or known.archive != self._path:
            return None
        here = clusters.read(clusters.folder_of(self.inventory.name))
        return known if here is None or here.cluster != known.cluster else None

    def _identify(self, *, keep: bool) -> Ids:
        """Nothing is written down, here or there, before the rehearsal."""
        begun = self._begun()
        if begun is None:
            self._check_is_bare()  # as hosts are now that nobody else works on them
        ids = begun or identities.drawn(self.inventory)
        self._say(f"rehearsing with {os.path.basename(self._path)}")
        with tempfile.TemporaryDirectory(prefix="coordctl-restore-") as scratch:
            rehearsed = self._rehearsed = rehearse(self._path, scratch, ids.cluster, ids.created)
        self._cluster = ids.cluster
        if begun is not None:
            return identities.found(self.inventory, self.fleet.facts, keep=keep)
        recovering = self._path if self._is_recovery() else ""
        ids = ids._replace(replaces=[rehearsed.about.cluster], archive=self._path, digest=rehearsed.digest, recovering=recovering)
        if keep:
            identities.write(self.inventory, ids)
        return ids

    def _is_recovery(self) -> bool:
        known = identities.written(self.inventory)
        return known is not None and known.recovering == self._path

    def _check_is_bare(self) -> None:
        for name, facts in self.fleet.facts.items():
            if facts.marker is not None or facts.has_data:
                what = f"member {facts.marker['name']} of cluster {facts.marker['cluster']}" if facts.marker is not None else "data"
                raise InTheWay(
                    f"{UNTOUCHED}{name} has {what} below {facts.base}; if nothing of it is needed any more: "
                    f"coordctl destroy --purge -c {self.inventory.name}"
                )


def command(name: str, path: str) -> str:
    """With which this is begun, and gone on with."""
    return f"coordctl restore {path} -c {name}"
