"""Whom the verbs ask: a cluster, whatever its engine. Only a type, which nothing loads when it runs."""

from collections.abc import Sequence
from typing import Any, Protocol


class Cluster(Protocol):
    """Asked by a process that has just started. Each engine has one: here it is `asking.Asking`."""

    answered_by: str  # the address that answered last
    remembers: bool  # a write that is asked for again under the same id happens once
    cluster: int  # which one that was; 0: it does not say

    def ask(self, tag: int, *fields: object, is_safe_twice: bool) -> Any:
        """One ask of docs/protocol.md, without its request number. What a Reply has, or a KeepAliveReply, or a CoordError."""

    def take_away(self, operation: list[object], sessions: Sequence[int]) -> int | None:
        """Does it, and says after how many milliseconds the last of these sessions was told; None: it was not within a second."""
