"""The queue as clients see it: at least once, in the order of priorities and puts. Pure."""

from bisect import insort
from collections import Counter
from collections.abc import Hashable, Sequence

from coordnode.checking.history import FAILED, FOREVER, OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, OneObject, is_pair, is_token, shown
from coordnode.errors import BadRequest


class WorkQueue(OneObject):
    """Tasks taken at least once: put (value, priority), take → (value, token) or None, ack and nack a token → True, or "stale".

    Values are put once. A task that was taken may come back at any time, for its lease may have ended: it is then given before whatever
    was put behind it, or stays away for its back-off. `read` gives the values that are not acknowledged.
    """

    name = "queue"
    functions = frozenset({"put", "take", "ack", "nack", "read"})
    pairs = frozenset({"put"})
    initial: Hashable = ((), (), 0, 0)  # ready, away, puts so far, the newest token

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        ready, away, count, newest = state
        if function == "put":
            assert isinstance(argument, tuple)
            value, priority = argument
            following = list(ready)
            insort(following, (-priority, count, value))
            return tuple(following), away, count + 1, newest
        if function == "take":
            return self._take(state, result)
        if function == "read":
            there = [task[2] for task in ready] + [task[2] for task, _ in away]
            return state if result is UNSEEN or (isinstance(result, tuple) and Counter(result) == Counter(there)) else ILLEGAL
        held = [task for task, token in away if token == argument]
        if result == "stale" or (result is UNSEEN and not held):
            return ready, _without(away, argument), count, newest  # its lease may have ended; from now on it surely has
        if not held:
            return ILLEGAL
        if function == "ack":
            away = tuple([one for one in away if one[0] != held[0]])
        return ready, _without(away, argument), count, newest

    def _take(self, state: tuple[Value, ...], result: Value) -> Hashable:
        ready, away, count, newest = state
        assert isinstance(ready, tuple)
        assert isinstance(away, tuple)
        assert isinstance(newest, int)
        if result is UNSEEN:
            return (ready[1:], (*away, (ready[0], 0)), count, newest) if ready else state
        if result is None:
            return ILLEGAL if ready else state
        assert isinstance(result, tuple)
        value, token = result
        if not isinstance(token, int) or token <= newest:
            return ILLEGAL
        if ready and ready[0][2] == value:
            return ready[1:], (*away, (ready[0], token)), count, token
        back = [task for task, _ in away if task[2] == value]
        if not back or (ready and ready[0] < back[0]):
            return ILLEGAL
        return ready, (*[one for one in away if one[0] != back[0]], (back[0], token)), count, token

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return _Foresight(known)

    def relevant(self, operations: Sequence[Operation]) -> list[Operation]:
        """All of them, once it is known that each value names one task."""
        checked = super().relevant(operations)
        puts: dict[Hashable, None] = {}
        for operation in checked:
            if operation.function != "put" or operation.kind == FAILED:
                continue
            value, _ = _task(operation)
            if value in puts:
                raise BadRequest(f"model queue: {shown(value)} is put twice; put each value once, so that who takes it names its task")
            puts[value] = None
        return checked

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        argument, result = operation.argument, operation.result
        if operation.function == "put" and not (is_pair(argument) and isinstance(argument[1], int)):  # type: ignore[index]
            raise BadRequest(f"model queue: put needs (value, priority), not {shown(argument)}")
        if operation.kind == OK and operation.function == "take" and result is not None and not (is_pair(result) and is_token(result[1])):  # type: ignore[index]
            raise BadRequest(f"model queue: a take gives (value, token) or nothing, not {shown(result)}")
        if operation.kind == OK and operation.function == "read" and not isinstance(result, tuple):
            raise BadRequest(f"model queue: a read gives a collection, not {shown(result)}")
        if operation.kind == OK and operation.function in ("ack", "nack") and result not in (True, "stale"):
            raise BadRequest(f'model queue: {operation.function} gives true or "stale", not {shown(result)}')
        if operation.function in ("ack", "nack") and not is_token(argument):
            raise BadRequest(f"model queue: {operation.function} needs a token, not {shown(argument)}")


class _Foresight(Foresight):
    """A task that nobody sees need not have been put. Those that were taken first were put first."""

    def __init__(self, known: Sequence[Operation]) -> None:
        self._turns: dict[Hashable, int] = {}  # of values that are seen: by the first token, those that were never taken are last
        for one in known:
            if one.function == "take" and isinstance(one.result, tuple):
                value, token = one.result
                self._turns[value] = min(token, self._turns.get(value, token))
        for one in known:
            for value in one.result if one.function == "read" and isinstance(one.result, tuple) else ():
                self._turns.setdefault(value, FOREVER)

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable]:
        """An order of puts: what else was put at that priority. A task: that it was put, and that nothing before it is ready. A reading:
        what was put, and that what is missing was acknowledged; that is too late once its token is told to be stale."""
        assert isinstance(state, tuple)
        ready, away, _, _ = state
        argument, result = goal.argument, goal.result
        if goal.function == "put":
            return (("puts", argument[1]),)  # type: ignore[index]
        if goal.function == "read":
            assert isinstance(result, tuple)
            there = [task[2] for task in ready] + [task[2] for task, _ in away]
            absent = [("put", value) for value in result if value not in there]
            return absent or [("ack", token) for task, token in away if task[2] not in result][:1]  # all are needed: in any order
        if goal.function != "take":
            return (("ack", argument),) if result == "stale" else ()
        if result is None:
            return ("take",) if ready else ()
        value = result[0]  # type: ignore[index]
        if value not in [task[2] for task in (*ready, *[task for task, _ in away])]:
            return (("put", value),)
        return ("take",) if ready and ready[0][2] != value else ()

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        if unseen.function == "put":
            value, priority = _task(unseen)
            return (("put", value), ("puts", priority)) if value in self._turns else ()
        return {"take": ("take",), "ack": (("ack", unseen.argument),)}.get(unseen.function, ())

    def turn(self, operation: Operation) -> tuple[Hashable, int] | None:
        if operation.function != "put":
            return None
        value, priority = _task(operation)
        turn = self._turns.get(value)
        return None if turn is None else (priority, turn)

    def essence(self, at: int, state: Hashable) -> Hashable:
        """Not how many were put before, but only in what order."""
        assert isinstance(state, tuple)
        ready, away, _, newest = state
        places = {task: place for place, task in enumerate(sorted([*ready, *[task for task, _ in away]]))}
        there = tuple([(places[task], task[2]) for task in ready])
        return there, tuple(sorted([(places[task], task[2], token) for task, token in away])), newest


def _task(put: Operation) -> tuple[Hashable, int]:
    assert isinstance(put.argument, tuple)
    value, priority = put.argument
    return value, priority


def _without(away: tuple[tuple[Value, int], ...], token: Value) -> tuple[tuple[Value, int], ...]:
    """That token holds nothing any more; whether its task is back nobody knows."""
    return tuple([(task, 0 if held == token else held) for task, held in away])
