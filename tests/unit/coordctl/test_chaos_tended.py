"""A member that somebody else deployed: how it is found, kept down, started again, and what is not done to it."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import lives, premises, sockets, tended
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.site import LocalSite
from coordctl.chaos.tended import Neighbour, Tended, Told
from coordctl.local import processes
from coordctl.local.clusters import LocalCluster, LocalMember
from coordnode.client.clock import now_ms
from coordnode.errors import UnknownFormat
from tests.processes.members import wait_until
from tests.unit.coordctl.test_chaos_ledger import entry

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00000A:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0B00000A:C350 0C00000A:094C 01 00000000:00000000 00:00000000 00000000   101        0 4712 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0000000000000000FFFF00000B00000A:0F30 0000000000000000FFFF00000D00000A:9C40 01 00000000:00000000 00:00000000 00000000 101 0 4713 1
   1: 00000000000000000000000000000000:0885 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 101 0 4714 1
"""


def told(folder: Path, **said: str) -> Told:
    members = (Neighbour("n1", "127.0.0.1:1", (2380,)), Neighbour("n2", "127.0.0.1:2", (2380,)))
    values = {"unit": "", "start": "", "pid_file": str(folder / "pid"), "data": "", "log": ""} | said
    return Told(engine="etcd", cluster="keys", name="n1", members=members, **values)


def place(folder: Path, **said: str) -> Tended:
    tended.tell(str(folder), told(folder, **said))
    found = premises.of(str(folder))
    assert isinstance(found, Tended)
    return found


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    """The member's process, as its pid-file has it."""
    with subprocess.Popen(["sleep", "300"]) as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        yield process.pid
        process.kill()


def test_the_kernel_s_list_is_read_whichever_family_it_is_written_in() -> None:
    if sys.byteorder != "little":
        pytest.skip("these lines are of a little-endian machine")
    found = [(one.state, one.address, one.port, one.other, one.other_port, one.inode) for one in sockets.sockets([TCP, TCP6])]
    assert found == [
        ("0A", "10.0.0.11", 2375, "0.0.0.0", 0, "4711"),
        ("01", "10.0.0.11", 50_000, "10.0.0.12", 2380, "4712"),
        ("01", "10.0.0.11", 3888, "10.0.0.13", 40_000, "4713"),
        ("0A", "::", 2181, "::", 0, "4714"),
    ]


def test_who_listens_is_found_and_so_is_who_is_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert sockets.listener("127.0.0.1", port) == os.getpid()
        assert sockets.listener("127.0.0.2", port) == 0
        assert not sockets.is_connected("127.0.0.1", (port,), ())
        with socket.create_connection(("127.0.0.1", port)):
            assert sockets.is_connected("127.0.0.1", (port,), ())
            assert sockets.is_connected("127.0.0.1", (), (port,))
            assert not sockets.is_connected("127.0.0.2", (port,), (port,))
    assert sockets.listener("127.0.0.1", port) == 0


def test_what_the_inventory_says_is_kept_and_a_file_of_another_kind_is_named(tmp_path: Path, sleeper: int) -> None:
    folder = tmp_path / "base"
    tended.tell(str(folder), told(tmp_path))
    cluster = premises.of(str(folder)).cluster()
    assert cluster is not None
    assert (cluster.engine, cluster.name, [(one.name, one.pid, one.peers) for one in cluster.members]) == (
        "etcd",
        "keys",
        [("n1", sleeper, (2380,)), ("n2", 0, (2380,))],
    )
    written = (folder / tended.FILE).stat()
    tended.tell(str(folder), told(tmp_path))
    assert (folder / tended.FILE).stat().st_mtime_ns == written.st_mtime_ns
    (folder / tended.FILE).write_text("{}")
    with pytest.raises(UnknownFormat, match="is not what chaos writes"):
        premises.of(str(folder))


def test_a_pid_that_was_written_before_its_process_began_is_another_s_by_now(tmp_path: Path, sleeper: int) -> None:
    """As after a reboot, or where it is gone and its pid was given again."""
    a_day_ago = time.time() - 86_400
    os.utime(tmp_path / "pid", (a_day_ago, a_day_ago))
    site = place(tmp_path)
    assert site.cluster().members[0].pid == 0
    assert site.lacks("pause").startswith(f"no process of n1 is seen, and {tmp_path / 'pid'} names none that ran when it was written")


def test_a_pid_file_that_names_another_than_who_listens_is_not_believed(tmp_path: Path, sleeper: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        members = (Neighbour("n1", f"127.0.0.1:{listening.getsockname()[1]}", ()),)
        tended.tell(str(tmp_path), msgspec.structs.replace(told(tmp_path), members=members))
        cluster = premises.of(str(tmp_path)).cluster()
        assert cluster is not None
        assert cluster.members[0].pid == 0
        (tmp_path / "pid").write_text(str(os.getpid()))
        os.utime(tmp_path / "pid", (0, 0))
        cluster = premises.of(str(tmp_path)).cluster()
        assert cluster is not None
        assert cluster.members[0].pid == os.getpid(), "who listens there is the member, whatever clocks were set since"


@pytest.mark.parametrize("content", ["", "what", "-1", "0"])
def test_a_pid_file_that_names_nobody_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert place(tmp_path).cluster().members[0].pid == 0


@pytest.mark.parametrize(
    ("said", "fault", "why"),
    [
        ({}, "kill", "nothing says what starts n1 again: give unit or start below [run] of the inventory"),
        ({}, "crash-loop", "nothing says what starts n1 again"),
        ({"start": "true"}, "kill", ""),
        ({}, "pause", ""),
        ({}, "fds", ""),
        ({}, "cpu", ""),
        ({"pid_file": "/nowhere"}, "pause", "no process of n1 is seen, and /nowhere names none"),
        ({"pid_file": ""}, "pause", "no process of n1 is seen, as nobody listens at 127.0.0.1:1"),
        ({}, "fill-disk", "nothing says where n1 stores: give data below [run] of the inventory"),
        ({"data": "/nowhere"}, "fill-disk", "/nowhere of n1 is no folder"),
        ({"data": "/"}, "fill-disk", "/ of n1 is on the host's own file system"),
        ({"data": "/proc"}, "fill-disk", ""),
        ({}, "slow-fsync", "there is no mechanism for it on etcd"),
        ({}, "remove", "there is no mechanism for it on etcd"),
    ],
)
def test_what_cannot_be_done_says_why(tmp_path: Path, sleeper: int, said: dict[str, str], fault: str, why: str) -> None:
    site = LocalSite(place(tmp_path, **said).cluster())
    found = site.lacks(fault)
    assert (bool(found), found[: len(why)]) == (bool(why), why)


def test_a_unit_that_is_kept_down_waits_for_its_time_or_until_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "waiting.conf"

    @contextmanager
    def waits(deadline_ms: int) -> Iterator["subprocess.Popen[bytes]"]:
        text = tended.waiting(str(path), deadline_ms)
        path.write_text(text)
        (line,) = [one for one in text.splitlines() if one.startswith("ExecStartPre=-+")]
        # As systemd does it: doubled signs are single ones.
        command = line.removeprefix("ExecStartPre=-+").replace("$$", "$").replace("%%", "%")
        with subprocess.Popen(shlex.split(command)) as process:
            try:
                yield process
            finally:
                process.kill()

    with waits(now_ms() + 600_000) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)
        path.unlink()
        assert waiting.wait(60) == 0
    began = time.monotonic()
    with waits(now_ms() + 1_000) as waiting:
        assert waiting.wait(60) == 0
    assert time.monotonic() - began > 0.9


def test_without_a_unit_a_command_starts_it_once_although_two_heal_it(tmp_path: Path) -> None:
    start = f"sleep 300 & echo $! >> {tmp_path / 'pids'}; sleep 0.3; echo $! > {tmp_path / 'pid'}"
    member = place(tmp_path, start=start)
    ledger = Ledger(str(tmp_path))
    ledger.make()
    fault = msgspec.structs.replace(entry("c0ffee11", "kill"), member="n1")
    ledger.add(fault)
    healers = [threading.Thread(target=member.start, args=(ledger, fault)) for _ in range(2)]
    for healer in healers:
        healer.start()
    for healer in healers:
        healer.join()
    (pid,) = [int(one) for one in (tmp_path / "pids").read_text().split()]
    try:
        assert lives.is_running(lives.member_of(str(tmp_path), "n1"))
    finally:
        processes.send(pid, processes.started_mark(pid), signal.SIGKILL)
    wait_until(lambda: not processes.started_mark(pid), "it is gone")
    ledger.remove(fault)
    member.start(ledger, fault)
    assert (tmp_path / "pids").read_text().split() == [str(pid)], "what is healed already is left alone"


def test_whatever_is_answered_shows_that_it_serves_and_silence_that_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        member = LocalMember("n1", 1, address)
        cluster = LocalCluster("", "keys", 0, 0, True, (member,), engine="etcd")
        monkeypatch.setattr(lives, "ASK_SECONDS", 0.2)
        assert not lives.serves(cluster, member), "the kernel alone took the connection"

        def refuse() -> None:
            for _ in range(2):  # the first one was left waiting
                connection = listening.accept()[0]
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
                connection.close()

        answering = threading.Thread(target=refuse)
        answering.start()
        monkeypatch.setattr(lives, "ASK_SECONDS", 60.0)  # it is answered, however slow this machine is
        assert lives.serves(cluster, member)
        answering.join()
    assert not lives.serves(cluster, member)
