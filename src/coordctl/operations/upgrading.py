"""`upgrade`: a rolling change of what members run, one after the other, with gates and a way back.

The course is decided in `rolling/`; here its steps are done one at a time, the journal first. Whoever has the operator's lock drives;
`pause` and `abort` ask a driver to stand still, and go on from there themselves.
"""

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

from coordctl.facts import pairs
from coordctl.facts.hosts import HostFacts
from coordctl.facts.members import ClusterFacts
from coordctl.facts.pairs import Speaks
from coordctl.facts.preflight import STOPS
from coordctl.inventory.model import Inventory
from coordctl.local.clusters import Endpoint
from coordctl.operations import backups, building, identities, outcomes, upgrade_journal
from coordctl.operations.building import Build
from coordctl.operations.certificates import become_operator
from coordctl.operations.fleet import Fleet, OtherOperator, is_ours_and_dead
from coordctl.operations.noting import Notes
from coordctl.operations.upgrade_journal import JournalKeeper
from coordctl.operations.upgrade_steps import Carrying
from coordctl.results.deploy import Noted
from coordctl.results.upgrade import Outcome, Upgraded, UpgradeHost, UpgradeRecord
from coordctl.rolling import course, gates
from coordctl.rolling.course import Note
from coordctl.rolling.gates import DEAD_OPERATOR
from coordctl.rolling.journal import HostPlan, Journal, Plan
from coordnode.client.sync import Cluster, connect
from coordnode.errors import BadRequest, CoordError, WritesStopped

CLIENT_SECONDS = 5.0
WISH_SECONDS = 60.0  # beyond what one step may take, until a driver has seen that it is to stand still
PAUSE_SECONDS = 0.5

Say = Callable[[str], None]
R = TypeVar("R", bound=Upgraded)


class UnderWay(WritesStopped):
    """Another upgrade is not over: nothing is begun beside it."""


class Wanted(NamedTuple):
    to: tuple[str, ...]  # builds in files, or a version that lies on the hosts; (): this coordctl's own
    bake_ms: int
    healthy_ms: int
    holds_level: bool


class Upgrading:
    def __init__(self, inventory: Inventory, verb: str, reason: str, accepted: tuple[str, ...], say: Say) -> None:
        if accepted and not reason:
            raise BadRequest(f"--accept {accepted[0]} needs --reason: it is written down")
        self.inventory = inventory
        self.fleet = Fleet(inventory, verb, reason)
        self.fleet.takes_over = DEAD_OPERATOR in accepted
        self.noted: list[Noted] = []
        self._accepted = accepted
        self._taken: set[str] = set()  # of these, the risks that there were
        self._reason = reason
        self._say = say
        self._began = time.monotonic()
        self._endpoints: list[Endpoint] = []
        self._cluster: Cluster | None = None
        self._journal: Journal | None = None

    # --- the verbs -------------------------------------------------------------------------------------------------

    def run(self, kind: type[R], wanted: Wanted, *, dry_run: bool) -> R:
        try:
            self._ask()
            if self.fleet.failed:
                return self._unreachable(kind)
            if self._journal is not None and not self._journal.is_over:
                raise UnderWay(
                    f"{course.says(self._journal)}: `coordctl upgrade resume` goes on with it, `coordctl upgrade abort` goes back"
                )
            builds, afters = self._afters(wanted.to)
            plan = self._plan(wanted, afters)
            self._look(plan, builds)
            if any(one.level == STOPS for one in self.noted):
                first = next(one for one in self.noted if one.level == STOPS)
                return self._result(kind, "refused", 76, f"nothing was changed: {first.host}: {first.sentence}", Journal(plan=plan))
            if not plan.hosts and not plan.level:
                return self._result(kind, "unchanged", 0, f"nothing to change: all run {plan.after}", Journal(plan=plan))
            if dry_run:
                return self._result(kind, "would change", 1, _counted(plan), Journal(plan=plan))
            return self._driven(kind, self._journal, Journal(plan=plan), builds)
        finally:
            self._close()

    def resume(self, kind: type[R], to: tuple[str, ...]) -> R:
        try:
            journal = self._found()
            gone = [name for name in (host.name for host in journal.plan.hosts) if name in self.fleet.failed]
            if gone and not journal.goes_back:
                return self._unreachable(kind)
            builds = {build.target: build for build in map(building.opened, to)} if to else self._own_builds()
            if not journal.goes_back:
                self._check_builds(journal, builds)
            return self._driven(kind, journal, course.resumed(journal, self._note()), builds)
        finally:
            self._close()

    def abort(self, kind: type[R]) -> R:
        """Also without a quorum, and without some of the hosts."""
        try:
            journal = self._still(self._found())
            why = f"aborted by {_me()}" + (f": {self._reason}" if self._reason else "")
            return self._driven(kind, journal, course.aborted(journal, why, self._note()), {})
        finally:
            self._close()

    def pause(self, kind: type[R]) -> R:
        try:
            journal = self._still(self._found())
            if journal.state == "running":  # nobody was at it
                with self._alone(journal):
                    journal = course.paused(journal, self._paused_by(), self._note())
                    self._keeper().write(journal)
            return self._result(kind, "paused", 0, f"it stands still; {course.how_far(journal)}", journal)
        finally:
            self._close()

    def status(self, kind: type[R]) -> R:
        try:
            self._ask()
            journal = self._journal
            if journal is None:
                code = 69 if self.fleet.failed and not self.fleet.facts else 1
                return self._result(kind, "unreachable" if code == 69 else "none", code, "no upgrade is known here", None)
            return self._result(kind, "answered", 0, course.says(journal), journal)
        finally:
            self._close()

    # --- asking ----------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        fleet = self.fleet
        self._say(f"asking {len(self.inventory.hosts)} hosts")
        fleet.connect(self.inventory.hosts)
        fleet.ask()
        ids = identities.known(self.inventory, fleet.facts)
        fleet.narrow(identities.hosts_of(self.inventory, ids))
        become_operator(self.inventory)
        if not fleet.facts:
            return
        absent = next((name for name, facts in fleet.facts.items() if not facts.current), "")
        if absent or ids is None:
            name = self.inventory.name
            raise BadRequest(f"{absent or name} has no version of coordnode: run `coordctl deploy -c {name}` first")
        self._endpoints = identities.endpoints(self.inventory, ids)
        self._cluster = connect([one.address for one in self._endpoints], identity="coordctl upgrade", timeout=CLIENT_SECONDS)
        self._journal = upgrade_journal.read(fleet.facts, self._cluster)

    def _found(self) -> Journal:
        """The upgrade that is not over."""
        self._ask()
        if self._journal is None or self._journal.is_over:
            said = course.says(self._journal) if self._journal is not None else "no upgrade is known here"
            raise BadRequest(f"no upgrade is under way ({said}): begin one with `coordctl upgrade run`")
        return self._journal

    def _close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
        self.fleet.close()

    def _keeper(self) -> JournalKeeper:
        return JournalKeeper(self.fleet, self._cluster)

    def _note(self) -> Note:
        return Note(time.time_ns() // 1_000_000, _me())

    # --- planning --------------------------------------------------------------------------------------------------

    def _own_builds(self) -> dict[str, Build]:
        found: dict[str, Build] = {}
        for facts in self.fleet.facts.values():
            if facts.target not in found:
                self._say(f"building for {facts.target}")
                found[facts.target] = building.build(facts.target)
        return found

    def _afters(self, to: tuple[str, ...]) -> tuple[dict[str, Build], dict[str, str]]:
        """(builds by target, which version each host is to run)"""
        facts = self.fleet.facts
        if to and not any(os.path.exists(one) for one in to):
            return {}, {name: _there(one, to) for name, one in facts.items()}
        builds = {build.target: build for build in map(building.opened, to)} if to else self._own_builds()
        lacking = next((one for one in facts.values() if one.target not in builds), None)
        if lacking is not None:
            raise BadRequest(f"{lacking.name} needs a build for {lacking.target}: make it with `coordctl build --for {lacking.target}`")
        return builds, {name: builds[one.target].version for name, one in facts.items()}

    def _plan(self, wanted: Wanted, afters: Mapping[str, str]) -> Plan:
        seen, facts = outcomes.cluster_facts(self._endpoints), self.fleet.facts
        voters, by_name = seen.voters(), {one.name: one.member for one in self._endpoints}
        changing = [
            HostPlan(name, by_name[name], _runs(one) or one.current, afters[name], by_name[name] in voters)
            for name, one in facts.items()
            if (one.current, _runs(one)) != (afters[name], afters[name])
        ]
        # The leader last, so that leadership is moved once; those that only learn first.
        changing.sort(key=lambda host: (host.is_voter, host.name == seen.leader_name, host.name))
        first = next(iter(facts))
        return Plan(
            id=os.urandom(6).hex(),
            cluster=self.inventory.name,
            before=changing[0].before if changing else facts[first].current,
            after=changing[0].after if changing else afters[first],
            hosts=tuple(changing),
            level=0 if wanted.holds_level else self._level(seen, afters),
            bake_ms=wanted.bake_ms,
            healthy_ms=wanted.healthy_ms,
            accepted=self._accepted,
            who=_me(),
            reason=self._reason,
            began_unix_ms=time.time_ns() // 1_000_000,
        )

    def _level(self, seen: ClusterFacts, afters: Mapping[str, str]) -> int:
        """Which all will know in the end; 0: it is so already."""
        known = [self._speaks(name, version, {}) for name, version in afters.items()]
        now = min((one.status["level"] or 0 for one in seen.answered if one.status is not None), default=0)
        level_max = min((one.level_max for one in known if one is not None), default=0)
        return level_max if level_max > now and None not in known else 0

    def _speaks(self, name: str, version: str, builds: Mapping[str, Build]) -> Speaks | None:
        facts = self.fleet.facts[name]
        build = builds.get(facts.target)
        return pairs.of_manifest(build.speaks if build is not None and build.version == version else facts.speaks.get(version))

    def _look(self, plan: Plan, builds: Mapping[str, Build]) -> None:
        """What must be right before anything is changed."""
        seen = outcomes.cluster_facts(self._endpoints)
        before = {host.name: self._speaks(host.name, host.before, builds) for host in plan.hosts}
        after = {host.name: self._speaks(host.name, host.after, builds) for host in plan.hosts}
        found = [*gates.of_cluster(seen), *gates.of_pairs(seen, before, after)]
        if plan.hosts:
            found += gates.of_backup(backups.newest_age_s(seen))
        for one in found:
            is_accepted = one.risk != "" and one.risk in self._accepted
            self._taken |= {one.risk} if is_accepted else set()
            level = "remark" if is_accepted else STOPS
            self.noted.append(Noted(host=one.host or self.inventory.name, level=level, sentence=one.sentence, remedy=one.remedy))  # type: ignore[arg-type]

    def _check_builds(self, journal: Journal, builds: Mapping[str, Build]) -> None:
        """Of whoever goes on: what is not on a host yet must be at hand."""
        for host in journal.plan.hosts:
            facts = self.fleet.facts[host.name]
            build = builds.get(facts.target)
            if host.after not in facts.versions and (build is None or build.version != host.after):
                raise BadRequest(f"{host.name} lacks {host.after}, and its build is not at hand: name its file with --to")

    # --- driving ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, seen: Journal | None) -> Iterator[None]:
        """`seen`: the journal by which it was decided what is to be done."""
        with self.fleet.locked():
            newest = upgrade_journal.read(self.fleet.facts, self._cluster)
            if newest is not None and (seen is None or newest.plan.id != seen.plan.id or newest.number > seen.number):
                raise OtherOperator(f"nothing was changed: somebody else drove until just now ({course.says(newest)}): run it again")
            yield

    def _driven(self, kind: type[R], seen: Journal | None, journal: Journal, builds: Mapping[str, Build]) -> R:
        fleet = self.fleet
        assert self._cluster is not None
        with self._alone(seen):
            self._note_risks()
            keeper = self._keeper()
            carrying = Carrying(fleet, self._cluster, self._endpoints, keeper, builds)
            try:
                keeper.forget_wishes()
                keeper.write(journal)
                while (step := course.next_step(journal, carrying.sight)) is not None:
                    journal = course.begun(journal, step, self._note())
                    wished = keeper.write(journal)
                    if wished is not None or (fleet.failed and not journal.goes_back):
                        why = f"paused by {wished.who}: {wished.reason}" if wished else next(iter(fleet.failed.values())).sentence
                        journal = course.paused(journal, why, self._note())
                        break
                    self._say(step.says(journal.plan))
                    outcome = carrying.carry_out(step, journal)
                    if carrying.is_wished:
                        continue  # the next write tells by whom, and the step is begun again by whoever goes on
                    journal = course.ended(journal, step, outcome, self._note())
                    if not outcome.is_well:
                        self._say(f"! {outcome.evidence}")
                keeper.write(journal)
            except KeyboardInterrupt:
                self._say(f"interrupted: {course.how_far(journal)}; `coordctl upgrade resume` goes on, `coordctl upgrade abort` goes back")
                raise
        return self._ended(kind, journal)

    def _note_risks(self) -> None:
        """Those that were there to be accepted. Without a quorum the journal alone has them."""
        facts = outcomes.cluster_facts(self._endpoints)
        with suppress(CoordError):
            for risk in sorted(self._taken | ({DEAD_OPERATOR} if self.fleet.has_taken_over else set())):
                Notes(facts).accept(risk, self.fleet.verb, self._reason)

    def _ended(self, kind: type[R], journal: Journal) -> R:
        if journal.state == "done":
            return self._result(kind, "done", 0, f"{journal.plan.after}: {outcomes.well(self._endpoints)}", journal)
        if journal.state == "rolled back":
            where = f"all run {journal.plan.before} again" if journal.touched else "nothing was switched"
            is_asked = self.fleet.verb == "upgrade abort" and not gates.of_cluster(outcomes.cluster_facts(self._endpoints))
            return self._result(kind, "rolled back", 0 if is_asked else 1, f"{where}: {journal.evidence}", journal)
        return self._result(kind, "paused", 1, f"it stands still: {journal.evidence}; {course.how_far(journal)}", journal)

    def _still(self, journal: Journal) -> Journal:
        """Once nobody drives any more: whoever does is asked to stand still."""
        if journal.state != "running" or not self._is_driven():
            return journal
        plan = journal.plan
        upgrade_journal.wish(self.fleet, upgrade_journal.Wish(plan.id, _me(), self._reason))
        self._say("waiting until it stands still")
        until = time.monotonic() + WISH_SECONDS + (2 * plan.healthy_ms + plan.bake_ms) / 1000
        while time.monotonic() < until:
            self.fleet.ask()
            found = upgrade_journal.read(self.fleet.facts, None)
            journal = found if found is not None else journal
            if journal.state != "running" or not self._is_driven():
                return journal
            time.sleep(PAUSE_SECONDS)
        raise OtherOperator(
            f"{course.says(journal)}, and whoever drives it does not stand still: `coordctl upgrade status` tells where it is"
        )

    def _is_driven(self) -> bool:
        holders = [facts.operator for facts in self.fleet.facts.values() if facts.operator is not None]
        return any(not is_ours_and_dead(holder) for holder in holders) and not self.fleet.takes_over

    def _paused_by(self) -> str:
        return f"paused by {_me()}" + (f": {self._reason}" if self._reason else "")

    # --- telling ---------------------------------------------------------------------------------------------------

    def _unreachable(self, kind: type[R]) -> R:
        first = next(iter(self.fleet.failed.values()))
        return self._result(kind, "unreachable", 69, f"nothing was changed: {first.sentence}", self._journal)

    def _result(self, kind: type[R], outcome: Outcome, code: int, sentence: str, journal: Journal | None) -> R:
        plan = journal.plan if journal is not None else None
        step = course.next_step(journal, {}) if journal is not None and not journal.is_over else None
        return kind(
            outcome=outcome,
            exit_code=code,
            cluster=self.inventory.name,
            sentence=sentence,
            id=plan.id if plan else "",
            before=plan.before if plan else "",
            after=plan.after if plan else "",
            level=plan.level if plan else 0,
            accepted=list(plan.accepted) if plan else [],
            who=plan.who if plan else "",
            reason=plan.reason if plan else "",
            began_unix_ms=plan.began_unix_ms if plan else 0,
            next=step.says(plan) if step is not None and plan is not None else "",
            evidence=journal.evidence if journal else "",
            hosts=[self._host(journal, host) for host in plan.hosts] if plan and journal else [],
            noted=self.noted,
            history=[UpgradeRecord(unix_ms=one.unix_ms, who=one.who, what=one.what) for one in (journal.history if journal else ())],
            elapsed_ms=int((time.monotonic() - self._began) * 1000),
        )

    def _host(self, journal: Journal, host: HostPlan) -> UpgradeHost:
        facts, failed = self.fleet.facts.get(host.name), self.fleet.failed.get(host.name)
        return UpgradeHost(
            name=host.name,
            current=facts.current if facts is not None and failed is None else "",
            before=host.before,
            after=host.after,
            state=course.state_of(journal, host.name),
            trouble=failed.sentence if failed is not None else "",
        )


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _runs(facts: HostFacts) -> str:
    return str((facts.running or {}).get("version", ""))


def _there(facts: HostFacts, to: tuple[str, ...]) -> str:
    """The version on that host which one of these names, as a whole or by its release."""
    found = [version for version in facts.versions if any(version == one or version.startswith(f"{one}-") for one in to)]
    if len(found) != 1:
        there = ", ".join(facts.versions)
        raise BadRequest(f"--to {to[0]} is no file, and {'no' if not found else 'not one'} version on {facts.name}, which has {there}")
    return found[0]


def _counted(plan: Plan) -> str:
    count = len(plan.hosts)
    return f"{plan.before} → {plan.after} on {count} host{'' if count == 1 else 's'}" + (f", then level {plan.level}" if plan.level else "")
