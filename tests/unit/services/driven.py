"""A machine fed as the replica feeds it, from encoded batches; each entry is followed by a check of the digest from scratch."""

from coordnode.ids import ClusterId, Index, Sequence, SessionId, Term
from coordnode.services.commands import Command, OpenSession, Operation, Outcome, Result, decode_batch, decode_result, encode, splice_batch
from coordnode.services.machine import Machine
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.state import Settings

CREATED_UNIX_S = 1_700_000_000


def in_session(session: int, sequence: int, operation: Operation, lowest_open: int = 0) -> Command:
    return Command(SessionId(session), Sequence(sequence), Sequence(lowest_open), "", operation)


def alone(operation: Operation, request_id: str = "") -> Command:
    return Command(SessionId(0), Sequence(0), Sequence(0), request_id, operation)


def opening(number: int, ttl_ms: int = 10_000, **other: object) -> Command:
    return alone(OpenSession(b"nonce-%d" % number, ttl_ms, **other))  # type: ignore[arg-type]


class Driven:
    def __init__(self, *, level: int = SUPPORTED_LEVEL, supported_level: int = SUPPORTED_LEVEL, **settings: int) -> None:
        self.machine = Machine.genesis(
            Settings(**settings), cluster=ClusterId(77), created_unix_s=CREATED_UNIX_S, level=level, supported_level=supported_level
        )
        self.term = 1
        self.cluster_ms = 0
        self.outcomes: list[Outcome] = []

    def apply(self, *commands: Command) -> list[Result]:
        """The decoded results of one batch; its outcomes stay in `outcomes`."""
        batch = decode_batch(splice_batch(self.cluster_ms, 0, [encode(command) for command in commands]))
        self.outcomes = self.machine.apply(Index(self.machine.applied + 1), Term(self.term), batch)
        assert self.machine.digest == self.machine.recompute_digest()
        assert len(self.outcomes) == len(commands)
        return [decode_result(outcome.result) for outcome in self.outcomes]

    def one(self, command: Command) -> Result:
        (result,) = self.apply(command)
        return result

    def restored(self) -> Machine:
        return Machine.restore(self.machine.snapshot(), self.machine.supported_level)
