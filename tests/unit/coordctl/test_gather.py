"""What runs on hosts to cut their logs: as much as the window wants, and no more, wherever in a file it is."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from coordctl.onhost import gather

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
