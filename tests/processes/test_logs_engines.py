"""Real members of etcd and ZooKeeper, harmed: what their logs say of it, by every verb that reads logs."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.door import IS_LONG
from tests.processes.conftest import OTHERS, is_here
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid
from tests.processes.test_logs import but_stalls, explained

STOPPED_SECONDS = 9.0  # longer than others wait before they give one up
NAMES = ("n1", "n2", "n3")
FACTS = {"etcd": {"status.json", "metrics.txt"}, "zookeeper": {"status.json", "metrics.txt", "settings.txt"}}


@pytest.fixture
def fresh(home: Home, engine: str) -> Home:
    """Three members of its own, to be harmed."""
    if not is_here(engine):
        pytest.skip(f"{engine} is not on this machine")
    home.engine = engine
    return home


def now() -> str:
    return time.strftime("%H:%M:%S", time.gmtime())


def next_second() -> str:
    """All that was before it is over."""
    before = now()
    until(lambda: now() > before)
    return now()


def quiet(home: Home) -> str:
    """The second from which on nothing is told, where another one is over since; "": something is."""
    begun = next_second()
    next_second()
    return begun if explained(home, "--from", begun) == [] else ""


def is_first(home: Home, since: str, cause: str, member: str) -> bool:
    found = explained(home, "--from", since)
    return bool(found) and found[0] == (cause, [member])


@pytest.mark.parametrize("engine", OTHERS)
def test_a_killed_leader_is_told_by_every_verb_here_and_from_a_bundle(fresh: Home) -> None:
    fresh.up()
    leader = str(fresh.json("status")["leader"])
    before = until(lambda: quiet(fresh), "of healthy members there is nothing to be told")
    assert but_stalls(explained(fresh)) == []
    since = next_second()
    fresh.kill(leader)
    killed = ("member killed", [leader])
    until(lambda: but_stalls(explained(fresh, "--from", since))[:1] == [killed], "nobody says that it is gone")
    assert but_stalls(explained(fresh, "--from", before, "--to", since)) == []  # then it was there

    told = valid(fresh.ctl("logs", "explain", "--from", since, "-o", "json", code=1))
    first = next(one for one in told["hypotheses"] if (one["cause"], one["members"]) == killed)
    others = {name for name in NAMES if name != leader}
    assert {one["member"] for one in first["evidence"]} & others
    assert (first["runbook"], "coordctl" in first["confirm"]) == ("", False)
    assert first["remedy"]
    assert sorted(one["name"] for one in told["members"]) == list(NAMES)
    assert (told["missing"], told["troubles"]) == ([], [])

    lines = [json.loads(line) for line in fresh.ctl("logs", "search", ".", "--from", since, "-o", "json").splitlines()]
    assert {one["member"] for one in lines} >= others
    warnings = fresh.ctl("logs", "tail", "-n", "50", "--level", "warning", "--member", min(others), "-o", "json").splitlines()
    assert warnings
    assert all(json.loads(line)["level"] != "info" for line in warnings)
    differs = fresh.json("logs", "diff", "--from", since, code=1)
    assert differs["outcome"] == "different"

    bundle = fresh.folder / "b.tar.gz"
    made = json.loads(fresh.ctl("bundle", "--from", since, "--file", str(bundle), "-o", "json"))
    with tarfile.open(bundle) as archive:
        names = set(archive.getnames())
    assert {"manifest.json", "report.html", *(f"{name}/{name}.log" for name in NAMES)} <= names
    assert {f"{name}/{fact}" for name in others for fact in FACTS[fresh.engine]} <= names
    absent = {one["what"] for one in made["missing"] if not one["what"].startswith("host/")}
    assert absent == {f"{leader}/{fact}" for fact in FACTS[fresh.engine]}
    assert but_stalls(explained(fresh, str(bundle)))[:1] == [killed]
    collected = json.loads(fresh.ctl("logs", "collect", "--from", since, "--file", str(fresh.folder / "l.tar.gz"), "-o", "json"))
    assert (collected["outcome"], len(collected["files"])) == ("whole", 3)

    stream = [json.loads(line) for line in fresh.ctl("timeline", "--from", since, "-o", "json").splitlines()]
    assert ("restart", leader) in [(one["sort"], one["member"]) for one in stream]
    until(lambda: fresh.json("status")["leader"] in others, "nobody leads")
    stream = [json.loads(line) for line in fresh.ctl("timeline", "-o", "json").splitlines()]  # from the start: it may have led no more
    assert [one["member"] for one in stream if one["sort"] == "election"][-1] == fresh.json("status")["leader"]

    for name in sorted(others):  # then nobody is left to say so
        fresh.kill(name)
    assert sorted(but_stalls(explained(fresh, "--from", since))) == [("member killed", [name]) for name in NAMES]


@contextmanager
def slow(pid: int, seen: Path) -> Iterator[None]:
    """Each write of its log takes 1.5 s longer to reach the disk."""
    delay = "inject=fdatasync,fsync:delay_enter=1500000"
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", delay, "-o", str(seen), "-p", str(pid)])
    try:
        until(lambda: f"TracerPid:\t{tracer.pid}" in _status(pid), "it is not traced")
        yield
    finally:
        tracer.terminate()
        tracer.wait(60)


def _status(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.skipif(not IS_LONG, reason="a minute each: COORD_LONG=1")
def test_who_is_stopped_is_told_from_who_is_killed_asked_to_stop_or_has_a_slow_disk(fresh: Home) -> None:
    fresh.up()
    for leads in (False, True):
        leader = str(fresh.json("status")["leader"])
        stopped, since = next(name for name in NAMES if (name == leader) is leads), next_second()
        os.kill(fresh.pid(stopped), signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(fresh.pid(stopped), signal.SIGCONT)
        until(lambda since=since, stopped=stopped: is_first(fresh, since, "member paused", stopped), f"{stopped} was stopped")
        assert [one for one in explained(fresh, "--from", since) if one[0] != "member paused"] == []

    time.sleep(6)  # what is near belongs together
    asked, since = stopped, now()
    os.kill(fresh.pid(asked), signal.SIGTERM)
    planned = "stopped" if fresh.engine == "etcd" else "member killed"  # ZooKeeper says nothing when it is asked to
    until(lambda: is_first(fresh, since, planned, asked), "it was asked to stop")
    fresh.up()
    cause = "restart" if fresh.engine == "etcd" else "member killed"
    until(lambda: is_first(fresh, since, cause, asked), "it came back")

    if shutil.which("strace") is None:
        return
    time.sleep(6)
    victim, since = str(fresh.json("status")["leader"]), now()
    with slow(fresh.pid(victim), fresh.folder / "syncs"):
        until(lambda: [fresh.ctl("kv", "put", "a", "1", code=None), is_first(fresh, since, "slow disk", victim)][-1], "its disk was slow")


@pytest.mark.skipif(not IS_LONG, reason="half a minute: COORD_LONG=1")
@pytest.mark.parametrize("engine", ["etcd"])
def test_a_database_at_its_quota_is_told(fresh: Home) -> None:
    fresh.ctl("up", "--engine", "etcd", "--timeout", "60s", ETCD_QUOTA_BACKEND_BYTES="1000000")
    since = now()
    until(lambda: fresh.run("kv", "put", f"k{time.monotonic_ns()}", "x" * 100_000).returncode, "it takes everything")
    until(lambda: explained(fresh, "--from", since)[:1] and explained(fresh, "--from", since)[0][0] == "database full", "no alarm")
    told = fresh.json("logs", "explain", "--from", since, code=1)
    assert told["hypotheses"][0]["confirm"] == "etcdctl alarm list"  # type: ignore[index]
    assert "etcdctl alarm disarm" in told["hypotheses"][0]["remedy"]  # type: ignore[index]
