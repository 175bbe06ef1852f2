"""Everything that a client may ask passes one door, whatever it is and whichever way it came."""

from collections.abc import Callable, Sequence

import pytest

from coordnode.errors import NotPermitted
from coordnode.ids import MemberId, Revision, SessionId
from coordnode.raft.entry import Config
from coordnode.replica import admission, clients
from coordnode.services import commands as c
from coordnode.services.dialogue import Ask, ConfigAsk, ErrorReply, KeepAliveAsk, LevelAsk, ReadAsk, TransferAsk, WatchAsk, WriteAsk
from tests.unit.replica.trio import MEMBERS, Trio

TRANSACTION = c.Transaction([], [c.Put(b"a", b"1"), c.Delete(b"secret")], [c.Get(b"b")])


def write(operation: c.ClientOperation) -> Callable[[int], Ask]:
    return lambda request: WriteAsk(request, c.encode(c.ClientCommand(0, 0, 0, "", operation)))  # type: ignore[arg-type]


ASKS: dict[str, tuple[Callable[[int], Ask], type]] = {
    "write": (write(c.Put(b"a", b"1")), c.Put),
    "inside a transaction": (write(TRANSACTION), c.Delete),
    "inside the other branch": (write(TRANSACTION), c.Get),
    "first command of a session": (write(c.OpenSession(b"n", 5_000, "", TRANSACTION)), c.Delete),
    "read": (lambda request: ReadAsk(request, c.encode(c.Get(b"a"))), c.Get),
    "stale read": (lambda request: ReadAsk(request, c.encode(c.Get(b"a")), True), c.Get),
    "keep alive": (lambda request: KeepAliveAsk(request, [SessionId(1)]), KeepAliveAsk),
    "watch": (lambda request: WatchAsk(request, b"", b"", Revision(0)), WatchAsk),
    "transfer": (lambda request: TransferAsk(request, MemberId(2)), TransferAsk),
    "membership": (lambda request: ConfigAsk(request, Config(voters=MEMBERS)), ConfigAsk),
    "level": (lambda request: LevelAsk(request, 2), LevelAsk),
}


@pytest.mark.parametrize("name", ASKS)
def test_each_ask_passes_the_door(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, forbidden = ASKS[name]
    trio = Trio()
    leader = trio.leader()
    asked: list[str] = []

    def deny(identity: str, operations: Sequence[object]) -> None:
        asked.append(identity)
        if any(isinstance(operation, forbidden) for operation in operations):
            raise NotPermitted(f"{identity} may not do this")

    monkeypatch.setattr(admission, "authorise", deny)
    monkeypatch.setattr(clients, "authorise", deny)
    trio.replicas[leader].clients.on_opened(1, "mallory")
    answer = trio.answer(trio.ask(leader, make))
    assert isinstance(answer, ErrorReply)
    assert (answer.code, answer.sentence, answer.definite) == (NotPermitted.code, "mallory may not do this", True)
    assert asked == ["mallory"]


def test_a_read_that_comes_over_http_passes_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(identity: str, operations: Sequence[object]) -> None:
        raise NotPermitted(f"{identity} may not do this")

    trio = Trio()
    replica = trio.replicas[trio.leader()]
    monkeypatch.setattr(clients, "authorise", deny)
    with pytest.raises(NotPermitted, match="http at member 1"):
        replica.clients.read_stale(c.Get(b"a"), Revision(0), "http at member 1")
