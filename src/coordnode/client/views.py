"""Views of a group: put together from one read and the changes after it, and what members are asked for by their labels. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from coordnode.errors import BadRequest
from coordnode.ids import Revision
from coordnode.services.commands import (
    GROUPS,
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    MEMBER_LEFT,
    Change,
    GroupView,
    Member,
    Require,
    decode_member,
)


@dataclass(frozen=True, slots=True)
class View:
    """Who is in a group, as of view `number`: say it along with whatever you do because of it."""

    group: str
    number: Revision  # never goes back; of a group without members: a revision at which it had none
    members: tuple[Member, ...]  # in the order of their names

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __contains__(self, name: str | bytes) -> bool:
        return self.get(name) is not None

    def get(self, name: str | bytes) -> Member | None:
        sought = name.encode() if isinstance(name, str) else name
        return next((member for member in self.members if member.name == sought), None)


class Assembly:
    """`on_read` begins it, `on_change` continues it with every change after that revision; both tell a view when it is a new one."""

    def __init__(self, group: bytes) -> None:
        self._group = group
        self._members: dict[bytes, Member] = {}
        self._told: View | None = None

    def on_read(self, read: GroupView) -> View | None:
        self._members = {member.name: member for member in read.members}
        return self._view(read.view or read.revision, is_new=bool(read.view))

    def on_change(self, change: Change) -> View | None:
        for event in change.events:
            if event.space == GROUPS and event.key == self._group:
                member = decode_member(event.value)
                if event.kind == MEMBER_LEFT:
                    self._members.pop(member.name, None)
                else:
                    self._members[member.name] = member
        return self._view(change.revision, is_new=False)

    def _view(self, number: Revision, *, is_new: bool) -> View | None:
        """`is_new`: where the number is higher, also with the same members."""
        members = tuple([self._members[name] for name in sorted(self._members)])
        told = self._told
        if told is not None and (number <= told.number or (members == told.members and not is_new)):
            return None
        self._told = View(self._group.decode(errors="replace"), number, members)
        return self._told


def parse_require(text: str) -> Require:
    """`zone=eu`, `zone!=eu`, `zone` (it has such a label), `!zone` (it has none)."""
    key, equals, value = text.partition("=")
    if equals:
        require = Require(key.removesuffix("!"), IS_NOT if key.endswith("!") else IS, value)
    else:
        require = Require(text.removeprefix("!"), HAS_NOT if text.startswith("!") else HAS)
    if not require.key:
        raise BadRequest(f"the condition {text!r} names no label; say key=value, key!=value, key or !key")
    return require
