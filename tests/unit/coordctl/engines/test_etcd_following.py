"""Following what changes on etcd, told without sockets: a stream that fell silent for good is not believed."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from coordctl.engines.etcd import following
from coordctl.engines.etcd.following import Change, Following
from coordctl.engines.etcd.gateway import Answer, Ask
from coordctl.local.clusters import Endpoint
from coordnode.errors import CoordError, Unreachable

PATIENCE_TURNS = 20  # far more silences than it takes to doubt one


class Store:
    """An etcd with one key range that is followed, `w/…`; what else is in it only moves its revision."""

    def __init__(self) -> None:
        self.revision = 10
        self.there: dict[str, int] = {}  # key -> revision
        self.history: list[tuple[int, dict[str, Any]]] = []
        self.opened: list[tuple[str, int]] = []  # (member, from which revision on)
        self.dead: set[str] = set()  # members whose streams tell nothing
        self.unheard: set[str] = set()  # not even that they began
        self.turns: Iterator[Callable[[], None]] = iter(())  # what happens at each silence

    def put(self, key: str) -> None:
        self.revision += 1
        is_new = key not in self.there
        self.there[key] = self.revision
        self._told("PUT", key, "1" if is_new else "2")

    def delete(self, key: str) -> None:
        self.revision += 1
        del self.there[key]
        self._told("DELETE", key, "0")

    def other(self) -> None:
        self.revision += 1

    def _told(self, kind: str, key: str, version: str) -> None:
        about = {"key": b64encode(key.encode()).decode(), "mod_revision": str(self.revision), "version": version}
        self.history.append((self.revision, {"type": kind, "kv": about}))


class Stream:
    def __init__(self, store: Store, address: str, asked: Ask) -> None:
        self.is_heard = False
        self._store, self._address = store, address
        self._next = asked.body["create_request"]["start_revision"]
        store.opened.append((address, self._next))

    def receive(self, _seconds: float) -> list[Answer]:
        if self._address in self._store.unheard:
            self._be_silent()
        if not self.is_heard:
            self.is_heard = True
            return [Answer(200, {"result": {"header": {}, "created": True}})]
        found = [event for revision, event in self._store.history if revision >= self._next]
        if self._address in self._store.dead or not found:
            self._be_silent()
        self._next = int(found[-1]["kv"]["mod_revision"]) + 1
        return [Answer(200, {"result": {"header": {}, "events": found}})]

    def _be_silent(self) -> None:
        next(self._store.turns, lambda: pytest.fail("it was silent for ever"))()
        raise TimeoutError

    def close(self) -> None:
        pass


class Looking:
    def __init__(self, store: Store, addresses: list[str]) -> None:
        self._store, self._addresses = store, addresses

    def look(self, _start: bytes, _end: bytes, since: int) -> tuple[int, int, bool]:
        store = self._store
        return store.revision, len(store.there), any(revision >= since for revision in store.there.values())


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(following, "_Stream", lambda address, asked: Stream(made, address, asked))
    monkeypatch.setattr(following, "Asking", lambda addresses, _timeout_ms: Looking(made, addresses))
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.0)
    return made


def follow(from_revision: int = 0) -> Following:
    endpoints = [Endpoint("10.0.0.1:1", 0), Endpoint("10.0.0.2:1", 0)]
    return Following(endpoints, b"w/", b"w0", from_revision, None)


def told(found: Following, count: int) -> list[tuple[int, str, str]]:
    changes: list[Change] = list(islice(found.changes(), count))
    return [(change.revision, event.kind, event.key.decode()) for change in changes for event in change.events]


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda store: store.put("w/new"), "put"),
        (lambda store: store.put("w/old"), "put"),
        (lambda store: store.delete("w/old"), "delete"),
    ],
    ids=["made", "changed", "deleted"],
)
def test_what_a_stream_that_died_in_silence_does_not_tell_another_does(store: Store, change: Callable[[Store], None], kind: str) -> None:
    store.put("w/old")
    found = follow()
    store.dead = {"10.0.0.1:1"}
    store.turns = iter([nothing, nothing, lambda: change(store), *[nothing] * PATIENCE_TURNS])
    assert [one[:2] for one in told(found, 1)] == [(12, kind)]
    assert store.opened == [("10.0.0.1:1", 12), ("10.0.0.2:1", 12)], "it goes on where it was"


def test_a_stream_that_never_began_is_not_waited_for(store: Store) -> None:
    found = follow()
    store.unheard = {"10.0.0.1:1"}
    store.turns = iter([lambda: store.put("w/a"), *[nothing] * PATIENCE_TURNS])
    assert told(found, 1) == [(11, "put", "w/a")]


def test_silence_is_believed_where_nothing_was_left_out(store: Store) -> None:
    """Whatever else changes: a stream that were begun anew would have to look through all of that."""
    for key in ("w/a", "w/b", "w/c"):
        store.put(key)
    found = follow()
    store.turns = iter(
        [
            store.other,
            lambda: store.put("w/d"),
            *[store.other] * PATIENCE_TURNS,
            lambda: store.delete("w/a"),
            *[store.other] * PATIENCE_TURNS,
            lambda: store.put("w/a"),
        ]
    )
    assert [one[1:] for one in told(found, 3)] == [("put", "w/d"), ("delete", "w/a"), ("put", "w/a")]
    assert len(store.opened) == 1


def test_silence_after_what_was_told_of_the_past_is_believed_too(store: Store) -> None:
    store.put("w/a")
    store.put("w/b")
    store.delete("w/a")
    found = follow(from_revision=11)
    store.turns = iter([*[store.other] * PATIENCE_TURNS, lambda: store.put("w/c")])
    assert [one[1:] for one in told(found, 4)] == [("put", "w/a"), ("put", "w/b"), ("delete", "w/a"), ("put", "w/c")]
    assert len(store.opened) == 1


def test_silence_about_what_changed_before_the_revision_that_was_asked_for_is_believed(store: Store) -> None:
    found = follow(from_revision=13)
    store.turns = iter(
        [lambda: store.put("w/a"), nothing, lambda: store.put("w/b"), *[store.other] * PATIENCE_TURNS, lambda: store.put("w/c")]
    )
    assert [one[1:] for one in told(found, 1)] == [("put", "w/c")]
    assert len(store.opened) == 1


def test_what_changed_unseen_before_the_revision_that_was_asked_for_is_doubted_once(store: Store) -> None:
    def much() -> None:
        store.put("w/a")
        store.put("w/b")
        store.other()
        store.other()

    found = follow(from_revision=13)
    store.turns = iter([much, *[store.other] * PATIENCE_TURNS, lambda: store.put("w/c")])
    assert [one[1:] for one in told(found, 1)] == [("put", "w/c")]
    assert len(store.opened) == 2


def test_what_is_under_way_is_waited_for(store: Store) -> None:
    """A change is known to its member before it is told."""
    found = follow()
    store.turns = iter([lambda: store.put("w/a")])
    assert told(found, 1) == [(11, "put", "w/a")]
    assert len(store.opened) == 1


def test_a_member_that_cannot_say_whether_its_silence_is_right_is_turned_away_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(asked: Looking, *_: Any) -> Any:
        if asked._addresses == ["10.0.0.1:1"]:
            raise lost
        return store.revision, len(store.there), False

    lost: CoordError = Unreachable("fell silent")
    found = follow()
    monkeypatch.setattr(Looking, "look", look)
    store.turns = iter([lambda: store.put("w/a")])
    assert told(found, 1) == [(11, "put", "w/a")]
    assert [address for address, _ in store.opened] == ["10.0.0.1:1", "10.0.0.2:1"]
