"""Locks, semaphores and elections as single objects: what is claimed has a token, and ends when it is released or lost. Pure.

An acquisition that nobody was told of may never have happened: it is optional, as every unknown outcome is. A holder that fell silent
loses what it holds at a moment that nobody saw: whoever records adds `lost` with its token, of unknown outcome from when it was last
heard of. A model of a mutex alone would prove too little: after a lost lease the old holder still runs. So the lock guards a resource,
which asks for tokens.

    lock, rwlock, semaphore, election, shards    → state (claims, highest token, …)
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.models import ILLEGAL, Foresight, OneObject, is_pair, is_token, shown
from coordnode.errors import BadRequest

NOBODY_KNOWS: Final = 0  # the token of a claim whose outcome was not told; where it may be learnt, minus the highest one before it

Claims = tuple[tuple[int, Hashable], ...]  # (token, what is claimed), in their order


class _Claimed(OneObject):
    """What lock, semaphore and election share: state[0] are the claims that last, state[1] the highest token so far."""

    initial: Hashable = ((), 0)
    claiming = "acquire"
    ending = "release"

    def fits(self, claims: Claims, argument: Value) -> bool:
        raise NotImplementedError

    def step(self, state: Hashable, function: str, argument: Value, result: Value) -> Hashable:
        assert isinstance(state, tuple)
        claims, highest, *rest = state
        if function == self.claiming:
            if not self.fits(claims, argument):
                return ILLEGAL
            if result is UNSEEN:
                return ((*claims, (-highest if self.learns else NOBODY_KNOWS, argument)), highest, *rest)
            assert isinstance(result, int)
            return ((*claims, (result, argument)), result, *rest) if result > highest else ILLEGAL
        kept = _without(claims, argument)
        if function == "lost":
            return (kept, highest, *rest) if len(kept) < len(claims) else ILLEGAL
        if function == self.ending:
            is_held = len(kept) < len(claims)
            return (kept, highest, *rest) if result is UNSEEN or result is is_held else ILLEGAL
        return self.other(state, function, argument, result)

    def other(self, state: tuple[Claims, int], function: str, argument: Value, result: Value) -> Hashable:
        raise NotImplementedError

    def foresight(self, known: Sequence[Operation], unseen: Sequence[Operation]) -> Foresight:
        return Foresight() if self.learns else _Foresight(self)

    def blocking(self, claims: Claims) -> Claims:
        """Of claims beside which another has no room: one that must end before; or some of which must."""
        return claims[:1]

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        """Of whatever is asked beside claiming and ending, see `Foresight.needs`."""
        raise NotImplementedError

    def shown(self, state: Hashable) -> str:
        assert isinstance(state, tuple)
        claims, highest, *rest = state
        held = [f"{shown(what)} by {'a token that was not told' if token <= NOBODY_KNOWS else f'token {token}'}" for token, what in claims]
        guarded = f", the resource has {shown(rest[1])} of token {rest[0]}" if rest else ""
        return f"{', '.join(held) or 'nothing'} held, highest token {highest}{guarded}"

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        argument, result, told = operation.argument, operation.result, operation.kind == OK
        if operation.function == self.claiming and told and not is_token(result):
            raise BadRequest(f"model {self.name}: {self.claiming} gives a token above 0, not {shown(result)}")
        if operation.function in (self.ending, "lost") and not is_token(argument) and argument is not None:
            raise BadRequest(f"model {self.name}: {operation.function} names a token, or nothing when none was told, not {shown(argument)}")
        if operation.function == self.ending and told and not isinstance(result, bool):
            raise BadRequest(f"model {self.name}: {self.ending} is answered with true or false, not {shown(result)}")


class _Foresight(Foresight):
    """Nobody needs a claim that was not told, but who ends one, or sees it."""

    def __init__(self, model: _Claimed) -> None:
        self._model = model

    def effect(self, unseen: Operation) -> Hashable:
        function = "lost" if unseen.function == self._model.ending else unseen.function
        return function, unseen.argument

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        assert isinstance(state, tuple)
        claims: Claims = state[0]
        if goal.function == self._model.claiming:
            return [] if self._model.fits(claims, goal.argument) else ended(self._model.blocking(claims))
        if goal.function not in ("lost", self._model.ending):
            return self._model.needs(state, goal)
        if goal.argument is None:
            return None
        return ended([one for one in claims if one[0] == goal.argument and goal.result is False])

    def serves(self, unseen: Operation) -> Sequence[Hashable]:
        argument = unseen.argument
        if unseen.function in ("lost", self._model.ending):
            return (("end", argument),)
        return ("any", ("is", argument if unseen.function == self._model.claiming else argument[1]))  # type: ignore[index]


def ended(claims: Iterable[tuple[int, Hashable]]) -> list[Hashable]:
    """The need that one of them is."""
    return [("end", token if token > NOBODY_KNOWS else None) for token, _ in claims]


def _without(claims: Claims, token: Value) -> Claims:
    """Without the first of that token; None names one that nobody was told of."""
    for at, (held, _) in enumerate(claims):
        if held == token if token else held <= NOBODY_KNOWS:
            return claims[:at] + claims[at + 1 :]
    return claims


class FencedLock(_Claimed):
    """acquire → token, release token → whether it was held, lost token; and the resource that it guards: write (token, value) →
    whether it was admitted, read → value. The resource admits no token below one that it has seen."""

    name = "lock"
    functions = frozenset({"acquire", "release", "lost", "write", "read"})
    pairs = frozenset({"write"})
    refuses = frozenset({"release", "write"})
    initial: Hashable = ((), 0, 0, None)

    def fits(self, claims: Claims, argument: Value) -> bool:
        return not claims

    def other(self, state: tuple[Claims, int], function: str, argument: Value, result: Value) -> Hashable:
        claims, highest, seen, value = state  # type: ignore[misc]  # its own initial state has two fields more
        if function == "read":
            return state if result is UNSEEN or result == value else ILLEGAL
        assert isinstance(argument, tuple)
        token, following = argument
        is_admitted = token >= seen
        if result is not UNSEEN and result is not is_admitted:
            return ILLEGAL
        return (claims, highest, token, following) if is_admitted else state

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        if goal.function == "read":
            return (("is", goal.result),)
        return ("any",) if goal.result is False else ()

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "write":
            assert isinstance(operation.argument, tuple)
            if not is_token(operation.argument[0]):
                raise BadRequest(f"model lock: write needs (token, value), not {shown(operation.argument)}")


class ReaderWriterLock(_Claimed):
    """acquire "read" or "write" → token, release token, lost token."""

    name = "rwlock"
    functions = frozenset({"acquire", "release", "lost"})
    refuses = frozenset({"release"})
    reads: frozenset[str] = frozenset()

    def fits(self, claims: Claims, argument: Value) -> bool:
        return not claims or (argument == "read" and all([kind == "read" for _, kind in claims]))

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "acquire" and operation.argument not in ("read", "write"):
            raise BadRequest(f"model rwlock: acquire to read or to write, not {shown(operation.argument)}")


class Semaphore(_Claimed):
    """acquire (permits, limit) → token, release token, lost token; the limit is the same in all of a history."""

    name = "semaphore"
    functions = frozenset({"acquire", "release", "lost"})
    refuses = frozenset({"release"})
    pairs = frozenset({"acquire"})
    reads: frozenset[str] = frozenset()

    def fits(self, claims: Claims, argument: Value) -> bool:
        assert isinstance(argument, tuple)
        in_use = 0
        for _, claimed in claims:
            assert isinstance(claimed, tuple)
            in_use += claimed[0]
        return bool(in_use + argument[0] <= argument[1])

    def blocking(self, claims: Claims) -> Claims:
        return claims

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        if operation.function == "acquire":
            assert isinstance(operation.argument, tuple)
            if not all([is_token(number) for number in operation.argument]):
                raise BadRequest(f"model semaphore: acquire needs (permits, limit), not {shown(operation.argument)}")


class Leadership(_Claimed):
    """campaign value → token once it leads, resign token → whether it led, lost token, proclaim (token, value) → whether it led, and
    observe → the leader's value, None when nobody leads."""

    name = "election"
    functions = frozenset({"campaign", "resign", "lost", "proclaim", "observe"})
    pairs = frozenset({"proclaim"})
    refuses = frozenset({"resign", "proclaim"})
    reads = frozenset({"observe"})
    claiming = "campaign"
    ending = "resign"

    def fits(self, claims: Claims, argument: Value) -> bool:
        return not claims

    def other(self, state: tuple[Claims, int], function: str, argument: Value, result: Value) -> Hashable:
        claims, highest = state
        if function == "observe":
            return state if result is UNSEEN or result == (claims[0][1] if claims else None) else ILLEGAL
        assert isinstance(argument, tuple)
        token, value = argument
        leads = bool(claims) and claims[0][0] == token
        if result is not UNSEEN and result is not leads:
            return ILLEGAL
        return (((token, value),), highest) if leads else state

    def needs(self, state: Hashable, goal: Operation) -> Sequence[Hashable] | None:
        assert isinstance(state, tuple)
        if goal.function == "observe":
            return *ended(state[0]), ("is", goal.result)
        return ended(state[0]) if goal.result is False else ()


class ShardOwners(_Claimed):
    """own shard → token, release token → whether it was owned, lost token, and owners → ((shard, token), …), in any order."""

    name = "shards"
    functions = frozenset({"own", "release", "lost", "owners"})
    reads = frozenset({"owners"})
    learns = frozenset({"owners"})
    refuses = frozenset({"release"})
    claiming = "own"

    def fits(self, claims: Claims, argument: Value) -> bool:
        return all([shard != argument for _, shard in claims])

    def other(self, state: tuple[Claims, int], function: str, argument: Value, result: Value) -> Hashable:
        """Tokens that were not told are learnt: each is above those given before it, and below those given later."""
        if result is UNSEEN:
            return state
        claims, highest = state
        assert isinstance(result, tuple)
        tokens = dict(result)
        if len(tokens) != len(result) or len(tokens) != len(claims):
            return ILLEGAL
        seen: list[tuple[int, Hashable]] = []
        for told, shard in claims:
            token = tokens.get(shard, NOBODY_KNOWS)
            may_be = token == told if told > NOBODY_KNOWS else -told < token and (token < highest or highest == -told)
            if not may_be or (seen and seen[-1][0] >= token):
                return ILLEGAL
            seen.append((token, shard))
        return tuple(seen), max([highest, *[token for token, _ in seen]])

    def check_shape(self, operation: Operation) -> None:
        super().check_shape(operation)
        result = operation.result
        if operation.function != "owners" or operation.kind != OK:
            return
        if not isinstance(result, tuple) or not all([is_pair(one) and is_token(one[1]) for one in result]):
            raise BadRequest(f"model shards: owners gives pairs of shard and token, not {shown(result)}")
