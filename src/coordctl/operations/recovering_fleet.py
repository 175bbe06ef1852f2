"""`recover` on hosts: all are stopped, everything old is put aside there, and the voters begin anew with what the best survivor had."""

import time
from shlex import quote

import msgspec

from coordctl.inventory.model import Inventory
from coordctl.local import clusters
from coordctl.operations import identities
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet
from coordctl.operations.hosting import Say
from coordctl.operations.recovering import Assessed, assess, note_loss, recovered, refused, sealed
from coordctl.operations.restoring_fleet import Restoration
from coordctl.results.backup import Recovered
from coordctl.steps import member as steps
from coordctl.transport.base import Script
from coordnode.archives.surviving import Survivor
from coordnode.errors import BadRequest, Unreachable

LOOK_SECONDS = 120.0
WORK_SECONDS = 120.0


class Recovery:
    def __init__(self, inventory: Inventory, reason: str, say: Say) -> None:
        self.inventory = inventory
        self._reason = reason
        self._say = say
        ids = identities.written(inventory)
        cluster = clusters.read(clusters.folder_of(inventory.name))
        if ids is None or cluster is None:
            raise BadRequest(f"{inventory.name} is not known here: there is no {inventory.beside(identities.SUFFIX)} from its deployment")
        self._ids = ids
        self._cluster = cluster

    def run(self, *, is_accepted: bool) -> Recovered:
        began = time.monotonic()
        fleet = Fleet(self.inventory, "recover", self._reason)
        become_operator(self.inventory)
        try:
            self._say(f"asking {len(self.inventory.voters())} hosts")
            fleet.connect(self.inventory.voters())
            fleet.ask()
            if not is_accepted:
                return refused(self._look(fleet), self.inventory.name)
            if fleet.failed:
                first = next(iter(fleet.failed.values()))
                raise Unreachable(
                    f"nothing was touched: {first.sentence}; the new cluster is made on all voters of the inventory: bring that host "
                    "back, or take it out of the inventory"
                )
            self._look(fleet)  # before anything is stopped
            with fleet.locked():
                stopped = {name: Script("stop", self._stop(fleet, name)) for name in fleet.facts}
                fleet.run(stopped, WORK_SECONDS)
                assessed = self._look(fleet)
                best = assessed.ranked.names[0]
                path = sealed(self._cluster, best, assessed.survivors[best], self._say)
                aside = {name: Script("put aside", self._put_aside(fleet, name)) for name in fleet.facts}
                fleet.run(aside, WORK_SECONDS)
            if fleet.failed:
                raise next(iter(fleet.failed.values()))
        finally:
            fleet.close()
        return self._begin_anew(assessed, path, began)

    def _begin_anew(self, assessed: Assessed, path: str, began: float) -> Recovered:
        identities.forget(self.inventory)
        restoration = Restoration(self.inventory, path, self._reason, self._say)
        done = restoration.restore(dry_run=False)
        if done.state is None or done.outcome != "done":
            found = refused(assessed, self.inventory.name)
            sentence = f"what was there is put aside, and the new cluster is not there yet: {done.sentence}; go on: coordctl restore {path}"
            return msgspec.structs.replace(
                found, outcome=done.outcome, exit_code=done.exit_code, sentence=sentence, hosts=done.hosts, backup=path, state=done.state
            )
        ids = identities.written(self.inventory)
        assert ids is not None
        note_loss(identities.endpoints(self.inventory, ids), self._reason)
        return recovered(assessed, self.inventory.name, path, done.sentence, done.state, done.hosts, began)

    def _look(self, fleet: Fleet) -> Assessed:
        scripts = {name: Script("look", _look_script(facts.python, facts.base)) for name, facts in fleet.facts.items() if facts.current}
        survivors = {}
        said = fleet.at_each(list(scripts), lambda transport: transport.run(scripts[transport.host], LOOK_SECONDS), LOOK_SECONDS)
        for name, ran in said.items():
            if ran.code == 0:
                survivors[name] = msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=Survivor)
        mine = {name: one for name, one in survivors.items() if one.cluster == self._ids.cluster}
        return assess(mine, self._ids.members, f"coordctl start -c {self.inventory.name}")

    def _stop(self, fleet: Fleet, name: str) -> str:
        facts = fleet.facts[name]
        return f"set -eu\n{steps.stop_script(facts, self.inventory.name, facts.base)}"

    def _put_aside(self, fleet: Fleet, name: str) -> str:
        facts, number = fleet.facts[name], self._ids.members.get(name, 0)
        return f"set -eu\n{steps.retire_script(facts, self.inventory.name, facts.base, number, is_purged=False)}"


def _look_script(python: str, base: str) -> str:
    return f"PYTHONPATH={quote(base)}/current/lib {quote(python)} -sSP -m coordnode archive --folder {quote(base)}/data --look\n"
