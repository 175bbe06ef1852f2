"""doctor on clusters of this machine, and why a client here cannot use one: every fault is real."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.authority.files import Authority
from coordnode.client.sync import connect
from tests.processes.local import Home
from tests.processes.members import Cluster, free_port, own_hosts, wait_until
from tests.processes.test_commands import valid


def findings(home: Home, *arguments: str, code: int | None = None, **environment: str) -> list[tuple[str, str]]:
    """(what was looked at, what was found), but for a disk that is slow, which is the machine's matter; `code`: of what is left."""
    done = home.run("doctor", *arguments, "-o", "json", **environment)
    found: list[dict[str, str]] = valid(done.stdout.decode())["findings"]  # type: ignore[assignment]
    assert all(one["remedy"] for one in found)
    left = [one for one in found if one["check"] != "fsync"]
    assert code in (None, done.returncode if left or not found else 0), found
    return [(one["check"], one["sentence"]) for one in left]


# --- nothing is found where nothing is wrong ------------------------------------------------------------------------


def test_a_cluster_that_was_just_made(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    assert findings(home, code=0) == []
    assert findings(home, "--from-here", code=0) == []
    assert home.ctl("doctor", "n1", "--only", "disk").startswith("OK  nothing was found that is wrong with n1 of local\n")
    for arguments, words in (
        (("n9",), b"local has no host n9; there are: n1"),
        (("n1", "--from-here"), b"leave out the hosts"),
        (("--only", "luck"), b"'luck' is not one of 'quorum'"),
    ):
        refused = home.run("doctor", *arguments)
        assert (refused.returncode, words in refused.stderr) == (64, True), refused.stderr


def test_a_cluster_under_load_and_one_whose_members_were_all_killed_and_started_again(home: Home) -> None:
    home.ctl("up")
    is_over = threading.Event()

    def write() -> None:
        with connect([str(one["address"]) for one in home.members()]) as client:
            while not is_over.is_set():
                client.kv.put("busy", b"x" * 1_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert findings(home, code=0) == []
    finally:
        is_over.set()
        writer.join()
    for name in ("n1", "n2", "n3"):
        home.kill(name)
    home.ctl("up")
    assert findings(home, code=0) == []


# --- what is wrong with members of this machine ---------------------------------------------------------------------


def test_a_member_that_was_stopped_and_one_that_is_gone(home: Home) -> None:
    home.ctl("up")
    pid = home.pid("n2")
    os.kill(pid, signal.SIGSTOP)
    home.kill("n3")
    lines = home.ctl("doctor", code=None).splitlines()
    os.kill(pid, signal.SIGCONT)
    assert any(line.startswith("! n2's member is stopped: process") for line in lines)
    assert lines[lines.index("! n3's member does not run") + 1].split() == ["coordctl", "up", "-c", "local", "runbooks/member-killed.md"]


# --- why a client cannot connect ------------------------------------------------------------------------------------


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Cluster, Authority]]:
    cluster = Cluster(tmp_path / "secured", count=1)
    authority = Authority(str(tmp_path / "ca"))
    authority.init("test")
    authority.member("n1", 1, 1)
    cluster.members[1].start("--tls", str(tmp_path / "ca" / "members" / "n1"))
    yield cluster, authority
    cluster.end()


def test_names_ports_and_strangers(home: Home) -> None:
    (host,) = own_hosts(1)
    nobody = f"{host}:{free_port(host)}"
    assert findings(home, "--endpoints", f"nowhere.invalid:7001,{nobody}", code=3) == [
        ("dns", "this machine finds no address for nowhere.invalid (name or service not known)"),
        ("tcp", f"nobody listens at {nobody}"),
    ]
    with socket.create_server((host, 0)) as stranger:
        address = f"{host}:{stranger.getsockname()[1]}"

        def hang_up() -> None:
            for _ in range(20):
                try:
                    stranger.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        found = dict(findings(home, "--endpoints", address, "--timeout", "5s", code=3))
        assert found["answers"].startswith(f"{address} is reached, and says nothing that a member says")


def test_a_member_that_hangs_and_a_cluster_that_nobody_leads(home: Home) -> None:
    home.ctl("up")
    home.kill("n1")
    home.kill("n2")
    wait_until(lambda: home.json("status")["leader"] == "", "nobody to lead")
    checks = [check for check, _ in findings(home, "--from-here", "--timeout", "10s", code=2)]
    assert checks == ["role", "tcp", "tcp"]
    os.kill(home.pid("n3"), signal.SIGSTOP)
    found = dict(findings(home, "--from-here", "--timeout", "500ms", code=3))
    os.kill(home.pid("n3"), signal.SIGCONT)
    assert "is reached, and says nothing that a member says (no answer)" in found["answers"]


def test_certificates(secured: tuple[Cluster, Authority], home: Home, tmp_path: Path) -> None:
    cluster, authority = secured
    endpoints = ["--endpoints", cluster.contacts[1]]  # type: ignore[index]
    client = authority.client("ops", 1)
    wait_until(lambda: findings(home, *endpoints, COORD_TLS=client) == [], "the member to be ready")

    ((check, sentence),) = findings(home, *endpoints, code=3)
    assert (check, sentence.endswith("speaks TLS, and this client does not")) == ("tls", True)

    strangers = Authority(str(tmp_path / "strangers"))
    strangers.init("other")
    ((check, sentence),) = findings(home, *endpoints, code=3, COORD_TLS=strangers.client("ops", 1))
    assert (check, "have certificates of different authorities" in sentence) == ("tls", True)

    ((check, sentence),) = findings(home, *endpoints, code=3, COORD_TLS=authority.client("late", 0))
    assert (check, "does not believe this client: its certificate in" in sentence) == ("tls", True)

    home.ctl("up", "--nodes", "1")
    ((check, sentence),) = findings(home, "--from-here", code=3, COORD_TLS=client)
    assert (check, sentence.endswith("does not speak TLS, and COORD_TLS is set")) == ("tls", True)
