"""Each format's line is read for what it says, and when; what differs each time is masked."""

import pytest

from coordctl.logs.lines import ERROR, INFO, WARNING, Parser, masked

NOON_MS = 1_795_867_200_123  # 2026-11-28T12:00:00.123Z

LINES = {
    "ours": (
        b'{"at":"2026-11-28T12:00:00.123Z","hlc":"1.0","level":"warning","event":"peer_lost","cluster":7,"member":101,'
        b'"term":3,"index":40,"peer":2}',
        (NOON_MS, "peer_lost", WARNING, "101", 3, 40),
    ),
    "etcd": (
        b'{"level":"warn","ts":"2026-11-28T12:00:00.123456Z","caller":"etcdserver/util.go:170","msg":"apply request took too long",'
        b'"took":"1.2s","raft-term":3}',
        (NOON_MS, "apply request took too long", WARNING, "", 3, 0),
    ),
    "etcd with a zone": (
        b'{"level":"info","ts":"2026-11-28T14:00:00.123+0200","msg":"compacted 4711 revisions"}',
        (NOON_MS, "compacted * revisions", INFO, "", 0, 0),
    ),
    "json with seconds": (b'{"severity":"ERROR","time":1795867200.123,"message":"no"}', (NOON_MS, "no", ERROR, "", 0, 0)),
    "zookeeper": (
        b"2026-11-28 12:00:00,123 [myid:2] - WARN  [QuorumPeer[myid=2](plain=/0:0:0:0:0:0:0:0:2181):Learner@102] - "
        b"Got zxid 0x100000001 expected 0x1",
        (NOON_MS, "Got zxid * expected *", WARNING, "2", 0, 0),
    ),
    "plain": (
        b"[2026-11-28 12:00:00.123] ERROR: cannot open /var/lib/x/y: errno 5",
        (NOON_MS, "ERROR: cannot open *: errno *", ERROR, "", 0, 0),
    ),
    "syslog": (b"Nov 28 12:00:00 web1 kernel: Out of memory: Killed process 812 (coordnode)", (NOON_MS - 123, None, INFO, "", 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_each_format(name: str) -> None:
    raw, (at_ms, kind, level, member, term, index) = LINES[name]
    line = Parser(NOON_MS).parse(raw)
    assert line is not None
    assert (line.at_ms, line.level, line.member, line.term, line.index) == (at_ms, level, member, term, index)
    assert kind in (None, line.kind)


def test_spans_of_time_in_words_become_numbers() -> None:
    line = Parser(NOON_MS).parse(LINES["etcd"][0])
    assert line is not None
    assert line.fields == {"took_ms": 1_200}


@pytest.mark.parametrize("raw", [b"", b"  at java.lang.Thread.run", b"Traceback (most recent call last):", b"12:00 lunch", b'{"a":1}'])
def test_what_has_no_time_is_no_line_of_its_own(raw: bytes) -> None:
    assert Parser(NOON_MS).parse(raw) is None


def test_a_line_that_is_nested_without_end_is_a_damaged_one() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        Parser(NOON_MS).parse(b'{"time":1,"message":' + b"[" * 5_000)


def test_what_says_the_same_is_of_one_kind() -> None:
    parser = Parser(NOON_MS)
    said = [
        b'2026-11-28T12:00:00Z took 12.5ms for "a" from 10.0.0.1:2380, id 8e9e05c52164694d',
        b'2026-11-28T12:00:01Z took 9ms for "b c" from 10.0.0.22:40120, id 91bc3c398fb3c146',
    ]
    kinds = {line.kind for raw in said if (line := parser.parse(raw)) is not None}
    assert kinds == {"took * for * from *, id *"}
    assert masked("a deadbeef cafe face") == "a deadbeef cafe face"  # words that could be numbers, and are none


@pytest.mark.parametrize(("said", "at"), [("Nov 28 12:00:00", "2026-11-28T12:00:00"), ("Dec 31 23:59:59", "2025-12-31T23:59:59")])
def test_a_time_without_a_year_is_the_last_that_is_not_behind_its_file(said: str, at: str) -> None:
    line, dated = Parser(NOON_MS).parse(f"{said} db1 kernel: x".encode()), Parser(NOON_MS).parse(f"{at}Z x".encode())
    assert line is not None
    assert dated is not None
    assert line.at_ms == dated.at_ms


@pytest.mark.parametrize("at", ["1989-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_no_log_can_have_is_none(at: str) -> None:
    assert Parser(NOON_MS).parse(f"{at} x".encode()) is None
    assert Parser(NOON_MS).parse(f'{{"ts":"{at}","msg":"x"}}'.encode()) is None
