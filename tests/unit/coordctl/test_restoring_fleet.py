"""A restore onto hosts begins where nothing is, and goes on until its cluster was seen to serve."""

from pathlib import Path

import pytest

from coordctl.operations import deploying, identities
from coordctl.operations.identities import Ids
from coordctl.operations.restoring import InTheWay
from coordctl.operations.restoring_fleet import Restoration
from tests.unit.coordctl.fleet_scene import Stage

ROLES = {"n1": "voter", "n2": "voter", "n3": "voter", "n4": "spare"}


class Reached(Exception):
    """Where it would rehearse: nothing was in the way."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Stage(tmp_path, dict(ROLES))
    monkeypatch.setattr(deploying, "Fleet", made.fleet)
    monkeypatch.setattr(deploying.looking, "at_hosts", lambda _fleet: [])
    return made


def restore(stage: Stage, path: str) -> None:
    def say(text: str) -> None:
        if text.startswith("rehearsing"):
            raise Reached

    Restoration(stage.inventory, path, "", say).restore(dry_run=False)


def test_a_member_that_could_not_be_started_does_not_keep_the_next_run_from_going_on(stage: Stage) -> None:
    members = {"n1": 1, "n2": 2, "n3": 3}
    contacts = {name: f"{name}:1" for name in members}
    ids = Ids(9, 1, members, contacts, list(members), 0, {}, [8], "/a.backup", 5)
    identities.write(stage.inventory, ids)
    stage.give(ids, *members)
    with pytest.raises(Reached):
        restore(stage, "/a.backup")
    with pytest.raises(InTheWay):
        restore(stage, "/b.backup")
    identities.make_known(stage.inventory, ids)  # as when all were healthy
    with pytest.raises(InTheWay, match="n1 has member n1 of cluster 9"):
        restore(stage, "/a.backup")


def test_a_spare_that_has_a_member_is_in_the_way_too(stage: Stage) -> None:
    members = {"n4": 4}
    stage.give(Ids(9, 1, members, {}, ["n4"], 0, {}, [], "", 0), "n4")
    with pytest.raises(InTheWay, match="n4 has member n4 of cluster 9"):
        restore(stage, "/a.backup")
