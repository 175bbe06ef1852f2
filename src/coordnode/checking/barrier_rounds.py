"""What every barrier must have done, kept in the order of the log beside the code that does it. Pure."""

from typing import ClassVar

from coordnode.checking.barrier_model import Round
from coordnode.errors import PromiseBroken

OPENED, OVER = 0, 1
NOT_HELD, CONFLICT, FULL = 31, 34, 35

Shown = tuple[int, int, int, bool]  # (round, count, inside, whether it is open)


class BarrierRounds:
    name: ClassVar[str] = "barrier-rounds"

    def __init__(self) -> None:
        self.rounds: dict[bytes, Round] = {}
        self._numbers: dict[int, None] = {}
        self._expected: list[list[tuple[int, bytes, Shown]]] = []  # of the command under way: one list for each revision

    def begin(self) -> None:
        if self._expected:
            raise PromiseBroken(self.name, "a barrier opened or was over, and nobody was told", tuple(self._expected))

    def entered(self, session: int, name: bytes, count: int, answer: Shown) -> None:
        found = self.rounds.get(name)
        if found is None:
            if answer[0] in self._numbers:
                self._broken(f"{name!r} begins round {answer[0]}, which another one was", answer)
            self._numbers[answer[0]] = None
            found = Round(answer[0], count)
        if not found.may_enter(session, count):
            self._broken(f"session {session} entered {name!r} for {count}, which stands at {found.shown()}", answer)
        found = self.rounds[name] = found.with_one(session)
        if found.is_open:
            self._expected.append([(OPENED, name, found.shown())])
        self._must_show(name, found, answer)

    def left(self, session: int, name: bytes, only_waiting: bool, is_inside: bool, answer: Shown) -> None:
        found = self.rounds.get(name)
        if found is None or session not in found.inside or is_inside is not (only_waiting and found.is_open):
            self._broken(f"session {session} left {name!r} ({only_waiting}, {is_inside}), which stands so", found and found.shown())
        assert found is not None
        if not is_inside:
            found = self._remove(session, name, found, self._expected)
        self._must_show(name, found, answer)

    def refused(self, session: int, name: bytes, count: int, code: int) -> None:
        """`count` 0: it wanted to leave."""
        found = self.rounds.get(name)
        inside = found is not None and session in found.inside
        may_be = {
            NOT_HELD: not inside,
            CONFLICT: found is not None and (inside or found.count != count),
            FULL: found is not None and found.is_open,
        }
        if not may_be.get(code, True):
            self._broken(f"session {session} was refused at {name!r} with code {code}", found and found.shown())

    def ended(self, session: int) -> bool:
        """Whether watches must be told."""
        events: list[list[tuple[int, bytes, Shown]]] = []
        for name, found in list(self.rounds.items()):
            if session in found.inside:
                self._remove(session, name, found, events)
        if events:
            self._expected.append([event for each in events for event in each])
        return bool(events)

    def told(self, revision: int, events: list[tuple[int, bytes, Shown]]) -> None:
        expected = self._expected.pop(0) if self._expected else []
        if sorted(events) != sorted(expected):
            self._broken(f"revision {revision} tells of {events}; there was {expected}", revision)

    def _remove(self, session: int, name: bytes, found: Round, events: list[list[tuple[int, bytes, Shown]]]) -> Round:
        left = self.rounds[name] = found.without(session)
        if not left.inside:
            del self.rounds[name]
            if left.is_open:
                events.append([(OVER, name, left.shown())])
        return left

    def _must_show(self, name: bytes, found: Round, answer: Shown) -> None:
        if answer != found.shown():
            self._broken(f"{name!r} was said to stand at {answer}; it stands at {found.shown()}", answer)

    def _broken(self, sentence: str, evidence: object) -> None:
        raise PromiseBroken(self.name, sentence, (evidence,))
