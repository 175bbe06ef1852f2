"""What `fence` prints."""

from typing import Literal

import msgspec


class FenceAdmitted(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.fence-admit/1"]
    outcome: Literal["admitted", "stale"]
    exit_code: Literal[0, 76]
    file: str
    token: int
    highest: int
