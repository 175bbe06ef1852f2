"""What runs on hosts to cut their logs: as much as the window wants, and no more, wherever in a file it is."""

import io
import json
import re
import socket
import tarfile
from pathlib import Path

import pytest

from coordctl.onhost import gather
from coordctl.operations import logs
from coordctl.operations.windows import Asked

MINUTE_MS = 60_000
BEGAN_MS = 1_795_000_000_000


def stamp(at_ms: int) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03d}Z"


def cut(path: Path, from_ms: int, to_ms: int) -> list[bytes]:
    with path.open("rb") as file:
        return list(gather.cut(file, from_ms, to_ms))


def test_a_window_is_cut_out_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events"
    filler = "x" * 200
    path.write_text("".join(f'{{"at":"{stamp(BEGAN_MS + 100 * number)}","{filler}":{number}}}\n' for number in range(30_000)))
    assert path.stat().st_size > 5 * gather.HALVED_TO_BYTES
    for first in (0, 1, 4_711, 15_000, 29_990):
        found = cut(path, BEGAN_MS + 100 * first, BEGAN_MS + 100 * (first + 10))
        assert [int(line.rpartition(b":")[2][:-1]) for line in found] == list(range(first, first + 10))
    assert cut(path, 0, BEGAN_MS) == []
    assert cut(path, BEGAN_MS + 3_000_000, 1 << 62) == []


def test_lines_without_a_time_go_with_the_line_before(tmp_path: Path) -> None:
    path = tmp_path / "member.out"
    times = [stamp(BEGAN_MS + MINUTE_MS * number) for number in range(3)]
    path.write_text(f"no time\n{times[0]} a\nTraceback\n{times[1]} b\n  File x\n9999-99-99T99:99:99Z\n{times[2]} c\n")
    assert cut(path, BEGAN_MS + 1, BEGAN_MS + MINUTE_MS + 1)[1:] == [b"  File x", b"9999-99-99T99:99:99Z"]


@pytest.mark.parametrize("zone", ["+02:00", "+0200"])
def test_zones_are_minded(zone: str) -> None:
    there = stamp(BEGAN_MS + 120 * MINUTE_MS).replace("Z", zone)
    assert gather.time_of(there.encode() + b" host kernel: x") == BEGAN_MS


def test_what_the_kernel_said_has_the_time_at_which_it_said_it() -> None:
    """A journal that began later heard it at its own beginning."""
    began_us = BEGAN_MS * 1_000
    rows = [
        {"__REALTIME_TIMESTAMP": str(began_us), "__MONOTONIC_TIMESTAMP": "900000000", "_SOURCE_MONOTONIC_TIMESTAMP": "300000000"},
        {"__REALTIME_TIMESTAMP": str(began_us), "__MONOTONIC_TIMESTAMP": "900000000", "MESSAGE": [79, 111, 112, 115, 255]},
    ]
    text = b"\n".join([json.dumps({"MESSAGE": "Killed process 8865", **row}).encode() for row in rows]) + b'\n{"__REALTIME'
    lines = gather.said_by_kernel(text).splitlines()
    assert [gather.time_of(line) for line in lines] == [BEGAN_MS - 600_000, BEGAN_MS]
    assert lines[0].endswith(b" kernel: Killed process 8865")
    assert b"Oops" in lines[1]


def test_what_is_too_much_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events"
    path.write_text("".join(f"{stamp(BEGAN_MS + number)} line {number}\n" for number in range(100)))
    monkeypatch.setattr(gather, "FILE_BYTES_MAX", 1_000)
    packed = gather.Packed(BEGAN_MS, BEGAN_MS + 100, re.compile(b""))
    packed.log(str(path), "member/events", is_missed=True)
    packed.log(str(tmp_path / "none"), "member/flight.log", is_missed=True)
    assert [one["name"] for one in packed.missing] == ["member/events", "member/flight.log"]
    with tarfile.open(fileobj=io.BytesIO(packed.end())) as archive:
        assert archive.getmembers()[0].size <= 1_000


def test_what_the_kernel_says_of_whom_it_ended_is_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each look at the logs complains of a line that was cut off."""
    said = (
        b"2026-11-29T01:00:00+00:00 h kernel: a link is up\n2026-11-29T01:00:01+00:00 h kernel: Out of memory: Killed process 7 (python)\n"
    )
    monkeypatch.setattr(gather, "host_facts", lambda *_, everything: iter([("kernel.log", "kernel log", said)]))
    asked = Asked(None, "2026-11-29T00:59Z", "2026-11-29T01:02Z", "")
    assert logs._ended_by_kernel(asked) == said.splitlines(keepends=True)[1]


def test_what_a_unit_said_has_the_journal_s_time_only_where_it_has_none_of_its_own() -> None:
    said = ('{"level":"info","ts":"x"}', "2026-11-29 10:00:00,123 [myid:1] - INFO", "etcdserver: published", None, [79, 107, 255], "a\nb")
    rows = [json.dumps({"__REALTIME_TIMESTAMP": str(BEGAN_MS * 1_000), "MESSAGE": one}).encode() for one in said]
    lines = gather.said_by_member(b"\n".join(rows) + b'\n{"__REALTIME').decode().splitlines()
    began = stamp(BEGAN_MS).replace("Z", "000Z")
    parts = {"__REALTIME_TIMESTAMP": str(BEGAN_MS * 1_000), "MESSAGE": "no leader", "PACKAGE": "etcdserver/api", "PRIORITY": "4"}
    assert gather.said_by_member(json.dumps(parts).encode()).decode() == f"{began} W | etcdserver/api: no leader\n"
    assert lines == [*said[:2], f"{began} etcdserver: published", f"{began} ", f"{began} Ok\ufffd", f"{began} a", "b"]


def test_of_a_member_that_somebody_else_deployed_its_first_words_come_along(tmp_path: Path) -> None:
    path = tmp_path / "etcd.log"
    path.write_text("".join(f"{stamp(BEGAN_MS + MINUTE_MS * number)} line {number}\n" for number in range(200)))
    packed = gather.Packed(BEGAN_MS + 150 * MINUTE_MS, BEGAN_MS + 152 * MINUTE_MS, re.compile(b""))
    packed.log(str(path), gather.OUTPUT, is_missed=True, head_bytes=70)
    with tarfile.open(fileobj=io.BytesIO(packed.end())) as archive:
        content = archive.extractfile(gather.OUTPUT)
        assert content is not None
        assert [line.rpartition(b" ")[2] for line in content.read().splitlines()] == [b"0", b"1", b"150", b"151"]
    with path.open("rb") as file:
        assert len(gather._head(file, 1_000, BEGAN_MS + 2 * MINUTE_MS)) == 2, "nothing twice"


def test_where_its_log_is_must_be_said() -> None:
    packed = gather.Packed(0, 1, re.compile(b""))
    gather._said_elsewhere(packed, {"log": "", "port": 1}, "", 0, 1)
    assert [(one["is_log"], one["why"]) for one in packed.missing] == [
        (True, "nothing says where its log is: give log or unit below [run] of the inventory")
    ]


def test_whether_anybody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert gather.listens(port)
        with socket.create_connection(("127.0.0.1", port)) as connected:
            assert not gather.listens(connected.getsockname()[1])
    assert not gather.listens(port)
