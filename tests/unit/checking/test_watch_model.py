"""Watches: a right history passes, and each way to spoil it is found and named."""

import pytest

from coordnode.checking.history import History, Recorder
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget
from coordnode.errors import BadRequest

Steps = list[tuple[str, object, object]]
BUDGET = Budget(out_of_time=lambda: False, out_of_memory=lambda: False)
RIGHT: Steps = [
    ("put", ("a", "1"), 5),
    ("open", (1, 5), None),
    ("open", (2, 6), None),
    ("told", 1, (5, (("a", "1"),))),
    ("put", ("b", "2"), 7),
    ("put", ("a", "3"), None),  # of which nobody was told what became
    ("told", 1, (7, (("b", "2"),))),
    ("told", 2, (7, (("b", "2"),))),
    ("told", 2, (9, (("a", "3"),))),
    ("open", (1, 8), None),
    ("told", 1, (9, (("a", "3"),))),
    ("whole", 1, 9),
]


def history(steps: Steps) -> History:
    recorder = Recorder()
    for time, (function, argument, result) in enumerate(steps):
        handle = recorder.invoke(time, function, argument, 2 * time)
        if function == "put" and result is None:
            recorder.unknown(handle)
        else:
            recorder.ok(handle, result, 2 * time + 1)
    return recorder.history()


def changed(place: int, *steps: tuple[str, object, object]) -> Steps:
    return [*RIGHT[:place], *steps, *RIGHT[place + 1 :]]


def test_each_change_told_once_and_in_order_is_right() -> None:
    found = judge(history(RIGHT), "watch", BUDGET)
    assert (found.outcome, found.reason) == ("pass", "2 watches were told each of 3 revisions in their range once, in order and as it was")


def test_what_an_explicit_gap_leaves_out_is_no_loss() -> None:
    assert judge(history(changed(3, ("gap", 1, 6))), "watch", BUDGET).outcome == "pass"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (changed(3), "watch 1 was never told of revision 5, and then of 7"),
        (changed(6, RIGHT[3], RIGHT[6]), "watch 1 is told of revision 5 again, or too late"),
        (changed(6, ("told", 1, (7, (("b", "0"),)))), "revision 7 is (('b', '2')) for one and (('b', '0')) for another"),
        (changed(8, ("told", 2, (9, (("a", "4"),)))), "revision 9 holds ('a', '4'), which nobody put"),
        (changed(10), "watch 1 was never told of revision 9, though it has everything up to 9"),
        (changed(3, ("gap", 1, 8)), "watch 1 is told of revision 7 again, or too late"),
    ],
)
def test_each_way_to_spoil_it_is_named(steps: Steps, reason: str) -> None:
    found = judge(history(steps), "watch", BUDGET)
    assert (found.outcome, found.reason) == ("violation", reason)
    assert found.evidence is not None


@pytest.mark.parametrize(
    "step",
    [
        ("look", 1, 1),
        ("put", "a", 1),
        ("open", (1, "x"), None),
        ("gap", 1, "x"),
        ("told", 1, 5),
        ("told", 1, (5, ())),
        ("told", 1, (5, ("a",))),
    ],
)
def test_what_is_malformed_is_refused(step: tuple[str, object, object]) -> None:
    with pytest.raises(BadRequest, match="model watch"):
        judge(history([step]), "watch", BUDGET)
