"""Which of the members that are left has most, and what is said to be at risk."""

from coordctl.facts.surviving import rank
from coordnode.archives.surviving import Survivor

EVERYBODY = {f"n{number}": number for number in range(1, 6)}


def survivor(member: int, term: int, index: int, committed: int = 0, *, voters: int = 5, trouble: str = "") -> Survivor:
    troubles = [trouble] if trouble else []
    listed = list(range(1, voters + 1))
    return Survivor(cluster=9, member=member, term=term, index=index, committed=committed or index, voters=listed, troubles=troubles)


def test_the_later_term_comes_before_the_longer_log_and_of_equals_the_one_without_damage() -> None:
    found = rank({"n1": survivor(1, 3, 90), "n2": survivor(2, 4, 50), "n3": survivor(3, 4, 50, trouble="rot")}, EVERYBODY)
    assert found.names == ["n2", "n3", "n1"]


def test_nothing_is_at_risk_where_every_majority_had_one_of_those_that_are_left() -> None:
    """Two of four: whatever was acknowledged was acknowledged by three."""
    found = rank({"n1": survivor(1, 3, 90, voters=4), "n2": survivor(2, 3, 80, voters=4)}, EVERYBODY)
    assert (found.has_quorum, found.lost, found.risks) == (False, ["n3", "n4"], [])


def test_what_may_be_lost_and_what_may_be_too_much_is_told() -> None:
    found = rank({"n1": survivor(1, 3, 90, committed=80)}, EVERYBODY)
    assert found.risks == [
        "what was acknowledged after entry 90 (term 3) by a majority of which none is left: n2, n3, n4, n5 may have had more",
        "entries 81 to 90 become part of the state, and n1 does not know whether they were ever acknowledged",
    ]


def test_a_majority_that_is_whole_is_no_case_for_it_and_one_that_is_damaged_is() -> None:
    three = {"n1": survivor(1, 3, 90), "n2": survivor(2, 3, 90), "n3": survivor(3, 3, 90)}
    assert rank(three, EVERYBODY).has_quorum
    assert not rank({**three, "n3": survivor(3, 3, 90, trouble="rot")}, EVERYBODY).has_quorum
