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
        (changed(8, ("told", 2, (9, (("a", "4"),)))), "revision 9 is (('a', '4')) for one and (('a', '3')) for another"),
        ([*RIGHT, ("told", 2, (10, (("a", "4"),)))], "revision 10 holds ('a', '4'), which nobody put, or not as often as it happened"),
        (changed(10), "watch 1 was never told of revision 9, though it has everything up to 9"),
        (changed(3, ("gap", 1, 8)), "watch 1 is told of revision 7 again, or too late"),
    ],
)
def test_each_way_to_spoil_it_is_named(steps: Steps, reason: str) -> None:
    found = judge(history(steps), "watch", BUDGET)
    assert (found.outcome, found.reason) == ("violation", reason)
    assert found.evidence is not None


def overlapping(*operations: tuple[str, object, object, int, int]) -> History:
    """Function, argument, result (of a put None: nobody was told), invoked and returned."""
    recorder = Recorder()
    for number, (function, argument, result, invoked, returned) in enumerate(operations):
        handle = recorder.invoke(number, function, argument, invoked)
        if function == "put" and result is None:
            recorder.unknown(handle)
        else:
            recorder.ok(handle, result, returned)
    return recorder.history()


A, B = ("k", "a"), ("k", "b")


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        (
            [("put", A, 5, 0, 1), ("told", 1, (5, (A,)), 2, 3), ("told", 1, (9, (A,)), 4, 5), ("whole", 1, 9, 6, 7)],
            "revision 9 holds ('k', 'a'), which nobody put, or not as often as it happened",
        ),
        (
            [("put", A, 9, 0, 1), ("put", B, 5, 2, 3)],
            "put ('k', 'a') → 9 (process 0) had returned before put ('k', 'b') → 5 (process 1) was invoked",
        ),
        (
            [("told", 1, (5, (A,)), 0, 1), ("put", A, 5, 2, 3)],
            "told 1 → (5, (('k', 'a'))) (process 0) had returned before put ('k', 'a') → 5 (process 1) was invoked",
        ),
        (
            [("told", 1, (5, (A,)), 0, 1), ("put", A, None, 2, 3)],
            "told 1 → (5, (('k', 'a'))) (process 0) had returned before put ('k', 'a') → unknown outcome (process 1) was invoked",
        ),
        ([("put", A, 5, 0, 9), ("put", A, 5, 1, 8)], "revision 5 is said to be made by put ('k', 'a') → 5 (process 0) and by put"),
        (
            [("put", A, None, 0, 0), ("told", 1, (5, (A,)), 2, 3), ("told", 1, (9, (A,)), 4, 5)],
            "revision 9 holds ('k', 'a'), which nobody put, or not as often as it happened",
        ),
        (
            [("put", A, None, 0, 0), ("put", A, None, 4, 0), ("told", 1, (5, (A,)), 1, 2), ("told", 1, (6, (A,)), 1, 3)],
            "told 1 → (6, (('k', 'a'))) (process 2) had returned before put ('k', 'a') → unknown outcome (process 3) was invoked",
        ),
    ],
)
def test_revisions_are_made_once_each_in_the_order_of_real_time(
    operations: list[tuple[str, object, object, int, int]], reason: str
) -> None:
    found = judge(overlapping(*sorted(operations, key=lambda one: one[3])), "watch", BUDGET)
    assert found.outcome == "violation"
    assert found.reason.startswith(reason)


def test_puts_that_are_alike_make_one_revision_each() -> None:
    told = [("told", 1, (5, (A,)), 2, 3), ("told", 1, (9, (A,)), 6, 7)]
    operations = [("put", A, None, 0, 0), ("put", A, None, 4, 0), ("put", A, None, 8, 0), *told]
    assert judge(overlapping(*sorted(operations, key=lambda one: one[3])), "watch", BUDGET).outcome == "pass"


def silent(*last: tuple[str, object, object]) -> Steps:
    """Twenty puts that were answered, and four watches that nobody tells anything."""
    puts = [("put", ("k", str(number)), number) for number in range(1, 21)]
    return [*puts[:1], *[("open", (watch, 2), None) for watch in range(4)], *puts[1:], *last]


def test_a_watch_that_is_told_nothing_does_not_pass() -> None:
    found = judge(history(silent()), "watch", BUDGET)
    assert (found.outcome, found.reason.partition(",")[0]) == ("unknown", "no watch was told anything")
    found = judge(history(silent(("awaits", 3, 20))), "watch", BUDGET)
    sentence = "watch 3 was not told of revision 2, though it waited for all up to 20; it may only be late"
    assert (found.outcome, found.reason) == ("unknown", sentence)


def test_what_is_awaited_in_vain_is_no_loss_yet_and_hides_none() -> None:
    assert judge(history([*RIGHT, ("awaits", 2, 9)]), "watch", BUDGET).outcome == "pass"
    assert judge(history(changed(10, ("awaits", 1, 9))[:-1]), "watch", BUDGET).outcome == "unknown"
    assert judge(history([*changed(10, ("awaits", 1, 9))[:-1], ("told", 1, (12, (("a", "3"),)))]), "watch", BUDGET).outcome == "violation"
    assert judge(history(changed(10, ("gap", 1, 10), ("awaits", 1, 9))), "watch", BUDGET).outcome == "pass"


@pytest.mark.parametrize(
    "step",
    [
        ("look", 1, 1),
        ("put", "a", 1),
        ("open", (1, "x"), None),
        ("gap", 1, "x"),
        ("awaits", 1, "x"),
        ("told", 1, 5),
        ("told", 1, (5, ())),
        ("told", 1, (5, ("a",))),
    ],
)
def test_what_is_malformed_is_refused(step: tuple[str, object, object]) -> None:
    with pytest.raises(BadRequest, match="model watch"):
        judge(history([step]), "watch", BUDGET)
