"""What loads write down of what they lost, and what one that was killed cannot write down itself."""

import errno
import json
import os
import sys
import threading
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordctl.chaos.loads import __main__ as load
from coordctl.chaos.loads import watches
from coordctl.chaos.loads.clients import Client, Paper
from coordctl.chaos.loads.holding import GroupClient
from coordctl.chaos.loads.words import ENDED
from coordctl.operations.chaos_loads import Holder, Loads
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget
from coordnode.checking.reading import parse_history
from coordnode.errors import SessionExpired, TimedOut


def test_who_is_killed_loses_what_it_was_granted_last_ever_since_it_asked_for_it(tmp_path: Path) -> None:
    first = ((2, "acquire", "ok", 5), (2, "release", "invoke", 5), (2, "release", "ok", None))
    events = (*first, (2, "acquire", "invoke", None), (2, "acquire", "ok", 9))
    names = ("process", "f", "type", "value")
    lines = [{**dict(zip(names, event, strict=True)), "time": number} for number, event in enumerate(events)]
    paper = tmp_path / "lock.events.jsonl"
    paper.write_text("".join(json.dumps(line) + "\n" for line in lines))
    loads = Loads(str(tmp_path), [], "", 1)
    loads.note_killed(Holder(2, 9, 1, ""))
    lost, unknown = [json.loads(line) for line in paper.read_text().splitlines()][len(lines) :]
    assert (lost["value"], lost["time"]) == (9, len(first))
    assert (unknown["type"], unknown["value"]) == ("info", None)
    assert loads.holder() is None


# --- from when on something may be lost ----------------------------------------------------------------------------------


class Fake:
    """A session of a group, and the cluster it is of."""

    id = 7
    is_over = False

    def session(self, seconds: float) -> "Fake":
        return self

    def group(self, name: str) -> "Fake":
        return self

    def join(self, name: str, data: str) -> "Fake":
        return self

    view = 5

    def leave(self) -> None:
        raise SessionExpired("it is over")

    def close(self) -> None:
        pass


class Leaver(GroupClient):
    def _connect(self, seconds: float) -> Any:
        return Fake()


def test_what_could_not_be_left_may_be_lost_ever_since_the_session_surely_lived(tmp_path: Path) -> None:
    """It was over before anybody asked to leave, and others saw that."""
    paper = Paper(str(tmp_path / "events.jsonl"))
    client = Leaver(1, [], "p/", str(tmp_path), paper, 1, "")
    client.session, client.lived_ns = client.open(), 1_000
    client._join(client.session, "m1", "1-1")
    with pytest.raises(SessionExpired):
        client._leave("m1")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (lost,) = [one for one in events if (one["f"], one["type"]) == ("lost", "invoke")]
    assert lost["time"] == 1_000


# --- watches ---------------------------------------------------------------------------------------------------------------


class FakeKeys:
    """Keys of a cluster that answers each put, and a watch of them, which tells what it is let."""

    def __init__(self, *, is_silent: bool) -> None:
        self.puts: list[tuple[str, str]] = []
        self._is_silent = is_silent
        self._next = 0

    def put(self, key: str, value: str, request_id: str) -> int:
        self.puts.append((key, value))
        return len(self.puts)

    def watch(self, prefix: str, from_revision: int) -> "FakeKeys":
        self._next = from_revision
        return self

    def take(self, seconds: float) -> Any:
        if self._is_silent or self._next > len(self.puts):
            return None
        key, value = self.puts[self._next - 1]
        self._next += 1
        return SimpleNamespace(revision=self._next - 1, events=[SimpleNamespace(key=key.encode(), value=value.encode())])


class Watcher(watches.WatchClient):
    def _connect(self, seconds: float) -> Any:
        return SimpleNamespace(kv=FakeKeys(is_silent=self.number == 2))

    def come_again(self) -> None:
        """To the same cluster."""


@pytest.mark.parametrize(("number", "outcome"), [(1, "pass"), (2, "unknown")])
def test_a_watch_that_is_told_nothing_in_the_end_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, outcome: str
) -> None:
    monkeypatch.setattr(watches, "FINISH_SECONDS", 60.0 if outcome == "pass" else 0.0)
    path = tmp_path / "watch.jsonl"
    client = Watcher(number, [], "p/", str(tmp_path), Paper(str(path)), 1, "")
    for turn in range(20):
        client.turn(turn)
    client.leave()
    found = judge(parse_history(path.read_bytes()), "watch", Budget())
    assert found.outcome == outcome, found.reason
    assert ("though it waited" in found.reason) is (outcome == "unknown")


# --- clients that end before their time --------------------------------------------------------------------------------


class Worker(Client):
    """Client 2 meets a bug; what client 1 meets is an answer."""

    met: threading.Event

    def _connect(self, seconds: float) -> Any:
        return SimpleNamespace(close=lambda: None)

    def turn(self, turn: int) -> None:
        if self.number == 2:
            self.met.set()
            raise AttributeError("a bug in the client")
        raise TimedOut("nobody answers")


class Standing(BytesIO):
    """A standard input that ends once the clients are at work."""

    def read(self, *_: Any) -> bytes:
        assert Worker.met.wait(20)
        return ENDED


@pytest.mark.parametrize(("numbers", "told"), [("1", ""), ("1,2", "kv, client 2: AttributeError: a bug in the client")])
def test_a_load_of_which_a_client_ended_by_itself_says_so_last_and_by_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], numbers: str, told: str
) -> None:
    Worker.met = threading.Event()
    if not told:
        Worker.met.set()
    monkeypatch.setitem(load.CLIENTS, "kv", Worker)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Standing()))
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    code = load.main(["kv", "127.0.0.1:1", "p/", str(tmp_path), numbers, "1", "linearizable"])
    assert code == (told or 0)  # a text: `sys.exit` says it last, and ends with 1
    assert ("Traceback" in capsys.readouterr().err) is bool(told)


def test_a_line_that_the_disk_takes_only_in_part_ends_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written behind half a line would be lost with it, and a history without it may look impossible."""
    write = os.write
    paper = Paper(str(tmp_path / "events.jsonl"))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:9]))
        with pytest.raises(OSError, match="9 of") as failed:
            paper.write(1, "invoke", "get", None)
    assert failed.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="9 of"):
        paper.write(1, "ok", "get", None)
    assert (tmp_path / "events.jsonl").stat().st_size == 9
