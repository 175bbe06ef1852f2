"""What goes back to clients at the end of this turn, grouped by connection. Pure."""

from collections.abc import Sequence

from coordnode.errors import CoordError, NotLeader
from coordnode.ids import NOBODY, MemberId
from coordnode.services.commands import Outcome
from coordnode.services.dialogue import Answer, ErrorReply, Reply

Asker = tuple[int, int]  # (connection, request)
NO_ASKER: Asker = (0, 0)  # the leader's own commands: nobody waits for the answer


class Answers:
    def __init__(self) -> None:
        self._by_connection: dict[int, list[Answer]] = {}
        self._looked_bytes: dict[int, int] = {}

    def take(self) -> dict[int, list[Answer]]:
        taken, self._by_connection = self._by_connection, {}
        return taken

    def take_looked_bytes(self) -> dict[int, int]:
        taken, self._looked_bytes = self._looked_bytes, {}
        return taken

    def charge(self, connection: int, looked_bytes: int) -> None:
        """For what had to be looked at, and is in no answer."""
        self._looked_bytes[connection] = self._looked_bytes.get(connection, 0) + looked_bytes

    def give(self, connection: int, answer: Answer) -> None:
        answers = self._by_connection.get(connection)
        if answers is None:
            self._by_connection[connection] = [answer]
        else:
            answers.append(answer)

    def give_outcomes(self, askers: Sequence[Asker], outcomes: Sequence[Outcome]) -> None:
        """Each asker's reply to its command of one batch: `give`, written out for what is answered most."""
        by_connection = self._by_connection
        for asker, outcome in zip(askers, outcomes, strict=True):
            connection, request = asker
            answers = by_connection.get(connection)
            if answers is not None:
                answers.append(Reply(request, outcome.index, outcome.position, outcome.result))
            elif asker is not NO_ASKER:
                by_connection[connection] = [Reply(request, outcome.index, outcome.position, outcome.result)]

    def refuse(self, asker: Asker, error: CoordError) -> None:
        leader = MemberId(error.leader) if isinstance(error, NotLeader) else NOBODY
        self.give(asker[0], ErrorReply(asker[1], error.code, error.sentence, error.definite, error.retry_after_ms, leader))
