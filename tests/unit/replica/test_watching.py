"""Watches on one member: by key and by range, by space, and told as a connection when nothing matches."""

from coordnode.ids import NO_SESSION, Revision
from coordnode.replica.watching import Watching
from coordnode.services.commands import COUNTERS, KV, Change, Event
from coordnode.services.dialogue import WatchAsk, WatchProgress, WatchPush

SILENT_REVISIONS_MAX = 1_000


def event(key: bytes, space: int = KV) -> Event:
    return Event(0, key, b"", 0, NO_SESSION, space)


def change(revision: int, *events: Event) -> Change:
    return Change(Revision(revision), list(events))


def ask(request: int, start: bytes, end: bytes, space: int = KV) -> WatchAsk:
    return WatchAsk(request, start, end, Revision(0), space)


def test_each_watch_gets_its_part_of_a_change_whole() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for request, asked in enumerate((ask(0, b"a", b"a\0"), ask(1, b"a", b"c"), ask(2, b"a", b"", COUNTERS), ask(3, b"x", b"x\0"))):
        assert watching.begin(7, asked, [], Revision(4)) == WatchPush(request, [], 4)
    changes = [change(5, event(b"a"), event(b"b"), event(b"a", COUNTERS)), change(6, event(b"d"))]
    assert list(watching.push(changes, Revision(6))) == [
        (7, WatchPush(0, [change(5, event(b"a"))], 6)),
        (7, WatchPush(1, [change(5, event(b"a"), event(b"b"))], 6)),
        (7, WatchPush(2, [change(5, event(b"a", COUNTERS))], 6)),
    ]
    watching.end(7, 0)
    watching.end(7, 0)
    assert [push.request for _, push in watching.push([change(7, event(b"a"))], Revision(7))] == [1]
    watching.end_connection(7)
    assert not watching.is_behind(Revision(9))


def test_a_silent_connection_is_told_how_far_all_its_watches_are() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    for connection in (1, 2):
        for request in (1, 2):
            watching.begin(connection, ask(request, b"%d" % request, b"%d\0" % request), [], Revision(1))
    assert list(watching.push([change(2, event(b"1"))], Revision(2))) == [
        (connection, WatchPush(1, [change(2, event(b"1"))], 2)) for connection in (1, 2)
    ]
    far = Revision(1 + SILENT_REVISIONS_MAX)
    assert list(watching.push([], far)) == [(connection, WatchProgress(0, far)) for connection in (1, 2)]
    assert list(watching.push([], Revision(far + 1))) == []


def test_a_request_that_is_used_again_replaces_its_watch() -> None:
    watching = Watching(SILENT_REVISIONS_MAX)
    watching.begin(1, ask(1, b"a", b"a\0"), [], Revision(1))
    watching.begin(1, ask(1, b"b", b"b\0"), [], Revision(1))
    assert list(watching.push([change(2, event(b"a"))], Revision(2))) == []
    assert len(watching.end_all()) == 1
