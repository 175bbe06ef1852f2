"""Watches on one member: by key and by range, by space, told in shares, and as a connection when nothing matches."""

from coordnode.ids import NO_SESSION, Revision
from coordnode.limits import PUSH_BYTES_LEAST
from coordnode.replica.watching import Watching
from coordnode.services.commands import COUNTERS, KV, Change, Event
from coordnode.services.dialogue import WatchAsk, WatchProgress, WatchPush

SILENT_REVISIONS_MAX = 1_000
ROOM = 1 << 20


def event(key: bytes, space: int = KV) -> Event:
    return Event(0, key, b"", 0, NO_SESSION, space)


def change(revision: int, *events: Event) -> Change:
    return Change(Revision(revision), list(events))


def ask(request: int, start: bytes, end: bytes, space: int = KV) -> WatchAsk:
    return WatchAsk(request, start, end, Revision(0), space)


def told(watching: Watching, changes: list[Change], revision: int, room: int = ROOM) -> list[tuple[int, WatchPush | WatchProgress]]:
    watching.see(changes, Revision(revision))
    return list(watching.push(room))


def test_each_watch_gets_its_part_of_a_change_whole() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for request, asked in enumerate((ask(0, b"a", b"a\0"), ask(1, b"a", b"c"), ask(2, b"a", b"", COUNTERS), ask(3, b"x", b"x\0"))):
        assert watching.begin(7, asked, [], Revision(4)) == WatchPush(request, [], 4)
    changes = [change(5, event(b"a"), event(b"b"), event(b"a", COUNTERS)), change(6, event(b"d"))]
    assert told(watching, changes, 6) == [
        (7, WatchPush(0, [change(5, event(b"a"))], 6)),
        (7, WatchPush(1, [change(5, event(b"a"), event(b"b"))], 6)),
        (7, WatchPush(2, [change(5, event(b"a", COUNTERS))], 6)),
    ]
    watching.end(7, 0)
    watching.end(7, 0)
    assert [push.request for _, push in told(watching, [change(7, event(b"a"))], 7)] == [1]
    watching.end_connection(7)
    assert not watching.is_behind(Revision(9))


def test_a_silent_connection_is_told_how_far_all_its_watches_are() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for connection in (1, 2):
        for request in (1, 2):
            watching.begin(connection, ask(request, b"%d" % request, b"%d\0" % request), [], Revision(1))
    assert told(watching, [change(2, event(b"1"))], 2) == [(connection, WatchPush(1, [change(2, event(b"1"))], 2)) for connection in (1, 2)]
    far = Revision(1 + SILENT_REVISIONS_MAX)
    assert told(watching, [], far) == [(connection, WatchProgress(0, far)) for connection in (1, 2)]
    assert told(watching, [], far + 1) == []


def test_a_request_that_is_used_again_replaces_its_watch() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    watching.begin(1, ask(1, b"a", b"a\0"), [], Revision(1))
    watching.begin(1, ask(1, b"b", b"b\0"), [], Revision(1))
    assert told(watching, [change(2, event(b"a"))], 2) == []
    assert len(watching.end_all()) == 1


def test_what_is_due_leaves_in_shares_and_what_comes_meanwhile_goes_with_it() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for connection in (1, 2, 3):
        watching.begin(connection, ask(1, b"a", b"a\0"), [], Revision(1))
    first, second = change(2, event(b"a")), change(3, event(b"a"))
    assert told(watching, [first], 2, room=1) == [(1, WatchPush(1, [first], 2))], "one at least, whatever the room"
    assert watching.has_due()
    assert told(watching, [second], 3, room=3 * (PUSH_BYTES_LEAST + 1) + 1) == [
        (2, WatchPush(1, [first, second], 3)),
        (3, WatchPush(1, [first, second], 3)),
    ]
    assert list(watching.push(ROOM)) == [(1, WatchPush(1, [second], 3))]
    assert not watching.has_due()


def test_a_connection_that_is_far_behind_is_told_whole_changes_in_shares_and_lets_others_go_between() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    watching.begin(1, ask(1, b"a", b"c"), [], Revision(1))
    watching.begin(1, ask(2, b"a", b"c"), [], Revision(1))
    two_events, later, last = change(2, event(b"a"), event(b"b")), change(3, event(b"a")), change(4, event(b"b"))
    watching.see([two_events, later], Revision(3))
    watching.begin(2, ask(1, b"b", b"b\0"), [], Revision(3))
    watching.see([last], Revision(4))
    assert list(watching.push(1)) == [(1, WatchPush(request, [two_events], 2)) for request in (1, 2)]
    assert list(watching.push(1)) == [(2, WatchPush(1, [last], 4))]
    assert list(watching.push(1)) == [(1, WatchPush(request, [later], 3)) for request in (1, 2)]
    assert list(watching.push(ROOM)) == [(1, WatchPush(request, [last], 4)) for request in (1, 2)]
    assert not watching.has_due()


def test_an_ended_watch_is_told_nothing_that_was_due_to_it() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for connection in (1, 2, 3):
        watching.begin(connection, ask(1, b"a", b"a\0"), [], Revision(1))
    watching.see([change(2, event(b"a"))], Revision(2))
    watching.end(1, 1)
    watching.end_connection(2)
    assert [connection for connection, _ in watching.push(ROOM)] == [3]
    watching.see([change(3, event(b"a"))], Revision(3))
    watching.end_all()
    assert not watching.has_due()


def test_a_connection_to_which_something_is_due_is_not_told_that_nothing_happened() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    watching.begin(1, ask(1, b"a", b"a\0"), [], Revision(1))
    watching.begin(2, ask(1, b"a", b"a\0"), [], Revision(1))
    far = 1 + SILENT_REVISIONS_MAX
    late = change(far, event(b"a"))
    assert told(watching, [late], far, room=1) == [(1, WatchPush(1, [late], far)), (1, WatchProgress(0, far))]
    assert list(watching.push(1)) == [(2, WatchPush(1, [late], far))]


def test_a_watch_that_begins_while_something_is_due_is_not_told_what_it_knows() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    watching.begin(1, ask(1, b"a", b"a\0"), [], Revision(1))
    first, second = change(2, event(b"a")), change(3, event(b"a"))
    watching.see([first], Revision(2))
    assert watching.begin(1, ask(2, b"a", b"a\0"), [first], Revision(2)) == WatchPush(2, [first], 2)
    assert list(watching.push(ROOM)) == [(1, WatchPush(1, [first], 2))]
    assert told(watching, [second], 3) == [(1, WatchPush(request, [second], 3)) for request in (1, 2)]


def test_ranges_are_found_by_key_by_prefix_and_one_by_one() -> None:
    bounds = [(b"a", b"a\0"), (b"a", b"b"), (b"", b""), (b"a", b""), (b"a", b"ab"), (b"\xff", b""), (b"ab\xff", b"ac")]
    keys = [b"a", b"a\0", b"ab", b"ab\xff\xff", b"ac", b"b", b"\xfe", b"\xff", b"\xff\xff", b""]
    watching = Watching(SILENT_REVISIONS_MAX)
    for request, (start, end) in enumerate(bounds):
        watching.begin(1, ask(request, start, end), [], Revision(1))
        watching.begin(1, ask(100 + request, start, end, COUNTERS), [], Revision(1))
    for revision, key in enumerate(keys, 2):
        found = sorted([push.request for _, push in told(watching, [change(revision, event(key))], revision)])
        assert found == [request for request, (start, end) in enumerate(bounds) if key >= start and (not end or key < end)], key
    for request in range(len(bounds)):
        watching.end(1, request)
    assert told(watching, [change(50, event(b"a"))], 50) == []
    found = sorted([push.request for _, push in told(watching, [change(51, event(b"a", COUNTERS))], 51)])
    assert found == [100, 101, 102, 103, 104]
