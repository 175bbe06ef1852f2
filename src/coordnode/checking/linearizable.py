"""The general search: is there an order that real time allows and the model accepts? Pure.

Operations are placed just in time: only when one returns must it have been placed, and only then are others placed
before it, to make it legal. A read that is legal is placed at once, for that closes no door. What was
explored is remembered by (return, open operations placed, state); of the unknown outcomes that were used, only the
smallest sets are kept, for whoever failed with fewer of them used fails with more.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final

import msgspec

from coordnode.checking.history import FAILED, OK, Operation
from coordnode.checking.models import ILLEGAL, Model, shown
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


class _Placeable:
    """An operation as the search sees it."""

    __slots__ = ("argument", "bit", "function", "learns", "only_looks", "operation", "result")

    def __init__(self, operation: Operation, bit: int, only_looks: bool, learns: bool) -> None:
        self.operation = operation
        self.only_looks = only_looks  # whatever the state, it leaves it as it is
        self.learns = learns  # it does, where nothing is left to learn from it
        self.bit = bit
        self.function = operation.function
        self.argument = operation.argument
        self.result = operation.result


Span = tuple[int, int, Operation]  # an operation, and the times between which it must be placed

_Candidate = tuple[int, int, Hashable, _Placeable]  # bits, used and state after placing it
_Frame = tuple[int, int, list[_Candidate]]  # the return it stands at, how much was placed before, what is left to try


class Search:
    """The search of one partition, in slices. `run` yields whenever somebody else may have a turn."""

    def __init__(self, model: Model, spans: Sequence[Span]) -> None:
        self._model = model
        self._spans = spans
        self.steps = 0
        self.states = 0  # configurations remembered
        self._compared = 0
        self.outcome = UNKNOWN
        self.order: list[Operation] = []  # of a pass
        self.stuck = -1  # the furthest return that any order reached
        self._stuck_state: Hashable = None  # to what one of these came
        self._returning: list[_Placeable] = []
        self._open: list[tuple[_Placeable, ...]] = []  # at each return: the known outcomes that are under way
        self._optional_classes: list[list[_Placeable]] = []  # unknown outcomes that differ only in their invocation
        self._optional_invoked: list[list[int]] = []  # beside it: the first return by which each was invoked
        self._lay_out()

    def _lay_out(self) -> None:
        events: list[tuple[int, int, int]] = []
        for number, (earliest, latest, operation) in enumerate(self._spans):
            if operation.kind == OK:
                events.append((earliest, 0, number))
                events.append((latest, 1, number))
            elif operation.function not in self._model.reads:
                events.append((earliest, 0, number))
        events.sort()
        under_way: dict[int, _Placeable] = {}
        bits_free: list[int] = []
        classes: dict[Hashable, int] = {}
        optional_bit = 1
        for _, returns, number in events:
            operation = self._spans[number][2]
            if returns:
                self._returning.append(under_way[number])
                self._open.append(tuple(under_way.values()))
                bits_free.append(under_way.pop(number).bit)
            elif operation.kind == OK:
                bit = bits_free.pop() if bits_free else 1 << len(under_way)
                learns = operation.function in self._model.learns
                is_refused = operation.result is False and operation.function in self._model.refuses
                looks = is_refused or (operation.function in self._model.reads and not learns)
                under_way[number] = _Placeable(operation, bit, looks, learns)
            else:
                which = classes.setdefault((operation.function, operation.argument), len(classes))
                if which == len(self._optional_classes):
                    self._optional_classes.append([])
                    self._optional_invoked.append([])
                self._optional_classes[which].append(_Placeable(operation, optional_bit, only_looks=False, learns=False))
                self._optional_invoked[which].append(len(self._returning))
                optional_bit <<= 1

    def run(self) -> Iterator[None]:
        step = self._model.step
        returning = self._returning
        remembered: dict[tuple[int, int, Hashable], list[int]] = {}
        stack: list[_Frame] = []
        order: list[_Placeable] = []
        bits = used = at = 0
        state = self._model.initial
        work_next = SLICE_WORK
        while True:
            while at < len(returning) and bits & returning[at].bit:
                bits ^= returning[at].bit
                at += 1
            if at == len(returning):
                self.outcome = PASS
                self.order = [placed.operation for placed in order]
                return
            if at > self.stuck:
                self.stuck, self._stuck_state = at, state
            target = returning[at]
            candidates: list[_Candidate] = []
            for placeable in self._open[at]:
                if bits & placeable.bit:
                    continue
                self.steps += 1
                following = step(state, placeable.function, placeable.argument, placeable.result)
                if following is ILLEGAL:
                    continue
                if placeable.only_looks or (placeable.learns and following == state):
                    bits |= placeable.bit
                    order.append(placeable)
                else:
                    candidates.append((placeable.bit, 0, following, placeable))
            if bits & target.bit:
                continue
            if self._is_new(remembered, (at, bits, state), used):
                candidates.extend(self._optional_candidates(at, used, state))
                candidates.sort(key=lambda candidate: candidate[3] is not target)
                candidates.reverse()  # the last one is tried first
                stack.append((at, len(order), [(bits | bit, used | use, after, which) for bit, use, after, which in candidates]))
            while stack and not stack[-1][2]:
                stack.pop()
            if not stack:
                self.outcome = VIOLATION
                return
            at, placed_count, left = stack[-1]
            bits, used, state, chosen = left.pop()
            del order[placed_count:]
            order.append(chosen)
            if self.steps + self._compared >= work_next:
                work_next = self.steps + self._compared + SLICE_WORK
                yield

    def _is_new(self, remembered: dict[tuple[int, int, Hashable], list[int]], key: tuple[int, int, Hashable], used: int) -> bool:
        smallest = remembered.get(key)
        if smallest is None:
            remembered[key] = [used]
            self.states += 1
            return True
        self._compared += len(smallest)
        for mask in smallest:
            if mask & used == mask:
                return False
        kept = [mask for mask in smallest if mask & used != used]
        self.states += 1 - (len(smallest) - len(kept))
        kept.append(used)
        remembered[key] = kept
        return True

    def _optional_candidates(self, at: int, used: int, state: Hashable) -> list[_Candidate]:
        """Of outcomes that differ only in their invocation, the earliest unused one stands for all."""
        found: list[_Candidate] = []
        self._compared += len(self._optional_classes)
        for members, invoked in zip(self._optional_classes, self._optional_invoked, strict=True):
            for placeable, invoked_at in zip(members, invoked, strict=True):
                if invoked_at > at:
                    break
                if used & placeable.bit:
                    continue
                self.steps += 1
                following = self._model.step(state, placeable.function, placeable.argument, placeable.result)
                if following is not ILLEGAL and following != state:
                    found.append((0, placeable.bit, following, placeable))
                break
        return found

    def evidence(self, partition: Hashable) -> Evidence:
        operation = self._returning[self.stuck].operation
        end = next(latest for _, latest, other in self._spans if other is operation)
        prefix = tuple([other for earliest, _, other in self._spans if earliest <= end])
        return Evidence(operation, partition, before=self._model.shown(self._stuck_state), prefix=prefix)


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
