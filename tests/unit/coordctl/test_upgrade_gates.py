"""What an upgrade wants to see before it goes on, which builds work together, and when a member is slower than the others."""

import copy
from typing import Any

import pytest

from coordctl.facts import pairs
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.pairs import Speaks
from coordctl.operations.version import pairs_of
from coordctl.rolling import gates
from coordctl.rolling.gates import OUTAGE, Measured, Watch

CONFIG = {"voters": [1, 2, 3], "outgoing": [], "learners": [], "contacts": {"1": "a:1", "2": "b:1", "3": "c:1"}}
OLD, NEW = Speaks("0.1.0", 1, 1, 3), Speaks("0.2.0", 1, 1, 4)


def status(member: int, **more: Any) -> dict[str, Any]:
    told = {
        "schema": "coordnode.status/1",
        "cluster": 9,
        "cluster_name": "fleet",
        "member": member,
        "name": f"n{member}",
        "version": "0.1.0",
    }
    consensus = {"level": 3, "level_max": 3, "role": "leader" if member == 1 else "follower", "term": 2, "leader": 1, "ready": True}
    places = {"reasons": [], "commit": 9, "applied": 9, "config": copy.deepcopy(CONFIG), "writes_stopped_at": None, "applied_digest": 5}
    disk = {"disk": {"space_ok": True, "folder": "/data"}, "storage": {"rot": []}, "fault_injection": False}
    return {**told, **consensus, **places, **disk, **more}


def facts(*changes: dict[str, Any], silent: int = 0, count: int = 3) -> ClusterFacts:
    statuses = [status(member, **(changes[member - 1] if member <= len(changes) else {})) for member in range(1, count + 1)]
    found = [MemberFacts(f"{one['name']}:7001", one, "", one["name"], one["member"]) for one in statuses]
    if silent:
        found[silent - 1] = MemberFacts(f"n{silent}:7001", None, "connection refused", f"n{silent}", silent)
    return ClusterFacts(found)


def sentences(found: list[gates.Gate]) -> list[str]:
    return [one.sentence for one in found]


def test_a_healthy_cluster_of_which_one_can_be_lost_is_let_through() -> None:
    assert gates.of_cluster(facts()) == []


def test_what_is_not_well_keeps_it_from_beginning() -> None:
    assert "n2 does not answer: connection refused" in sentences(gates.of_cluster(facts(silent=2)))
    assert sentences(gates.of_cluster(facts({}, {"ready": False, "reasons": ["restoring"]}))) == ["n2 is not ready: restoring"]
    assert sentences(gates.of_cluster(facts({}, {"applied_digest": 6}))) == ["members' states differ at index 9"]
    assert sentences(gates.of_cluster(facts({}, {"leader": 2}))) == ["members do not agree on who leads"]


@pytest.mark.parametrize("count", [1, 2])
def test_where_nobody_can_be_spared_only_that_risk_stands_in_the_way(count: int) -> None:
    few = {"config": {**CONFIG, "voters": list(range(1, count + 1))}}
    found = gates.of_cluster(facts(few, few, count=count))
    assert [one.risk for one in found] == [OUTAGE]


def test_members_that_see_other_members_are_named_and_a_change_that_is_not_over_is_waited_for() -> None:
    other = {"config": {**CONFIG, "learners": [4]}}
    assert [(one.host, one.sentence) for one in gates.of_cluster(facts({}, {}, other))] == [("n3", "it sees other members than n1 does")]
    joint = {"config": {**CONFIG, "outgoing": [1, 2]}}
    assert sentences(gates.of_membership(facts(joint, joint, joint))) == ["a change of members is under way"]


# --- pairs ---------------------------------------------------------------------------------------------------------


def test_builds_that_speak_and_store_alike_work_together_up_and_down() -> None:
    assert pairs.beside(OLD, NEW) == pairs.in_place_of(NEW, OLD, 3) == pairs.in_place_of(OLD, NEW, 3) == ""


def test_why_others_do_not_is_said() -> None:
    assert pairs.beside(OLD, NEW._replace(wire=2)) == "0.1.0 speaks wire version 1, 0.2.0 speaks 2"
    assert pairs.in_place_of(NEW._replace(storage=2), OLD, 3) == "0.2.0 reads storage format 2, 0.1.0 wrote 1"
    down = pairs.in_place_of(OLD, NEW, 4)
    assert down == "the cluster is at feature level 4, which never goes back, and 0.1.0 knows levels up to 3"


def test_a_plan_is_refused_for_each_host_whose_pair_does_not_work() -> None:
    after = {"n1": NEW, "n2": NEW._replace(wire=2), "n3": None}
    found = gates.of_pairs(facts(), dict.fromkeys(after, OLD), after)
    assert [one.host for one in found] == ["n2", "n3"]
    assert "speaks wire version" in found[0].sentence


def test_version_tells_of_every_pair_that_there_is() -> None:
    found = pairs_of([OLD, OLD, NEW._replace(wire=2)])
    ours = pairs.OURS.release
    assert [(one.kind, one.one, one.other, one.works) for one in found] == [
        ("client and member", ours, "0.1.0", True),
        ("client and member", ours, "0.2.0", False),
        ("member and member", "0.1.0", "0.2.0", False),
    ]


@pytest.mark.parametrize("said", [None, {}, {"release": "1"}, {"release": "1", "wire": "x", "storage": 1, "level_max": 1}])
def test_a_build_that_does_not_say_what_it_speaks_is_not_guessed_at(said: dict[str, Any] | None) -> None:
    assert pairs.of_manifest(said) is None
    assert pairs.of_manifest(pairs.as_manifest(OLD)) == OLD


# --- one member, beside the others ---------------------------------------------------------------------------------


def measured(shown_ms: float, sync_ms: float | None, others_shown_ms: float = 2.0, others_sync_ms: float = 1.0) -> list[Measured]:
    others = [Measured(name, (others_shown_ms,) * 5, others_sync_ms) for name in ("n2", "n3")]
    return [Measured("n1", (shown_ms,) * 5, sync_ms), *others]


def test_a_member_that_is_as_quick_as_the_others_stands_also_where_all_are_slow() -> None:
    assert gates.of_probe("n1", measured(3, 1)) == ""
    assert gates.of_probe("n1", measured(130, 200, 80, 100)) == ""  # the whole machine is held up


def test_a_member_that_shows_or_syncs_later_than_the_others_does_not() -> None:
    assert gates.of_probe("n1", measured(53, 1)) == "what was written is shown by it after 53.0 ms, by the others after 2.0 ms (medians)"
    assert gates.of_probe("n1", measured(2, 51)) == "its fsyncs end after 51.0 ms, by the others after 1.0 ms (medians)"
    assert gates.of_probe("n1", measured(130, 51)) == (
        "its fsyncs end after 51.0 ms, by the others after 1.0 ms (medians); "
        "what was written is shown by it after 130.0 ms, by the others after 2.0 ms (medians)"
    )
    assert gates.of_probe("n1", measured(2, None)) == "it made nothing durable of what was written"
    assert gates.of_probe("n1", [Measured("n1", (), None, "a read through it failed: gone"), *measured(2, 1)[1:]]) == (
        "a read through it failed: gone"
    )


def test_one_late_answer_is_no_fault() -> None:
    stalled = [Measured("n1", (2, 2, 2_000, 2, 2), 1), *measured(2, 1)[1:]]
    assert gates.of_probe("n1", stalled) == ""


def test_who_leads_is_compared_with_who_led_before() -> None:
    assert gates.of_lead([4, 5, 900], [5, 6, 7]) == ""
    assert gates.of_lead([4, 5, 6], [60, 61, 62]) == "writes take 61.0 ms under its lead, and took 5.0 ms before (medians)"


def test_who_is_watched_may_stumble_but_breaks_no_promise() -> None:
    assert Watch(rounds=30, bad=1, trouble="slow").verdict() == ""
    assert Watch(rounds=2, bad=1, trouble="slow").verdict() == ""
    assert Watch(rounds=30, bad=7, trouble="slow").verdict() == "7 of 30 rounds of the canary were not well: slow"
    assert Watch(rounds=1, bad=1, trouble="stale", is_broken=True).verdict() == "the canary saw a promise broken: stale"
    assert Watch(rounds=9, leads_lost=gates.LEADS_LOST_MAX + 1).verdict() == "it lost the lead 4 times while it was watched"


def test_a_member_is_taken_away_only_where_that_ends_no_service() -> None:
    assert gates.may_return(facts(), 2)
    assert not gates.may_return(facts(silent=3), 2)  # two of three are left
    assert gates.may_return(facts(silent=3), 3)  # it serves nobody as it is
    no_leader = {"leader": 0, "ready": False, "role": "follower"}
    assert gates.may_return(facts(no_leader, no_leader, no_leader), 2)


def test_a_member_that_was_started_is_well_once_it_answers_and_has_caught_up() -> None:
    assert gates.is_well(facts(), 2) == ""
    assert gates.is_well(facts(silent=2), 2) == "connection refused"
    assert gates.is_well(facts({"commit": 9_000}, {"commit": 9_000}), 2) == "behind"
    assert gates.is_well(facts({}, {"ready": False, "reasons": ["regaining"]}), 2) == "regaining"
