"""What `build`, `deploy`, `start`, `stop`, `restart` and `destroy` print."""

from typing import Literal

import msgspec

Outcome = Literal["done", "unchanged", "would change", "failed", "refused", "unreachable"]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.build/1"] = "coordctl.build/1"
    outcome: Literal["built"] = "built"
    exit_code: Literal[0] = 0
    version: str
    target: str
    path: str
    bytes: int
    sha256: str


class HostDone(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    outcome: Outcome
    steps: list[str]  # what was, or would be, changed
    trouble: str


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    level: Literal["stops", "remark"]
    sentence: str
    remedy: str


class FleetDone(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    exit_code: int
    cluster: str
    sentence: str
    hosts: list[HostDone]
    noted: list[Noted]
    elapsed_ms: int


class Deployed(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.deploy/1"] = "coordctl.deploy/1"
    version: str
    endpoints: list[str]


class Started(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.start/1"] = "coordctl.start/1"


class Stopped(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.stop/1"] = "coordctl.stop/1"


class Restarted(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.restart/1"] = "coordctl.restart/1"


class Destroyed(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.destroy/1"] = "coordctl.destroy/1"
