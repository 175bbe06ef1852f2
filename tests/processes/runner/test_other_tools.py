"""In one line with the tools that people have: etcdctl's lock, and the one of kazoo."""

import os
import signal
import subprocess
import sys

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import ended, line, marked, named, run, started, until

KAZOO = """
import os, sys, time
from kazoo.client import KazooClient
client = KazooClient(sys.argv[1], timeout=10)
client.start(30)
with client.Lock("/coordctl/locks/line", "kazoo"):
    print("on", flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
client.stop()
"""
WAITS = 'echo on; while [ ! -e "$1" ]; do sleep 0.02; done'


@pytest.mark.other_engines
def test_whoever_comes_later_waits_whichever_tool_it_is(engine: str, shared: Home) -> None:
    home = shared
    endpoints = ",".join(str(one["address"]) for one in home.members())
    go = home.folder / "go"  # etcdctl passes no standard input to its command
    etcdctl = ["etcdctl", "--endpoints", endpoints, "lock", "coordctl/locks/line", "--", "sh", "-c", WAITS, "sh", str(go)]
    command = etcdctl if engine == "etcd" else [sys.executable, "-W", "ignore", "-c", KAZOO, endpoints, str(go)]
    environment = {**home.environment, "ETCDCTL_API": "3"}

    def other() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    with started(home, "line", "--", "sh", "-c", "echo on; cat", stdin=subprocess.PIPE) as ours:
        assert line(ours) == "on"
        with other() as theirs:
            try:
                until(lambda: home.json("lock", "show", "line")["waiters"], "it stands in our line")
                with started(home, "line", "--", "echo", "last") as last:
                    until(lambda: len(home.json("lock", "show", "line")["waiters"]) == 2)  # type: ignore[arg-type]
                    assert ours.stdin is not None
                    ours.stdin.close()
                    assert ours.wait(60) == 0
                    assert line(theirs) == "on", "we ended, and it has it"
                    shown = home.json("lock", "show", "line")
                    assert (len(shown["holders"]), len(shown["waiters"])) == (1, 1)  # type: ignore[arg-type]
                    assert run(home, "line", "--try", "--", "true", code=75).stdout == b""
                    go.touch()
                    assert line(last) == "last", "it ended, and who came after it has it"
                    assert ended(last)[0] == 0
            finally:
                theirs.kill()


@pytest.mark.other_engines("etcd")
def test_a_runner_that_stands_still_lets_nobody_beside_its_command_as_etcdctl_does(shared: Home, mark: str) -> None:
    """A lease alone gives a lock to two: its holder does not know that it is over. What belongs to a runner is ended by its guard."""
    endpoints = ",".join(str(one["address"]) for one in shared.members())
    works = f'echo on; while :; do echo "$0" >> {shared.folder}/work; sleep 0.02; done; : {mark}'
    environment = {**shared.environment, "ETCDCTL_API": "3"}

    def etcdctl(*command: str) -> "subprocess.Popen[bytes]":
        words = ["etcdctl", "--endpoints", endpoints, "lock", "--ttl", "2", "leased", "--", *command]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)

    with etcdctl("sh", "-c", works, "first") as first:
        try:
            assert line(first) == "on"
            first.send_signal(signal.SIGSTOP)
            with etcdctl("sh", "-c", f"echo on; sleep 1; : {mark}") as second:
                assert line(second) == "on"
                written = (shared.folder / "work").stat().st_size
                until(lambda: (shared.folder / "work").stat().st_size > written, "both are inside of the lock: this is what a lease does")
                second.wait(60)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
    until(lambda: not named(marked(mark), "sh"))
    with started(shared, "leased", "--ttl", "10s", "--grace", "3s", "--", "sh", "-c", works, "ours") as ours:
        assert line(ours) == "on"
        ours.send_signal(signal.SIGSTOP)
        with started(shared, "leased", "--", "sh", "-c", "echo on; cat", stdin=subprocess.PIPE) as next_one:
            assert line(next_one) == "on"
            assert not named(marked(mark), "sh"), "its guard has ended the command before anybody else had the lock"
        ours.send_signal(signal.SIGCONT)
        assert ended(ours)[0] == 79
