"""A step that is begun again by whoever goes on is done with the cluster as it is then, not as it was."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from coordctl.facts.members import ClusterFacts
from coordctl.operations import upgrade_steps
from coordctl.operations.upgrade_journal import JournalKeeper
from coordctl.operations.upgrade_steps import Carrying
from coordctl.rolling import course, gates, journal
from coordctl.rolling.journal import Journal
from coordnode.client.sync import Cluster
from tests.unit.coordctl.fleet_scene import Stage
from tests.unit.coordctl.test_upgrade_course import NEW, NOTE, OLD, plan
from tests.unit.coordctl.test_upgrade_gates import facts

ROLES = {"n1": "voter", "n2": "voter", "n3": "voter"}


def resumed(stage: Stage, monkeypatch: pytest.MonkeyPatch, seen: ClusterFacts, *, accepted: tuple[str, ...] = ()) -> Journal:
    """What came of n2's switch, which was begun and never done."""
    at = Journal(plan=msgspec.structs.replace(plan("n1", "n2", "n3"), accepted=accepted), step=journal.SWITCH, turn="n2", touched=("n2",))
    at = course.resumed(course.paused(at, "paused by ops", NOTE), NOTE)
    fleet = stage.fleet(stage.inventory, "upgrade resume", "")
    fleet.connect(stage.inventory.hosts)
    fleet.ask()
    fleet.mine = "me"
    monkeypatch.setattr(upgrade_steps.outcomes, "cluster_facts", lambda _endpoints: seen)
    monkeypatch.setattr(Carrying, "_drain", lambda *_: None)
    carrying = Carrying(fleet, cast(Cluster, None), [], JournalKeeper(fleet, None), {})
    step = course.next_step(at, carrying.sight)
    assert step == course.Step(journal.SWITCH, "n2")
    return course.ended(course.begun(at, step, NOTE), step, carrying.carry_out(step, at), NOTE)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path, dict(ROLES))
    for host in made.hosts.values():
        host.now(versions=(OLD, NEW), current=OLD, running={"version": OLD})
    return made


def test_a_member_that_is_needed_by_now_is_not_switched_by_whoever_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = resumed(stage, monkeypatch, facts(silent=3))
    assert (ended.state, ended.step, ended.is_done) == ("paused", journal.SWITCH, False)
    assert ended.evidence == "n2 is well, and without it there is no quorum"
    assert stage.all_scripts() == {}


@pytest.mark.parametrize("silent", [0, 2])
def test_one_that_can_be_spared_or_is_down_already_is_switched(stage: Stage, monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    ended = resumed(stage, monkeypatch, facts(silent=silent))
    assert (ended.state, ended.is_done) == ("running", True)
    assert stage.all_scripts() == {"n2": ["upgrade switch"]}


def test_so_is_one_that_is_needed_where_an_outage_was_accepted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resumed(stage, monkeypatch, facts(silent=3), accepted=(gates.OUTAGE,)).is_done
    assert stage.all_scripts() == {"n2": ["upgrade switch"]}


def test_a_look_that_took_all_the_time_there_was_is_not_the_last_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the machine stands still while it looks, and hears nobody in time."""
    at = Journal(plan=msgspec.structs.replace(plan("n1", "n2", "n3"), healthy_ms=1_000))
    looks = iter([facts(silent=2)])
    now = [0.0]

    def look(_endpoints: object) -> ClusterFacts:
        now[0] += 5.0
        return next(looks, facts())

    monkeypatch.setattr(upgrade_steps.outcomes, "cluster_facts", look)
    monkeypatch.setattr(upgrade_steps, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None))
    fleet = stage.fleet(stage.inventory, "upgrade run", "")
    carrying = Carrying(fleet, cast(Cluster, None), [], JournalKeeper(fleet, None), {})
    assert carrying.carry_out(course.Step(journal.SETTLE, "n3"), at).is_well
