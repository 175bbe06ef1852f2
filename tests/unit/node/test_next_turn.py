import asyncio
from collections.abc import Iterator

import pytest

from coordnode.node.next_turn import NextTurn


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Busy:
    """Each turn of it wants another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.next = NextTurn(loop, self.turn)
        self.turns = 0

    def turn(self) -> None:
        self.next.begins()
        self.turns += 1
        self.next.soon()


def turns_of_one_round(loop: asyncio.AbstractEventLoop, busy: Busy) -> int:
    """Of the loop, which looks at sockets and timers once in each."""
    before = busy.turns
    loop.call_soon(loop.stop)
    loop.run_forever()
    return busy.turns - before


def test_it_is_asked_for_often_and_comes_once(loop: asyncio.AbstractEventLoop) -> None:
    busy = Busy(loop)
    assert not busy.next.is_due()
    for _ in range(3):
        busy.next.soon()
    assert busy.next.is_due()
    assert turns_of_one_round(loop, busy) == 1


def test_ticks_of_a_busy_member_take_the_turn_that_is_due_and_leave_none_behind(loop: asyncio.AbstractEventLoop) -> None:
    busy = Busy(loop)
    busy.next.soon()
    for _ in range(5):
        busy.turn()
    assert turns_of_one_round(loop, busy) == 1
