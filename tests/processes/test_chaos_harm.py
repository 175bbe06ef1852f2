"""Faults of a member's own disk and clock, on real members: measured from outside, over by themselves, shown by health, silent in logs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos.ledger import write_durably
from coordnode.client.clock import now_ms
from coordnode.harm import orders
from tests.processes.boundaries import time_is_over
from tests.processes.local import SOURCE, Home
from tests.processes.runner.jobs import until
from tests.processes.test_chaos import break_shortly, is_whole, marked_both, reaper, reapers, status
from tests.processes.test_commands import valid

ENDS_PROCESS = ("eio", "rot", "power-loss")


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three members that can be harmed, which every test leaves well."""
    made = Home(tmp_path_factory.mktemp("seams"))
    made.ctl("up", "--fault-injection")
    made.ctl("kv", "put", "color", "blue")
    yield made
    until(lambda: reapers(made) == [], "reapers are left")
    made.close()


def log(home: Home, member: str) -> str:
    return (home.state / "local" / f"{member}.log").read_text()


@pytest.mark.parametrize(
    ("fault", "by", "seen"),
    [
        ("disk-full", "", "no byte is free"),
        ("slow-fsync", "100ms", "each fsync takes longer by 100ms"),
        ("snapshot", "5", "it made a snapshot"),
        ("clock-jump", "90s", "its clock is off by 90s"),
        ("clock-drift", "10%", "its clock goes wrong by 10%"),
        ("eio", "", "the member ended, as it must"),
        ("rot", "", "damaged bytes were found"),
        ("power-loss", "", "process gone in the midst of a sync"),
    ],
)
def test_each_is_measured_shown_and_undone(harmed: Home, fault: str, by: str, seen: str) -> None:
    before = {one: len(log(harmed, one)) for one in ("n1", "n2", "n3")}
    done = valid(harmed.ctl("chaos", "inject", fault, "leader", "--for", "300s", *(["--by", by] if by else []), "-o", "json"))
    (found,) = done["faults"]  # type: ignore[misc]
    assert seen in found["verified"]
    if fault not in ("eio", "power-loss"):
        assert f"{found['member']} is harmed on purpose: {fault}" in harmed.ctl("health", code=1)
    harmed.ctl("chaos", "revert", "--all")
    until(lambda: is_whole(harmed), "not whole after a revert")
    harmed.ctl("wait", "--for", "healthy")
    assert harmed.ctl("kv", "get", "color") == "blue"
    told = "".join(log(harmed, one)[size:] for one, size in before.items())
    assert [word for word in ("harm", "chaos", "on purpose") if word in told] == [], "a log shows what such a fault looks like"


@pytest.mark.parametrize(
    ("fault", "to", "by", "seen"),
    [
        ("cpu", "n1", "2", "2 cores are kept busy"),
        ("memory", "n1", "64MiB", "64MiB are taken"),
        ("herd", "all", "20", "20 clients come at once"),
        ("transfer", "all", "300ms", "another leads"),
        ("demote", "leader", "", "a voter less"),
        ("remove", "leader", "", "a member less"),
        ("add", "follower", "", "a voter more"),
        ("replace", "leader", "", "another is a voter in its place"),
        ("fds", "follower", "", "it answers no new connection"),
    ],
)
def test_what_wears_hosts_members_and_the_cluster_out_is_measured_and_undone(harmed: Home, fault: str, to: str, by: str, seen: str) -> None:
    voters = harmed.json("status")["members"]
    done = valid(harmed.ctl("chaos", "inject", fault, to, "--for", "300s", *(["--by", by] if by else []), "-o", "json"))
    assert all(seen in one["verified"] for one in done["faults"])  # type: ignore[attr-defined]
    assert harmed.ctl("kv", "get", "color") == "blue"
    harmed.ctl("chaos", "revert", "--all")
    until(lambda: is_whole(harmed) and marked_both(str(harmed.members()[0]["address"]), "coordctl.chaos.workers") == [], "not whole")
    harmed.ctl("wait", "--for", "healthy")
    roles = {str(one["name"]): one["role"] == "learner" for one in harmed.json("status")["members"]}  # type: ignore[attr-defined]
    assert (len(voters), sorted(roles), any(roles.values())) == (3, ["n1", "n2", "n3"], False)  # type: ignore[arg-type]
    assert [path.name for path in (harmed.state / "local").glob("n?-*")] == []


def test_changes_of_members_beside_each_other_end_in_any_order_and_all_are_voters_again(harmed: Home) -> None:
    accepted = ("--accept", "beyond-quorum", "--reason", "two at once")
    leader = str(harmed.json("status")["leader"])
    first, second = (one for one in ("n1", "n2", "n3") if one != leader)
    for fault, to in (("demote", first), ("add", leader), ("remove", second)):
        harmed.ctl("chaos", "inject", fault, to, "--for", "300s", *accepted)
    shown = harmed.json("member", "ls")["members"]
    assert sorted(str(one["role"]) for one in shown) == ["leader", "learner", "none", "voter"]  # type: ignore[attr-defined]
    begun = [str(one["id"]) for one in status(harmed)["faults"]]  # type: ignore[attr-defined]
    for one in (begun[1], begun[0], begun[2]):
        harmed.ctl("chaos", "revert", one)
    until(lambda: is_whole(harmed), "not whole")
    harmed.ctl("wait", "--for", "healthy")
    shown = harmed.json("member", "ls")["members"]
    assert sorted(str(one["role"]) for one in shown) == ["leader", "voter", "voter"]  # type: ignore[attr-defined]


def test_it_ends_by_itself_though_nobody_is_left_who_would_undo_it(harmed: Home) -> None:
    harmed.ctl("chaos", "inject", "slow-fsync", "follower", "--by", "20ms", "--for", "300s")
    for name in ("a", "b"):
        os.kill(reaper(harmed, name), signal.SIGSTOP)  # neither heals, nor is it missed
    (path,) = (harmed.state / "local").glob("n*/harm.json")
    (order,) = orders.read(str(path.parent))
    assert "harmed" in harmed.ctl("health", code=1)
    write_durably(str(path), orders.encode([msgspec.structs.replace(order, deadline_ms=now_ms() + 500)]))
    until(lambda: "harmed" not in harmed.ctl("health", code=None), "it goes on")
    assert list((harmed.state / "local").glob("n*/harm.json")), "its order is there still, and means nothing"
    for pid in reapers(harmed):
        os.kill(pid, signal.SIGCONT)
    time_is_over(harmed)
    until(lambda: is_whole(harmed), "not whole")


def test_a_member_may_suffer_from_disk_and_clock_at_once_and_be_killed_but_from_each_only_once(harmed: Home) -> None:
    harmed.ctl("chaos", "inject", "slow-fsync", "n1", "--by", "50ms", "--for", "300s")
    harmed.ctl("chaos", "inject", "clock-jump", "n1", "--by", "5s", "--for", "300s")
    twice = harmed.run("chaos", "inject", "slow-fsync", "n1", "--by", "5ms", "--for", "300s")
    assert (twice.returncode, b"broken already, by slow-fsync" in twice.stderr) == (75, True)
    break_shortly(harmed, "kill", "n1", "--for", "1s")
    until(lambda: len(status(harmed)["faults"]) == 2, "it does not come back")  # type: ignore[arg-type]
    until(lambda: harmed.ctl("health", code=None).count("harmed on purpose") == 2, "a new process does not read its orders")
    harmed.ctl("chaos", "revert", "--all")
    until(lambda: is_whole(harmed), "not whole after a revert")
    harmed.ctl("wait", "--for", "healthy")


def test_faults_with_a_majority_at_stake_are_refused(harmed: Home) -> None:
    refused = harmed.run("chaos", "inject", "disk-full", "majority", "--for", "300s")
    assert (refused.returncode, b"a quorum is 2" in refused.stderr) == (76, True)
    shared_disk = harmed.run("chaos", "inject", "fill-disk", "n1", "--to", "98%", "--for", "300s")
    assert (shared_disk.returncode, b"fill-disk n1: 0 voters of 3 would be left" in shared_disk.stderr) == (76, True)
    assert is_whole(harmed)


def test_members_that_were_not_started_so_are_left_alone(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    refused = home.run("chaos", "inject", "clock-jump", "n1", "--by", "5s", "--for", "5s")
    assert (refused.returncode, b"n1 was not started so: `coordctl down`" in refused.stderr) == (1, True)
    assert "eio   not now: eio needs members that can be harmed" in home.ctl("chaos", "faults")
    assert b"members of local run otherwise" in home.run("up", "--fault-injection").stderr
    home.ctl("down")
    home.ctl("up", "--fault-injection")
    assert "not now: eio" not in home.ctl("chaos", "faults")
    until(lambda: reapers(home) == [], "reapers are left")


def test_a_disk_that_is_filled_is_full_and_is_empty_again(tmp_path: Path) -> None:
    """On a small file system of its own, in a namespace of mounts that goes with its last process."""
    home = Home(tmp_path)
    lines = [
        'mkdir -p "$STATE/local/n2" && mount -t tmpfs -o size=340m tmpfs "$STATE/local/n2"',
        "coordctl up -q",
        "coordctl chaos inject fill-disk n2 --to 98% --for 300s",
        'df --output=pcent "$STATE/local/n2"; ls "$STATE/local/n2" | grep chaos-filling',
        "for look in $(seq 60); do coordctl health > said || true; ! grep -q 'too little free disk' said || break; done; cat said",
        "coordctl kv put color blue",
        "coordctl chaos revert --all && coordctl wait --for healthy -q && coordctl kv get color",
        'ls "$STATE/local/n2" | grep chaos-filling || echo nothing is left; coordctl down',
    ]
    script = f'set -e; coordctl() {{ "{sys.executable}" -m coordctl "$@"; }}; ' + "; ".join(lines)
    command = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "sh", "-c", script]
    environment = {**home.environment, "STATE": str(home.state), "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    home.close()
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert any(f"n2 {role}fill-disk; verified: its disk is 98% full." in done.stdout for role in ("", "(leader) ")), done.stdout
    assert " 98%" in done.stdout
    assert "n2 has too little free disk" in done.stdout
    assert "\nbluenothing is left\n" in done.stdout
