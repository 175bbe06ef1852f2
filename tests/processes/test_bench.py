"""`bench` against real members: what it counts, what it leaves behind however it ends, and whether it finds the cause that was planted."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from coordctl.operations.bench import TTL_SECONDS
from coordnode.client.sync import connect
from coordnode.ids import ClusterId, MemberId
from coordnode.node.bootstrap import create_founder
from tests.processes.delaying import Delaying
from tests.processes.local import Home
from tests.processes.members import CREATED_UNIX_S, LOYAL, SOURCE, Cluster, Process, own_hosts, wait_until
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid

SHORT = ("--for", "1s", "--rate", "100/s", "--connections", "4", "--timeout", "30s")
LOAD = ("--for", "2s", "--rate", "15/s", "--connections", "4", "--timeout", "30s")  # which whatever is slow can keep up with
MEASURED_TIMES = 3
SLOW_SYNC = """
import os, time
_sync = os.fdatasync
def fdatasync(file):
    if os.path.exists({flag!r}):
        time.sleep(0.3)
    return _sync(file)
os.fdatasync = fdatasync
"""


def address(home: Home) -> str:
    return str(home.members()[0]["address"])


def left_behind(home: Home) -> list[str]:
    with connect(address(home)) as cluster:
        keys = [item.key for item in cluster.kv.range("_bench/", keys_only=True)]
        locks = [lock.name for lock in cluster.locks.list("_bench/")]
        queues = [queue.name for queue in cluster.queues.list("_bench/")]
        journals = [journal.name for journal in cluster.journals.list("_bench/")]
    return [name.decode() for name in (*keys, *locks, *queues, *journals)]


def kinds(names: list[str]) -> set[str]:
    return {name.rsplit("/", 1)[1] for name in names}


def bench(home: Home, *arguments: str, code: int = 0) -> dict[str, object]:
    found: dict[str, object] = valid(home.ctl("bench", *arguments, "-q", "-o", "json", code=code))
    return found


def await_second_line(running: "subprocess.Popen[bytes]") -> None:
    """What it tells when it has measured for two seconds."""
    assert running.stderr is not None
    line = b" "
    while b" 2 s " not in line:
        line = running.stderr.readline()
        assert line, "it ended before"


# --- what it counts, and what it leaves ----------------------------------------------------------------------------------


def test_an_open_loop_sends_at_its_rate_and_the_parts_are_all_of_a_write(shared: Home) -> None:
    found = bench(shared, *SHORT, "--fail-on", "errors>0", "--fail-on", "rate<50/s")
    assert (found["outcome"], found["loop"], found["failed"], found["wrong"], found["is_clean"]) == ("measured", "open", {}, [], True)
    assert found["done"] == 100
    parts = {one["part"]: one["mean_ms"] for one in found["breakdown"]}  # type: ignore[attr-defined]
    assert list(parts) == ["way", "queue", "log_wait", "log_sync", "replication", "apply"]
    causes = {one["cause"]: one["mean_ms"] for one in found["causes"]}  # type: ignore[attr-defined]
    mean_ms = found["operations"][0]["mean_ms"]  # type: ignore[index]
    assert sum(causes.values()) == pytest.approx(mean_ms, rel=0.05)
    assert max(causes, key=lambda cause: causes[cause]) == found["verdict"] or found["verdict"] == "generator"
    members = {one["name"]: one for one in found["members"]}  # type: ignore[attr-defined]
    assert sorted(members) == ["n1", "n2", "n3"]
    assert all(one["sync_p99_ms"] is not None and one["loop_share"] is not None for one in members.values())
    assert left_behind(shared) == []


def test_a_closed_loop_of_everything_does_each_kind_and_nothing_stays(shared: Home) -> None:
    found = bench(
        shared, "mixed", "--rate", "max", "--for", "2s", "--connections", "6", "--outstanding", "2", "--timeout", "30s", "--processes", "2"
    )
    assert (found["loop"], found["outstanding"], found["processes"], found["failed"], found["wrong"]) == ("closed", 2, 2, {}, [])
    done = {one["operation"]: one["done"] for one in found["operations"]}  # type: ignore[attr-defined]
    assert set(done) == {"put", "get", "cas", "lock", "queue", "journal"}
    assert done["get"] > done["put"] > done["lock"] > 0
    assert sum(done.values()) == found["done"]
    assert found["is_clean"] is True
    assert left_behind(shared) == []


def test_it_says_before_what_it_does_then_how_it_goes_and_what_came_of_it(shared: Home) -> None:
    done = shared.run("bench", "get", *SHORT)
    told = done.stderr.decode().splitlines()
    assert told[0].startswith(
        "local, 3 members: get (a key is read, linearizably), 100 a second, over 4 connections for 1 s, 64 bytes each"
    )
    assert told[1].split()[:2] == ["1", "s"]
    screen = done.stdout.decode().splitlines()
    assert screen[0] == "MEASURED  local: 100 get/s"
    assert screen[2].split() == ["OPERATION", "DONE", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"]
    assert screen[3].split()[:2] == ["get", "100"]
    assert screen[-1].startswith("next: ")
    assert max(map(len, screen)) <= 80


def test_a_threshold_that_is_crossed_is_told_and_1(shared: Home) -> None:
    found = bench(shared, "journal", *SHORT, "--fail-on", "errors<1", "--fail-on", "errors>0", code=1)
    assert (found["outcome"], found["exit_code"], found["crossed"]) == ("crossed", 1, ["0 of 100 failed (errors<1)"])


def test_ctrl_c_ends_it_with_what_was_found_and_nothing_stays(shared: Home) -> None:
    with shared.start("bench", "queue", "--for", "60s", "--rate", "50/s", "--timeout", "30s", "-o", "json") as running:
        await_second_line(running)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)
    found = valid(out.decode())
    assert (running.returncode, found["exit_code"], found["is_clean"]) == (130, 130, True)
    assert found["done"]
    assert left_behind(shared) == []


def test_what_a_run_leaves_that_was_killed_goes_by_itself_or_is_swept(shared: Home) -> None:
    """All of its processes at once, so that none of them can tidy up."""
    with shared.start("bench", "mixed", "--rate", "max", "--for", "60s", "--timeout", "30s", alone=True) as running:
        await_second_line(running)
        os.killpg(running.pid, signal.SIGKILL)
        left = left_behind(shared)
        running.communicate(timeout=60)
    (run,) = {name.split("/")[1] for name in left}
    assert {"alive", "cas", "queue", "journal"} <= kinds(left)
    with connect(address(shared)) as cluster:
        cluster.kv.put(f"_bench/{run}/alive", "")  # its mark stays for as long as this takes
        assert run in shared.ctl("bench", "--sweep")
        assert any(name.endswith("/queue") for name in left_behind(shared)), "a run whose mark is there still was swept"
        cluster.kv.delete(f"_bench/{run}/alive")
    wait_until(lambda: kinds(left_behind(shared)) == {"queue", "journal"}, "its sessions are over", 10 * TTL_SECONDS)
    swept = valid(shared.ctl("bench", "--sweep", "-o", "json"))
    assert (swept["outcome"], swept["running"]) == ("clean", [])
    assert swept["removed"]
    assert left_behind(shared) == []


def test_processes_that_generate_load_go_with_the_one_that_started_them(shared: Home) -> None:
    with shared.start("bench", "--rate", "max", "--for", "60s", "--timeout", "30s") as running:
        await_second_line(running)
        (generator,) = children(running.pid)
        running.kill()
        running.communicate(timeout=60)
    until(lambda: not Path(f"/proc/{generator}").exists(), "it goes on without whoever started it")
    keys = [name for name in left_behind(shared) if not name.endswith("/alive")]
    assert keys == [], "it has closed its sessions"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- what it refuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "500"], "such as 500/s, or max"),
        (["--rate", "0/s"], "asks for nothing"),
        (["--for", "10"], "such as 10s"),
        (["--outstanding", "4"], "give --rate max with it"),
        (["--connections", "0"], "--connections 0: give 1 to 1000"),
        (["--processes", "17"], "--processes 17: give 1 to 16"),
        (["--value", "1MiB"], "--value 1048576: give 1 to 262144"),
        (["--fail-on", "p99"], "is no threshold: give for example"),
        (["nonsense"], "'nonsense' is not one of 'put'"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: Home, arguments: list[str], words: str) -> None:
    done = shared.run("bench", *arguments)
    assert (done.returncode, done.stdout) == (64, b"")
    assert words in done.stderr.decode()


def test_a_cluster_that_cannot_be_reached_is_unknown(shared: Home) -> None:
    done = shared.run("bench", "--endpoints", "127.0.0.1:1")
    assert done.returncode == 3
    assert b"no member can be reached: 127.0.0.1:1: connection refused" in done.stderr


def test_a_cluster_that_is_not_on_this_machine_wants_its_name(shared: Home, tmp_path: Path) -> None:
    (host,) = own_hosts(1)
    member = Process(tmp_path / "n1", 1, (host, 7001))
    create_founder(str(member.folder), ClusterId(7), MemberId(1), CREATED_UNIX_S, {MemberId(1): "10.9.8.7:7001"})
    member.start("--cluster-name", "payments")
    try:
        wait_until(member.is_ready, "it is ready")
        asked = ("bench", *SHORT, "--endpoints", f"{host}:7001")
        refused = shared.run(*asked)
        assert (refused.returncode, refused.stdout) == (76, b"")
        assert b"This puts load on payments, which is not on this machine." in refused.stderr
        assert b"say so with --confirm payments" in refused.stderr
        assert b"this cluster is payments; nothing was asked" in shared.run(*asked, "--confirm", "local").stderr
        assert member.status()["revision"] == 0  # type: ignore[index]
        assert bench(shared, *SHORT, "--endpoints", f"{host}:7001", "--confirm", "payments")["cluster"] == "payments"
    finally:
        member.kill()


# --- what is short: each cause planted -----------------------------------------------------------------------------------


class Planted:
    """Three members whose disks can be made slow, and the ways between them long."""

    def __init__(self, folder: Path) -> None:
        self.slow = folder / "slow"
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SLOW_SYNC.format(flag=str(self.slow)))
        self.delaying = Delaying()
        self.cluster = Cluster(folder, reached_at=self.delaying.before)
        for one in self.cluster.members.values():
            one.start(*LOYAL, environment={"PYTHONPATH": f"{folder / 'site'}:{SOURCE}"})
        self.cluster.wait_ready()
        self.home = Home(folder)
        self.endpoints = ",".join(f"{one.address[0]}:{one.address[1]}" for one in self.cluster.members.values())

    def measure(self, wanted: str) -> dict[str, object]:
        """Until it is told, a few times at most: a machine that stands still meanwhile is told, too, and rightly."""
        for _ in range(MEASURED_TIMES):
            found = bench(self.home, *LOAD, "--endpoints", self.endpoints)
            if (found["verdict"], found["is_clear"]) == (wanted, True):
                break
        return found

    def close(self) -> None:
        self.cluster.end()
        self.delaying.close()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    made = Planted(tmp_path_factory.mktemp("planted"))
    yield made
    made.close()


@contextmanager
def stop_and_go(pid: int) -> Iterator[None]:
    """It stands still for 200 of each 300 ms, as if others had the processor."""
    is_over = threading.Event()

    def run() -> None:
        with suppress(ProcessLookupError):
            while not is_over.is_set():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.2)  # which is what is planted
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_slow_disk_is_told(planted: Planted) -> None:
    planted.slow.touch()
    try:
        found = planted.measure("disk")
    finally:
        planted.slow.unlink()
    assert (found["verdict"], found["is_clear"]) == ("disk", True), found
    assert "are fsync" in str(found["sentence"]) or "is fsync" in str(found["sentence"])
    assert all(one["sync_mean_ms"] >= 300 for one in found["members"])  # type: ignore[attr-defined]


def test_a_slow_network_is_told(planted: Planted) -> None:
    with planted.delaying.by(0.1):
        found = planted.measure("network")
    assert (found["verdict"], found["is_clear"]) == ("network", True), json.dumps([found["causes"], found["breakdown"], found["members"]])
    assert all(one["round_trip_ms"] >= 150 for one in found["members"] if not one["is_leader"])  # type: ignore[attr-defined]
    assert str(found["next"]).startswith("ping -c 20 127.")


def test_a_leader_that_is_not_run_is_told_as_cpu(planted: Planted) -> None:
    leader = planted.cluster.leader()
    assert leader.running is not None
    with stop_and_go(leader.running.pid):
        found = planted.measure("CPU")
    assert (found["verdict"], found["is_clear"]) == ("CPU", True), found
    assert str(found["next"]).startswith(f"top -H -p {leader.running.pid} ")


def test_a_generator_that_is_not_run_is_told_from_the_cluster(planted: Planted) -> None:
    command = ("bench", *LOAD, "--endpoints", planted.endpoints, "-o", "json", "--fail-on", "p50>1us")
    with planted.home.start(*command) as running:
        (generator,) = wait_until(lambda: children(running.pid), "it started a process")
        with stop_and_go(generator):
            out, _ = running.communicate(timeout=60)
    found = json.loads(out)
    assert (found["verdict"], found["is_clear"]) == ("generator", True), found
    assert (found["outcome"], running.returncode) == ("unknown", 3)  # that a threshold was crossed is not the cluster's doing
