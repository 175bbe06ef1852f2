"""What is refused before anything of a new member is made leaves nothing of it, and all gates are looked at before the work."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from coordctl.facts import sums
from coordctl.inventory.model import Inventory
from coordctl.operations import building, changing, identities, looking, members
from coordctl.operations.building import Build
from coordctl.operations.changing import Asked, Changing
from coordctl.operations.identities import Ids, Refused
from coordctl.operations.members import Changed
from coordctl.transport.base import Ran, Script
from tests.unit.coordctl.fleet_scene import Played, Stage
from tests.unit.coordctl.test_upgrade_gates import facts

ROLES = {"n1": "voter", "n2": "voter", "n3": "voter", "n4": "spare", "n5": "spare"}
ZONES = {"n1": "a", "n2": "b", "n3": "c", "n4": "a", "n5": "a"}
MEMBERS = {"n1": 1, "n2": 2, "n3": 3}
IDS = Ids(9, 1, MEMBERS, {name: f"{name}:1" for name in MEMBERS}, list(MEMBERS), 4, {}, [], "", 0)


class Scene:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        self.stage = Stage(folder, dict(ROLES))
        self.stage.give(IDS, *MEMBERS)
        self.has_zones = False
        identities.write(self.stage.inventory, IDS)
        monkeypatch.setattr(changing, "Fleet", self.stage.fleet)
        monkeypatch.setattr(members.statuses, "of_cluster", lambda *_: facts())
        monkeypatch.setattr(looking, "at_ways", lambda *_: [])
        monkeypatch.setattr(building, "build", lambda target: Build("1", target, b"", {}))

    @property
    def inventory(self) -> Inventory:
        found = self.stage.inventory
        return replace(found, hosts=tuple(replace(host, zone=ZONES[host.name] if self.has_zones else "") for host in found.hosts))

    def changing(self, *, is_dry: bool = False) -> Changing:
        return Changing(self.inventory, "member add", Asked("", "", is_dry=is_dry), lambda _: None)

    def add(self, *names: str, is_dry: bool = False) -> Changed:
        return self.changing(is_dry=is_dry).add(names, as_learners=False)

    def known(self) -> Ids:
        found = identities.written(self.inventory)
        assert found is not None
        return found


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def names_of(inventory: Inventory, ids: Ids) -> Sequence[str]:
    return [host.name for host in identities.hosts_of(inventory, ids)]


def test_a_host_that_is_refused_is_no_member_afterwards(scene: Scene) -> None:
    scene.stage.hosts["n4"].now(port_taken="Address already in use")
    with pytest.raises(Refused, match="n4: it cannot listen at .*: Address already in use"):
        scene.add("n4")
    assert scene.known() == IDS
    assert names_of(scene.inventory, scene.known()) == ["n1", "n2", "n3"]


def test_of_several_only_those_are_members_of_which_something_was_made(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing.Council, "change", lambda *_: None)
    monkeypatch.setattr(changing, "CATCH_UP_SECONDS", 0.0)
    found = scene.add("n4", "n5")
    assert found.sentence.startswith("n4: its member has not caught up")
    assert sorted(scene.known().members) == ["n1", "n2", "n3", "n4"]


def test_the_gate_of_zones_is_looked_at_before_the_work(scene: Scene) -> None:
    scene.has_zones = True
    for is_dry in (True, False):
        found = scene.add("n4", "n5", is_dry=is_dry)
        assert (found.outcome, found.exit_code, found.risk) == ("refused", 76, sums.ONE_ZONE)
    assert scene.known() == IDS
    assert "deploy prepare" not in scene.stage.hosts["n4"].scripts


def test_a_member_that_was_to_be_and_never_was_is_forgotten_when_it_is_removed(scene: Scene) -> None:
    """Although the host had another before."""
    identities.write(scene.inventory, IDS._replace(members={**MEMBERS, "n4": 44}, former={"40": "n4"}, edition=5))
    assert scene.changing().remove(["n4"]).exit_code == 0
    assert scene.known().members == MEMBERS


def test_one_that_begins_is_written_down_before_anything_is_made_of_it(scene: Scene) -> None:
    seen: list[Ids] = []

    def does(host: Played, script: Script) -> Ran | None:
        if host.name == "n4" and script.name == "deploy prepare":
            seen.append(scene.known())
            return Ran(1, "", "no room")
        return None

    scene.stage.hosts["n4"].does = does
    with pytest.raises(Exception, match="no room"):
        scene.add("n4")
    assert sorted(seen[0].members) == ["n1", "n2", "n3", "n4"]
    assert seen[0].edition == IDS.edition + 1
