"""On this machine: what a new cluster begins with is decided once, wherever the command ended."""

import os
from pathlib import Path

import pytest

from coordctl.facts.surviving import Ranked
from coordctl.local import clusters
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.operations import recovering
from coordctl.operations.recovering import Assessed, NotNeeded
from coordctl.results.backup import Recovered
from coordnode.archives.surviving import Survivor

NAMES = ("n1", "n2", "n3")  # the first that is there has most


class Killed(BaseException):
    pass


class Scene:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder))
        self.folder = folder
        self.begins_with: list[str] = []
        self.renames_left = 100
        members = tuple(LocalMember(name, number, f"127.0.0.1:{number}") for number, name in enumerate(NAMES, 1))
        clusters.write(LocalCluster(str(folder), "local", 9, 1, True, members))
        for name in NAMES:
            (folder / name).mkdir()
        rename = os.rename

        def renamed(source: str, target: str) -> None:
            if not self.renames_left:
                raise Killed
            self.renames_left -= 1
            rename(source, target)

        monkeypatch.setattr(os, "rename", renamed)
        monkeypatch.setattr(recovering, "look_here", self.look)
        monkeypatch.setattr(recovering, "sealed", lambda _cluster, name, *_: f"{name}.backup")
        monkeypatch.setattr(recovering, "rehearse", lambda *_: type("Rehearsed", (), {"digest": 1}))
        monkeypatch.setattr(recovering.fleet, "end", lambda *_: ([], []))
        monkeypatch.setattr(recovering.fleet, "make", self.make)
        for part in ("told", "state_of", "note_loss"):
            monkeypatch.setattr(recovering, part, lambda *_: None)
        monkeypatch.setattr(recovering.local, "up", lambda *_: None)

    def look(self, cluster: LocalCluster) -> Assessed:
        left = [name for name in NAMES if (self.folder / name).exists()]
        one = Survivor(cluster=cluster.cluster, member=1, term=1, index=1, committed=1, voters=[1, 2, 3], troubles=[])
        return Assessed(dict.fromkeys(left, one), Ranked(left, has_quorum=False, lost=[], risks=[]), {})

    def make(self, cluster: LocalCluster, *, digest: int) -> None:
        assert digest == 1
        assert not [name for name in NAMES if (self.folder / name).exists()]
        self.begins_with.append(cluster.archive)

    def known(self) -> LocalCluster:
        found = clusters.read(str(self.folder))
        assert found is not None
        return found

    def recover(self) -> Recovered:
        return recovering.recover_here(self.known(), "two disks gone", timeout_seconds=5, say=lambda _: None)


@pytest.mark.parametrize("renames", range(4))
def test_wherever_it_is_killed_the_next_run_begins_with_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int) -> None:
    scene = Scene(tmp_path, monkeypatch)
    scene.renames_left = renames
    if renames < len(NAMES):
        with pytest.raises(Killed):
            scene.recover()
        assert scene.begins_with == []
        told = recovering.refused_here(scene.known())
        assert (told.exit_code, told.backup) == (76, "n1.backup")
        assert "an earlier recover ended before its new cluster was made: go on with what it chose, n1.backup" in told.sentence
        scene.renames_left = 100
    scene.recover()
    assert scene.begins_with == ["n1.backup"]
    assert sorted(path.name.partition(".")[0] for path in tmp_path.glob("n?.before-recover-*")) == list(NAMES)
    assert scene.known().replaces == (9,)


def test_a_restore_that_was_cut_short_is_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_here = recovering.look_here
    scene = Scene(tmp_path, monkeypatch)
    monkeypatch.setattr(recovering, "look_here", look_here)
    clusters.write(scene.known()._replace(is_made=False, archive="/a.backup", replaces=(8,)))
    before = scene.known()
    go_on = "a restore of local ended before its cluster served, and nothing of it is lost: go on: coordctl up -c local"
    with pytest.raises(NotNeeded, match=go_on):
        recovering.refused_here(before)
    with pytest.raises(NotNeeded, match=go_on):
        scene.recover()
    assert (scene.known(), scene.begins_with) == (before, [])
