"""Members on machines that fail them: a disk that is filled to its last byte, wall clocks that jump, memory that
ends. What a disk refuses call by call is in test_points.py."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coordnode.limits import FREE_FILES_MIN
from coordnode.services.commands import ClientOperation, Delete, Done, OpenSession, Put, SessionOpened
from coordnode.services.dialogue import Answer, KeepAliveAsk, KeepAliveReply
from tests.processes.members import LOYAL, Cluster, Connection, Process, Writer, result_of, wait_until
from tests.processes.points.control import COUNT, SOURCE, Control
from tests.processes.points.nursery import Born, Nursery
from tests.processes.shims import compiled

MIB = 1024 * 1024
HOUR_MS = 3_600_000


class Load:
    """A writer that never stops until it is told to; whatever it cannot get acknowledged in its patience is an error."""

    def __init__(self, cluster: Cluster) -> None:
        self.writer = Writer(cluster)
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.writer.put()
        except BaseException as error:
            self._error = error

    def count(self) -> int:
        assert self._error is None, self._error
        return len(self.writer.acknowledged)

    def wait_more(self, count: int) -> None:
        before = self.count()
        wait_until(lambda: self.count() >= before + count, f"{count} more writes are acknowledged")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@contextmanager
def loaded(cluster: Cluster) -> Iterator[Load]:
    load = Load(cluster)
    try:
        yield load
    finally:
        load.stop()


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A file system of 64 MiB and 2,000 files in a namespace of mounts: where it is seen from here, and how to run something inside."""
    as_root = [] if os.geteuid() == 0 else ["-U"]
    place = tmp_path / "disk"
    place.mkdir()
    script = f'mount -t tmpfs -o size=64m,nr_inodes=2000 tmpfs "{place}" && echo mounted && exec cat'
    command = ["unshare", *(["-r", *as_root] if as_root else []), "-m", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"mounted\n"
        yield Path(f"/proc/{keeper.pid}/root{place}"), ["nsenter", f"--target={keeper.pid}", *as_root, "-m", "--"]
        keeper.kill()


@pytest.fixture
def cramped(small_disk: tuple[Path, list[str]]) -> Iterator[tuple[Path, Cluster]]:
    """Three members there, not started."""
    place, inside = small_disk
    cluster = Cluster(place)
    for one in cluster.members.values():
        one.prefix = inside
    yield place, cluster
    cluster.end()


def free_bytes(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def fill(ballast: Path, until_free: int) -> None:
    """Down to so much free, or to the last byte."""
    with ballast.open("ab", buffering=0) as file:
        size = MIB
        while size and free_bytes(ballast.parent) > until_free:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def answer_of_leader(cluster: Cluster, operation: ClientOperation, request_id: str = "") -> Answer:
    """Of whoever leads by then: an election may come in between."""

    def ask() -> Answer | None:
        with Connection(cluster.leader().address) as connection:
            answer = connection.write(operation, request_id)
        return None if getattr(answer, "code", 0) in (10, 11, 50) else answer

    return wait_until(ask, "a leader answers")


def test_a_disk_that_is_filled_to_the_last_byte_under_load_costs_no_acknowledged_write_and_no_operator(
    cramped: tuple[Path, Cluster], figure: Callable[[str], None]
) -> None:
    place, cluster = cramped
    members = list(cluster.members.values())
    ballast = place / "ballast"
    cluster.start("--free-min", "16MiB")
    cluster.wait_ready()
    with loaded(cluster) as load:
        load.wait_more(50)
        fill(ballast, 14 * MIB)
        for one in members:
            wait_until(lambda one=one: one.events("space_low"), f"member {one.member} tells that there is little space")  # type: ignore[misc]
        left = min(one.events("space_low")[0]["free_bytes"] for one in members)
        assert left > 0, "the alarm came when the disk was full"
        fill(ballast, 0)
        assert free_bytes(place) == 0
        refused = answer_of_leader(cluster, Put(b"more", b"data"))
        assert getattr(refused, "code", 0) == 16, refused
        deleted = result_of(answer_of_leader(cluster, Delete(b"w/00000000"), "delete"))
        assert isinstance(deleted, Done)
        assert deleted.changed
        before = load.count()
        del load.writer.acknowledged[b"w/00000000"]
        load.writer.acknowledged[b"kept"] = b""  # the count goes on
        ballast.unlink()
        load.wait_more(30)
    del load.writer.acknowledged[b"kept"]
    cluster.wait_equal()
    load.writer.check(cluster.leader().address)
    assert not any(one.has_ended() for one in members)
    figure(f"a disk filled under load: told with {left // 1024} KiB free; {before} writes before, {load.count()} in all, none lost")


def free_files(place: Path) -> int:
    return os.statvfs(place).f_favail


def test_a_disk_that_takes_no_more_files_is_told_of_before_the_last_one_and_costs_no_acknowledged_write(
    cramped: tuple[Path, Cluster],
) -> None:
    place, cluster = cramped
    members = list(cluster.members.values())
    crowd = place / "crowd"
    crowd.mkdir()
    cluster.start("--free-min", "2MiB")
    cluster.wait_ready()
    with loaded(cluster) as load:
        load.wait_more(20)
        for number in range(free_files(place) - FREE_FILES_MIN // 2):
            (crowd / str(number)).touch()
        for one in members:
            wait_until(lambda one=one: one.events("space_low"), f"member {one.member} tells that there is no room for files")  # type: ignore[misc]
            told = one.events("space_low")[0]
            assert told["free_bytes"] > MIB
            assert 0 < told["free_files"] < FREE_FILES_MIN
        with Connection(cluster.leader().address) as connection:
            wait_until(lambda: getattr(connection.write(Put(b"more", b"data")), "code", 0) == 16, "data is refused")
        before = load.count()
        for file in list(crowd.iterdir()):
            file.unlink()
        load.wait_more(20)
    cluster.wait_equal()
    load.writer.check(cluster.leader().address)
    assert load.count() >= before + 20
    assert not any(one.has_ended() for one in members)


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS], ids=["an hour ahead", "an hour back"])
def test_a_wall_clock_that_jumps_ends_no_session_and_no_write(tmp_path: Path, jump_ms: int) -> None:
    nursery = Nursery([compiled(SOURCE, tmp_path)])
    cluster = Cluster(tmp_path)
    controls: dict[int, Control] = {}
    for number, one in list(cluster.members.items()):
        controls[number] = Control(tmp_path / f"control{number}")
        controls[number].aim(0, kinds=COUNT)
        cluster.members[number] = Born(nursery, controls[number], one.folder, number, one.address)
    try:
        cluster.start("--segment", "1MiB", "--free-min", "2MiB", *LOYAL)
        cluster.wait_ready()
        leader = cluster.leader()
        with loaded(cluster) as load, Connection(leader.address) as connection:
            opened = result_of(connection.write(OpenSession(b"mine", 60_000)))
            assert isinstance(opened, SessionOpened)
            load.wait_more(30)
            for one in (leader, *cluster.members.values()):  # first the leader's alone, then everybody's
                controls[one.member].turn_wall(jump_ms)
                load.wait_more(10)
            status = leader.status()
            assert status is not None
            others = [one.status() for one in cluster.members.values()]
            assert abs(status["clock"]["wall_ms"] - jump_ms - time.time() * 1_000) < HOUR_MS / 4, (
                "the clock did not jump: nothing was shown"
            )
            assert {one["leader"] for one in others if one} == {leader.member}, "the jump cost the leader its place"
            answer = connection.ask(KeepAliveAsk(connection.number(), [opened.session]))
            assert isinstance(answer, KeepAliveReply)
            assert answer.alive == [(opened.session, 60_000)]
            for control in controls.values():
                control.turn_wall(0)
            load.wait_more(20)
        cluster.wait_equal()
        load.writer.check(leader.address)
        assert not any(one.has_ended() for one in cluster.members.values())
    finally:
        cluster.end()
        nursery.close()


# --- memory ----------------------------------------------------------------------------------------------------------


def limit_memory(process: Process, more_bytes: int) -> None:
    assert process.running is not None
    used = int(Path(f"/proc/{process.running.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(process.running.pid, resource.RLIMIT_AS, (used + more_bytes, resource.RLIM_INFINITY))


def test_a_member_whose_memory_ends_loses_nothing(single: Cluster) -> None:
    """It says so and ends, where the interpreter and its libraries bear it; where they do not, they are ended by a signal."""
    single.start()
    single.wait_ready()
    one = single.members[1]
    limit_memory(one, 16 * MIB)
    writer = Writer(single)
    with Connection(one.address) as connection, suppress(OSError):
        for number in range(2_000):
            key, value = b"large/%05d" % number, bytes([number % 256]) * 100_000
            assert isinstance(result_of(connection.write(Put(key, value))), Done)
            writer.acknowledged[key] = value
    code = one.wait()
    assert code < 0 or (code == 1 and "coordnode: its memory ended" in one.said()), (code, one.said()[-2_000:])
    assert not one.events("bug")
    single.start()
    single.wait_ready()
    assert writer.acknowledged
    writer.check(one.address)
