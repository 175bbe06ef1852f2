"""Members as real processes, killed, stopped and restarted under load: nothing acknowledged is lost, histories are linearizable,
watches are complete. The short version of `python -m tests.processes.violence.campaign`; COORD_LONG=1 runs that one's ten minutes."""

import random
import signal
from pathlib import Path

import pytest

from coordnode.services.commands import Get, Put
from tests.door import IS_LONG
from tests.processes.members import Cluster, wait_until
from tests.processes.networks import Networks, why_not
from tests.processes.shims import compiled
from tests.processes.violence.campaign import Campaign
from tests.processes.violence.clients import Client
from tests.processes.violence.judgement import check, merged
from tests.processes.violence.paper import Paper
from tests.processes.violence.power import SOURCE as POWER
from tests.processes.violence.power import Power

SECONDS = 600.0 if IS_LONG else 0.0  # in the short version each kind of violence is done once


def test_nothing_is_lost_and_everything_is_linearizable_under_violence(tmp_path: Path) -> None:
    found = Campaign(tmp_path, seed=1).run(SECONDS, each_act_once=True)
    assert found.acknowledged > 100
    assert found.sessions > 0


def test_nor_when_power_is_lost_and_networks_are_cut(tmp_path: Path) -> None:
    """Both in one campaign: whatever is cut off is killed, too, and forgets what was not synced."""
    networks = None if why_not() else Networks()
    try:
        found = Campaign(tmp_path, seed=1, power=True, networks=networks).run(SECONDS, each_act_once=True)
    finally:
        if networks is not None:
            networks.close()
    assert found.acknowledged > 100
    assert found.sessions > 0
    assert found.lost.writes > 0, "the disk forgot nothing: nothing was shown"
    if networks is None:
        pytest.skip(f"no network was cut: {why_not()}")


def _life(cluster: Cluster, powers: dict[int, Power], folder: Path, *, lies: bool) -> tuple[int, str]:
    """Writes, loss of power everywhere, and reads: what `coordctl check` says to it."""
    for number, one in cluster.members.items():
        one.start(environment=powers[number].environment)
    cluster.wait_ready()
    paper = folder / "own.jsonl"
    client = Client(",".join(cluster.contacts.values()), Paper(paper), 0)

    def put(value: bytes) -> None:
        wait_until(lambda: client.ask(Put(b"a", value), timeout_ms=10_000), "a write is acknowledged")

    put(b"first")
    if lies:
        for power in powers.values():
            power.lie()
    for number in range(20):
        put(b"%d" % number)
    for one in cluster.members.values():
        one.signal(signal.SIGKILL)
    for number, one in cluster.members.items():
        one.wait()
        # A disk that lied and kept the half of it is found out by the member itself, which then waits for the others.
        powers[number].lose(None if lies else random.Random(1))
        one.start(environment=powers[number].environment)
    wait_until(lambda: client.ask(Get(b"a"), timeout_ms=10_000), "a read is answered")
    client.close()
    history = folder / "history.jsonl"
    merged([paper], history)
    return check(history)


@pytest.mark.parametrize("lies", [False, True], ids=["synced", "not synced"])
def test_an_acknowledgement_before_the_sync_is_found_out(tmp_path: Path, cluster: Cluster, lies: bool) -> None:
    """That the check above can fail: once the power goes, what was acknowledged and not synced is a violation."""
    library = compiled(POWER, tmp_path)
    powers = {number: Power(library, one.folder) for number, one in cluster.members.items()}
    code, verdict = _life(cluster, powers, tmp_path, lies=lies)
    assert code == (2 if lies else 0), verdict
    assert ("violation" if lies else "pass") in verdict
