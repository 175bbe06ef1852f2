"""The general search: is there an order that real time allows and the model accepts? Pure.

Operations are placed just in time: only when one returns must it have been placed, and only then are others placed
before it, to make it legal. A read that is legal is placed at once, for that closes no door. An unknown outcome is placed only right
before a known one that needs it. What was explored is remembered by (return, open operations placed, what of the state can still matter);
of the unknown outcomes that were used, only the smallest sets are kept, for whoever failed with fewer of them used fails with more.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

import msgspec

from coordnode.checking.history import FAILED, FOREVER, OK, Operation
from coordnode.checking.models import ILLEGAL, Foresight, Model, shown
from coordnode.checking.unseen import Placeable, Run, Smallest, Unseen
from coordnode.checking.verdict import BY_SEARCH, PASS, UNKNOWN, VIOLATION, Evidence, Verdict

SLICE_WORK: Final = 1_000  # of one partition before the next one has its turn: steps of the model, and what is compared between them


class Budget(msgspec.Struct, frozen=True):
    """Looked at between slices of work. The shell has a clock and knows what the process takes; this room knows neither."""

    steps_max: int = 1 << 62
    out_of_time: Callable[[], bool] = lambda: False
    out_of_memory: Callable[[], bool] = lambda: False

    def spent(self, steps: int) -> str:
        """Which part of it is used up; "" while there is some left."""
        if steps >= self.steps_max:
            return f"undecided after {steps} steps"
        if self.out_of_memory():
            return "undecided when the memory was used up"
        return "undecided when the time was up" if self.out_of_time() else ""


Span = tuple[int, int, Operation]  # an operation, and the times between which it must be placed; until FOREVER: or never

_Candidate = tuple[
    int, int, Hashable, Run
]  # the bit of the known outcome that comes next, used and state behind it, all that is placed with it
_Frame = tuple[int, int, int, Iterator[_Candidate | None]]  # the return it stands at, bits, how much was placed, what is left to try


class _NoMore:
    pass


_NO_MORE: Final = _NoMore()


class Search:
    """The search of one partition, in slices. `run` yields whenever somebody else may have a turn."""

    def __init__(self, model: Model, spans: Sequence[Span]) -> None:
        self._model = model
        self._spans = spans
        self._steps = 0
        self._remembered = Smallest()
        self.outcome = UNKNOWN
        self.order: list[Operation] = []  # of a pass
        self.stuck = -1  # the furthest return that any order reached
        self._stuck_state: Hashable = None  # to what one of these came
        self._laid_out = 0  # events so far: as many as are needed for the furthest return, so that what is open is kept of no more
        self._returning: list[Placeable] = []
        self._open: list[tuple[Placeable, ...]] = []  # at each return: the known outcomes that are under way
        self._under_way: dict[int, Placeable] = {}  # number of the span → it, after those events
        self._bits_free: list[int] = []

    @cached_property
    def _events(self) -> list[tuple[int, int, int]]:
        """(time, whether it returns, number of the span)"""
        events: list[tuple[int, int, int]] = []
        for number, (earliest, latest, operation) in enumerate(self._spans):
            if latest < FOREVER:
                events.append((earliest, 0, number))
                events.append((latest, 1, number))
            elif operation.function not in self._model.reads:
                events.append((earliest, 0, number))
        return sorted(events)

    @cached_property
    def _known(self) -> list[Operation]:
        """In the order of their return."""
        return [self._spans[number][2] for _, returns, number in self._events if returns]

    @cached_property
    def _foresight(self) -> Foresight:
        return self._model.foresight(self._known, [operation for _, latest, operation in self._spans if latest == FOREVER])

    @cached_property
    def _unseen(self) -> Unseen:
        return Unseen(self._model, self._foresight)

    def _lay_out_next(self) -> None:
        """Up to one more return."""
        returns = 0
        while not returns:
            _, returns, number = self._events[self._laid_out]
            self._laid_out += 1
            if returns:
                self._returning.append(self._under_way[number])
                self._open.append(tuple(self._under_way.values()))
                self._bits_free.append(self._under_way.pop(number).bit)
            else:
                self._invoke(number)

    def _invoke(self, number: int) -> None:
        _, latest, operation = self._spans[number]
        argument = self._foresight.argument(operation)
        if latest == FOREVER:
            self._unseen.add(operation, argument, returns_before=len(self._returning))
            return
        bit = self._bits_free.pop() if self._bits_free else 1 << len(self._under_way)
        learns = operation.function in self._model.learns
        is_refused = operation.result is False and operation.function in self._model.refuses
        looks = is_refused or (operation.function in self._model.reads and not learns)
        self._under_way[number] = Placeable(operation, argument, bit, looks, learns)
        self._under_way[number].turn = self._foresight.turn(operation)

    @property
    def steps(self) -> int:
        """Of the model."""
        return self._steps + self._unseen.steps

    @property
    def states(self) -> int:
        """Configurations remembered."""
        return self._remembered.count

    @property
    def _work(self) -> int:
        return self.steps + self._remembered.compared

    def run(self) -> Iterator[None]:
        step = self._model.step
        returning, count = self._returning, len(self._known)
        stack: list[_Frame] = []
        order: list[Placeable] = []
        bits = used = at = 0
        state = self._model.initial
        work_next = SLICE_WORK
        while True:
            while at < count:
                if at == len(returning):
                    self._lay_out_next()
                if not bits & returning[at].bit:
                    break
                bits ^= returning[at].bit
                at += 1
            if self._work >= work_next:
                work_next = self._work + SLICE_WORK
                yield
            if at == count:
                self.outcome = PASS
                self.order = [placed.operation for placed in order]
                return
            if at > self.stuck:
                self.stuck, self._stuck_state = at, state
            target = returning[at]
            possible: list[_Candidate] = []
            for placeable in self._open[at]:
                if bits & placeable.bit:
                    continue
                self._steps += 1
                following = step(state, placeable.function, placeable.argument, placeable.result)
                if following is ILLEGAL:
                    continue
                if placeable.only_looks or (placeable.learns and following == state):
                    bits |= placeable.bit
                    order.append(placeable)
                else:
                    possible.append((placeable.bit, used, following, (placeable,)))
            if bits & target.bit:
                continue
            counts = used & ~self._unseen.bits(self._foresight.idle(at, state))
            if self._remembered.is_new((at, bits, self._foresight.essence(at, state)), counts):
                possible.sort(key=lambda candidate: _rank(candidate[3][-1], target))
                first = [due for one in possible for due in self._with_due(one, at, used, state)]
                stack.append((at, bits, len(order), chain(first, possible, self._with_unseen(at, bits, used, state))))
            while True:
                if not stack:
                    self.outcome = VIOLATION
                    return
                at, bits, placed_count, left = stack[-1]
                candidate = next(left, _NO_MORE)
                if self._work >= work_next:
                    work_next = self._work + SLICE_WORK
                    yield
                if isinstance(candidate, _NoMore):
                    stack.pop()
                elif candidate is not None:
                    break
            bit, used, state, run = candidate
            bits |= bit
            del order[placed_count:]
            order.extend(run)

    def _with_due(self, candidate: _Candidate, at: int, used: int, state: Hashable) -> list[_Candidate]:
        goal = candidate[3][-1]
        due = self._unseen.due(goal, used, at)
        after = self._unseen.through(state, (*due, goal)) if due else ILLEGAL
        return [] if after is ILLEGAL else [(goal.bit, used | sum([one.bit for one in due]), after, (*due, goal))]

    def _with_unseen(self, at: int, bits: int, used: int, state: Hashable) -> Iterator[_Candidate | None]:
        """Each known outcome that is under way, right behind unknown ones that it needs."""
        target = self._returning[at]
        for goal in (target, *[one for one in self._open[at] if one is not target and not bits & one.bit]):
            for found in self._unseen.before(goal, state, used, at):
                yield None if found is None else (goal.bit, found[0], found[1], (*found[2], goal))

    def evidence(self, partition: Hashable) -> Evidence:
        operation = self._returning[self.stuck].operation
        end = next(latest for _, latest, other in self._spans if other is operation)
        prefix = tuple([other for earliest, _, other in self._spans if earliest <= end])
        return Evidence(operation, partition, before=self._model.shown(self._stuck_state), prefix=prefix)


def _rank(one: Placeable, target: Placeable) -> tuple[bool, bool, int]:
    """What returns next comes first, and before that whose turn is earlier, if the hints are right."""
    is_earlier = one.turn is not None and target.turn is not None and one.turn[0] == target.turn[0] and one.turn[1] < target.turn[1]
    return not is_earlier, one is not target, one.turn[1] if one.turn is not None else 0


def search(model: Model, operations: Sequence[Operation], budget: Budget) -> Verdict:
    """Any order that real time allows."""
    spans = [(operation.invoked, operation.returned, operation) for operation in operations if operation.kind != FAILED]
    return search_spans(model, spans, budget, BY_SEARCH)


def search_spans(model: Model, spans: Sequence[Span], budget: Budget, method: str) -> Verdict:
    """All partitions take turns, so that the first that cannot be explained ends it."""
    parts: dict[Hashable, list[Span]] = {}
    for span in spans:
        parts.setdefault(model.partition(span[2]), []).append(span)
    searches = {partition: Search(model, part) for partition, part in parts.items()}
    waiting = deque((partition, one, one.run()) for partition, one in searches.items())
    outcome, reason, evidence = PASS, "every operation finds its place", None
    steps = states = 0
    while waiting:
        partition, one, running = waiting.popleft()
        steps -= one.steps
        states -= one.states
        next(running, None)
        steps += one.steps
        states += one.states
        if one.outcome == VIOLATION:
            outcome, evidence = VIOLATION, one.evidence(partition)
            where = "" if partition is None else f" of key {shown(partition)}"
            reason = f"no order explains the first {len(evidence.prefix)} operations{where}: {told(evidence.operation)} finds no place"
            reason += f"; the furthest order comes before it to: {evidence.before}"
            break
        if one.outcome == UNKNOWN:
            waiting.append((partition, one, running))
        spent = budget.spent(steps) if waiting else ""
        if spent:
            outcome, reason = UNKNOWN, f"{spent}; {len(waiting)} of {len(searches)} partitions are open"
            break
    return Verdict(
        outcome,
        reason,
        model.name,
        method,
        operations=len(spans),
        partitions=len(searches),
        steps=steps,
        states=states,
        evidence=evidence,
        certificate=tuple(tuple(one.order) for one in searches.values()) if outcome == PASS else (),
    )


def told(operation: Operation) -> str:
    """One operation in words."""
    result = " → unknown outcome"
    if operation.kind == OK:
        result = "" if operation.result == operation.argument else f" → {shown(operation.result)}"
    argument = "" if operation.argument is None else f" {shown(operation.argument)}"
    return f"{operation.function}{argument}{result} (process {operation.process})"
