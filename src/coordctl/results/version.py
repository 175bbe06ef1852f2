"""What `version` prints."""

from typing import Literal

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.version/1"] = "coordctl.version/1"
    outcome: Literal["answered"] = "answered"
    exit_code: Literal[0] = 0
    version: str
    python: str
    platform: str
