"""What follows from what members say: each finding, its level, and what a member that says nothing is worth."""

import time
from pathlib import Path
from typing import Any

import pytest

from coordctl.facts import judgement
from coordctl.facts.judgement import CRITICAL, OK, UNKNOWN, WARNING
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.metrics import parse_metrics
from coordctl.operations import backups
from coordnode.limits import FREE_FILES_MIN


def said(member: int, role: str = "follower", **changes: Any) -> MemberFacts:
    status: dict[str, Any] = {
        "cluster": 77,
        "cluster_name": "local",
        "name": f"n{member}",
        "member": member,
        "role": role,
        "term": 3,
        "leader": 1,
        "ready": True,
        "reasons": [],
        "commit": 50,
        "applied": 50,
        "revision": 40,
        "digest_index": 48,
        "digest": 7,
        "applied_digest": 9,
        "writes_stopped_at": None,
        "config": {"voters": [1, 2, 3], "outgoing": [], "learners": [], "contacts": {"1": "a:1", "2": "a:2", "3": "a:3"}},
        "disk": {"folder": "/data", "space_ok": True},
        "storage": {"rot": []},
    }
    return MemberFacts(f"a:{member}", {**status, **changes}, "", f"n{member}", member)


def silent(member: int) -> MemberFacts:
    return MemberFacts(f"a:{member}", None, "connection refused", f"n{member}", member)


def lost(member: int) -> MemberFacts:
    return said(member, "candidate", ready=False, reasons=["no leader: an election is under way"], leader=0)


WELL = [said(1, "leader"), said(2), said(3)]


def test_files_lack_where_a_member_says_so() -> None:
    """Else a disk without room would be called one without files, or the other way round."""
    assert judgement.FEW_FILES == FREE_FILES_MIN


@pytest.mark.parametrize(
    ("members", "level", "can_lose", "words"),
    [
        (WELL, OK, 1, ""),
        ([said(1, "leader"), said(2), silent(3)], WARNING, 0, "one more loss ends service"),
        ([said(1, "leader"), silent(2), silent(3)], CRITICAL, -1, "only 1 of 3 voters"),
        ([lost(1), silent(2), silent(3)], UNKNOWN, -2, "no leader among the 1 of 3"),
        ([lost(1), lost(2), silent(3)], CRITICAL, -2, "no member leads, although a majority answers"),
        ([silent(1), silent(2), silent(3)], UNKNOWN, -1, "no member could be reached"),
        ([said(1, "leader"), said(2), said(3, applied=50, applied_digest=8)], CRITICAL, 1, "differ at index 50"),
        ([said(1, "leader"), said(2), said(3, applied=49, digest=6)], CRITICAL, 1, "differ at index 48"),
        ([said(1, "leader", writes_stopped_at=44), said(2), said(3)], CRITICAL, 1, "writes are stopped"),
        ([said(1, "leader", commit=5_000, applied=5_000), said(2, applied=5_000), said(3)], WARNING, 0, "n3 is 4950 entries behind"),
        ([said(1, "leader"), said(2), said(3, disk={"folder": "/data", "space_ok": False})], WARNING, 1, "too little free disk"),
        (
            [said(1, "leader"), said(2), said(3, disk={"folder": "/data", "space_ok": False, "free_files": 3})],
            WARNING,
            1,
            "takes no more files",
        ),
        ([said(1, "leader"), said(2), said(3, storage={"rot": ["wal/1+5"]})], WARNING, 1, "damaged bytes: wal/1+5"),
    ],
)
def test_each_finding(members: list[MemberFacts], level: int, can_lose: int, words: str) -> None:
    facts = ClusterFacts(members)
    found = judgement.findings(facts)
    assert judgement.level(found) == level
    assert facts.can_lose() == can_lose
    assert words in "; ".join(one.sentence for one in found)
    assert all(one.remedy for one in found)


DRAINS = [{"member": 3, "until_unix_s": 1_800_000_000, "by": "ops@web1", "reason": "new memory", "session": 12}]


@pytest.mark.parametrize(
    ("members", "level", "words"),
    [
        ([said(1, "leader", drains=DRAINS), said(2), silent(3)], OK, "n3 is drained by ops@web1 until 2027-01-15 08:00:00Z: new memory"),
        ([said(1, "leader", drains=DRAINS), said(2), said(3, ready=False, reasons=["restoring"])], OK, "n3 is drained by ops@web1"),
        ([said(1, "leader", drains=DRAINS), silent(2), silent(3)], CRITICAL, "only 1 of 3 voters"),
        ([said(1, "leader", drains=DRAINS), silent(2), said(3)], WARNING, "n2 does not answer"),
        ([said(1, "leader", drains=DRAINS), said(2), said(3, storage={"rot": ["wal/1+5"]})], WARNING, "damaged bytes"),
    ],
)
def test_who_is_drained_is_not_missed_but_all_else_is_said(members: list[MemberFacts], level: int, words: str) -> None:
    found = judgement.findings(ClusterFacts(members))
    assert judgement.level(found) == level
    assert words in "; ".join(one.sentence for one in found)


def test_endpoints_of_two_clusters_are_critical_and_both_are_named() -> None:
    stranger = said(1, "leader", cluster=78, cluster_name="another", digest=8)
    found = judgement.findings(ClusterFacts([*WELL, MemberFacts("b:1", stranger.status, "", "n1", 1)]))
    assert judgement.level(found) == CRITICAL
    assert found[0].sentence == "the members are not of one cluster: local (77) at a:1, a:2, a:3 and another (78) at b:1"
    assert not any("differ at index" in one.sentence for one in found), "of two clusters' states nobody expects that they are equal"


def test_one_member_alone_is_well_and_can_lose_none() -> None:
    config = {"voters": [1], "outgoing": [], "learners": [], "contacts": {"1": "a:1"}}
    facts = ClusterFacts([said(1, "leader", config=config)])
    assert (judgement.findings(facts), facts.can_lose()) == ([], 0)


def test_an_old_leader_that_was_cut_off_is_not_believed() -> None:
    facts = ClusterFacts([said(1, "leader", term=3), said(2, "leader", term=4), said(3, term=4)])
    assert (facts.leader_name, facts.term, facts.role(facts.members[0])) == ("n2", 4, "voter")


def test_joint_membership_needs_both_majorities() -> None:
    config = {"voters": [1, 2, 3], "outgoing": [3, 4, 5], "learners": [], "contacts": {}}
    joint = [said(number, "leader" if number == 1 else "follower", config=config) for number in (1, 2, 3)]
    assert ClusterFacts([*joint, silent(4), silent(5)]).can_lose() == -1
    assert ClusterFacts([*joint, said(4, config=config), silent(5)]).can_lose() == 0


def test_states_are_compared_at_the_same_index_only() -> None:
    assert ClusterFacts(WELL).digests() == ("equal", 50)
    assert ClusterFacts([said(1, "leader"), said(2, applied=49, applied_digest=5)]).digests() == ("equal", 48)
    assert ClusterFacts([said(1, "leader"), said(2, applied=49, digest_index=47)]).digests() == ("unknown", 0)


def test_quantiles_out_of_metrics() -> None:
    text = b'a_seconds_bucket{le="0.001"} 50\na_seconds_bucket{le="0.002"} 100\na_seconds_bucket{le="+Inf"} 100\na_seconds_count 100\n'
    found = parse_metrics(text).histogram("a_seconds")
    assert found.quantile_ms(0.5) == pytest.approx(1.0)
    assert found.quantile_ms(0.75) == pytest.approx(1.5)
    assert parse_metrics(b'b_bucket{le="1"} 0\nb_bucket{le="+Inf"} 0\n').histogram("b").quantile_ms(0.99) is None
    assert parse_metrics(b'c_bucket{le="1"} 0\nc_bucket{le="+Inf"} 2\n').histogram("c").quantile_ms(0.99) == 1000


def histogram(name: str, peer: str, counts: tuple[int, int, int], sum_seconds: float) -> bytes:
    """Up to 1 ms, 2 ms, 50 ms."""
    label, alone = (f'peer="{peer}",', f'{{peer="{peer}"}}') if peer else ("", "")
    bounds = zip(("0.001", "0.002", "0.05"), counts, strict=True)
    lines = [f'{name}_bucket{{{label}le="{bound}"}} {count}' for bound, count in bounds]
    return "\n".join([*lines, f"{name}_sum{alone} {sum_seconds}", f"{name}_count{alone} {counts[-1]}", ""]).encode()


def test_what_came_between_two_looks_is_their_difference() -> None:
    before = parse_metrics(b"up 3\nasks_total 10\n" + histogram("a", "", (4, 4, 4), 0.002) + histogram("a", "7", (1, 1, 1), 0.001))
    after = parse_metrics(b"up 5\nasks_total 25\n" + histogram("a", "", (4, 10, 12), 0.032) + histogram("a", "7", (1, 1, 3), 0.061))
    found = after.since(before)
    assert found.numbers == {"up": 2, "asks_total": 15}
    assert (found.histogram("a").count, found.histogram("a").mean_ms()) == (8, pytest.approx(3.75))
    assert (found.histogram("a/7").count, found.histogram("a/7").mean_ms()) == (2, pytest.approx(30))
    assert found.histogram("never").mean_ms() is None
    assert after.since(after).histogram("a").quantile_ms(0.5) is None
    restarted = parse_metrics(histogram("a", "", (2, 2, 2), 0.001)).since(before).histogram("a")
    assert (restarted.count, restarted.mean_ms()) == (2, pytest.approx(0.5))


def test_the_least_is_the_mean_where_all_took_as_long_and_a_low_quantile_where_some_were_held_up() -> None:
    alike = parse_metrics(histogram("a", "", (0, 0, 12), 12 * 0.031)).histogram("a")
    assert alike.least_ms(0.1) == pytest.approx(31)
    held_up = parse_metrics(histogram("a", "", (6, 6, 12), 6 * 0.0005 + 6 * 0.04)).histogram("a")
    assert held_up.least_ms(0.1) == pytest.approx(0.2)
    assert parse_metrics(histogram("a", "", (0, 0, 0), 0)).histogram("a").least_ms(0.1) is None


def test_risks_that_were_accepted_are_told_and_alarm_nobody() -> None:
    accepted = [{"risk": "data-loss", "unix_s": 1_800_000_000, "by": "ops@web1", "verb": "recover", "reason": "three disks gone"}]
    facts = ClusterFacts([said(1, "leader", accepted=accepted), said(2, settings={"accept": "plaintext"}), said(3)])
    assert judgement.findings(facts) == []  # no gate is shut by it
    told, plain = judgement.of_risks(facts)
    sentence = "the risk data-loss was accepted by ops@web1 at 2027-01-15 08:00:00Z for recover: three disks gone"
    assert told[:3] == (OK, sentence, "once that is over: coordctl risk clear data-loss")
    assert plain[:2] == (OK, "n2 runs with the risk plaintext, accepted in its settings")
    assert judgement.of_risks(ClusterFacts([said(1, "leader"), silent(2), said(3)])) == []


def test_a_backup_that_was_written_elsewhere_counts_where_the_cluster_remembers_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    noted = {"taken_unix_s": int(time.time()) - 3_600, "index": 7, "by": "ops@web2", "path": "/mnt/backups/a.backup"}
    age_s = backups.newest_age_s(ClusterFacts([said(1, "leader", backup=noted), said(2), said(3)]))
    assert age_s is not None and 3_600 <= age_s < 7_200
    assert backups.newest_age_s(ClusterFacts([said(1, "leader", backup=None), said(2), said(3)])) is None


def test_an_old_backup_is_a_warning_and_none_here_says_nothing() -> None:
    assert judgement.of_backup(None) == judgement.of_backup(7 * 86_400) == []
    (found,) = judgement.of_backup(8 * 86_400)
    assert found[:3] == (WARNING, "the newest backup is 8 days old", "coordctl backup create")
