"""Clocks are found out from the places of the log, and what is not known is said to be so."""

import random

from coordctl.logs.align import UNKNOWN, Anchor, offsets


def passing(seed: int, skew_ms: int, *, seconds: int = 60, lag_ms: int = 5, behind: tuple[int, int] = (0, 0)) -> list[Anchor]:
    """Lines of a member at random moments; the log grows by an entry each 50 ms, a little later here than elsewhere."""
    rng = random.Random(seed)
    found = []
    at = 0.0
    while at < seconds * 1_000:
        at += rng.uniform(1, 400)
        true_index = int((at - rng.uniform(0, lag_ms)) / 50)
        if behind[0] <= at / 1_000 < behind[1]:
            true_index = max(behind[0] * 20, int((at - 10_000) / 50))
        found.append((1, max(0, true_index), round(at) + skew_ms))
    return found


def test_an_offset_of_minutes_is_found_with_its_error() -> None:
    found = offsets({"n1": passing(1, 0), "n2": passing(2, 0), "n3": passing(3, 185_000), "n4": passing(4, -250)})
    for name, skew_ms in (("n1", 0), ("n2", 0), ("n3", 185_000), ("n4", -250)):
        assert abs(found[name].ms - skew_ms) <= max(60, found[name].error_ms), (name, found[name])
        assert found[name].error_ms < 200


def test_one_wrong_clock_does_not_make_the_others_wrong_even_if_it_speaks_most() -> None:
    loud = passing(3, 30_000) + passing(5, 30_000)
    found = offsets({"n1": passing(1, 0), "n2": passing(2, 0), "n3": loud})
    assert abs(found["n1"].ms) < 200
    assert abs(found["n2"].ms) < 200
    assert abs(found["n3"].ms - 30_000) < 200


def test_a_member_that_was_behind_for_a_while_is_not_called_slow() -> None:
    found = offsets({"n1": passing(1, 0), "n2": passing(2, 0), "n3": passing(3, 0, behind=(20, 40))})
    assert abs(found["n3"].ms) < 200
    assert 0.5 < found["n3"].agreeing < 1


def test_without_places_nothing_is_known() -> None:
    assert offsets({"n1": [], "n2": [(1, 1, 5)]}) == {"n1": UNKNOWN, "n2": UNKNOWN}
    assert offsets({"n1": passing(1, 0), "n2": [(9, 1, 5), (9, 2, 7)]})["n2"] == UNKNOWN  # never at a place where the other was
