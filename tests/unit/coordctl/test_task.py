"""A task that was taken, as the runner is told of it."""

import select
from typing import Any, cast

import pytest

from coordctl.hot.asking import Asking
from coordctl.hot.queues import Taken
from coordctl.runner import ending
from coordctl.runner.source import Granted, Lost
from coordctl.runner.task import HeldTask
from coordnode.client.clock import now_ms
from coordnode.errors import ClusterReplaced, CoordError, NotHeld

LEASE_MS = 30_000


class Refusing:
    def __init__(self, error: CoordError) -> None:
        self._error = error

    def ask(self, *_: Any, **_how: Any) -> Any:
        raise self._error


@pytest.mark.parametrize("error", [NotHeld("another one has it"), ClusterReplaced("it was replaced by 2")], ids=["taken", "replaced"])
def test_what_is_not_ours_any_more_is_lost_at_once(error: CoordError) -> None:
    refusing = cast("Asking", Refusing(error))
    taken = Taken(7, 50, b"payload", 1, 0)
    held = HeldTask(lambda _timeout_ms: refusing, b"q", taken, LEASE_MS, now_ms() + LEASE_MS // 2)
    (granted,) = held.poll(now_ms())
    assert isinstance(granted, Granted)
    assert select.select([held.descriptor()[0]], [], [], 10)[0], "well before its lease is over"
    assert held.poll(now_ms()) == [Lost(ending.LOST, error.sentence)]
    held.close(now_ms(), succeeded=False)
