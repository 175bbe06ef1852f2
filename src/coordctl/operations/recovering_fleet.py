"""`recover` on hosts: all that have anything of the cluster are asked and stopped, everything old is put aside there, and the inventory's
voters begin anew with what the best survivor had."""

import time
from shlex import quote

import msgspec

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Host, Inventory
from coordctl.local import clusters
from coordctl.operations import identities
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet
from coordctl.operations.hosting import Say
from coordctl.operations.identities import Refused
from coordctl.operations.recovering import NOT_AGAIN, Assessed, assess, goes_on, note_loss, recovered, refused, restore_goes_on, sealed
from coordctl.operations.restoring import UNTOUCHED, sealed_as
from coordctl.operations.restoring_fleet import Restoration, command
from coordctl.results.backup import Recovered
from coordctl.steps import member as steps
from coordctl.transport.base import Script
from coordnode.archives.surviving import Survivor
from coordnode.errors import BadRequest, CoordError, Unreachable

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
        if self._ids.is_recovery():
            path = self._ids.recovering
            return self._begin_anew(NOT_AGAIN, path, began) if is_accepted else goes_on(self.inventory.name, path)
        self._must_not_be_a_restore()
        fleet = Fleet(self.inventory, "recover", self._reason)
        become_operator(self.inventory)
        try:
            self._say(f"asking {len(self.inventory.hosts)} hosts")
            fleet.connect(self.inventory.hosts)
            fleet.ask()
            self._ids = identities.known(self.inventory, fleet.facts) or self._ids
            fleet.narrow([host for host in self.inventory.hosts if self._is_concerned(host, fleet.facts.get(host.name))])
            if not is_accepted:
                return goes_on(self.inventory.name, self._ids.recovering) if self._ids.recovering else self._refused(fleet)
            self._must_have_all(fleet, "nothing was touched")
            if not self._ids.recovering:
                self._look(fleet)  # before anything is stopped
            with fleet.locked():
                self._must_have_all(fleet, "nothing was touched")
                stopped = {name: Script("stop", self._stop(fleet, name)) for name in fleet.facts}
                fleet.run(stopped, WORK_SECONDS)
                self._must_have_all(fleet, "members were stopped, and nothing else was touched")
                assessed = self._decide(fleet)
                aside = {name: Script("put aside", self._put_aside(fleet, name)) for name in fleet.facts}
                fleet.run(aside, WORK_SECONDS)
                self._must_have_all(fleet, f"not everything is put aside; the same command goes on, with {self._ids.recovering}")
        finally:
            fleet.close()
        return self._begin_anew(assessed, self._ids.recovering, began)

    def _must_not_be_a_restore(self) -> None:
        if self._ids.archive and self._ids.cluster != self._cluster.cluster:
            raise restore_goes_on(self.inventory.name, command(self.inventory.name, self._ids.archive))

    def _is_concerned(self, host: Host, facts: HostFacts | None) -> bool:
        """It has, or may have, something of the cluster, whatever its role in the inventory; or the new one begins on it."""
        has_any = facts is not None and (facts.marker is not None or facts.has_data)
        return has_any or host.name in self._ids.members or host.role == "voter"

    def _must_have_all(self, fleet: Fleet, so_far: str) -> None:
        if fleet.failed:
            first = next(iter(fleet.failed.values()))
            raise Unreachable(
                f"{so_far}: {first.sentence}; a new cluster is made once every host that may have something of the old one was asked: "
                "bring that host back, or take it out of the inventory"
            )

    def _refused(self, fleet: Fleet) -> Recovered:
        return refused(self._look(fleet), self.inventory.name)

    def _decide(self, fleet: Fleet) -> Assessed:
        """What the new cluster begins with: written down before anything is put aside, and not decided a second time."""
        if self._ids.recovering:
            sealed_as(self._ids.recovering)
            return NOT_AGAIN
        assessed = self._look(fleet)
        self._must_have_all(fleet, "members were stopped, and nothing else was touched")
        best = assessed.ranked.names[0]
        path = sealed(self._cluster, best, assessed.survivors[best], self._say)
        self._ids = self._ids._replace(recovering=path)
        identities.write(self.inventory, self._ids)
        return assessed

    def _begin_anew(self, assessed: Assessed, path: str, began: float) -> Recovered:
        restoration = Restoration(self.inventory, path, self._reason, self._say)
        try:
            done = restoration.restore(dry_run=False)
        except CoordError as error:
            raise type(error)(self._not_there_yet(error.sentence.removeprefix(UNTOUCHED), path)) from error
        if done.state is None or done.outcome not in ("done", "unchanged"):
            return msgspec.structs.replace(
                recovered(assessed, self.inventory.name, path, "", done.state, done.hosts, began),
                **{"outcome": done.outcome, "exit_code": done.exit_code, "sentence": self._not_there_yet(done.sentence, path)},
            )
        ids = identities.written(self.inventory)
        assert ids is not None
        note_loss(identities.endpoints(self.inventory, ids), self._reason)
        return recovered(assessed, self.inventory.name, path, done.sentence, done.state, done.hosts, began)

    def _not_there_yet(self, why: str, path: str) -> str:
        return f"what was there is put aside, and the new cluster is not there yet: {why}; go on: {command(self.inventory.name, path)}"

    def _look(self, fleet: Fleet) -> Assessed:
        self._must_be_in_place(fleet)
        for name, facts in fleet.facts.items():
            if facts.has_data and not facts.current:
                where = f"below {facts.base}/data, and no version of coordnode that could read it"
                fleet.fail(name, f"it has data {where}: put that folder elsewhere if nothing of it is needed")
        scripts = {
            name: Script("look", _look_script(facts.python, facts.base))
            for name, facts in fleet.facts.items()
            if facts.current and name not in fleet.failed
        }
        survivors = {}
        said = fleet.at_each(list(scripts), lambda transport: transport.run(scripts[transport.host], LOOK_SECONDS), LOOK_SECONDS)
        for name, ran in said.items():
            if ran.code == 0:
                survivors[name] = msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=Survivor)
        mine = {name: one for name, one in survivors.items() if one.cluster == self._ids.cluster}
        return assess(mine, self._ids.members, f"coordctl start -c {self.inventory.name}", self._unasked(fleet))

    def _must_be_in_place(self, fleet: Fleet) -> None:
        """Who is a member and has its data put aside was in the midst of a recover, which only its operator's files know how to end."""
        for name, facts in fleet.facts.items():
            number = self._ids.members.get(name)
            if str(number) in facts.former and not facts.has_data:
                raise Refused(
                    f"nothing was touched: what {name}'s member had is in {facts.base}/former/{number}, put aside by a recover that was "
                    f"cut short: go on where that was begun, or move it back to {facts.base}/data"
                )

    def _unasked(self, fleet: Fleet) -> dict[str, str]:
        listed = {host.name for host in self.inventory.hosts}
        found = {name: f"it is no host of {self.inventory.path}" for name in self._ids.members if name not in listed}
        return found | {name: failed.sentence for name, failed in fleet.failed.items() if name in self._ids.members}

    def _stop(self, fleet: Fleet, name: str) -> str:
        facts = fleet.facts[name]
        return f"set -eu\n{steps.stop_script(facts, self.inventory.name, facts.base)}"

    def _put_aside(self, fleet: Fleet, name: str) -> str:
        facts = fleet.facts[name]
        number = facts.marker["member"] if facts.marker is not None else self._ids.members.get(name, 0)
        return f"set -eu\n{steps.retire_script(facts, self.inventory.name, facts.base, number, is_purged=False)}"


def _look_script(python: str, base: str) -> str:
    return f"PYTHONPATH={quote(base)}/current/lib {quote(python)} -sSP -m coordnode archive --folder {quote(base)}/data --look\n"
