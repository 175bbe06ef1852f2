"""Throws inputs at ports, each on a connection of its own, and sees how each connection ends."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from tests.processes.hostile.inputs import Make

AT_A_TIME = 32
ENDS_WITHIN_S = 90.0  # far above the bounds of the member: 5 s for who does not go on, 60 s for a watch that is right by chance

TOLD, CUT_OFF, REFUSED_EARLY, ENDLESS = "told", "cut off", "reset while sending", "endless"


class _One(asyncio.Protocol):
    """Sends one input, whole or in two pieces, says that nothing more comes, and waits for the end."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.received = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        transport.write(self.pieces[0])
        if len(self.pieces) == 1:
            transport.write_eof()  # type: ignore[attr-defined]
        else:
            asyncio.get_running_loop().call_soon(self._rest, transport)

    def _rest(self, transport: asyncio.WriteTransport) -> None:
        if not transport.is_closing():
            with suppress(OSError):  # the first piece was enough for the other side
                transport.write(self.pieces[1])
                transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def throw(ports: Sequence[tuple[tuple[str, int], Sequence[Make]]], count: int, seed: int) -> Counter[str]:
    """How connections ended; ENDLESS must not be among it."""
    rng = random.Random(seed)
    ended: Counter[str] = Counter()
    numbers = iter(range(count))
    base = 1 + os.getpid() % 200

    async def worker(number: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in numbers:
            address, makes = ports[rng.randrange(len(ports))]
            data = rng.choice(makes)(rng)
            middle = rng.randrange(len(data))
            pieces = [data] if rng.randrange(2) or not middle else [data[:middle], data[middle:]]
            # From many addresses: a system keeps each pair of ports for a minute after it was used.
            local = (f"127.{base}.{rng.randrange(1, 250)}.{number + 1}", 0)
            one = _One(pieces)
            try:
                transport, _ = await loop.create_connection(lambda one=one: one, *address, local_addr=local)  # type: ignore[misc]
            except OSError:
                ended[REFUSED_EARLY] += 1
                continue
            try:
                await asyncio.wait_for(one.over, ENDS_WITHIN_S)
                ended[TOLD if one.received else CUT_OFF] += 1
            except TimeoutError:
                ended[ENDLESS] += 1
            transport.abort()

    await asyncio.gather(*(worker(number) for number in range(AT_A_TIME)))
    return ended
