"""Who is asked when a quorum on hosts is lost for good, and that what was decided once stands, wherever the command ended."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from coordctl.local import clusters
from coordctl.local.clusters import LocalCluster
from coordctl.operations import deploying, hosting, identities, recovering_fleet, restoring_fleet
from coordctl.operations.building import Build
from coordctl.operations.deploying import Deployment
from coordctl.operations.identities import Ids, Refused
from coordctl.operations.recovering import NotNeeded
from coordctl.operations.recovering_fleet import Recovery
from coordctl.operations.restoring import UNTOUCHED, Rehearsed
from coordctl.operations.restoring_fleet import Restoration
from coordctl.results.backup import Recovered, Restored
from coordctl.transport.base import HostFailed, Ran, Script
from coordnode.archives.surviving import Survivor
from coordnode.errors import CoordError, RecordError, Unreachable
from tests.unit.coordctl.fleet_scene import Killed, Played, Stage

ROLES = {"n1": "voter", "n2": "voter", "n3": "voter", "n4": "spare"}


class Scene:
    """n1 stopped early and has least; n4, of the inventory a spare, took the place of n2."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        self.stage = Stage(folder, dict(ROLES), self.does)
        members = {"n1": 1, "n3": 3, "n4": 4}
        self.ids = Ids(9, 1, members, {name: f"{name}:1" for name in members}, list(members), 2, {"2": "n2"}, [], "", 0)
        identities.write(self.stage.inventory, self.ids)
        self.stage.give(self.ids, "n1", "n3", "n4")
        self.index = {"n1": 50, "n3": 90, "n4": 90}
        self.rotten: set[str] = set()
        self.ends_at: tuple[str, str, BaseException] | None = None
        self.began_with: list[str] = []
        place = clusters.folder_of("fleet")
        Path(place).mkdir(parents=True)
        clusters.write(LocalCluster(place, "fleet", 9, 1, True, (), inventory=str(self.stage.path)))
        monkeypatch.setattr(recovering_fleet, "Fleet", self.stage.fleet)
        monkeypatch.setattr(recovering_fleet, "sealed", self.sealed)
        monkeypatch.setattr(recovering_fleet, "sealed_as", self.sealed_as)
        self.losses: list[str] = []
        monkeypatch.setattr(recovering_fleet, "note_loss", lambda _endpoints, reason: self.losses.append(reason))
        monkeypatch.setattr(recovering_fleet, "Restoration", self.restoration)
        monkeypatch.setattr(recovering_fleet.identities, "endpoints", lambda *_: [])

    def does(self, host: Played, script: Script) -> Ran | None:
        if self.ends_at is not None and self.ends_at[:2] == (host.name, script.name):
            error, self.ends_at = self.ends_at[2], None
            raise error
        if script.name == "look":
            if not host.facts.has_data:
                return Ran(1, "", "no member's folder is here")
            index, troubles = self.index[host.name], ["rot"] if host.name in self.rotten else []
            member = self.ids.members[host.name]
            found = Survivor(cluster=9, member=member, term=1, index=index, committed=index, voters=[1, 3, 4], troubles=troubles)
            return Ran(0, msgspec.json.encode(found).decode() + "\n", "")
        if script.name == "deploy prepare":
            self.stage.give(self.written(), host.name)
            host.now(current="", running=None)
        if script.name == "deploy switch":
            host.now(current="1", running={"version": "1", "config": ""})
        if script.name == "put aside" and host.facts.marker is not None:
            host.now(marker=None, has_data=False, current="", running=None, former=(str(host.facts.marker["member"]),))
        return None

    def sealed(self, _cluster: object, name: str, _survivor: object, _say: object) -> str:
        path = self.stage.path.parent / f"{name}.backup"
        path.touch()
        return str(path)

    def sealed_as(self, path: str) -> None:
        """The archive is looked at before anything more is put aside."""
        assert Path(path).exists()

    def restoration(self, _inventory: object, path: str, *_: object) -> Any:
        scene = self

        class Played:
            def restore(self, *, dry_run: bool) -> Restored:
                assert not dry_run
                scene.began_with.append(Path(path).stem)
                return Restored(
                    outcome="failed", exit_code=1, cluster="fleet", sentence="", hosts=[], noted=[], elapsed_ms=0, backup=path, state=None
                )

        return Played()

    def restores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the real one: only what a build, a rehearsal and healthy members are is played."""
        monkeypatch.setattr(recovering_fleet, "Restoration", Restoration)
        monkeypatch.setattr(deploying, "Fleet", self.stage.fleet)
        monkeypatch.setattr(deploying.looking, "at_hosts", lambda _fleet: [])
        monkeypatch.setattr(deploying.looking, "at_ways", lambda _fleet, _hosts: [])
        monkeypatch.setattr(deploying.outcomes, "await_healthy", lambda *_: None)
        monkeypatch.setattr(deploying.outcomes, "in_turn", lambda names, _endpoints: names)
        monkeypatch.setattr(deploying.outcomes, "well", lambda _endpoints: "all healthy")
        monkeypatch.setattr(hosting.building, "build", lambda target: Build("1", target, b"", {}))
        monkeypatch.setattr(restoring_fleet, "rehearse", self.rehearse)

    def rehearse(self, path: str, *_: object) -> Rehearsed:
        self.began_with.append(Path(path).stem)
        about: Any = SimpleNamespace(cluster=9, taken_unix_s=1)
        seal: Any = SimpleNamespace(sessions=0)
        return Rehearsed(about, seal, digest=5, applied=1, revision=1, token=1)

    def written(self) -> Ids:
        found = identities.written(self.stage.inventory)
        assert found is not None
        return found

    def recover(self, *, is_accepted: bool = True) -> Recovered:
        return Recovery(self.stage.inventory, "two hosts gone", lambda _: None).run(is_accepted=is_accepted)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_spare_that_took_a_voters_place_is_asked_as_the_voter_that_it_is(scene: Scene, is_accepted: bool) -> None:
    scene.stage.take_out("n2")
    scene.stage.take_out("n3")
    with pytest.raises(NotNeeded, match=r"a majority of the voters is whole \(n4, n1\)"):
        scene.recover(is_accepted=is_accepted)
    assert scene.began_with == []


def test_who_was_not_asked_is_never_said_to_have_nothing_left(scene: Scene) -> None:
    scene.stage.take_out("n3")
    scene.stage.hosts["n4"].is_down = True
    told = scene.recover(is_accepted=False)
    assert (told.exit_code, [one.name for one in told.survivors], told.lost) == (76, ["n1"], [])
    assert told.unasked == {"n3": f"it is no host of {scene.stage.path}", "n4": "n4: it does not answer"}
    assert "by a majority of which none was asked: n3, n4 may have had more" in told.noted[0].sentence
    with pytest.raises(Unreachable, match="nothing was touched: n4: it does not answer"):
        scene.recover()
    assert "stop" not in scene.stage.hosts["n1"].scripts


def test_all_that_have_anything_are_stopped_and_put_aside_also_those_that_are_no_voters_here(scene: Scene) -> None:
    scene.stage.hosts["n1"].now(has_data=False)
    scene.stage.hosts["n3"].now(has_data=False)
    assert scene.recover().outcome == "failed"
    assert scene.began_with == ["n4"]
    for name in ("n1", "n3", "n4"):
        assert [one for one in scene.stage.hosts[name].scripts if one in ("stop", "put aside")] == ["stop", "put aside"]
        assert scene.stage.hosts[name].facts.marker is None


@pytest.mark.parametrize(
    ("host", "script"),
    [*((name, "stop") for name in ROLES), *((name, "look") for name in ("n3", "n4")), *((name, "put aside") for name in ROLES)],
)
@pytest.mark.parametrize("error", [Killed(), HostFailed("n", "late", "it did not end in 120 s")], ids=["killed", "failed"])
def test_wherever_it_ends_the_next_run_begins_with_the_same(scene: Scene, host: str, script: str, error: BaseException) -> None:
    scene.stage.hosts["n1"].now(has_data=False)
    scene.rotten, scene.index["n3"] = {"n3"}, 40  # no majority is whole, and n4 has most
    scene.ends_at = (host, script, error)
    with pytest.raises((Killed, CoordError)):
        scene.recover()
    assert scene.began_with == []
    assert scene.recover(is_accepted=False).exit_code == 76
    assert scene.recover().outcome == "failed"
    assert scene.began_with == ["n4"]


def test_data_that_a_run_from_elsewhere_put_aside_is_not_passed_over(scene: Scene) -> None:
    scene.stage.hosts["n4"].now(has_data=False, marker=None, former=("4",))
    scene.stage.hosts["n3"].now(has_data=False)
    with pytest.raises(Refused, match=r"what n4's member had is in /var/lib/coordnode/fleet/former/4, put aside by a recover"):
        scene.recover()


NEW = ("n1", "n2", "n3")


@pytest.mark.parametrize("host", NEW)
@pytest.mark.parametrize("script", ["deploy prepare", "deploy switch"])
@pytest.mark.parametrize("error", [Killed(), HostFailed("n", "late", "it did not end in 120 s")], ids=["killed", "failed"])
def test_wherever_the_new_cluster_was_cut_short_the_next_run_makes_it_and_takes_nothing_from_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, host: str, script: str, error: BaseException
) -> None:
    scene.stage.hosts["n1"].now(has_data=False)
    scene.stage.hosts["n3"].now(has_data=False)
    scene.restores(monkeypatch)
    scene.ends_at = (host, script, error)
    if isinstance(error, Killed):
        with pytest.raises(Killed):
            scene.recover()
    else:
        assert "; go on: coordctl restore " in scene.recover().sentence
    path, drawn = str(scene.stage.path.parent / "n4.backup"), scene.written()
    assert (drawn.recovering, drawn.archive) == (path, path)
    told = scene.recover(is_accepted=False)
    assert (told.exit_code, told.backup) == (76, path)
    assert scene.losses == []
    for played in scene.stage.hosts.values():
        played.scripts.clear()
    done = scene.recover()
    assert (done.outcome, done.backup) in (("done", path), ("unchanged", path))
    assert scene.losses == ["two hosts gone"]
    assert {name for scripts in scene.stage.all_scripts().values() for name in scripts}.isdisjoint({"stop", "put aside"})
    assert {name: scene.stage.hosts[name].facts.marker["member"] for name in NEW} == drawn.members  # type: ignore[index]
    assert set(scene.began_with) == {"n4"}
    assert (scene.written().cluster, scene.written().recovering) == (drawn.cluster, "")


def test_a_deploy_goes_on_with_a_recovery_too_once_its_cluster_is_drawn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.restores(monkeypatch)
    scene.stage.hosts["n1"].now(has_data=False)
    scene.stage.hosts["n3"].now(has_data=False)
    scene.ends_at = ("n3", "deploy prepare", Killed())
    with pytest.raises(Killed):
        scene.recover()
    assert Deployment(scene.stage.inventory, "", lambda _: None).run(dry_run=False).exit_code == 0
    assert scene.written().recovering == ""


def test_what_keeps_the_new_cluster_from_being_made_is_said_with_how_to_go_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.restores(monkeypatch)
    scene.stage.hosts["n1"].now(has_data=False)
    scene.stage.hosts["n3"].now(has_data=False)

    def rehearse(*_: object) -> Rehearsed:
        raise RecordError(f"{UNTOUCHED}the disk is full")

    monkeypatch.setattr(restoring_fleet, "rehearse", rehearse)
    with pytest.raises(RecordError) as refused:
        scene.recover()
    assert refused.value.sentence == (
        "what was there is put aside, and the new cluster is not there yet: the disk is full; "
        f"go on: coordctl restore {scene.stage.path.parent}/n4.backup -c fleet"
    )


def test_a_restore_that_was_cut_short_is_no_loss(scene: Scene) -> None:
    identities.write(scene.stage.inventory, scene.ids._replace(cluster=10, archive="/a.backup", digest=5))
    for is_accepted in (False, True):
        with pytest.raises(NotNeeded, match=r"nothing of it is lost: go on: coordctl restore /a\.backup -c fleet"):
            scene.recover(is_accepted=is_accepted)
    assert (scene.stage.all_scripts(), scene.losses) == ({}, [])
