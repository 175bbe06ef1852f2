"""What the verbs of `config` print."""

from typing import Literal

import msgspec

from coordctl.results.deploy import FleetDone


class SettingDrift(msgspec.Struct, frozen=True, kw_only=True):
    setting: str  # a member's setting; or certificates, role, running
    inventory: str | None  # null: it is not set
    host: str | None
    needs: str  # reload, restart; of a role: the verb that changes it


class HostDrift(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    drifts: list[SettingDrift]
    trouble: str  # why it could not be asked; "": it was


class ConfigDiff(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.config-diff/1"] = "coordctl.config-diff/1"
    outcome: Literal["alike", "differs", "unknown"]
    exit_code: Literal[0, 1, 3]
    cluster: str
    sentence: str
    hosts: list[HostDrift]
    sources_answered: int
    sources_asked: int


class ConfigPushed(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.config-push/1"] = "coordctl.config-push/1"


class ConfigReloaded(FleetDone, frozen=True, kw_only=True):
    schema: Literal["coordctl.config-reload/1"] = "coordctl.config-reload/1"
