"""Bytes of etcd's gateway: as 3.4 and 3.6 send them, whole, byte by byte, and damaged."""

import json
from base64 import b64encode
from typing import Any

import pytest

from coordctl.engines.etcd import gateway
from coordctl.engines.etcd.gateway import Answer, Ask, Reader, result
from coordctl.engines.lines import Gone, There
from coordnode.errors import BadRequest, FrameError, NoSpace, NotPermitted, NotReady

BODY = b'{"ID":"7"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nTrailer: Grpc-Trailer-Content-Type\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'6\r\n{"code\r\n4\r\n":5}\r\n0\r\nGrpc-Trailer-Content-Type: application/grpc\r\n\r\n'
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def fed(reader: Reader, parts: list[bytes]) -> list[Answer]:
    return [answer for part in parts for answer in reader.feed(part)]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
def test_answers_come_one_after_the_other_however_they_are_cut(step: int) -> None:
    content = WHOLE + CHUNKED + WHOLE
    parts = [content[at : at + step] for at in range(0, len(content), step)]
    assert fed(Reader(), parts) == [Answer(200, {"ID": "7"}), Answer(404, {"code": 5}), Answer(200, {"ID": "7"})]


@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_each_line_of_a_stream_is_one(step: int) -> None:
    lines = [b'{"result":{"created":true}}\n', b'{"result":{"events":[]}}\n']
    content = STREAM + b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in (lines[0], lines[1][:9], lines[1][9:]))
    found = fed(Reader(streams=True), [content[at : at + step] for at in range(0, len(content), step)])
    assert [answer.body for answer in found] == [{"result": {"created": True}}, {"result": {"events": []}}]


@pytest.mark.parametrize(
    "content", [b"\x00\x01\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_what_is_something_else_is_said_to_be(content: bytes) -> None:
    with pytest.raises(FrameError, match="check the endpoint"):
        Reader().feed(content)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            Answer(404, {"error": "etcdserver: requested lease not found", "message": "etcdserver: requested lease not found", "code": 5}),
            Gone,
        ),
        (Answer(400, {"code": 9, "message": "etcdserver: lease already exists", "details": []}), There),
        (Answer(503, {"code": 14, "message": "etcdserver: no leader"}), NotReady),
        (Answer(503, {"code": 14, "message": "etcdserver: request timed out"}), NotReady),
        (Answer(429, {"code": 8, "message": "etcdserver: mvcc: database space exceeded"}), NoSpace),
        (Answer(403, {"code": 7, "message": "etcdserver: permission denied"}), NotPermitted),
        (Answer(400, {"code": 3, "message": "etcdserver: key is not provided"}), BadRequest),
        (Answer(404, "Not Found"), FrameError),
        (Answer(200, {"error": {"grpc_code": 14, "message": "no leader"}}), NotReady),
    ],
)
def test_refusals_are_told_apart(answer: Answer, error: type[Exception]) -> None:
    with pytest.raises(error):
        result(answer)


def test_what_is_asked_is_json() -> None:
    body: dict[str, Any] = {"key": b"\x00a", "list": [1, True, {"text": 'a"ü'}], "none": []}
    sent = gateway.request(Ask("kv/range", body), "127.0.0.1:2379")
    head, _, said = sent.partition(b"\r\n\r\n")
    assert json.loads(said) == {"key": b64encode(b"\x00a").decode(), "list": [1, True, {"text": 'a"ü'}], "none": []}
    first, *fields = head.split(b"\r\n")
    assert first == b"POST /v3/kv/range HTTP/1.1"
    assert fields == [b"Host: 127.0.0.1:2379", b"Accept: application/json", b"Content-Length: %d" % len(said)]
    assert b"\r\nAuthorization: wonder.12\r\n" in gateway.request(Ask("kv/range", body), "127.0.0.1:2379", "wonder.12")
