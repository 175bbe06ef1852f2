"""The release before beside this one, mixed, in both directions, under load: and builds that must not come further than one member."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import fleet as harness
from tests.upgrade import builds, fleets
from tests.upgrade.fleets import ACCEPTED, QUICK, Fleet, killed_at
from tests.upgrade.users import users

IS_LONG = bool(os.environ.get("COORD_LONG"))
RATE = 200 if IS_LONG else 60  # requests a second
BAKE = "10s" if IS_LONG else "1s"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upgrade")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    """Whoever uses it leaves it healthy, and its members of one version."""
    if harness.why_not():
        pytest.skip(harness.why_not())
    with fleets.opened(5 if IS_LONG else 3, folder) as made:
        yield made


@pytest.fixture(scope="module")
def bad(folder: Path) -> str:
    return builds.planted(folder, "0.3.0")


def test_without_a_fresh_backup_nothing_is_begun(fleet: Fleet) -> None:
    before = fleet.versions()
    build = builds.made(fleet.operator.folder, "0.1.1")
    refused = fleet.upgrade("run", "--to", build, code=76)
    assert refused["sentence"] == "nothing was changed: fleet: there is no backup that was verified"
    assert [one["remedy"] for one in refused["noted"]] == ["make one: coordctl backup create; or say --accept no-backup with --reason"]
    assert b"--accept no-backup needs --reason" in fleet.operator.run("upgrade", "run", "--to", build, "--accept", "no-backup").stderr
    planned = fleet.upgrade("run", "--to", build, "--dry-run", *ACCEPTED, code=1)
    assert ([one["state"] for one in planned["hosts"]], planned["outcome"]) == (["waiting"] * len(before), "would change")
    assert fleet.upgrade("status", code=1)["outcome"] == "none"
    assert fleet.versions() == before


@pytest.mark.parametrize("fault", ["crash", "hang", "apply", "sync"])
def test_a_bad_build_comes_as_far_as_the_first_member_and_goes_back_by_itself(fleet: Fleet, bad: str, fault: str) -> None:
    before = fleet.versions()
    fleet.plant(fault)
    found = fleet.upgrade("run", "--to", bad, *QUICK, "--healthy-within", "10s", code=1)
    assert found["outcome"] == "rolled back", found
    assert [one["state"] for one in found["hosts"]] == ["back", *["unchanged"] * (len(before) - 1)]
    first = found["hosts"][0]["name"]
    words = {
        "crash": [f"{first} is not well 10 s after it was switched: ", 'it said "ZeroDivisionError: division by zero"'],
        "hang": [f"{first} is not well 10 s after it was switched: "],
        "apply": [f"{first}"],
        "sync": [f"{first}: its fsyncs end after "],
    }
    assert [one for one in words[fault] if one not in found["evidence"]] == [], found["evidence"]
    assert fleet.versions() == before
    assert fleet.operator.json("health", "-c", "fleet", code=None)["exit_code"] == 0


def test_up_under_load_by_drivers_that_are_killed_and_followed_from_another_machine(fleet: Fleet, folder: Path, tmp_path: Path) -> None:
    """No request fails, no lock is lost, and what users were told can have been told by one that does one thing after another."""
    before, build = fleet.versions(), builds.made(folder, "0.2.0", builds.KNOWS_ANOTHER_LEVEL)
    other = fleet.other(tmp_path / "other")
    with users(fleet.endpoints, fleet.tls, tmp_path / "users", RATE) as load:
        assert killed_at(fleet.operator, ": switch to", "run", "--to", build, "--bake", BAKE, "--hold-level", *ACCEPTED)
        told = fleet.upgrade("status", by=other)
        assert (told["outcome"], told["next"].partition(": ")[2]) == ("answered", f"switch to {told['after']}")
        refused = fleet.operator.run("upgrade", "run", "--to", build, *ACCEPTED)
        assert refused.returncode == 76 and b"`coordctl upgrade resume` goes on with it" in refused.stderr
        steps = ("probe it", "let it lead", "watch it lead") if IS_LONG else ("let it lead",)
        for number, words in enumerate(steps):
            assert killed_at(fleet.operator, words, "resume"), number
        done = fleet.upgrade("resume")
        assert (done["outcome"], {one["state"] for one in done["hosts"]}) == ("done", {"upgraded"})
        assert done["level"] == 0  # it was held
        if IS_LONG:
            back = fleet.upgrade("run", "--to", before[0].rpartition("/")[2], "--bake", BAKE, *ACCEPTED)
            assert back["outcome"] == "done" and fleet.versions() == before
            fleet.upgrade("run", "--to", build, "--bake", BAKE, "--hold-level", *ACCEPTED)
        counted = load.end()
    assert counted["failures"] == []
    assert counted["held_at_the_end"] == [counted["held"]]
    assert counted["asked"] > 200 and counted["locked"] > 20
    assert load.judged()
    assert fleet.running() == ["0.2.0"] * len(before)
