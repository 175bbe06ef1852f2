"""Who belongs to a cluster, as its members say, with what an inventory adds; and the requests that change it, until they are seen done."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.sums import Objection
from coordctl.inventory import places
from coordctl.inventory.model import Host, Inventory
from coordctl.local import clusters
from coordctl.local.clusters import Endpoint
from coordctl.operations import identities, statuses
from coordctl.operations.identities import Refused
from coordctl.results.deploy import Outcome
from coordctl.results.member import MemberList, MemberRow
from coordctl.steps import membership
from coordctl.steps.membership import View
from coordnode.client.sync import Cluster, connect
from coordnode.errors import BadRequest, CoordError, MembershipBusy, NotLeader, Unknown, Unreachable

ASK_SECONDS = 2.0
LEADER_SECONDS = 15.0
CHANGE_SECONDS = 30.0
PAUSE_SECONDS = 0.1


class Target(NamedTuple):
    name: str
    endpoints: list[Endpoint]
    inventory: Inventory | None  # its members run on hosts, which are locked meanwhile
    folder: str  # of a cluster of this machine, which is locked meanwhile; "": none


def target(endpoints: str, cluster: str) -> Target:
    """As every command chooses its cluster; and where nothing is known of it here yet, by the inventory that has its name."""
    if endpoints or (not cluster and os.environ.get("COORD_ENDPOINTS")):
        return Target("the cluster", clusters.choose(endpoints, cluster)[1], None, "")
    try:
        known = clusters.chosen_local(cluster)
    except (BadRequest, Unreachable):
        if not cluster and clusters.names():
            raise  # there are several
        inventory = places.chosen(cluster)
        if inventory.tls:
            from coordctl.operations.certificates import become_operator  # cryptography

            become_operator(inventory)
        ids = identities.written(inventory)
        asked = [
            Endpoint(host.endpoint, 0 if ids is None else ids.members[host.name], host.name) for host in identities.hosts_of(inventory, ids)
        ]
        return Target(inventory.name, asked, inventory, "")
    if known.inventory:
        inventory = places.chosen(known.inventory)
    else:
        clusters.must_be_own(known.engine)
    if known.tls:
        os.environ.setdefault("COORD_TLS", known.tls)
    if known.inventory:
        return Target(known.name, known.endpoints(), inventory, "")
    return Target(known.name, known.endpoints(), None, known.folder)


class Objected(Refused):
    """One more failure would then be an outage: nothing is done, or nothing further."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(f"{objection.sentence}; --accept {objection.risk} --reason TEXT does it all the same")
        self.risk = objection.risk


class Changed(NamedTuple):
    """What came of it, and what is so afterwards."""

    outcome: Outcome
    exit_code: int
    sentence: str
    steps: list[str]
    risk: str
    members: list[MemberRow]
    leader: str
    can_lose: int
    elapsed_ms: int


class Council:
    """A cluster as those who change its membership see it."""

    def __init__(
        self, endpoints: Sequence[Endpoint], hosts: Sequence[Host] = (), names: Mapping[int, str] | None = None, former: Sequence[int] = ()
    ) -> None:
        """`hosts`, `names`, and members that are none any more: of an inventory, if there is one."""
        self._endpoints = list(endpoints)
        self._hosts = {host.name: host for host in hosts}
        self._former = former
        self.names = dict(names or {})

    def facts(self) -> ClusterFacts:
        return statuses.of_cluster(self._endpoints, ASK_SECONDS)

    def look(self) -> View:
        """Once somebody leads. Raises Unreachable."""
        until = time.monotonic() + LEADER_SECONDS
        while True:
            facts = self.facts()
            if facts.leader_status is not None and facts.can_lose() >= 0:
                return self.view(facts)
            if time.monotonic() >= until:
                raise Unreachable(_without_quorum(facts))
            time.sleep(PAUSE_SECONDS)

    def view(self, facts: ClusterFacts) -> View:
        said = {one.status["member"]: str(one.status["name"]) for one in facts.answered if one.status is not None}
        names = {**said, **self.names}
        zones = {member: self._hosts[name].zone for member, name in names.items() if name in self._hosts}
        return membership.view_of(facts, names, zones)

    def member(self, view: View, name: str) -> int:
        """Its id. Of several: one that is in the cluster, and of these the one that is being replaced; else the one that it was to be."""
        ids = [number for number, known in view.names.items() if known == name]
        if not ids:
            raise BadRequest(f"{name} is no member; there are: {', '.join(sorted(map(view.name, (*view.voters, *view.learners))))}")
        there = (*view.voters, *view.learners)
        return min(ids, key=lambda number: (number not in there, (number in self._former) != (number in there)))

    def change(self, change: membership.Change, contacts: dict[int, str], check: Callable[[View], None]) -> None:
        """Until a leader says that it is committed. `check` is asked right before each attempt, and raises when it must not be.

        Asked for again, what is in force already is in force once more: so nobody needs to guess what became of an attempt.
        """
        until = time.monotonic() + CHANGE_SECONDS
        while True:
            view = self.look()
            check(view)
            try:
                with self._connected(view) as cluster:
                    cluster.members.change(change.voters, change.learners, {**view.contacts, **contacts})
                return
            except CoordError as error:
                if (error.definite and not isinstance(error, MembershipBusy | NotLeader)) or time.monotonic() >= until:
                    raise
            time.sleep(PAUSE_SECONDS)

    def hand_over(self, leaving: Sequence[int], target: int = 0) -> View:
        """Until somebody else leads, the target if one is named."""
        until = time.monotonic() + CHANGE_SECONDS
        while True:
            view = self.look()
            if view.leader == target or (not target and view.leader not in leaving):
                return view
            chosen = target or view.successor(leaving)
            if not chosen:
                raise Unreachable(f"nobody else could lead: no other voter is well; see coordctl status: {view.name(view.leader)} leads on")
            if time.monotonic() >= until:
                raise Unknown(f"{view.name(view.leader)} leads on, although {view.name(chosen)} was to take over; see coordctl status")
            try:
                with self._connected(view) as cluster:
                    cluster.members.lead(chosen, timeout=ASK_SECONDS)
                continue
            except (MembershipBusy, NotLeader):
                pass
            except CoordError as error:
                if error.definite:
                    raise
            time.sleep(PAUSE_SECONDS)

    def concluded(self, outcome: Outcome, code: int, sentence: str, done: list[str], risk: str, took_seconds: float) -> Changed:
        facts = self.facts()
        return Changed(
            outcome=outcome,
            exit_code=code,
            sentence=f"{sentence}; {facts.leader_name or 'nobody'} leads, can lose {facts.can_lose()}",
            steps=done,
            risk=risk,
            members=rows(facts, list(self._hosts.values()), self.names),
            leader=facts.leader_name,
            can_lose=facts.can_lose(),
            elapsed_ms=int(took_seconds * 1000),
        )

    def _connected(self, view: View) -> Cluster:
        """Asks those first that are well."""
        contacts = [contact for member, contact in view.contacts.items() if member in view.well]
        return connect(contacts or [one.address for one in self._endpoints], timeout=CHANGE_SECONDS)


def _without_quorum(facts: ClusterFacts) -> str:
    if not facts.answered:
        return f"no member answers: {'; '.join(f'{one.shown_name}: {one.trouble}' for one in facts.members)}"
    voters = facts.voters()
    return f"no quorum: {facts.good_voters(voters)} of {len(voters)} voters are well; members can only be changed while the cluster serves"


def listed(name: str, endpoints: Sequence[Endpoint], hosts: Sequence[Host], names: Mapping[int, str], timeout_seconds: float) -> MemberList:
    """`hosts`, `names`: of the inventory, if there is one."""
    facts = statuses.of_cluster(endpoints, min(timeout_seconds, ASK_SECONDS))
    return MemberList(
        outcome="answered" if facts.answered else "unreachable",
        exit_code=0 if facts.answered else 69,
        cluster=facts.cluster_name or name,
        leader=facts.leader_name,
        can_lose=facts.can_lose(),
        is_changing=bool(facts.outgoing()),
        members=rows(facts, hosts, names),
        sources_answered=len(facts.answered),
        sources_asked=len(facts.members),
    )


def rows(facts: ClusterFacts, hosts: Sequence[Host], names: Mapping[int, str]) -> list[MemberRow]:
    """Of the members, then of the hosts that have none."""
    zones = {host.name: host.zone for host in hosts}
    drains = facts.drains()
    found = [
        MemberRow(
            name=names.get(one.member, one.shown_name),
            member=one.member,
            role=_role(facts, one),
            state=facts.state(one),
            trouble=one.trouble,
            lag=facts.lag(one),
            zone=zones.get(names.get(one.member, one.shown_name), ""),
            drained=drains[one.member].says() if one.member in drains else "",
            address=one.address,
        )
        for one in facts.members
    ]
    taken = {one.name for one in found if one.role != "none"}
    others = [
        MemberRow(
            name=host.name,
            member=0,
            role="spare" if host.role == "spare" else "none",
            state="",
            trouble="",
            lag=None,
            zone=host.zone,
            drained="",
            address=host.endpoint,
        )
        for host in hosts
        if host.name not in taken
    ]
    named = {one.name for one in others}
    return sorted([one for one in found if one.name not in named] + others, key=lambda row: row.name)


def _role(facts: ClusterFacts, one: MemberFacts) -> str:
    if one.member in facts.voters():
        return "leader" if one.status is not None and one.status is facts.leader_status else "voter"
    if one.member in facts.outgoing():
        return "leaving"
    return "learner" if one.member in facts.learners() else "none"
