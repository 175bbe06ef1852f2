"""From bare hosts to a healthy cluster and back, with systemd and without: what is said is done, and a second run mends the first."""

import json
import re
import sys
import tarfile
import time
from collections.abc import Iterator

import pytest

from coordnode.client import sync
from tests.door import IS_LONG
from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.hosts.running import Running
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
INITS: tuple[Init, ...] = ("systemd", "plain")
# Of what no init has a part in: once in the door, and COORD_LONG=1 has it on both.
whatever_starts_members = pytest.mark.parametrize("deployed", INITS if IS_LONG else INITS[:1], indirect=True)


@pytest.fixture(scope="module", params=INITS)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A healthy cluster; whoever uses it leaves it healthy."""
    if fleet.why_not() or (request.param == "systemd" and not fleet.has_systemd()):
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(3, request.param) as hosts:
        operator = Operator(tmp_path_factory.mktemp(request.param), hosts)
        operator.trust()
        with Running() as ran:
            done = operator.json("deploy", "--reason", "first")
        assert (done["outcome"], ran.seconds < 80) == ("done", True), done
        yield operator
        operator.close()


def pid_of(operator: Operator, number: int) -> int:
    found = operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False).split()
    return int(found[0]) if found else 0


def health(operator: Operator) -> dict[str, object]:
    return operator.json("health", "-c", "fleet", code=None)


def test_a_second_run_changes_nothing_and_says_so(deployed: Operator) -> None:
    before = [pid_of(deployed, number) for number in (1, 2, 3)]
    with Running() as ran:
        again = deployed.json("deploy")
    assert ran.seconds < 60
    assert [again["outcome"], *[host["steps"] for host in again["hosts"]]] == ["unchanged", [], [], []]  # type: ignore[attr-defined]
    assert deployed.json("deploy", "--dry-run")["outcome"] == "unchanged"
    assert [pid_of(deployed, number) for number in (1, 2, 3)] == before


def test_a_doctor_finds_nothing(deployed: Operator) -> None:
    well = "OK  nothing was found that is wrong with fleet\nsources: API 3/3, hosts 3/3"
    wait_until(lambda: deployed.ctl("doctor", "-c", "fleet", code=None).startswith(well), "nothing to be found", 120)


def test_members_run_as_nobody_of_importance_and_keep_their_keys(deployed: Operator) -> None:
    hosts = deployed.hosts
    assert hosts.run(1, "stat", "-c", "%U", f"/proc/{pid_of(deployed, 1)}").strip() == "coordnode"
    modes = hosts.run(
        1, "stat", "-c", "%a %U", f"{BASE}/config/tls/key.pem", f"{BASE}/config/node.toml", f"{BASE}/data", f"{BASE}/versions"
    )
    assert modes.splitlines() == ["600 coordnode", "600 coordnode", "700 coordnode", "755 root"]
    environment = hosts.run(1, "cat", f"/proc/{pid_of(deployed, 1)}/environ").split("\0")
    assert {line.partition("=")[0] for line in environment if line} <= {"PATH", "PYTHONPATH", "LANG", "LC_CTYPE"}


@whatever_starts_members
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
    hosts, began = deployed.hosts, time.strftime("%H:%M:%S", time.gmtime())
    said = "2001-01-01T00:00:00Z long ago\\n$(date -u +%Y-%m-%dT%H:%M:%SZ) password=hunter2\\n"
    hosts.run(1, "sh", "-c", f'printf "{said}" >> {BASE}/log/member.out')
    before = pid_of(deployed, 2)
    hosts.run(2, "kill", "-9", str(before))
    wait_until(lambda: pid_of(deployed, 2) not in (0, before), "it is started again")
    deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")

    archive = deployed.folder / "bundle.tar.gz"
    made = deployed.json("bundle", "-c", "fleet", "--from", began, "--file", str(archive))
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
    live = deployed.json("logs", "explain", "-c", "fleet", "--from", began, code=None)
    saved = deployed.json("logs", "explain", str(archive), code=None)
    causes = [[(one["cause"], one["members"]) for one in found["hypotheses"]] for found in (live, saved)]  # type: ignore[attr-defined]
    assert killed in causes[0]
    assert killed in causes[1]
    started = deployed.ctl("logs", "search", '"started"', "-c", "fleet", "--member", "n2", "-o", "json").splitlines()
    assert {json.loads(line)["member"] for line in started} == {"n2"}
    assert len(deployed.ctl("logs", "tail", "-n", "3", "-c", "fleet").splitlines()) == 3


@whatever_starts_members
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

    with deployed.without(3):
        deployed.ctl("wal", "verify", "-c", "fleet", code=3)
        partial = deployed.json("wal", "diff", "-c", "fleet", code=3)
        assert [one["folder"] for one in partial["sides"]][2] == "n3"  # type: ignore[attr-defined]
        assert [json.loads(line) for line in deployed.ctl("life", "nightly", "-c", "fleet", "-o", "json").splitlines()] == lived
    for number in (1, 2, 3):
        assert deployed.hosts.run(number, "sh", "-c", f"ls {BASE} | grep part || true") == "", "what was packed is gone"
    deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


@whatever_starts_members
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
    deployed.ctl("kv", "put", "color", "blue")
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
