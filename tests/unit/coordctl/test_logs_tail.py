"""`logs tail` and what is shown beside lines: files that are put aside while they are followed, hosts that do not answer."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordctl.inventory.model import Host, Inventory
from coordctl.logs import files
from coordctl.onhost import gather
from coordctl.operations import fetching, lines, logs
from coordctl.operations.fetching import Fetched
from coordctl.operations.windows import Asked
from coordnode.errors import Unreachable
from tests.unit.coordctl.log_scene import Scene, utc

EVERYTHING = lines.Wanted()


def followed(place: Path, steps: list[Iterator[None]], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each time it waits, the next step is taken; behind the last one, nothing more is asked."""
    waiting = iter(steps)

    def later(seconds: float) -> None:
        next(next(waiting))

    monkeypatch.setattr(time, "sleep", later)
    with logs.gathered([str(place)], None) as found:
        for one in lines.tail(found, 3, EVERYTHING, follow=True):
            yield one.text


def step(path: Path, *told: bytes, aside: Path | None = None, then: bytes = b"") -> Iterator[None]:
    """So much is written to it; it is put aside; so much to what takes its name."""
    with path.open("ab") as file:
        file.write(b"".join(told))
    if aside is not None:
        path.rename(aside)
        path.write_bytes(then)
    yield


def test_who_follows_hears_the_end_of_what_was_put_aside_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Scene(1, 60).lines("n1")
    path, aside = tmp_path / "n1.log", tmp_path / "n1.log.1"
    aside.write_bytes(b"".join(told[:10]))
    path.write_bytes(b"".join(told[10:20]))
    steps = [
        step(path, *told[20:22]),
        step(path, *told[22:24], aside=aside, then=told[24] * 3),  # what is new is already longer than what was read
        step(path, *told[25:27], aside=tmp_path / "n1.log.2"),  # nothing is written to its new one yet
        step(tmp_path / "n1.log.2", told[27]),
        step(path, told[28]),
    ]
    wanted = [*told[17:24], *[told[24]] * 3, *told[25:29]]
    heard = followed(tmp_path, steps, monkeypatch)
    assert [next(heard).encode() + b"\n" for _ in wanted] == wanted
    heard.close()


def test_who_follows_goes_on_with_a_file_that_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Scene(1, 60).lines("n1")
    path = tmp_path / "n1.log"
    path.write_bytes(b"".join(told[:20]))

    def emptied() -> Iterator[None]:
        path.write_bytes(told[20])
        yield

    heard = followed(tmp_path, [emptied()], monkeypatch)
    assert [next(heard).encode() + b"\n" for _ in range(4)] == told[17:21]
    heard.close()


def test_what_is_written_while_the_last_lines_are_read_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a line that was half there, when it is whole."""
    told = Scene(1, 60).lines("n1")
    path = tmp_path / "n1.log"
    path.write_bytes(b"".join(told[:20]) + told[20][:30])
    read = files.told

    def read_late(*asked: Any) -> Iterator[files.Told]:
        with path.open("ab") as file:
            file.write(told[20][30:] + told[21])
        return read(*asked)

    monkeypatch.setattr(files, "told", read_late)
    heard = followed(tmp_path, [step(path, told[22])], monkeypatch)
    assert [next(heard).encode() + b"\n" for _ in range(6)] == told[17:23]
    heard.close()


INVENTORY = Inventory(
    path="p.toml", name="p", environment="dev", hosts=(Host(name="n1", address="10.0.0.1"), Host(name="n2", address="10.0.0.2"))
)


# --- of hosts --------------------------------------------------------------------------------------------------------


class Hosts:
    """In place of a Fetcher: in each round some lines of n1, and nothing of who does not answer."""

    rounds: list[list[bytes]]
    of_n1 = Fetched(name="n1", missing_logs=[("n1", "it does not answer")])  # where it has no lines

    def __init__(self, inventory: Inventory, verb: str) -> None:
        self._asked = iter(self.rounds)

    def fetch(self, wanted: fetching.Wanted, folder: str) -> list[Fetched]:
        told = next(self._asked)
        silent = Fetched(name="n2", missing_logs=[("n2", "its key is not pinned: coordctl inventory trust")])
        if not told:
            return [self.of_n1, silent]
        place = os.path.join(folder, "n1")
        os.mkdir(place)
        with open(os.path.join(place, "events"), "wb") as file:
            file.write(b"".join(told))
        return [Fetched(name="n1", folders=(place,)), silent]

    def close(self) -> None:
        pass


def tailed(rounds: list[list[bytes]], monkeypatch: pytest.MonkeyPatch, *, follow: bool) -> tuple[list[str], list[str]]:
    monkeypatch.setattr(Hosts, "rounds", rounds, raising=False)
    monkeypatch.setattr(fetching, "Fetcher", Hosts)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    said: list[str] = []
    heard = lines.tail_hosts(INVENTORY, 2, EVERYTHING, said.append, follow=follow)
    found = []
    try:
        for one in heard:
            found.append(one.text)
    except (StopIteration, RuntimeError):  # nobody asks for more rounds than there are
        assert follow
    return found, said


def now(number: int) -> bytes:
    at_ms = time.time_ns() // 1_000_000
    return f"{utc(at_ms)} INFO line {number}\n".encode()


def test_hosts_that_do_not_answer_are_told_once_beside_the_lines_of_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [now(number) for number in range(5)]
    found, said = tailed([told[:3], told[:4], told], monkeypatch, follow=True)
    assert [line.encode() + b"\n" for line in found] == told[1:]
    assert said == ["n2: its key is not pinned: coordctl inventory trust"]


def test_where_no_host_answers_tail_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="its key is not pinned"):
        tailed([[]], monkeypatch, follow=False)


def test_a_host_that_answers_and_has_nothing_to_tell_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [now(0)]
    monkeypatch.setattr(Hosts, "of_n1", Fetched(name="n1"))
    assert tailed([[], told], monkeypatch, follow=True) == (
        [told[0].decode().strip()],
        ["n2: its key is not pinned: coordctl inventory trust"],
    )


class Filtered:
    """Hosts as they answer a search: real archives, of what matches there."""

    def __init__(self, folder: Path, members: dict[str, list[bytes]]) -> None:
        self._folder = folder
        for name, told in members.items():
            path = folder / "hosts" / name / "log" / "flight.log"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"".join(told))

    @contextmanager
    def fetched(self, inventory: Inventory, wanted: fetching.Wanted) -> Iterator[list[Fetched]]:
        found = []
        for host in inventory.hosts:
            packed = gather.Packed(wanted.from_ms, wanted.to_ms, re.compile(wanted.pattern.encode()))
            packed.log(str(self._folder / "hosts" / host.name / "log" / "flight.log"), "member/flight.log", is_missed=True)
            answer = {"files": packed.files, "missing": packed.missing, "offset_ms": 0, "runs": None}
            found.append(fetching._laid(host, answer, packed.end(), str(self._folder)))
        yield found


def searched(members: dict[str, list[bytes]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """(what is found, what is said to be left out)"""
    inventory = Inventory(path="p.toml", name="p", environment="dev", hosts=tuple(Host(name=name, address="10.0.0.1") for name in members))
    monkeypatch.setattr(fetching, "fetched", Filtered(folder, members).fetched)
    asked = Asked(since_seconds=4 * 3_600)
    with logs.gathered((), inventory, asked, pattern="needle", ignore_case=False) as found:
        return [one.text for one in lines.search(found, asked, lines.Wanted("needle"))], logs.left_out(found)


def needle(minutes: float, word: str = "needle") -> bytes:
    at_ms = time.time_ns() // 1_000_000 - round(minutes * 60_000)
    return f'{{"at":"{utc(at_ms)}","hlc":"{at_ms}.0","level":"info","event":"{word}","cluster":7,"member":1,"term":1,"index":1}}\n'.encode()


def test_of_hosts_the_newest_line_that_matches_is_found_however_long_after_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = [needle(minute, "pulse") for minute in range(200, 0, -1)]
    members = {name: sorted([*healthy, needle(180)]) for name in ("n1", "n2")}
    members["n3"] = sorted([*healthy, needle(180), needle(1.5)])
    found, left_out = searched(members, tmp_path, monkeypatch)
    assert (len(found), left_out) == (4, [])


def test_a_host_in_whose_log_nothing_matches_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"n1": [needle(3)], "n2": [needle(3, "pulse")], "n3": [needle(500)]}
    found, left_out = searched(members, tmp_path, monkeypatch)
    assert (len(found), left_out) == (1, [])


def test_where_nothing_matches_on_any_host_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert searched({"n1": [needle(3, "pulse")], "n2": [needle(3, "pulse")]}, tmp_path, monkeypatch) == ([], [])


def test_whoever_has_no_log_is_told_beside_the_lines(tmp_path: Path) -> None:
    place = Scene(1, 5).write(tmp_path)
    (place / "n3.log").write_bytes(b"")
    found = files.find([str(place)])
    left_out = logs.left_out(logs.Gathered(found, ["n1", "n2", "n3"], is_here=True))
    assert left_out == [f"{place}/n3.log: is empty", "n2: no log of it is there"]
