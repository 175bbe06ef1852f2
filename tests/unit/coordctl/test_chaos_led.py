"""Members are led around their proxies, and these stay until all are."""

from pathlib import Path

import pytest

from coordctl.chaos import links
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.links import Installation
from coordctl.facts.members import MemberFacts
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import LocalCluster
from coordctl.operations import chaos_proxy, statuses
from tests.unit.coordctl.test_chaos_undone import cluster_in


def led(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool]) -> tuple[LocalCluster, Ledger]:
    """Proxies are installed; n1 runs, and answers or stands still, as that says of each look; n2 does not run."""
    cluster = cluster_in(folder)
    n1, n2 = cluster.members
    looks = iter(answers)

    def ask(*_: object, **__: object) -> list[MemberFacts]:
        status = {"name": "n1", "role": "leader", "term": 1, "applied": 1, "dial": {}}
        first = MemberFacts(n1.address, status, "", "n1", 1) if next(looks) else MemberFacts(n1.address, None, "fell silent", "n1", 1)
        return [first, MemberFacts(n2.address, None, "connection refused", "n2", 2)]

    monkeypatch.setattr(clusters, "read", lambda _: cluster)
    monkeypatch.setattr(processes, "is_running", lambda pid, _: pid != 0)
    monkeypatch.setattr(statuses, "ask", ask)
    ledger = Ledger(str(folder))
    ledger.make()
    links.write(ledger, Installation(is_used=True, api="", links=[], dial={}))
    return cluster, ledger


def test_proxies_stay_while_a_member_that_runs_does_not_say_how_it_is_led(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, ledger = led(tmp_path, monkeypatch, [False] * 999)
    with pytest.raises(fleet.Failed, match="n1 runs and does not answer, and may be led through proxies still, so they stay"):
        chaos_proxy.remove(cluster, 0.3)
    installation = links.read(ledger)
    assert installation is not None
    assert not installation.is_used


def test_they_go_once_it_has_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, ledger = led(tmp_path, monkeypatch, [False, False, True])
    assert chaos_proxy.remove(cluster, 30.0).restarted == []
    assert links.read(ledger) is None
