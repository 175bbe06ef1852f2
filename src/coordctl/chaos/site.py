"""The seam to a member's host: what is done there is asked for in values that can travel, and answered in such.

`LocalSite` does it in this process. For a fleet `hosted` does so on each host, asked by a script (operations/chaos_sites).
"""

import glob
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from coordctl.chaos import belonging, ceilings, links, lives, premises, reapers, undo, words
from coordctl.chaos.faults import BELONGING, ELSEWHERE, FAULTS, FDS, trouble_with_time
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.premises import Premises
from coordctl.chaos.words import End, Word
from coordctl.engines.lacks import TITLES
from coordctl.local import processes
from coordctl.local.clusters import COORDNODE, LocalCluster, LocalMember
from coordctl.local.fleet import Failed
from coordnode.client.clock import now_ms
from coordnode.errors import Busy
from coordnode.harm.orders import boot_mark


class Wanted(NamedTuple):
    fault: str
    to: str
    by: str
    members: tuple[str, ...]  # of this host
    links: tuple[tuple[str, str], ...]  # whose proxies are on this host
    for_ms: int
    owner: str
    reason: str
    clients: tuple[tuple[str, int, str], ...] = ()  # of a run: (what to call it, pid, its mark)
    known: tuple[str, ...] | None = None  # ids of all that was broken when it was judged whether this may be, too; None: it may always


class Overtaken(Busy):
    """Something was broken by somebody else since it was judged what may be: nothing was done, judge anew."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    active: list[Entry]
    due: list[str] = []  # ids of those whose time is over, on the clock of their host
    reapers: int = 0  # how many of the two run, where something is broken
    notes: list[dict[str, Any]] = []
    unseen: list[str] = []  # hosts that do not say what is broken there, and why; and what is written down and cannot be read here


class Site(Protocol):
    """Where a cluster's members are."""

    def inject(self, wanted: Wanted) -> list[Entry]:
        """Seen to have taken, or undone and Failed."""

    def stay(self) -> None:
        """Whoever works for long says so again and again, or others may begin. Raises OtherOperator where they have."""

    def look(self, last: int) -> Looked:
        """What is broken now, and so many of the last things that were begun and healed."""

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        """With each what is wrong, or "": it was seen to be over."""

    def lacks(self, fault: str) -> str:
        """Why it cannot be injected here, and the remedy; "": it can."""

    def how(self, fault: str) -> tuple[str, str]:
        """By which mechanism it is done here, and how it ends."""

    def share_disk(self, members: Sequence[str]) -> list[str]:
        """Those, and all others on the same file systems."""

    def linked(self, members: Sequence[str]) -> list[str]:
        """Those in whose links faults can be injected."""

    def log_ends(self) -> dict[str, End]:
        """How long each member's log is now."""

    def said_since(self, ends: Mapping[str, End]) -> list[Word]:
        """What no fault excuses."""


class LocalSite:
    def __init__(self, cluster: LocalCluster) -> None:
        self._first = cluster
        self._ledger = Ledger(cluster.folder)

    @property
    def _cluster(self) -> LocalCluster:
        """As it is now: members come and go."""
        return self._premises.cluster() or self._first

    @property
    def _premises(self) -> Premises:
        return premises.of(self._first.folder)

    def inject(self, wanted: Wanted) -> list[Entry]:
        trouble = trouble_with_time(wanted.fault, wanted.by, wanted.for_ms)
        if trouble:
            raise Failed(f"{wanted.fault}: {trouble}")
        with self._ledger.locked():
            self._must_be_known(wanted)
            reapers.ensure(self._ledger)  # neither leaves while we have the lock
            entries = [self._entry(wanted, name) for name in wanted.members]
            entries += [self._on_links(wanted)] if wanted.links else []
            entries += [_entry(wanted, name, pid, mark) for name, pid, mark in wanted.clients]
            for entry in entries:
                self._ledger.add(entry)
        for entry in entries:
            self._ledger.note("begun", entry, owner=entry.owner, reason=entry.reason)
        try:
            struck = undo.strike(self._ledger, entries)
        except Exception:  # a bug: nobody is told of a fault, so none stays
            self.heal(entries)
            raise
        troubles = [f"{entry.target}: {trouble}" for entry, trouble in struck if trouble]
        if troubles:
            left = [f"{entry.target}: {trouble}" for entry, trouble in self.heal(entries) if trouble]
            also = f"; and it could not be undone at once, the reapers go on with that: {'; '.join(left)}" if left else "; all is undone"
            raise Failed(f"{wanted.fault} did not take: {'; '.join(troubles)}{also}")
        return entries

    def _must_be_known(self, wanted: Wanted) -> None:
        new = [entry for entry in self._ledger.entries() if wanted.known is not None and entry.id not in wanted.known]
        if new:
            raise Overtaken(f"{new[0].fault} {new[0].target} of {new[0].owner} was begun just now, so nothing was broken: try again")

    def _entry(self, wanted: Wanted, name: str) -> Entry:
        member = lives.member_of(self._cluster.folder, name)  # as it is now: it may have been started anew since
        if member is None:
            raise Failed(f"{name} belongs to the cluster no more, so there is nothing to break: see `coordctl member ls`")
        if not processes.is_running(member.pid, member.started):
            raise Failed(f"{name} does not run, so there is nothing to break: start it first")
        trouble = self._lacks_mechanism(wanted.fault) or self._premises.lacks(wanted.fault) or self._lacks_seam(wanted.fault, [member])
        if trouble:
            raise Failed(trouble)
        entry = _entry(wanted, name, member.pid, member.started)
        if wanted.fault == FDS:
            return msgspec.structs.replace(entry, undo=ceilings.before(member.pid))
        if wanted.fault in BELONGING:
            return msgspec.structs.replace(entry, undo=belonging.before(self._cluster, wanted.fault, name, entry.id))
        return entry

    def _on_links(self, wanted: Wanted) -> Entry:
        trouble = self.lacks(wanted.fault)
        if trouble:
            raise Failed(trouble)
        return _entry(wanted, "", 0, "")

    def stay(self) -> None:
        pass

    def look(self, last: int) -> Looked:
        there = os.path.isdir(self._ledger.folder)
        count = sum(reapers.is_there(self._ledger, name) for name in reapers.NAMES) if there else 0
        active = self._ledger.entries()
        due = [entry.id for entry in active if entry.is_due()]
        return Looked(active=active, due=due, reapers=count, notes=self._ledger.notes(last), unseen=self._ledger.unread())

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        return undo.heal(self._ledger, entries)

    def lacks(self, fault: str) -> str:
        trouble = self._lacks_mechanism(fault)
        if not trouble and FAULTS[fault].hits_links and self._premises.links_end_here:
            return undo.where_it_ends(fault).lacks(fault)
        return trouble or self._premises.lacks(fault) or self._lacks_seam(fault, self._here())

    def _lacks_mechanism(self, fault: str) -> str:
        """On members of another engine; what is done to packets knows no engines."""
        engine = self._cluster.engine
        if engine == COORDNODE or fault in ELSEWHERE or (FAULTS[fault].hits_links and self._premises.links_end_here):
            return ""
        return f"there is no mechanism for it on {TITLES[engine]}: {FAULTS[fault].mechanism} is coordnode's"

    def _here(self) -> list[LocalMember]:
        return [member for member in self._cluster.members if member.name in self._premises.here()]

    def _lacks_seam(self, fault: str, members: Sequence[LocalMember]) -> str:
        """Who does not answer may have it: that is seen when it is needed."""
        if not FAULTS[fault].needs_seam:
            return ""
        without = [one.name for one in members if lives.status(one.address).get("fault_injection") is False]
        how = self._premises.how_harmed
        return f"{fault} needs members that can be harmed, and {without[0]} was not started so: {how}" if without else ""

    def how(self, fault: str) -> tuple[str, str]:
        return FAULTS[fault].mechanism, FAULTS[fault].ends

    def share_disk(self, members: Sequence[str]) -> list[str]:
        devices = {name: os.stat(self._premises.folder(name)).st_dev for name in self._premises.here()}
        hit = [devices[name] for name in members if name in devices]
        return [name for name, device in devices.items() if device in hit]

    def linked(self, members: Sequence[str]) -> list[str]:
        installation = links.read(self._ledger)
        return [name for name in members if installation is None or name in installation.dial]

    def log_ends(self) -> dict[str, End]:
        return words.where_they_end(self._logs())

    def said_since(self, ends: Mapping[str, End]) -> list[Word]:
        return words.since(self._logs(), ends)

    def _logs(self) -> dict[str, str]:
        """Of members that took part for a while, too: theirs lie beside the ledger."""
        gone = {os.path.basename(path).removesuffix(".log"): path for path in glob.glob(os.path.join(self._ledger.folder, "*-*.log"))}
        return gone | self._premises.logs()


def _entry(wanted: Wanted, member: str, pid: int, mark: str) -> Entry:
    unix_ms = time.time_ns() // 1_000_000
    return Entry(
        id=os.urandom(4).hex(),
        fault=wanted.fault,
        to=wanted.to,
        by=wanted.by,
        member=member,
        pid=pid,
        mark=mark,
        links=[] if member else list(wanted.links),
        owner=wanted.owner,
        reason=wanted.reason,
        began_unix_ms=unix_ms,
        until_unix_ms=unix_ms + wanted.for_ms,
        boot=boot_mark(),
        deadline_ms=now_ms() + wanted.for_ms,
    )
