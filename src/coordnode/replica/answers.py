"""What goes back to clients at the end of this turn, grouped by connection. Pure."""

from coordnode.errors import CoordError, NotLeader
from coordnode.ids import NOBODY, MemberId
from coordnode.services.dialogue import Answer, ErrorReply

Asker = tuple[int, int]  # (connection, request)
NO_ASKER: Asker = (0, 0)  # the leader's own commands: nobody waits for the answer


class Answers:
    def __init__(self) -> None:
        self._by_connection: dict[int, list[Answer]] = {}

    def take(self) -> dict[int, list[Answer]]:
        taken, self._by_connection = self._by_connection, {}
        return taken

    def give(self, connection: int, answer: Answer) -> None:
        answers = self._by_connection.get(connection)
        if answers is None:
            self._by_connection[connection] = [answer]
        else:
            answers.append(answer)

    def refuse(self, asker: Asker, error: CoordError) -> None:
        leader = MemberId(error.leader) if isinstance(error, NotLeader) else NOBODY
        self.give(asker[0], ErrorReply(asker[1], error.code, error.sentence, error.definite, error.retry_after_ms, leader))
