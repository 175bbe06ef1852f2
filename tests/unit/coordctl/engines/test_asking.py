"""A question to another engine whose answers are lost, or are somebody else's: what is asked again, and what is told of it."""

from collections.abc import Callable
from typing import Any

import pytest

from coordctl.engines import asking
from coordctl.engines.etcd import gateway
from coordctl.engines.etcd.asking import Asking as Etcd
from coordctl.engines.lines import LOCKS, Place
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.asking import Asking as Zookeeper
from coordctl.hot import elections, kv, locks, session
from coordctl.hot.frames import WRITE
from coordnode.errors import Disconnected, FrameError, SessionExpired, Unknown, Unreachable

RESET = ConnectionResetError(104, "Connection reset by peer")
BAD_GATEWAY = gateway.Answer(504, "<html>Gateway Time-out</html>")
PORTAL = gateway.Answer(200, "<html>log in</html>")
HEAD = {"revision": "7", "raft_term": "2"}
SESSION = 77


class Scripted:
    """Beside an engine's Asking: no connection is made, and each question is answered by the test."""

    asked: list[Any]
    answer: Callable[[Any], Any]

    def meet(self, address: str) -> None:
        self.connection, self.answered_by = _NoSocket(), address  # type: ignore[assignment]
        self._is_heard = True  # so nobody looks whether it speaks TLS

    def exchange(self, asked: Any, _address: str, _patience: float) -> Any:
        self.asked.append(asked)
        said = self.answer(asked)
        if isinstance(said, Exception):
            raise said
        return said


class _NoSocket:
    def close(self) -> None:
        pass


class ScriptedEtcd(Scripted, Etcd):
    pass


class ScriptedZookeeper(Scripted, Zookeeper):
    def hang_up(self) -> None:
        self.break_off()


def etcd(answer: Callable[[gateway.Ask], Any], timeout_ms: int = 5_000) -> ScriptedEtcd:
    made = ScriptedEtcd(["10.0.0.1:1", "10.0.0.2:1"], timeout_ms)
    made.asked, made.answer = [], answer
    return made


def zookeeper(answer: Callable[[jute.Ask], Any]) -> ScriptedZookeeper:
    made = ScriptedZookeeper(["10.0.0.1:1", "10.0.0.2:1"], 5_000)
    made.asked, made.answer = [], answer
    return made


class Nodes:
    """Of ZooKeeper, by path. What is in `lost` is carried out, and its answer lost, once."""

    def __init__(self, **values: bytes) -> None:
        self.values = {"/" + path: value for path, value in values.items()}
        self.owners: dict[str, int] = {}
        self.lost: list[tuple[int, str]] = []
        self.before_loss: Callable[[], None] = lambda: None

    def answer(self, asked: jute.Ask) -> Any:
        path = jute.Reading(asked.body).buffer().decode() if asked.kind != jute.MULTI else ""
        said = self._carried_out(asked.kind, path)
        if (asked.kind, path) in self.lost:
            self.lost.remove((asked.kind, path))
            self.before_loss()
            return RESET
        return said

    def _carried_out(self, kind: int, path: str) -> jute.Answer:
        if kind == jute.MULTI:
            return jute.Answer(7, 0, b"")
        if kind == jute.CHILDREN:
            below = [one.rpartition("/")[2].encode() for one in self.values if one.rpartition("/")[0] == path]
            return jute.Answer(7, 0, jute.number(len(below)) + b"".join(map(jute.buffer, below)))
        if path not in self.values:
            return jute.Answer(7, jute.NO_NODE, b"")
        if kind == jute.DELETE:
            del self.values[path]
            return jute.Answer(7, 0, b"")
        count = sum(one.rpartition("/")[0] == path for one in self.values)
        stat = jute.long(3) + jute.long(4) + bytes(16) + jute.number(0) + bytes(8) + jute.long(self.owners.get(path, 0)) + bytes(4)
        return jute.Answer(7, 0, jute.buffer(self.values[path]) + stat + jute.number(count) + bytes(8))


def in_line(nodes: Nodes, name: str, number: int) -> str:
    path = f"{words.folder_of(LOCKS, name.encode()).decode()}/x{words.LOCK_MARK.decode()}{number:010}"
    nodes.values[path] = Place(b"", number, SESSION, "ops@web1").kept()
    nodes.owners[path] = SESSION
    for top in ("/coordctl/locks", path.rpartition("/")[0]):
        nodes.values.setdefault(top, words.CONTAINS)
    return path


# --- whose answer it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [BAD_GATEWAY, PORTAL, FrameError("no HTTP")], ids=["504", "200", "none"])
@pytest.mark.parametrize(
    "write",
    [
        lambda one: kv.put(one, b"k", b"v", ""),
        lambda one: kv.delete(one, b"k", ""),
        lambda one: kv.compare_and_set(one, b"k", b"v", "", prev_revision=3, prev_value=None),
    ],
    ids=["put", "del", "cas"],
)
def test_a_write_that_something_else_answers_is_sent_once_and_not_known_to_have_happened(write: Callable[[Any], Any], said: Any) -> None:
    one = etcd(lambda _asked: said)
    with pytest.raises(Unknown, match="it may have happened or not"):
        write(one)
    assert len(one.asked) == 1


def test_a_read_that_something_else_answers_is_asked_again() -> None:
    answers = iter([BAD_GATEWAY, FrameError("no HTTP"), gateway.Answer(200, {"header": HEAD})])
    one = etcd(lambda _asked: next(answers))
    assert kv.get(one, b"k", stale=False, min_revision=0).item is None
    assert len(one.asked) == 3


def test_where_no_etcd_is_nothing_happened() -> None:
    """Whoever serves something else says so by a status that means it did nothing."""
    with pytest.raises(Unreachable, match="is not etcd's JSON gateway"):
        kv.put(etcd(lambda _asked: gateway.Answer(404, "404 page not found"), timeout_ms=200), b"k", b"v", "")


# --- a word that was half done -----------------------------------------------------------------------------------------


def test_a_key_that_another_made_after_it_was_deleted_stays() -> None:
    """What was above it is tidied up; an answer to that which is lost is no reason to begin anew."""
    nodes = Nodes(a=words.ABOVE, **{"a/b": b"1"})
    nodes.lost = [(jute.GET, "/a")]
    nodes.before_loss = lambda: nodes.values.update({"/a/b": b"another's"})
    assert kv.delete(zookeeper(nodes.answer), b"a/b", "")[1], "it was there"
    assert nodes.values["/a/b"] == b"another's"


@pytest.mark.parametrize("kind", [jute.GET, jute.DELETE])
def test_what_becomes_of_tidying_up_changes_nothing_about_a_key_that_is_deleted(kind: int) -> None:
    nodes = Nodes(a=words.ABOVE, **{"a/b": b"1"})
    nodes.lost = [(kind, "/a")]
    assert kv.delete(zookeeper(nodes.answer), b"a/b", "")[1]
    assert "/a/b" not in nodes.values


def test_a_deletion_whose_own_answer_is_lost_is_not_known_to_have_happened() -> None:
    nodes = Nodes(a=b"1")
    nodes.lost = [(jute.DELETE, "/a")]
    one = zookeeper(nodes.answer)
    with pytest.raises(Unknown, match="it may have happened or not"):
        kv.delete(one, b"a", "")
    assert len(one.asked) == 1


def test_what_is_above_a_key_is_made_again_where_that_was_cut_off() -> None:
    """It changes nothing that anybody could miss."""
    asked = [jute.create(b"/a", words.ABOVE, jute.PERSISTENT), jute.create(b"/a", words.CONTAINS, jute.CONTAINER)]
    one = zookeeper(Nodes().answer)
    assert [one.changes(each) for each in asked] == [False, False]
    assert one.changes(jute.create(b"/a", b"1", jute.PERSISTENT))


def test_a_word_that_goes_on_after_it_changed_something_is_not_begun_again() -> None:
    """Whatever goes wrong with it then: also an answer that cannot be read."""

    def word(one: asking.Asking) -> "asking.Asks":
        yield jute.delete(b"/a")
        begun.append(one)
        raise FrameError("no end of it")

    begun: list[asking.Asking] = []
    one = zookeeper(Nodes(a=b"1").answer)
    one.write = lambda _command: word(one)  # type: ignore[method-assign]
    with pytest.raises(Unknown, match="after a part of it was done"):
        one.ask(WRITE, [0, 0, 0, "", [kv.DELETE_TAG, b"a"]], is_safe_twice=False)
    assert begun == [one]


# --- ending a session --------------------------------------------------------------------------------------------------


def test_a_session_that_is_over_once_an_answer_was_lost_may_have_been_ended_by_that() -> None:
    over = gateway.Answer(404, {"code": 5, "message": "etcdserver: requested lease not found"})
    answers = iter([RESET, over])
    with pytest.raises(Unknown, match="session 77 is over: that may be this command's doing"):
        session.close(etcd(lambda _asked: next(answers)), SESSION)
    with pytest.raises(SessionExpired):
        session.close(etcd(lambda _asked: over), SESSION)


def test_places_that_are_left_for_a_session_are_left_on_where_that_was_cut_off() -> None:
    nodes = Nodes()
    first, second = in_line(nodes, "x", 1), in_line(nodes, "y", 2)
    nodes.lost = [(jute.DELETE, first)]
    assert session.close(zookeeper(nodes.answer), SESSION) == 7
    assert first not in nodes.values and second not in nodes.values
    only = in_line(nodes, "x", 3)
    nodes.lost = [(jute.DELETE, only)]
    with pytest.raises(Unknown, match="may be this command's doing"):
        session.close(zookeeper(nodes.answer), SESSION)


# --- taking away -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [RESET, TimeoutError(), Disconnected("hung up"), BAD_GATEWAY])
@pytest.mark.parametrize("operation", [locks.break_operation("x", 0, "why", "me"), elections.depose_operation(b"x", 5, "", "why", "me")])
def test_what_is_taken_away_is_even_if_nobody_answers_when_its_holder_is_told(operation: list[object], trouble: Any) -> None:
    one = etcd(lambda _asked: trouble, timeout_ms=300)
    one.write = _done  # type: ignore[method-assign]
    assert one.take_away(operation, [SESSION]) is None


def _done(_command: Any) -> "asking.Asks":
    return [1, 7, 1]
    yield
