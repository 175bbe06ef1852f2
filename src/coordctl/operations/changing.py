"""`member add`, `remove`, `replace`, `promote`, `demote` of a fleet: plan, then act after act, each seen done before the next.

Every act can be done again: a run that was cut short is finished by the next, from any operator's machine.
"""

import time
from collections.abc import Callable, Sequence
from functools import singledispatchmethod
from typing import NamedTuple

from coordctl.facts import preflight
from coordctl.facts.members import ClusterFacts
from coordctl.facts.preflight import STOPS
from coordctl.inventory.model import Host, Inventory
from coordctl.operations import identities, looking
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet
from coordctl.operations.hosting import Hosting, Say, marker_of
from coordctl.operations.identities import Ids, Refused
from coordctl.operations.members import Changed, Council, Objected
from coordctl.operations.noting import Notes
from coordctl.operations.outcomes import NOT_THERE
from coordctl.results.deploy import Outcome
from coordctl.steps import member as steps
from coordctl.steps import membership
from coordctl.steps.membership import Act, CatchUp, Change, HandOver, Join, Newcomer, Prepare, Retire, View
from coordctl.transport.base import HostFailed, Script
from coordnode.errors import BadRequest, CoordError, Unreachable

CATCH_UP_SECONDS = 60.0  # without any progress
WORK_SECONDS = 90.0
PAUSE_SECONDS = 0.1


class Asked(NamedTuple):
    reason: str
    accept: str  # of sums.RISKS; "": none
    is_dry: bool
    is_purged: bool = False  # what a member that leaves had stored is removed, not put aside


class Changing:
    def __init__(self, inventory: Inventory, verb: str, asked: Asked, say: Say) -> None:
        if asked.accept and not asked.reason:
            raise BadRequest(f"--accept {asked.accept} needs --reason: it is written down with it")
        self.inventory = inventory
        self.fleet = Fleet(inventory, verb, asked.reason)
        self.done: list[str] = []
        self._asked = asked
        self._taken: set[str] = set()  # the risks that there are, of those that were accepted
        self._drawn: dict[str, int] = {}  # by host, ids of members that nothing is made of yet; written down once something is to be
        self._hosting = Hosting(self.fleet, say)
        self._say = say
        self._began = time.monotonic()

    # --- the verbs -------------------------------------------------------------------------------------------------

    def add(self, names: Sequence[str], *, as_learners: bool) -> Changed:
        def plan(view: View) -> list[Act]:
            for name in names:
                self._must_reach(name)
            self._draw([name for name in names if name not in self._ids.members])
            return membership.add(view, [self._newcomer(name) for name in names], as_learners=as_learners)

        return self._work(plan, _are(names, "learner" if as_learners else "voter"))

    def remove(self, names: Sequence[str]) -> Changed:
        return self._work(lambda view: membership.remove(view, [self._member(view, name) for name in names]), _are(names, "out"))

    def promote(self, names: Sequence[str]) -> Changed:
        return self._work(lambda view: membership.promote(view, self._members(view, names)), _are(names, "voter"))

    def demote(self, names: Sequence[str]) -> Changed:
        return self._work(lambda view: membership.demote(view, self._members(view, names)), _are(names, "learner"))

    def replace(self, name: str, by: str) -> Changed:
        """`by`: a host without a member; "": the same host if it is reached, else the spare that fits best."""

        def plan(view: View) -> list[Act]:
            old = self._member(view, name)
            if old not in (*view.voters, *view.learners):
                return [Retire(name, old)]  # replaced already: what is left of it
            chosen = by or self._instead_of(view, name, old)
            self._must_reach(chosen)
            if chosen != name and chosen in self._ids.members and self._ids.members[chosen] in view.voters:
                raise BadRequest(f"{chosen} is a voter already: name a host that has no member")
            if chosen == name:
                objection = membership.objection_to_stop(view, old)
                if objection is not None and objection.risk != self._asked.accept:
                    raise Objected(objection._replace(sentence=f"{name} is well and would be stopped first: {objection.sentence}"))
                self._taken |= {objection.risk} if objection is not None else set()
            if self._ids.members.get(chosen, old) == old:
                self._draw([chosen])
            return membership.replace(view, old, self._newcomer(chosen), is_in_place=chosen == name)

        return self._work(plan, f"{name} was replaced")

    # --- before ----------------------------------------------------------------------------------------------------

    def _work(self, plan: Callable[[View], list[Act]], goal: str) -> Changed:
        fleet = self.fleet
        try:
            self._say(f"asking {len(self.inventory.hosts)} hosts")
            fleet.connect(self.inventory.hosts)
            fleet.ask()
            become_operator(self.inventory)
            for failed in fleet.failed.values():
                self._say(f"without {failed.sentence}")
            if self._asked.is_dry:
                return self._planned(plan)
            with fleet.locked(is_decided=False):
                ids = identities.known(self.inventory, fleet.facts)
                fleet.must_reach_most(identities.hosts_of(self.inventory, ids))
                return self._carried_out(plan, goal)
        finally:
            fleet.close()

    def _look(self) -> View:
        ids = identities.known(self.inventory, self.fleet.facts)
        if ids is None:
            raise BadRequest(f"{self.inventory.name} has no members yet: run `coordctl deploy -c {self.inventory.name}` first")
        self._ids = ids
        self._council = Council(identities.endpoints(self.inventory, ids), self.inventory.hosts, ids.names(), tuple(map(int, ids.former)))
        return self._council.look()

    def _planned(self, plan: Callable[[View], list[Act]]) -> Changed:
        view = self._look()
        try:
            acts = plan(view)
            self._judge(view, acts)
        except Objected as error:
            return self._result("refused", 76, f"it would be refused: {error.sentence}", error.risk)
        self.done = [act.says() for act in acts]
        words = f"{len(acts)} steps would be taken" if acts else "nothing to change"
        return self._result("would change" if acts else "unchanged", 1 if acts else 0, words)

    def _carried_out(self, plan: Callable[[View], list[Act]], goal: str) -> Changed:
        view = self._look()  # only now: nobody else changes it any more
        try:
            acts = plan(view)
            self._judge(view, acts)
            for risk in sorted(self._taken):
                Notes(self._council.facts()).accept(risk, self.fleet.verb, self._asked.reason)
            for act in acts:
                self._say(act.says())
                if self._carry_out(act):
                    self.done.append(act.says())
            self._tell()
        except Objected as error:
            return self._result("refused", 76, f"{self._so_far()}: {error.sentence}", error.risk)
        except CoordError as error:
            if not self.done:
                raise
            return self._result("failed", 1, f"{error.sentence}; {self._so_far()}: running it again goes on from there")
        return self._result("done" if self.done else "unchanged", 0, goal if self.done else f"nothing to change: {goal}")

    def _so_far(self) -> str:
        return f"so far: {'; '.join(self.done)}" if self.done else "nothing was changed"

    def _judge(self, view: View, acts: Sequence[Act]) -> None:
        """Before anything is begun that would not be gone through with: newcomers will be well, or are waited for in vain."""
        view = view._replace(zones={**view.zones, **{number: self._host(name).zone for name, number in self._drawn.items()}})
        coming = [act.member for act in acts if isinstance(act, CatchUp)]
        for act in acts:
            if isinstance(act, Change):
                self._check(view, act, coming)

    def _check(self, view: View, change: Change, coming: Sequence[int] = ()) -> None:
        objection = membership.objection(view, change, counting=coming)
        if objection is None:
            return
        if objection.risk != self._asked.accept:
            raise Objected(objection)
        self._taken.add(objection.risk)

    # --- names -----------------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        host = self.inventory.host(name)
        if host is None:
            known = ", ".join(one.name for one in self.inventory.hosts)
            raise BadRequest(f"{self.inventory.path} has no host {name}; there are: {known}. Write [hosts.{name}], then trust it")
        return host

    def _must_reach(self, name: str) -> None:
        self._host(name)
        failed = self.fleet.failed.get(name)
        if failed is not None:
            raise Unreachable(failed.sentence) if failed.kind in NOT_THERE and not self.done else failed

    def _member(self, view: View, name: str) -> int:
        return self._council.member(view, name)

    def _members(self, view: View, names: Sequence[str]) -> list[int]:
        found = [self._member(view, name) for name in names]
        for name, member in zip(names, found, strict=True):
            if member not in (*view.voters, *view.learners):
                raise BadRequest(f"{name} is no member now; take it in with `coordctl member add {name}`")
        return found

    def _newcomer(self, name: str) -> Newcomer:
        return name, self._with(name).members[name], self._host(name).endpoint

    def _instead_of(self, view: View, name: str, old: int) -> str:
        """One that was begun with is gone on with."""
        begun = [one for one, number in self._ids.members.items() if number not in view.voters and number in view.learners]
        if name in self.fleet.facts:
            return name
        free = [host for host in self.inventory.hosts if host.role == "spare" and self._ids.members.get(host.name) not in view.voters]
        spares = [(host.name, host.zone) for host in free if host.name in self.fleet.facts and host.name not in self.fleet.failed]
        preferred = [spare for spare in spares if spare[0] in begun]
        found = membership.spare_for(view, old, preferred or spares)
        if not found:
            why = self.fleet.failed[name].sentence if name in self.fleet.failed else f"{name} is no host of the inventory"
            raise Refused(f"{why}; and no spare of the inventory is reached: write [hosts.NEW], trust it, and say --with NEW")
        return found

    def _draw(self, names: Sequence[str]) -> None:
        """Ids for new members."""
        self._drawn |= {name: identities.new_id() for name in names}
        self._council.names |= {self._drawn[name]: name for name in names}

    def _with(self, name: str) -> Ids:
        """As they are once something is made of that host's member."""
        if name not in self._drawn:
            return self._ids
        ids = self._ids.changed({**self._ids.members, name: self._drawn[name]})
        return ids._replace(contacts={**ids.contacts, name: self._host(name).endpoint})

    # --- acts: each says whether there was anything to do ----------------------------------------------------------

    @singledispatchmethod
    def _carry_out(self, act: Act) -> bool:
        raise AssertionError(act)

    @_carry_out.register
    def _prepare(self, act: Prepare) -> bool:
        host, fleet, hosting = self._host(act.name), self.fleet, self._hosting
        facts = fleet.facts[act.name]
        if facts.marker is not None and facts.marker["member"] != self._with(act.name).members[act.name]:
            self._retire(Retire(act.name, int(facts.marker["member"])))  # what it was before: a member that is out
            facts = fleet.facts[act.name]
        ids = self._with(act.name)
        plans = hosting.plans([host], ids, joining=[act.name], is_dry=False)
        plan = plans[act.name]
        if not plan.says():
            return False
        found = preflight.of_host(facts, host.address, host.port)
        if facts.running is None:
            hosts = [one for one in identities.hosts_of(self.inventory, ids) if one.name in fleet.facts]
            found += looking.at_ways(fleet, hosts, act.name)
        for one in found:
            if one.level == STOPS:
                raise Refused(f"{one.host}: {one.sentence}: {one.remedy}")
        hosting.send(plans)
        self._must_reach(act.name)
        if self._drawn.pop(act.name, None) is not None:
            self._ids = ids
            identities.write(self.inventory, ids)
        hosting.apply({act.name: plan.prepare}, "prepare")
        self._must_reach(act.name)
        identities.note_made(self.inventory, self._ids, [act.name])
        hosting.apply({act.name: plan.switch}, "switch")
        self._must_reach(act.name)
        return True

    @_carry_out.register
    def _join(self, act: Join) -> bool:
        view = self._council.look()
        learners = tuple(sorted({*view.learners, act.member}))
        self._council.change(Change(view.voters, learners, act.says()), {act.member: act.contact}, lambda _view: None)
        return True

    @_carry_out.register
    def _catch_up(self, act: CatchUp) -> bool:
        seen: object = None
        until = time.monotonic() + CATCH_UP_SECONDS
        while True:
            facts = self._council.facts()
            one = next((one for one in facts.members if one.member == act.member), None)
            if one is not None and facts.state(one) == "ok":
                return False
            now = _progress(facts, act.member)
            if now != seen:
                seen, until = now, time.monotonic() + CATCH_UP_SECONDS
            if time.monotonic() >= until:
                why = "it does not answer" if one is None else one.trouble or "; ".join((one.status or {}).get("reasons", ()))
                raise HostFailed(act.name, "failed", f"its member has not caught up, and makes no progress: {why}")
            time.sleep(PAUSE_SECONDS)

    @_carry_out.register
    def _hand_over(self, act: HandOver) -> bool:
        self._council.hand_over(act.leaving)
        return True

    @_carry_out.register
    def _change(self, act: Change) -> bool:
        contacts = {self._ids.members[host.name]: host.endpoint for host in identities.hosts_of(self.inventory, self._ids)}
        self._council.change(act, contacts, lambda view: self._check(view, act))
        return True

    @_carry_out.register
    def _retire(self, act: Retire) -> bool:
        """Of a host that is not reached, or is none of ours, only the name is forgotten."""
        fleet = self.fleet
        if self._ids.members.get(act.name) == act.member:
            self._ids = self._ids.changed({name: number for name, number in self._ids.members.items() if number != act.member})
            identities.write(self.inventory, self._ids)
        facts = fleet.facts.get(act.name)
        if facts is None or act.name in fleet.failed:
            self._say(f"{act.name} is not reached: if its member still runs there, it is none any more; `member add` clears it away")
            return False
        if facts.marker is None or facts.marker["member"] != act.member:
            return False
        script = steps.retire_script(facts, self.inventory.name, facts.base, act.member, is_purged=self._asked.is_purged)
        fleet.run({act.name: Script("retire", f"set -eu\n{script}")}, WORK_SECONDS)
        self._must_reach(act.name)
        fleet.ask()
        return True

    # --- after -----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Every host that has a member, and every command here, knows who the members are now."""
        listed = {}
        self.fleet.ask()
        for host in identities.hosts_of(self.inventory, self._ids):
            facts = self.fleet.facts.get(host.name)
            step = steps.Told(marker_of(host.name, self.inventory.name, self._ids))
            if facts is not None and step.needed(facts):
                listed[host.name] = Script("tell", steps.script_of([step], facts))
        self.fleet.run(listed, WORK_SECONDS)
        identities.make_known(self.inventory, self._ids)

    def _result(self, outcome: Outcome, code: int, sentence: str, risk: str = "") -> Changed:
        return self._council.concluded(outcome, code, sentence, self.done, risk, time.monotonic() - self._began)


def _progress(facts: ClusterFacts, member: int) -> object:
    """What changes while a member catches up: what it has applied, or what the leader has seen of it."""
    leader = facts.leader_status or {}
    peers = [(peer.get("match"), peer.get("state")) for peer in leader.get("peers", ()) if peer["member"] == member]
    applied = [one.status["applied"] for one in facts.answered if one.status is not None and one.status["member"] == member]
    return peers, applied


def _are(names: Sequence[str], what: str) -> str:
    """n4 is a voter; n4 and n5 are voters; n4 is out."""
    if len(names) > 1:
        return f"{', '.join(names[:-1])} and {names[-1]} are {what}{'' if what == 'out' else 's'}"
    return f"{names[0]} is {what}" if what == "out" else f"{names[0]} is a {what}"
