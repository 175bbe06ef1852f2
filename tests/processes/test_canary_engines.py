"""`canary run` on etcd and ZooKeeper: what it sees of healthy, hurt and lost clusters, and that nothing of it stays behind."""

import gc
import json
import os

import pytest

from coordctl.engines.blocking import Blocking
from coordctl.engines.clients import connect
from coordctl.local.clusters import named
from coordnode.errors import CoordError
from tests.door import IS_LONG
from tests.processes.conftest import OTHERS, is_here
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_canary import run, signalled
from tests.processes.test_commands import valid

CYCLES = [("election", ""), ("lock", "")]


def left_behind(home: Home) -> list[str]:
    return [line for verb in ("kv", "lock", "elect") for line in home.ctl(verb, "ls", "_canary/", "-o", "json", code=None).splitlines()]


@pytest.mark.parametrize("engine", OTHERS)
def test_a_healthy_cluster_serves_through_each_member_and_nothing_stays(three_of: Home) -> None:
    told = three_of.ctl("canary", "run", "--interval", "100ms", "--count", "3", "-o", "json", "--timeout", "10s")
    last = valid(told)
    assert (last["outcome"], last["exit_code"], last["rounds"], last["is_clean"]) == ("ok", 0, 3, True)
    tried = sorted((one["probe"], one["member"]) for one in json.loads(told.splitlines()[0])["samples"])
    assert tried == sorted([*CYCLES, *[(probe, name) for probe in ("read", "watch", "write") for name in ("n1", "n2", "n3")]])
    assert left_behind(three_of) == []
    line = three_of.ctl("canary", "run", "-q", "--count", "1", "--timeout", "10s")
    assert line.startswith("OK  1 round, none failed; p99 lock ")
    assert "queue" not in line
    status = three_of.json("canary", "status")
    assert (status["outcome"], status["exit_code"]) == ("ok", 0)


@pytest.mark.parametrize("engine", OTHERS)
def test_what_a_killed_canary_had_written_goes_by_itself(three_of: Home) -> None:
    endpoints = [f"{three_of.scheme}{one['address']}" for one in three_of.members()]

    def killed_while_it_has_written() -> bool:
        with connect(endpoints, identity="test", timeout=10.0) as cluster:
            with three_of.start("canary", "run", "--interval", "100ms", "--timeout", "500ms") as canary:
                until(lambda: any(cluster.kv.range("_canary/")), "it writes nothing")
                canary.kill()
                canary.communicate(timeout=60)
            return any(cluster.kv.range("_canary/"))

    assert any(killed_while_it_has_written() for _ in range(20))
    until(lambda: not left_behind(three_of), "what it wrote is there still")


@pytest.mark.parametrize("engine", OTHERS)
def test_a_session_leaves_no_file_open_however_it_ends(three_of: Home) -> None:
    """A canary opens some in each round, for months."""
    there = named(",".join(f"{three_of.scheme}{one['address']}" for one in three_of.members()), "")
    nowhere = named(f"{three_of.scheme}127.0.0.1:1", "")
    before = set(os.listdir("/proc/self/fd"))
    gc.disable()  # which would close them late
    kept = []
    try:
        for chosen in (there, nowhere):
            session = Blocking(chosen, "test", 10_000, 10.0, "_canary/files/session")
            kept.append(session)
            try:
                session.open()
                session.put("_canary/files/key", "x")
                session.close()
            except CoordError:
                assert chosen == nowhere
        assert set(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


@pytest.mark.parametrize("engine", ["etcd", "zookeeper"])
@pytest.mark.skipif(not IS_LONG, reason="a minute each: COORD_LONG=1")
def test_it_tells_a_hurt_cluster_from_a_lost_one_and_from_one_that_is_stopped(home: Home, engine: str) -> None:
    if not is_here(engine):
        pytest.skip(f"{engine} is not on this machine")
    home.engine = engine
    home.up()
    leader = str(home.json("status")["leader"])
    follower, other = (name for name in ("n1", "n2", "n3") if name != leader)
    with signalled(home, follower):
        hurt = run(home, 1, "--count", "1", "--timeout", "5s")
        assert f"write, read and watch through {follower}: no answer within 5 s" in str(hurt["sentence"])
        assert other not in str(hurt["sentence"]).split(" round not well: ")[1]
    home.kill(leader)
    home.kill(follower)
    until(lambda: not home.json("status", "--timeout", "500ms", code=None)["leader"], "somebody leads still")
    lost = run(home, 2, "--count", "1", "--timeout", "1s")
    assert str(lost["sentence"]).startswith(f"down in 1 of 1 round: {other} can be reached and cannot serve")
    home.kill(other)
    gone = run(home, 3, "--count", "1", "--timeout", "1s")
    assert "their hosts answer: they look stopped" in str(gone["sentence"])
    assert gone["is_clean"] is True  # nothing was ever sent
