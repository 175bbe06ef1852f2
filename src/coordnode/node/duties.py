"""What a leader sees to beside its log: that it hands on if it is drained, and that somebody takes the place of a voter that is gone."""

from collections.abc import Callable

from coordnode.node.drains import Yielding
from coordnode.node.standing_in import StandingIn
from coordnode.node.telemetry import Telemetry
from coordnode.replica.replica import Replica


class Duties:
    """Asked once per tick."""

    def __init__(self, replica: Replica, telemetry: Telemetry, now_ms: Callable[[], int], promote_after_ms: int) -> None:
        self._yielding = Yielding(replica, telemetry, now_ms)
        self._standing_in = StandingIn(replica, telemetry, now_ms, promote_after_ms)

    def on_tick(self) -> None:
        self._yielding.on_tick()
        self._standing_in.on_tick()
