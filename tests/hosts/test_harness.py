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
    sys.stdin.read()
"""


@pytest.mark.parametrize("init", ["plain", "systemd"])
def test_what_a_killed_run_left_behind_is_removed_by_the_next(init: str) -> None:
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command, environment = [sys.executable, "-c", LEAVES, init], {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        mark = running.stdout.readline().strip()
        with fleet.sweeping():  # or another run that begins just now may be the next
            running.kill()
            assert running.wait(90) == -signal.SIGKILL, "it ended by itself: what it said is above"
            assert mark in fleet.leftovers()
            fleet.remove_leftovers()
            assert mark not in fleet.leftovers()
            assert not [name for name in fleet._names() if name.startswith(mark)]
