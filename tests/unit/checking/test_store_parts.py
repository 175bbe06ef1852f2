"""Another service joins the store's model as a part: its answers, its items and what sessions end there, changed and taken back."""

from typing import Any, ClassVar

from coordnode.checking.history import OK, UNSEEN, Operation
from coordnode.checking.parts import Answer, Changes, Part
from coordnode.checking.store import Store


class Seats(Part):
    """One holder for each name."""

    NAME: ClassVar[str] = "seat"

    def __init__(self, item: Any) -> None:
        super().__init__(item)
        self.held: dict[int, dict[Any, None]] = {}
        self.answers = {"sit": self._sit}

    def _sit(self, argument: Any, _result: Any) -> Answer:
        name, session = argument
        holder = self.item(("seat", name))
        return (holder is None), ({("seat", name): session} if holder is None else {})

    def placed(self, key: Any, old: Any, new: Any) -> None:
        if old is not None:
            del self.held[old][key]
        if new is not None:
            self.held.setdefault(new, {})[key] = None

    def ends(self, session: int) -> Changes:
        return dict.fromkeys(self.held.get(session, ()))


class QuietSeats(Seats):
    RAISES_REVISION: ClassVar[bool] = False


def asked(function: str, argument: Any) -> Operation:
    return Operation(1, function, argument, UNSEEN, 0, 1, OK)


def test_a_part_answers_changes_ends_with_sessions_and_is_undone() -> None:
    store = Store([Seats])
    sit = asked("sit", (b"front", 7))
    answer, changes = store.answer(sit)
    assert answer is True
    before = store.commit(sit, changes)
    assert store.revision == 1
    assert store.answer(asked("sit", (b"front", 8))) == (False, {})
    end = asked("end-sessions", (7,))
    ended = store.commit(end, store.answer(end)[1])
    assert store.revision == 2
    assert store.answer(asked("sit", (b"front", 8)))[0] is True
    store.undo(end, ended)
    assert store.answer(asked("sit", (b"front", 8)))[0] is False
    store.undo(sit, before)
    assert store.revision == 0
    assert store.answer(asked("sit", (b"front", 8)))[0] is True


def test_one_revision_for_keys_and_parts_and_none_where_a_part_has_none() -> None:
    for part, revisions in ((Seats, 1), (QuietSeats, 0)):
        store = Store([part])
        sit = asked("sit", (b"front", 7))
        before = store.commit(sit, store.answer(sit)[1])
        assert store.revision == revisions
        put = asked("put", (b"key", b"value", 7))
        store.commit(put, store.answer(put)[1])
        end = asked("close-session", 7)
        ended = store.commit(end, store.answer(end)[1])
        assert len(ended) == 2
        assert store.revision == revisions + 2
        store.undo(end, ended)
        assert store.revision == revisions + 1
        assert len(before) == 1


def test_services_with_checks_of_their_own_only_move_the_revision() -> None:
    store = Store()
    for function, argument, revision in (
        ("others-end", (7,), 0),
        ("other", (1, "join"), 1),
        ("other", (0, "refused"), 1),
        ("other-read", "view", 1),
        ("close-session", 7, 2),
        ("end-sessions", (7, 8), 2),
    ):
        operation = asked(function, argument)
        store.commit(operation, store.answer(operation)[1])
        assert store.revision == revision, function
    read = Operation(1, "other-read", "view", (3,), 0, 1, OK)
    assert store.answer(read)[0] == (2,)
