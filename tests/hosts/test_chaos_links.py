"""Faults of the links between hosts: made where the link ends, measured there, healed by the kernel where nobody is left who would.

In the door on hosts with systemd; COORD_LONG=1 has it all on hosts without it, too.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts import harmed
from tests.hosts.harmed import (
    BASE,
    BRIEFLY,
    INITS,
    REAPERS,
    WHOLE_SECONDS,
    begun_and_left,
    injected,
    kill,
    must_be_reverted,
    must_become_whole,
    none_left,
    number_of_host,
)
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

SHAPER = r"coordctl\.chaos\.shaper"
THEIRS = "table ip theirs {\nchain input {\ntype filter hook input priority -150; policy accept;\ntcp dport 7003 accept\n}\n}\n"
UNTIL_KILLED = (12, 40, 120)  # seconds: the first in which it is made, measured, and all are killed who would heal it


@pytest.fixture(scope="module", params=INITS)
def staging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with harmed.operated(tmp_path_factory.mktemp(request.param), request.param) as operator:
        yield operator


def tables(operator: Operator) -> dict[int, str]:
    return {number: operator.hosts.run(number, "nft", "list", "ruleset") for number in (1, 2, 3)}


def holds(operator: Operator, number: int) -> str:
    """Who holds packets on that host; empty: nobody does."""
    return operator.hosts.run(number, "pgrep", "-f", SHAPER, check=False)


def ends(faults: list[Any]) -> set[int]:
    """The hosts where these links end."""
    return {number_of_host(link.split(" -> ")[1]) for one in faults for link in one["member"].split(", ")}


@pytest.mark.parametrize(
    "faults",
    [
        {"cut": ("follower -> leader", "1 link measured, nothing passes")},
        # One for each link of a ring: what is measured goes there and back, and nobody else's is on either way.
        {
            "loss --by 30%": ("n1 -> n2", "1 link measured, pieces come late"),
            "delay --by 200ms": ("n2 -> n3", "1 link measured, all is late"),
            "bandwidth --by 16KiB/s": ("n3 -> n1", "1 link measured, all is slow"),
        },
        {
            "reset": ("n1 -> n2", "1 link measured, connections are reset"),
            "jitter --by 200ms": ("n2 -> n3", "1 link measured, all is late, now more, now less"),
            "slow-close --by 500ms": ("n3 -> n1", "1 link measured, an end is told late"),
        },
    ],
    ids=", ".join,
)
def test_links_are_broken_where_they_end_and_healed(staging: Operator, faults: dict[str, tuple[str, str]]) -> None:
    found: list[Any] = []
    with none_left(staging):
        for fault, (target, verified) in faults.items():
            name, *how = fault.split()
            found += injected(staging, name, target, *how)
            assert found[-1]["verified"] == verified
            assert {number for number, rules in tables(staging).items() if "coordctl_chaos_" in rules} == ends(found)
        must_be_reverted(staging, found)
    assert set(tables(staging).values()) == {""}


@pytest.mark.parametrize(
    ("fault", "verified"), [("cut", "2 links measured, nothing passes"), ("delay --by 100ms", "2 links measured, all is late")]
)
def test_the_kernel_heals_links_although_both_reapers_are_gone(staging: Operator, fault: str, verified: str) -> None:
    """And although one of those who hold packets stands still: what comes now is not led to it."""
    name, *how = fault.split()
    for seconds in UNTIL_KILLED:
        asked = ("chaos", "inject", name, "follower <-> others", "--for", f"{seconds}s", *how, "-c", "fleet", "-o", "json")
        begun = staging.run(*asked)
        for number in (1, 2, 3):
            kill(staging, number, REAPERS)
        staging.hosts.run(1, "pkill", "-STOP", "-f", SHAPER, check=False)
        is_under_way = begun.returncode == 0 and any("expires" in rules for rules in tables(staging).values())
        if is_under_way:
            break
        staging.hosts.run(1, "pkill", "-CONT", "-f", SHAPER, check=False)
        staging.ctl("chaos", "status", "-c", "fleet")  # whoever looks has what is due tidied up
        must_become_whole(staging)
    assert is_under_way, begun
    faults: list[Any] = json.loads(begun.stdout)["faults"]
    assert verified in [one["verified"] for one in faults]
    assert ends(faults) == {1, 2, 3}
    over = seconds + WHOLE_SECONDS
    wait_until(lambda: not any("expires" in rules for rules in tables(staging).values()), "no element is left", over)
    wait_until(lambda: not (holds(staging, 2) or holds(staging, 3)), "the others ended", over)
    staging.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
    staging.ctl("chaos", "status", "-c", "fleet")
    wait_until(lambda: set(tables(staging).values()) == {""}, "the tables are gone", WHOLE_SECONDS)
    must_become_whole(staging)


def test_who_asked_may_be_killed_while_a_link_becomes_late_and_the_host_heals(staging: Operator) -> None:
    begun_and_left(staging, lambda: any(holds(staging, number) for number in (1, 2, 3)), "delay", "follower -> leader", "--by", "100ms")
    for number in (1, 2, 3):
        kill(staging, number, r"coordctl\.chaos\.hosted")
        kill(staging, number, rf"{REAPERS} {BASE} a$")
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
    (fault,) = injected(staging, "delay", "follower -> leader", "--by", "5s")
    source, sink = map(number_of_host, fault["member"].split(" -> "))
    assert not answers(staging, sink, source)
    kill(staging, sink, SHAPER)
    wait_until(lambda: answers(staging, sink, source), "nothing is late", WHOLE_SECONDS)
    assert [one["id"] for one in staging.json("chaos", "status", "-c", "fleet")["faults"]] == [fault["id"]]  # type: ignore[attr-defined]
    for _ in range(2):
        staging.ctl("chaos", "revert", "--all", "-c", "fleet")
        assert {number: of_others(staging, number) for number in (1, 2, 3)} == theirs
    for number in (1, 2, 3):
        staging.hosts.run(number, "nft", "delete", "table", "ip", "theirs")
        staging.hosts.run(number, "iptables-legacy", "-D", "INPUT", "-p", "tcp", "--dport", "7002", "-j", "ACCEPT")
    must_become_whole(staging)


def test_the_same_playbook_runs_over_ssh_and_one_with_a_row_that_cannot_be_done_says_which(staging: Operator) -> None:
    for _ in BRIEFLY:  # its rows last for four seconds: where the machine stood still for as long, one says so, and nothing was shown
        done: Any = staging.json("chaos", "run", "slow-network", "-c", "fleet", code=None)
        if not any("give it longer" in one["sentence"] for one in done["verdicts"]):
            break
        must_become_whole(staging)
    assert done["outcome"] == "green", done
    for row, seen in zip(done["rows"], ("all is late", "pieces come late", "all is slow"), strict=True):
        assert f"2 links measured, {seen}" in row["verified"]
    must_become_whole(staging)
    skipped = staging.json("chaos", "run", "member-removed", "-c", "fleet", code=3)
    (verdict,) = skipped["verdicts"]  # type: ignore[misc]
    assert "remove cannot be injected here" in verdict["sentence"]
    must_become_whole(staging)
