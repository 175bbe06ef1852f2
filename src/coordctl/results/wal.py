"""What the `wal` verbs print."""

from typing import Literal

import msgspec


class WalRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `wal dump`, in the order of the log; damage stands where it is."""

    schema: Literal["coordctl.wal-dump/1"]
    path: str
    offset: int
    kind: str  # segment, batch, entry, truncate, reset, end
    holds: str  # of an entry: batch, config, noop
    term: int
    index: int
    chain: str  # hash of the log up to here, in hexadecimal: equal on members whose logs are equal so far
    size_bytes: int  # with header and padding
    verdict: str  # ok, torn tail, rot
    reason: str = ""
    data: bytes | None = None  # with --data, base64


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    offset: int
    reason: str
    remedy: str


class WalVerified(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.wal-verify/1"] = "coordctl.wal-verify/1"
    outcome: Literal["ok", "torn tail", "rot"]
    exit_code: Literal[0, 2]
    folder: str
    cluster: int
    member: int
    entries: int
    segments: int
    last_index: int
    last_chain: str
    tail_path: str
    tail_offset: int
    damages: list[Damage]
