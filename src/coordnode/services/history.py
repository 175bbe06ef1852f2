"""The event history: what watches resume from. Bounded by count and bytes, trimmed by whole groups of revisions. Pure.

A group is the encoded list of some changes of one batch, under its first revision. Revisions have no gaps, so the first
revisions of two neighbouring groups say how many changes lie between.
"""

from collections.abc import Sequence
from struct import Struct

import msgspec

from coordnode.ids import Revision
from coordnode.services.commands import Change
from coordnode.services.context import ChangeRow
from coordnode.services.state import Scalars, Settings
from coordnode.services.tables import Table

GROUPS_ID = 9

_pack = Struct(">Q").pack
_encode = msgspec.msgpack.Encoder().encode
_changes_decoder = msgspec.msgpack.Decoder(list[Change])


class History:
    __slots__ = ("_scalars", "_settings", "containers", "groups")

    def __init__(self, settings: Settings, scalars: Scalars) -> None:
        self._settings = settings
        self._scalars = scalars
        self.groups: Table[bytes] = Table(GROUPS_ID, bytes)
        self.containers = (self.groups,)

    def append(self, changes: Sequence[ChangeRow]) -> None:
        """Takes over the changes of one batch, in order."""
        step = self._settings.history_group_count_max
        for start in range(0, len(changes), step):
            self._append_group(changes[start : start + step])
        self._trim()

    def changes(self, after: Revision, up_to: Revision) -> list[Change]:
        """The changes with after < revision <= up_to, all of which must still be here."""
        assert self._scalars.history_floor <= after + 1, f"history begins at {self._scalars.history_floor}, asked after {after}"
        assert up_to <= self._scalars.revision
        if after >= up_to:
            return []
        first = self.groups.last_up_to(_pack(after + 1))
        assert first is not None
        found: list[Change] = []
        for _, group in self.groups.scan(first[0], _pack(up_to + 1)):
            found.extend([change for change in _changes_decoder.decode(group) if after < change.revision <= up_to])
        return found

    def _append_group(self, changes: Sequence[ChangeRow]) -> None:
        group = _encode(changes)
        if len(group) > self._settings.history_group_bytes_max and len(changes) > 1:
            middle = len(changes) // 2
            self._append_group(changes[:middle])
            self._append_group(changes[middle:])
            return
        self.groups.set(_pack(changes[0][0]), group)
        self._scalars.history_count += len(changes)
        self._scalars.history_bytes += len(group)

    def _trim(self) -> None:
        scalars, settings = self._scalars, self._settings
        while scalars.history_count > settings.history_count_max or scalars.history_bytes > settings.history_bytes_max:
            oldest = self.groups.first()
            assert oldest is not None
            self.groups.delete(oldest[0])
            following = self.groups.first()
            floor = int.from_bytes(following[0], "big") if following is not None else scalars.revision + 1
            scalars.history_count -= floor - scalars.history_floor
            scalars.history_bytes -= len(oldest[1])
            scalars.history_floor = Revision(floor)
