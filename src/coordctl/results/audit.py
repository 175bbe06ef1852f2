"""What the `audit` verbs print."""

from typing import Literal

import msgspec


class AuditListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each change."""

    schema: Literal["coordctl.audit-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    number: int
    log_index: int  # where in the cluster's log it happened
    wall_ms: int
    at: str
    by: str
    place: str
    what: str
    before: str
    after: str
    reason: str
    previous: str
    chain: str


class AuditVerified(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.audit-verify/1"]
    outcome: Literal["whole", "broken"]
    exit_code: Literal[0, 2]
    records: int
    head: str  # NUMBER:CHAIN of the newest
    seen: str | None  # the one that was seen before
    faults: list[str]
