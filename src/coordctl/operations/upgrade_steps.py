"""Carries out one step of an upgrade, and says what came of it. Each may be begun again by anybody, wherever it was left."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from shlex import quote

from coordctl.canary.judgement import BROKEN, WELL
from coordctl.facts.members import ClusterFacts
from coordctl.facts.pairs import of_manifest
from coordctl.local.clusters import COORDNODE, Chosen, Endpoint
from coordctl.operations import outcomes
from coordctl.operations.building import Build
from coordctl.operations.canary import Canary
from coordctl.operations.fleet import Fleet
from coordctl.operations.noting import Notes
from coordctl.operations.upgrade_journal import FILE, JournalKeeper
from coordctl.operations.upgrade_probes import probe
from coordctl.rolling import gates, journal
from coordctl.rolling.course import Outcome, Seen, Step
from coordctl.rolling.gates import Watch
from coordctl.rolling.journal import Journal
from coordctl.steps import member as steps
from coordctl.steps.member import Wish
from coordctl.transport.base import Script
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError

SEND_SECONDS = 120.0
UNPACK_SECONDS = 180.0
SWITCH_SECONDS = 90.0
PAUSE_SECONDS = 0.1
LEAD_SECONDS = 5.0  # for one try
HOPELESS_SECONDS = 4.0  # a member that is being started answers by then
PROBES_MAX = LOOKS_MIN = 3  # a stall of this machine or of theirs is no fault of a build
CANARY_SECONDS = 5.0  # for one question: slow is judged by comparison
ROUND_SECONDS = 1.0
LOOK_SECONDS = 3.0
LINES = 40  # of what a member said last: a traceback ends with what it is about

WELL_DONE = Outcome(True)


class Carrying:
    def __init__(
        self, fleet: Fleet, cluster: Cluster, endpoints: Sequence[Endpoint], keeper: JournalKeeper, builds: Mapping[str, Build]
    ) -> None:
        """`builds`: by target, as far as they are at hand."""
        self._fleet = fleet
        self._cluster = cluster
        self._endpoints = list(endpoints)
        self._keeper = keeper
        self._builds = builds
        self._writes_ms: list[float] = []  # before the member in turn led
        self.is_wished = False  # that it stand still; noticed while a member was watched
        self.sight = {
            name: Seen(one.versions, one.current, str((one.running or {}).get("version", ""))) for name, one in fleet.facts.items()
        }
        self._steps: dict[str, Callable[[Journal, str], Outcome]] = {
            journal.UNPACK: self._unpack,
            journal.SETTLE: self._settle,
            journal.SWITCH: self._switch,
            journal.PROBE: self._probe,
            journal.LEAD: self._lead,
            journal.BAKE: self._bake,
            journal.LEVEL: self._raise_level,
            journal.CLOSE: self._close,
            journal.YIELD: self._yield,
            journal.RETURN: self._return,
            journal.RECOVER: self._recover,
        }

    def carry_out(self, step: Step, at: Journal) -> Outcome:
        self._plan = at.plan
        outcome = self._steps[step.what](at, step.host)
        if outcome.is_well or not step.host:
            return outcome
        return outcome._replace(may_return=outcome.may_return and gates.may_return(self._facts(), at.plan.host(step.host).member))

    # --- forward ---------------------------------------------------------------------------------------------------

    def _unpack(self, at: Journal, host: str) -> Outcome:
        fleet = self._fleet
        lacking = {one.name: one.after for one in at.plan.hosts if one.after not in self.sight[one.name].versions}
        wishes: dict[str, Wish] = {}
        for name, version in lacking.items():
            facts = fleet.facts[name]
            build = self._builds[facts.target]
            assert build.version == version
            place = facts.place_of(f"{version}.tar.gz")
            wishes[name] = _wish(self._fleet, name, version)._replace(archive=place, archive_sha256=build.sha256)
        builds = {name: self._builds[fleet.facts[name].target] for name in wishes}
        fleet.at_each(list(wishes), lambda one: one.put(builds[one.host].archive, wishes[one.host].archive, SEND_SECONDS), SEND_SECONDS)
        sent = {name: wish for name, wish in wishes.items() if name not in fleet.failed}
        scripts = {name: Script("upgrade unpack", steps.Unpack(wish).script(fleet.facts[name])) for name, wish in sent.items()}
        fleet.run(scripts, UNPACK_SECONDS)
        failed = next((fleet.failed[name].sentence for name in wishes if name in fleet.failed), "")
        for name in wishes:
            if name not in fleet.failed:
                self.sight[name] = self.sight[name]._replace(versions=(*self.sight[name].versions, lacking[name]))
        return Outcome(not failed, failed)

    def _settle(self, at: Journal, host: str) -> Outcome:
        """All is well, one more can be lost, and somebody else leads: those that were upgraded first."""
        return self._await(lambda facts: self._undrained(facts) or _unhealthy(facts, at) or self._moved_away(facts, at, host))

    def _moved_away(self, facts: ClusterFacts, at: Journal, host: str) -> str:
        """Why the leadership is not elsewhere; "": it is."""
        if facts.leader_name != host:
            return ""
        voters = [one.name for one in facts.members if one.member in facts.voters() and one.name != host and facts.state(one) == "ok"]
        if not voters:
            return "" if len(facts.voters()) == 1 else "nobody else is well enough to lead"
        preferred = at.returned if at.goes_back else at.passed
        voters.sort(key=lambda name: (name not in preferred, at.goes_back and name in at.touched, name))
        self._try_lead(voters[0])
        return f"{host} still leads"

    def _switch(self, at: Journal, host: str) -> Outcome:
        """However long ago it was settled: whoever goes on may find others than there were."""
        version, seen = at.plan.host(host).after, self.sight.get(host)
        is_switched = seen is not None and (seen.current, seen.running) == (version, version)
        needed = "" if is_switched or gates.OUTAGE in at.plan.accepted else self._needed(self._facts(), at, host)
        return Outcome(False, needed, may_return=False) if needed else self._switched(host, version)

    def _switched(self, host: str, version: str) -> Outcome:
        fleet, seen = self._fleet, self.sight.get(host)
        if seen is None or host in fleet.failed:
            failed = fleet.failed.get(host)
            return Outcome(False, failed.sentence if failed else f"{host} is not reached")
        if (seen.current, seen.running) == (version, version):
            return WELL_DONE
        self._drain(host)
        facts, name = fleet.facts[host], fleet.inventory.name
        switch = steps.Switch(_wish(fleet, host, version))
        script = switch.script(facts) if seen.current != version else ""
        script += steps.stop_script(facts, name, facts.base) + steps.start_script(facts, name, facts.base)
        fleet.run({host: Script("upgrade switch", script)}, SWITCH_SECONDS)
        if host in fleet.failed:
            return Outcome(False, fleet.failed[host].sentence)
        self.sight[host] = seen._replace(current=version, running=version)
        return WELL_DONE

    def _probe(self, at: Journal, host: str) -> Outcome:
        plan = at.plan.host(host)
        speaks = of_manifest(self._fleet.facts[host].speaks.get(plan.after))
        started = self._await(lambda facts: gates.is_well(facts, plan.member) or self._still_drained(facts, plan.member))
        if not started.is_well:
            why = f"{host} is not well {self._healthy_seconds:g} s after it was switched: {started.evidence}"
            return started._replace(evidence=why + self._last_words(host))
        status = next(one.status for one in self._facts().members if one.member == plan.member)
        if speaks is not None and status is not None and status["version"] != speaks.release:
            return Outcome(False, f"{host} runs {status['version']} and was switched to {speaks.release}")
        trouble = ""
        for _ in range(PROBES_MAX):
            try:
                found = probe(self._cluster, self._endpoints)
            except CoordError as error:
                trouble = f"nothing could be written: {error.sentence}"
                continue
            self._writes_ms = found.writes_ms
            trouble = gates.of_probe(host, found.members)
            if not trouble:
                return WELL_DONE
        return Outcome(False, f"{host}: {trouble}")

    def _lead(self, at: Journal, host: str) -> Outcome:
        member = at.plan.host(host).member

        def trouble(facts: ClusterFacts) -> str:
            leader = facts.leader_status
            if leader is None or leader["member"] != member:
                self._try_lead(host)
                return f"{host} does not take the lead"
            return "" if leader["ready"] else "; ".join(leader["reasons"])

        return self._await(trouble)

    def _bake(self, at: Journal, host: str) -> Outcome:
        """It leads, and the canary does through every member what users do."""
        member, until = at.plan.host(host).member, time.monotonic() + at.plan.bake_ms / 1000
        watch, looked = Watch(), time.monotonic()
        canary = Canary(Chosen(COORDNODE, self._fleet.inventory.name, list(self._endpoints)), CANARY_SECONDS)
        try:
            while not watch.rounds or time.monotonic() < until:
                began = time.monotonic()
                found = canary.round(watch.rounds + 1)
                is_bad = found.outcome != WELL
                watch = watch._replace(
                    rounds=watch.rounds + 1,
                    bad=watch.bad + is_bad,
                    trouble=found.sentence if is_bad else watch.trouble,
                    is_broken=watch.is_broken or found.outcome == BROKEN,
                )
                leader = self._facts().leader_status
                if leader is None or leader["member"] != member:
                    watch = watch._replace(leads_lost=watch.leads_lost + 1)
                    again = self._lead(at, host)
                    if not again.is_well:
                        return again
                if watch.verdict():
                    return Outcome(False, f"{host}: {watch.verdict()}")
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    self.is_wished = self.is_wished or self._keeper.look(at) is not None
                    if self.is_wished:
                        return WELL_DONE
                time.sleep(max(0.0, min(ROUND_SECONDS - (time.monotonic() - began), until - time.monotonic())))
        finally:
            canary.close()
        return self._compared_lead(host)

    def _compared_lead(self, host: str) -> Outcome:
        trouble = ""
        for _ in range(PROBES_MAX):
            try:
                trouble = gates.of_lead(self._writes_ms, probe(self._cluster, self._endpoints).writes_ms)
            except CoordError as error:
                trouble = f"nothing could be written under its lead: {error.sentence}"
            if not trouble:
                return WELL_DONE
        return Outcome(False, f"{host}: {trouble}")

    def _raise_level(self, at: Journal, host: str) -> Outcome:
        level = at.plan.level

        def trouble(facts: ClusterFacts) -> str:
            below = [one.shown_name for one in facts.members if one.status is None or (one.status["level"] or 0) < level]
            if not below:
                return ""
            try:
                self._cluster.members.raise_level(level, timeout=LEAD_SECONDS)
            except CoordError as error:
                return f"the feature level is not raised: {error.sentence}"
            return f"{', '.join(below)} have not raised the feature level"

        return self._await(trouble)

    def _close(self, at: Journal, _: str) -> Outcome:
        found = self._await(lambda facts: self._undrained(facts) or _unhealthy(facts, at), is_back=at.goes_back)
        fleet = self._fleet
        fleet.ask()
        for host in at.plan.hosts:
            facts, version = fleet.facts.get(host.name), host.before if at.goes_back else host.after
            if facts is None or host.name in at.left:
                continue
            running = str((facts.running or {}).get("version", ""))
            if facts.current != version or running not in (version, "" if at.goes_back else version):
                found = Outcome(False, f"{host.name} does not run {version}", may_return=False)
        return found

    # --- back ------------------------------------------------------------------------------------------------------

    def _yield(self, at: Journal, host: str) -> Outcome:
        """Where nobody is served anyway, nothing is taken away."""
        found = self._await(lambda facts: self._needed(facts, at, host))
        facts = self._facts()
        until = time.monotonic() + LEAD_SECONDS
        while found.is_well and facts.can_lose() >= 0 and self._moved_away(facts, at, host) and time.monotonic() < until:
            facts = self._facts()
        return found

    def _needed(self, facts: ClusterFacts, at: Journal, host: str) -> str:
        """Why it may not be stopped; "": it may."""
        return "" if gates.may_return(facts, at.plan.host(host).member) else f"{host} is well, and without it there is no quorum"

    def _return(self, at: Journal, host: str) -> Outcome:
        return self._switched(host, at.plan.host(host).before)

    def _recover(self, at: Journal, host: str) -> Outcome:
        member = at.plan.host(host).member
        return self._await(lambda facts: gates.is_well(facts, member) or self._still_drained(facts, member), is_back=True)

    # --- what they have in common ----------------------------------------------------------------------------------

    @property
    def _healthy_seconds(self) -> float:
        return self._plan.healthy_ms / 1000

    def _facts(self) -> ClusterFacts:
        return outcomes.cluster_facts(self._endpoints)

    def _await(self, trouble: Callable[[ClusterFacts], str], *, is_back: bool = False) -> Outcome:
        """`is_back`: where too few members are there for a quorum, nothing is waited for that takes one."""
        until = time.monotonic() + self._healthy_seconds
        hopeless_until = time.monotonic() + HOPELESS_SECONDS
        looks = 0
        while True:
            facts = self._facts()
            found = trouble(facts)
            looks += 1
            if not found:
                return WELL_DONE
            if gates.can_have_quorum(facts):
                hopeless_until = time.monotonic() + HOPELESS_SECONDS
            if looks >= LOOKS_MIN and time.monotonic() >= (min(until, hopeless_until) if is_back else until):
                return Outcome(False, found)
            time.sleep(PAUSE_SECONDS)

    def _drain(self, host: str) -> None:
        """For as long as its member may be missing, whoever looks is told why, and nobody is alarmed. Without a quorum there is nobody to
        write it down: nothing is waited for."""
        facts, member = self._facts(), self._plan.host(host).member
        if facts.can_lose() >= 0 and member not in facts.drains():
            with suppress(CoordError):
                Notes(facts).drain(member, SWITCH_SECONDS + self._healthy_seconds, self._drained_for)

    def _still_drained(self, facts: ClusterFacts, member: int) -> str:
        """By an upgrade, whoever drove it; "": it is not. What an operator wrote down is his to end."""
        drain = facts.drains().get(member)
        if drain is None or drain.reason != self._drained_for:
            return ""
        with suppress(CoordError):
            Notes(facts).undrain(drain)
        return "it is drained still"

    def _undrained(self, facts: ClusterFacts) -> str:
        """Nobody is left drained by whoever went on before: a member that took too long to be well, or a driver that was killed."""
        return next((trouble for host in self._plan.hosts if (trouble := self._still_drained(facts, host.member))), "")

    @property
    def _drained_for(self) -> str:
        return f"upgrade to {self._plan.after}"

    def _try_lead(self, host: str) -> None:
        member = next(one.member for one in self._endpoints if one.name == host)
        with suppress(CoordError):  # whether it leads is looked at, whatever was answered
            self._cluster.members.lead(member, timeout=LEAD_SECONDS)

    def _last_words(self, host: str) -> str:
        """Of the member, or of what keeps it."""
        facts = self._fleet.facts[host]
        unit, out = steps.service_of(self._fleet.inventory.name), quote(f"{facts.base}/log/member.out")
        begun = quote(f"{facts.base}/{FILE}")  # written when the step was: what is older was said by the version before
        script = f"[ ! {out} -nt {begun} ] || tail -n {LINES} {out}\n"
        if facts.has_systemd:
            script = f'journalctl -q -n {LINES} -o cat -S "@$(date -r {begun} +%s)" _SYSTEMD_UNIT={quote(unit)} 2>/dev/null || :\n'
        ran = self._fleet.at_each([host], lambda one: one.run(Script("last words", script), LEAD_SECONDS), LEAD_SECONDS).get(host)
        words = [line for line in (ran.stdout.splitlines() if ran else []) if line and not line.startswith((" ", "Traceback "))]
        return f'; it said "{words[-1][:200]}"' if words else ""


def _wish(fleet: Fleet, host: str, version: str) -> Wish:
    return Wish(fleet.inventory.name, fleet.facts[host].base, version, "", "", (), (), {})


def _unhealthy(facts: ClusterFacts, at: Journal) -> str:
    """The first that is not as it should be, of what was not accepted; "": nothing."""
    return next((gate.sentence for gate in gates.of_cluster(facts) if gate.risk not in at.plan.accepted), "")
