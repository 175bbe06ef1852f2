"""Faults of who belongs to the cluster: for a while a voter is a learner or no member, there is one more, or another takes its place.

Each changes the membership by a difference, and is undone by the opposite one, so that several may last beside each other and end in any
order. Nothing is begun any more once its time is over: what reapers have undone stays undone.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from coordctl.chaos import lives, newcomers
from coordctl.chaos.faults import ADD, BRINGS_NEWCOMER, DEMOTE, REMOVE, REPLACE
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.newcomers import Newcomer
from coordctl.local import clusters
from coordctl.local.clusters import LocalCluster
from coordctl.local.fleet import Failed
from coordnode.errors import CoordError

ASK_SECONDS = 5.0
TAKES_SECONDS_MAX = 20.0  # one change
PAUSE_SECONDS = 0.1
SEEN = {DEMOTE: "a voter less", REMOVE: "a member less", ADD: "a voter more", REPLACE: "another is a voter in its place"}
TAKES_MEMBER = (DEMOTE, REMOVE, REPLACE)


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """Of whom it hits, and who takes part meanwhile: all that is needed to have it as it was."""

    member: int
    contact: str
    newcomer: Newcomer | None = None


class Belonging(NamedTuple):
    """A membership that is in force."""

    voters: frozenset[int]
    learners: frozenset[int]
    contacts: dict[int, str]


def before(cluster: LocalCluster, fault: str, name: str, entry_id: str) -> str:
    """Whom it hits, and what undoes it, to be written down first."""
    found = _in_force(cluster)
    member = lives.of(cluster, name)
    if found is None or member is None or member.member not in found.voters:
        raise Failed(f"{name} is no voter, or nobody says who is: nothing was changed")
    newcomer = newcomers.drawn(member, entry_id) if fault in BRINGS_NEWCOMER else None
    return msgspec.json.encode(Undo(member=member.member, contact=found.contacts[member.member], newcomer=newcomer)).decode()


def _in_force(cluster: LocalCluster) -> Belonging | None:
    """As the latest leader says; None: nobody leads, or a change is under way."""
    leading = [one for one in (lives.status(one.address) for one in cluster.members) if one.get("role") == "leader"]
    config: dict[str, Any] = max(leading, key=lambda one: int(one["term"]))["config"] if leading else {"outgoing": [0]}
    if config["outgoing"]:
        return None
    contacts = {int(member): contact for member, contact in config["contacts"].items()}
    return Belonging(frozenset(config["voters"]), frozenset(config["learners"]), contacts)


def _undo_of(entry: Entry) -> Undo:
    return msgspec.json.decode(entry.undo, type=Undo)


def newcomers_of(entries: Sequence[Entry]) -> list[str]:
    """Those that take part until these end."""
    found = []
    for entry in entries:
        if entry.fault in BRINGS_NEWCOMER:
            with suppress(msgspec.DecodeError):  # whoever undoes it tells of that
                newcomer = _undo_of(entry).newcomer
                found += [newcomer.name] if newcomer is not None else []
    return found


# --- what it is during the fault, and otherwise ---------------------------------------------------------------------------


def broken(fault: str, undo: Undo, found: Belonging) -> Belonging:
    hit = {undo.member} if fault in TAKES_MEMBER else set()
    fresh = {undo.newcomer.member: undo.newcomer.address} if undo.newcomer is not None else {}
    learners = (found.learners | (hit if fault == DEMOTE else set())) - {*fresh}
    return Belonging((found.voters - hit) | {*fresh}, learners, found.contacts | fresh)


def whole(fault: str, undo: Undo, found: Belonging) -> Belonging:
    back = {undo.member: undo.contact} if fault in TAKES_MEMBER else {}
    gone = {undo.newcomer.member} if undo.newcomer is not None else set()
    return Belonging((found.voters | {*back}) - gone, found.learners - gone - {*back}, found.contacts | back)


def _is(one: Belonging, other: Belonging) -> bool:
    return (one.voters, one.learners) == (other.voters, other.learners)


def next_step(found: Belonging, wanted: Belonging) -> Belonging:
    """Who comes anew is a learner first: a cluster takes no voters that would leave it without a majority."""
    fresh = wanted.voters - found.voters - found.learners
    return Belonging(found.voters, found.learners | fresh, found.contacts | wanted.contacts) if fresh else wanted


def _ask_for(cluster: LocalCluster, wanted: Belonging) -> None:
    """Whether it came so is looked at afterwards."""
    from coordnode.client.sync import connect  # none of those who only look, or heal something else, wants a client

    with suppress(CoordError), connect([one.address for one in cluster.members], identity="chaos", timeout=ASK_SECONDS) as asked:
        asked.members.change(wanted.voters, wanted.learners, wanted.contacts)


# --- done ------------------------------------------------------------------------------------------------------------------


def seen(entry: Entry) -> str:
    return SEEN[entry.fault]


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    undo = _undo_of(entry)
    trouble = newcomers.take_in(ledger, entry, undo.newcomer, _change_as_learner) if undo.newcomer is not None else ""
    return trouble or _change(ledger, entry, lambda found: broken(entry.fault, undo, found))


def _change_as_learner(ledger: Ledger, entry: Entry) -> str:
    newcomer = _undo_of(entry).newcomer
    assert newcomer is not None

    def with_learner(found: Belonging) -> Belonging:
        if newcomer.member in found.voters:
            return found
        return Belonging(found.voters, found.learners | {newcomer.member}, {**found.contacts, newcomer.member: newcomer.address})

    return _change(ledger, entry, with_learner)


def _change(ledger: Ledger, entry: Entry, wanted: Any) -> str:
    """What is wrong, or "": it is as wanted. Others who change something are waited for."""
    until = time.monotonic() + TAKES_SECONDS_MAX
    while time.monotonic() < until:
        with ledger.striking([entry]), ledger.changing():
            cluster = clusters.read(ledger.cluster_folder)
            if cluster is None:
                return "there is no cluster any more"
            found = _in_force(cluster)
            if found is not None and _is(found, wanted(found)):
                return ""
            if found is not None:
                _ask_for(cluster, next_step(found, wanted(found)))
        time.sleep(PAUSE_SECONDS)
    return "the members do not agree on it"


# --- undone ----------------------------------------------------------------------------------------------------------------


def cure(ledger: Ledger, entry: Entry) -> None:
    """First the cluster does without the newcomer, then that one is ended."""
    undo = _undo_of(entry)
    until = time.monotonic() + TAKES_SECONDS_MAX
    while not _is_whole(ledger, entry):
        with ledger.changing():
            cluster = clusters.read(ledger.cluster_folder)
            found = _in_force(cluster) if cluster is not None else None
            if cluster is not None and found is not None:
                _ask_for(cluster, next_step(found, whole(entry.fault, undo, found)))
        if time.monotonic() > until:
            raise Failed("the members do not agree on who belongs to the cluster")
        time.sleep(PAUSE_SECONDS)
    if undo.newcomer is not None:
        newcomers.dismiss(ledger, undo.newcomer)


def _is_whole(ledger: Ledger, entry: Entry) -> bool:
    """A cluster that is no more needs nothing."""
    cluster = clusters.read(ledger.cluster_folder)
    found = _in_force(cluster) if cluster is not None else None
    return cluster is None or (found is not None and _is(found, whole(entry.fault, _undo_of(entry), found)))


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    newcomer = _undo_of(entry).newcomer
    return _is_whole(ledger, entry) and (newcomer is None or newcomers.is_gone(ledger, newcomer))


def drop(ledger: Ledger, entry: Entry) -> None:
    """While the members are there still, it can be as it was. Raises Failed where they do not agree on it."""
    cluster = clusters.read(ledger.cluster_folder)
    if cluster is not None and not any(lives.is_running(one) for one in cluster.members):
        raise Failed("none of the members runs that would agree on who belongs to the cluster")
    cure(ledger, entry)
