"""Bytes of ZooKeeper's protocol, as its own server sends them, and cut anywhere."""

import pytest

from coordctl.engines.lines import Gone, There
from coordctl.engines.zookeeper import jute
from coordctl.engines.zookeeper.jute import Answer, Ask, Frames, Reading
from coordnode.errors import BadRequest, FrameError, NotPermitted, NotReady, SessionExpired

CREATED = bytes.fromhex("00000001") + bytes.fromhex("0000000100000005") + bytes(4)


@pytest.mark.parametrize("step", [1, 3, 1_000])
def test_frames_are_cut_from_whatever_comes(step: int) -> None:
    content = jute.frame(b"one") + jute.frame(b"") + jute.frame(b"three")
    frames = Frames()
    assert [one for at in range(0, len(content), step) for one in frames.feed(content[at : at + step])] == [b"one", b"", b"three"]
    with pytest.raises(FrameError, match="check the endpoint"):
        Frames().feed(b"HTTP/1.1 400 Bad Request")


def test_a_greeting_is_answered_by_a_session_or_by_its_end() -> None:
    granted = jute.number(0) + jute.number(4_000) + jute.long(72_057) + jute.buffer(b"p" * 16) + b"\0"
    assert jute.greeted(granted) == (72_057, 4_000, b"p" * 16)
    assert jute.greeted(jute.number(0) + jute.number(0) + jute.long(0) + jute.buffer(bytes(16))).session == 0
    assert jute.greeting(4_000, 7, b"p" * 16, 9)[4:] == (
        bytes(4) + jute.long(9) + jute.number(4_000) + jute.long(7) + jute.number(16) + b"p" * 16 + b"\0"
    )


def test_an_answer_and_what_is_in_it() -> None:
    stat = jute.long(5) + jute.long(6) + bytes(16) + jute.number(2) + bytes(8) + jute.long(77) + bytes(4) + jute.number(3) + bytes(8)
    xid, answer = jute.answer(CREATED + jute.buffer(b"/a") + stat)
    assert (xid, answer.zxid, answer.error) == (1, (1 << 32) + 5, 0)
    reading = Reading(answer.body)
    assert (reading.buffer(), reading.stat()) == (b"/a", jute.Stat(5, 6, 2, 77, 3))
    with pytest.raises(FrameError):
        reading.number()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((-101, Gone), (-103, Gone), (-110, There), (-112, SessionExpired), (-102, NotPermitted)),
        *((-111, BadRequest), (-108, BadRequest), (-8, BadRequest), (-118, NotReady), (-4, NotReady)),
    ],
)
def test_errors_are_told_apart(error: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        jute.result(Answer(1, error, b""))


def part(kind: int, error: int, body: bytes = b"") -> bytes:
    return jute.number(kind) + b"\0" + jute.number(error) + body


END = jute.number(-1) + b"\1" + jute.number(-1)


def test_a_transaction_is_all_or_none_and_says_what_refused_it() -> None:
    done = part(jute.CHECK, 0) + part(jute.SET, 0, bytes(68)) + part(jute.CREATE2, 0, jute.buffer(b"/a") + bytes(68)) + END
    assert len(jute.results(Answer(9, 0, done))) == 3
    none = part(-1, 0, jute.number(0)) + part(-1, -101, jute.number(-101)) + part(-1, -2, jute.number(-2)) + END
    with pytest.raises(Gone):
        jute.results(Answer(9, 0, none))


def test_a_transaction_as_it_is_sent() -> None:
    checks = jute.check(b"/a")
    assert checks == Ask(13, jute.buffer(b"/a") + jute.number(-1))
    assert jute.packed(jute.multi([checks]), jute.ANYBODY) == jute.number(13) + b"\0" + jute.number(-1) + checks.body + END
