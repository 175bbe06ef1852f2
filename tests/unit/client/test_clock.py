"""The clock that a client counts its leases on."""

import importlib
import time
from collections.abc import Iterator

import pytest

from coordnode.client import clock


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Which clocks are read."""
    found: list[int] = []

    def clock_gettime_ns(which: int) -> int:
        found.append(which)
        return 5_999_999

    monkeypatch.setattr(time, "clock_gettime_ns", clock_gettime_ns)
    yield found
    monkeypatch.undo()
    importlib.reload(clock)


def test_it_goes_on_in_suspend_where_the_system_has_such_a_clock(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    assert importlib.reload(clock).now_ms() == 5, "cut to whole milliseconds, never rounded up"
    assert read == [7]


def test_elsewhere_it_never_goes_back_at_least(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    importlib.reload(clock).now_ms()
    assert read == [time.CLOCK_MONOTONIC]
