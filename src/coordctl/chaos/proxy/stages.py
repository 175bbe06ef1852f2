"""What each toxic does to the bytes of one direction of one connection. A stage passes on, holds, or drops; its end is an event like data.

Whatever is held when a toxic is taken away goes on at once, in order; where bytes were lost, the connection is closed instead.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from coordctl.chaos.proxy.toxics import Toxic

PIECES_AT_ONCE = 256  # then it is others' turn
PIECES_EACH_SECOND = 50  # of a narrow link: smooth enough, and few timers


class Carrier(Protocol):
    """The direction that a stage is part of."""

    def hold(self, size: int) -> None:
        """So many more bytes wait here; less than none: have gone on."""

    def close(self) -> None:
        """The connection, both ways, once what was passed is sent."""

    def reset(self) -> None: ...


class Stage:
    """Passes all on: what a toxic that does nothing does."""

    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self.toxic = toxic
        self.onward: Callable[[bytes], None] = _nowhere
        self.onward_end: Callable[[], None] = _nothing
        self._carrier = carrier
        self._loop = loop

    def feed(self, data: bytes) -> None:
        self.onward(data)

    def end(self) -> None:
        self.onward_end()

    def refresh(self) -> None:
        """Its toxic was changed."""

    def release(self) -> None:
        """Its toxic is taken away."""

    def stop(self) -> None:
        """The connection is over: nothing more is to happen."""


def _nowhere(_data: bytes) -> None:
    raise AssertionError("a stage passes on before it is linked")


def _nothing() -> None:
    raise AssertionError("a stage ends before it is linked")


class _Queue(Stage):
    """Holds pieces, each until its time; None is the end."""

    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(toxic, carrier, loop)
        self._pieces: deque[tuple[float, bytes | None]] = deque()  # (due, piece)
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def _put(self, piece: bytes | None, delay_seconds: float) -> None:
        now = self._loop.time()
        due = self._last_due = max(self._last_due, now + delay_seconds)
        if due <= now and not self._pieces:
            self._emit(piece)
            return
        self._pieces.append((due, piece))
        if piece is not None:
            self._carrier.hold(len(piece))
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._pieces:
            self._timer = self._loop.call_at(self._pieces[0][0], self._flow)

    def _flow(self) -> None:
        self._timer = None
        now = self._loop.time() + 0.0005  # timers come in milliseconds
        for _ in range(PIECES_AT_ONCE):
            if not self._pieces or self._pieces[0][0] > now:
                break
            self._take()
        self._arm()

    def _take(self) -> None:
        piece = self._pieces.popleft()[1]
        if piece is not None:
            self._carrier.hold(-len(piece))
        self._emit(piece)

    def _emit(self, piece: bytes | None) -> None:
        if piece is None:
            self.onward_end()
        else:
            self.onward(piece)

    def release(self) -> None:
        self.stop()
        while self._pieces:
            self._take()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Latency(_Queue):
    def feed(self, data: bytes) -> None:
        latency, jitter = self.toxic.attributes["latency"], self.toxic.attributes["jitter"]
        spread = random.uniform(-jitter, jitter) if jitter > 0 else 0.0
        self._put(data, max(0.0, latency + spread) / 1000)

    def end(self) -> None:
        self._put(None, 0.0)


class Loss(_Queue):
    """TCP hides a lost packet, but for the time that it takes to send it again; all that follows waits for it."""

    def feed(self, data: bytes) -> None:
        is_lost = random.random() * 100 < self.toxic.attributes["rate"]
        self._put(data, self.toxic.attributes["retransmit"] / 1000 if is_lost else 0.0)

    def end(self) -> None:
        self._put(None, 0.0)


class Slicer(_Queue):
    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(toxic, carrier, loop)
        self._whole: deque[bytes | None] = deque()  # to be cut yet; None is the end
        self._at = 0  # in the first of them
        self._soon: asyncio.Handle | None = None

    def feed(self, data: bytes) -> None:
        self._carrier.hold(len(data))
        self._whole.append(data)
        self._cut_on()

    def end(self) -> None:
        self._whole.append(None)
        self._cut_on()

    def _cut_on(self) -> None:
        if self._soon is None:
            self._cut()

    def _cut(self) -> None:
        """Some at once: others on this loop have their turn between."""
        self._soon = None
        for _ in range(PIECES_AT_ONCE):
            if not self._whole:
                return
            self._cut_one()
        if self._whole:
            self._soon = self._loop.call_soon(self._cut)

    def _cut_one(self) -> None:
        data, attributes = self._whole[0], self.toxic.attributes
        average, variation, delay = int(attributes["average_size"]), int(attributes["size_variation"]), attributes["delay"] / 1e6
        if data is None:
            self._whole.popleft()
            self._put(None, 0.0)
            return
        size = max(1, average + (random.randint(-variation, variation) if variation > 0 else 0)) if average > 0 else len(data)
        piece = data[self._at : self._at + size]
        self._at += len(piece)
        if self._at >= len(data):
            self._whole.popleft()
            self._at = 0
        self._carrier.hold(-len(piece))
        is_late = average > 0 and delay > 0
        self._put(piece, max(0.0, self._last_due - self._loop.time()) + delay if is_late else 0.0)

    def release(self) -> None:
        super().release()
        at, self._at = self._at, 0
        while self._whole:
            data = self._whole.popleft()
            if data is not None:
                self._carrier.hold(at - len(data))
                data = data[at:]
            self._emit(data)
            at = 0

    def stop(self) -> None:
        super().stop()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None


class Bandwidth(Stage):
    """A rate of 0 is a black hole until it is changed or taken away: all that comes is held, as far as the sender may send."""

    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(toxic, carrier, loop)
        self._waiting: deque[bytes | None] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0  # when what was passed so far is through

    def feed(self, data: bytes) -> None:
        self._carrier.hold(len(data))
        self._waiting.append(data)
        self._arm()

    def end(self) -> None:
        self._waiting.append(None)
        self._arm()

    def _arm(self) -> None:
        rate = self.toxic.attributes["rate"] * 1000
        if self._timer is not None or not self._waiting or rate <= 0:
            return
        piece = self._waiting[0]
        if piece is None:
            self._waiting.popleft()
            self.onward_end()
            return
        size = max(1, min(len(piece), int(rate / PIECES_EACH_SECOND)))
        self._free_at = max(self._free_at, self._loop.time()) + size / rate
        self._timer = self._loop.call_at(self._free_at, self._pass, size)

    def _pass(self, size: int) -> None:
        self._timer = None
        piece = self._waiting.popleft()
        assert piece is not None
        if len(piece) > size:
            self._waiting.appendleft(piece[size:])
        self._carrier.hold(-size)
        self.onward(piece[:size])
        self._arm()

    def refresh(self) -> None:
        self.stop()
        self._free_at = 0.0
        self._arm()

    def release(self) -> None:
        self.stop()
        while self._waiting:
            piece = self._waiting.popleft()
            if piece is None:
                self.onward_end()
            else:
                self._carrier.hold(-len(piece))
                self.onward(piece)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Late(Stage):
    """One thing that happens later."""

    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(toxic, carrier, loop)
        self._timer: asyncio.TimerHandle | None = None

    def _later(self, milliseconds: float, act: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._loop.call_later(max(0.0, milliseconds) / 1000, act)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SlowClose(_Late):
    _is_ending = False

    def end(self) -> None:
        self._is_ending = True
        self._later(self.toxic.attributes["delay"], self._end)

    def _end(self) -> None:
        self._is_ending = False
        self.onward_end()

    def release(self) -> None:
        self.stop()
        if self._is_ending:
            self._end()


class Timeout(_Late):
    """Nothing passes, not even the end; after the time the connection is closed, with 0 never."""

    def __init__(self, toxic: Toxic, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(toxic, carrier, loop)
        self.refresh()

    def feed(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        pass

    def refresh(self) -> None:
        self.stop()
        if self.toxic.attributes["timeout"] > 0:
            self._later(self.toxic.attributes["timeout"], self._carrier.close)

    def release(self) -> None:
        self.stop()
        self._carrier.close()


class ResetPeer(_Late):
    """The first piece brings the reset, after the time."""

    def feed(self, data: bytes) -> None:
        if self._timer is None:
            self._later(self.toxic.attributes["timeout"], self._carrier.reset)

    def end(self) -> None:
        self.feed(b"")

    def release(self) -> None:
        if self._timer is not None:  # bytes were lost
            self.stop()
            self._carrier.reset()


class LimitData(Stage):
    _passed = 0

    def feed(self, data: bytes) -> None:
        left = int(self.toxic.attributes["bytes"]) - self._passed
        if left > 0:
            self._passed += min(left, len(data))
            self.onward(data[:left])
        if self._passed >= self.toxic.attributes["bytes"]:
            self._carrier.close()


STAGES: dict[str, type[Stage]] = {
    "noop": Stage,
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "limit_data": LimitData,
    "loss": Loss,
}
