"""Members come and go on real hosts: what is said is so, what would leave no spare is refused, and nothing is lost.

In the door on hosts without systemd; COORD_LONG=1 has it all on hosts with systemd, too.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from coordctl.chaos.loads.words import ENDED, LINEARIZABLE
from tests.door import IS_LONG
from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.members import wait_until
from tests.processes.steady import Steady

CLIENTS = "0,1"
SERVES_SECONDS = 120.0
BASE = "/var/lib/coordnode/fleet"
SPARE = 'role = "spare"'
INITS: tuple[Init, ...] = ("plain", "systemd") if IS_LONG else ("plain",)


@pytest.fixture(scope="module", params=INITS)
def operator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Three members and a spare, on which nothing runs."""
    if fleet.why_not() or (request.param == "systemd" and not fleet.has_systemd()):
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(4, request.param) as hosts:
        made = Operator(tmp_path_factory.mktemp("members"), hosts)
        made.write(host={4: SPARE})
        made.trust()
        made.ctl("deploy")
        assert hosts.run(4, "ls", BASE).split() == ["versions"]
        yield made
        made.close()


def roles(operator: Operator) -> dict[str, str]:
    found = operator.json("member", "ls", "-c", "fleet")
    return {row["name"]: "voter" if row["role"] == "leader" else row["role"] for row in found["members"]}  # type: ignore[attr-defined]


class Load:
    """Clients of locks and of keys that write down what they asked and were told; they know the members of their first hour."""

    def __init__(self, operator: Operator, members: list[str]) -> None:
        addresses = ",".join(f"{operator.hosts.address(int(name[1:]))}:7001" for name in members)
        self.folder = operator.folder / "load"
        self.folder.mkdir()
        environment = {**operator.environment, "COORD_TLS": str(operator.folder / "fleet.ca" / "clients" / "operator")}
        self._processes = []
        for kind in ("kv", "lock"):
            command = [
                sys.executable,
                "-m",
                "coordctl.chaos.loads",
                kind,
                addresses,
                "_chaos/members/",
                str(self.folder),
                CLIENTS,
                "7",
                LINEARIZABLE,
            ]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate(ENDED, timeout=120)

    def answers(self, kind: str) -> int:
        path = self.folder / f"{kind}.events.jsonl"
        return path.read_bytes().count(b'"ok"') if path.exists() else 0

    def wait_answers(self, count: int) -> None:
        """So many more of each kind."""
        before = {kind: self.answers(kind) for kind in ("kv", "lock")}
        wait_until(lambda: all(self.answers(kind) >= before[kind] + count for kind in before), "the cluster serves", SERVES_SECONDS)

    def verdicts(self, operator: Operator) -> dict[str, int]:
        found = {}
        for kind in ("kv", "lock"):
            done = operator.run("check", str(self.folder / f"{kind}.events.jsonl"), "--model", kind)
            assert done.returncode == 0, (done.stdout, done.stderr)
            found[kind] = done.returncode
        return found


def runs(operator: Operator, number: int) -> bool:
    return bool(operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False))


def kill_at(operator: Operator, act: str, *arguments: str) -> None:
    """kill -9, as soon as it begins with that act."""
    with operator.start(*arguments) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.decode().startswith(act):
                running.kill()
                return
        raise AssertionError(f"it never came to {act}")


def members(operator: Operator) -> dict[str, int]:
    """Their ids."""
    found: dict[str, int] = json.loads((operator.folder / "fleet.ids.json").read_text())["members"]
    return found


def test_settings_are_taken_over_without_a_restart_where_that_can_be_and_drift_is_shown(operator: Operator) -> None:
    def drifts() -> list[tuple[str, str, str | None, str | None, str]]:
        found = operator.json("config", "diff", code=None)
        return [
            (host["name"], one["setting"], one["inventory"], one["host"], one["needs"])
            for host in found["hosts"]  # type: ignore[attr-defined]
            for one in host["drifts"]
        ]

    def pids() -> list[str]:
        return [operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}") for number in (1, 2, 3)]

    before = pids()
    operator.write(top='[settings]\nslow-commit = "70ms"', host={3: '[hosts.n3.settings]\nlog-max = "2MiB"', 4: SPARE})
    operator.hosts.run(1, "sh", "-c", f"echo 'stuck-ticks = 50' >> {BASE}/config/node.toml")
    operator.ctl("ca", "renew", "n2")
    assert drifts() == [
        ("n1", "slow-commit", "70ms", None, "reload"),
        ("n1", "stuck-ticks", None, "50", "restart"),
        ("n2", "slow-commit", "70ms", None, "reload"),
        ("n2", "certificates", "as issued", "others", "reload"),
        ("n3", "slow-commit", "70ms", None, "reload"),
        ("n3", "log-max", "2MiB", None, "restart"),
    ]
    done = operator.json("config", "push", "--reason", "tuning")
    last = {host["name"]: "; ".join(host["steps"][-1:]) for host in done["hosts"]}  # type: ignore[attr-defined]
    took = "take over slow-commit"
    assert last == {"n1": took, "n2": f"{took}, certificates", "n3": "restart it for log-max"}
    assert [now == then for now, then in zip(pids(), before, strict=True)] == [True, True, False]
    assert drifts() == []
    assert operator.json("deploy")["outcome"] == "unchanged"

    operator.hosts.run(1, "sh", "-c", f"sed -i s/70ms/80ms/ {BASE}/config/node.toml")
    reloaded = operator.json("config", "reload")
    assert [host["steps"] for host in reloaded["hosts"]] == [[took], [], []]  # type: ignore[attr-defined]
    assert drifts() == [("n1", "slow-commit", "70ms", "80ms", "reload")]
    (operator.folder / "fleet.ca").rename(operator.folder / "elsewhere.ca")
    refused = operator.run("config", "push")
    assert (refused.returncode, b"the authority that issued this cluster's certificates is not here" in refused.stderr) == (76, True)
    (operator.folder / "elsewhere.ca").rename(operator.folder / "fleet.ca")
    operator.write(host={4: SPARE})
    operator.ctl("config", "push", "--reason", "done")


def test_the_authority_and_every_certificate_are_replaced_on_hosts_under_load_without_a_failed_request(
    operator: Operator, figure: Callable[[str], None]
) -> None:
    def believed() -> list[str]:
        return [operator.hosts.run(number, "sh", "-c", f"cat {BASE}/config/tls/ca.pem | sha256sum") for number in (1, 2, 3)]

    def pids() -> list[str]:
        return [operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}") for number in (1, 2, 3)]

    before, ran = believed(), pids()
    assert len(set(before)) == 1
    client = str(operator.folder / "fleet.ca" / "clients" / "operator")
    with Steady(client, [(operator.hosts.address(number), 7001) for number in (1, 2, 3)]) as load:
        load.go_on()
        rotated = operator.json("ca", "rotate", "--through", "--reason", "a year is over")
        assert (rotated["outcome"], rotated["stage"]) == ("done", "settled"), rotated
        load.go_on()
    assert load.failures == []
    after = believed()
    assert (len(set(after)), pids()) == (1, ran)
    assert after[0] != before[0]
    figure(f"on hosts: authority and all certificates replaced under {sum(load.counts.values())} requests, none failed")


def test_a_dead_member_is_replaced_by_one_command_and_then_all_others_under_load_and_nothing_is_lost(operator: Operator) -> None:
    """Clients know only who was there in the beginning; of those none is left in the end."""
    assert roles(operator) == {"n1": "voter", "n2": "voter", "n3": "voter", "n4": "spare"}
    operator.ctl("kv", "put", "color", "blue", "-c", "fleet")
    before = members(operator)
    with Load(operator, ["n1", "n2", "n3"]) as load:
        load.wait_answers(50)
        operator.hosts.halt(1)
        replaced = operator.json("member", "replace", "n1", "--reason", "it burnt down")
        steps = ["make n4 ready, and start its member", "take n4 in as a learner", "make n4 a voter in n1's place"]
        assert (replaced["outcome"], replaced["steps"][-3:], replaced["can_lose"]) == ("done", steps, 1), replaced  # type: ignore[index]
        operator.hosts.boot(1)
        operator.hosts.wait_ssh(1)
        load.wait_answers(50)
        added = operator.json("member", "add", "n1")
        assert (added["outcome"], added["can_lose"]) == ("done", 1), added
        load.wait_answers(50)
        removed = operator.json("member", "remove", "n2", "--yes")
        assert removed["outcome"] == "done", removed
        load.wait_answers(50)
        kill_at(operator, "make n2 a voter", "member", "replace", "n3", "--with", "n2")
        assert operator.json("member", "replace", "n3", "--with", "n2")["exit_code"] == 0  # it goes on from there
        load.wait_answers(50)
    assert not {*before.values()} & {*members(operator).values()}
    assert roles(operator) == {"n1": "voter", "n2": "voter", "n3": "none", "n4": "voter"}
    assert not runs(operator, 3)
    assert operator.hosts.run(3, "ls", f"{BASE}/former").split() == [str(before["n3"])]
    assert operator.ctl("kv", "get", "color", "-c", "fleet") == "blue"
    assert load.verdicts(operator) == {"kv": 0, "lock": 0}
    operator.ctl("wait", "--for", "healthy", "--timeout", "50s")
    wait_until(lambda: operator.json("doctor", "-c", "fleet", code=None)["findings"] == [], "nothing to be found", SERVES_SECONDS)


def test_what_one_more_failure_would_turn_into_an_outage_is_refused_with_the_sum(operator: Operator) -> None:
    refused = operator.json("member", "remove", "n4", "--yes", code=76)
    assert (refused["outcome"], refused["risk"], refused["steps"]) == ("refused", "no-spare", [])
    assert str(refused["sentence"]).startswith(
        "nothing was changed: now 3 of 3 voters are well and 2 needed; then 2 of 2 voters are well and 2 needed: one more failure would "
        "be an outage; --accept no-spare --reason TEXT does it all the same"
    )
    planned = operator.json("member", "remove", "n4", "--accept", "no-spare", "--reason", "a plan", "--dry-run", code=1)
    assert [step for step in planned["steps"] if "leadership" not in step] == [  # type: ignore[attr-defined]
        "take n4 out of the cluster",
        "stop n4's member for good, and put its data aside",
    ]
    in_place = operator.json("member", "replace", "n1", code=76)
    assert "n1 is well and would be stopped first: now 3 of 3" in str(in_place["sentence"])


def test_whoever_comes_second_from_another_machine_is_told_who_is_at_work_and_why(operator: Operator, tmp_path: Path) -> None:
    """The other one has the inventory, the keys and the authority, and neither what was written down nor known so far."""
    other = Operator(tmp_path, operator.hosts)
    for name in ("fleet.toml", "fleet.known_hosts"):
        shutil.copy(operator.folder / name, tmp_path / name)
    shutil.copytree(operator.folder / "fleet.ca", tmp_path / "fleet.ca")
    assert other.json("member", "ls")["leader"]
    there = ["unshare", "--uts", "sh", "-c", 'hostname web2; exec "$@"', "web2", sys.executable, "-m", "coordctl"]
    command = [*there, "member", "drain", "n1", "--for", "1h", "--reason", "theirs"]

    def holds() -> bool:
        return bool(operator.hosts.run(1, "sh", "-c", f"cat {BASE}/operator.lock 2>/dev/null", check=False))

    for _ in range(20):  # until it is stopped while it is at work, and not when it has done, or is just giving the lock back
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=other.environment, cwd=tmp_path) as first:
            wait_until(lambda: holds() or first.poll() is not None, "the lock", operator.SECONDS_MAX)
            first.send_signal(signal.SIGSTOP)
            second = operator.run("member", "undrain", "n1", "--reason", "ours") if holds() else None
            is_held = holds()
            first.send_signal(signal.SIGCONT)
            assert first.wait(operator.SECONDS_MAX) == 0
        if second is not None and is_held:
            break
    assert second is not None and is_held
    assert second.returncode == 76
    assert re.search(rb'\w+@web2 \(pid \d+\) is at work on this cluster: member drain "theirs", for \d+ s; wait', second.stderr), (
        second.stderr
    )
    assert operator.json("member", "undrain", "n1")["outcome"] == "done"
    other.close()


def test_what_cannot_be_meant_or_reached_is_named_and_nothing_is_changed(operator: Operator) -> None:
    for arguments, code, words in (
        (("add", "n9"), 64, "has no host n9; there are: n1, n2, n3, n4. Write [hosts.n9], then trust it"),
        (("remove", "n9", "--yes"), 64, "n9 is no member; there are: n1, n2, n4"),
        (("remove", "n1"), 76, "There is no terminal to ask on: say so with --yes"),
        (("promote", "n3"), 64, "n3 is no member now; take it in with `coordctl member add n3`"),
        (("replace", "n1", "--with", "n2"), 64, "n2 is a voter already: name a host that has no member"),
        (("replace", "n1", "--accept", "no-spare"), 64, "--accept no-spare needs --reason: it is written down with it"),
    ):
        done = operator.run("member", *arguments)
        assert (done.returncode, words in done.stderr.decode()) == (code, True), (arguments, done.returncode, done.stderr)
    operator.hosts.halt(3)
    unreached = operator.run("member", "add", "n3")
    assert (unreached.returncode, b"n3: ops@" in unreached.stderr) == (69, True), unreached.stderr
    operator.hosts.boot(3)
    operator.hosts.wait_ssh(3)
    assert roles(operator) == {"n1": "voter", "n2": "voter", "n3": "none", "n4": "voter"}


def test_a_member_that_was_removed_comes_back_as_another_and_deploy_knows_who_belongs(operator: Operator) -> None:
    refused = operator.run("deploy")
    assert (refused.returncode, b"n3 is no member of this cluster, which exists: `coordctl member add n3`" in refused.stderr) == (76, True)
    assert operator.json("member", "remove", "n3", "--yes")["outcome"] == "unchanged"
    former = [int(one) for one in json.loads((operator.folder / "fleet.ids.json").read_text())["former"]]
    operator.write(host={3: SPARE})
    assert operator.json("deploy", "--dry-run")["outcome"] == "unchanged"  # it has the programs, and no more is wanted of a spare
    operator.write(host={3: 'role = "learner"'})
    operator.ctl("deploy")
    assert roles(operator)["n3"] == "learner"
    assert members(operator)["n3"] not in former
    operator.ctl("member", "promote", "n3")
    before = members(operator)
    (operator.folder / "fleet.ids.json").unlink()
    assert operator.json("deploy")["outcome"] == "unchanged"
    assert members(operator) == before
    operator.ctl("member", "drain", "n1", "--for", "10m", "--reason", "new memory")
    assert wait_until(lambda: operator.json("member", "ls")["leader"], "one leads") != "n1"
    operator.ctl("member", "demote", "n3")
    assert roles(operator)["n3"] == "learner"
