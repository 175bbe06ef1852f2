"""What the `lock` verbs print."""

from typing import Literal

import msgspec


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    token: int
    session: int  # 0: it expired, and its lock-delay is not over
    owner: str
    kind: Literal["exclusive", "shared", "semaphore"]
    permits: int
    times: int  # it must be released
    note: str
    since_unix_ms: int
    held_ms: int  # as the cluster counts: its clock stands still between commands
    delay_ms: int


class LockWaiter(msgspec.Struct, frozen=True, kw_only=True):
    ticket: int
    session: int
    owner: str
    kind: Literal["exclusive", "shared", "semaphore"]
    permits: int
    note: str
    since_unix_ms: int
    waited_ms: int


class LockDescribed(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    name_base64: str
    kind: Literal["exclusive", "shared", "semaphore"]
    limit: int  # of a semaphore; else 0
    permits: int  # in use
    holders: int
    waiters: int
    first: LockHolder | None  # who has held it for longest


class LockListed(LockDescribed, frozen=True, kw_only=True):
    """One line for each lock."""

    schema: Literal["coordctl.lock-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class LockShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    name: str
    name_base64: str
    lock: LockDescribed | None
    holders: list[LockHolder]
    waiters: list[LockWaiter]  # in the order in which they are served


class LockChecked(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-check/1"]
    outcome: Literal["held", "lost", "cannot tell"]
    exit_code: Literal[0, 1, 74]
    name: str
    name_base64: str
    token: int
    holder: LockHolder | None


class LockAcquired(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-acquire/1"]
    outcome: Literal["acquired"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    token: int
    session: int
    ttl_ms: int
    keeper_pid: int | None  # of the process that renews it


class LockRenewed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-renew/1"]
    outcome: Literal["renewed"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    token: int
    ttl_ms: int


class LockReleased(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-release/1"]
    outcome: Literal["released"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    token: int


class LockBroken(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-break/1"]
    outcome: Literal["broken"]
    exit_code: Literal[0]
    name: str
    name_base64: str
    tokens: list[int]
    told_ms: int | None  # until the leader had told the holder; null: it could not be observed
