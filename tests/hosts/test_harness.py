"""The hosts themselves: nothing of ours is on them, they lead nowhere, and a killed run leaves nothing that the next does not remove."""

import os
import signal
import subprocess
import sys

import pytest

from tests.hosts import fleet
from tests.hosts.fleet import ROOT, Hosts


def test_a_host_has_a_python_and_nothing_of_ours(hosts: Hosts) -> None:
    assert hosts.run(2, "hostname") == "n2\n"
    assert hosts.run(1, "python3", "-c", "print(1)") == "1\n"
    for package in ("msgspec", "coordnode", "paramiko"):
        assert "ModuleNotFoundError" in hosts.run(1, "sh", "-c", f"python3 -c 'import {package}' 2>&1", check=False)
    assert not hosts.run(1, "sh", "-c", f"ls -A {ROOT} 2>/dev/null", check=False)
    assert "default" not in hosts.run(1, "ip", "route")


def test_what_is_written_on_a_host_is_there_after_a_reboot_and_on_no_other(hosts: Hosts) -> None:
    hosts.run(1, "sh", "-c", "echo here > /etc/mark; echo gone > /tmp/mark")
    hosts.reboot(1)
    assert hosts.run(1, "sh", "-c", "cat /etc/mark; ls /tmp") == "here\n"
    assert not os.path.exists("/etc/mark")
    assert hosts.run(2, "ls", "/etc/mark", check=False) == ""


LEAVES = """
import os, sys
from tests.hosts.fleet import Hosts
with Hosts.opened(1, sys.argv[1]) as hosts:
    print(hosts.mark, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("init", ["plain", "systemd"])
def test_what_a_killed_run_left_behind_is_removed_by_the_next(init: str) -> None:
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    killed = subprocess.run(
        [sys.executable, "-c", LEAVES, init],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=90,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    mark = killed.stdout.strip()
    assert mark in fleet.leftovers()
    fleet.sweep()
    assert mark not in fleet.leftovers()
    assert not [name for name in fleet._names() if name.startswith(mark)]
