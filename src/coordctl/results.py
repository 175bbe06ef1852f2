"""What operations return, and so what `-o json` prints. Fields are only ever added; `coordctl schema VERB` prints the schema."""

from typing import Literal

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.version/1"] = "coordctl.version/1"
    outcome: Literal["answered"] = "answered"
    exit_code: Literal[0] = 0
    version: str
    python: str
    platform: str


class CheckEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why a history cannot be explained."""

    operation: str  # the one that finds no place
    key: str | None
    other: str | None  # the one it collides with
    expected: str  # what the model would have answered; "" when there is no one answer
    prefix_operations: int  # how long the shortest impossible beginning is
    prefix_last: list[str]  # its last operations


class Check(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.check/1"] = "coordctl.check/1"
    outcome: str  # pass, violation, unknown
    exit_code: int
    history: str
    model: str
    reason: str
    method: str
    operations: int
    partitions: int
    steps: int
    elapsed_ms: int
    evidence: CheckEvidence | None


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


SCHEMAS: dict[str, type[msgspec.Struct]] = {
    "version": Version,
    "wal-dump": WalRecord,
    "wal-verify": WalVerified,
}
"""Verb -> what its `-o json` prints; for a stream, the type of each line."""
