"""Faults on hosts, over SSH: they are real, and gone when their time is over, whoever of those that asked is killed meanwhile.

In the door on hosts with systemd; COORD_LONG=1 has it all on hosts without it, too.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hosts import fleet, harmed
from tests.hosts.harmed import (
    BASE,
    INITS,
    REAPERS,
    begun_and_left,
    briefly,
    injected,
    is_stopped,
    kill,
    must_be_reverted,
    must_become_whole,
    none_left,
    number_of,
    pid_of,
)
from tests.hosts.operator import Operator
from tests.processes.members import wait_until


@pytest.fixture(scope="module", params=INITS)
def staging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with harmed.operated(tmp_path_factory.mktemp(request.param), request.param) as operator:
        yield operator


def test_a_killed_leader_stays_down_until_that_is_reverted(staging: Operator) -> None:
    done = staging.json("chaos", "inject", "kill", "leader", "--for", "10m", "--reason", "to see", "-c", "fleet")
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
    begun_and_left(staging, lambda: any(is_stopped(staging, number) for number in (1, 2, 3)), "pause", "follower")
    for number in (1, 2, 3):
        kill(staging, number, f"sshd: {fleet.USER}")
        kill(staging, number, r"coordctl\.chaos\.hosted")
    must_become_whole(staging)


@pytest.mark.parametrize("name", ["a", "b"])
def test_either_reaper_may_be_killed(staging: Operator, name: str) -> None:
    (fault,) = briefly(staging, "pause", "follower")
    number = number_of(fault)
    pid = pid_of(staging, number)
    kill(staging, number, rf"{REAPERS} {BASE} {name}$")
    must_become_whole(staging)
    assert pid_of(staging, number) == pid


def test_a_member_that_was_killed_starts_in_time_although_both_reapers_are_gone(staging: Operator) -> None:
    (fault,) = briefly(staging, "kill", "follower")
    number = number_of(fault)
    kill(staging, number, REAPERS)
    wait_until(lambda: pid_of(staging, number) != 0, "it is started again", harmed.WHOLE_SECONDS)
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
    with staging.without(3):
        found = staging.json("chaos", "status", "-c", "fleet", code=69)
        refused = staging.run("chaos", "inject", "pause", "n1", "--for", "60s", "-c", "fleet")
    assert [found["outcome"], *[one.startswith("n3: ") for one in found["unseen"]]] == ["unknown", True]  # type: ignore[attr-defined]
    assert (refused.returncode, b"n3: " in refused.stderr) == (69, True)
    must_become_whole(staging)


@pytest.mark.parametrize(
    "faults",
    [
        # What keeps the machine busy comes last, as all that comes after it takes longer.
        {
            "snapshot --by 20": "it made a snapshot, and its log begins behind that",
            "clock-jump --by 30s": "its clock is off by 30s",
            "slow-fsync --by 100ms": "each fsync takes longer by 100ms",
            "cpu --by 1": "1 cores are kept busy",
        },
        {
            "memory --by 64MiB": "64MiB are taken",
            "fill-disk --to 60%": "its disk is 60% full",
            "transfer --by 1s": "another leads",
        },
        {"herd --by 20": "20 clients come at once"},
        {"disk-full": "no byte is free"},
        {"eio": "the member ended, as it must"},
        {"rot": "damaged bytes were found"},
        {"power-loss": "process gone in the midst of a sync"},
        {"fds": "it answers no new connection"},
    ],
    ids=", ".join,
)
def test_every_fault_of_a_host_takes_and_is_healed(staging: Operator, faults: dict[str, str]) -> None:
    """What one member, or one cluster, can suffer from at once is healed at once, too."""
    found: list[Any] = []
    with none_left(staging):
        for fault, verified in faults.items():
            name, *how = fault.split()
            found += injected(staging, name, "follower", *how)
            assert found[-1]["verified"] == verified
        must_be_reverted(staging, found)


def test_a_crash_loop_is_over_when_its_time_is(staging: Operator) -> None:
    (fault,) = briefly(staging, "crash-loop", "follower")
    assert fault["verified"] == "process gone"
    must_become_whole(staging)


def test_what_cannot_be_done_over_ssh_says_why(staging: Operator) -> None:
    lines = staging.ctl("chaos", "faults", "-c", "fleet", "-o", "json").splitlines()
    why = {one["fault"]: one["why_not"] for one in map(json.loads, lines)}
    assert "`coordctl member` changes who belongs to a fleet" in why["remove"]
    assert [name for name, reason in why.items() if not reason and name in ("kill", "pause", "eio", "cpu", "fill-disk")] != []
    refused = staging.run("chaos", "inject", "remove", "follower", "--for", "5s", "-c", "fleet")
    assert (refused.returncode, b"coordctl member" in refused.stderr) == (1, True)
