"""What the `shard` verbs print."""

from typing import Literal

import msgspec


class ShardListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each assignment."""

    schema: Literal["coordctl.shard-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    group: str
    group_base64: str
    shards: int
    owned: int
    revoking: int  # of those


class ShardOwned(msgspec.Struct, frozen=True, kw_only=True):
    shard: int
    member: str
    member_base64: str
    session: int
    token: int
    revoke_left_ms: int | None  # to be released within this time


class ShardShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    group: str
    group_base64: str
    shards: int
    revoke_ms: int
    owned: list[ShardOwned]
    free: list[int]  # without an owner


class ShardMoved(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each move."""

    schema: Literal["coordctl.shard-watch/1"]
    outcome: Literal["moved"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    revision: int
    kind: Literal["assigned", "revoking", "freed", "configured", "deleted"]
    shard: int  # -1: the assignment itself
    member: str
    member_base64: str
    session: int
    token: int


class ShardChanged(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str
    exit_code: Literal[0]
    name: str
    name_base64: str
    request_id: str


class ShardCreated(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-create/1"]


class ShardSet(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-set/1"]


class ShardDeleted(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-delete/1"]
