"""What `version` prints."""

from typing import Literal

import msgspec


class VersionMember(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str | None  # null: it does not answer
    level: int | None  # the feature level in force there
    level_max: int | None  # the highest that its build knows
    trouble: str


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["client and member", "member and member"]
    one: str
    other: str
    why: str  # they do not work together; "": they do

    @property
    def works(self) -> bool:
        return not self.why


class Version(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.version/1"] = "coordctl.version/1"
    outcome: Literal["answered", "unreachable"] = "answered"
    exit_code: int = 0
    version: str
    python: str
    platform: str
    wire: int
    storage_format: int
    level_max: int
    members: list[VersionMember]
    pairs: list[Pair]
