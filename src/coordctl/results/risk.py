"""What the verbs of `risk` print."""

from typing import Literal

import msgspec


class AcceptedRisk(msgspec.Struct, frozen=True, kw_only=True):
    risk: str
    unix_s: int  # when it was accepted last
    by: str
    verb: str
    reason: str


class RiskList(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.risk-ls/1"] = "coordctl.risk-ls/1"
    outcome: Literal["answered", "none", "unreachable"]
    exit_code: Literal[0, 1, 69]
    cluster: str
    risks: list[AcceptedRisk]


class RiskCleared(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.risk-clear/1"] = "coordctl.risk-clear/1"
    outcome: Literal["done", "unchanged"]
    exit_code: Literal[0]
    cluster: str
    risk: str
    sentence: str
