"""What a fleet's hosts are asked: each for its part of a fault, and links where they end."""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from coordctl.chaos.arriving import Ending
from coordctl.chaos.packets import rules
from coordctl.chaos.site import LocalSite, Wanted
from coordctl.engines import looking
from coordctl.engines.looking import Look
from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.operations import statuses
from coordctl.operations.chaos_faults import must_name_all
from coordctl.operations.chaos_fleet import FleetSite, split
from coordctl.operations.fleet import Fleet, OtherOperator
from coordctl.transport.base import Ran, Script
from coordnode.errors import Busy
from tests.unit.coordctl.test_chaos_ledger import entry

WANTED = Wanted("cut", "n1 <-> others", "", (), (), 30_000, "ops", "")


def test_members_are_hit_on_their_own_hosts() -> None:
    parts = split(WANTED._replace(fault="pause", members=("n1", "n2")))
    assert {name: (part.members, part.links) for name, part in parts.items()} == {"n1": (("n1",), ()), "n2": (("n2",), ())}


def test_links_are_broken_where_they_end_all_of_one_host_by_one_fault() -> None:
    links = (("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1"))
    parts = split(WANTED._replace(links=links))
    assert {name: part.links for name, part in parts.items()} == {
        "n2": (("n1", "n2"),),
        "n3": (("n1", "n3"),),
        "n1": (("n2", "n1"), ("n3", "n1")),
    }
    assert not any(part.members for part in parts.values())


def test_a_rule_takes_what_the_other_asks_and_what_it_answers_and_its_element_ends_by_itself() -> None:
    text = rules(entry("c0ffee11", "cut"), [Ending("ip", "10.0.0.2", (7002,), (7001,)), Ending("ip6", "fd00::3", (7003,), (7001,))], 30_000)
    assert (
        text
        == """\
table inet coordctl_chaos_c0ffee11 {
set from0 { type ipv4_addr; flags timeout; elements = { 10.0.0.2 timeout 30000ms }; }
counter taken0 { }
set from1 { type ipv6_addr; flags timeout; elements = { fd00::3 timeout 30000ms }; }
counter taken1 { }
chain arriving { type filter hook input priority -150; policy accept;
ip saddr @from0 tcp dport 7001 counter name taken0 drop
ip saddr @from0 tcp sport 7002 counter name taken0 drop
ip6 saddr @from1 tcp dport 7001 counter name taken1 drop
ip6 saddr @from1 tcp sport 7003 counter name taken1 drop
}
}
"""
    )


def test_how_a_rule_takes_is_what_the_fault_is() -> None:
    one = [Ending("ip", "10.0.0.2", (7002,), (7001,))]
    lossy = rules(msgspec.structs.replace(entry("c0ffee11", "loss"), by="2.5%"), one, 1)
    assert "tcp dport 7001 numgen random mod 10000 < 250 counter name taken0 drop" in lossy
    assert "counter name taken0 reject with tcp reset" in rules(entry("c0ffee11", "reset"), one, 1)


def test_members_that_speak_on_ports_of_their_own_are_cut_off_there_and_clients_are_not() -> None:
    text = rules(entry("c0ffee11", "cut"), [Ending("ip", "10.0.0.2", (2888, 3888), (2888, 3888))], 1_000)
    assert "ip saddr @from0 tcp dport { 2888, 3888 } counter name taken0 drop" in text
    assert "ip saddr @from0 tcp sport { 2888, 3888 } counter name taken0 drop" in text


def test_voters_that_an_inventory_does_not_name_are_missed_and_learners_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    members = tuple([LocalMember(f"n{number}", number, f"10.0.0.{number}:2379") for number in (1, 2, 3)])
    cluster = LocalCluster("", "keys", 0, 0, True, members, engine="etcd")
    looks = [Look(f"10.0.0.{number}:2379", "", role=role, voters=2) for number, role in ((1, "leader"), (2, "voter"), (3, "learner"))]
    monkeypatch.setattr(looking, "look", lambda engine, endpoints, seconds: looks)
    facts = ClusterFacts(statuses.of_members(cluster, 1.0))
    assert (facts.voters(), facts.learners(), facts.leader_name) == ([1, 2], [3], "n1")
    must_name_all(cluster, facts)
    looks[:] = [one._replace(voters=3) for one in looks]
    with pytest.raises(Busy, match="n1 knows 3 voters, and 2 are named: name all, so that it is known what may be hit"):
        must_name_all(cluster, ClusterFacts(statuses.of_members(cluster, 1.0)))


class Here:
    """A host that is this machine."""

    host = "h1"

    def run(self, script: Script, seconds: float) -> Ran:
        done = subprocess.run(["sh", "-s"], input=script.text, capture_output=True, text=True, timeout=seconds, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)


def test_the_lock_of_a_long_run_counts_anew_and_is_missed_when_somebody_else_has_it(tmp_path: Path) -> None:
    fleet: Any = Fleet(SimpleNamespace(name="staging"), "chaos run", "")  # type: ignore[arg-type]
    fleet._transports, fleet.facts = {"h1": Here()}, {"h1": SimpleNamespace(base=str(tmp_path), marker=None, upgrade=None)}
    fleet.ask = lambda: None
    lock = tmp_path / "operator.lock"
    with fleet.locked():
        os.utime(lock, (1, 1))
        FleetSite(fleet, LocalSite(LocalCluster(str(tmp_path), "staging", 0, 0, True, ()))).stay()
        assert time.time() - lock.stat().st_mtime < 60
        lock.write_text('{"who": "ann", "host": "web1", "pid": 3, "verb": "upgrade", "reason": "", "since_unix_s": 1}')
        with pytest.raises(OtherOperator, match="ann@web1 .pid 3. is at work on this cluster: upgrade"):
            fleet.stay()
    assert lock.exists()  # theirs
