"""Keys on ZooKeeper, as a member answers: what is made above them, and what of it stays."""

from contextlib import suppress

from coordctl.engines.lines import LOCKS, Gone
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.jute import Answer, Ask
from coordnode.errors import NotPermitted

SESSION = 7


def made_by(word: "words.Asks", nodes: set[bytes]) -> list[Ask]:
    """What it makes, where there are these nodes."""
    found: list[Ask] = []
    asked = next(word)
    while True:
        path = jute.Reading(asked.body).buffer()
        try:
            if asked.kind in (jute.CREATE2, jute.CREATE_CONTAINER) and path.rpartition(b"/")[0] in nodes:
                nodes.add(path)
                found.append(asked)
                asked = word.send(Answer(1, 0, b""))
            else:
                asked = word.throw(Gone())
        except StopIteration:
            return found


def test_what_is_above_a_key_stays_unless_the_key_goes_by_itself() -> None:
    """A container that is given a value goes with the last one below it, and the value with it."""
    plain = made_by(words.put(SESSION, b"a/b", b"1"), {b""})
    assert plain == [jute.create(b"/a", words.ABOVE, jute.PERSISTENT), jute.create(b"/a/b", b"1", jute.PERSISTENT)]
    bound = made_by(words.put(SESSION, b"a/b", b"1", True), {b""})
    assert bound == [jute.create(b"/a", words.CONTAINS, jute.CONTAINER), jute.create(b"/a/b", b"1", jute.EPHEMERAL)]


def test_a_line_is_of_who_begins_it_and_what_all_lines_are_in_is_everybodys() -> None:
    """Whoever came first would shut out all others."""
    made = made_by(words.ensure(words.folder_of(LOCKS, b"x")), {b""})
    assert [(jute.Reading(one.body).buffer(), _owners(one)) for one in made] == [
        (b"/coordctl", jute.ANYBODY),
        (b"/coordctl/locks", jute.ANYBODY),
        (b"/coordctl/locks/x", jute.ITS_MAKER),
    ]


def test_a_line_of_another_user_keeps_nobody_from_looking_for_a_circle_in_the_others() -> None:
    """Its folder is of the user who began it, and stays a while after the last one left."""
    asked: list[bytes] = []
    word = words.all_places(LOCKS)
    ask = next(word)
    with suppress(StopIteration):
        while True:
            path = jute.Reading(ask.body).buffer()
            asked.append(path.rpartition(b"/")[2])
            if asked[-1] == b"hidden":
                ask = word.throw(NotPermitted("not yours"))
            else:
                ask = word.send(Answer(1, 0, _names(b"hidden", b"seen") if asked[-1] == LOCKS else _names()))
    assert asked == [LOCKS, b"hidden", b"seen"]


def _names(*listed: bytes) -> bytes:
    return len(listed).to_bytes(4, "big") + b"".join(len(one).to_bytes(4, "big") + one for one in listed)


def _owners(made: Ask) -> bytes:
    """As it is sent for a user."""
    return jute.packed(made, jute.ITS_MAKER)[len(made.body) : -4]
