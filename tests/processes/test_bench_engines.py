"""`bench` against etcd and ZooKeeper: the workloads that they have, what it may say of them, and that nothing of it stays."""

import os
import signal

import pytest

from coordctl.operations.bench import TTL_SECONDS
from tests.processes.local import Home
from tests.processes.members import wait_until
from tests.processes.test_bench import await_second_line
from tests.processes.test_commands import valid

SHORT = ("--for", "1s", "--rate", "25/s", "--connections", "4", "--timeout", "30s")
WORKLOADS = [("etcd", one) for one in ("get", "cas", "lock")] + [("zookeeper", one) for one in ("get", "lock")]  # what is got was put


def left_behind(home: Home) -> list[str]:
    """Keys and locks."""
    return [line for verb in ("kv", "lock") for line in home.ctl(verb, "ls", "_bench/", "-o", "json", code=None).splitlines()]


@pytest.mark.parametrize(("engine", "workload"), WORKLOADS)
def test_each_workload_that_it_has_is_done_and_nothing_of_it_stays(three_of: Home, workload: str) -> None:
    found = valid(three_of.ctl("bench", workload, *SHORT, "-q", "-o", "json", "--fail-on", "errors>0"))
    assert (found["outcome"], found["done"], found["wrong"], found["is_clean"]) == ("measured", 25, [], True)
    assert {one["cause"] for one in found["causes"]} == {"cluster", "generator"}  # type: ignore[attr-defined]
    assert found["verdict"] in ("cluster", "generator")
    assert (found["breakdown"], found["members"], found["commit_p99_ms"]) == ([], [], None), "its members do not say"
    assert left_behind(three_of) == []


@pytest.mark.parametrize("engine", ["etcd", "zookeeper"])
def test_as_fast_as_it_answers(three_of: Home) -> None:
    done = three_of.run("bench", "--rate", "max", "--for", "1s", "--connections", "4", "--timeout", "30s")
    screen = done.stdout.decode()
    assert (done.returncode, screen.split()[0]) == (0, "MEASURED"), (screen, done.stderr)
    assert "its members do not say where" in screen
    assert max(map(len, screen.splitlines())) <= 80


@pytest.mark.parametrize("engine", ["etcd", "zookeeper"])
def test_what_a_run_leaves_that_was_killed_goes_by_itself(three_of: Home) -> None:
    with three_of.start("bench", "--for", "60s", "--rate", "20/s", "--timeout", "30s", alone=True) as running:
        await_second_line(running)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
    assert left_behind(three_of)
    wait_until(lambda: not left_behind(three_of), "its sessions are over", 10 * TTL_SECONDS)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["queue", "--endpoints", "etcd://127.0.0.1:1"], "etcd has no queues"),
        (["mixed", "--endpoints", "zk://127.0.0.1:1"], "ZooKeeper has no queues"),
        (["journal", "--endpoints", "zk://127.0.0.1:1"], "ZooKeeper has no journals"),
        (["cas", "--endpoints", "zk://127.0.0.1:1"], "ZooKeeper compares versions"),
        (["--rate", "max", "--outstanding", "2", "--endpoints", "etcd://127.0.0.1:1"], "etcd is asked one question at a time"),
    ],
)
def test_what_it_has_not_is_refused(home: Home, asked: list[str], words: str) -> None:
    done = home.run("bench", *asked)
    assert (done.returncode, done.stdout) == (64, b"")
    assert done.stderr.decode().startswith(f"coordctl: {words}")
    assert done.stderr.count(b"\n") == 1


def test_a_cluster_that_cannot_be_reached_is_unknown(home: Home) -> None:
    done = home.run("bench", "--endpoints", "etcd://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"no member can be reached: 127.0.0.1:1: connection refused" in done.stderr
