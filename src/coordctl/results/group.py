"""What the `group` verbs print."""

from typing import Literal

import msgspec


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    member: str
    member_base64: str
    session: int
    data: str | None
    data_base64: str
    labels: dict[str, str]
    weight: int
    joined_view: int


class GroupListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each group; with --where, one for each member that was found."""

    schema: Literal["coordctl.group-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    group: str
    group_base64: str
    view: int | None
    members: int | None
    member: GroupMember | None


class GroupShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    group: str
    group_base64: str
    view: int  # never goes back; 0: it has no members
    members: list[GroupMember]


class GroupViewed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each view; the first is the present one."""

    schema: Literal["coordctl.group-watch/1"]
    outcome: Literal["changed"]
    exit_code: Literal[0]
    group: str
    group_base64: str
    view: int
    members: list[GroupMember]
    joined: list[str]  # since the line before
    updated: list[str]
    left: list[str]


class GroupChanged(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str
    exit_code: Literal[0]
    group: str
    group_base64: str
    member: str
    member_base64: str
    session: int
    view: int  # that this made


class GroupJoined(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-join/1"]


class GroupUpdated(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-update/1"]


class GroupLeft(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-leave/1"]
