"""`config diff`, `push`, `reload`: a fleet's settings and certificates beside its inventory, and brought to it.

A member is told to read anew what was written, and says what it has taken over; only if something waits for its next start is it
restarted, one after the other, each healthy before the next.
"""

import json
import time
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

from coordctl.facts import drift
from coordctl.facts.drift import RELOAD, RESTART
from coordctl.inventory.model import Inventory
from coordctl.local.clusters import Endpoint
from coordctl.operations import identities, members, outcomes, statuses
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet
from coordctl.operations.hosting import Hosting
from coordctl.operations.identities import Ids
from coordctl.operations.running import Worked
from coordctl.results.config import ConfigDiff, HostDrift, SettingDrift
from coordctl.results.deploy import Outcome
from coordctl.steps import member as steps
from coordctl.steps.member import CONFIG, TLS_FILES, File, Put
from coordctl.transport.base import HostFailed, Script
from coordnode.config import RELOADABLE
from coordnode.errors import BadRequest, Unreachable

WORK_SECONDS = 90.0
ASK_SECONDS = 2.0
TAKEN_SECONDS = 20.0
PAUSE_SECONDS = 0.05

Say = Callable[[str], None]


class Configuring:
    def __init__(self, inventory: Inventory, verb: str, reason: str, say: Say) -> None:
        self.inventory = inventory
        self.fleet = Fleet(inventory, verb, reason)
        self.done: dict[str, list[str]] = {}
        self._waiting: dict[str, list[str]] = {}  # by host, settings that wait for a restart
        self._say = say
        self._began = time.monotonic()

    # --- the verbs -------------------------------------------------------------------------------------------------

    def diff(self) -> ConfigDiff:
        fleet = self.fleet
        try:
            ids = self._ask()
            files = Hosting(fleet, self._say).files(self._reached(), ids, is_dry=True)
            texts = self._texts()
            roles = self._roles(ids)
            hosts = [
                HostDrift(
                    name=host.name,
                    drifts=[*self._drifts(host.name, files, texts), *roles.get(host.name, [])],
                    trouble=fleet.failed[host.name].sentence if host.name in fleet.failed else "",
                )
                for host in fleet.hosts
            ]
            hosts += [
                HostDrift(name=name, drifts=found, trouble="") for name, found in roles.items() if name not in [one.name for one in hosts]
            ]
            return self._compared(hosts)
        finally:
            fleet.close()

    def push(self, *, is_dry: bool) -> Worked:
        def work(ids: Ids) -> Worked:
            files = Hosting(self.fleet, self._say).files(self._reached(), ids, is_dry=is_dry)
            puts = {name: self._puts(name, files[name]) for name in files}
            behind = [name for name in files if puts[name] or self._is_behind(name, files[name])]
            if is_dry:
                self.done = {name: [*(put.says() for put in puts[name]), "have the member take it over"] for name in behind}
                words = f"{len(behind)} hosts would change" if behind else "nothing to change"
                return self._result("would change" if behind else "unchanged", 1 if behind else 0, words)
            endpoints = identities.endpoints(self.inventory, ids)
            for name in outcomes.in_turn(behind, endpoints):
                self._bring(name, puts[name], files[name], endpoints)
                if self.fleet.failed:
                    return self._failed()
            return self._finish("done" if behind else "unchanged", endpoints)

        return self._work(work, locks=not is_dry)

    def reload(self) -> Worked:
        def work(ids: Ids) -> Worked:
            endpoints = identities.endpoints(self.inventory, ids)
            for name in [host.name for host in self._reached()]:
                self._take_over(name, endpoints)
                if self.fleet.failed:
                    return self._failed()
            if self._waiting:
                told = "; ".join(f"{name} waits for a restart: {', '.join(found)}" for name, found in self._waiting.items())
                return self._result("failed", 1, f"{told}; `coordctl restart --rolling`, or push the inventory's settings")
            return self._finish("done" if self.done else "unchanged", endpoints)

        return self._work(work, locks=True)

    # --- asking ----------------------------------------------------------------------------------------------------

    def _work(self, work: Callable[[Ids], Worked], *, locks: bool) -> Worked:
        fleet = self.fleet
        try:
            ids = self._ask()
            if fleet.failed:
                return self._failed()
            if not locks:
                return work(ids)
            with fleet.locked():
                return self._failed() if fleet.failed else work(ids)
        finally:
            fleet.close()

    def _ask(self) -> Ids:
        fleet = self.fleet
        self._say(f"asking {len(self.inventory.hosts)} hosts")
        fleet.connect(self.inventory.hosts)
        fleet.ask()
        ids = identities.known(self.inventory, fleet.facts)
        if ids is None:
            if fleet.failed and not fleet.facts:
                raise Unreachable(next(iter(fleet.failed.values())).sentence)
            raise BadRequest(f"{self.inventory.name} has no members yet: run `coordctl deploy -c {self.inventory.name}` first")
        fleet.narrow(identities.hosts_of(self.inventory, ids))
        become_operator(self.inventory)
        return ids

    def _reached(self) -> list[Any]:
        return [host for host in self.fleet.hosts if host.name in self.fleet.facts and host.name not in self.fleet.failed]

    def _texts(self) -> dict[str, str]:
        """Of the settings files as they are on hosts: nothing secret is in them."""
        scripts = {
            name: Script("settings", f"cat {quote(facts.base)}/{CONFIG} 2>/dev/null || :\n") for name, facts in self.fleet.facts.items()
        }
        return {name: ran.stdout for name, ran in self.fleet.look(scripts, WORK_SECONDS).items()}

    def _drifts(self, name: str, files: dict[str, tuple[File, ...]], texts: dict[str, str]) -> list[SettingDrift]:
        if name not in files or name not in texts:
            return []
        facts = self.fleet.facts[name]
        wanted = next(file.content.decode() for file in files[name] if file.path == CONFIG)
        found = [
            SettingDrift(setting=one.setting, inventory=one.wanted, host=one.found, needs=one.needs)
            for one in drift.compare(wanted, texts[name], RELOADABLE)
        ]
        if any(facts.digests.get(file.path) != file.digest for file in files[name] if file.path in TLS_FILES):
            found.append(SettingDrift(setting="certificates", inventory="as issued", host="others", needs=RELOAD))
        if not found and self._is_behind(name, files[name]):
            found.append(SettingDrift(setting="running", inventory="as on the host", host="as before", needs=RESTART))
        return found

    def _roles(self, ids: Ids) -> dict[str, list[SettingDrift]]:
        facts = statuses.of_cluster(identities.endpoints(self.inventory, ids), ASK_SECONDS)
        if not facts.answered:
            return {}
        now = {row.name: "voter" if row.role == "leader" else row.role for row in members.rows(facts, self.inventory.hosts, ids.names())}
        found = {}
        for host in self.inventory.hosts:
            remedy = drift.of_role(host.role, now.get(host.name, "none"))
            if remedy:
                found[host.name] = [SettingDrift(setting="role", inventory=host.role, host=now.get(host.name, "none"), needs=remedy)]
        return found

    def _compared(self, hosts: Sequence[HostDrift]) -> ConfigDiff:
        differ = [host for host in hosts if host.drifts]
        silent = [host for host in hosts if host.trouble]
        answered = len(self.fleet.hosts) - len(silent)
        words = (
            f"{len(differ)} of {len(hosts)} hosts are not as the inventory has them" if differ else "hosts are as the inventory has them"
        )
        return ConfigDiff(
            outcome="differs" if differ else "unknown" if silent else "alike",
            exit_code=1 if differ else 3 if silent else 0,
            cluster=self.inventory.name,
            sentence=words + (f", as far as they could be asked: {silent[0].trouble}" if silent else ""),
            hosts=list(hosts),
            sources_answered=answered,
            sources_asked=len(self.fleet.hosts),
        )

    # --- bringing --------------------------------------------------------------------------------------------------

    def _puts(self, name: str, files: Sequence[File]) -> list[Put]:
        facts = self.fleet.facts[name]
        return [put for put in (Put(file, facts.base) for file in files) if put.needed(facts)]

    def _is_behind(self, name: str, files: Sequence[File]) -> bool:
        """Its member runs, and was not told of what is on its host."""
        running = self.fleet.facts[name].running
        return running is not None and running.get("config") != steps.config_digest(files)

    def _bring(self, name: str, puts: Sequence[Put], files: Sequence[File], endpoints: Sequence[Endpoint]) -> None:
        facts = self.fleet.facts[name]
        if puts:
            self._say(f"write: {name}")
            script = Script("config push", steps.script_of(list(puts), facts), is_secret=True)
            self.fleet.run({name: script}, WORK_SECONDS)
            self.done.setdefault(name, []).extend(put.says() for put in puts)
        if name in self.fleet.failed or facts.running is None:
            return
        self._take_over(name, endpoints)
        waits = self._waiting.pop(name, None)
        if name in self.fleet.failed:
            return
        if waits is None:
            started = {"version": str(facts.running.get("version", "")), "config": steps.config_digest(files)}
            place = quote(f"{facts.base}/run/started.json")
            text = f"umask 022\necho {quote(json.dumps(started))} > {place}.tmp\nmv -f {place}.tmp {place}\n"
            self.fleet.run({name: Script("config noted", f"set -eu\n{text}")}, WORK_SECONDS)
            return
        self._say(f"restart: {name}, for {', '.join(waits)}")
        text = steps.stop_script(facts, self.inventory.name, facts.base) + steps.start_script(facts, self.inventory.name, facts.base)
        self.fleet.run({name: Script("restart", f"set -eu\n{text}")}, WORK_SECONDS)
        self.done.setdefault(name, []).append(f"restart it for {', '.join(waits)}")
        if not self.fleet.failed:
            outcomes.await_healthy(self.fleet, endpoints)

    def _take_over(self, name: str, endpoints: Sequence[Endpoint]) -> None:
        """By SIGHUP, until the member itself says what came of it. One whose version knows nothing of that waits for a restart."""
        before = self._status(name, endpoints)
        if before is None:
            self.fleet.failed[name] = HostFailed(name, "failed", "its member does not answer: see coordctl status")
            return
        if "reloaded" not in before:
            self._waiting[name] = ["a version that reads settings at its start only"]
            return
        self._say(f"reload: {name}")
        self.fleet.run({name: Script("reload", f"kill -HUP {int(before['pid'])}\n")}, WORK_SECONDS)
        until = time.monotonic() + TAKEN_SECONDS
        while name not in self.fleet.failed:
            now = self._status(name, endpoints)
            if now is not None and now["reloaded"]["times"] > before["reloaded"]["times"]:
                self._note(name, now["reloaded"])
                return
            if time.monotonic() >= until:
                self.fleet.failed[name] = HostFailed(name, "failed", f"its member has not read its settings anew in {TAKEN_SECONDS:g} s")
            time.sleep(PAUSE_SECONDS)

    def _note(self, name: str, reloaded: dict[str, Any]) -> None:
        if reloaded["trouble"]:
            self.fleet.failed[name] = HostFailed(name, "failed", f"its member goes on with the settings it has: {reloaded['trouble']}")
        if reloaded["changed"]:
            self.done.setdefault(name, []).append(f"take over {', '.join(reloaded['changed'])}")
        if reloaded["needs_restart"]:
            self._waiting[name] = list(reloaded["needs_restart"])

    def _status(self, name: str, endpoints: Sequence[Endpoint]) -> dict[str, Any] | None:
        asked = [one for one in endpoints if one.name == name]
        return statuses.ask(asked, ASK_SECONDS)[0].status if asked else None

    # --- after -----------------------------------------------------------------------------------------------------

    def _finish(self, outcome: Outcome, endpoints: Sequence[Endpoint]) -> Worked:
        outcomes.await_healthy(self.fleet, endpoints)
        if self.fleet.failed:
            return self._failed()
        return self._result(outcome, 0, ("nothing to change: " if outcome == "unchanged" else "") + outcomes.well(endpoints))

    def _failed(self) -> Worked:
        return self._result(*outcomes.failure(self.fleet))

    def _result(self, outcome: Outcome, code: int, sentence: str) -> Worked:
        elapsed_ms = int((time.monotonic() - self._began) * 1000)
        return Worked(outcome, code, sentence, outcomes.of_hosts(self.fleet, self.done, is_plan=outcome == "would change"), elapsed_ms)
