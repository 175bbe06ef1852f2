"""Who belongs to a cluster, and the acts that lead from there to who is to belong to it. Pure: what is so already is in no plan."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from coordctl.facts import sums
from coordctl.facts.members import ClusterFacts
from coordctl.facts.sums import Objection


class View(NamedTuple):
    """The membership in force, as members say, with what the inventory knows of them."""

    voters: tuple[int, ...]
    learners: tuple[int, ...]
    is_joint: bool  # a change is under way
    well: frozenset[int]
    leader: int
    names: Mapping[int, str]
    zones: Mapping[int, str]
    contacts: Mapping[int, str]
    applied: Mapping[int, int]  # by those that answered

    def name(self, member: int) -> str:
        return self.names.get(member, str(member))

    def successor(self, leaving: Collection[int]) -> int:
        """The voter that has most of the log, of those that are well and stay; 0: there is none."""
        staying = [member for member in self.voters if member in self.well and member not in leaving]
        return max(staying, key=lambda member: (self.applied.get(member, 0), -member), default=0)


def view_of(facts: ClusterFacts, names: Mapping[int, str], zones: Mapping[int, str]) -> View:
    said = {one.status["member"]: one.status for one in facts.answered if one.status is not None}
    return View(
        voters=tuple(facts.voters()),
        learners=tuple(facts.learners()),
        is_joint=bool(facts.outgoing()),
        well=frozenset(one.member for one in facts.members if facts.state(one) == "ok"),
        leader=facts.leader_status["member"] if facts.leader_status is not None else 0,
        names={**{member: str(status["name"]) for member, status in said.items()}, **names},
        zones=zones,
        contacts=facts.contacts(),
        applied={member: status["applied"] for member, status in said.items()},
    )


class Prepare(NamedTuple):
    """Host: the version, certificates, settings, an empty state; and the member runs."""

    name: str

    def says(self) -> str:
        return f"make {self.name} ready, and start its member"


class Join(NamedTuple):
    name: str
    member: int
    contact: str

    def says(self) -> str:
        return f"take {self.name} in as a learner"


class CatchUp(NamedTuple):
    name: str
    member: int

    def says(self) -> str:
        return f"wait until {self.name} has caught up"


class HandOver(NamedTuple):
    name: str
    leaving: tuple[int, ...]

    def says(self) -> str:
        return f"move the leadership away from {self.name}"


class Change(NamedTuple):
    voters: tuple[int, ...]
    learners: tuple[int, ...]
    text: str

    def says(self) -> str:
        return self.text


class Retire(NamedTuple):
    """Host: the member never runs again; what it had stored is put aside."""

    name: str
    member: int

    def says(self) -> str:
        return f"stop {self.name}'s member for good, and put its data aside"


Act = Prepare | Join | CatchUp | HandOver | Change | Retire
Newcomer = tuple[str, int, str]  # name, id, contact


def add(view: View, newcomers: Sequence[Newcomer], *, as_learners: bool) -> list[Act]:
    acts: list[Act] = []
    for name, member, contact in newcomers:
        acts += _taken_in(view, name, member, contact)
    fresh = [member for _, member, _ in newcomers if member not in view.voters]
    if fresh and not as_learners:
        acts.append(_promotion(view, fresh, [name for name, member, _ in newcomers if member in fresh]))
    return acts


def promote(view: View, members: Sequence[int]) -> list[Act]:
    fresh = [member for member in members if member not in view.voters]
    if not fresh:
        return []
    waits: list[Act] = [CatchUp(view.name(member), member) for member in fresh]
    return [*waits, _promotion(view, fresh, [view.name(member) for member in fresh])]


def demote(view: View, members: Sequence[int]) -> list[Act]:
    leaving = tuple(member for member in members if member in view.voters)
    if not leaving:
        return []
    words = f"make {_listed([view.name(member) for member in leaving])} {'learners' if len(leaving) > 1 else 'a learner'}"
    staying = tuple(member for member in view.voters if member not in leaving)
    return [*_handed_over(view, leaving), Change(staying, tuple(sorted({*view.learners, *leaving})), words)]


def remove(view: View, members: Sequence[int]) -> list[Act]:
    """Also of those that are out already: what is left of them on their hosts."""
    leaving = tuple(member for member in members if member in (*view.voters, *view.learners))
    acts: list[Act] = []
    if leaving:
        words = f"take {_listed([view.name(member) for member in leaving])} out of the cluster"
        acts = [*_handed_over(view, leaving), Change(_without(view.voters, leaving), _without(view.learners, leaving), words)]
    return acts + [Retire(view.name(member), member) for member in members]


def replace(view: View, old: int, newcomer: Newcomer, *, is_in_place: bool) -> list[Act]:
    """The newcomer becomes what the old one was, in one change. In place: the old one's host makes room first."""
    name, member, contact = newcomer
    retired: list[Act] = [Retire(view.name(old), old)]
    acts = [*(retired if is_in_place else []), *_taken_in(view, name, member, contact)]
    if old in view.voters:
        voters = tuple(sorted({*_without(view.voters, (old,)), member}))
        words = f"make {name} a voter in {view.name(old)}'s place" if not is_in_place else f"make {name} a voter in place of what it was"
        acts += [*_handed_over(view, (old,)), Change(voters, _without(view.learners, (member,)), words)]
    elif old in view.learners:
        learners = tuple(sorted({*_without(view.learners, (old,)), member}))
        acts.append(Change(view.voters, learners, f"take what {view.name(old)} was out of the cluster"))
    return acts if is_in_place else acts + retired


def objection(view: View, change: Change, *, counting: Collection[int] = ()) -> Objection | None:
    """`counting`: newcomers that are not there yet, and will be well by then."""
    well = view.well | {*counting}
    return sums.objection(sums.of(view.voters, view.well), sums.of(change.voters, well)) or sums.objection_of_zones(
        view.voters, change.voters, view.zones
    )


def objection_to_stop(view: View, member: int) -> Objection | None:
    """To a voter's being stopped before another has taken its place."""
    if member not in view.voters or member not in view.well:
        return None
    return sums.objection(sums.of(view.voters, view.well), sums.of(view.voters, view.well - {member}))


def spare_for(view: View, old: int, spares: Sequence[tuple[str, str]]) -> str:
    """Which of these (name, zone), in the order of the inventory, best takes its place: no zone may become fatal, the same is best."""
    staying = _without(view.voters, (old,))

    def is_fatal(zone: str) -> bool:
        newcomer = -1
        return bool(sums.fatal_zone((*staying, newcomer), {**view.zones, newcomer: zone}))

    ranked = sorted(spares, key=lambda spare: (is_fatal(spare[1]), spare[1] != view.zones.get(old, "")))
    return ranked[0][0] if ranked else ""


def _taken_in(view: View, name: str, member: int, contact: str) -> list[Act]:
    if member in view.voters:
        return [Prepare(name)]
    join: list[Act] = [] if member in view.learners else [Join(name, member, contact)]
    return [Prepare(name), *join, CatchUp(name, member)]


def _promotion(view: View, fresh: Sequence[int], names: Sequence[str]) -> Change:
    words = f"make {_listed(names)} {'voters' if len(names) > 1 else 'a voter'}"
    return Change(tuple(sorted({*view.voters, *fresh})), _without(view.learners, fresh), words)


def _handed_over(view: View, leaving: tuple[int, ...]) -> list[Act]:
    return [HandOver(view.name(view.leader), leaving)] if view.leader in leaving else []


def _without(members: Collection[int], gone: Collection[int]) -> tuple[int, ...]:
    return tuple(member for member in members if member not in gone)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
