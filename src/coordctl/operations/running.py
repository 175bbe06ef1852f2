"""`start`, `stop`, `restart`, `destroy`: of a fleet as it was deployed."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coordctl.facts.hosts import HostFacts
from coordctl.inventory.model import Inventory
from coordctl.local import clusters
from coordctl.local.clusters import Endpoint
from coordctl.local.fleet import CHAOS_FOLDER
from coordctl.operations import identities, outcomes
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet
from coordctl.results.deploy import HostDone, Outcome
from coordctl.steps import member as steps
from coordctl.transport.base import Script
from coordnode.errors import BadRequest

WORK_SECONDS = 90.0

Say = Callable[[str], None]


class Worked(NamedTuple):
    outcome: Outcome
    exit_code: int
    sentence: str
    hosts: list[HostDone]
    elapsed_ms: int


class Running:
    def __init__(self, inventory: Inventory, verb: str, reason: str, say: Say) -> None:
        self.inventory = inventory
        self.fleet = Fleet(inventory, verb, reason)
        self.done: dict[str, list[str]] = {}
        self._say = say
        self._began = time.monotonic()

    def start(self) -> Worked:
        return self._with_hosts(self._start)

    def stop(self) -> Worked:
        return self._with_hosts(self._stop)

    def restart(self, *, rolling: bool) -> Worked:
        return self._with_hosts(self._roll if rolling else self._restart)

    def removal(self, *, purge: bool) -> tuple[list[str], Worked | None]:
        """What `destroy` would remove, a line for each host; or why that cannot be said."""
        try:
            self._ask(everywhere=True)
            if self.fleet.failed:
                return [], self._failed()
            return [_removes(facts, purge=purge) for facts in self.fleet.facts.values() if _is_there(facts)], None
        finally:
            self.fleet.close()

    def destroy(self, *, purge: bool) -> Worked:
        return self._with_hosts(lambda: self._destroy(purge=purge), everywhere=True)

    # --- how -------------------------------------------------------------------------------------------------------

    def _with_hosts(self, work: Callable[[], Worked], *, everywhere: bool = False) -> Worked:
        try:
            self._ask(everywhere=everywhere)
            if self.fleet.failed:
                return self._failed()
            absent = [name for name, facts in self.fleet.facts.items() if not facts.current]
            if not everywhere and absent:
                raise BadRequest(f"{absent[0]} has no version of coordnode: run `coordctl deploy -c {self.inventory.name}` first")
            with self.fleet.locked():
                return self._failed() if self.fleet.failed else work()
        finally:
            self.fleet.close()

    def _ask(self, *, everywhere: bool) -> None:
        """`everywhere`: also of the hosts that have no member."""
        self._say(f"asking {len(self.inventory.hosts)} hosts")
        self.fleet.connect(self.inventory.hosts)
        self.fleet.ask()
        if not everywhere:
            self.fleet.narrow(identities.hosts_of(self.inventory, identities.known(self.inventory, self.fleet.facts)))
        become_operator(self.inventory)

    def _start(self) -> Worked:
        names = [name for name, facts in self.fleet.facts.items() if facts.running is None]
        self._run(names, "start", lambda facts: steps.start_script(facts, self.inventory.name, facts.base))
        return self._until_healthy("done" if names else "unchanged")

    def _stop(self) -> Worked:
        names = [name for name, facts in self.fleet.facts.items() if facts.running is not None]
        self._run(names, "stop", lambda facts: steps.stop_script(facts, self.inventory.name, facts.base))
        if self.fleet.failed:
            return self._failed()
        self.fleet.ask()
        left = [name for name, facts in self.fleet.facts.items() if facts.running is not None]
        if self.fleet.failed or left:
            return self._failed() if self.fleet.failed else self._result("failed", 1, f"{', '.join(left)} still run")
        return self._result("done" if names else "unchanged", 0, f"{len(names)} members stopped; their data is kept")

    def _restart(self) -> Worked:
        self._run(list(self.fleet.facts), "stop", lambda facts: steps.stop_script(facts, self.inventory.name, facts.base))
        if not self.fleet.failed:
            self._run(list(self.fleet.facts), "start", lambda facts: steps.start_script(facts, self.inventory.name, facts.base))
        return self._until_healthy("done")

    def _roll(self) -> Worked:
        """One after the other, each healthy before the next; the leader, which hands over first, is the last."""
        endpoints = self._endpoints()
        outcomes.await_healthy(self.fleet, endpoints)
        for name in outcomes.in_turn(list(self.fleet.facts), endpoints):
            if self.fleet.failed:
                return self._failed()
            self._run([name], "restart", self._restart_script)
            if not self.fleet.failed:
                outcomes.await_healthy(self.fleet, endpoints)
        return self._until_healthy("done")

    def _restart_script(self, facts: HostFacts) -> str:
        name = self.inventory.name
        return steps.stop_script(facts, name, facts.base) + steps.start_script(facts, name, facts.base)

    def _destroy(self, *, purge: bool) -> Worked:
        names = [name for name, facts in self.fleet.facts.items() if _is_there(facts)]
        self._run(names, "destroy", lambda facts: steps.remove_script(facts, self.inventory.name, facts.base, purge=purge))
        if self.fleet.failed:
            return self._failed()
        if purge:
            identities.forget(self.inventory)
            self._forget()
        kept = "nothing of it is left" if purge else "what its members had stored is kept, and `coordctl deploy` goes on with it"
        return self._result("done" if names else "unchanged", 0, f"removed from {len(names)} hosts; {kept}")

    def _forget(self) -> None:
        folder = clusters.folder_of(self.inventory.name)
        known = clusters.read(folder)
        if known is not None and known.inventory == self.inventory.path:
            os.unlink(os.path.join(folder, clusters.DESCRIPTION))
            shutil.rmtree(os.path.join(folder, CHAOS_FOLDER), ignore_errors=True)  # of runs that were begun from here
            os.rmdir(folder)

    def _run(self, names: Sequence[str], what: str, script: Callable[[HostFacts], str]) -> None:
        if names:
            self._say(f"{what}: {', '.join(names)}")
        scripts = {name: Script(what, f"set -eu\n{script(self.fleet.facts[name])}") for name in names}
        for name in self.fleet.run(scripts, WORK_SECONDS):
            self.done.setdefault(name, []).append(what)

    def _endpoints(self) -> list[Endpoint]:
        ids = identities.known(self.inventory, self.fleet.facts)
        assert ids is not None  # who has a version has a member
        return identities.endpoints(self.inventory, ids)

    def _until_healthy(self, outcome: Outcome) -> Worked:
        if not self.fleet.failed:
            self._say("waiting until all are healthy")
            endpoints = self._endpoints()
            outcomes.await_healthy(self.fleet, endpoints)
            if not self.fleet.failed:
                return self._result(outcome, 0, outcomes.well(endpoints))
        return self._failed()

    def _failed(self) -> Worked:
        return self._result(*outcomes.failure(self.fleet))

    def _result(self, outcome: Outcome, code: int, sentence: str) -> Worked:
        elapsed_ms = int((time.monotonic() - self._began) * 1000)
        return Worked(outcome, code, sentence, outcomes.of_hosts(self.fleet, self.done), elapsed_ms)


def _is_there(facts: HostFacts) -> bool:
    return bool(facts.current or facts.marker or facts.versions or facts.unit or facts.former)


def _removes(facts: HostFacts, *, purge: bool) -> str:
    service = "its service" if facts.has_systemd or facts.boots else "its member"
    what = (
        f"{facts.base} with all that member {facts.marker['name']} has stored"
        if purge and facts.marker
        else f"programs, settings and logs in {facts.base}"
    )
    return f"{facts.name}: {service}, {what}"
