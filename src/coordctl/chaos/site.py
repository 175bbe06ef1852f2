"""The seam to a member's host: what is done there is asked for in values that can travel, and answered in such.

`LocalSite` does it in this process. A site over SSH runs the same functions there, by a script for each phase.
"""

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from coordctl.chaos import links, reapers, undo
from coordctl.chaos.ledger import Entry, Ledger, boot_mark
from coordctl.local import processes
from coordctl.local.clusters import LocalCluster
from coordctl.local.fleet import Failed
from coordnode.client.clock import now_ms


class Wanted(NamedTuple):
    fault: str
    to: str
    by: str
    members: tuple[str, ...]  # of this host
    links: tuple[tuple[str, str], ...]  # whose proxies are on this host
    for_ms: int
    owner: str
    reason: str


class Site(Protocol):
    """One host with members on it."""

    def inject(self, wanted: Wanted) -> list[Entry]:
        """Seen to have taken, or undone and Failed."""

    def active(self) -> list[Entry]: ...

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        """With each what is wrong, or "": it was seen to be over."""

    def reapers(self) -> int:
        """How many of the two run."""

    def has_proxies(self) -> bool:
        """In the links: then what hits links can be injected."""

    def notes(self, last: int) -> list[dict[str, Any]]:
        """What was begun and healed lately."""


class LocalSite:
    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._ledger = Ledger(cluster.folder)

    def inject(self, wanted: Wanted) -> list[Entry]:
        with self._ledger.locked():
            reapers.ensure(self._ledger)  # neither leaves while we have the lock
            entries = [self._entry(wanted, name) for name in wanted.members]
            entries += [self._on_links(wanted)] if wanted.links else []
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
        member = next(one for one in self._cluster.members if one.name == name)
        if not processes.is_running(member.pid, member.started):
            raise Failed(f"{name} does not run, so there is nothing to break: start it with `coordctl up`")
        return _entry(wanted, name, member.pid, member.started)

    def _on_links(self, wanted: Wanted) -> Entry:
        installation = links.read(self._ledger)
        if installation is None or not installation.is_used:
            raise Failed(f"{wanted.fault} needs the proxies in the links: `coordctl chaos proxy install`")
        return _entry(wanted, "", 0, "")

    def active(self) -> list[Entry]:
        return self._ledger.entries()

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        return undo.heal(self._ledger, entries)

    def has_proxies(self) -> bool:
        installation = links.read(self._ledger)
        return installation is not None and installation.is_used

    def notes(self, last: int) -> list[dict[str, Any]]:
        return self._ledger.notes(last)

    def reapers(self) -> int:
        return sum(reapers.is_there(self._ledger, name) for name in reapers.NAMES) if os.path.isdir(self._ledger.folder) else 0


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
