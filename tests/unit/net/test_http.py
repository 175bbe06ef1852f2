"""The small HTTP server: whole, in pieces, pipelined, malformed, late."""

import asyncio
import re
from typing import cast

import pytest

from coordnode.net.http import TEXT, HttpAnswer, HttpLink, HttpRefused, parse_head
from coordnode.net.limits import HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_SECONDS_MAX, HTTP_SECONDS_MAX
from tests.unit.net.fakes import FakeTransport


class Side:
    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.now = 100.0
        self.lost = 0
        self.link = HttpLink(cast(asyncio.Transport, self.transport), self.answer, lambda: self.now, self.on_lost)

    def answer(self, path: str) -> HttpAnswer:
        return HttpAnswer(200 if path == "/x" else 404, TEXT, path.encode())

    def on_lost(self, _: HttpLink) -> None:
        self.lost += 1

    def said(self) -> bytes:
        said = bytes(self.transport.written)
        self.transport.written.clear()
        return said


GET = b"GET /x?a=b HTTP/1.1\r\nHost: h\r\n\r\n"


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


def test_requests_may_be_pipelined_and_their_bodies_are_skipped() -> None:
    side = Side()
    body = b"GET /y HTTP/1.1\r\n\r\n"
    side.link.data_received(b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body + GET + b"HEAD /x HTTP/1.1\r\n\r\n")
    said = side.said()
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"405", b"200", b"200"]
    assert b"Allow: GET, HEAD\r\n" in said
    assert said.endswith(b"Content-Length: 2\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\n")  # HEAD has no body


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET /x HTTP/1.1", True),
        (b"GET /x HTTP/1.1\r\nConnection: close", False),
        (b"GET /x HTTP/1.1\r\nCONNECTION:\tfoo, Close ", False),
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
        (b"GET /x FTP/1.1", 400),
        (b"GET /x HTTP/2.0", 505),
        (b"GET /x HTTP/1.1\r\nnonsense", 400),
        (b"GET /x HTTP/1.1\r\n folded: yes", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: -1", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: 9999999999999999999", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: %d" % (HTTP_BODY_BYTES_MAX + 1), 413),
        (b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked", 501),
    ],
)
def test_what_is_malformed_is_told_and_the_connection_ends(head: bytes, status: int) -> None:
    with pytest.raises(HttpRefused) as refused:
        parse_head(head)
    assert refused.value.status == status
    side = Side()
    side.link.data_received(head + b"\r\n\r\n" + GET)
    assert side.said().startswith(b"HTTP/1.1 %d " % status)
    assert side.transport.closed


def test_a_head_without_end_is_cut_off_and_not_kept() -> None:
    side = Side()
    for _ in range(HTTP_HEAD_BYTES_MAX // 1024):
        side.link.data_received(b"a" * 1024)
    assert not side.transport.closed
    side.link.data_received(b"a")
    assert side.said().startswith(b"HTTP/1.1 431 ")
    assert side.transport.closed


def test_whoever_is_slow_is_told_and_whoever_is_idle_is_let_go() -> None:
    side = Side()
    side.link.data_received(b"GET /x HT")
    side.now += HTTP_SECONDS_MAX - 0.1
    side.link.data_received(b"T")  # a byte now and then gains no time
    assert not side.link.is_late(side.now)
    side.now += 0.1
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


def test_whoever_does_not_read_the_answer_is_not_read_and_then_cut_off() -> None:
    side = Side()
    side.link.data_received(GET)
    side.link.pause_writing()
    assert not side.transport.reading
    side.transport.unread = 5
    side.now += HTTP_IDLE_SECONDS_MAX
    side.link.time_out()
    assert side.transport.aborted
    side.link.connection_lost(None)
    assert side.lost == 1
