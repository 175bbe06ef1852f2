"""Faults on hosts, over SSH: they are real, and gone when their time is over, whoever of those that asked is killed meanwhile.

In the door on hosts with systemd; COORD_LONG=1 has it all on hosts without it, too.
"""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.door import IS_LONG
from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
INITS: tuple[Init, ...] = ("systemd", "plain") if IS_LONG else ("systemd",)
PLACES = ("chaos/*.fault.json*", "run/kept-down-*", "data/harm.json*", "data/chaos-filling-*")
LEFT = f'for one in {" ".join(f"{BASE}/{place}" for place in PLACES)}; do [ ! -e "$one" ] || echo "$one"; done'
# What lies in these comes and goes; and whoever was killed leaves a lock that the next one takes over.
UNSEEN = (*[f"-path '{BASE}/{place}' -prune -o" for place in ("chaos", "data/*")], f"! -path {BASE}/operator.lock")
OURS = r"coordctl\.chaos\."
SHAPER = r"coordctl\.chaos\.shaper"
THEIRS = "table ip theirs {\nchain input {\ntype filter hook input priority -150; policy accept;\ntcp dport 7003 accept\n}\n}\n"
Seen = dict[int, tuple[str, ...]]


@pytest.fixture(scope="module", params=INITS)
def staging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Three members that may be harmed, which every test leaves as they were before the first."""
    if fleet.why_not() or (request.param == "systemd" and not fleet.has_systemd()):
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(3, request.param) as hosts:
        operator = Operator(tmp_path_factory.mktemp(request.param), hosts)
        operator.write(top='[settings]\nfault-injection = "true"')
        operator.trust()
        operator.json("deploy", "--reason", "first")
        before = looks(operator)
        yield operator
        wait_until(lambda: looks(operator) == before, "all is as it was")
        operator.close()


def looks(operator: Operator) -> Seen:
    """What of a host faults could change: programs that run, mounts, qdiscs, rules, files."""
    asked = (
        "ps -e -o args= | grep -Ev '^(ps|grep|sh|sort|sed|sshd|sleep|.*systemd|\\[)|sudo|\\(sd-pam\\)' | sort",
        "cut -d' ' -f5- /proc/self/mountinfo | sort",
        "tc qdisc show",
        "nft list ruleset",
        f"find {BASE} /etc /run/systemd/system {' '.join(UNSEEN)} -print | sort",
        LEFT,
    )
    return {number: tuple(operator.hosts.run(number, "sh", "-c", one) for one in asked) for number in (1, 2, 3)}


def pid_of(operator: Operator, number: int) -> int:
    """Of the member; 0: it does not run."""
    found = operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False).split()
    return int(found[0]) if found else 0


def is_stopped(operator: Operator, number: int) -> bool:
    pid = pid_of(operator, number)
    return bool(pid) and operator.hosts.run(number, "ps", "-o", "state=", "-p", str(pid), check=False).strip() == "T"


def is_whole(operator: Operator) -> bool:
    """Nothing is written down as broken, nobody is left who would heal, and each member runs."""
    for number in (1, 2, 3):
        left = operator.hosts.run(number, "sh", "-c", LEFT) or operator.hosts.run(number, "pgrep", "-f", OURS, check=False)
        if left or not pid_of(operator, number) or is_stopped(operator, number):
            return False
    return True


def must_become_whole(operator: Operator) -> None:
    wait_until(lambda: is_whole(operator), "all is healed")
    operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def kill(operator: Operator, number: int, pattern: str) -> None:
    operator.hosts.run(number, "pkill", "-KILL", "-f", pattern, check=False)


def number_of_host(name: str) -> int:
    return int(name.removeprefix("n"))


def number_of(fault: object) -> int:
    return number_of_host(str(fault["member"]))  # type: ignore[index]


def test_a_killed_leader_stays_down_until_that_is_reverted(staging: Operator) -> None:
    done = staging.json("chaos", "inject", "kill", "leader", "--for", "90s", "--reason", "to see", "-c", "fleet")
    (fault,) = done["faults"]  # type: ignore[misc]
    number = number_of(fault)
    assert (fault["verified"], fault["reason"], fault["member"]) == ("process gone", "to see", done["leader_before"])
    assert pid_of(staging, number) == 0
    found = staging.json("chaos", "status", "-c", "fleet")
    assert (found["outcome"], found["reapers"], [one["id"] for one in found["faults"]]) == ("broken", 2, [fault["id"]])  # type: ignore[attr-defined]
    staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)
    assert [one["event"] for one in staging.json("chaos", "status", "-c", "fleet")["lately"]][-1:] == ["healed"]  # type: ignore[attr-defined, index]


def test_who_asked_and_every_connection_may_be_killed_and_the_host_heals(staging: Operator) -> None:
    with staging.start("chaos", "inject", "pause", "follower", "--for", "5s", "-c", "fleet") as asking:
        wait_until(lambda: any(is_stopped(staging, number) for number in (1, 2, 3)), "one stands still")
        asking.send_signal(signal.SIGKILL)
        asking.communicate()
    for number in (1, 2, 3):
        kill(staging, number, f"sshd: {fleet.USER}")
        kill(staging, number, r"coordctl\.chaos\.hosted")
    must_become_whole(staging)


@pytest.mark.parametrize("name", ["a", "b"])
def test_either_reaper_may_be_killed(staging: Operator, name: str) -> None:
    (fault,) = staging.json("chaos", "inject", "pause", "follower", "--for", "8s", "-c", "fleet")["faults"]  # type: ignore[misc]
    number = number_of(fault)
    pid = pid_of(staging, number)
    kill(staging, number, rf"coordctl\.chaos\.reapers {BASE} {name}$")
    must_become_whole(staging)
    assert pid_of(staging, number) == pid


def test_a_member_that_was_killed_starts_in_time_although_both_reapers_are_gone(staging: Operator) -> None:
    (fault,) = staging.json("chaos", "inject", "kill", "follower", "--for", "6s", "-c", "fleet")["faults"]  # type: ignore[misc]
    number = number_of(fault)
    kill(staging, number, r"coordctl\.chaos\.reapers")
    wait_until(lambda: pid_of(staging, number) != 0, "it is started again")
    staging.ctl("chaos", "status", "-c", "fleet")  # whoever looks has what is due tidied up
    must_become_whole(staging)


def test_a_revert_ends_it_at_once_and_done_again_changes_nothing(staging: Operator) -> None:
    staging.ctl("chaos", "inject", "kill", "follower", "--for", "10m", "-c", "fleet")
    assert "kill is over" in staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    assert staging.ctl("chaos", "revert", "--all", "-c", "fleet") == "fleet: nothing of that is broken\n"
    must_become_whole(staging)


def test_the_blast_radius_counts_what_is_broken_on_other_hosts(staging: Operator) -> None:
    staging.ctl("chaos", "inject", "pause", "follower", "--for", "10m", "-c", "fleet")
    refused = staging.run("chaos", "inject", "kill", "leader", "--for", "60s", "-c", "fleet")
    assert (refused.returncode, b"broken already: pause n" in refused.stderr) == (76, True)
    staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)


def test_a_host_that_does_not_say_what_is_broken_there_is_named_and_nothing_is_broken(staging: Operator) -> None:
    staging.hosts.cut(3)
    try:
        found = staging.json("chaos", "status", "-c", "fleet", code=69)
        refused = staging.run("chaos", "inject", "pause", "n1", "--for", "60s", "-c", "fleet")
    finally:
        staging.hosts.heal(3)
    assert [found["outcome"], *[one.startswith("n3: ") for one in found["unseen"]]] == ["unknown", True]  # type: ignore[attr-defined]
    assert (refused.returncode, b"n3: " in refused.stderr) == (69, True)
    must_become_whole(staging)


@pytest.mark.parametrize(
    ("fault", "verified"),
    [
        ("slow-fsync --by 100ms", "each fsync takes longer by 100ms"),
        ("disk-full", "no byte is free"),
        ("eio", "the member ended, as it must"),
        ("rot", "damaged bytes were found"),
        ("power-loss", "process gone in the midst of a sync"),
        ("clock-jump --by 30s", "its clock is off by 30s"),
        ("snapshot --by 20", "it made a snapshot, and its log begins behind that"),
        ("cpu --by 1", "1 cores are kept busy"),
        ("memory --by 64MiB", "64MiB are taken"),
        ("fds", "it answers no new connection"),
        ("fill-disk --to 60%", "its disk is 60% full"),
        ("herd --by 20", "20 clients come at once"),
        ("transfer --by 1s", "another leads"),
        ("crash-loop", "process gone"),
    ],
)
def test_every_fault_of_a_host_takes_and_is_healed(staging: Operator, fault: str, verified: str) -> None:
    name, *how = fault.split()
    done = staging.json("chaos", "inject", name, "follower", "--for", "2s" if name == "crash-loop" else "10m", *how, "-c", "fleet")
    assert [one["verified"] for one in done["faults"]] == [verified]  # type: ignore[attr-defined]
    if name != "crash-loop":
        staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    must_become_whole(staging)


def tables(operator: Operator) -> dict[int, str]:
    return {number: operator.hosts.run(number, "nft", "list", "ruleset") for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("fault", "target", "verified"),
    [
        ("cut", "follower -> leader", "1 link measured, nothing passes"),
        ("cut", "follower <-> others", "2 links measured, nothing passes"),
        ("loss --by 30%", "follower -> leader", "1 link measured, pieces come late"),
        ("reset", "follower -> leader", "1 link measured, connections are reset"),
        ("delay --by 200ms", "follower <-> others", "2 links measured, all is late"),
        ("jitter --by 200ms", "follower -> leader", "1 link measured, all is late, now more, now less"),
        ("bandwidth --by 16KiB/s", "leader -> follower", "1 link measured, all is slow"),
        ("slow-close --by 500ms", "follower -> leader", "1 link measured, an end is told late"),
    ],
)
def test_links_are_broken_where_they_end_and_healed(staging: Operator, fault: str, target: str, verified: str) -> None:
    name, *how = fault.split()
    done = staging.json("chaos", "inject", name, target, "--for", "10m", *how, "-c", "fleet")
    assert verified in [one["verified"] for one in done["faults"]]  # type: ignore[attr-defined]
    broken = {number_of_host(one["member"].split(" -> ")[-1]) for one in done["faults"]}  # type: ignore[attr-defined]
    assert {number for number, rules in tables(staging).items() if "coordctl_chaos_" in rules} == broken
    staging.ctl("chaos", "revert", "--all", "-c", "fleet")
    assert set(tables(staging).values()) == {""}
    must_become_whole(staging)


@pytest.mark.parametrize("fault", ["cut", "delay --by 100ms"])
def test_the_kernel_heals_a_link_although_both_reapers_are_gone(staging: Operator, fault: str) -> None:
    """And although one of those who hold packets stands still: what comes now is not led to it."""
    name, *how = fault.split()
    staging.ctl("chaos", "inject", name, "follower <-> others", "--for", "20s", *how, "-c", "fleet")
    for number in (1, 2, 3):
        kill(staging, number, r"coordctl\.chaos\.reapers")
    staging.hosts.run(1, "pkill", "-STOP", "-f", SHAPER, check=False)
    wait_until(lambda: not any("expires" in rules for rules in tables(staging).values()), "no element is left")
    wait_until(lambda: not any(staging.hosts.run(number, "pgrep", "-f", SHAPER, check=False) for number in (2, 3)), "the others ended")
    staging.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
    staging.ctl("chaos", "status", "-c", "fleet")  # whoever looks has what is due tidied up
    wait_until(lambda: set(tables(staging).values()) == {""}, "the tables are gone")
    must_become_whole(staging)


def test_who_asked_may_be_killed_while_a_link_becomes_late_and_the_host_heals(staging: Operator) -> None:
    with staging.start("chaos", "inject", "delay", "follower -> leader", "--by", "100ms", "--for", "5s", "-c", "fleet") as asking:
        wait_until(lambda: any(staging.hosts.run(number, "pgrep", "-f", SHAPER, check=False) for number in (1, 2, 3)), "packets are held")
        asking.send_signal(signal.SIGKILL)
        asking.communicate()
    for number in (1, 2, 3):
        kill(staging, number, r"coordctl\.chaos\.hosted")
        kill(staging, number, rf"coordctl\.chaos\.reapers {BASE} a$")
    must_become_whole(staging)
    assert set(tables(staging).values()) == {""}


def answers(operator: Operator, number: int, other: int) -> bool:
    """Within two seconds, to who connects from that host."""
    asked = f"import socket; socket.create_connection(('{operator.hosts.address(other)}', 7001), 2); print('yes')"
    return operator.hosts.run(number, "python3", "-c", asked, check=False) == "yes\n"


def of_others(operator: Operator, number: int) -> tuple[str, str]:
    """Rules that are none of chaos; of what they count, nothing."""
    legacy = operator.hosts.run(number, "sh", "-c", r"iptables-legacy-save | sed '/^#/d; s/ \[[0-9:]*\]//'")
    return operator.hosts.run(number, "nft", "list", "ruleset"), legacy


def test_a_link_is_well_as_soon_as_nobody_holds_its_packets_and_rules_of_others_stay(staging: Operator) -> None:
    for number in (1, 2, 3):
        staging.hosts.run(number, "nft", "-f", "-", stdin=THEIRS)
        staging.hosts.run(number, "iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "7002", "-j", "ACCEPT")
    theirs = {number: of_others(staging, number) for number in (1, 2, 3)}
    (fault,) = staging.json("chaos", "inject", "delay", "follower -> leader", "--by", "5s", "--for", "10m", "-c", "fleet")["faults"]  # type: ignore[misc]
    source, sink = map(number_of_host, str(fault["member"]).split(" -> "))  # type: ignore[index]
    assert not answers(staging, sink, source)
    kill(staging, sink, SHAPER)
    wait_until(lambda: answers(staging, sink, source), "nothing is late")
    assert [one["id"] for one in staging.json("chaos", "status", "-c", "fleet")["faults"]] == [fault["id"]]  # type: ignore[attr-defined, index]
    for _ in range(2):
        staging.ctl("chaos", "revert", "--all", "-c", "fleet")
        assert {number: of_others(staging, number) for number in (1, 2, 3)} == theirs
    for number in (1, 2, 3):
        staging.hosts.run(number, "nft", "delete", "table", "ip", "theirs")
        staging.hosts.run(number, "iptables-legacy", "-D", "INPUT", "-p", "tcp", "--dport", "7002", "-j", "ACCEPT")
    must_become_whole(staging)


def test_what_cannot_be_done_over_ssh_says_why(staging: Operator) -> None:
    lines = staging.ctl("chaos", "faults", "-c", "fleet", "-o", "json").splitlines()
    why = {one["fault"]: one["why_not"] for one in map(json.loads, lines)}
    assert "`coordctl member` changes who belongs to a fleet" in why["remove"]
    assert [name for name, reason in why.items() if not reason and name in ("kill", "pause", "eio", "cpu", "fill-disk")] != []
    refused = staging.run("chaos", "inject", "remove", "follower", "--for", "5s", "-c", "fleet")
    assert (refused.returncode, b"coordctl member" in refused.stderr) == (1, True)


def test_the_same_playbook_runs_over_ssh_and_one_with_a_row_that_cannot_be_done_says_which(staging: Operator) -> None:
    done = staging.json("chaos", "run", "slow-network", "-c", "fleet")
    assert done["outcome"] == "green"
    for row, seen in zip(done["rows"], ("all is late", "pieces come late", "all is slow"), strict=True):  # type: ignore[call-overload]
        assert f"2 links measured, {seen}" in row["verified"]
    must_become_whole(staging)
    skipped = staging.json("chaos", "run", "member-removed", "-c", "fleet", code=3)
    (verdict,) = skipped["verdicts"]  # type: ignore[misc]
    assert "remove cannot be injected here" in verdict["sentence"]
    must_become_whole(staging)
