"""What keeps a deployment from being made: each is named, nothing is changed, or the next run goes on from there."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordctl.operations import building
from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"


@pytest.fixture
def trusted(operator: Operator) -> Operator:
    operator.trust()
    return operator


@contextmanager
def opened(folder: Path) -> Iterator[Operator]:
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    with Hosts.opened(3, "plain") as hosts:
        operator = Operator(folder, hosts)
        operator.trust()
        yield operator
        operator.close()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Hosts on which nothing is made before the last test that has them."""
    with opened(tmp_path_factory.mktemp("bare")) as operator:
        yield operator


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A healthy cluster, until the last test that has it."""
    with opened(tmp_path_factory.mktemp("standing")) as operator:
        operator.ctl("deploy")
        yield operator


# --- on bare hosts, one after the other: nothing is made ------------------------------------------------------------------


def test_each_host_that_cannot_be_worked_on_is_named_in_one_run_and_nothing_is_begun(bare: Operator) -> None:
    hosts = bare.hosts
    make_another = "mkdir kept && mv ssh_host_* kept && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key"
    hosts.run(1, "sh", "-c", f"cd /etc/ssh && {make_another}")
    hosts.reboot(1)
    hosts.run(2, "sh", "-c", "mv /etc/sudoers.d/ops /root.sudo; echo 'ops ALL=(root) ALL' > /etc/sudoers.d/ops")
    hosts.halt(3)

    def troubles(code: int) -> dict[str, str]:
        failed = bare.json("deploy", code=code)
        assert str(failed["sentence"]).startswith("3 of 3 hosts failed: ") and str(failed["sentence"]).endswith("; nothing was changed")
        return {host["name"]: host["trouble"] for host in failed["hosts"]}  # type: ignore[attr-defined]

    told = troubles(1)
    assert told["n1"].startswith("n1: its host key has changed: ")
    assert told["n2"].startswith("n2: sudo wants a password of ops, and none is ever asked for")
    assert told["n3"].startswith(f"n3: ops@{hosts.address(3)}")
    hosts.run(2, "sh", "-c", "mv /root.sudo /etc/sudoers.d/ops; mv /etc/ssh/authorized/ops /root.keys")
    assert troubles(69)["n2"].startswith(f"n2: ops@{hosts.address(2)} refuses the keys of ssh-agent and of ")
    for number in (1, 2):
        assert hosts.run(number, "sh", "-c", f"ls {BASE} 2>/dev/null", check=False) == ""
    hosts.run(1, "sh", "-c", "cd /etc/ssh && rm ssh_host_* && mv kept/* .")
    hosts.reboot(1)
    hosts.run(2, "mv", "/root.keys", "/etc/ssh/authorized/ops")
    hosts.boot(3)
    hosts.wait_ssh(3)
    assert bare.json("deploy", "--dry-run", code=1)["outcome"] == "would change"


def test_hosts_on_which_it_cannot_run_are_named_and_nothing_is_changed(bare: Operator) -> None:
    hosts = bare.hosts
    hosts.run(1, "sh", "-c", "mv /usr/bin/python3 /usr/bin/py; mv /usr/bin/python3.11 /usr/bin/py3")
    hosts.run(2, "sh", "-c", "python3 -m http.server 7001 --bind 0.0.0.0 >/dev/null 2>&1 &")
    wait_until(lambda: "7001" in hosts.run(2, "ss", "-Hltn"), "somebody else listens there")
    first = bare.run("deploy")
    assert first.returncode == 1
    assert b"n1: it has no Python at all, and 3.11 or newer is needed: install python3" in first.stderr
    hosts.run(1, "sh", "-c", "mv /usr/bin/py /usr/bin/python3; mv /usr/bin/py3 /usr/bin/python3.11")
    second = bare.json("deploy", code=76)
    assert [(one["host"], one["level"]) for one in second["noted"]] == [("n2", "stops")]  # type: ignore[attr-defined]
    assert "n2: it cannot listen at" in str(second["sentence"])
    for number in (1, 2, 3):
        assert hosts.run(number, "sh", "-c", f"ls {BASE} 2>/dev/null", check=False) == ""
    hosts.run(2, "pkill", "-f", "http.server 7001")
    wait_until(lambda: "7001" not in hosts.run(2, "ss", "-Hltn"), "nobody listens there")


LACKS = "del building.NEEDED['msgspec']"
FOREIGN = (
    "ours = building._installed; here = f'.cpython-{sys.version_info[0]}{sys.version_info[1]}-'; "
    "building._installed = lambda packages: ((path.replace(here, '.cpython-399-'), content) for path, content in ours(packages))"
)


def test_a_build_that_lacks_a_wheel_or_is_for_another_python_is_refused_on_the_host_and_nothing_runs(bare: Operator) -> None:
    """Nothing on a host stands in for what was not sent; what was sent is loaded there before it is called a version."""
    for change in (LACKS, FOREIGN):
        script = f"import sys; from coordctl.operations import building; from coordctl.__main__ import program; {change}; program()"
        command = [sys.executable, "-c", script, "deploy"]
        done = subprocess.run(command, capture_output=True, text=True, env=bare.environment, cwd=bare.folder, check=False)
        assert done.returncode == 1
        assert re.search(
            r"n1: deploy prepare ended with code 1: the build does not load here: .*msgspec.* \(at: unpack version", done.stderr
        ), done.stderr
        assert bare.hosts.run(1, "sh", "-c", f"ls {BASE}/current 2>/dev/null", check=False) == ""


def test_ways_between_hosts_are_tried_before_anything_is_changed_and_once_all_is_mended_it_is_made(bare: Operator) -> None:
    blocked = f"{bare.hosts.address(3)}/32"
    bare.hosts.run(1, "ip", "route", "add", "blackhole", blocked)
    refused = bare.json("deploy", code=76)
    assert {(one["host"], one["sentence"].partition(":")[0]) for one in refused["noted"]} == {  # type: ignore[attr-defined]
        ("n1", f"it does not reach n3 at {bare.hosts.address(3)}"),
        ("n3", f"it does not reach n1 at {bare.hosts.address(1)}"),
    }
    bare.hosts.run(1, "ip", "route", "del", "blackhole", blocked)
    assert bare.json("deploy")["outcome"] == "done"


# --- a deployment that ends midway ----------------------------------------------------------------------------------------


def test_a_deployment_that_is_killed_at_each_of_its_phases_is_mended_by_the_next(trusted: Operator) -> None:
    """Each run finds what the one before had left when it was killed in the middle of a phase."""
    phases = ("asking", "building", "sending", "prepare", "prepare", "switch", "waiting")
    killed = []
    for phase in phases:
        with trusted.start("deploy") as running:
            assert running.stderr is not None
            for line in running.stderr:
                if line.decode().startswith(phase):
                    time.sleep(0.15)  # into the phase
                    running.send_signal(signal.SIGKILL)
                    killed.append(phase)
                    break
            running.wait()
    assert killed[:4] == ["asking", "building", "sending", "prepare"], killed
    assert trusted.json("deploy")["exit_code"] == 0
    assert trusted.json("health", "-c", "fleet", code=None)["outcome"] == "ok"


def test_a_disk_that_fills_up_midway_is_named_and_the_next_run_goes_on(trusted: Operator) -> None:
    hosts = trusted.hosts
    hosts.run(2, "sh", "-c", "mkdir -p /var/lib/coordnode && mount -t tmpfs -o size=3m tmpfs /var/lib/coordnode")
    failed = trusted.json("deploy", code=1)
    trouble = {host["name"]: host["trouble"] for host in failed["hosts"]}  # type: ignore[attr-defined]
    assert "n2: deploy prepare ended with code 1: OSError: [Errno 28] No space left on device (at: unpack version" in trouble["n2"]
    assert [trouble["n1"], trouble["n3"]] == ["", ""]
    hosts.run(2, "mount", "-o", "remount,size=200m", "/var/lib/coordnode")
    assert trusted.json("deploy")["outcome"] == "done"


def test_a_host_that_is_rebooted_midway_is_named_and_the_next_run_goes_on(trusted: Operator) -> None:
    # Somebody else unpacks there, and is waited for: so it is still at work when its power goes, however long the others take.
    trusted.hosts.run(2, "sh", "-c", f"mkdir -p {BASE}/versions && flock {BASE}/versions sleep 600 >/dev/null 2>&1 &")
    with trusted.start("deploy") as running:
        assert running.stderr is not None and running.stdout is not None
        for line in running.stderr:
            if line.startswith(b"prepare"):
                trusted.hosts.halt(2)
                break
        said = running.stderr.read().decode()
        assert running.wait(trusted.SECONDS_MAX) == 1, running.stdout.read()
    assert "coordctl: n2: the connection broke during deploy prepare" in said
    assert "n1:" not in said and "n3:" not in said
    trusted.hosts.boot(2)
    trusted.hosts.wait_ssh(2)
    assert trusted.json("deploy")["outcome"] == "done"


# --- a cluster that is there already --------------------------------------------------------------------------------------


def test_one_operator_at_a_time_and_a_dead_one_holds_nobody_up(standing: Operator) -> None:
    def holds() -> bool:
        return bool(standing.hosts.run(3, "sh", "-c", f"cat {BASE}/operator.lock 2>/dev/null", check=False))

    for _ in range(20):  # until it is stopped while it is at work, and not when it has done, or is just giving the lock back
        with standing.start("deploy", "--reason", "mine") as first:
            wait_until(lambda: holds() or first.poll() is not None, "the lock", standing.SECONDS_MAX)
            first.send_signal(signal.SIGSTOP)
            second = standing.run("deploy", "--reason", "theirs") if holds() else None
            is_held = holds()
            first.send_signal(signal.SIGCONT)
            assert first.wait(standing.SECONDS_MAX) == 0
        if second is not None and is_held:
            break
    assert second is not None and is_held
    assert second.returncode == 76
    assert re.search(rb'\(pid \d+\) is at work on this cluster: deploy "mine", for \d+ s; wait until that is done', second.stderr)
    assert "operator.lock" not in standing.hosts.run(1, "ls", BASE)


def test_from_another_machine_the_hosts_say_which_cluster_they_are(standing: Operator) -> None:
    (standing.folder / "fleet.ids.json").unlink()
    assert standing.json("deploy")["outcome"] == "unchanged"


def test_a_host_that_lost_its_data_does_not_come_back_as_the_same_voter(standing: Operator) -> None:
    standing.ctl("stop", "--yes")
    standing.hosts.run(2, "sh", "-c", f"rm -rf {BASE}/data/*")
    refused = standing.run("deploy")
    assert refused.returncode == 76
    assert (
        b"n2 has lost what its member had stored below /var/lib/coordnode/fleet/data: it must not come back as the same voter"
        in refused.stderr
    )
    standing.hosts.run(2, "rm", "-rf", BASE)
    assert re.search(rb"n2 had member \d+ and has nothing of it now", standing.run("deploy").stderr)


# --- other hosts ----------------------------------------------------------------------------------------------------------


def test_without_root_it_runs_as_whoever_logs_in(trusted: Operator) -> None:
    trusted.write(sudo=False)
    done = trusted.json("deploy")
    assert done["outcome"] == "done", done
    assert trusted.hosts.run(1, "sh", "-c", "ls -d /home/ops/.coordnode/fleet/current").strip() == "/home/ops/.coordnode/fleet/current"
    trusted.hosts.reboot(1)
    trusted.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
    wait_until(lambda: trusted.json("doctor", "-c", "fleet", code=None)["findings"] == [], "nothing to be found", 120)
    trusted.ctl("destroy", "--purge", "--yes")
    assert trusted.hosts.run(1, "sh", "-c", "ls -A /home/ops/.coordnode; crontab -u ops -l", check=False) == ""


def test_a_host_of_another_kind_gets_the_same_versions_from_the_index_or_is_refused_by_name(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(fleet.ROOT / "src"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    command = [sys.executable, "-m", "coordctl", "build", "--dir", str(tmp_path), "--for", "cp312-linux-x86_64"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "no wheels for cp312-linux-x86_64 (msgspec==" in done.stderr
    first, second = (building.build(building.target_here()) for _ in range(2))
    assert (first.version, first.archive, first.sha256) == (second.version, second.archive, second.sha256)
