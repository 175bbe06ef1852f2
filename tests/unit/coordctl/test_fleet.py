"""One operator at a time: for as long as a command works, in every script, and with what hosts say once they are locked."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coordctl.inventory.model import Inventory
from coordctl.operations import building, certificates, deploying, fleet, identities, upgrading
from coordctl.operations.building import Build
from coordctl.operations.deploying import Deployment
from coordctl.operations.fleet import LOCK_SECONDS, Fleet, OtherOperator
from coordctl.operations.running import Running
from coordctl.results.deploy import Deployed
from coordctl.rolling import course
from coordctl.rolling.journal import Journal, encode
from coordctl.transport.base import HostFailed, Ran, Script
from tests.processes.members import wait_until
from tests.unit.coordctl.fleet_scene import Played, Stage
from tests.unit.coordctl.test_upgrade_course import NOTE, plan

ROLES = {"n1": "voter", "n2": "voter", "n3": "voter"}
HELD = ("lock", "unlock", "work")


def really(_host: Played, script: Script) -> Ran | None:
    if script.name not in HELD:
        return None
    done = subprocess.run(["sh", "-s"], input=script.text, capture_output=True, text=True, timeout=300, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Stage(tmp_path, dict(ROLES), really)
    for name, host in made.hosts.items():
        host.now(base=str(tmp_path / name))
    return made


def asked(stage: Stage, verb: str) -> Fleet:
    made = stage.fleet(stage.inventory, verb, "")
    made.connect(stage.inventory.hosts)
    made.ask()
    return made


def lock_of(stage: Stage, name: str) -> Path:
    return Path(stage.hosts[name].facts.base) / "operator.lock"


def test_a_lock_is_held_for_as_long_as_its_command_works(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "BEAT_SECONDS", 0.02)
    first, second = asked(stage, "backup create"), asked(stage, "deploy")
    with first.locked():
        for name in ROLES:
            aged = time.time() - LOCK_SECONDS - 100
            os.utime(lock_of(stage, name), (aged, aged))
        wait_until(lambda: all(time.time() - lock_of(stage, name).stat().st_mtime < LOCK_SECONDS / 2 for name in ROLES), "signs of life")
        with pytest.raises(OtherOperator, match=r"is at work on this cluster: backup create"), second.locked():
            pass
    assert not any(lock_of(stage, name).exists() for name in ROLES)


def test_who_lost_the_lock_does_nothing_more(stage: Stage) -> None:
    ours = asked(stage, "stop")
    touched = lock_of(stage, "n2").with_name("touched")
    with ours.locked():
        theirs = {"who": "ann", "host": "web1", "pid": 3, "verb": "deploy", "reason": "", "since_unix_s": 1}
        lock_of(stage, "n2").write_text(json.dumps(theirs))
        with pytest.raises(OtherOperator, match=r"ann@web1 \(pid 3\) is at work on this cluster: deploy"):
            ours.run({name: Script("work", f"touch {lock_of(stage, name).with_name('touched')}\n") for name in ROLES}, 20)
        assert not touched.exists()
    assert lock_of(stage, "n2").exists()  # theirs


def test_what_was_decided_before_somebody_else_changed_it_is_not_done(stage: Stage) -> None:
    members = {"n1": 1, "n2": 2, "n3": 3}
    ids = identities.Ids(9, 1, members, {}, list(members), 0, {}, [], "", 0)
    stage.give(ids, *members)
    ours = asked(stage, "restart")
    stage.give(ids._replace(edition=1), "n2")
    with pytest.raises(OtherOperator, match="nothing was changed: somebody else was at work on n2 until just now"), ours.locked():
        raise AssertionError
    with ours.locked():
        pass  # asked since


# --- deploy ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def deploys(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(deploying, "Fleet", stage.fleet)
    monkeypatch.setattr(deploying.looking, "at_hosts", lambda _fleet: [])
    monkeypatch.setattr(deploying.looking, "at_ways", lambda *_: [])
    monkeypatch.setattr(deploying.outcomes, "await_healthy", lambda *_: None)
    monkeypatch.setattr(deploying.outcomes, "in_turn", lambda names, _endpoints: names)
    monkeypatch.setattr(building, "build", lambda target: Build("1-a", target, b"", {}))
    return stage


def deploy(stage: Stage, inventory: Inventory | None = None) -> Deployed:
    return Deployment(inventory or stage.inventory, "", lambda _: None).run(dry_run=False)


def test_whoever_deploys_after_another_has_done_so_takes_over_what_that_one_made(deploys: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both asked the hosts when nothing was there."""
    members = {"n1": 1, "n2": 2, "n3": 3}
    theirs = identities.Ids(9, 1, members, {name: f"{name}:1" for name in members}, list(members), 0, {}, [], "", 0)
    locking = Played.run

    def run(host: Played, script: Script, seconds: float) -> Ran:
        if script.name == "lock" and host.facts.marker is None:
            deploys.give(theirs, host.name)
        return locking(host, script, seconds)

    seen: list[Any] = []
    monkeypatch.setattr(Played, "run", run)
    monkeypatch.setattr(Deployment, "_finish", lambda self, ids, outcome: seen.append(ids) or self._result(outcome, 0, "well"))
    deploy(deploys)
    assert [(ids.cluster, ids.members) for ids in seen] == [(9, members)]
    assert not Path(certificates.authority_of(deploys.inventory).folder).exists()


def test_nobody_else_gets_in_while_a_build_is_made(deploys: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def build(target: str) -> Build:
        with pytest.raises(OtherOperator) as caught, asked(deploys, "deploy").locked():
            pass
        refused.append(caught.value.sentence)
        raise OtherOperator("far enough")

    monkeypatch.setattr(building, "build", build)
    with pytest.raises(OtherOperator, match="far enough"):
        deploy(deploys)
    assert "is at work on this cluster: deploy" in refused[0]


def test_a_script_that_failed_in_its_midst_is_not_called_nothing(deploys: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def does(host: Played, script: Script) -> Ran | None:
        if script.name == "deploy prepare" and host.name == "n2":
            raise HostFailed("n2", "unreachable", "the connection broke during deploy prepare")
        return Ran(1, "", "no room") if script.name == "deploy prepare" else really(host, script)

    for host in deploys.hosts.values():
        host.does = does
    done = deploy(deploys)
    assert (done.outcome, done.exit_code) == ("failed", 1)
    assert "nothing was changed" not in done.sentence and "running it again goes on from there" in done.sentence


def test_nothing_was_changed_by_a_command_that_reached_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordctl.operations.running.Fleet", stage.fleet)
    for host in stage.hosts.values():
        host.is_down = True
    done = Running(stage.inventory, "stop", "", lambda _: None).stop()
    assert (done.exit_code, done.sentence.endswith("; nothing was changed")) == (69, True)


# --- upgrade --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["nobody", "goes on", "begins another"])
def test_an_upgrade_is_gone_on_with_only_from_where_it_was_seen_last(stage: Stage, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    monkeypatch.setattr(upgrading, "Fleet", stage.fleet)
    ours = upgrading.Upgrading(stage.inventory, "upgrade resume", "", (), lambda _: None)
    seen = course.paused(Journal(plan=plan("n1", "n2", "n3")), "n3 is down", NOTE)
    for host in stage.hosts.values():
        host.now(upgrade=json.loads(encode(seen)))
    ours.fleet.connect(stage.inventory.hosts)
    ours.fleet.ask()
    other = msgspec.structs.replace(seen.plan, id="u2", began_unix_ms=seen.plan.began_unix_ms + 1)
    now = {"nobody": seen, "goes on": course.resumed(seen, NOTE), "begins another": Journal(plan=other)}[who]
    stage.hosts["n2"].now(upgrade=json.loads(encode(now)))
    if who == "nobody":
        with ours._alone(seen):
            return
    with pytest.raises(OtherOperator, match="nothing was changed: somebody else drove until just now"), ours._alone(seen):
        raise AssertionError
