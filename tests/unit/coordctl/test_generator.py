"""A process that generates load, without a cluster: what it does when it itself stands still."""

import io
import os
import time
from typing import Any

from coordctl.load.pace import NS
from coordctl.operations.generator import Generator, Go, Plan

RATE, LASTS_NS = 100.0, NS // 5


class Seat:
    """A connection that has a place for everything, or for the first few."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.meant_ns: list[int] = []
        self.under_way = 0

    def has_place(self) -> bool:
        return len(self.meant_ns) < self.places

    def begin(self, _operation: object, meant_ns: int, _begin_ns: int, *, is_counted: bool) -> None:
        assert is_counted
        self.meant_ns.append(meant_ns)

    def abandon(self) -> list[object]:
        return []


class Still(Generator):
    """It begins what is due first, and then is not run any more until the time is over."""

    go: Go

    def _turn(self, until_ns: int | None) -> None:
        time.sleep(max(0, self.go.end_ns - time.monotonic_ns()) / NS)

    def _carry_out(self, connection: Any) -> None: ...


def loaded(seat: Seat) -> tuple[int, dict[str, int]]:
    """(how many were begun, what failed)"""
    names = {"endpoints": ["127.0.0.1:1"], "identity": "test", "prefix": "p", "workload": "put"}
    plan = Plan(**names, value_bytes=8, connections=0, outstanding=1, rate=RATE, part=0, parts=1, ttl_ms=1_000, timeout_ms=1_000)  # type: ignore[arg-type]
    reading, writing = os.pipe()
    still = Still(plan, io.BytesIO(), reading)
    try:
        still._connections = [seat]  # type: ignore[list-item]
        begin_ns = time.monotonic_ns()
        still.go = still._go = Go(begin_ns, begin_ns, begin_ns + LASTS_NS)
        still._load(still.go)
    finally:
        still._epoll.close()
        os.close(reading)
        os.close(writing)
    return len(seat.meant_ns), dict(still.tally.failed)


def test_what_became_due_while_it_stood_still_is_late_and_no_failure_of_the_cluster() -> None:
    seat = Seat(1_000)
    assert loaded(seat) == (20, {})
    assert [late - early for early, late in zip(seat.meant_ns, seat.meant_ns[1:], strict=False)] == [NS // 100] * 19


def test_what_has_no_place_because_nobody_answers_is_one() -> None:
    assert loaded(Seat(5)) == (5, {"Unsent": 15})
