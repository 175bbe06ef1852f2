"""`chaos run`: a playbook on a cluster: load, faults at their time, probes, and then what came of it, judged."""

import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from coordctl.chaos import clients, verdicts
from coordctl.chaos.clients import KILL_HOLDER
from coordctl.chaos.faults import HOLDERS
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.loads.words import ELSEWHERE
from coordctl.chaos.pace import by_second
from coordctl.chaos.playbook import Expectation, Playbook, Probe, Row
from coordctl.chaos.schedule import Carried, schedule
from coordctl.chaos.site import Site, Wanted
from coordctl.chaos.undo import words
from coordctl.chaos.verdicts import Done, Installs, Seen, Try, Verdict
from coordctl.chaos.words import End
from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters
from coordctl.local.clusters import COORDNODE, Chosen, LocalCluster, addressed
from coordctl.local.fleet import Failed
from coordctl.operations import chaos_faults, engines, statuses, waiting
from coordctl.operations import chaos_sites as sites
from coordctl.operations.chaos_faults import BEYOND_QUORUM, BeyondQuorum, Scene
from coordctl.operations.chaos_holders import HOLDER_LOOK_SECONDS, meet
from coordctl.operations.chaos_loads import Holder, Loads
from coordctl.operations.chaos_probes import Act, act_of
from coordctl.operations.check import check
from coordctl.operations.interrupts import Interrupts
from coordctl.results.chaos import ChaosLeader, ChaosRun, ChaosRunRow, ChaosSecond, ChaosSkipped, ChaosTold, ChaosVerdict
from coordnode.client.identity import who
from coordnode.errors import CoordError

ASK_SECONDS = 0.5
LOOK_SECONDS = 0.1
LEADER_SECONDS_MAX = 15.0
READY_SECONDS_MAX = 15.0  # from being healed to being counted on again
HEAL_SECONDS_MAX = 40.0  # behind the deadline of the last fault: a member's start included
CHECK_SECONDS, CHECK_BYTES = 120.0, 1 << 30
STAY_SECONDS = 60.0  # from one time that we say that we are at work to the next
INTERRUPTED = 130
SCHEDULE = "schedule.yaml"
TRIED_SECONDS_MAX = 20.0  # from when a probe is due to its next try
HOLDER_SECONDS_MAX = 20.0


class Asked(NamedTuple):
    accept: str
    reason: str
    keep: str  # where histories are kept; "": they are, when something is not green
    called: str = ""  # the playbook, as it was named; "": by its own name


class _Stop(Exception):
    """The run ends before its time: what is broken is healed all the same."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


def run(cluster: LocalCluster, playbook: Playbook, asked: Asked, tell: Callable[[ChaosTold], None]) -> ChaosRun:
    opened = sites.opened(cluster, f"chaos run {playbook.name}", asked.reason, is_alone=True)
    with Interrupts() as interrupts, _alone(cluster, playbook), opened as site, interrupts.deferred():
        return _Run(cluster, site, playbook, asked, tell, interrupts).go()


@contextmanager
def _alone(cluster: LocalCluster, playbook: Playbook) -> Iterator[None]:
    """Two runs would judge each other's faults."""
    ledger = Ledger(cluster.folder)
    ledger.make()
    descriptor = os.open(os.path.join(ledger.folder, "run.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(descriptor, 400, 0).decode(errors="replace").strip()
            raise BeyondQuorum(f"another run is under way on {cluster.name}: {other}; wait for its end") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{playbook.name}, by {who()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class _Run:
    def __init__(
        self,
        cluster: LocalCluster,
        site: Site,
        playbook: Playbook,
        asked: Asked,
        tell: Callable[[ChaosTold], None],
        interrupts: Interrupts,
    ) -> None:
        self._cluster = cluster
        self._site = site
        self._playbook = playbook
        self._asked = asked
        self._tell = tell
        self._interrupts = interrupts
        self._chosen = Chosen(cluster.engine, cluster.name, cluster.endpoints())
        self._addresses = addressed(cluster.engine, cluster.endpoints())
        self._chance = Random(playbook.seed)
        self._began = time.monotonic()
        self._began_unix_ms = time.time_ns() // 1_000_000
        self._folder = os.path.join(tempfile.gettempdir(), f"chaos-run-{os.urandom(6).hex()}")  # made once somebody would remove it
        self._prefix = f"_chaos/{os.path.basename(self._folder)}/"
        self._loads = Loads(self._folder, self._addresses, self._prefix, playbook.seed)
        self._is_over = threading.Event()
        self._seen: list[Seen] = []
        self._tries: dict[int, list[Try]] = {number: [] for number in range(len(playbook.probes))}
        self._owner = who()
        self._is_hitting = False  # from the first fault on that it asked for
        self._rows: list[ChaosRunRow] = []
        self._done: list[Done] = []
        self._carried: list[Carried] = []
        self._verdicts: list[Verdict] = []
        self._told: list[ChaosTold] = []
        self._log_ends: dict[str, End] = {}

    def _ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def _say(self, sentence: str) -> None:
        self._told.append(ChaosTold(at_ms=self._ms(), sentence=sentence))
        self._tell(self._told[-1])

    def go(self) -> ChaosRun:
        threads: list[threading.Thread] = []
        try:
            self._check_start()
            self._log_ends = self._site.log_ends()
            self._loads.start(self._playbook.load)
            self._began = time.monotonic()  # of the timetable: everybody works
            threads = [threading.Thread(target=self._watch)]
            threads += [threading.Thread(target=self._probe, args=(number, one)) for number, one in enumerate(self._playbook.probes)]
            for thread in threads:
                thread.start()
            self._timetable()
        except _Stop as stop:
            self._verdicts.append(stop.verdict)
        except (CoordError, OSError) as error:
            self._verdicts.append(Verdict("fault", "", verdicts.INCONCLUSIVE, words(error)))
        finally:
            with self._interrupts.ignored():
                self._heal()
            self._is_over.set()
            for thread in threads:
                thread.join()
            ended = [Verdict("load", kind, verdicts.INCONCLUSIVE, f"it ended by itself: {why}") for kind, why in self._loads.end()]
            self._verdicts += ended
        self._verdicts += self._of_logs()  # also where the run could not go on, because of it
        if self._done or self._rows:
            self._judge()
        result = self._result()
        self._loads.dismiss()
        return result

    # --- before ----------------------------------------------------------------------------------------------------

    def _check_start(self) -> None:
        scene = Scene(self._cluster, self._site)
        health = engines.health(self._chosen, 5.0)
        trouble = ""
        is_well = health.exit_code == 0 or (health.exit_code == 1 and len(scene.well) == len(self._cluster.members))
        if not is_well:  # that its commits are slow, or that it can be harmed, is no reason
            trouble = f"the cluster is not well to begin with: {health.sentence}"
        elif len(scene.voters) < self._playbook.members_min:
            trouble = f"it has {len(scene.voters)} voters, and the playbook wants {self._playbook.members_min}: `coordctl up --nodes N`"
        elif scene.active:
            trouble = "something is broken on purpose already: `coordctl chaos revert --all`"
        elsewhere = [load.do for load in self._playbook.load if load.do not in ELSEWHERE and self._chosen.engine != COORDNODE]
        if elsewhere and not trouble:
            trouble = f"no load of {elsewhere[0]} works on {self._chosen.engine}: only {' and '.join(ELSEWHERE)} do"
        for row in self._playbook.rows:
            lacks = "" if trouble else self._site.lacks(row.do)
            trouble = trouble or (f"row {row.number}: {row.do} cannot be injected here: {lacks}" if lacks else "")
        if trouble:
            raise _Stop(Verdict("start", "", verdicts.INCONCLUSIVE, trouble))

    # --- meanwhile -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        installs, voters = Installs(), tuple[int, ...]()
        while not self._is_over.wait(LOOK_SECONDS):
            facts = ClusterFacts(statuses.of_members(clusters.read(self._cluster.folder) or self._cluster, ASK_SECONDS))
            installed = installs.since_last({one.shown_name: one.status for one in facts.answered if one.status is not None})
            voters = tuple(facts.voters()) or voters
            is_leaderless = statuses.is_leaderless(facts, voters)
            self._seen.append(Seen(self._ms(), facts.leader_name, facts.term, installed, tuple(facts.voters()), is_leaderless))

    def _is_time_of(self, probe: Probe, at_ms: int) -> bool:
        """Rows may come late: the first waits for what is tried before it, and what is tried after them waits for the last."""
        if probe.when == "before":
            return not self._is_hitting
        done = list(self._done)
        return probe.when == "throughout" or (len(done) == len(self._playbook.rows) and at_ms >= max(row.ended_ms for row in done))

    def _probe(self, number: int, probe: Probe) -> None:
        act = act_of(probe, self._addresses, self._prefix)
        try:
            while not self._is_over.wait(probe.every_ms / 1000):
                at_ms = self._ms()
                if self._is_time_of(probe, at_ms):
                    began = time.monotonic()
                    trouble = self._attempt(act)
                    self._tries[number].append(Try(at_ms, (time.monotonic() - began) * 1000, not trouble, trouble))
        finally:
            act.close()

    def _attempt(self, act: Act) -> str:
        """Whatever goes wrong is a try that failed: a probe that ended would be judged by what it tried before."""
        try:
            return act.attempt()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def _timetable(self) -> None:
        """A row that comes late makes all that follow late: what the last one broke is to be whole for as long as the playbook says."""
        late_ms = 0
        for row in self._playbook.rows:
            self._wait_until(row.at_ms + late_ms)
            if row is self._playbook.rows[0]:
                self._await_tries_before()
            self._inject(row)
            late_ms = max(late_ms, self._done[-1].ended_ms - row.end_ms)
        self._wait_until(self._playbook.lasts_ms + late_ms)

    def _await_tries_before(self) -> None:
        """On a machine that stands still none may have come to its end yet, and afterwards nobody sees any more how it was before."""
        wanted = [(number, probe.within_ms) for number, probe in enumerate(self._playbook.probes) if probe.when == "before"]
        until = time.monotonic() + max((within_ms for _, within_ms in wanted), default=0) / 1000 + TRIED_SECONDS_MAX
        while not all(self._tries[number] for number, _ in wanted) and time.monotonic() < until:
            if self._interrupts.wait(LOOK_SECONDS):
                return

    def _wait_until(self, at_ms: int) -> None:
        while True:
            self._site.stay()
            left = (at_ms - self._ms()) / 1000
            if self._interrupts.wait(min(left, STAY_SECONDS)):
                raise _Stop(Verdict("start", "", verdicts.INCONCLUSIVE, "interrupted"))
            if left <= STAY_SECONDS:
                return

    def _inject(self, row: Row) -> None:
        if row.do in HOLDERS:
            self._hit_holder(row)
            return
        self._await_healed()
        chaos_faults.judged_anew(partial(self._hit_cluster, row))

    def _hit_cluster(self, row: Row) -> None:
        until, drawn = time.monotonic() + READY_SECONDS_MAX, self._chance.getstate()
        while True:
            scene = self._scene(row)
            try:
                hit = scene.hit_by(row.do, row.to, self._chance)
            except ValueError as error:
                raise _Stop(Verdict("fault", f"row {row.number}", verdicts.INCONCLUSIVE, str(error))) from None
            scene.refuse_twice(row.do, hit)
            radius = scene.radius(row.do, hit, row.by)
            if not radius.is_beyond or self._asked.accept == BEYOND_QUORUM or not scene.getting_well():
                break
            if time.monotonic() > until or self._interrupts.wait(LOOK_SECONDS):
                break
            self._chance.setstate(drawn)  # the same is hit as if it had been at once
        if radius.is_beyond and self._asked.accept != BEYOND_QUORUM:
            sentence = f"{row.do} {hit.text}: {radius.sentence}; --accept {BEYOND_QUORUM} --reason TEXT does it all the same"
            raise _Stop(Verdict("fault", f"row {row.number}", verdicts.INCONCLUSIVE, sentence))
        began_ms = self._ms()
        wanted = Wanted(row.do, row.to.text, row.by, hit.members, hit.links, row.for_ms, self._owner, self._reason(row))
        self._is_hitting = True
        entries = scene.inject(wanted)
        self._carried.append(Carried(row.number, began_ms, hit.members, hit.links))
        self._has_done(row, began_ms, hit.text, entries)

    def _await_healed(self) -> None:
        """What is due is being healed: on a busy machine that takes its time, and the next row may hit the same member."""
        until = time.monotonic() + HEAL_SECONDS_MAX
        while self._site.look(0).due and time.monotonic() < until:
            if self._interrupts.wait(LOOK_SECONDS):
                return

    def _scene(self, row: Row) -> Scene:
        """With a leader, where the row asks for one: it may be about to be elected."""
        until = time.monotonic() + LEADER_SECONDS_MAX
        while True:
            scene = Scene(self._cluster, self._site)
            if not row.to.needs_leader or scene.members.leader or time.monotonic() > until or self._interrupts.wait(LOOK_SECONDS):
                return scene

    def _reason(self, row: Row) -> str:
        return self._asked.reason or f"playbook {self._playbook.name}, row {row.number}"

    def _hit_holder(self, row: Row) -> None:
        until = time.monotonic() + HOLDER_SECONDS_MAX
        ledger = Ledger(self._cluster.folder)
        while time.monotonic() < until and not self._interrupts.is_asked:
            holder = self._loads.holder()
            if holder is None:
                self._interrupts.wait(HOLDER_LOOK_SECONDS)
                continue
            name = f"client {holder.client}"
            client = ((name, holder.pid, holder.mark),)
            self._is_hitting = True
            entries = self._site.inject(Wanted(row.do, row.to.text, "", (), (), row.for_ms, self._owner, self._reason(row), client))
            met = meet(self._loads, ledger, holder.client, entries, until, self._interrupts.wait)
            if met is not None:
                began_ms = self._ms()
                if row.do == KILL_HOLDER:
                    self._kill(met, entries)
                self._carried.append(Carried(row.number, began_ms, (), ()))
                self._has_done(row, began_ms, name, entries, holder.client)
                return
            self._site.heal(entries)
        sentence = f"nobody was met with the lock in its hands in {HOLDER_SECONDS_MAX:g} s"
        raise _Stop(Verdict("fault", f"row {row.number}", verdicts.INCONCLUSIVE, sentence))

    def _kill(self, holder: Holder, entries: list[Entry]) -> None:
        for entry in entries:
            trouble = clients.kill(entry)
            if trouble:
                raise Failed(f"{entry.fault} did not take: client {holder.client}: {trouble}")
        self._loads.note_killed(holder)

    def _has_done(self, row: Row, began_ms: int, hit: str, entries: list[Entry], client: int = 0) -> None:
        # Over SSH it takes its time from asking to the host that begins: its own time ends at the latest so long after it was seen.
        self._done.append(Done(row.number, began_ms, self._ms() + row.for_ms, client))
        verified = chaos_faults.seen_of(entries)
        self._rows.append(ChaosRunRow(row=row.number, do=row.do, hit=hit, began_ms=began_ms, for_ms=row.for_ms, verified=verified))
        self._say(f"{row.do} {hit} for {row.for_ms / 1000:g} s; verified: {verified}")

    # --- afterwards ------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """What is due is healed by the reapers; all else now."""
        if not self._is_hitting:
            return
        until = time.monotonic() + HEAL_SECONDS_MAX
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        if left:
            self._verdicts.append(Verdict("revert", "", verdicts.NOT_REVERTED, f"{'; '.join(left)}: see `coordctl chaos status`"))
        else:
            self._say("all faults are over")

    def _left(self) -> list[str]:
        """What may be broken still, while it is healed. All of this process is of this run, also where `inject` failed."""
        try:
            found = self._site.look(0)
            ours = [entry for entry in found.active if entry.owner == self._owner]
            for entry, trouble in self._site.heal([entry for entry in ours if entry.id not in found.due]):
                self._say(f"{entry.fault} {entry.target}: " + (trouble or "reverted"))
        except (CoordError, OSError) as error:
            return [words(error)]
        return [f"{entry.fault} {entry.target}" for entry in ours] + found.unseen

    def _judge(self) -> None:
        for one in self._playbook.expect:
            self._verdicts.append(_judged("expect", one.that, partial(self._of_expectation, one)))
        turns = self._loads.turns(self._began)
        self._verdicts += [verdicts.of_probe(probe, self._tries[number]) for number, probe in enumerate(self._playbook.probes)]
        self._verdicts += [verdicts.of_goal(goal, self._done, self._seen, turns) for goal in self._playbook.goals]
        self._verdicts += [_judged("check", model, partial(self._of_history, model)) for model in self._playbook.checks]

    def _of_expectation(self, one: Expectation) -> Verdict:
        found = waiting.wait(one.that, self._chosen, one.within_ms / 1000)
        code = verdicts.DEVIATED if found.exit_code else verdicts.GREEN
        return Verdict("expect", one.that, code, f"{found.now}, after {found.elapsed_ms / 1000:.1f} s")

    def _of_history(self, model: str) -> Verdict:
        if not any(event["type"] == "ok" for event in self._loads.events(model)):
            return Verdict("check", model, verdicts.INCONCLUSIVE, "nobody was answered anything: there is nothing to judge")
        found = check(self._history(model), model, None, False, CHECK_SECONDS, CHECK_BYTES)
        code = {"pass": verdicts.GREEN, "violation": verdicts.BROKEN}.get(found.outcome, verdicts.INCONCLUSIVE)
        sentence = f"{found.operations} operations; {found.outcome}: {found.reason}"
        if code == verdicts.GREEN and self._done and not self._loads.is_answered_since(model, self._began + self._done[-1].began_ms / 1000):
            code, sentence = verdicts.INCONCLUSIVE, f"{sentence}; but nobody was answered anything since the last fault began"
        return Verdict("check", model, code, sentence)

    def _of_logs(self) -> list[Verdict]:
        try:
            said = self._site.said_since(self._log_ends) if self._log_ends else []
        except (CoordError, OSError) as error:
            return [Verdict("log", "", verdicts.INCONCLUSIVE, f"what members logged is not known: {words(error)}")]
        return [Verdict("log", one.member, verdicts.BROKEN, f"{one.event}: {one.sentence}") for one in said]

    def _history(self, model: str) -> Path:
        """In order of time; of two at one time the question comes first."""
        events = sorted(self._loads.events(model), key=lambda event: (event["time"], event["type"] != "invoke"))
        path = Path(self._folder, f"{model}.jsonl")
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return path

    def _leaders(self) -> list[ChaosLeader]:
        found: list[ChaosLeader] = []
        for one in self._seen:
            if not found or (one.leader, one.term if one.leader else 0) != (found[-1].leader, found[-1].term):
                found.append(ChaosLeader(at_ms=one.at_ms, leader=one.leader, term=one.term if one.leader else 0))
        return found

    def _skipped(self) -> list[ChaosSkipped]:
        done = [row.row for row in self._rows]
        why = next((one.sentence for one in self._verdicts if one.kind in ("start", "fault")), "the run ended before its time")
        return [ChaosSkipped(row=f"{row.number}: {row.do} {row.to.text}", why=why) for row in self._playbook.rows if row.number not in done]

    def _again(self, kept: str) -> list[str]:
        name = self._asked.called or self._playbook.name
        accept = f" --accept {self._asked.accept} --reason '{self._asked.reason}'" if self._asked.accept else ""
        found = [f"coordctl chaos run {name} -c {self._cluster.name}{accept}"]
        if kept:
            found += [f"coordctl check {os.path.join(kept, model)}.jsonl --model {model}" for model in self._playbook.checks]
            found.append(f"coordctl chaos run {os.path.join(kept, SCHEDULE)} --simulate --seeds 0-99  # approximate")
        return found

    def _result(self) -> ChaosRun:
        playbook = self._playbook
        code = verdicts.worst(self._verdicts)
        outcome = verdicts.WORDS[code]
        if self._interrupts.is_asked and code not in (verdicts.NOT_REVERTED, verdicts.BROKEN):
            code, outcome = INTERRUPTED, "interrupted"
        events = [event for load in playbook.load for event in self._loads.events(load.do)]
        pace = [ChaosSecond(**second._asdict()) for second in by_second(events, round(self._began * 1e9))]
        kept = self._keep() if (code or self._asked.keep) and os.path.isdir(self._folder) else ""
        if not kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        return ChaosRun(
            outcome=outcome,
            exit_code=code,
            cluster=self._cluster.name,
            playbook=playbook.name,
            proves=playbook.proves,
            seed=playbook.seed,
            rows=self._rows,
            verdicts=[
                ChaosVerdict(kind=one.kind, name=one.name, outcome=verdicts.WORDS[one.code], exit_code=one.code, sentence=one.sentence)
                for one in sorted(self._verdicts, key=lambda one: verdicts.WORST_FIRST.index(one.code))
            ],
            told=self._told,
            leaders=self._leaders(),
            pace=pace,
            skipped=self._skipped(),
            again=self._again(kept),
            began_unix_ms=self._began_unix_ms,
            kept=kept,
            elapsed_ms=self._ms(),
        )

    def _keep(self) -> str:
        """Where it is kept. What cannot be written where it was asked for stays where it is, and the verdicts with it."""
        target = os.path.abspath(self._asked.keep) if self._asked.keep else self._folder
        try:
            if self._carried:
                Path(self._folder, SCHEDULE).write_text(schedule(self._playbook, self._carried))
            if target != self._folder:
                shutil.copytree(self._folder, target, dirs_exist_ok=True)
        except OSError as error:  # also what copytree raises of many
            self._say(f"--keep {target} could not be written: {words(error)}" if self._asked.keep else words(error))
            return self._folder
        if target != self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        return target


def _judged(kind: str, name: str, judge: Callable[[], Verdict]) -> Verdict:
    """What cannot be judged takes nothing else with it."""
    try:
        return judge()
    except (CoordError, OSError) as error:
        return Verdict(kind, name, verdicts.INCONCLUSIVE, f"it cannot be judged: {words(error)}")
