"""Verbs on etcd and ZooKeeper beyond locks, which runner/ has."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordctl.engines.blocking import Blocking
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.asking import Asking
from coordctl.local import foreign
from coordctl.local.clusters import named
from tests.processes.conftest import is_here
from tests.processes.local import Home
from tests.processes.members import wait_until
from tests.processes.test_commands import valid

COORDCTL = [sys.executable, "-m", "coordctl"]
REFUSED_NAME = "ZooKeeper refused it: is the name one that it takes, and is it version 3.5 or later?"
NOT_FOLLOWED = b"coordctl: ZooKeeper tells that a key changed, and not to what: what it was in between would be left out\n"


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    if not is_here("etcd"):
        pytest.skip(foreign.REMEDIES["etcd"])
    made = Home(tmp_path_factory.mktemp("etcd"), "etcd")
    made.up()
    yield made
    made.close()


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    if not is_here("zookeeper"):
        pytest.skip(foreign.REMEDIES["zookeeper"])
    made = Home(tmp_path_factory.mktemp("zookeeper"), "zookeeper")
    made.up(1)
    yield made
    made.close()


@contextmanager
def following(home: Home, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Ended by the test, or with it."""
    with home.start(*words) as process:
        try:
            yield process
        finally:
            process.kill()


def etcdctl(home: Home, *words: str, stdin: bytes = b"") -> None:
    """Of the last member, which no test here stops."""
    address = str(home.members()[-1]["address"])
    environment = {**home.environment, "ETCDCTL_API": "3"}
    subprocess.run(["etcdctl", "--endpoints", address, *words], input=stdin, env=environment, check=True, stdout=subprocess.DEVNULL)


def test_changes_are_told_in_order_each_once_whatever_becomes_of_the_member(etcd: Home) -> None:
    """The first that is named is asked first: it stands still, and then is killed."""
    addresses = [str(one["address"]) for one in etcd.members()]
    others = f"etcd://{addresses[2]}"
    with following(etcd, "kv", "watch", "w/", "--endpoints", "etcd://" + ",".join(addresses), "--timeout", "60s") as watch:
        assert watch.stdout is not None and watch.stderr is not None

        def told() -> str:
            assert watch.stdout is not None
            return watch.stdout.readline().decode().partition(" ")[2]

        assert watch.stderr.readline().startswith(b"watching from revision ")
        etcd.ctl("kv", "put", "w/a", "1", COORD_ENDPOINTS=others)
        etcd.ctl("kv", "put", "other", "1", COORD_ENDPOINTS=others)
        etcd.ctl("kv", "del", "w/a", COORD_ENDPOINTS=others)
        assert [told(), told()] == ["put w/a 1\n", "delete w/a\n"]
        etcdctl(etcd, "txn", stdin=b"\nput w/x both\nput w/y both\n\n\n")
        assert [told(), told()] == ["put w/x both\n", "put w/y both\n"]
        os.kill(etcd.pid("n1"), signal.SIGSTOP)
        wait_until(lambda: etcd.run("kv", "get", "other", COORD_ENDPOINTS=others).returncode == 0, "somebody else leads, if it did")
        etcd.ctl("kv", "put", "w/b", "2", COORD_ENDPOINTS=others)
        assert told() == "put w/b 2\n"
        os.kill(etcd.pid("n1"), signal.SIGCONT)
        wait_until(lambda: etcd.run("health").returncode == 0, "n1 has caught up")
        etcd.kill("n2")
        wait_until(lambda: etcd.run("kv", "get", "other", COORD_ENDPOINTS=others).returncode == 0, "somebody else leads, if it did")
        etcd.ctl("kv", "put", "w/c", "3", COORD_ENDPOINTS=others)
        assert told() == "put w/c 3\n"
    etcd.ctl("up", "--engine", "etcd", "--timeout", "60s")


def test_what_the_history_does_not_reach_is_said(etcd: Home) -> None:
    begun = etcd.json("kv", "put", "h/a", "1")["revision"]
    after = etcd.json("kv", "put", "h/b", "2")["revision"]
    assert etcd.ctl("kv", "watch", "h/", "--from-revision", str(begun), "--count", "2", "-q") == f"{begun} put h/a 1\n{after} put h/b 2\n"
    etcdctl(etcd, "compact", str(after))
    done = etcd.run("kv", "watch", "h/", "--from-revision", str(begun))
    assert done.returncode == 1
    assert f"etcd has compacted what changed before revision {after}".encode() in done.stderr
    assert etcd.ctl("kv", "watch", "--key", "h/c", "--timeout", "1s", "-q") == ""


def test_every_leader_is_told_and_that_nobody_leads(etcd: Home) -> None:
    with following(etcd, "elect", "observe", "primary", "-o", "json", "--timeout", "60s") as observed:
        assert observed.stdout is not None

        def told() -> tuple[str, str | None]:
            assert observed.stdout is not None
            found = json.loads(observed.stdout.readline())
            return found["outcome"], found["leader"] and found["leader"]["value"]

        assert told() == ("vacant", None)
        leading = ("elect", "run", "primary", "--candidate")
        proclaims = 'exec "$@"'
        etcd.ctl(*leading, "a", "--value", "one", "--", "sh", "-c", proclaims, "sh", *COORDCTL, "elect", "proclaim", "two")
        assert [told(), told(), told()] == [("led", "one"), ("led", "two"), ("vacant", None)]
        etcd.ctl(*leading, "b", "--value", "three", "--", "true")
        assert [told(), told()] == [("led", "three"), ("vacant", None)]


@pytest.mark.parametrize("verb", [("kv", "watch"), ("elect", "observe", "primary")])
def test_zookeeper_says_why_it_cannot_be_followed(home: Home, verb: tuple[str, ...]) -> None:
    done = home.run(*verb, "--endpoints", "zk://127.0.0.1:1")
    assert (done.returncode, done.stderr) == (64, NOT_FOLLOWED)


def test_a_write_in_doubt_is_not_offered_to_be_sent_again_where_nobody_knows_its_id(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1 << 16)

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = home.run("kv", "put", "a", "b", COORD_ENDPOINTS=f"etcd://127.0.0.1:{server.getsockname()[1]}")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.returncode == 74
    assert b"hung up before it answered; it may have happened or not; look before you try again\n" in done.stderr


def test_a_key_above_others_stays_when_they_go(zookeeper: Home) -> None:
    """ZooKeeper makes nodes above a node by their own, and takes away those that were made to go with what is below."""
    home = zookeeper
    home.ctl("kv", "put", "a/b/c", "1")
    assert home.ctl("kv", "ls", "a") == "a/b/c\n"
    home.ctl("kv", "put", "a", "2")
    home.ctl("kv", "cas", "a/b", "3", "--absent")
    home.ctl("kv", "cas", "a/b", "4", "--absent", code=1)
    for key in ("a/b/c", "a/b"):
        home.ctl("kv", "del", key)
    assert home.ctl("kv", "get", "a") == "2"
    home.ctl("kv", "del", "a")
    assert nodes(home) == [b"zookeeper"]
    home.ctl("kv", "put", "d/e/f", "1")
    home.ctl("kv", "del", "d/e/f")
    assert nodes(home) == [b"zookeeper"], "nothing stays of what was only above it"


def test_a_key_that_would_go_with_those_below_it_is_refused(zookeeper: Home) -> None:
    chosen = named(f"zk://{zookeeper.members()[0]['address']}", "test")
    session = Blocking(chosen, "test", 10_000, 30.0, "test")
    session.open()
    session.put("bound/one", "1")
    for command in (("kv", "put", "bound", "1"), ("kv", "cas", "bound", "1", "--absent")):
        done = zookeeper.run(*command)
        assert (done.returncode, b"would go with the last of them" in done.stderr) == (64, True)
    session.close()


def nodes(home: Home) -> list[bytes]:
    """At the top."""
    address = str(home.members()[0]["address"])
    return sorted(words.names(Asking([address], 30_000).once(jute.children(b"/"), address)))


def test_keys_are_copied_from_engine_to_engine_and_compared(etcd: Home, zookeeper: Home) -> None:
    target = f"zk://{zookeeper.members()[0]['address']}"
    for key, value in (("copied/a", "1"), ("copied/a/b", "2"), ("copied/c", "3"), ("copied//d", "4")):
        etcd.ctl("kv", "put", key, value)
    zookeeper.ctl("kv", "put", "copied/c", "other")

    def copy(*more: str, code: int) -> dict[str, object]:
        return valid(etcd.ctl("copy", "copied/", "--to", target, "-o", "json", *more, code=code))

    dry = copy("--dry-run", code=1)
    assert (dry["keys"], dry["written"], dry["alike"], dry["outcome"]) == (4, 3, 0, "different")
    assert zookeeper.ctl("kv", "ls", "copied/") == "copied/c\n", "nothing was written"
    found = copy(code=1)
    assert found["unlike"] == [
        {"key": "copied//d", "why": "refused", "sentence": REFUSED_NAME},
        {"key": "copied/c", "why": "another value", "sentence": ""},
    ]
    etcd.ctl("kv", "del", "copied//d")
    assert copy("--overwrite", code=0)["outcome"] == "copied"
    assert copy(code=0)["outcome"] == "equal"
    assert [zookeeper.ctl("kv", "get", f"copied/{key}") for key in ("a", "a/b", "c")] == ["1", "2", "3"]
    back = etcd.ctl("copy", "copied/", "--endpoints", target, "--to", "local")
    assert back == f"ZooKeeper at {target.removeprefix('zk://')} to local: 3 keys\n3 were alike, 0 were written\ncompared: equal\n"
    assert b"are the same cluster" in etcd.run("copy", "--to", "local").stderr
