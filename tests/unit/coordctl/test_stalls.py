"""A machine that stands still for seconds, or an election that is not over, is no reason to call anything silent, undone or nobody."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from coordctl.chaos import lives, reapers, undo
from coordctl.facts.members import MemberFacts
from coordctl.local.clusters import Endpoint, LocalCluster
from coordctl.operations import chaos_faults, statuses
from coordctl.operations.chaos_faults import Asked
from coordctl.transport.base import HostFailed, Script
from coordctl.transport.ssh import SshTransport
from coordnode.errors import Missing
from tests.unit.coordctl.test_chaos_faults import all_well, cluster_in

ANSWER = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"schema": "coordnode.status/1", "name": "n1", "member": 1}).encode()


class Machine:
    """Its clock goes on by hours while it stands still, which it does in the midst of whatever is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monotonic = time.monotonic
        self._stood_seconds = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self._monotonic() + self._stood_seconds)

    def stand_still(self) -> None:
        self._stood_seconds += 3_600.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@contextmanager
def member(machine: Machine, *, answers: bool) -> Iterator[Endpoint]:
    """The machine stands still as soon as it was asked."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            machine.stand_still()
            if answers:
                connection.sendall(ANSWER)
            else:
                is_over.wait()

    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(f"127.0.0.1:{listening.getsockname()[1]}")
        is_over.set()
        thread.join()


def test_who_is_asked_just_before_the_machine_stands_still_has_time_to_answer_afterwards(machine: Machine) -> None:
    with member(machine, answers=True) as endpoint:
        (found,) = statuses.ask([endpoint], 30.0)
    assert (found.name, found.trouble) == ("n1", "")


def test_who_does_not_answer_is_silent_all_the_same(machine: Machine) -> None:
    with member(machine, answers=False) as endpoint:
        (found,) = statuses.ask([endpoint], 0.3)
    assert found.trouble == "fell silent"


def test_what_became_so_while_the_machine_stood_still_is_seen(machine: Machine) -> None:
    is_so = []

    def look() -> bool:
        found = bool(is_so)
        machine.stand_still()
        is_so.append(True)
        return found

    assert lives.wait_until(look, 5.0, "in vain") == ""
    assert lives.wait_until(lambda: False, 0.0, "in vain") == "in vain"


def test_a_host_that_has_no_time_left_to_begin_is_late_and_its_connection_is_not_broken(machine: Machine) -> None:
    def open_session(timeout: float) -> None:
        machine.stand_still()
        raise paramiko.SSHException("Timeout opening channel.")

    transport: Any = SshTransport.__new__(SshTransport)
    transport._target = SimpleNamespace(name="n1", sudo=False, user="root")
    transport._clients = [SimpleNamespace(get_transport=lambda: SimpleNamespace(open_session=open_session))]
    with pytest.raises(HostFailed, match="n1: slow did not end in 2 s: it may still be at work there") as caught:
        transport.run(Script("slow", "sleep 60"), 2)
    assert caught.value.kind == "late"


def test_a_leader_that_is_about_to_be_elected_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def of_members(cluster: LocalCluster, seconds: float) -> list[MemberFacts]:
        asked.append(len(asked))
        found = all_well([1, 2, 3])(cluster, seconds)
        for one in found:
            assert one.status is not None
            one.status["role"] = one.status["role"] if len(asked) > 3 else "follower"
        return found

    monkeypatch.setattr(statuses, "of_members", of_members)
    monkeypatch.setattr(reapers, "ensure", lambda ledger: None)
    monkeypatch.setattr(undo, "strike", lambda ledger, entries: [(entry, "") for entry in entries])
    wanted = Asked("fds", "follower", "", 60_000, 0, "", "")
    (fault,) = chaos_faults.inject(cluster_in(tmp_path), wanted).faults
    assert fault.member in ("n1", "n2")
    asked.clear()
    monkeypatch.setattr(chaos_faults, "LEADER_SECONDS_MAX", 0.0)
    with pytest.raises(Missing, match="nobody leads at present: wait for a leader"):
        chaos_faults.inject(cluster_in(tmp_path), wanted)
