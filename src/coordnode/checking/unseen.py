"""Which unknown outcomes must have happened for a known one to be answered as it was. Pure.

An unknown outcome may have happened at any later time, or never. So, where an order explains a history, there is one in which each of them
stands as late as it can: right before a known outcome that needs it, together with others that it needs as well. Only such orders are made.
"""

from bisect import insort
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

from coordnode.checking.history import Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, Model

PAUSE_WORK: Final = 1_000  # after so many steps without a find, whoever asks may do something else


class Placeable:
    """An operation as the search sees it."""

    __slots__ = ("argument", "bit", "function", "learns", "only_looks", "operation", "result", "turn")

    def __init__(self, operation: Operation, argument: Value, bit: int, only_looks: bool = False, learns: bool = False) -> None:
        self.turn: tuple[Hashable, int] | None = None  # a hint where to place it
        self.operation = operation
        self.only_looks = only_looks  # whatever the state, it leaves it as it is
        self.learns = learns  # it does, where nothing is left to learn from it
        self.bit = bit
        self.function = operation.function
        self.argument = argument
        self.result = operation.result


Run = tuple[Placeable, ...]
Found = tuple[int, Hashable, Run]  # what is used then, the state behind the known outcome, and what stands before it


class Smallest:
    """Of the sets that led to one and the same, only the smallest: whoever fails with fewer of them used fails with more."""

    __slots__ = ("_kept", "compared", "count")

    def __init__(self) -> None:
        self._kept: dict[Hashable, list[int]] = {}
        self.count = 0
        self.compared = 0  # sets with each other

    def is_new(self, key: Hashable, used: int) -> bool:
        smallest = self._kept.get(key)
        if smallest is None:
            self._kept[key] = [used]
            self.count += 1
            return True
        self.compared += len(smallest)
        for mask in smallest:
            if mask & used == mask:
                return False
        kept = [mask for mask in smallest if mask & used != used]
        self.count += 1 - (len(smallest) - len(kept))
        kept.append(used)
        self._kept[key] = kept
        return True


Alike = list[tuple[int, Placeable]]  # those that differ only in their invocation, each with how many returned before that


class Unseen:
    """The unknown outcomes of one partition."""

    def __init__(self, model: Model, foresight: Foresight) -> None:
        self._model = model
        self._foresight = foresight
        self._turns: dict[
            Hashable, list[tuple[int, int, Placeable]]
        ] = {}  # each with its turn, and how many returned before its invocation
        self._alike: dict[Hashable, Alike] = {}
        self._bits: dict[Hashable, int] = {}  # of those
        self._serving: dict[Hashable, dict[Hashable, Alike]] = {}  # by need and effect
        self.count = 0
        self.steps = 0

    def add(self, operation: Operation, argument: Value, returns_before: int) -> None:
        """In the order of their invocation."""
        one = Placeable(operation, argument, 1 << self.count)
        self.count += 1
        effect = self._foresight.effect(operation)
        self._bits[effect] = self._bits.get(effect, 0) | one.bit
        alike = self._alike.setdefault(effect, [])
        alike.append((returns_before, one))
        for need in self._foresight.serves(operation):
            self._serving.setdefault(need, {})[effect] = alike
        one.turn = self._foresight.turn(operation)
        if one.turn is not None:
            insort(self._turns.setdefault(one.turn[0], []), (one.turn[1], returns_before, one), key=lambda each: each[0])

    def bits(self, effects: Sequence[Hashable]) -> int:
        found = 0
        for effect in effects:
            found |= self._bits.get(effect, 0)
        return found

    def due(self, goal: Placeable, used: int, at: int) -> Run:
        """Those whose turn comes before it, if the hints are right."""
        if goal.turn is None:
            return ()
        kind, turn = goal.turn
        return tuple([one for its, returns, one in self._turns.get(kind, ()) if its < turn and returns <= at and not used & one.bit])

    def before(self, goal: Placeable, state: Hashable, used: int, at: int) -> Iterator[Found | None]:
        """Everything that may stand right before `goal` and that it needs. None: nothing was found for a while."""
        step = self._model.step
        seen = Smallest()
        seen.is_new(state, used)
        waiting: deque[Found] = deque([(used, state, ())])
        pause_at = self.steps + PAUSE_WORK
        while waiting:
            used_here, here, run = waiting.popleft()
            for one in self._unused(self._foresight.needs(here, goal.operation), used_here, at):
                if self.steps > pause_at:
                    pause_at = self.steps + PAUSE_WORK
                    yield None
                self.steps += 1
                following = step(here, one.function, one.argument, one.result)
                if following is ILLEGAL or following == here or not seen.is_new(following, used_here | one.bit):
                    continue
                longer = (*run, one)
                waiting.append((used_here | one.bit, following, longer))
                self.steps += 1
                after = step(following, goal.function, goal.argument, goal.result)
                if after is not ILLEGAL and self._needs_all(goal, state, longer, after):
                    yield used_here | one.bit, after, longer

    def _unused(self, needs: Sequence[Hashable] | None, used: int, at: int) -> Iterator[Placeable]:
        """Of outcomes that differ only in their invocation, the earliest unused one stands for all. Those that are added meanwhile were
        invoked too late."""
        serving = [self._alike] if needs is None else [self._serving.get(need, {}) for need in needs]
        for alike in [one for each in serving for one in each.values()]:
            for returns_before, one in alike:
                if returns_before > at:
                    break
                if not used & one.bit:
                    yield one
                    break

    def _needs_all(self, goal: Placeable, state: Hashable, run: Run, after: Hashable) -> bool:
        """Whether none of them could as well stand behind `goal`, or be left out."""
        for late in run:
            without = self.through(state, [*[one for one in run if one is not late], goal])
            if without is not ILLEGAL and (without == after or self.through(without, [late]) == after):
                return False
        return True

    def through(self, state: Hashable, run: Sequence[Placeable]) -> Hashable:
        for one in run:
            self.steps += 1
            state = self._model.step(state, one.function, one.argument, one.result)
            if state is ILLEGAL:
                break
        return state
