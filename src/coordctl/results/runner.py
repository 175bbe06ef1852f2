"""What the runners (`lock run` and its kind) write with --report."""

from typing import Literal

import msgspec


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the runners write with --report."""

    schema: Literal["coordctl.run-report/1"]
    outcome: Literal[
        "ended",
        "not started",
        "lost",
        "broken",
        "hold-max",
        "not acquired",
        "unreachable",
        "not permitted",
        "usage",
        "interrupted",
        "done before",
    ]
    exit_code: int
    token: int | None  # null: it was never held
    waited_ms: int
    held_ms: int
