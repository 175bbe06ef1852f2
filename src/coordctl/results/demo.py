"""What `demo` prints."""

from typing import Literal

import msgspec


class DemoTold(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    sentence: str  # that was seen to be so


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.demo/1"] = "coordctl.demo/1"
    outcome: str  # as told, not as told, interrupted
    exit_code: int  # 0, 1, 130
    not_as_told: str  # what was not
    told: list[DemoTold]
    leader_killed: str
    leader_after: str
    leaderless_ms: int | None
    tokens: list[int]  # of the holders, one after the other
    operations: int  # that the checker judged
    left_behind: list[str]
    elapsed_ms: int
