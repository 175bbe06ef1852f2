"""One HTTP connection: requests in, one at a time, answers out in their order. Whoever is slow, greedy or mute is bounded and let go.

What was pipelined waits until the request before it is answered; past a bound nothing more is read. Bodies of all connections
together have a bound too: a request that would break it is refused before its body is taken.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from coordnode.net.guests import Guests
from coordnode.net.http import CONTINUE, HttpAnswer, HttpRefused, Request, encode_answer, encode_stream_head, parse_head
from coordnode.net.limits import (
    HTTP_AHEAD_BYTES_MAX,
    HTTP_BODIES_BYTES_MAX,
    HTTP_BYTES_PER_SECOND_MIN,
    HTTP_HEAD_BYTES_MAX,
    HTTP_IDLE_SECONDS_MAX,
    HTTP_SECONDS_MAX,
)
from coordnode.services.callers import Caller

LINGER_SECONDS = 1.0  # what a refused client still sends is read and dropped for so long


class HttpHandler(Protocol):
    """Who answers. For each request exactly one `answer`, or one `begin_stream`, unless the connection is gone."""

    def on_request(self, link: "HttpLink", request: Request) -> None: ...

    def on_writable(self, link: "HttpLink") -> None:
        """A stream was not read for a while, and is now."""

    def on_gone(self, link: "HttpLink") -> None:
        """Nobody waits for the answer, or reads the stream, any more."""

    def refusal(self, status: int, sentence: str) -> HttpAnswer:
        """What is said about a request that cannot be understood."""


class HttpTraffic:
    """Of all connections. Counters only grow, but for `body_bytes` and `links`."""

    def __init__(self) -> None:
        self.links: dict[HttpLink, None] = {}
        self.unread: dict[HttpLink, None] = {}  # answers that the other side has not taken yet
        self.body_bytes = 0  # announced or held by requests that are not answered
        self.requests = 0
        self.refused = 0
        self.cut_off = 0


class HttpLink(asyncio.Protocol):
    def __init__(
        self,
        transport: asyncio.Transport,
        handler: HttpHandler,
        traffic: HttpTraffic,
        now_s: Callable[[], float],
        caller: Caller,
        guests: Guests,
    ) -> None:
        self.caller = caller  # as its connection says; a request may show a token
        self._guests = guests
        self._guest = guests.enter(caller)
        self.transport = transport
        self._handler = handler
        self._traffic = traffic
        self._now_s = now_s
        self._rest = bytearray()
        self._searched = 0
        self._head: Request | None = None  # its body is still to come
        self._answering: Request | None = None
        self._reserved = 0
        self._is_stream = False
        self._is_taking = False
        self._is_read_paused = False
        self._is_unread = False
        self._is_eof = False
        self._over = False
        self._until = now_s() + HTTP_SECONDS_MAX
        traffic.links[self] = None

    # --- requests in -----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._over or self._is_stream:
            return
        if not self._rest and self._head is None and self._answering is None:
            self._until = self._now_s() + HTTP_SECONDS_MAX
        self._rest += data
        self._take()
        self._settle_reading()

    def _take(self) -> None:
        """As many requests as are here and may be answered now. An answer that comes at once ends up in the same loop."""
        if self._is_taking:
            return
        self._is_taking = True
        try:
            while not self._over and self._answering is None and not self._is_unread and self._take_request():
                pass
        except HttpRefused as error:
            self._refuse(error)
        finally:
            self._is_taking = False

    def _take_request(self) -> bool:
        """False: more must come first."""
        rest = self._rest
        head = self._head
        if head is None:
            end = rest.find(b"\r\n\r\n", max(self._searched - 3, 0))
            if end < 0 or end > HTTP_HEAD_BYTES_MAX:
                if len(rest) > HTTP_HEAD_BYTES_MAX:
                    raise HttpRefused(431, f"a request's head has at most {HTTP_HEAD_BYTES_MAX} bytes")
                self._searched = len(rest)
                return False
            head = parse_head(bytes(rest[:end]))
            del rest[: end + 4]
            self._searched = 0
            self._head = head
            self._reserve(head)
        if len(rest) < head.body_bytes:
            return False
        body = bytes(rest[: head.body_bytes])
        del rest[: head.body_bytes]
        self._head = None
        self._answering = head._replace(body=body)
        self._until = math.inf  # whoever answers keeps the time
        self._traffic.requests += 1
        self._handler.on_request(self, self._answering)
        return True

    def _reserve(self, head: Request) -> None:
        traffic = self._traffic
        if traffic.body_bytes + head.body_bytes > HTTP_BODIES_BYTES_MAX:
            raise HttpRefused(503, "too many large requests are under way; try again in a moment")
        self._reserved = head.body_bytes
        traffic.body_bytes += head.body_bytes
        self._until += head.body_bytes / HTTP_BYTES_PER_SECOND_MIN
        if head.headers.get("expect", "").lower() == "100-continue" and len(self._rest) < head.body_bytes:
            self.transport.write(CONTINUE)

    def _release(self) -> None:
        self._traffic.body_bytes -= self._reserved
        self._reserved = 0

    # --- answers out -----------------------------------------------------------------------------------------------

    def is_gone(self) -> bool:
        return self._over

    def answer(self, answer: HttpAnswer) -> None:
        request = self._answering
        if request is None or self._over:
            return
        self._answering = None
        self._release()
        keep_alive = request.keep_alive and not self._is_eof
        self.transport.write(encode_answer(answer, keep_alive=keep_alive, with_body=request.method != "HEAD"))
        self._until = self._now_s() + HTTP_IDLE_SECONDS_MAX
        if not keep_alive:
            self.close()
            return
        if self._rest:
            self._until = self._now_s() + HTTP_SECONDS_MAX
            self._take()
        self._settle_reading()

    def begin_stream(self, content_type: str) -> None:
        if self._answering is None or self._over:
            return
        self._release()
        self._is_stream = True
        self._rest.clear()
        self._settle_reading()
        self.transport.write(encode_stream_head(content_type))

    def stream(self, data: bytes) -> None:
        if self._is_stream and not self._over:
            self.transport.write(data)

    def is_writable(self) -> bool:
        return not self._is_unread and not self._over

    def unread_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def _refuse(self, error: HttpRefused) -> None:
        self._traffic.refused += 1
        self.transport.write(encode_answer(self._handler.refusal(error.status, error.sentence), keep_alive=False))
        self._over = True
        self._rest.clear()
        if self.transport.can_write_eof():  # TLS cannot
            self.transport.write_eof()  # closing over bytes that were not read would take the answer away with it
        self._until = self._now_s() + LINGER_SECONDS

    # --- time and back-pressure ------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """It asks and does not read: nothing more is taken from it until it does."""
        self._is_unread = True
        self._traffic.unread[self] = None
        if self._is_stream:
            self._until = self._now_s() + HTTP_IDLE_SECONDS_MAX
        self._settle_reading()

    def resume_writing(self) -> None:
        self._is_unread = False
        self._traffic.unread.pop(self, None)
        if self._over:
            return
        if self._is_stream:
            self._until = math.inf
            self._handler.on_writable(self)
            return
        self._take()
        self._settle_reading()

    def _settle_reading(self) -> None:
        """A stream is always read: its end is how we learn that nobody listens."""
        too_far_ahead = self._answering is not None and len(self._rest) > HTTP_AHEAD_BYTES_MAX
        paused = not self._over and not self._is_stream and (self._is_unread or too_far_ahead)
        if paused == self._is_read_paused or self.transport.is_closing():
            return
        self._is_read_paused = paused
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def is_late(self, now_s: float) -> bool:
        return now_s >= self._until

    def time_out(self) -> None:
        if self._over and not self.unread_bytes():
            self.transport.abort()
        elif self.unread_bytes():
            self.cut_off()
        elif self._rest or self._head is not None:
            self._refuse(HttpRefused(408, "the request did not arrive in time"))
        else:
            self.close()

    def cut_off(self) -> None:
        """At once, whatever was not read."""
        self._traffic.cut_off += 1
        self.transport.abort()

    def close(self) -> None:
        self._over = True
        self._until = self._now_s() + HTTP_SECONDS_MAX
        self._rest.clear()
        self.transport.close()

    def eof_received(self) -> bool:
        """Whoever says that it will ask nothing more still gets the answer it waits for."""
        self._is_eof = True
        return self._answering is not None and not self._is_stream and not self._over

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._rest.clear()
        self._release()
        if self._traffic.links.pop(self, 0) is None:
            self._guests.leave(self._guest)
        self._traffic.unread.pop(self, None)
        if self._answering is not None:
            self._answering = None
            self._handler.on_gone(self)
