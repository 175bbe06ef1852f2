"""The operator of the simulated cluster: replaces members that refuse to start, changes the membership, hands over, raises the level.

Speaks to the cluster as any client does, and looks at the configuration in force as `status` would show it.
"""

from collections import deque
from typing import Protocol

from coordnode.client.calls import AdministrativeAsk
from coordnode.ids import MemberId
from coordnode.raft.entry import Config
from coordnode.services.dialogue import ConfigAsk, LevelAsk, TransferAsk
from coordnode.simulator import faults
from coordnode.simulator.faults import LEADER, Fault

MEMBERS_MAX = 7  # voters and learners together
VOTERS_MAX = 5
ASKED_TWICE = 2  # every so many changes: by somebody who does not wait, or by two


class Site(Protocol):
    """What an operator sees of the cluster, and may do to its hosts."""

    def leading(self) -> MemberId | None: ...

    def settled_config(self) -> Config | None:
        """The leader's configuration, when it is committed, not joint, and no change is under way; else None."""
        ...

    def refused_to_start(self) -> list[MemberId]: ...

    def members_damaged(self) -> int:
        """Members with rot that is not healed yet."""
        ...

    def new_member(self) -> MemberId | None:
        """A host with an empty folder, started; None when there is no host left."""
        ...

    def give_up_member(self, member: MemberId) -> None:
        """It belongs to the cluster no more: its process is stopped after a while."""
        ...

    def upgrade_all(self) -> None:
        """Members of the lower feature level restart with the newer build."""
        ...

    def administer(self, ask: AdministrativeAsk) -> None:
        """Ends in `Operator.on_finished`."""
        ...


class Operator:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._wishes: deque[Fault] = deque()
        self._under_way = 0
        self._changes = 0
        self._leaving: list[MemberId] = []  # to be given up once the change under way is done
        self._joining: list[MemberId] = []

    def wish(self, fault: Fault) -> None:
        self._wishes.append(fault)

    def is_idle(self) -> bool:
        return not self._under_way and not self._site.refused_to_start()

    def forget_wishes(self) -> None:
        """From now on only what is broken is mended."""
        self._wishes.clear()

    def is_changing(self) -> bool:
        return self._under_way > 0

    def look(self) -> None:
        """Called every now and then: begins at most one thing."""
        if self._under_way:
            return
        config = self._site.settled_config()
        if config is None:
            return
        self._tidy(config)
        refused = [member for member in self._site.refused_to_start() if member in config.voters or member in config.learners]
        if refused:
            self._replace(config, refused[0])
        elif self._wishes and not self._site.members_damaged():
            self._fulfil(config, self._wishes.popleft())

    def on_finished(self) -> None:
        """Whatever the outcome: what is in force shows itself in the next look."""
        self._under_way -= 1

    def _tidy(self, config: Config) -> None:
        """A change may have failed or happened after all; members that are in no configuration now are not needed."""
        belonging = config.members()
        for member in [*self._leaving, *self._joining]:
            if member not in belonging:
                self._site.give_up_member(member)
        self._leaving = []
        self._joining = []

    def _administer(self, ask: AdministrativeAsk, times: int = 1) -> None:
        self._under_way += times
        for _ in range(times):
            self._site.administer(ask)

    def _change(self, voters: list[MemberId], learners: list[MemberId]) -> None:
        members = sorted({*voters, *learners})
        contacts = tuple((member, f"host-{member}:7000") for member in members)
        ask = ConfigAsk(0, Config(voters=tuple(sorted(voters)), learners=tuple(sorted(learners)), contacts=contacts))
        self._changes += 1
        self._administer(ask, 2 if self._changes % ASKED_TWICE == 0 else 1)

    def _join(self) -> MemberId | None:
        member = self._site.new_member()
        if member is not None:
            self._joining.append(member)
        return member

    def _replace(self, config: Config, member: MemberId) -> None:
        newcomer = self._join() if len(config.members()) <= MEMBERS_MAX else None
        self._leaving.append(member)
        voters = [other for other in config.voters if other != member]
        learners = [other for other in config.learners if other != member]
        if newcomer is not None:
            (voters if member in config.voters else learners).append(newcomer)
        if voters:
            self._change(voters, learners)

    def _fulfil(self, config: Config, wish: Fault) -> None:
        voters, learners = list(config.voters), list(config.learners)
        if wish.kind == faults.TRANSFER:
            self._administer(TransferAsk(0, voters[wish.victim % len(voters)]))
        elif wish.kind == faults.RAISE_LEVEL:
            self._site.upgrade_all()
            self._administer(LevelAsk(0, wish.amount))
        elif wish.kind == faults.ADD_LEARNER:
            self._add_learner(voters, learners)
        elif wish.kind == faults.PROMOTE:
            if learners and len(voters) < VOTERS_MAX:
                chosen = learners.pop(wish.victim % len(learners))
                self._change([*voters, chosen], learners)
            else:
                self._add_learner(voters, learners)
        elif wish.kind == faults.REMOVE:
            if len(voters) > 2:
                gone = self._victim(wish, voters)
                self._leaving.append(gone)
                self._change([voter for voter in voters if voter != gone], learners)
        elif wish.kind == faults.REPLACE:
            self._replace(config, self._victim(wish, voters))
        else:
            assert wish.kind == faults.JOINT
            self._several(wish, voters, learners)

    def _victim(self, wish: Fault, voters: list[MemberId]) -> MemberId:
        leader = self._site.leading()
        if wish.victim == LEADER and leader in voters:
            assert leader is not None
            return leader
        return voters[wish.victim % len(voters)]

    def _add_learner(self, voters: list[MemberId], learners: list[MemberId]) -> None:
        if len(voters) + len(learners) < MEMBERS_MAX:
            newcomer = self._join()
            if newcomer is not None:
                self._change(voters, [*learners, newcomer])

    def _several(self, wish: Fault, voters: list[MemberId], learners: list[MemberId]) -> None:
        """A learner becomes a voter, a voter becomes a learner or leaves, and a newcomer joins, all at once."""
        gone = self._victim(wish, voters)
        voters.remove(gone)
        if learners and len(voters) < VOTERS_MAX:
            voters.append(learners.pop(wish.amount % len(learners)))
        newcomer = self._join() if len(voters) + len(learners) < MEMBERS_MAX else None
        if newcomer is not None and len(voters) < VOTERS_MAX:
            voters.append(newcomer)
        elif newcomer is not None:
            learners.append(newcomer)
        if not voters:
            voters.append(gone)
        elif wish.amount % 3 and len(voters) + len(learners) < MEMBERS_MAX:
            learners.append(gone)
        else:
            self._leaving.append(gone)
        self._change(voters, learners)
