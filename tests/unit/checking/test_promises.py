"""Each check of what clients are promised lets right behaviour pass and names the first thing that is wrong."""

import pytest

from coordnode.checking.promises import AcknowledgedWrites, ExactlyOnce, RevisionMonotonic, SessionLife, WatchOrder
from tests.unit.checking.test_cluster import broken

# --- writes ----------------------------------------------------------------------------------------------------------


def test_acknowledged_writes_are_in_the_log() -> None:
    log = {3: [b"a", b"b"], 5: [b"c"]}
    check = AcknowledgedWrites()
    check.acknowledged(3, 1, b"b")
    check.acknowledged(5, 0, b"c")
    check.acknowledged(5, 0, b"c")
    assert check.verify(lambda index: log.get(index, [])) == 2
    broken("acknowledged-writes", r"at \(5, 0\) is not in the log", lambda: check.verify(lambda index: {3: log[3]}.get(index, [])))
    broken("acknowledged-writes", r"another command .* at \(3, 1\)", lambda: check.verify(lambda index: [b"a", b"x"]))
    broken("acknowledged-writes", "two commands were acknowledged", lambda: check.acknowledged(3, 1, b"x"))


def test_exactly_once() -> None:
    def applied() -> ExactlyOnce:
        check = ExactlyOnce()
        check.applied(("s", 1), (4, 0), (4, 0), b"ok")
        check.applied(("s", 1), (4, 0), (4, 0), b"ok")
        check.applied(("s", 1), (6, 2), (4, 0), b"ok")
        check.answered(("s", 1), (4, 0), b"ok")
        return check

    broken("exactly-once", "takes effect again", lambda: applied().applied(("s", 1), (7, 0), (7, 0), b"ok"))
    broken("exactly-once", "is answered as something else", lambda: applied().applied(("s", 1), (7, 0), (4, 0), b"other"))
    broken("exactly-once", "as if it had taken effect at", lambda: applied().applied(("s", 2), (7, 0), (4, 0), b"ok"))
    broken("exactly-once", "a client was told", lambda: applied().answered(("s", 1), (5, 0), b"ok"))
    broken("exactly-once", "a client was told", lambda: applied().answered(("s", 1), (4, 0), b"other"))
    broken("exactly-once", "never applied", lambda: applied().answered(("s", 3), (5, 0), b"ok"))


def test_revisions_never_go_back() -> None:
    check = RevisionMonotonic()
    early = check.asked("c")
    check.answered("c", check.asked("c"), 7)
    check.answered("c", early, 5)
    check.answered("d", check.asked("d"), 3)
    floor = check.asked("c")
    check.answered("c", floor, 7)
    broken("revision-monotonic", "client 'c' saw revision 7 and then 6", lambda: check.answered("c", floor, 6))


# --- watches ---------------------------------------------------------------------------------------------------------

A1, B1, A2, Z3, A4 = ("put", b"a", 1), ("put", b"b", 1), ("put", b"a", 2), ("put", b"z", 3), ("delete", b"a", 4)


def watching(start_revision: int = 1) -> WatchOrder:
    check = WatchOrder()
    for revision, events in ((1, (A1, B1)), (2, (A2,)), (3, (Z3,)), (4, (A4,)), (2, (A2,))):
        check.committed(revision, events)
    check.opened("w", b"a", b"c", start_revision)
    return check


def test_a_watch_gets_all_of_its_range_in_order() -> None:
    check = watching()
    check.pushed("w", [(1, (A1, B1)), (2, (A2,))], 2)
    check.pushed("w", [], 3)
    check.pushed("w", [(4, (A4,))], 4)
    narrow = watching()
    narrow.opened("n", b"b", b"", 1)
    narrow.pushed("n", [(1, (B1,)), (3, (Z3,))], 4)
    late = watching(start_revision=4)
    late.pushed("w", [(4, (A4,))], 4)
    now = watching(start_revision=0)
    now.pushed("w", [(2, (A2,))], 3)
    broken("watch-order", "never sent revision 4", lambda: now.pushed("w", [], 4))


@pytest.mark.parametrize(
    ("changes", "up_to", "sentence"),
    [
        ([(2, (A2,))], 2, "never sent revision 1"),
        ([(1, (A1, B1))], 2, "never sent revision 2"),
        ([(1, (A1,))], 1, "not sent exactly what revision 1 changed"),
        ([(1, (B1, A1))], 1, "not sent exactly what revision 1 changed"),
        ([(1, (A1, B1)), (2, (A2,)), (3, (Z3,))], 3, "not sent exactly what revision 3 changed"),
        ([(1, (A1, B1)), (1, (A1, B1))], 1, "was sent revision 1 after 1"),
        ([(1, (A1, B1)), (2, (A2,))], 1, "has 2 and is told that it has all up to 1"),
        ([(1, (A1, B1)), (2, (A2,)), (4, (A4,))], 6, "told of revision 5, which nobody committed"),
    ],
)
def test_a_watch_that_is_served_wrongly(changes: list[tuple[int, tuple[tuple[object, ...], ...]]], up_to: int, sentence: str) -> None:
    broken("watch-order", sentence, lambda: watching().pushed("w", changes, up_to))


def test_gaps_are_explicit_and_true() -> None:
    check = watching()
    check.gap("w", 3)
    broken("watch-order", "is over and was sent", lambda: check.pushed("w", [], 4))
    broken("watch-order", "wants 1, which is there from 1 on", lambda: watching().gap("w", 1))
    closed = watching()
    closed.closed("w")
    broken("watch-order", "is over and was sent", lambda: closed.pushed("w", [], 4))


def test_the_truth_itself_is_one() -> None:
    broken("watch-order", "changed different things on two members", lambda: watching().committed(2, (Z3,)))


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_lives_as_long_as_its_client_believes() -> None:
    check = SessionLife()
    check.renewal_sent(1, 0, 100)
    check.held(1, 99, 5)
    check.renewal_sent(1, 50, 100)
    check.held(1, 149, 60)
    check.held(1, 120, 61)
    check.ended(1, 149)
    check.ended(1, 10)
    check.held(1, 149, 150)
    broken("session-life", "believes in session 1 until 151; the cluster ended it at 149", lambda: check.held(1, 151, 140))


def test_a_session_that_ends_early() -> None:
    check = SessionLife()
    check.renewal_sent(1, 0, 100)
    check.held(1, 99, 5)
    broken("session-life", "was ended at 98; its client believes in it until 99", lambda: check.ended(1, 98))


def test_a_client_may_end_its_own_session() -> None:
    check = SessionLife()
    check.renewal_sent(1, 0, 100)
    check.held(1, 99, 5)
    check.ended(1, 20, by_client=True)
    check.held(1, 99, 21)
    check.overdue(10_000, 0, 10)


def test_a_session_that_nobody_renews_ends() -> None:
    check = SessionLife()
    check.renewal_sent(1, 0, 100)
    check.overdue(110, 0, 10)
    check.overdue(500, 400, 10)
    broken("session-life", "lives at 111; it had to end by 110", lambda: check.overdue(111, 0, 10))
    check.ended(1, 111)
    check.overdue(10_000, 0, 10)
