"""What is broken on purpose while the cluster is stopped, started or led around its proxies is not forgotten, nor undone too soon."""

from collections.abc import Iterator

import pytest

from coordctl.chaos import lives, seams
from coordctl.local import processes
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_chaos import is_whole, reapers, status

ACCEPTED = ("--accept", "beyond-quorum", "--reason", "to see")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("three"))
    made.ctl("up", "--fault-injection")
    yield made
    made.ctl("down")
    until(lambda: reapers(made) == [], "reapers are left")
    made.close()


def roles(home: Home) -> list[str]:
    shown = home.json("member", "ls")["members"]
    return sorted(str(one["role"]) for one in shown)  # type: ignore[attr-defined]


def test_up_leaves_down_who_was_killed_on_purpose_and_says_so(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "inject", "kill", "n1", "--for", "60s")
    said = three.ctl("up")
    assert said.startswith("local: 2 members ready, durable, ")
    assert "n1 stays down on purpose, as `coordctl chaos status` says" in said
    (fault,) = status(three)["faults"]  # type: ignore[misc]
    assert (fault["fault"], fault["member"]) == ("kill", "n1")
    three.ctl("chaos", "revert", "--all")
    until(lambda: is_whole(three), "not whole")
    assert "local: 3 members ready" in three.ctl("up")


def test_who_is_no_voter_as_the_cluster_is_stopped_without_a_quorum_is_one_when_it_runs_again(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "inject", "demote", "n2", "--for", "90s")
    three.ctl("chaos", "inject", "kill", "n1,n3", "--for", "90s", *ACCEPTED)
    said = three.ctl("down")
    assert "Not undone: demote n2: the members do not agree on who belongs to the cluster" in said
    until(lambda: reapers(three) == [], "reapers stay for what they cannot undo")
    three.ctl("up", "--timeout", "60s")
    until(lambda: is_whole(three), "not whole")
    assert roles(three) == ["leader", "voter", "voter"]


def test_a_newcomer_that_nobody_could_take_out_before_is_gone_after_the_next_start(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "inject", "add", "n1", "--for", "90s")
    three.ctl("chaos", "inject", "kill", "n1,n2,n3", "--for", "90s", *ACCEPTED)
    assert "Not undone: add n1: " in three.ctl("down")
    three.ctl("up", "--timeout", "60s")
    until(lambda: is_whole(three), "not whole")
    assert roles(three) == ["leader", "voter", "voter"]
    assert [str(one["name"]) for one in three.members()] == ["n1", "n2", "n3"]


def test_a_heal_leaves_down_who_another_fault_killed(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "inject", "rot", "n1", "--for", "60s")
    three.ctl("chaos", "inject", "kill", "n1", "--for", "60s")
    rot = next(one for one in status(three)["faults"] if one["fault"] == "rot")  # type: ignore[attr-defined]
    three.ctl("chaos", "revert", str(rot["id"]))
    (fault,) = status(three)["faults"]  # type: ignore[misc]
    assert fault["fault"] == "kill"
    assert "n1" in three.ctl("health", code=None)
    assert not is_running(three, "n1")
    three.ctl("chaos", "revert", "--all")
    until(lambda: is_whole(three), "not whole")


def test_a_sync_that_is_under_way_ends_with_its_fault_and_not_later(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    refused = three.run("chaos", "inject", "slow-fsync", "leader", "--by", "60s", "--for", "4s")
    assert (refused.returncode, b"would outlast 4s: give by less, or for longer" in refused.stderr) == (64, True)
    leader = str(three.json("status")["leader"])
    name, address = next((str(one["name"]), str(one["address"])) for one in three.members() if one["name"] != leader)
    three.ctl("chaos", "inject", "slow-fsync", name, "--by", "12s", "--for", "60s")
    three.ctl("chaos", "revert", "--all")
    before = lives.metrics(address).histogram(seams.SYNC).count
    assert before, "it answers nobody yet"

    def syncs() -> bool:
        seams.poke(address)
        return lives.metrics(address).histogram(seams.SYNC).count > before

    assert not lives.wait_until(syncs, 4.0, "it stands still in a sync")
    until(lambda: is_whole(three), "not whole")


def test_proxies_stay_until_every_member_that_runs_is_led_around_them(three: Home) -> None:
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "proxy", "install")
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "inject", "pause", "n1", "--for", "90s")
    for _ in range(3):
        three.ctl("chaos", "proxy", "remove", "--timeout", "8s", code=1)
    assert (three.state / "local" / "chaos" / "links.json").exists()
    three.ctl("chaos", "revert", "--all")
    three.ctl("wait", "--for", "healthy")
    three.ctl("chaos", "proxy", "remove")
    assert not (three.state / "local" / "chaos" / "links.json").exists()
    for member in three.members():
        assert not lives.status(str(member["address"]))["dial"]
    until(lambda: is_whole(three), "not whole")


def is_running(home: Home, member: str) -> bool:
    one = next(one for one in home.members() if one["name"] == member)
    return processes.is_running(int(str(one["pid"])), str(one["started"]))
