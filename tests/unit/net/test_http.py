"""HTTP connections: whole, in pieces, pipelined, malformed, late, greedy, with bodies, with answers that take their time."""

import asyncio
import re
from typing import cast

import pytest

from coordnode.net.guests import Guests
from coordnode.net.http import CONTINUE, TEXT, HttpAnswer, HttpRefused, parse_head
from coordnode.net.http_link import LINGER_SECONDS, HttpLink, HttpTraffic
from coordnode.net.limits import (
    HTTP_AHEAD_BYTES_MAX,
    HTTP_BODIES_BYTES_MAX,
    HTTP_BODY_BYTES_MAX,
    HTTP_BYTES_PER_SECOND_MIN,
    HTTP_HEAD_BYTES_MAX,
    HTTP_IDLE_SECONDS_MAX,
    HTTP_SECONDS_MAX,
)
from coordnode.services.callers import NOBODY_KNOWN
from tests.unit.net.fakes import FakeHandler, FakeTransport


class Side:
    def __init__(self, traffic: HttpTraffic | None = None) -> None:
        self.transport = FakeTransport()
        self.handler = FakeHandler()
        self.traffic = traffic or HttpTraffic()
        self.now = 100.0
        self.link = HttpLink(cast(asyncio.Transport, self.transport), self.handler, self.traffic, lambda: self.now, NOBODY_KNOWN, Guests())

    def said(self) -> bytes:
        said = bytes(self.transport.written)
        self.transport.written.clear()
        return said


GET = b"GET /x?a=b HTTP/1.1\r\nHost: h\r\n\r\n"


def put(size: int, *, headers: bytes = b"") -> bytes:
    return b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n" % (size, headers)


def test_a_request_is_answered_whole_and_in_pieces() -> None:
    side = Side()
    side.link.data_received(GET)
    whole = side.said()
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole.endswith(b"\r\n\r\n/x")
    assert b"Content-Length: 2\r\n" in whole
    for number in range(len(GET)):
        side.link.data_received(GET[number : number + 1])
        assert bool(side.transport.written) == (number == len(GET) - 1)
    assert side.said() == whole
    assert not side.transport.closed
    assert [(request.method, request.path, request.query) for request in side.handler.requests] == 2 * [("GET", "/x", "a=b")]


def test_requests_may_be_pipelined_and_each_has_its_own_body() -> None:
    side = Side()
    body = b"GET /y HTTP/1.1\r\n\r\n"
    side.link.data_received(put(len(body)) + body + GET + b"HEAD /x HTTP/1.1\r\n\r\n")
    said = side.said()
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"200", b"200", b"200"]
    assert [request.body for request in side.handler.requests] == [body, b"", b""]
    assert said.endswith(b"Connection: keep-alive\r\n\r\n")  # HEAD has no body
    assert side.traffic.body_bytes == 0


def test_what_is_pipelined_waits_for_the_answer_before_it() -> None:
    side = Side()
    side.handler.is_thinking = True
    side.link.data_received(GET + GET)
    assert len(side.handler.requests) == 1
    side.link.answer(HttpAnswer(200, TEXT, b"first"))
    assert side.said().endswith(b"first")
    assert len(side.handler.requests) == 2
    side.link.answer(HttpAnswer(200, TEXT, b"second"))
    assert side.said().endswith(b"second")
    side.link.answer(HttpAnswer(200, TEXT, b"nobody asked"))
    assert side.said() == b""


def test_whoever_pipelines_without_end_is_not_read_until_answers_go_out() -> None:
    side = Side()
    side.handler.is_thinking = True
    side.link.data_received(GET)
    while side.transport.reading:
        side.link.data_received(GET * 100)
        assert len(side.link._rest) <= HTTP_AHEAD_BYTES_MAX + 100 * len(GET)
    side.handler.is_thinking = False
    side.link.answer(HttpAnswer(200, TEXT, b""))
    assert side.transport.reading
    assert not side.link._rest


def test_nobody_waits_for_the_answer_of_one_who_left() -> None:
    side = Side()
    side.handler.is_thinking = True
    side.link.data_received(put(5) + b"12345")
    assert side.traffic.body_bytes == 5
    side.link.connection_lost(None)
    assert side.handler.gone == 1
    assert side.traffic.body_bytes == 0
    assert not side.traffic.links
    side.link.answer(HttpAnswer(200, TEXT, b"late"))
    assert side.said() == b""


def test_whoever_only_ended_its_own_side_still_gets_the_answer() -> None:
    side = Side()
    side.handler.is_thinking = True
    assert not side.link.eof_received()  # idle: the connection ends
    side.link.data_received(GET)
    assert side.link.eof_received()
    side.link.answer(HttpAnswer(200, TEXT, b"here"))
    assert side.said().endswith(b"here")
    assert side.transport.closed


def test_a_large_body_has_time_and_is_asked_for() -> None:
    side = Side()
    size = 2 * HTTP_BYTES_PER_SECOND_MIN
    side.link.data_received(put(size, headers=b"Expect: 100-continue\r\n"))
    assert side.said() == CONTINUE
    side.now += HTTP_SECONDS_MAX + 1.9
    assert not side.link.is_late(side.now)
    side.now += 0.2
    assert side.link.is_late(side.now)
    side.link.data_received(bytes(size))
    assert side.said().startswith(b"HTTP/1.1 200 ")
    side.link.data_received(put(3, headers=b"Expect: 100-continue\r\n") + b"abc")  # it did not wait
    assert side.said().startswith(b"HTTP/1.1 200 ")


def test_bodies_of_all_connections_have_a_bound_together() -> None:
    traffic = HttpTraffic()
    sides = [Side(traffic) for _ in range(HTTP_BODIES_BYTES_MAX // HTTP_BODY_BYTES_MAX)]
    for side in sides:
        side.link.data_received(put(HTTP_BODY_BYTES_MAX))
    late = Side(traffic)
    late.link.data_received(put(1))
    assert late.said().startswith(b"HTTP/1.1 503 ")
    sides[0].link.connection_lost(None)
    assert traffic.body_bytes == HTTP_BODIES_BYTES_MAX - HTTP_BODY_BYTES_MAX
    again = Side(traffic)
    again.link.data_received(put(1) + b"x")
    assert again.said().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET /x HTTP/1.1", True),
        (b"GET /x HTTP/1.1\r\nConnection: close", False),
        (b"GET /x HTTP/1.1\r\nCONNECTION:\tfoo, Close ", False),
        (b"GET /x HTTP/1.1\r\nConnection: foo\r\nConnection: close", False),
        (b"GET /x HTTP/1.0", False),
        (b"GET /x HTTP/1.0\r\nConnection: Keep-Alive", True),
    ],
)
def test_connections_are_kept_as_the_request_says(head: bytes, keeps: bool) -> None:
    side = Side()
    side.link.data_received(head + b"\r\n\r\n")
    assert side.transport.closed is not keeps
    assert (b"Connection: keep-alive" in side.said()) is keeps


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /x", 400),
        (b"GET  /x HTTP/1.1", 400),
        (b"G\x00T /x HTTP/1.1", 400),
        (b" /x HTTP/1.1", 400),
        (b"GET x HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /a\tb HTTP/1.1", 400),
        (b"GET /x FTP/1.1", 400),
        (b"GET /x HTTP/2.0", 505),
        (b"GET /x HTTP/1.1\r\nnonsense", 400),
        (b"GET /x HTTP/1.1\r\n folded: yes", 400),
        (b"GET /x HTTP/1.1\r\nA: b\nC: d", 400),
        (b"GET /x HTTP/1.1\r\nA: b\x00", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: -1", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: 1, 1", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: \xb2", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: 9999999999999999999", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: %d" % (HTTP_BODY_BYTES_MAX + 1), 413),
        (b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked", 501),
        (b"GET /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: identity", 501),
    ],
)
def test_what_is_malformed_is_told_and_the_connection_ends(head: bytes, status: int) -> None:
    with pytest.raises(HttpRefused) as refused:
        parse_head(head)
    assert refused.value.status == status
    side = Side()
    side.link.data_received(head + b"\r\n\r\n" + GET)
    assert side.said().startswith(b"HTTP/1.1 %d " % status)
    assert side.transport.eof
    assert not side.handler.requests


def test_the_refused_may_finish_speaking_and_are_not_listened_to() -> None:
    side = Side()
    side.link.data_received(put(HTTP_BODY_BYTES_MAX + 1))
    side.said()
    side.link.data_received(bytes(100_000))
    assert side.said() == b""
    assert not side.link._rest
    side.now += LINGER_SECONDS
    assert side.link.is_late(side.now)
    side.link.time_out()
    assert side.transport.aborted


def test_a_head_without_end_is_cut_off_and_not_kept() -> None:
    side = Side()
    for _ in range(HTTP_HEAD_BYTES_MAX // 1024):
        side.link.data_received(b"a" * 1024)
    assert not side.transport.eof
    side.link.data_received(b"a")
    assert side.said().startswith(b"HTTP/1.1 431 ")
    assert side.transport.eof


def test_whoever_is_slow_is_told_and_whoever_is_idle_is_let_go() -> None:
    for sent in (b"GET /x HT", put(10) + b"123"):
        side = Side()
        side.link.data_received(sent)
        side.now += HTTP_SECONDS_MAX - 0.1
        side.link.data_received(b"T")  # a byte now and then gains no time
        assert not side.link.is_late(side.now)
        side.now += 0.2
        assert side.link.is_late(side.now)
        side.link.time_out()
        assert side.said().startswith(b"HTTP/1.1 408 ")

    side = Side()
    side.link.data_received(GET)
    side.said()
    side.now += HTTP_IDLE_SECONDS_MAX - 0.1
    assert not side.link.is_late(side.now)
    side.now += 0.1
    side.link.time_out()
    assert side.transport.closed
    assert side.said() == b""


def test_an_answer_may_take_its_time() -> None:
    side = Side()
    side.handler.is_thinking = True
    side.link.data_received(GET)
    assert not side.link.is_late(side.now + 1e9)


def test_whoever_does_not_read_the_answer_is_not_read_and_then_cut_off() -> None:
    side = Side()
    side.link.data_received(GET)
    side.link.pause_writing()
    assert not side.transport.reading
    assert side.link in side.traffic.unread
    side.transport.unread = 5
    side.now += HTTP_IDLE_SECONDS_MAX
    side.link.time_out()
    assert side.transport.aborted
    side.link.connection_lost(None)
    assert not side.traffic.unread


def test_whoever_reads_again_is_read_again() -> None:
    side = Side()
    side.link.data_received(GET)
    side.link.pause_writing()
    side.link.data_received(GET)  # was under way already
    assert len(side.handler.requests) == 1
    side.link.resume_writing()
    assert side.transport.reading
    assert len(side.handler.requests) == 2


def test_a_stream_is_written_while_it_is_read_and_ends_with_the_connection() -> None:
    side = Side()
    side.handler.is_thinking = True
    side.link.data_received(GET)
    side.link.begin_stream("text/event-stream")
    side.link.stream(b"one")
    said = side.said()
    assert b"Connection: close\r\n" in said
    assert b"Content-Length" not in said
    assert said.endswith(b"\r\n\r\none")
    side.link.data_received(GET * 1000)
    assert not side.link._rest
    assert side.transport.reading
    assert not side.link.is_late(side.now + 1e9)
    side.link.pause_writing()
    assert not side.link.is_writable()
    assert side.transport.reading, "its end is how we learn that nobody listens"
    assert side.link.is_late(side.now + HTTP_IDLE_SECONDS_MAX)
    side.link.resume_writing()
    assert side.handler.writable == 1
    assert not side.link.is_late(side.now + 1e9)
    assert not side.link.eof_received()
    side.link.connection_lost(None)
    assert side.handler.gone == 1
