"""The demo: a tour on real members in a cluster of its own. What it tells is what it saw; what was not as promised ends it."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.operations import statuses
from coordctl.operations.check import check
from coordctl.operations.demo_cast import LOCK, Holder, Notebook, Resource, Visitor
from coordctl.operations.interrupts import Interrupts
from coordctl.results.demo import Demo, DemoTold
from coordnode.client.sync import Cluster, connect
from coordnode.errors import CoordError

MEMBERS = 3
ASK_SECONDS = 0.5
PAUSE_SECONDS = 0.02
END_SECONDS = 10.0  # for members to end well; then they are killed
CHECK_SECONDS, CHECK_BYTES = 10.0, 256 << 20

T = TypeVar("T")


class NotAsTold(CoordError):
    """Something was not as we promise."""


class _Cut(Exception):
    """Whoever watches has had enough."""


def demo(tell: Callable[[DemoTold], None], timeout_seconds: float) -> Demo:
    """`tell` is called with each fact once it was seen."""
    with Interrupts() as interrupts, interrupts.deferred():
        tour = _Tour(tell, timeout_seconds, interrupts)
        outcome, code, why = "as told", 0, ""
        try:
            tour.go()
        except (CoordError, OSError) as error:
            outcome, code, why = "not as told", 1, error.sentence if isinstance(error, CoordError) else str(error)
        except (_Cut, KeyboardInterrupt):
            outcome, code, why = "interrupted", 130, "interrupted"
        finally:
            interrupts.ignore()
            left = tour.clean()
        if left and code == 0:
            outcome, code, why = "not as told", 1, f"left behind: {', '.join(left)}"
        return Demo(
            outcome=outcome,
            exit_code=code,
            not_as_told=why,
            told=tour.told,
            leader_killed=tour.leader_killed,
            leader_after=tour.leader_after,
            leaderless_ms=tour.leaderless_ms,
            tokens=[one.token for one in tour.holders if one.token],
            operations=tour.operations,
            left_behind=left,
            elapsed_ms=tour.elapsed_ms(),
        )


class _Tour:
    def __init__(self, tell: Callable[[DemoTold], None], timeout_seconds: float, interrupts: Interrupts) -> None:
        self._tell = tell
        self._interrupts = interrupts
        self._began = time.monotonic()
        self._until = self._began + timeout_seconds
        self._folder = ""
        self._cluster: LocalCluster | None = None
        self._looker: Cluster | None = None
        self._about_lock, self._about_keys = Notebook("lock"), Notebook("kv")
        self._visitors: list[Visitor] = []
        self.holders: list[Holder] = []
        self.told: list[DemoTold] = []
        self.leader_killed = self.leader_after = ""
        self.leaderless_ms: int | None = None
        self.operations = 0

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def go(self) -> None:
        self._start()
        assert self._cluster is not None
        endpoints = [member.address for member in self._cluster.members]
        self._looker = connect(endpoints, identity="demo")
        resource = Resource(self._folder)
        self._visitors = [Visitor(number, endpoints, self._about_keys) for number in (1, 2)]
        alice, bob, carol = (self._queue_up(number, name, endpoints) for number, name in enumerate(("alice", "bob", "carol"), 1))
        self._say(f"alice holds the lock {LOCK} with token {alice.token}; bob waits for it, and carol behind him.")
        self._must(alice.write(resource), "the file refused the holder's write")
        self._say(f"A file that the lock guards took alice's write. It remembers the highest token it has seen: {alice.token}.")
        killed = self._kill_leader()
        self._look(alice, [bob, carol])
        alice.check()
        self._say("alice still holds the lock with the same token; bob and carol wait in the same order.")
        self._hand_over(alice, bob)
        self._must(bob.write(resource), "the file refused the new holder's write")
        self._must(not alice.write(resource), f"the file took a write with the stale token {alice.token}")
        self._say(f"The file took bob's write, and refused a late one of alice: {alice.token} is stale.")
        self._hand_over(bob, carol)
        carol.give_back()
        self._bring_back(killed)
        self._judge()
        left = self.clean()
        self._must(not left, f"left behind: {', '.join(left)}")
        self._say(f"{MEMBERS} members ended, their folder is removed: nothing is left.")

    # --- the scenes ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="coordctl-demo-")
        folder = os.path.join(self._folder, "demo")
        os.mkdir(folder, 0o700)
        self._cluster = fleet.make(fleet.plan(folder, "demo", MEMBERS))
        facts = self._run_members()
        names = ", ".join(member.name for member in self._cluster.members)
        self._say(f"{MEMBERS} members run in a cluster of their own, apart from any of yours: {names}. {facts.leader_name} leads.")

    def _run_members(self) -> ClusterFacts:
        """Those that do not run are started; returns once all are well and their states are known to be equal."""
        assert self._cluster is not None
        self._cluster, started = fleet.start(self._cluster)
        clusters.write(self._cluster)
        try:
            return self._seen("all members well, with equal states", lambda: self._all_well(started))
        finally:
            for one in started:
                processes.let_go(one.process)

    def _all_well(self, started: list[fleet.Started]) -> ClusterFacts | None:
        assert self._cluster is not None
        for one in started:
            if one.process.poll() is not None:
                raise fleet.explain_end(self._cluster, one)
        facts = self._facts()
        is_well = facts.leader_status is not None and all(facts.state(one) == "ok" for one in facts.members)
        return facts if is_well and facts.digests()[0] == "equal" else None

    def _queue_up(self, number: int, name: str, endpoints: list[str]) -> Holder:
        holder = Holder(number, name, endpoints, self._about_lock)
        self.holders.append(holder)
        holder.queue_up()
        self._seen(f"{name} in line", lambda: self._is_last(holder))
        if number == 1:
            self._seen(f"{name} holding it", lambda: self._token_of(holder))
        return holder

    def _kill_leader(self) -> LocalMember:
        assert self._cluster is not None
        name = self._facts().leader_name
        leader = next(member for member in self._cluster.members if member.name == name)
        self._must(processes.send(leader.pid, leader.started, signal.SIGKILL), f"{name} was gone before it was killed")
        killed_at = time.monotonic()
        self._must(processes.wait_gone(leader.pid, leader.started, END_SECONDS), f"{name} is there although it was killed")
        self._say(f"The leader {name} was killed with -9 while alice holds the lock: process {leader.pid} is gone.")
        facts = self._seen("another leader", lambda: found if (found := self._facts()).leader_name not in ("", name) else None)
        self.leader_killed, self.leader_after = name, facts.leader_name
        self.leaderless_ms = round((time.monotonic() - killed_at) * 1000)
        self._say(f"{facts.leader_name} leads, {self.leaderless_ms / 1000:.2f} s later.")
        return leader

    def _hand_over(self, holder: Holder, following: Holder) -> None:
        given_at = time.monotonic()
        holder.give_back()
        self._seen(f"{following.name} holding it", lambda: self._token_of(following))
        self._must(following.token > holder.token, f"{following.name} got token {following.token}, which is not above {holder.token}")
        after_ms = (following.had_at - given_at) * 1000
        self._say(f"{holder.name} gave it back: {following.name} had it {after_ms:.1f} ms later, with the higher token {following.token}.")

    def _bring_back(self, killed: LocalMember) -> None:
        facts = self._run_members()
        self._say(
            f"{killed.name} was started again: {MEMBERS} of {MEMBERS} members are well, their states equal at index {facts.digests()[1]}."
        )

    def _judge(self) -> None:
        for visitor in self._visitors:
            visitor.stop()
        for notebook in (self._about_lock, self._about_keys):
            found = check(notebook.save(self._folder), notebook.model, None, False, CHECK_SECONDS, CHECK_BYTES)
            self._must(found.outcome == "pass", f"coordctl check --model {notebook.model} says {found.outcome}: {found.reason}")
            self.operations += found.operations
        clients = len(self.holders) + len(self._visitors)
        self._say(f"All along {clients} clients wrote down what they asked and were told: {self.operations} operations.")
        self._say("coordctl check explains them all by one lock with its tokens and one store of keys, as if nothing had been killed.")

    # --- looking -------------------------------------------------------------------------------------------------------

    def _facts(self) -> ClusterFacts:
        assert self._cluster is not None
        return ClusterFacts(statuses.ask(self._cluster.endpoints(), ASK_SECONDS))

    def _line(self) -> list[str]:
        """Who holds the lock, and who waits, in this order; linearizable."""
        assert self._looker is not None
        view = self._looker.locks.view(LOCK)
        return [*[one.owner for one in view.holders], *[one.owner for one in view.waiters]]

    def _is_last(self, holder: Holder) -> bool:
        self._must(not holder.trouble, f"{holder.name} did not get the lock: {holder.trouble}")
        return self._line()[-1:] == [holder.name]

    def _look(self, holder: Holder, waiting: list[Holder]) -> None:
        assert self._looker is not None
        view = self._looker.locks.view(LOCK)
        held = [(one.owner, int(one.token)) for one in view.holders]
        self._must(held == [(holder.name, holder.token)], f"{LOCK} is held by {held}, not by {holder.name} with token {holder.token}")
        line = [one.owner for one in view.waiters]
        self._must(line == [one.name for one in waiting], f"the line is {line}")

    def _token_of(self, holder: Holder) -> int:
        self._must(not holder.trouble, f"{holder.name} did not get the lock: {holder.trouble}")
        return holder.token

    def _seen(self, what: str, look: Callable[[], T | None]) -> T:
        """What was looked for, once it is there."""
        while True:
            if self._interrupts.is_asked:
                raise _Cut
            found = look()
            if found:
                return found
            self._must(time.monotonic() < self._until, f"{what}: not seen within {self._until - self._began:g} s")
            time.sleep(PAUSE_SECONDS)

    def _must(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            raise NotAsTold(otherwise)

    def _say(self, sentence: str) -> None:
        if self._interrupts.is_asked:
            raise _Cut
        self.told.append(DemoTold(at_ms=self.elapsed_ms(), sentence=sentence))
        self._tell(self.told[-1])

    # --- cleaning up ---------------------------------------------------------------------------------------------------

    def clean(self) -> list[str]:
        """Whatever came before; what is left all the same. Done twice it does what done once does."""
        for holder in self.holders:
            holder.close()
        for visitor in self._visitors:
            visitor.close()
        if self._looker is not None:
            self._looker.close()
        left = self._end_members() if self._cluster is not None else []
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            left += [self._folder] if os.path.exists(self._folder) else []
        return left

    def _end_members(self) -> list[str]:
        assert self._cluster is not None
        for number in (signal.SIGTERM, signal.SIGKILL):
            running = [member for member in self._cluster.members if processes.send(member.pid, member.started, number)]
            until = time.monotonic() + END_SECONDS
            left = [one for one in running if not processes.wait_gone(one.pid, one.started, max(0.0, until - time.monotonic()))]
        return [f"{member.name}, process {member.pid}" for member in left]
