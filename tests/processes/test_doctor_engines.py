"""`doctor` of etcd and ZooKeeper: real faults, each planted, and what it says of them."""

import json
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordctl.engines.clients import connect
from coordnode.errors import NoSpace
from tests.door import IS_LONG
from tests.processes.conftest import OTHERS, is_here
from tests.processes.local import Home
from tests.processes.test_commands import valid

QUOTA_BYTES = 1 << 19
CHUNK = "x" * 65_536


def doctor(home: Home, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = valid(home.ctl("doctor", "-q", "-o", "json", "--timeout", "20s", *arguments, code=None))
    return found


def told(home: Home, *arguments: str) -> dict[str, tuple[str, str, str]]:
    """By what was looked at: (level, host, sentence) of the worst."""
    found = doctor(home, *arguments)["findings"]
    return {one["check"]: (one["level"], one["host"], one["sentence"]) for one in reversed(found)}  # type: ignore[call-overload]


def endpoints(home: Home, *members: str) -> str:
    addresses = [str(one["address"]) for one in home.members() if one["name"] in (members or ("n1", "n2", "n3"))]
    return ",".join(f"{home.scheme}{address}" for address in addresses)


@contextmanager
def few_files(pid: int) -> Iterator[None]:
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (512, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def etcdctl(home: Home, *arguments: str) -> str:
    address = str(home.members()[0]["address"])
    environment = {**home.environment, "ETCDCTL_API": "3"}
    done = subprocess.run(
        ["etcdctl", "--endpoints", address, *arguments], env=environment, capture_output=True, timeout=60, check=True, text=True
    )
    return done.stdout


@pytest.fixture
def made(home: Home, engine: str) -> Home:
    if not is_here(engine):
        pytest.skip(f"{engine} is not on this machine")
    home.engine = engine
    return home


@pytest.mark.parametrize("engine", OTHERS)
def test_nothing_is_found_where_nothing_is_wrong_and_who_is_not_named_or_has_few_files_is_told(three_of: Home) -> None:
    done = three_of.run("doctor", "--timeout", "20s")
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, lines[0]) == (0, "OK  nothing was found that is wrong with local"), lines
    assert lines[1].startswith("sources: API 3/3 (")
    level, _, sentence = told(three_of, "--endpoints", endpoints(three_of, "n1", "n2"))["members"]
    assert (level, sentence.startswith("only 2 of 3 members are named, and the others were not asked: ")) == ("warning", True), sentence
    with few_files(three_of.pid("n2")):
        assert told(three_of)["files"][:2] == ("warning", "n2")
        assert doctor(three_of, "n1")["findings"] == []
        assert doctor(three_of, "n2", "--only", "files")["exit_code"] == 1
    assert doctor(three_of)["exit_code"] == 0


@pytest.mark.parametrize("engine", ["etcd"])
def test_a_member_that_never_started_makes_an_even_number(three_of: Home) -> None:
    member = etcdctl(three_of, "member", "add", "ghost", "--peer-urls=http://127.0.0.1:1").split()[1]
    try:
        sentences = [one["sentence"] for one in doctor(three_of)["findings"]]  # type: ignore[attr-defined]
        assert "a member at http://127.0.0.1:1 was added and never started, and counts as lost" in sentences
        assert any(one.startswith("4 members vote") for one in sentences)
        assert "one more member lost is an outage" in sentences
    finally:
        etcdctl(three_of, "member", "remove", member)
    assert doctor(three_of)["exit_code"] == 0


@pytest.mark.parametrize("engine", ["etcd"])
def test_data_near_their_quota_past_it_and_not_given_back_are_told_apart(made: Home) -> None:
    made.environment["ETCD_QUOTA_BACKEND_BYTES"] = str(QUOTA_BYTES)
    made.up(1)
    for small in "abcd":
        made.ctl("kv", "put", small, small)
    assert doctor(made)["exit_code"] == 0
    with connect([endpoints(made)], identity="test", timeout=30.0) as cluster:
        for _ in range(2):
            cluster.kv.put("big", CHUNK)
        assert doctor(made)["exit_code"] == 0
        while "space" not in told(made):
            cluster.kv.put("big", CHUNK)
    level, host, sentence = told(made)["space"]
    assert (level, host) == ("warning", "n1")
    assert "of at most 0.5 MiB" in sentence
    assert "past it nobody may put anything" in sentence
    with connect([endpoints(made)], identity="test", timeout=30.0) as cluster, pytest.raises(NoSpace):
        while True:
            cluster.kv.put("big", CHUNK)
    found = doctor(made)
    assert (found["exit_code"], told(made)["alarm"][:2]) == (2, ("critical", "n1"))
    assert "n1 has raised NOSPACE" in told(made)["alarm"][2]
    revision = json.loads(etcdctl(made, "get", "big", "-w", "json"))["header"]["revision"]
    etcdctl(made, "compact", str(revision), "--physical")
    for small in "abcd":  # what is free is counted when something is written
        made.ctl("kv", "del", small)
    assert "past it" not in told(made)["space"][2], told(made)
    etcdctl(made, "defrag")
    etcdctl(made, "alarm", "disarm")
    assert doctor(made)["exit_code"] == 0


@pytest.mark.parametrize("engine", ["etcd"])
def test_members_of_two_clusters_are_told(three_of: Home, made: Home) -> None:
    made.up(1)
    both = f"{endpoints(three_of)},{endpoints(made)}"
    found = doctor(made, "--endpoints", both)
    assert found["exit_code"] == 2
    assert any("are of 2 clusters" in one["sentence"] for one in found["findings"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ["etcd"])
def test_a_member_whose_data_were_changed_behind_its_back_is_found(made: Home) -> None:
    made.up()
    made.ctl("kv", "put", "planted", "before-before")
    store: Path = made.state / "local" / "n3" / "member" / "snap" / "db"
    made.ctl("down")  # nothing is left in its log that it would do again
    assert b"before-before" in store.read_bytes()
    store.write_bytes(store.read_bytes().replace(b"before-before", b"before-behind"))
    made.up()
    level, host, sentence = told(made)["digest"]
    assert (level, host) == ("critical", "n3")
    assert sentence == "data differ as of one revision: n3 from the others"


@pytest.mark.parametrize("engine", ["zookeeper"])
def test_leases_that_are_too_short_settings_that_differ_and_words_that_are_not_answered(made: Home) -> None:
    made.up()
    settings: Path = made.state / "local" / "n1" / "zoo.cfg"
    before = settings.read_text()
    settings.write_text(before.replace("minSessionTimeout=1000", "minSessionTimeout=600"))
    made.kill("n1")
    made.up()
    found = told(made)
    assert found["lease"][:2] == ("warning", "n1")
    assert "n1 grants leases of 600 ms, and a lock that is held for less than 2 ticks (1000 ms) is not safe" in found["lease"][2]
    assert found["settings"][1:] == (
        "n1",
        "n1 has minSessionTimeout=600, the others have 1000: which one holds depends on the member that is asked",
    )
    if not IS_LONG:
        return
    settings.write_text(before.replace("srvr,mntr,conf,ruok", "srvr"))
    made.kill("n1")
    made.up()
    sentence = "not all of n1 could be looked at: conf and mntr are not among its 4lw.commands.whitelist"
    assert told(made)["settings"] == ("warning", "", sentence)
