"""The seam to a member's host: what is done there is asked for in values that can travel, and answered in such.

`LocalSite` does it in this process. A site over SSH runs the same functions there, by a script for each phase.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from coordctl.chaos import ceilings, demoting, links, lives, reapers, undo, words
from coordctl.chaos.faults import DEMOTE, ELSEWHERE, FAULTS, FDS
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.words import Word
from coordctl.engines.lacks import TITLES
from coordctl.local import fleet, processes
from coordctl.local.clusters import COORDNODE, LocalCluster, LocalMember
from coordctl.local.fleet import Failed
from coordnode.client.clock import now_ms
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


class Site(Protocol):
    """One host with members on it."""

    def inject(self, wanted: Wanted) -> list[Entry]:
        """Seen to have taken, or undone and Failed."""

    def active(self) -> list[Entry]: ...

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        """With each what is wrong, or "": it was seen to be over."""

    def reapers(self) -> int:
        """How many of the two run."""

    def lacks(self, fault: str) -> str:
        """Why it cannot be injected here, and the remedy; "": it can."""

    def share_disk(self, members: Sequence[str]) -> list[str]:
        """Those, and all others on the same file systems."""

    def notes(self, last: int) -> list[dict[str, Any]]:
        """What was begun and healed lately."""

    def log_ends(self) -> dict[str, int]:
        """How long each member's log is now."""

    def said_since(self, ends: Mapping[str, int]) -> list[Word]:
        """What no fault excuses."""


class LocalSite:
    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._ledger = Ledger(cluster.folder)

    def inject(self, wanted: Wanted) -> list[Entry]:
        with self._ledger.locked():
            reapers.ensure(self._ledger)  # neither leaves while we have the lock
            entries = [self._entry(wanted, name) for name in wanted.members]
            entries += [self._on_links(wanted)] if wanted.links else []
            entries += [_entry(wanted, name, pid, mark) for name, pid, mark in wanted.clients]
            for entry in entries:
                self._ledger.add(entry)
        for entry in entries:
            self._ledger.note("begun", entry, owner=entry.owner, reason=entry.reason)
        troubles = [f"{entry.target}: {trouble}" for entry, trouble in undo.strike(self._ledger, entries, wanted.for_ms) if trouble]
        if troubles:
            left = [f"{entry.target}: {trouble}" for entry, trouble in self.heal(entries) if trouble]
            also = f"; and it could not be undone at once, the reapers go on with that: {'; '.join(left)}" if left else "; all is undone"
            raise Failed(f"{wanted.fault} did not take: {'; '.join(troubles)}{also}")
        return entries

    def _entry(self, wanted: Wanted, name: str) -> Entry:
        member = lives.member_of(self._cluster.folder, name)  # as it is now: it may have been started anew since
        assert member is not None
        if not processes.is_running(member.pid, member.started):
            raise Failed(f"{name} does not run, so there is nothing to break: start it with `coordctl up`")
        trouble = self._lacks_seam(wanted.fault, [member])
        if trouble:
            raise Failed(trouble)
        undo_by = ceilings.before(member.pid) if wanted.fault == FDS else ""
        undo_by = demoting.before(self._cluster, name) if wanted.fault == DEMOTE else undo_by
        return _entry(wanted, name, member.pid, member.started, undo_by)

    def _on_links(self, wanted: Wanted) -> Entry:
        trouble = self.lacks(wanted.fault)
        if trouble:
            raise Failed(trouble)
        return _entry(wanted, "", 0, "")

    def active(self) -> list[Entry]:
        return self._ledger.entries()

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        return undo.heal(self._ledger, entries)

    def lacks(self, fault: str) -> str:
        if self._cluster.engine != COORDNODE and fault not in ELSEWHERE:
            return f"there is no mechanism for it on {TITLES[self._cluster.engine]}: {FAULTS[fault].mechanism} is coordnode's"
        if not FAULTS[fault].hits_links:
            return self._lacks_seam(fault, self._cluster.members)
        installation = links.read(self._ledger)
        if installation is not None and installation.is_used:
            return ""
        return f"{fault} needs the proxies in the links: `coordctl chaos proxy install`"

    def _lacks_seam(self, fault: str, members: Sequence[LocalMember]) -> str:
        """Who does not answer may have it: that is seen when it is needed."""
        if not FAULTS[fault].needs_seam:
            return ""
        without = [one.name for one in members if lives.status(one.address).get("fault_injection") is False]
        how = "`coordctl down` and `coordctl up --fault-injection`, or `coordctl chaos proxy install`, restarts it so"
        return f"{fault} needs members that can be harmed, and {without[0]} was not started so: {how}" if without else ""

    def share_disk(self, members: Sequence[str]) -> list[str]:
        devices = {one.name: os.stat(os.path.join(self._cluster.folder, one.name)).st_dev for one in self._cluster.members}
        hit = [devices[name] for name in members if name in devices]
        return [name for name, device in devices.items() if device in hit]

    def notes(self, last: int) -> list[dict[str, Any]]:
        return self._ledger.notes(last)

    def log_ends(self) -> dict[str, int]:
        return words.where_they_end(self._logs())

    def said_since(self, ends: Mapping[str, int]) -> list[Word]:
        return words.since(self._logs(), ends)

    def _logs(self) -> dict[str, str]:
        return {member.name: fleet.log_path(self._cluster, member) for member in self._cluster.members}

    def reapers(self) -> int:
        return sum(reapers.is_there(self._ledger, name) for name in reapers.NAMES) if os.path.isdir(self._ledger.folder) else 0


def _entry(wanted: Wanted, member: str, pid: int, mark: str, undo_by: str = "") -> Entry:
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
        undo=undo_by,
        began_unix_ms=unix_ms,
        until_unix_ms=unix_ms + wanted.for_ms,
        boot=boot_mark(),
        deadline_ms=now_ms() + wanted.for_ms,
    )
