"""Faults on hosts where somebody else runs etcd: real, and gone when their time is over, whoever is killed meanwhile.

In the door what is unlike a fleet of our own; COORD_LONG=1 has all of it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.local import foreign
from tests.door import IS_LONG
from tests.hosts import engines, fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator
from tests.processes.conftest import is_here
from tests.processes.members import wait_until

long = pytest.mark.skipif(not IS_LONG, reason="minutes: COORD_LONG=1")
BASE = "/var/lib/coordnode/fleet"
PLACES = (f"{BASE}/chaos/*.fault.json*", "/run/systemd/system/*.d/coordctl-*", f"{engines.STORED}/chaos-filling-*")
LEFT = f'for one in {" ".join(PLACES)}; do [ ! -e "$one" ] || echo "$one"; done'
OURS = r"coordctl\.chaos\."
REAPERS = r"coordctl\.chaos\.reapers"
WHOLE_SECONDS = 120.0  # a member's start included, and that of whoever heals it
UNIT, SCRIPT = 1, 3  # hosts, by what starts their member again
FAULTS = {
    "crash-loop n1 --for 3s": ["process gone"],
    "fds n3 --for 10m": ["it answers no new connection"],
    "cpu n2 --by 1 --for 10m": ["1 cores are kept busy"],
    "memory n2 --by 64MiB --for 10m": ["64MiB are taken"],
    "crash-loop n3 --for 3s": ["process gone"],
    "reset n1 -> n2 --for 10m": ["1 link measured, connections are reset"],
    "loss n2 -> n1 --by 30% --for 10m": ["1 link measured, pieces come late"],
    "delay n1 -> n3 --by 100ms --for 10m": ["1 link measured, all is late"],
    "jitter n3 -> n1 --by 100ms --for 10m": ["1 link measured, all is late, now more, now less"],
    "bandwidth n2 -> n3 --by 16KiB/s --for 10m": ["1 link measured, all is slow"],
    "slow-close n1 -> n2 --by 500ms --for 10m": ["1 link measured, an end is told late"],
}
SLOWED = (("delay", "100ms", "all is late"), ("bandwidth", "16KiB/s", "all is slow"), ("slow-close", "500ms", "an end is told late"))
LINKS = {"cut", "loss", "reset", "delay", "jitter", "bandwidth", "slow-close"}
PLAYBOOK = """proves: A leader that is killed is replaced, a follower that is cut off catches up, and no lock has two holders.
version: 1
lasts: 14s
load:
  - {do: kv, clients: 2}
  - {do: lock, clients: 2}
rows:
  - {at: 1s, for: 2s, do: kill, to: leader}
  - {at: 6s, for: 2s, do: cut, to: follower <-> others}
  - {at: 10s, for: 2s, do: pause-holder, to: lock}
expect:
  - {that: healthy, within: 60s}
"""


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Three members, which every test leaves as they were before the first."""
    with engines.operated(tmp_path_factory.mktemp("etcd")) as operator:
        before = looks(operator)
        yield operator
        must_become_whole(operator)
        assert looks(operator) == before


def looks(operator: Operator) -> dict[int, tuple[str, ...]]:
    """What of a host faults could change: programs that run, mounts, rules, files."""
    asked = (
        "ps -e -o args= | grep -Ev '^(ps|grep|sh|sort|sed|sshd|sleep|.*systemd|\\[)|sudo|\\(sd-pam\\)' | sort",
        "cut -d' ' -f5- /proc/self/mountinfo | sort",
        "nft list ruleset",
        "find /etc /run/systemd/system /srv -path '*/data/*' -prune -o -print | sort",
        LEFT,
    )
    return {number: tuple(operator.hosts.run(number, "sh", "-c", one) for one in asked) for number in (1, 2, 3)}


def pid_of(operator: Operator, number: int, program: str = "etcd") -> int:
    """0: it does not run."""
    found = operator.hosts.run(number, "pgrep", "-x", program, check=False).split()
    return int(found[0]) if found else 0


def is_whole(operator: Operator, program: str = "etcd") -> bool:
    """Nothing is written down as broken, nobody is left who would heal, and each member runs."""
    for number in (1, 2, 3):
        left = operator.hosts.run(number, "sh", "-c", LEFT) or operator.hosts.run(number, "pgrep", "-f", OURS, check=False)
        state = operator.hosts.run(number, "ps", "-o", "state=", "-C", program, check=False).strip()
        if left or state not in ("S", "R"):
            return False
    return True


def must_become_whole(operator: Operator, program: str = "etcd") -> None:
    wait_until(lambda: is_whole(operator, program), "all is healed", WHOLE_SECONDS)
    operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def inject(operator: Operator, *words: str) -> list[str]:
    """What was seen of it."""
    return sorted([one["verified"] for one in operator.json("chaos", "inject", *words, "-c", "fleet")["faults"]])  # type: ignore[attr-defined]


def kill(operator: Operator, number: int, pattern: str) -> None:
    operator.hosts.run(number, "pkill", "-KILL", "-f", pattern, check=False)


def test_a_unit_that_was_killed_stays_down_until_its_time_is_over_and_starts_although_both_reapers_are_gone(staging: Operator) -> None:
    for seconds in (8, 30, 120):  # the first in which it is seen that it stays down once they are gone
        before = pid_of(staging, UNIT)
        assert inject(staging, "kill", "n1", "--for", f"{seconds}s") == ["process gone"]
        found = staging.json("chaos", "status", "-c", "fleet")
        kill(staging, UNIT, REAPERS)
        seen = (pid_of(staging, UNIT), staging.hosts.run(UNIT, "systemctl", "is-active", "etcd", check=False))
        if seen == (0, "activating\n"):
            break
        must_become_whole(staging)
    assert seen == (0, "activating\n")
    assert (found["outcome"], [one["fault"] for one in found["faults"]]) == ("broken", ["kill"])  # type: ignore[attr-defined]
    wait_until(lambda: pid_of(staging, UNIT) not in (0, before), "systemd started it again", seconds + WHOLE_SECONDS)
    staging.ctl("chaos", "status", "-c", "fleet")  # whoever looks has what is due tidied up
    must_become_whole(staging)
    assert "Restart=on-abnormal\n" in staging.hosts.run(UNIT, "systemctl", "show", "etcd")


def test_a_member_without_a_unit_is_started_by_its_command_once(staging: Operator) -> None:
    before = pid_of(staging, SCRIPT)
    assert inject(staging, "kill", "n3", "--for", "10m") == ["process gone"]
    assert "kill is over" in staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)
    assert pid_of(staging, SCRIPT) not in (0, before)
    assert len(staging.hosts.run(SCRIPT, "pgrep", "-x", "etcd").split()) == 1


@long
def test_every_connection_and_one_who_would_heal_may_be_killed_and_the_host_heals(staging: Operator) -> None:
    assert inject(staging, "pause", "n3", "--for", "4s") == ["process stopped"]
    kill(staging, SCRIPT, rf"{REAPERS} {BASE} a$")
    kill(staging, SCRIPT, f"sshd: {fleet.USER}")
    must_become_whole(staging)


def test_several_at_once_take_and_are_healed(staging: Operator) -> None:
    """Of different kinds: each is told by what only it changes."""
    links = inject(staging, "cut", "n1,n2 <-> n3", "--for", "10m")
    assert links == ["1 link measured, nothing passes", "1 link measured, nothing passes", "2 links measured, nothing passes"]
    assert inject(staging, "fill-disk", "n3", "--to", "80%", "--for", "10m") == ["its disk is 80% full"]
    assert "coordctl_chaos_" in staging.hosts.run(SCRIPT, "nft", "list", "ruleset")
    staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)


@long
@pytest.mark.parametrize("words", FAULTS)
def test_every_other_fault_takes_and_is_healed(staging: Operator, words: str) -> None:
    fault, *others = words.split(" --")
    name, _, target = fault.partition(" ")
    how = [word for one in others for word in f"--{one}".split()]
    assert inject(staging, name, target, *how) == FAULTS[words]
    if "10m" in words:
        staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)


@long
def test_what_has_no_mechanism_there_says_why_and_is_not_begun(staging: Operator) -> None:
    lines = staging.ctl("chaos", "faults", "-c", "fleet", "-o", "json").splitlines()
    why = {one["fault"]: one["why_not"] for one in map(json.loads, lines)}
    done = {"kill", "pause", "crash-loop", "fds", "fill-disk", "cpu", "memory", *LINKS, "pause-holder", "kill-holder"}
    assert {fault for fault, reason in why.items() if not reason} == done
    assert "there is no mechanism for it on etcd" in why["slow-fsync"]
    refused = staging.run("chaos", "inject", "slow-fsync", "n1", "--by", "100ms", "--for", "5s", "-c", "fleet")
    assert (refused.returncode, b"there is no mechanism for it on etcd" in refused.stderr) == (1, True)


@long
@pytest.mark.parametrize(
    ("right", "wrong", "fault", "said"),
    [
        ("[run]", "[run]\npeer-ports = [22]", "cut", "members do not speak with 10."),
        ('unit = "etcd"', "", "kill", "nothing says what starts n1 again: give unit or start below [run]"),
        (f'data = "{engines.STORED}"', 'data = "/var/lib"', "fill-disk", "is on the host's own file system"),
    ],
)
def test_an_inventory_that_says_too_little_or_else_breaks_nothing_and_is_told(
    staging: Operator, right: str, wrong: str, fault: str, said: str
) -> None:
    written = staging.path.read_text()
    staging.path.write_text(written.replace(right, wrong, 1))
    how = {"cut": ["n2 -> n1"], "kill": ["n1"], "fill-disk": ["n1", "--to", "90%"]}[fault]
    try:
        refused = staging.run("chaos", "inject", fault, *how, "--for", "5s", "-c", "fleet")
    finally:
        staging.path.write_text(written)
    assert (refused.returncode, said.encode() in refused.stderr) == (1, True), refused
    must_become_whole(staging)


@long
def test_members_that_are_not_named_are_missed_before_anything_is_broken(staging: Operator) -> None:
    written = staging.path.read_text()
    staging.path.write_text(written.partition("[hosts.n3]")[0])
    try:
        refused = staging.run("chaos", "inject", "pause", "n1", "--for", "5s", "-c", "fleet")
    finally:
        staging.path.write_text(written)
    assert b"knows 3 voters, and 2 are named: name all" in refused.stderr
    must_become_whole(staging)


@long
def test_a_playbook_runs_over_ssh_and_is_judged(staging: Operator) -> None:
    playbook = staging.folder / "mixed.yaml"
    playbook.write_text(PLAYBOOK)
    done = staging.json("chaos", "run", str(playbook), "-c", "fleet", code=None)
    assert [row["do"] for row in done["rows"]] == ["kill", "cut", "pause-holder"], done  # type: ignore[attr-defined]
    broken = [one for one in done["verdicts"] if one["exit_code"] not in (0, 1)]  # type: ignore[attr-defined]
    assert broken == [], done
    must_become_whole(staging)


@long
def test_zookeeper_is_broken_and_healed_alike(tmp_path: Path) -> None:
    """By a unit that systemd does not start again by itself, and on two ports between members."""
    if not is_here("zookeeper") or fleet.why_not() or not fleet.has_systemd():
        pytest.skip(fleet.why_not() or foreign.REMEDIES["zookeeper"])
    with Hosts.opened(3, "systemd") as hosts:
        engines.deploy_zookeeper(hosts)
        operator = Operator(tmp_path, hosts)
        operator.write(top=engines.ZOOKEEPER_TOP)
        operator.trust()
        operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "80s")
        before = pid_of(operator, 1, "java")
        assert inject(operator, "kill", "n1", "--for", "5s") == ["process gone"]
        kill(operator, 1, REAPERS)
        wait_until(lambda: pid_of(operator, 1, "java") not in (0, before), "systemd started it again", WHOLE_SECONDS)
        operator.ctl("chaos", "status", "-c", "fleet")
        must_become_whole(operator, "java")
        assert "Restart=no\n" in hosts.run(1, "systemctl", "show", "zookeeper-member")
        assert inject(operator, "cut", "leader -> follower", "--for", "10m") == ["1 link measured, nothing passes"]
        operator.ctl("chaos", "revert", "--all", "-c", "fleet")
        must_become_whole(operator, "java")
        for fault, by, seen in SLOWED:
            assert inject(operator, fault, "leader -> follower", "--by", by, "--for", "10m") == [f"1 link measured, {seen}"]
            operator.ctl("chaos", "revert", "--all", "-c", "fleet")
            must_become_whole(operator, "java")
        assert inject(operator, "fds", "follower", "--for", "10m") == ["it answers no new connection"]
        operator.ctl("chaos", "revert", "--all", "-c", "fleet")
        must_become_whole(operator, "java")
        assert inject(operator, "crash-loop", "n3", "--for", "3s") == ["process gone"]
        must_become_whole(operator, "java")
        operator.close()


@long
def test_without_root_what_one_s_own_member_allows_is_done_and_all_else_says_why(tmp_path: Path) -> None:
    """No systemd either: whoever logs in has started it."""
    if not is_here("etcd") or fleet.why_not():
        pytest.skip(fleet.why_not() or foreign.REMEDIES["etcd"])
    with Hosts.opened(1, "plain") as hosts:
        urls = f"--listen-client-urls http://{hosts.address(1)}:2379 --advertise-client-urls http://{hosts.address(1)}:2379"
        home = f"/home/{fleet.USER}"
        program = f"#!/bin/sh\nsetsid etcd --data-dir {home}/etcd {urls} > {home}/etcd.log 2>&1 & echo $! > /tmp/etcd.pid\n"
        hosts.run(1, "sh", "-c", f"cat > {engines.SCRIPT}; chmod 755 {engines.SCRIPT}", stdin=program)
        hosts.run(1, "su", fleet.USER, "-c", engines.SCRIPT)
        operator = Operator(tmp_path, hosts)
        operator.write(top=f'engine = "etcd"\n[run]\nstart = "{engines.SCRIPT}"\npid-file = "/tmp/etcd.pid"', sudo=False)
        operator.trust()
        operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
        before = pid_of(operator, 1)
        beyond = ("--accept", "beyond-quorum", "--reason", "a test")
        assert inject(operator, "kill", "n1", "--for", "2s", *beyond) == ["process gone"]
        wait_until(lambda: pid_of(operator, 1) not in (0, before), "it is started again", WHOLE_SECONDS)
        operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
        assert inject(operator, "pause", "n1", "--for", "10m", *beyond) == ["process stopped"]
        operator.ctl("chaos", "revert", "--all", "-c", "fleet")
        lines = map(json.loads, operator.ctl("chaos", "faults", "-c", "fleet", "-o", "json").splitlines())
        why = {one["fault"]: one["why_not"] for one in lines}
        assert (why["kill"], why["fds"]) == ("", "")
        assert "which root alone may make" in why["cut"]
        assert "nothing says where n1 stores" in why["fill-disk"]
        operator.close()
