"""The release before beside this one, mixed, in both directions, under load: and builds that must not come further than one member.

In short here; `campaign.py` does it at length.
"""

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import fleet as harness
from tests.processes.members import wait_until
from tests.upgrade import builds, fleets
from tests.upgrade.fleets import ACCEPTED, BACK, FORWARD, QUICK, Fleet, killed_at, said_in
from tests.upgrade.users import users

RATE = 60  # requests a second
FAULTS = {  # "apply" first: while there is little to catch up with, it is found out by what it shows
    "apply": ("",),
    "sync": ("its fsyncs end after ",),
    "crash": ("is not well 4 s after it was switched: ", 'it said "ZeroDivisionError: division by zero"'),
    "hang": ("is not well 1 s after it was switched: ",),  # nor is it so soon when it was switched back
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upgrade")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    """Whoever uses it leaves it healthy, and its members of one version."""
    if harness.why_not():
        pytest.skip(harness.why_not())
    with fleets.opened(3, folder) as made:
        yield made


@pytest.fixture(scope="module")
def following(folder: Path) -> str:
    """The next release, which knows one more feature level."""
    return builds.made(folder, "0.2.0", builds.KNOWS_ANOTHER_LEVEL)


@pytest.fixture(scope="module")
def bad(folder: Path) -> str:
    return builds.planted(folder, "0.3.0")


def test_without_a_fresh_backup_nothing_is_begun(fleet: Fleet, following: str) -> None:
    before = fleet.versions()
    refused = fleet.upgrade("run", "--to", following, code=76)
    assert refused["sentence"] == "nothing was changed: fleet: there is no backup that was verified"
    assert [one["remedy"] for one in refused["noted"]] == ["make one: coordctl backup create; or say --accept no-backup with --reason"]
    fleet.operator.ctl("backup", "create", "-c", "fleet")
    planned = fleet.upgrade("run", "--to", following, "--dry-run", code=1)
    assert ([one["state"] for one in planned["hosts"]], planned["outcome"]) == (["waiting"] * len(before), "would change")
    assert fleet.versions() == before


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_build_comes_as_far_as_the_first_member_and_goes_back_by_itself(fleet: Fleet, bad: str, fault: str) -> None:
    before = fleet.versions()
    fleet.plant(fault)
    within = {"crash": "4s", "hang": "1s"}.get(fault, "60s")
    with fleets.start(fleet.operator, "run", "--to", bad, *QUICK, "--healthy-within", within, "-o", "json") as driver:
        if fault == "hang":
            wait_until(lambda: fleet.versions() != before, "one is switched")
            driver.send_signal(signal.SIGSTOP)  # or it might be switched back before anybody has looked who is drained
            try:
                wait_until(fleet.drained, "who is being switched is drained")
            finally:
                driver.send_signal(signal.SIGCONT)
        said, trouble = driver.communicate(timeout=400)
    assert driver.returncode == 1, (said, trouble)
    found = json.loads(said)
    assert found["outcome"] == "rolled back", found
    assert [one["state"] for one in found["hosts"]] == ["back", *["unchanged"] * (len(before) - 1)]
    assert found["evidence"].startswith(found["hosts"][0]["name"])
    assert [one for one in FAULTS[fault] if one not in found["evidence"]] == [], found["evidence"]
    assert fleet.versions() == before
    wait_until(fleet.is_well, "all are well again")
    assert fleet.drained() == []


def test_one_that_is_under_way_is_paused_and_aborted_from_another_machine_also_without_a_quorum(
    fleet: Fleet, bad: str, tmp_path: Path
) -> None:
    before, other = fleet.versions(), fleet.other(tmp_path / "other")
    fleet.plant("none")
    with fleets.start(fleet.operator, "run", "--to", bad, "--bake", "10m", *ACCEPTED) as driver:
        said_in(driver, "watch it lead")
        paused = fleet.upgrade("pause", "--reason", "tonight", by=other)
        driver.wait(400)
        assert driver.returncode == 1
    assert (paused["outcome"], paused["evidence"].rpartition(": ")[2]) == ("paused", "tonight")
    _, *rest = [one["name"] for one in paused["hosts"]]
    assert fleet.versions() != before
    assert re.search(r"changing: upgrade .* by ops@.*, paused, 0 of 3", " ".join(fleet.operator.ctl("status", "-c", "fleet").split()))
    for name in rest:
        fleet.take_down(int(name[1:]))
    aborted = fleet.upgrade("abort", "--reason", "not tonight", by=other, code=1)
    assert aborted["outcome"] == "rolled back"
    assert aborted["evidence"] == f"aborted by eva@{socket.gethostname()}: not tonight; no leader among the 1 of 3 members that answer"
    assert [one["state"] for one in aborted["hosts"]] == ["back", "unchanged", "unchanged"]
    assert fleet.versions() == before
    fleet.operator.ctl("start")
    wait_until(fleet.is_well, "all are well again")


def test_up_under_load_by_drivers_that_are_killed_in_every_step_and_followed_from_another_machine(
    fleet: Fleet, following: str, tmp_path: Path
) -> None:
    """Of one host, up and on the way back. No request fails, no lock is lost, and what users were told can have been told by one that does
    one thing after another."""
    before, other = fleet.versions(), fleet.other(tmp_path / "other")
    run = ("run", "--to", following, "--bake", "1s", "--hold-level", *ACCEPTED)
    with users(fleet.endpoints, fleet.tls, tmp_path / "users", RATE) as load:
        assert killed_at(fleet.operator, "unpack ", *run)
        for words in FORWARD:
            assert killed_at(fleet.operator, f": {words}", "resume", "--to", following), words
        told = fleet.upgrade("status", by=other)
        assert (told["outcome"], told["next"].partition(": ")[2]) == ("answered", "watch it lead for 1 s")
        refused = fleet.operator.run("upgrade", "run", "--to", following, *ACCEPTED)
        assert refused.returncode == 76 and b"`coordctl upgrade resume` goes on with it" in refused.stderr
        for words in BACK:
            assert killed_at(fleet.operator, f": {words}", "abort"), words
        back = fleet.upgrade("abort", by=other, accept_dead=True)
        assert (back["outcome"], [one["state"] for one in back["hosts"]]) == ("rolled back", ["back", "unchanged", "unchanged"])
        assert (fleet.versions(), fleet.drained()) == (before, [])
        assert killed_at(fleet.operator, "look at all", *run)
        done = fleet.upgrade("resume", by=other, accept_dead=True)
        assert (done["outcome"], {one["state"] for one in done["hosts"]}) == ("done", {"upgraded"})
        counted = load.end()
    assert counted["failures"] == []
    assert counted["held_at_the_end"] == [counted["held"]]
    assert counted["asked"] > 200 and counted["locked"] > 20
    assert load.judged()
    assert (fleet.running(), fleet.drained()) == (["0.2.0"] * len(before), [])


def test_a_level_that_was_held_is_raised_later_and_then_there_is_no_way_back(fleet: Fleet, following: str) -> None:
    (before,) = {one for versions in (fleet.there(1),) for one in versions if one.startswith("0.1.0-")}
    assert fleet.levels() == [(5, 6)] * 3
    planned = fleet.upgrade("run", "--to", before, "--dry-run", *ACCEPTED, code=1)
    assert planned["outcome"] == "would change"  # as long as it is held
    raised = fleet.upgrade("run", "--to", following)
    assert (raised["outcome"], raised["level"], raised["hosts"]) == ("done", 6, [])
    assert fleet.levels() == [(6, 6)] * 3
    refused = fleet.upgrade("run", "--to", before, *ACCEPTED, code=76)
    sentence = "the cluster is at feature level 6, which never goes back, and 0.1.0 knows levels up to 5"
    assert {one["sentence"] for one in refused["noted"] if one["level"] == "stops"} == {sentence}
    kept = fleet.operator.json("deploy")
    assert (kept["outcome"], [one["level"] for one in kept["noted"]]) == ("unchanged", ["remark"] * 3)  # type: ignore[attr-defined]
    assert fleet.running() == ["0.2.0"] * 3


def test_a_host_that_is_added_by_an_older_coordctl_gets_the_version_that_the_members_run(fleet: Fleet) -> None:
    """The level that is in force is beyond what this coordctl's own build knows: a member of that could not even be started."""
    operator, (version,) = fleet.operator, set(fleet.versions())
    operator.ctl("member", "remove", "n3", "--yes", "--accept", "no-spare", "--reason", "another disk", "-c", "fleet")
    fleet.hosts.run(3, "rm", "-rf", f"{fleets.BASE}/versions")
    added = operator.json("member", "add", "n3", "-c", "fleet")
    assert (added["outcome"], added["can_lose"]) == ("done", 1), added
    assert (fleet.versions(), fleet.running(), fleet.levels()) == ([version] * 3, ["0.2.0"] * 3, [(6, 6)] * 3)
    assert fleet.there(3) == [version]
    assert not fleet.hosts.run(1, "find", fleets.BASE, "-maxdepth", "1", "-name", "archive-*")
    assert operator.json("deploy")["outcome"] == "unchanged"
    assert operator.json("doctor", "-c", "fleet")["findings"] == []
    assert "the risk no-spare was accepted by " in str(operator.json("health", "-c", "fleet", code=None)["sentence"])
