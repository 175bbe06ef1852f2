"""What `backup`, `restore` and `recover` print."""

from typing import Literal

import msgspec

from coordctl.results.deploy import FleetDone


class FoundBackup(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    cluster: str  # its name
    cluster_id: int
    taken_unix_s: int
    age_s: int
    index: int  # of the log: everything up to it is inside
    bytes: int
    verified_unix_s: int | None  # when all of it was read again and applied; null: never
    revision: int | None
    state_bytes: int | None
    journal_bytes: int | None
    trouble: str  # why nothing can be said of it; "": none


class BackupCreated(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.backup-create/1"] = "coordctl.backup-create/1"
    outcome: Literal["created"] = "created"
    exit_code: Literal[0] = 0
    backup: FoundBackup
    member: str  # from whose folder it was taken
    digest: str  # of the state: what that member said, and what the file comes to
    removed: list[str]
    warnings: list[str] = []  # of backups whose time lies ahead
    elapsed_ms: int


class BackupsListed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.backup-ls/1"] = "coordctl.backup-ls/1"
    outcome: Literal["answered", "none"]
    exit_code: Literal[0, 1]
    cluster: str
    folder: str
    backups: list[FoundBackup]  # the newest first
    warnings: list[str] = []  # of those whose time lies ahead


class BackupVerified(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.backup-verify/1"] = "coordctl.backup-verify/1"
    outcome: Literal["ok", "not sealed", "damaged", "unknown"]
    exit_code: Literal[0, 1, 2, 3]
    path: str
    sentence: str
    cluster: str
    index: int
    digest: str
    parts: int
    elapsed_ms: int


class RestoredState(msgspec.Struct, frozen=True, kw_only=True):
    cluster_id: int
    replaces: int  # the cluster that the backup was taken of: its clients are refused by name
    taken_unix_s: int
    index: int
    revision: int
    digest: str  # of the state that the members begin with; what the rehearsal came to
    first_token: int  # above all that the old cluster can have granted
    sessions_over: int


class Restored(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.restore/1"] = "coordctl.restore/1"
    backup: str
    state: RestoredState | None  # null: it was refused before a rehearsal


class Surviving(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    term: int  # of its last entry
    index: int
    committed: int  # as far as it knows
    troubles: list[str]


class Recovered(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.recover/1"] = "coordctl.recover/1"
    survivors: list[Surviving]  # the one that has most first
    lost: list[str]  # voters that nothing is left of
    unasked: dict[str, str] = {}  # members of which nobody knows what is left, and why
    backup: str  # the best survivor's state; "": nothing was taken
    state: RestoredState | None
