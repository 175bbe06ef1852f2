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


class WalSide(msgspec.Struct, frozen=True, kw_only=True):
    """One member's log in a comparison."""

    folder: str
    verdict: str  # equal, behind, uncommitted tail, corruption, diverged, cut by a snapshot, unreadable
    is_right: bool  # agrees with the majority of the logs given, as far as it goes
    sentence: str
    first_index: int
    last_index: int
    snapshot_index: int
    term: int  # of its entry at the first difference; 0: it has none there
    chain: str
    entry: list[str]  # what that entry says, a sentence for each command
    gaps: list[str]  # indexes that should be there
    damages: list[str]
    is_torn: bool  # its end was being written: harmless


class WalDiff(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.wal-diff/1"] = "coordctl.wal-diff/1"
    outcome: Literal["equal", "deviates", "broken", "unknown"]
    exit_code: Literal[0, 1, 2, 3]
    first_difference: int | None
    probes: int  # chain hashes that were compared
    has_majority: bool
    sides: list[WalSide]
