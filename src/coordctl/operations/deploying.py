"""`deploy`: from hosts with Python and sshd, and from every state in between, to a healthy cluster as the inventory has it.

facts → what must be right first → plan → what an old version does not notice, on all hosts → the switch: on all at once when nothing
runs, else one after the other, each healthy before the next. A second run asks, finds nothing to do, and says so.
"""

import time
from collections.abc import Sequence

from coordctl.facts import preflight
from coordctl.facts.preflight import REMARK, STOPS
from coordctl.inventory.model import Host, Inventory
from coordctl.operations import identities, looking, outcomes
from coordctl.operations.changing import Asked, Changing
from coordctl.operations.fleet import Fleet, OtherOperator
from coordctl.operations.hosting import Hosting, Plan, Say
from coordctl.operations.identities import Ids
from coordctl.results.deploy import Deployed, Noted, Outcome
from coordctl.steps import member as steps


class Deployment:
    VERB = "deploy"

    def __init__(self, inventory: Inventory, reason: str, say: Say) -> None:
        self.inventory = inventory
        self.fleet = Fleet(inventory, self.VERB, reason)
        self.noted: list[Noted] = []
        self._hosting = Hosting(self.fleet, say)
        self._reason = reason
        self._say = say
        self._began = time.monotonic()

    def run(self, *, dry_run: bool) -> Deployed:
        fleet = self.fleet
        try:
            self._say(f"asking {len(self.inventory.hosts)} hosts")
            fleet.connect(self.inventory.hosts)
            fleet.ask()
            members = self._members()
            spares, learners = self._others(members)
            fleet.narrow([*members, *spares, *learners])
            self._note(looking.at_hosts(fleet))
            if fleet.failed or any(one.level == STOPS for one in self.noted):
                return self._ended_early()
            if dry_run:
                return self._planned(members, spares, learners)
            with fleet.locked(is_decided=False):
                if tuple(self._members()) != tuple(members):
                    raise OtherOperator("nothing was changed: somebody else has changed who the members are: run it again")
                done = self._ended_early() if fleet.failed else self._worked(members, spares)
            return done if done.exit_code or not learners else self._taken_in(learners)
        finally:
            fleet.close()

    def _members(self) -> tuple[Host, ...]:
        return identities.hosts_of(self.inventory, identities.known(self.inventory, self.fleet.facts))

    def _others(self, members: Sequence[Host]) -> tuple[list[Host], list[Host]]:
        """(spares, learners that are to be taken in) of the inventory."""
        free = [host for host in self.inventory.hosts if host not in members]
        return [host for host in free if host.role == "spare"], [host for host in free if host.role == "learner"]

    def _identify(self, *, keep: bool) -> Ids:
        return identities.found(self.inventory, self.fleet.facts, keep=keep)

    def _plans(self, members: Sequence[Host], spares: Sequence[Host], ids: Ids, *, is_dry: bool) -> dict[str, Plan]:
        plans = self._hosting.plans(members, ids, is_dry=is_dry) | self._hosting.spare_plans(spares, is_dry=is_dry)
        self._note(_keeping(self._hosting))
        return plans

    def _planned(self, members: Sequence[Host], spares: Sequence[Host], learners: Sequence[Host]) -> Deployed:
        plans = self._plans(members, spares, self._identify(keep=False), is_dry=True)
        self._hosting.done = {name: plan.says() for name, plan in plans.items()}
        self._hosting.done |= {host.name: ["take it in as a learner"] for host in learners}
        hosts = sum(bool(plan.says()) for plan in plans.values()) + len(learners)
        words = f"{hosts} hosts would change" if hosts else "nothing to change"
        return self._result("would change" if hosts else "unchanged", 1 if hosts else 0, words)

    def _note(self, found: Sequence[preflight.Found]) -> None:
        for one in found:
            noted = Noted(host=one.host, level=one.level, sentence=one.sentence, remedy=one.remedy)  # type: ignore[arg-type]
            if noted not in self.noted:
                self.noted.append(noted)

    # --- the work --------------------------------------------------------------------------------------------------

    def _worked(self, members: Sequence[Host], spares: Sequence[Host]) -> Deployed:
        """Decided only now that nobody else changes anything: who the members are, what they are given, and by which authority."""
        fleet = self.fleet
        ids = self._identify(keep=True)
        plans = self._plans(members, spares, ids, is_dry=False)
        changing = {name: plan for name, plan in plans.items() if plan.says()}
        if not changing:
            return self._finish(ids, "unchanged")
        if any(steps.Run(plan.wish).needed(fleet.facts[name]) for name, plan in changing.items()):
            self._note(looking.at_ways(fleet, members))
            if fleet.failed or any(one.level == STOPS for one in self.noted):
                return self._ended_early()
        return self._carry_out(ids, changing)

    def _carry_out(self, ids: Ids, changing: dict[str, Plan]) -> Deployed:
        fleet, hosting = self.fleet, self._hosting
        runs = any(facts.running is not None for facts in fleet.facts.values())
        hosting.send(changing)
        hosting.send_backup(changing, ids.archive)
        hosting.apply({name: plan.prepare for name, plan in changing.items() if plan.prepare and name not in fleet.failed}, "prepare")
        if not fleet.failed:
            identities.note_made(self.inventory, ids, [host.name for host in self._members()])
        switching = {name: plan.switch for name, plan in changing.items() if plan.switch and name not in fleet.failed}
        if not runs and not fleet.failed:
            hosting.apply(switching, "switch")
        elif runs:
            endpoints = identities.endpoints(self.inventory, ids)
            for name in outcomes.in_turn(list(switching), endpoints):
                if fleet.failed:
                    break
                hosting.apply({name: switching[name]}, "switch")
                if not fleet.failed:
                    outcomes.await_healthy(fleet, endpoints)
        if fleet.failed:
            return self._ended_early()
        return self._finish(ids, "done")

    # --- after -----------------------------------------------------------------------------------------------------

    def _finish(self, ids: Ids, outcome: Outcome) -> Deployed:
        self._say("waiting until all are healthy")
        endpoints = identities.endpoints(self.inventory, ids)
        outcomes.await_healthy(self.fleet, endpoints)
        if self.fleet.failed:
            return self._ended_early()
        identities.make_known(self.inventory, ids)
        return self._result(outcome, 0, ("nothing to change: " if outcome == "unchanged" else "") + outcomes.well(endpoints))

    def _taken_in(self, learners: Sequence[Host]) -> Deployed:
        """Once the cluster serves: as `member add --learner` does it."""
        changing = Changing(self.inventory, self.VERB, Asked(self._reason, "", is_dry=False), self._say)
        changed = changing.add([host.name for host in learners], as_learners=True)
        self._hosting.done |= {host.name: changed.steps for host in learners}
        return self._result(changed.outcome, changed.exit_code, changed.sentence)

    def _ended_early(self) -> Deployed:
        if self.fleet.failed:
            return self._result(*outcomes.failure(self.fleet))
        first = next(one for one in self.noted if one.level == STOPS)
        return self._result("refused", 76, f"nothing was changed: {first.host}: {first.sentence}")

    def _result(self, outcome: Outcome, code: int, sentence: str) -> Deployed:
        return Deployed(
            outcome=outcome,
            exit_code=code,
            cluster=self.inventory.name,
            sentence=sentence,
            hosts=outcomes.of_hosts(self.fleet, self._hosting.done, is_plan=outcome == "would change"),
            noted=self.noted,
            elapsed_ms=int((time.monotonic() - self._began) * 1000),
            version=self._hosting.version,
            endpoints=[host.endpoint for host in self._members()],
        )


def _keeping(hosting: Hosting) -> list[preflight.Found]:
    remedy = f"bring all to it with `coordctl upgrade run -c {hosting.inventory.name}`"
    told = f"this coordctl's own is {hosting.version}"
    return [preflight.Found(name, REMARK, f"it keeps version {version}; {told}", remedy) for name, version in hosting.kept.items()]
