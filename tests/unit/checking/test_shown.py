"""What reads must show is made from the truths, and what differs is red by name."""

import pytest

from coordnode.checking import shown
from coordnode.checking.counters import Counters
from coordnode.checking.elections import ElectionTruth
from coordnode.checking.group_views import JOINED, GroupViews
from coordnode.checking.history import OK, Operation, Value
from coordnode.checking.linearizable import Budget
from coordnode.checking.locks import LockTruth
from coordnode.checking.presence import Presence
from coordnode.checking.replay import check_store
from coordnode.checking.verdict import PASS
from coordnode.errors import PromiseBroken


def locks() -> LockTruth:
    truth = LockTruth()
    for session in (1, 2, 3):
        truth.opened(session, 0)
    truth.acquired(1, (b"a", 0, 1, 0, True, False, 0), 0, ("granted", 10, 1), "nightly")
    truth.acquired(2, (b"a", 1, 1, 0, True, False, 0), 0, ("queued", 11, 0))
    truth.acquired(3, (b"a", 0, 1, 0, True, False, 0), 0, ("queued", 12, 1))
    truth.acquired(2, (b"b", 2, 2, 3, True, False, 0), 0, ("granted", 13, 1))
    return truth


def test_what_is_read_of_a_lock() -> None:
    info = (b"a", 0, 0, 1, 1, 2)
    assert shown.lock(locks(), b"a", 1) == (info, (((10, 1, 0, 1, 1, "nightly"),), False), (((11, 2, 1, 1, ""),), True))
    assert shown.locks(locks(), 0) == ((info, (b"b", 2, 3, 2, 1, 0)), False)
    assert shown.lock(locks(), b"c", 0) == (None, ((), False), ((), False))


def test_what_a_session_holds_and_awaits() -> None:
    assert shown.held(locks(), 2) == (((b"a", 0, 11, 0), (b"b", 13, 0, 1)), False)


def test_who_leads_and_who_stands() -> None:
    truth = ElectionTruth()
    truth.campaigned(1, b"e", b"one", "x", True, ("elected", 20))
    truth.campaigned(2, b"e", b"two", "y", True, ("queued", 21, 0))
    assert shown.election(truth, b"e", 0) == ((b"e", 20, 1, "x", b"one", 1), (((21, 2, "y", b"two"),), False))
    assert shown.candidacies(truth, 1) == (((b"e", 20, 0),), False)
    assert shown.candidacies(truth, 2) == (((b"e", 0, 21),), False)


def test_members_by_their_labels() -> None:
    views = GroupViews()
    for view, labels in enumerate(((("zone", "eu"),), (("zone", "us"),), ()), 1):
        views.joined(1, b"g", b"m%d" % view, (b"", labels, 1), b"m%d" % view, view, view)
        views.told(view, [(JOINED, b"g", (b"m%d" % view, 1, b"", labels, 1, view))])
    names = lambda page: [member[0] for _, member in page[0]]  # noqa: E731
    assert names(shown.members(views, [("zone", shown.IS, "eu")], 0)) == [b"m1"]
    assert names(shown.members(views, [("zone", shown.IS_NOT, "eu")], 0)) == [b"m2", b"m3"]
    assert names(shown.members(views, [("zone", shown.HAS, "")], 0)) == [b"m1", b"m2"]
    assert names(shown.members(views, [("zone", 3, "")], 0)) == [b"m3"]


def test_a_page_that_is_cut_off_says_that_there_is_more() -> None:
    assert shown.page([1, 2, 3], 2) == ((1, 2), True)
    assert shown.page([1, 2], 2) == ((1, 2), False)


def test_what_differs_is_red_by_its_name() -> None:
    with pytest.raises(PromiseBroken) as broken:
        shown.must_be("lock a", 1, 2)
    assert broken.value.check_name == "read-shows-truth"


@pytest.mark.parametrize("lasts", [True, False])
def test_a_token_is_live_exactly_as_long_as_its_grant(lasts: bool) -> None:
    shown.token_must_be("token 5", taken_for_live=lasts, lasts=lasts)
    with pytest.raises(PromiseBroken) as broken:
        shown.token_must_be("token 5", taken_for_live=not lasts, lasts=lasts)
    assert broken.value.check_name == "token-live"


def counted(*rows: tuple[str, Value, Value]) -> bool:
    operations = [Operation(1, function, argument, result, at, at, OK, at, 0) for at, (function, argument, result) in enumerate(rows, 1)]
    return check_store(operations, Budget(), complete=True).outcome == PASS


def test_counters_are_replayed_in_the_order_of_the_log() -> None:
    added = ("add-counter", (b"a", 2), (1, 2))
    assert counted(added, ("add-counter", (b"a", -1), (2, 1)), ("get-counter", b"a", (2, 1)), ("delete-counter", b"a", (3, 1)))
    assert counted(added, ("list-counters", (b"", b"", 0), (1, ((b"a", 2),), False)), ("delete-counter", b"b", (1, 0)))
    assert not counted(added, ("add-counter", (b"a", 2), (2, 2)))
    assert not counted(added, ("get-counter", b"a", (1, 0)))
    assert not counted(added, ("list-counters", (b"", b"", 0), (1, ((b"a", 2),), True)))
    assert not counted(added, ("delete-counter", b"a", (1, 1)))


def test_watches_are_told_of_counters_by_their_names() -> None:
    assert Counters(lambda key: None).event_key(("counters", b"a")) == b"a"


def test_who_is_there() -> None:
    truth = Presence()
    truth.opened(2, "you@web2", 4_000)
    truth.opened(1, "you@web1", 5_000)
    assert shown.sessions(truth, 0, 1) == (((1, "you@web1", 5_000),), True)
    assert shown.sessions(truth, 1, 0) == (((2, "you@web2", 4_000),), False)
    truth.ended(2)
    assert (truth.owner_of(1), truth.owner_of(2)) == ("you@web1", "")


def test_times_that_are_shown_name_one_moment_in_which_the_read_can_have_been() -> None:
    shown.times_must_agree("it", [(100, 50), (140, 10)], 150, 150)
    shown.times_must_agree("it", [], 150, 150)
    for times in ([(100, 50), (140, 11)], [(100, 49)], [(100, 51)]):
        with pytest.raises(PromiseBroken, match="was read between 150 and 150"):
            shown.times_must_agree("it", times, 150, 150)
