"""From bare hosts to a healthy cluster and back, with systemd and without: what is said is done, and a second run mends the first."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.operations import building
from coordnode.client import sync
from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
INITS: tuple[Init, ...] = ("systemd", "plain")


@pytest.fixture(scope="module", params=INITS)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A healthy cluster; whoever uses it leaves it healthy."""
    if fleet.why_not() or (request.param == "systemd" and not fleet.has_systemd()):
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(3, request.param) as hosts:
        operator = Operator(tmp_path_factory.mktemp(request.param), hosts)
        operator.trust()
        began = time.monotonic()
        done = operator.json("deploy", "--reason", "first")
        assert (done["outcome"], time.monotonic() - began < 80) == ("done", True), done
        yield operator
        operator.close()


def pid_of(operator: Operator, number: int) -> int:
    found = operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False).split()
    return int(found[0]) if found else 0


def health(operator: Operator) -> dict[str, object]:
    return operator.json("health", "-c", "fleet", code=None)


def test_a_second_run_changes_nothing_and_says_so(deployed: Operator) -> None:
    before = [pid_of(deployed, number) for number in (1, 2, 3)]
    began = time.monotonic()
    again = deployed.json("deploy")
    assert time.monotonic() - began < 60
    assert [again["outcome"], *[host["steps"] for host in again["hosts"]]] == ["unchanged", [], [], []]  # type: ignore[attr-defined]
    assert deployed.json("deploy", "--dry-run")["outcome"] == "unchanged"
    assert [pid_of(deployed, number) for number in (1, 2, 3)] == before


def test_a_doctor_finds_nothing(deployed: Operator) -> None:
    assert deployed.ctl("doctor", "-c", "fleet").startswith("OK  nothing was found that is wrong with fleet\nsources: API 3/3, hosts 3/3")


def test_members_run_as_nobody_of_importance_and_keep_their_keys(deployed: Operator) -> None:
    hosts = deployed.hosts
    assert hosts.run(1, "stat", "-c", "%U", f"/proc/{pid_of(deployed, 1)}").strip() == "coordnode"
    modes = hosts.run(
        1, "stat", "-c", "%a %U", f"{BASE}/config/tls/key.pem", f"{BASE}/config/node.toml", f"{BASE}/data", f"{BASE}/versions"
    )
    assert modes.splitlines() == ["600 coordnode", "600 coordnode", "700 coordnode", "755 root"]
    environment = hosts.run(1, "cat", f"/proc/{pid_of(deployed, 1)}/environ").split("\0")
    assert {line.partition("=")[0] for line in environment if line} <= {"PATH", "PYTHONPATH", "LANG", "LC_CTYPE"}


def test_it_is_known_to_every_command_here(deployed: Operator) -> None:
    assert health(deployed)["outcome"] == "ok"
    deployed.ctl("kv", "put", "color", "blue")
    assert deployed.ctl("lock", "run", "demo", "--", "sh", "-c", f"{sys.executable} -m coordctl kv get color") == "blue"
    refused = deployed.run("down", "-c", "fleet")
    assert (refused.returncode, b"use `coordctl start`, `stop` or `destroy`" in refused.stderr) == (64, True)
    with pytest.raises(Exception), sync.connect(f"{deployed.hosts.address(1)}:7001", tls="", timeout=1) as cluster:  # noqa: B017
        cluster.kv.get("color")


def test_a_member_that_is_killed_runs_again_and_so_does_one_whose_host_was_rebooted(deployed: Operator) -> None:
    before = pid_of(deployed, 1)
    deployed.hosts.run(1, "kill", "-9", str(before))
    wait_until(lambda: pid_of(deployed, 1) not in (0, before), "it is started again")
    deployed.hosts.reboot(2)
    deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def test_what_a_member_is_told_is_changed_one_after_the_other(deployed: Operator) -> None:
    """And never without a leader for longer than a hand-over takes: locks and writes go on all the while."""
    deployed.write(top='[settings]\nslow-commit = "70ms"')
    planned = deployed.json("deploy", "--dry-run", code=1)
    steps = ["write config/node.toml", "start the member with it"]
    assert [host["steps"] for host in planned["hosts"]] == [steps] * 3  # type: ignore[attr-defined]
    with deployed.start("deploy", "-o", "json") as changing:
        writes = 0
        while changing.poll() is None:
            deployed.ctl("kv", "put", "during", str(writes), "--timeout", "20s")
            writes += 1
        assert changing.stdout is not None
        done = json.loads(changing.stdout.read())
    assert (done["outcome"], [host["steps"] for host in done["hosts"]]) == ("done", [steps] * 3)
    assert writes > 2
    deployed.write()
    deployed.ctl("deploy")


def test_certificates_that_were_renewed_are_sent_and_used(deployed: Operator) -> None:
    deployed.ctl("ca", "renew", "n2")
    done = deployed.json("deploy")
    changed = {host["name"]: host["steps"] for host in done["hosts"]}  # type: ignore[attr-defined]
    steps = ["write config/tls/key.pem", "write config/tls/certificate.pem", "start the member with it"]
    assert changed == {"n1": [], "n2": steps, "n3": []}


def test_what_hosts_have_to_say_is_brought_together_cut_and_without_secrets(deployed: Operator) -> None:
    """And tells the same from the archive as when the hosts are asked."""
    hosts = deployed.hosts
    said = "2001-01-01T00:00:00Z long ago\\n$(date -u +%Y-%m-%dT%H:%M:%SZ) password=hunter2\\n"
    hosts.run(1, "sh", "-c", f'printf "{said}" >> {BASE}/log/member.out')
    before = pid_of(deployed, 2)
    hosts.run(2, "kill", "-9", str(before))
    wait_until(lambda: pid_of(deployed, 2) not in (0, before), "it is started again")
    deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")

    archive = deployed.folder / "bundle.tar.gz"
    made = deployed.json("bundle", "-c", "fleet", "--since", "2m", "--file", str(archive))
    files = {one["name"]: one for one in made["files"]}  # type: ignore[attr-defined]
    for name in ("n1", "n2", "n3"):
        wanted = {f"{name}/{file}" for file in ("flight.log", "events", "status.json", "metrics.txt")}
        assert wanted | {f"{name}-host/{file}" for file in ("proc-meminfo", "df.txt", "config-node.toml")} <= set(files)
    assert ("n1-host/journal.log" in files) == (hosts.init == "systemd")
    told = files["n1-host/output.log"]
    assert (told["hidden"], told["source"]) == (1, f"n1:{BASE}/log/member.out")
    with tarfile.open(archive) as packed:
        everything = {one.name: packed.extractfile(one).read() for one in packed.getmembers()}  # type: ignore[union-attr]
    assert not [name for name, content in everything.items() if b"hunter2" in content]
    assert b"password=***" in everything["n1-host/output.log"]
    assert b"long ago" not in everything["n1-host/output.log"]

    killed = ("member killed", ["n2"])
    live = deployed.json("logs", "explain", "-c", "fleet", "--since", "2m", code=None)
    saved = deployed.json("logs", "explain", str(archive), code=None)
    causes = [[(one["cause"], one["members"]) for one in found["hypotheses"]] for found in (live, saved)]  # type: ignore[attr-defined]
    assert killed in causes[0]
    assert killed in causes[1]
    started = deployed.ctl("logs", "search", '"started"', "-c", "fleet", "--member", "n2", "-o", "json").splitlines()
    assert {json.loads(line)["member"] for line in started} == {"n2"}
    assert len(deployed.ctl("logs", "tail", "-n", "3", "-c", "fleet").splitlines()) == 3


def test_the_life_of_a_name_and_members_logs_are_told_from_hosts(deployed: Operator) -> None:
    with deployed.start("lock", "run", "nightly", "-c", "fleet", "--note", "backup", "--", "sleep", "600") as holder:
        wait_until(lambda: "nightly" in deployed.ctl("lock", "ls", "-c", "fleet", code=None), "it is held")
        deployed.ctl("lock", "break", "nightly", "-c", "fleet", "--reason", "host retired", "--yes")
        assert holder.wait(60) == 79
    lived = [json.loads(line) for line in deployed.ctl("life", "nightly", "-c", "fleet", "-o", "json").splitlines()]
    assert {(one["service"], one["what"]) for one in lived} == {("lock", "granted"), ("lock", "broken"), ("operator", "broke the lock")}
    stream = [json.loads(line) for line in deployed.ctl("timeline", "-c", "fleet", "-o", "json").splitlines()]
    assert {("operator", "host retired"), ("restart", ""), ("election", "")} <= {(one["sort"], one["why"]) for one in stream}

    whole = [json.loads(line) for line in deployed.ctl("wal", "verify", "-c", "fleet", "-o", "json").splitlines()]
    assert [one["folder"] for one in whole] == [f"n{number}:{BASE}/data" for number in (1, 2, 3)]
    assert {one["outcome"] for one in whole} <= {"ok", "torn tail"}
    equal = deployed.json("wal", "diff", "-c", "fleet")
    assert [one["folder"] for one in equal["sides"]] == [one["folder"] for one in whole]  # type: ignore[attr-defined]

    deployed.hosts.cut(3)
    try:
        deployed.ctl("wal", "verify", "-c", "fleet", code=3)
        partial = deployed.json("wal", "diff", "-c", "fleet", code=3)
        assert [one["folder"] for one in partial["sides"]][2] == "n3"  # type: ignore[attr-defined]
        assert [json.loads(line) for line in deployed.ctl("life", "nightly", "-c", "fleet", "-o", "json").splitlines()] == lived
    finally:
        deployed.hosts.heal(3)
    for number in (1, 2, 3):
        assert deployed.hosts.run(number, "sh", "-c", f"ls {BASE} | grep part || true") == "", "what was packed is gone"
    deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def test_a_host_that_cannot_be_reached_is_missing_and_the_others_are_not(deployed: Operator) -> None:
    archive = deployed.folder / "partial.tar.gz"
    deployed.write(host={3: "[hosts.n3.ssh]\nport = 9"})
    made = deployed.json("logs", "collect", "-c", "fleet", "--file", str(archive), code=1)
    deployed.write()
    names = {one["name"].partition("/")[0] for one in made["files"]}  # type: ignore[attr-defined]
    assert ({"n1", "n2"} <= names, "n3" in names, made["outcome"]) == (True, False, "partial")
    assert [one["what"] for one in made["missing"] if one["what"].startswith("n3")] == ["n3"]  # type: ignore[attr-defined]


def test_stop_start_and_restart(deployed: Operator) -> None:
    refused = deployed.run("stop")
    assert refused.returncode == 76
    assert b"Stop all members of fleet (staging)? There is no terminal to ask on: say so with --yes" in refused.stderr
    deployed.ctl("stop", "--yes")
    assert [pid_of(deployed, number) for number in (1, 2, 3)] == [0, 0, 0]
    assert deployed.json("stop", "--yes")["outcome"] == "unchanged"
    deployed.ctl("start")
    assert health(deployed)["outcome"] == "ok"
    before = [pid_of(deployed, number) for number in (1, 2, 3)]
    deployed.ctl("restart", "--rolling")
    after = [pid_of(deployed, number) for number in (1, 2, 3)]
    assert not set(before) & set(after)
    assert deployed.ctl("kv", "get", "color") == "blue"


def test_what_is_destroyed_is_gone_and_data_only_when_it_was_said(deployed: Operator) -> None:
    deployed.ctl("kv", "put", "kept", "yes")
    refused = deployed.run("destroy")
    assert refused.returncode == 76
    assert re.search(rb"n1: its service, programs, settings and logs in /var/lib/coordnode/fleet", refused.stderr)
    deployed.ctl("destroy", "--yes")
    assert deployed.hosts.run(1, "ls", BASE).split() == ["data", "member.json"]
    deployed.ctl("deploy")
    assert deployed.ctl("kv", "get", "kept") == "yes"
    deployed.ctl("destroy", "--purge", "--yes")
    assert deployed.hosts.run(1, "sh", "-c", f"ls {BASE} 2>&1", check=False) == f"ls: cannot access '{BASE}': No such file or directory\n"
    assert "coordnode" not in deployed.hosts.run(1, "sh", "-c", "ls /etc/systemd/system; crontab -u coordnode -l", check=False)
    deployed.ctl("deploy")
    assert deployed.run("kv", "get", "kept", "-c", "fleet").returncode == 1


def test_everything_that_was_sent_is_written_down_and_no_key_is(deployed: Operator) -> None:
    folder = deployed.state / "audit"
    lines = [json.loads(line) for line in (folder / "fleet.jsonl").read_text().splitlines()]
    assert {line["host"] for line in lines} == {"n1", "n2", "n3"}
    assert "first" in {line["reason"] for line in lines}
    everything = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    keys = [path.read_text().splitlines()[1] for path in (deployed.folder / "fleet.ca").rglob("*key*")]
    assert len(keys) >= 4
    assert not [key for key in keys if key in everything]
    for number in (1, 2, 3):
        said = deployed.hosts.run(number, "sh", "-c", f"cat {BASE}/log/* {BASE}/run/*")
        assert not [key for key in keys if key in said]
    archive = deployed.folder / "shown.tar.gz"
    verbs = (("config", "diff"), ("config", "push", "--reason", "same"), ("ca", "show"), ("status",), ("bundle", "--file", str(archive)))
    shown = [deployed.run("--debug", *words, "-c", "fleet") for words in verbs]
    assert [done.args[-3 - len(words) : -2] for done, words in zip(shown, verbs, strict=True) if not done.stdout + done.stderr] == []
    assert not [key for key in keys for done in shown if key.encode() in done.stdout + done.stderr]
    with tarfile.open(archive) as packed:
        files = {one.name: packed.extractfile(one).read() for one in packed.getmembers()}  # type: ignore[union-attr]
    assert "n1/flight.log" in files
    assert not [name for name, content in files.items() for key in keys if key.encode() in content]


# --- what keeps a deployment from being made -----------------------------------------------------------------------


@pytest.fixture
def trusted(operator: Operator) -> Iterator[Operator]:
    operator.trust()
    yield operator


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
    assert health(trusted)["outcome"] == "ok"


LACKS = "del building.NEEDED['msgspec']"
FOREIGN = (
    "ours = building._installed; here = f'.cpython-{sys.version_info[0]}{sys.version_info[1]}-'; "
    "building._installed = lambda packages: ((path.replace(here, '.cpython-399-'), content) for path, content in ours(packages))"
)


def test_a_build_that_lacks_a_wheel_or_is_for_another_python_is_refused_on_the_host_and_nothing_runs(trusted: Operator) -> None:
    """Nothing on a host stands in for what was not sent; what was sent is loaded there before it is called a version."""
    for change in (LACKS, FOREIGN):
        script = f"import sys; from coordctl.operations import building; from coordctl.__main__ import program; {change}; program()"
        command = [sys.executable, "-c", script, "deploy"]
        done = subprocess.run(command, capture_output=True, text=True, env=trusted.environment, cwd=trusted.folder, check=False)
        assert done.returncode == 1
        assert re.search(
            r"n1: deploy prepare ended with code 1: the build does not load here: .*msgspec.* \(at: unpack version", done.stderr
        ), done.stderr
        assert trusted.hosts.run(1, "sh", "-c", f"ls {BASE}/current 2>/dev/null", check=False) == ""
    assert trusted.json("deploy")["outcome"] == "done"


def test_each_host_that_cannot_be_worked_on_is_named_in_one_run_and_nothing_is_begun(trusted: Operator) -> None:
    hosts = trusted.hosts
    make_another = "mkdir kept && mv ssh_host_* kept && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key"
    hosts.run(1, "sh", "-c", f"cd /etc/ssh && {make_another}")
    hosts.reboot(1)
    hosts.run(2, "sh", "-c", "mv /etc/sudoers.d/ops /root.sudo; echo 'ops ALL=(root) ALL' > /etc/sudoers.d/ops")
    hosts.halt(3)

    def troubles(code: int) -> dict[str, str]:
        failed = trusted.json("deploy", code=code)
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
    assert trusted.json("deploy")["outcome"] == "done"


def test_hosts_on_which_it_cannot_run_are_named_and_nothing_is_changed(trusted: Operator) -> None:
    hosts = trusted.hosts
    hosts.run(1, "sh", "-c", "mv /usr/bin/python3 /usr/bin/py; mv /usr/bin/python3.11 /usr/bin/py3")
    hosts.run(2, "sh", "-c", "python3 -m http.server 7001 --bind 0.0.0.0 >/dev/null 2>&1 &")
    wait_until(lambda: "7001" in hosts.run(2, "ss", "-Hltn"), "somebody else listens there")
    first = trusted.run("deploy")
    assert first.returncode == 1
    assert b"n1: it has no Python at all, and 3.11 or newer is needed: install python3" in first.stderr
    hosts.run(1, "sh", "-c", "mv /usr/bin/py /usr/bin/python3; mv /usr/bin/py3 /usr/bin/python3.11")
    second = trusted.json("deploy", code=76)
    assert [(one["host"], one["level"]) for one in second["noted"]] == [("n2", "stops")]  # type: ignore[attr-defined]
    assert "n2: it cannot listen at" in str(second["sentence"])
    for number in (1, 2, 3):
        assert hosts.run(number, "sh", "-c", f"ls {BASE} 2>/dev/null", check=False) == ""


def test_ways_between_hosts_are_tried_before_anything_is_changed(trusted: Operator) -> None:
    blocked = f"{trusted.hosts.address(3)}/32"
    trusted.hosts.run(1, "ip", "route", "add", "blackhole", blocked)
    refused = trusted.json("deploy", code=76)
    assert {(one["host"], one["sentence"].partition(":")[0]) for one in refused["noted"]} == {  # type: ignore[attr-defined]
        ("n1", f"it does not reach n3 at {trusted.hosts.address(3)}"),
        ("n3", f"it does not reach n1 at {trusted.hosts.address(1)}"),
    }
    trusted.hosts.run(1, "ip", "route", "del", "blackhole", blocked)
    assert trusted.json("deploy")["outcome"] == "done"


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
    with trusted.start("deploy") as running:
        assert running.stderr is not None and running.stdout is not None
        for line in running.stderr:
            if line.startswith(b"prepare"):
                trusted.hosts.halt(2)
                break
        said = running.stderr.read().decode()
        assert running.wait(90) == 1, running.stdout.read()
    assert "coordctl: n2: the connection broke during deploy prepare" in said
    assert "n1:" not in said and "n3:" not in said
    trusted.hosts.boot(2)
    trusted.hosts.wait_ssh(2)
    assert trusted.json("deploy")["outcome"] == "done"


def test_one_operator_at_a_time_and_a_dead_one_holds_nobody_up(trusted: Operator, tmp_path: Path) -> None:
    def holds() -> bool:
        return bool(trusted.hosts.run(3, "sh", "-c", f"cat {BASE}/operator.lock 2>/dev/null", check=False))

    for _ in range(5):  # until it is stopped while it is at work, and not when it has done
        with trusted.start("deploy", "--reason", "mine") as first:
            wait_until(lambda: holds() or first.poll() is not None, "the lock")
            first.send_signal(signal.SIGSTOP)
            second = trusted.run("deploy", "--reason", "theirs") if holds() else None
            first.send_signal(signal.SIGCONT)
            assert first.wait(90) == 0
        if second is not None:
            break
    assert second is not None
    assert second.returncode == 76
    assert re.search(rb'\(pid \d+\) is at work on this cluster: deploy "mine", for \d+ s; wait until that is done', second.stderr)
    assert "operator.lock" not in trusted.hosts.run(1, "ls", BASE)


def test_a_host_that_lost_its_data_does_not_come_back_as_the_same_voter(trusted: Operator) -> None:
    trusted.ctl("deploy")
    trusted.ctl("stop", "--yes")
    trusted.hosts.run(2, "sh", "-c", f"rm -rf {BASE}/data/*")
    refused = trusted.run("deploy")
    assert refused.returncode == 76
    assert (
        b"n2 has lost what its member had stored below /var/lib/coordnode/fleet/data: it must not come back as the same voter"
        in refused.stderr
    )
    trusted.hosts.run(2, "rm", "-rf", BASE)
    assert re.search(rb"n2 had member \d+ and has nothing of it now", trusted.run("deploy").stderr)


def test_from_another_machine_the_hosts_say_which_cluster_they_are(trusted: Operator, tmp_path: Path) -> None:
    trusted.ctl("deploy")
    (trusted.folder / "fleet.ids.json").unlink()
    assert trusted.json("deploy")["outcome"] == "unchanged"


def test_without_root_it_runs_as_whoever_logs_in(trusted: Operator) -> None:
    trusted.write(sudo=False)
    done = trusted.json("deploy")
    assert done["outcome"] == "done", done
    assert trusted.hosts.run(1, "sh", "-c", "ls -d /home/ops/.coordnode/fleet/current").strip() == "/home/ops/.coordnode/fleet/current"
    trusted.hosts.reboot(1)
    trusted.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
    assert trusted.json("doctor", "-c", "fleet")["findings"] == []
    trusted.ctl("destroy", "--purge", "--yes")
    assert trusted.hosts.run(1, "sh", "-c", "ls -A /home/ops/.coordnode; crontab -u ops -l", check=False) == ""


def test_a_host_of_another_kind_gets_the_same_versions_from_the_index_or_is_refused_by_name(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(fleet.ROOT / "src"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    command = [sys.executable, "-m", "coordctl", "build", "--dir", str(tmp_path), "--for", "cp312-linux-x86_64"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "no wheels for cp312-linux-x86_64 (msgspec==" in done.stderr
    assert building.build(building.target_here()) == building.build(building.target_here())
