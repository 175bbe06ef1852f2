"""A toxic that cuts what passes into many pieces: in order, whole, and others have their turn meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from coordctl.chaos.proxy.stages import PIECES_AT_ONCE, Slicer
from coordctl.chaos.proxy.toxics import Toxic

SIZE = 20_000
DATA = bytes(number % 251 for number in range(SIZE))
END = b""  # what is passed on when it ends


class Carrier:
    held = 0

    def hold(self, size: int) -> None:
        self.held += size
        assert self.held >= 0

    def close(self) -> None: ...

    def reset(self) -> None: ...


class Passed:
    def __init__(self, loop: asyncio.AbstractEventLoop, average: int, delay_us: int) -> None:
        self.carrier = Carrier()
        self.pieces: list[bytes] = []
        attributes: dict[str, int | float] = {"average_size": average, "size_variation": 0, "delay": delay_us}
        self.stage = Slicer(Toxic("a", "slicer", "upstream", 1.0, attributes, 0), self.carrier, loop)
        self.stage.onward = self.pieces.append
        self.stage.onward_end = lambda: self.pieces.append(END)

    async def until(self, is_so: Callable[[], bool]) -> int:
        """How often others had their turn."""
        turns = 0
        async with asyncio.timeout(30):
            while not is_so():
                turns += 1
                await asyncio.sleep(0)
        return turns


@pytest.mark.parametrize("delay_us", [0, 1])
def test_others_have_their_turn_while_much_is_cut_small(delay_us: int) -> None:
    async def look() -> None:
        passed = Passed(asyncio.get_running_loop(), 1, delay_us)
        passed.stage.feed(DATA)
        assert len(passed.pieces) <= PIECES_AT_ONCE
        assert passed.carrier.held == SIZE - len(passed.pieces)
        passed.stage.feed(DATA[::-1])
        passed.stage.end()
        turns = await passed.until(lambda: END in passed.pieces)
        assert turns >= 2 * SIZE / PIECES_AT_ONCE - 2
        assert passed.pieces == [bytes([one]) for one in DATA + DATA[::-1]] + [END]
        assert passed.carrier.held == 0

    asyncio.run(look())


def test_what_is_not_cut_yet_goes_on_whole_when_the_toxic_is_taken_away() -> None:
    async def look() -> None:
        passed = Passed(asyncio.get_running_loop(), 3, 0)
        passed.stage.feed(DATA)
        passed.stage.feed(DATA)
        passed.stage.end()
        await passed.until(lambda: len(passed.pieces) >= 3 * PIECES_AT_ONCE)
        passed.stage.release()
        assert b"".join(passed.pieces) == DATA + DATA
        assert passed.pieces[-1] == END
        assert passed.pieces[-2] == DATA
        assert passed.carrier.held == 0
        count = len(passed.pieces)
        await asyncio.sleep(0.01)
        assert len(passed.pieces) == count

    asyncio.run(look())


def test_nothing_is_cut_any_more_once_the_connection_is_over() -> None:
    async def look() -> None:
        passed = Passed(asyncio.get_running_loop(), 1, 0)
        passed.stage.feed(DATA)
        passed.stage.stop()
        count = len(passed.pieces)
        await asyncio.sleep(0.01)
        assert len(passed.pieces) == count

    asyncio.run(look())
