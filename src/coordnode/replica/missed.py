"""What watches missed before they begin here: read from the history once for all that come in the same moments. Pure.

After a change of leaders thousands of watches go on at nearly the same revision. Each would look through the same changes.
"""

from bisect import bisect_right

from coordnode.ids import Revision
from coordnode.services.commands import Change
from coordnode.services.dialogue import WatchAsk
from coordnode.services.machine import Machine

_ByKey = dict[tuple[int, bytes], list[Change]]  # by (space, key) of their events, in order


class Missed:
    def __init__(self) -> None:
        self._after = Revision(0)  # changes of after < revision <= up_to are here
        self._up_to = Revision(0)
        self._changes: list[Change] = []
        self._of_key: _ByKey = {}
        self._is_used = False  # since the last tick

    def of(self, machine: Machine, ask: WatchAsk) -> list[Change]:
        """Every change from ask.start_revision, which history still has, up to now that may concern this watch, in order; others may
        be among them."""
        after = Revision(ask.start_revision - 1)
        if after >= machine.revision:
            return []
        self._is_used = True
        if machine.history_floor > self._up_to + 1:
            self.forget()  # what follows upon it cannot be had any more
        if not self._changes:
            self._after = self._up_to = after
        if self._up_to < machine.revision:
            self._add_newer(machine.changes(self._up_to, machine.revision))
            self._up_to = machine.revision
        if after < self._after:
            self._add_older(machine.changes(after, self._after))
            self._after = after
        found = self._of_key.get((ask.space, ask.start), []) if ask.end == ask.start + b"\0" else self._changes
        return found[bisect_right(found, after, key=lambda change: change.revision) :]

    def _add_newer(self, changes: list[Change]) -> None:
        self._changes += changes
        _note(self._of_key, changes)

    def _add_older(self, changes: list[Change]) -> None:
        self._changes = changes + self._changes
        older: _ByKey = {}
        _note(older, changes)
        for place, touching in older.items():
            self._of_key[place] = touching + self._of_key.get(place, [])

    def tick(self) -> None:
        """Memory is not held for longer than a crowd needs."""
        if not self._is_used:
            self.forget()
        self._is_used = False

    def forget(self) -> None:
        if self._changes:
            self._changes = []
            self._of_key = {}


def _note(of_key: _ByKey, changes: list[Change]) -> None:
    for change in changes:
        for event in change.events:
            touching = of_key.setdefault((event.space, event.key), [])
            if not touching or touching[-1] is not change:
                touching.append(change)
