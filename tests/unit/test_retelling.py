"""What the log of a folder is retold as, where a command changed more than its history holds."""

from types import SimpleNamespace

from coordnode.annals.retelling import retell
from coordnode.ids import Index, Term
from coordnode.raft.entry import BATCH, Entry
from coordnode.services.commands import Acquire, CloseSession, Command, Put, encode, splice_batch
from tests.unit.services.driven import Driven, alone, in_session, opening


class Folder:
    """Stands for its reader: a snapshot before the first entry, and the log since."""

    def __init__(self, driven: Driven, *entries: list[Command]) -> None:
        self._slices = list(driven.machine.snapshot())
        self._entries = entries

    def newest_state(self) -> object:
        return SimpleNamespace(index=0), self._slices

    def standing(self, _snapshot: object) -> object:
        datas = [splice_batch(0, 0, [encode(command) for command in commands]) for commands in self._entries]
        return SimpleNamespace(entries=[Entry(Term(1), Index(index), BATCH, data) for index, data in enumerate(datas, start=1)])


def test_of_a_command_that_changed_more_than_the_history_holds_the_rest_is_told() -> None:
    puts = [in_session(1, number, Put(b"key-%d" % number, b"")) for number in range(2, 9)]
    folder = Folder(
        Driven(history_count_max=2, history_group_count_max=1),
        [opening(1), in_session(1, 1, Acquire(b"before"))],
        [*puts, in_session(1, 9, Acquire(b"after"))],
        [alone(CloseSession(1))],  # type: ignore[arg-type]
    )
    told = [(happened.entry, happened.name, happened.what) for happened in retell(folder)]  # type: ignore[arg-type]
    assert told == [
        (1, "before", "granted"),
        (2, "after", "granted"),
        (3, "after", "lost: its session ended"),
        (3, "before", "lost: its session ended"),
    ]
