"""`member lead`, `drain`, `undrain`, of any cluster: of hosts, of this machine, or one that is only named by its members' addresses."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coordctl.facts import sums
from coordctl.facts.members import Drain
from coordctl.facts.sums import Objection
from coordctl.local import fleet as local_fleet
from coordctl.operations import identities
from coordctl.operations.identities import Refused
from coordctl.operations.members import Changed, Council, Objected, Target
from coordctl.operations.noting import Notes
from coordctl.results.deploy import Outcome
from coordctl.steps.membership import View
from coordnode.errors import BadRequest, CoordError, Unknown

LOCK_SECONDS = 30.0
SEEN_SECONDS = 15.0
PAUSE_SECONDS = 0.05
DRAIN_SECONDS_MIN, DRAIN_SECONDS_MAX = 1.0, 86_400.0

Say = Callable[[str], None]


class Steering:
    def __init__(self, target: Target, verb: str, reason: str, accept: str, say: Say) -> None:
        if accept and not reason:
            raise BadRequest(f"--accept {accept} needs --reason: it is written down with it")
        self._target = target
        self._verb = verb
        self._reason = reason
        self._accept = accept
        self._say = say
        self._began = time.monotonic()
        self._council = Council(target.endpoints)
        self.done: list[str] = []

    # --- the verbs -------------------------------------------------------------------------------------------------

    def lead(self, name: str) -> Changed:
        def work() -> str:
            view = self._council.look()
            member = self._council.member(view, name)
            if member not in view.voters:
                raise Refused(f"{name} is a learner, and has no vote: promote it first")
            if member in self._drains():
                raise Refused(f"{name} is {self._drains()[member].says()}: undrain it first")
            if member not in view.well:
                raise Refused(f"{name} is not well, and would not take over; see coordctl status")
            if view.leader != member:
                self._council.hand_over((), member)
                self.done.append(f"move the leadership from {view.name(view.leader)} to {name}")
            return f"{name} leads"

        return self._locked(work)

    def drain(self, name: str, for_seconds: float) -> Changed:
        if not DRAIN_SECONDS_MIN <= for_seconds <= DRAIN_SECONDS_MAX:
            raise BadRequest(f"--for {for_seconds:g}s: give 1s to 24h; it can be drained again before that is over")

        def work() -> str:
            view = self._council.look()
            member = self._council.member(view, name)
            drained = {*self._drains(), member}
            self._check(view, member, drained)
            Notes(self._council.facts()).drain(member, for_seconds, self._reason)
            self.done.append(f"note that {name} is drained")
            if view.leader == member:
                self._say(f"moving the leadership away from {name}")
                self._council.hand_over([one for one in view.voters if one in drained])
                self.done.append(f"move the leadership away from {name}")
            self._await(lambda: member in self._drains(), f"{name} is not seen to be drained")
            return f"{name} is {self._drains()[member].says()}"

        return self._locked(work)

    def undrain(self, name: str) -> Changed:
        def work() -> str:
            view = self._council.look()
            member = self._council.member(view, name)
            drain = self._drains().get(member)
            if drain is not None:
                Notes(self._council.facts()).undrain(drain)
                self._await(lambda: member not in self._drains(), f"{name} is still drained")
                self.done.append(f"note that {name} is drained no more")
            return f"{name} is not drained"

        return self._locked(work)

    # --- how -------------------------------------------------------------------------------------------------------

    def _locked(self, work: Callable[[], str]) -> Changed:
        with self._alone():
            try:
                goal = work()
            except Objected as error:
                return self._result("refused", 76, f"nothing was changed: {error.sentence}", error.risk)
            except CoordError as error:
                if not self.done:
                    raise
                return self._result("failed", 1, f"{error.sentence}; so far: {'; '.join(self.done)}")
            return self._result("done" if self.done else "unchanged", 0, goal)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        target = self._target
        if target.inventory is not None:
            from coordctl.operations.certificates import become_operator  # cryptography
            from coordctl.operations.fleet import Fleet  # paramiko

            fleet = Fleet(target.inventory, self._verb, self._reason)
            try:
                fleet.connect(target.inventory.hosts)
                fleet.ask()
                ids = identities.known(target.inventory, fleet.facts)
                if ids is None:
                    raise BadRequest(f"{target.name} has no members yet: run `coordctl deploy -c {target.name}` first")
                fleet.narrow(identities.hosts_of(target.inventory, ids))
                become_operator(target.inventory)
                with fleet.locked():
                    fleet.must_reach_most(fleet.hosts)
                    self._council = Council(identities.endpoints(target.inventory, ids), target.inventory.hosts, ids.names())
                    yield
            finally:
                fleet.close()
        elif target.folder:
            with local_fleet.locked(target.folder, time.monotonic() + LOCK_SECONDS):
                yield
        else:
            yield

    def _drains(self) -> dict[int, Drain]:
        return self._council.facts().drains()

    def _check(self, view: View, member: int, drained: set[int]) -> None:
        """As if all that are drained were down."""
        if member not in view.voters:
            return
        now, then = sums.of(view.voters, view.well), sums.of(view.voters, view.well - drained)
        if then.can_lose >= 0:
            return
        if self._accept != sums.NO_SPARE:
            raise Objected(Objection(sums.NO_SPARE, f"now {now.says()}; without {_listed(view, drained)} {then.says()}: that is an outage"))
        Notes(self._council.facts()).accept(sums.NO_SPARE, self._verb, self._reason)

    def _await(self, is_so: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + SEEN_SECONDS
        while not is_so():
            if time.monotonic() >= until:
                raise Unknown(f"{otherwise} after {SEEN_SECONDS:g} s; see coordctl member ls")
            time.sleep(PAUSE_SECONDS)

    def _result(self, outcome: Outcome, code: int, sentence: str, risk: str = "") -> Changed:
        return self._council.concluded(outcome, code, sentence, self.done, risk, time.monotonic() - self._began)


def _listed(view: View, members: set[int]) -> str:
    return ", ".join(sorted(map(view.name, members)))
