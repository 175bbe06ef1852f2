"""What `upgrade run`, `status`, `pause`, `resume` and `abort` print."""

from typing import Literal

import msgspec

from coordctl.results.deploy import Noted

Outcome = Literal[
    "done", "unchanged", "would change", "rolled back", "paused", "running", "answered", "none", "failed", "refused", "unreachable"
]


class UpgradeHost(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    current: str  # what the host would start; "": not known from here
    before: str
    after: str
    state: str  # waiting, in turn, upgraded, switched, back, left, unchanged
    trouble: str = ""


class UpgradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    unix_ms: int
    who: str
    what: str


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    exit_code: int
    cluster: str
    sentence: str
    id: str
    before: str
    after: str
    level: int  # that it is, or would be, raised to; 0: left as it is
    accepted: list[str]
    who: str  # began it
    reason: str
    began_unix_ms: int
    next: str  # the step it is at, or would begin with
    evidence: str  # why it goes back, or stands still
    hosts: list[UpgradeHost]
    noted: list[Noted]
    history: list[UpgradeRecord]
    elapsed_ms: int


class UpgradeRun(Upgraded, frozen=True, kw_only=True):
    schema: Literal["coordctl.upgrade-run/1"] = "coordctl.upgrade-run/1"


class UpgradeStatus(Upgraded, frozen=True, kw_only=True):
    schema: Literal["coordctl.upgrade-status/1"] = "coordctl.upgrade-status/1"


class UpgradePaused(Upgraded, frozen=True, kw_only=True):
    schema: Literal["coordctl.upgrade-pause/1"] = "coordctl.upgrade-pause/1"


class UpgradeResumed(Upgraded, frozen=True, kw_only=True):
    schema: Literal["coordctl.upgrade-resume/1"] = "coordctl.upgrade-resume/1"


class UpgradeAborted(Upgraded, frozen=True, kw_only=True):
    schema: Literal["coordctl.upgrade-abort/1"] = "coordctl.upgrade-abort/1"
