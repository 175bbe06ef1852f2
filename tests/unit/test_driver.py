"""The order in which a turn's effects are carried out, and what leaves when a write is durable."""

from collections.abc import Callable, Sequence

import pytest

from coordnode.driver import Driver
from coordnode.errors import Diverged
from coordnode.ids import Index, MemberId, Term, WriteId
from coordnode.raft.entry import HardState
from coordnode.raft.messages import AppendReply, Heartbeat, Message
from coordnode.raft.ready import Write
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events, Persisted
from coordnode.services.dialogue import Answer, Reply


class Scripted:
    """A replica that wants one thing, and learns of the rest when it applies."""

    def __init__(self, noted: "Noted", effects: Effects, applied: Callable[[Effects], None] = lambda effects: None) -> None:
        self._noted = noted
        self._effects = effects
        self._applied = applied

    def handle(self, events: Events) -> Effects:
        return self._effects

    def apply(self) -> None:
        self._noted.notes.append("apply")
        self._applied(self._effects)


class Noted:
    """A network and a storage that only note what was asked of them, in order."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.notes.extend(messages)

    def answer(self, connection: int, replies: Sequence[Answer]) -> None:
        self.notes.append(("answer", connection))

    def close(self, connection: int) -> None:
        self.notes.append(("close", connection))

    def submit(self, write: Write) -> None:
        self.notes.append(("submit", write.write_id))

    def settle(self) -> None:
        self.notes.append("settle")

    def __getattr__(self, name: str) -> object:
        return lambda work: self.notes.append((name, work))


def heartbeat(term: int) -> Heartbeat:
    return Heartbeat(MemberId(1), MemberId(2), 1, Term(term), Index(0), 0, True)


def acknowledgement(term: int, match: int) -> AppendReply:
    return AppendReply(MemberId(1), MemberId(2), 1, Term(term), True, Index(match), Index(0), Term(0), 0, True, 2)


def test_messages_and_the_write_leave_before_anything_is_applied_and_what_waits_for_the_write_stays_inside() -> None:
    noted = Noted()
    write = Write(WriteId(1), send_after=[acknowledgement(1, 5)])
    effects = Effects(send_now=[heartbeat(1)], write=write, close=[8], release_before=Index(3))

    def applied(effects: Effects) -> None:
        effects.send_applied = [heartbeat(2)]
        effects.to_clients = {7: [Reply(1, 1, 0, b"")]}

    Driver(Scripted(noted, effects, applied), noted, noted).turn(Events())  # type: ignore[arg-type]
    assert noted.notes == [heartbeat(1), ("submit", 1), "apply", heartbeat(2), ("answer", 7), ("close", 8), "settle", ("release_before", 3)]


def test_a_durable_write_lets_its_messages_go() -> None:
    noted = Noted()
    driver = Driver(Scripted(noted, Effects()), noted, noted)  # type: ignore[arg-type]
    first = Write(WriteId(1), send_after=[acknowledgement(1, 5)], last_term=Term(1), last_index=Index(5))
    second = Write(WriteId(2), send_after=[acknowledgement(1, 6)], last_term=Term(1), last_index=Index(6))
    assert driver.on_written([first, second]) == Persisted(WriteId(2), Term(1), Index(6))
    assert noted.notes == [acknowledgement(1, 5), acknowledgement(1, 6)]


def test_a_term_that_was_left_in_the_same_batch_says_nothing_more() -> None:
    """Its acknowledgement may be of an entry that a later write of the batch has undone: it is not on the disk."""
    noted = Noted()
    driver = Driver(Scripted(noted, Effects()), noted, noted)  # type: ignore[arg-type]
    left = Write(WriteId(1), send_after=[acknowledgement(1, 5)], last_term=Term(1), last_index=Index(5))
    state = HardState(Term(2), MemberId(0), 1, False)
    entered = Write(
        WriteId(2), hard_state=state, truncate_from=Index(5), send_after=[acknowledgement(2, 4)], last_term=Term(1), last_index=Index(4)
    )
    driver.on_written([left, entered])
    assert noted.notes == [acknowledgement(2, 4)]


def test_a_member_that_is_told_that_it_differs_does_nothing_of_that_turn() -> None:
    noted = Noted()
    effects = Effects(send_now=[heartbeat(1)], failed="our state at index 4 is not the majority's")
    with pytest.raises(Diverged, match="index 4"):
        Driver(Scripted(noted, effects), noted, noted).turn(Events())  # type: ignore[arg-type]
    assert noted.notes == []


def test_a_member_that_finds_that_it_differs_answers_nobody() -> None:
    noted = Noted()

    def applied(effects: Effects) -> None:
        effects.to_clients = {7: [Reply(1, 1, 0, b"")]}
        effects.failed = "our state at index 4 is not the majority's"

    with pytest.raises(Diverged, match="index 4"):
        Driver(Scripted(noted, Effects(), applied), noted, noted).turn(Events())  # type: ignore[arg-type]
    assert noted.notes == ["apply"]
