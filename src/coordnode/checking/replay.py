"""The near-linear check of coordnode's own store: every answer names its revision, so the order replays itself. Pure.

Where replies name no place in the log, the revision is the place: changes have one each, reads follow the change they
saw. A revision that no reply claims belongs to an operation with unknown outcome, or to the end of a session with keys;
which one is found by trying those that fit, and taken back when a later answer contradicts (bounded, else "unknown").
Because an operation that changed something must fill exactly one unclaimed revision, trying only there misses nothing.
"""

from bisect import bisect_right
from collections.abc import Container, Sequence
from typing import Any, Final

from coordnode.checking.clues import Clues
from coordnode.checking.history import FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.linearizable import Budget, told
from coordnode.checking.models import shown
from coordnode.checking.parts import Changes
from coordnode.checking.shapes import keys_bound, keys_of
from coordnode.checking.store import END_SESSIONS, NAME, READS, Item, Store, changed_something, revision_of
from coordnode.checking.verdict import BY_WITNESS, BY_WITNESS_SEARCH, PASS, VIOLATION, Evidence, Verdict
from coordnode.checking.verdict import UNKNOWN as UNDECIDED
from coordnode.checking.witness import has_witness, one_place_twice, placed_order, real_time_broken, returns_from

_SLICE_STEPS: Final = 4096  # between two looks at the budget

_Before = list[tuple[Any, Item | None]]
_Hidden = tuple[int, Operation]  # an operation that may fill a revision, and its number; _NOBODY: a session that ends
_NOBODY: Final = -1


def order_of(operations: Sequence[Operation]) -> list[Operation]:
    """By place in the log where every reply has one, else by revision. A barrier has no revision: it says nothing."""
    if has_witness(operations):
        return placed_order(operations, READS)
    telling = [operation for operation in operations if operation.kind == OK and operation.function != "barrier"]
    claimed: dict[int, bool] = {}  # revision → whether a reply claims its change
    first_return: dict[int, int] = {}
    for operation in telling:
        revision = revision_of(operation)
        claimed[revision] = claimed.get(revision, False) or changed_something(operation)
        first_return[revision] = min(first_return.get(revision, FOREVER), operation.returned)

    def may_be_the_change(operation: Operation) -> bool:
        if operation.function != "close-session":
            return changed_something(operation)
        revision = revision_of(operation)
        return not claimed[revision] and first_return[revision] >= operation.invoked

    return sorted(telling, key=lambda operation: (revision_of(operation), not may_be_the_change(operation), operation.invoked))


def check_store(operations: Sequence[Operation], budget: Budget, complete: bool = False) -> Verdict:
    """`complete`: whoever recorded this read the log and placed everything that took effect; nothing else may explain it."""
    order = order_of(operations)
    witnessed = has_witness(operations)
    wrong = (one_place_twice(order, READS) if witnessed else None) or real_time_broken(order)
    if wrong is not None:
        return Verdict(VIOLATION, wrong[0], NAME, BY_WITNESS, operations=len(operations), evidence=wrong[1])
    hidden = [
        operation
        for operation in operations
        if operation.kind == UNKNOWN and operation.function not in READS and not (witnessed and operation.index != NO_PLACE)
    ]
    return _Replay(order, [] if complete else hidden, complete).run(budget, len(operations))


class _EveryKey:
    def __contains__(self, key: object) -> bool:
        return True


_EVERY_KEY: Final = _EveryKey()


class _Choice:
    """A revision that nobody claims, and what could still fill it."""

    __slots__ = ("candidates", "filled_by", "placed_count", "rank")

    def __init__(self, rank: int, placed_count: int, candidates: list[_Hidden]) -> None:
        self.rank = rank
        self.placed_count = placed_count  # how long the certificate was
        self.candidates = candidates  # the last one is tried first
        self.filled_by = _NOBODY


class _Replay:
    def __init__(self, order: list[Operation], hidden: list[Operation], complete: bool) -> None:
        self._order = order
        self._complete = complete
        hidden.sort(key=lambda operation: operation.invoked)
        self._hidden: list[_Hidden] = list(enumerate(hidden))
        self._hidden_invoked = [operation.invoked for operation in hidden]
        # Between two revisions that replies name, places of unclaimed ones are all alike; a placed unknown outcome
        # names no revision, so that there the replay could choose too late and must not call it a violation.
        self._may_choose_late = not complete and any([one.kind == UNKNOWN for one in order])
        self._store = Store()
        self._certificate: list[Operation] = []
        self._undo: list[tuple[Operation, _Before]] = []  # beside the certificate, from the first choice on
        self._choices: list[_Choice] = []
        self._returns: list[int] | None = None  # made when first needed, as are the next two
        self._clues: Clues | None = None
        self._keys_in_doubt: Container[Any] | None = None
        self._used: set[int] = set()  # numbers of the hidden that fill a revision; only asked, never walked
        self._furthest = -1
        self._wrong = ""
        self._steps = 0

    def run(self, budget: Budget, count: int) -> Verdict:
        rank = 0
        steps_next = min(_SLICE_STEPS, budget.steps_max)
        while rank < len(self._order):
            if self._steps >= steps_next:
                steps_next = self._steps + _SLICE_STEPS
                spent = budget.spent(self._steps)
                if not spent:
                    continue
                reason = f"{spent}; {len(self._choices)} revisions that no reply claims are filled by one guess or another"
                return Verdict(UNDECIDED, reason, NAME, BY_WITNESS_SEARCH, operations=count, steps=self._steps)
            operation = self._order[rank]
            self._steps += 1
            expected, changes = self._store.answer(operation)
            if operation.kind != OK or expected == operation.result or expected is UNSEEN:
                if not self._choices or not self._is_contradicted_later(changes):
                    if changes and operation.function == "close-session" and operation.kind == OK:
                        self._doubt_close(rank, operation, changes)
                    self._commit(operation, changes)
                    rank += 1
                    continue
                expected = "another item than the one that was seen of it later"
            if rank > self._furthest:
                self._furthest = rank
                self._wrong = expected if isinstance(expected, str) else shown(expected)
            if not self._complete and self._store.revision < revision_of(operation):
                self._choices.append(_Choice(rank, len(self._certificate), self._candidates(rank)))
            following = self._next_choice() if self._choices and self._may_depend_on_choice(operation) else None
            if following is None:
                return self._violation(rank, count)
            rank = following
        method = BY_WITNESS_SEARCH if self._choices else BY_WITNESS
        reason = "the order of the log explains every operation"
        return Verdict(PASS, reason, NAME, method, count, steps=self._steps, certificate=(tuple(self._certificate),))

    def _doubt_close(self, rank: int, close: Operation, changes: Changes) -> None:
        """A reply to a close names a revision, and does not say that it made it: the session's keys may have been its own no more, since
        something of unknown outcome had taken them out at that very revision. That the close made it is tried first."""
        if self._hidden:
            instead = [hidden for hidden in self._candidates(rank) if self._takes_out(hidden, close.argument, changes)]
            if instead:
                self._choices.append(_Choice(rank, len(self._certificate), instead))

    def _takes_out(self, hidden: _Hidden, session: Any, keys: Changes) -> bool:
        """All of these keys of the session."""
        number, operation = hidden
        _, changes = self._store.answer(operation)
        return number != _NOBODY and all([key in changes and (changes[key] is None or changes[key][5] != session) for key in keys])

    def _is_contradicted_later(self, changes: Changes) -> bool:
        """Whether what a known outcome leaves behind is not what was seen of it: found here, a wrong guess costs little."""
        assert self._clues is not None
        return self._clues.contradict(changes, self._store.revision + 1)

    def _commit(self, operation: Operation, changes: Changes) -> None:
        before = self._store.commit(operation, changes)
        self._certificate.append(operation)
        if self._choices:
            self._undo.append((operation, before))

    def _next_choice(self) -> int | None:
        """Takes the newest choice that has an alternative; the rank to go on from, or None when none has."""
        while self._choices:
            choice = self._choices[-1]
            while self._undo and len(self._certificate) > choice.placed_count:
                self._certificate.pop()
                self._store.undo(*self._undo.pop())
            assert len(self._certificate) == choice.placed_count
            self._used.discard(choice.filled_by)
            if choice.candidates:
                choice.filled_by, candidate = choice.candidates.pop()
                if choice.filled_by != _NOBODY:
                    self._used.add(choice.filled_by)
                self._steps += 1
                _, changes = self._store.answer(candidate)
                assert changes, "a candidate changes something"
                self._commit(candidate, changes)
                return choice.rank
            self._choices.pop()
        return None

    def _may_depend_on_choice(self, operation: Operation) -> bool:
        """False: whatever fills the unclaimed revisions leaves this operation's keys alone, so nothing can make it right."""
        if self._store.revision < revision_of(operation):
            return True
        keys = keys_of(operation)
        if self._keys_in_doubt is None:
            self._keys_in_doubt = _keys_in_doubt(self._order, [one for _, one in self._hidden])
        return keys is None or self._keys_in_doubt is _EVERY_KEY or any(key in self._keys_in_doubt for key in keys)

    def _candidates(self, rank: int) -> list[_Hidden]:
        """What could be the next revision's command, just before the operation of that rank; the likeliest last."""
        if self._returns is None:
            self._returns = returns_from(self._order)
            self._clues = Clues(self._order, [operation for _, operation in self._hidden])
        assert self._clues is not None
        revision = self._store.revision + 1
        fitting: list[tuple[tuple[int, int], _Hidden]] = []
        invoked_before = bisect_right(self._hidden_invoked, self._returns[rank])
        for number, operation in (*self._hidden[:invoked_before], *self._session_ends()):
            if number in self._used:
                continue
            self._steps += 1
            _, changes = self._store.answer(operation)
            if number == _NOBODY and self._clues.outlives(operation.argument[0], revision):  # type: ignore[index]
                continue
            if changes and not self._clues.rules_out(changes, revision):
                fitting.append((self._clues.appeal(changes, revision), (number, operation)))
        fitting.sort(key=lambda one: one[0])  # what is wanted soonest is tried first
        return [candidate for _, candidate in reversed(fitting)]

    def _session_ends(self) -> list[_Hidden]:
        """Sessions end by themselves; no client asks for it."""
        return [
            (_NOBODY, Operation(0, END_SESSIONS, (session,), UNSEEN, -FOREVER, FOREVER, UNKNOWN))
            for session in self._store.sessions_with_keys()
        ]

    def _violation(self, rank: int, count: int) -> Verdict:
        furthest = self._order[self._furthest]
        unexplained = not self._complete and (bool(self._choices) or self._store.revision < revision_of(self._order[rank]))
        method = BY_WITNESS_SEARCH if self._hidden else BY_WITNESS
        if unexplained and self._may_choose_late:
            reason = f"{told(furthest)} may be impossible; it depends on outcomes that the history does not place"
            return Verdict(UNDECIDED, reason, NAME, method, count, steps=self._steps)
        place = "" if furthest.index == NO_PLACE else f" at index {furthest.index}, position {furthest.position}"
        reason = f"in the order of the log, {told(furthest)} is impossible{place}: it should have been {self._wrong}"
        if self._hidden:
            reason += "; no operation of unknown outcome explains it"
        evidence = Evidence(furthest, expected=self._wrong, prefix=tuple(self._order[: self._furthest + 1]))
        return Verdict(VIOLATION, reason, NAME, method, count, steps=self._steps, evidence=evidence)


def _keys_in_doubt(order: Sequence[Operation], hidden: Sequence[Operation]) -> Container[Any]:
    """Keys that an operation of unknown outcome, or the end of a session, might touch."""
    doubted: dict[Any, None] = {}
    for operation in hidden:
        keys = keys_of(operation)
        if keys is None:
            return _EVERY_KEY
        doubted.update(dict.fromkeys(keys))
    for operation in order:
        doubted.update(dict.fromkeys(keys_bound(operation)))
    return doubted
