"""The client core on a byte stream: hellos, frames, and ids of members turned into places. Pure; both shells are built on it.

Its owner opens and closes the one connection, moves bytes, tells the time, and hands events to whoever waits for them.
"""

import random
from collections.abc import Sequence

import msgspec

from coordnode import __version__
from coordnode.address import Address
from coordnode.client.actions import (
    Connect,
    Disconnect,
    Finished,
    Send,
    SessionChanged,
    WatchEvents,
    WatchFailed,
    WatchGapSeen,
)
from coordnode.client.addresses import Places
from coordnode.client.core import ClientCore
from coordnode.errors import ClusterReplaced, CoordError, Unreachable, WrongCluster
from coordnode.ids import NOBODY, ClusterId, MemberId
from coordnode.services.dialogue import Answer, Ask, ErrorReply, KeepAliveAsk
from coordnode.wire.bodies import decode_answers, encode_asks
from coordnode.wire.frames import BODY_BYTES_MAX, HELLO, MSGPACK, REFUSAL, FrameReader
from coordnode.wire.hello import ANY_CLUSTER, HELLO_BYTES_MAX, Hello, decode_hello, decode_refusal, encode_hello


class Dial(msgspec.Struct, frozen=True):
    """Open the connection; then say `on_dialled` or `on_hung_up`."""

    address: Address


class HangUp(msgspec.Struct, frozen=True, gc=False):
    """Close the connection, or stop opening it. Nothing of it may be reported any more."""


class Transmit(msgspec.Struct, frozen=True):
    data: bytes | bytearray


Event = Finished | SessionChanged | WatchEvents | WatchGapSeen | WatchFailed
Step = Dial | HangUp | Transmit | Event


class Link:
    def __init__(
        self,
        endpoints: Sequence[Address],
        rng: random.Random,
        *,
        identity: str,
        cluster: ClusterId = ANY_CLUSTER,
        request_timeout_ms: int = 600,
        token: str = "",
        behalf: tuple[str, str] | None = None,
        reads_anywhere: bool = False,
    ) -> None:
        self._places = Places(endpoints)
        self.core = ClientCore(
            self._places.current(), rng, identity=identity, request_timeout_ms=request_timeout_ms, reads_anywhere=reads_anywhere
        )
        self.cluster = cluster  # ANY_CLUSTER until the first member said hello
        self._hello = Hello(ANY_CLUSTER, NOBODY, NOBODY, 0, identity, __version__, token=token, behalf=behalf, follows=True)
        self._place: MemberId = NOBODY  # of the present connection
        self._dialled = False
        self._greeted = False
        self._reader = FrameReader(HELLO_BYTES_MAX)
        self._steps: list[Step] = []
        self._troubles: dict[Address, str] = {}  # what went wrong with each address since it last answered

    def wake_at_ms(self) -> int | None:
        return self.core.wake_at_ms()

    def poll(self, now_ms: int) -> list[Step]:
        """What to do now, in order. Again until it is empty, after anything else and when `wake_at_ms` has come."""
        asks: list[Ask] = []
        for action in self.core.poll(now_ms):
            if isinstance(action, Send):
                if type(action.ask) is KeepAliveAsk:
                    self._transmit([action.ask], now_ms)  # alone in its frame it waits for nothing else that a member is asked
                else:
                    asks.append(action.ask)
                continue
            self._transmit(asks, now_ms)
            asks = []
            if isinstance(action, Connect):
                self._place = action.member
                self._dialled = self._greeted = False
                self._reader = FrameReader(HELLO_BYTES_MAX)
                self._steps.append(Dial(self._places.address(action.member)))
            elif isinstance(action, Disconnect):
                place, self._place = self._place, NOBODY
                self._steps.append(HangUp())
                self._on_left(place, now_ms)
            elif isinstance(action, Finished):
                self._steps.append(self._explained(action))
            else:
                self._steps.append(action)
        self._transmit(asks, now_ms)
        steps, self._steps = self._steps, []
        return steps

    def _transmit(self, asks: list[Ask], now_ms: int) -> None:
        if asks:
            frames = encode_asks(asks, MSGPACK, self.core.patience_ms(asks, now_ms))
            self._steps.append(Transmit(frames[0] if len(frames) == 1 else b"".join(frames)))

    def _explained(self, finished: Finished) -> Finished:
        """Nobody could be asked: say what each address did instead."""
        error = finished.error
        if not isinstance(error, Unreachable) or not self._troubles:
            return finished
        troubles = "; ".join(f"{address} {trouble}" for address, trouble in self._troubles.items())
        return msgspec.structs.replace(finished, error=Unreachable(f"no member could be asked: {troubles}"))

    # --- what happened to the connection ---------------------------------------------------------------------------

    def on_dialled(self) -> None:
        self._dialled = True
        hello = msgspec.structs.replace(self._hello, cluster=self.cluster)
        self._steps.append(Transmit(encode_hello(hello, MSGPACK)))

    def on_hung_up(self, why: str, now_ms: int) -> None:
        """The other side ended it, or it could not be opened."""
        place, self._place = self._place, NOBODY
        if place != NOBODY:
            self._troubles.setdefault(self._places.address(place), why)
            self.core.on_disconnected(place, now_ms)
            self._on_left(place, now_ms)

    def _on_left(self, place: MemberId, now_ms: int) -> None:
        if place != NOBODY and not self._dialled:
            self._places.on_unreached(place)
        if why := self._places.shut_out():
            self.core.end_all(why, now_ms)

    def on_bytes(self, data: bytes, now_ms: int) -> None:
        if self._place == NOBODY:
            return
        try:
            for frame in self._reader.feed(data):
                if frame.kind == REFUSAL:
                    self._on_refused(decode_refusal(frame), now_ms)
                    return
                if not self._greeted:
                    self._on_hello(decode_hello(frame), now_ms)
                elif frame.kind == HELLO:
                    self._on_contacts(decode_hello(frame))
                else:
                    for answer in decode_answers(frame):
                        self.core.on_answer(self._place, self._in_places(answer), now_ms)
        except CoordError as error:
            self._on_refused(error, now_ms)

    def _on_hello(self, hello: Hello, now_ms: int) -> None:
        if self.cluster not in (ANY_CLUSTER, hello.cluster):
            raise WrongCluster(f"this is cluster {hello.cluster}, not {self.cluster}: check the endpoints")
        self.cluster = hello.cluster
        self._greeted = True
        self._reader.body_bytes_max = BODY_BYTES_MAX
        self._troubles.pop(self._places.address(self._place), None)
        self._on_contacts(hello)
        self.core.on_connected(self._place, now_ms)

    def _on_contacts(self, hello: Hello) -> None:
        self._places.on_hello(self._place, hello.member, hello.contacts)
        self.core.on_members(self._places.current())

    def _on_refused(self, error: CoordError, now_ms: int) -> None:
        if self._place == NOBODY:
            return
        self._places.on_refused(self._place, error)
        self._steps.append(HangUp())
        self.on_hung_up(f"refused: {error.sentence}", now_ms)
        if isinstance(error, ClusterReplaced):
            self.core.end_all(error, now_ms)

    def _in_places(self, answer: Answer) -> Answer:
        if not isinstance(answer, ErrorReply) or answer.leader == NOBODY:
            return answer
        return msgspec.structs.replace(answer, leader=self._places.place_of(answer.leader))
