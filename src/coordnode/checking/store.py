"""coordnode's key-value store as its promises describe it, written anew: what a replayed order must have answered. Pure.

What a history holds, by function: argument → result. `item` is (key, value, create_revision, mod_revision, version,
session) or None; `session` is 0 for a key that no session keeps alive.

    put            (key, value, session)              → revision
    delete         key                                → (revision, changed)
    delete-range   (start, end, limit)                → (revision, changed, more)
    get            key                                → (revision, item)
    range          (start, end, limit, keys_only)     → (revision, items, more)
    transaction    (compares, then, otherwise)        → (revision, succeeded, results)
                   compares: (key, field, relation, number, value); then, otherwise: ("put", key, value, session),
                   ("delete", key), ("get", key); results: how much changed for put and delete, the item for get
    open-session   (function, argument) or None       → (revision, session, result of that function or None);
                   session OPENED inside the argument is the one that is being opened
    close-session  session                            → (revision, changed); a reply does not say how many keys
                   ended with it: `changed` is not compared
    end-sessions   (session, …)                       what a leader decided; never asked by a client, always unseen
    barrier        None                               → nothing is compared
    begin          (revision, items)                  what the store held before the first operation; unseen
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from coordnode.checking.counters import Counters
from coordnode.checking.history import OK, UNSEEN, Operation, Value
from coordnode.checking.others import Others
from coordnode.checking.parts import Answer, Changes, Key, Part

NAME: Final = "coordnode"
OPENED: Final = -1  # as the session of a first command's key: the session that is being opened
READS: Final = frozenset({"get", "range", "barrier", "other-read", "get-counter", "list-counters"})
END_SESSIONS: Final = "end-sessions"

Item = tuple[Key, Value, int, int, int, int]

_TOKEN: Final = 4  # Compare.field: whether a token is live, which the store does not know
_FIELDS: Final = {1: 3, 2: 2, 3: 4}  # Compare.field → its place in an item
_NO_ITEM: Final[Item] = (None, None, 0, 0, 0, 0)


PARTS: Final[tuple[type[Part], ...]] = (Others, Counters)
"""What the store has beside keys. A new service's part is its own file in checking/ and one line here."""


class Store:
    """`answer` says what an operation must return and what it would change; `commit` changes it; `undo` takes that back."""

    __slots__ = ("_answers", "_bound", "_ended", "_items", "_keys", "parts", "revision")

    def __init__(self, parts: Sequence[type[Part]] = PARTS) -> None:
        self.revision = 0
        self._items: dict[Key, Item] = {}
        self._keys: list[Key] = []  # sorted; exactly those of _items
        self._bound: dict[int, dict[Key, None]] = {}  # session → keys that end with it; never an empty dict
        self._ended: set[int] = set()  # sessions that are over
        self._answers: dict[str, Callable[[Any, Any], Answer]] = {
            "put": self._put,
            "delete": self._delete,
            "delete-range": self._delete_range,
            "get": self._get,
            "range": self._range,
            "transaction": self._transaction,
            "open-session": self._open_session,
            "close-session": self._close_session,
            END_SESSIONS: self._end_sessions,
            "barrier": self._barrier,
            "begin": self._begin,
        }
        self.parts: dict[str, Part] = {kind.NAME: kind(self._items.get) for kind in parts}
        for part in self.parts.values():
            part.revision = lambda: self.revision
            assert not self._answers.keys() & part.answers.keys(), "two services claim one function"
            self._answers.update(part.answers)

    def answer(self, operation: Operation) -> Answer:
        return self._answers[operation.function](operation.argument, operation.result)

    def commit(self, operation: Operation, changes: Changes) -> list[tuple[Key, Item | None]]:
        """Returns what was there before, for `undo`."""
        before: list[tuple[Key, Item | None]] = []
        for key, item in changes.items():
            old = self._items.get(key)
            before.append((key, old))
            self._place(key, old, item)
        if operation.function == "begin":
            start: Any = operation.argument
            self.revision = start[0]
        elif changes and self._raises_revision(changes):
            self.revision += 1
        if operation.function in _ENDS:
            self._ended.update(_ended_by(operation))
        return before

    def undo(self, operation: Operation, before: list[tuple[Key, Item | None]]) -> None:
        for key, item in reversed(before):
            self._place(key, self._items.get(key), item)
        if before and self._raises_revision([key for key, _ in before]):
            self.revision -= 1
        if operation.function in _ENDS:
            self._ended.difference_update(_ended_by(operation))

    def sessions_with_keys(self) -> list[int]:
        return sorted(self._bound)

    def _raises_revision(self, keys: Iterable[Key]) -> bool:
        return not self.parts or any([type(key) is not tuple or self.parts[key[0]].raises_revision(key) for key in keys])

    def _place(self, key: Key, old: Item | None, item: Item | None) -> None:
        if type(key) is tuple:
            if item is None:
                self._items.pop(key, None)
            else:
                self._items[key] = item
            self.parts[key[0]].placed(key, old, item)
            return
        if old is not None and old[5]:
            keys = self._bound[old[5]]
            del keys[key]
            if not keys:
                del self._bound[old[5]]
        if item is None:
            if old is not None:
                del self._items[key]
                del self._keys[bisect_left(self._keys, key)]
            return
        if old is None:
            insort(self._keys, key)
        self._items[key] = item
        if item[5]:
            self._bound.setdefault(item[5], {})[key] = None

    def _span(self, start: Key, end: Key) -> tuple[int, int]:
        first = bisect_left(self._keys, start)
        return first, max(first, bisect_left(self._keys, end)) if end else len(self._keys)

    # Each answers (what must be returned, what changes). The second argument is what was returned, or UNSEEN.

    def _put(self, argument: Any, _result: Any) -> Answer:
        key, value, session = argument
        revision = self.revision + 1
        if session and session in self._ended:
            return "a refusal: the session had ended", {}
        old = self._items.get(key)
        if old is None:
            return revision, {key: (key, value, revision, revision, 1, session)}
        return revision, {key: (key, value, old[2], revision, old[4] + 1, session)}

    def _delete(self, key: Any, _result: Any) -> Answer:
        if key in self._items:
            return (self.revision + 1, 1), {key: None}
        return (self.revision, 0), {}

    def _delete_range(self, argument: Any, result: Any) -> Answer:
        start, end, limit = argument
        first, last = self._span(start, end)
        changed = min(limit, last - first)
        if result is not UNSEEN and 0 < result[1] < changed:
            changed = result[1]  # one slice may be smaller than what was asked for; `more` then says so
        changes: Changes = dict.fromkeys(self._keys[first : first + changed])
        return (self.revision + bool(changes), changed, first + changed < last), changes

    def _get(self, key: Any, _result: Any) -> Answer:
        return (self.revision, self._items.get(key)), {}

    def _range(self, argument: Any, result: Any) -> Answer:
        start, end, limit, keys_only = argument
        if result is UNSEEN:
            return UNSEEN, {}
        first, last = self._span(start, end)
        count = last - first if limit == 0 else min(limit, last - first)
        if 0 < len(result[1]) < count:
            count = len(result[1])  # a page may end early, by its bytes; `more` then says so
        items = [self._items[key] for key in self._keys[first : first + count]]
        if keys_only:
            nothing = result[1][0][1][:0] if result[1] else ""  # text or bytes, as the history has it
            items = [(item[0], nothing, *item[2:]) for item in items]
        return (self.revision, tuple(items), first + count < last), {}

    def _transaction(self, argument: Any, result: Any) -> Answer:
        compares, then, otherwise = argument
        succeeded = all(self._holds(compare) for compare in compares if compare[1] != _TOKEN)
        if succeeded and result is not UNSEEN and any([compare[1] == _TOKEN for compare in compares]):
            succeeded = result[1]
        changes: Changes = {}
        results: list[Value] = []
        revision = self.revision + 1
        for operation in then if succeeded else otherwise:
            kind, key = operation[0], operation[1]
            old = changes[key] if key in changes else self._items.get(key)
            if kind == "get":
                results.append(old)
            elif kind == "delete":
                results.append(0 if old is None else 1)
                if old is not None:
                    changes[key] = None
            else:
                session = operation[3]
                if session and session in self._ended:
                    return "a refusal: the session had ended", {}
                results.append(1)
                created, version = (revision, 1) if old is None else (old[2], old[4] + 1)
                changes[key] = (key, operation[2], created, revision, version, session)
        return (self.revision + bool(changes), succeeded, tuple(results)), changes

    def _holds(self, compare: Any) -> bool:
        key, field, relation, number, value = compare
        item = self._items.get(key)
        if field == 0:
            return ((None if item is None else item[1]) == value) is (relation == 0)
        numbers: tuple[Any, ...] = item or _NO_ITEM
        found = int(numbers[_FIELDS[field]])
        if relation < 2:
            return bool(found == number) is (relation == 0)
        return bool(found < number if relation == 2 else found > number)

    def _open_session(self, argument: Any, result: Any) -> Answer:
        session = 0 if result is UNSEEN else result[1]
        if argument is None:
            return (self.revision, session, None), {}
        function, inner = argument
        returned, changes = self._answers[function](_in_session(function, inner, session), UNSEEN if result is UNSEEN else result[2])
        return (self.revision + bool(changes), session, returned), changes

    def _close_session(self, session: Any, result: Any) -> Answer:
        changes = self._end(session)
        return (self.revision + bool(changes), len(changes) if result is UNSEEN else result[1]), changes

    def _end_sessions(self, sessions: Any, _result: Any) -> Answer:
        changes: Changes = {}
        for session in sessions:
            changes.update(self._end(session))
        return UNSEEN, changes

    def _end(self, session: Any) -> Changes:
        changes: Changes = dict.fromkeys(self._bound.get(session, ()))
        for part in self.parts.values():
            changes.update(part.ends(session))
        return changes

    def _barrier(self, _argument: Any, result: Any) -> Answer:
        return result, {}

    def _begin(self, argument: Any, _result: Any) -> Answer:
        return UNSEEN, {item[0]: item for item in argument[1]}


def _in_session(function: str, argument: Any, session: int) -> Any:
    """A first command, now that the number of its session is known."""
    if function == "put":
        return (*argument[:2], session) if argument[2] == OPENED else argument
    if function == "transaction":
        compares, *branches = argument
        bound = [tuple([(*step[:3], session) if step[0] == "put" and step[3] == OPENED else step for step in steps]) for steps in branches]
        return (compares, *bound)
    return argument


_ENDS: Final = frozenset({"close-session", END_SESSIONS})


def _ended_by(operation: Operation) -> Sequence[int]:
    sessions: Any = operation.argument
    return (sessions,) if operation.function == "close-session" else sessions


def revision_of(operation: Operation) -> int:
    """The revision that the reply named; -1 when it named none."""
    result: Any = operation.result
    if operation.kind != OK or result is UNSEEN or result is None:
        return -1
    revision: int = result if isinstance(result, int) else result[0]
    return revision


def changed_something(operation: Operation) -> bool:
    """Whether the reply says that this is the one command of its revision. Of a close-session it does not say."""
    return _changed(operation.function, operation.argument, operation.result)


def _changed(function: str, argument: Any, result: Any) -> bool:
    match function:
        case "put":
            return True
        case "delete" | "delete-range":
            return bool(result[1])
        case "transaction":
            written = argument[1 if result[1] else 2]
            return any(what[0] != "get" and got for what, got in zip(written, result[2], strict=False))
        case "open-session":
            return argument is not None and _changed(argument[0], argument[1], result[2])
        case _:
            return False


def puts_done(operation: Operation) -> Sequence[tuple[Key, Value]]:
    """Keys and values that an operation of known outcome put."""
    return _puts_done(operation.function, operation.argument, operation.result)


def _puts_done(function: str, argument: Any, result: Any) -> Sequence[tuple[Key, Value]]:
    match function:
        case "put":
            return ((argument[0], argument[1]),)
        case "transaction":
            return [(step[1], step[2]) for step in argument[1 if result[1] else 2] if step[0] == "put"]
        case "open-session":
            return () if argument is None else _puts_done(argument[0], argument[1], result[2])
        case _:
            return ()


def keys_absent(operation: Operation) -> Sequence[Key]:
    """Keys that, by what an operation of known outcome was answered, were not there once it was done."""
    result: Any = operation.result
    argument: Any = operation.argument
    match operation.function:
        case "delete":
            return (argument,)
        case "get":
            return (argument,) if result[1] is None else ()
        case "transaction":
            last = {step[1]: step[0] for step in argument[1 if result[1] else 2] if step[0] != "get"}
            return [key for key, kind in last.items() if kind == "delete"]
        case _:
            return ()


def keys_deleted(operation: Operation) -> Sequence[Key]:
    """Keys that an operation of known outcome says to have deleted alone; of a transaction it is not told."""
    result: Any = operation.result
    return (operation.argument,) if operation.function == "delete" and result[1] else ()


def items_seen(operation: Operation) -> Sequence[Item]:
    """The items that the reply showed, as others could have seen them."""
    result: Any = operation.result
    if operation.kind != OK:
        return ()
    match operation.function:
        case "get":
            return () if result[1] is None else (result[1],)
        case "range":
            argument: Any = operation.argument
            return () if argument[3] else result[1]
        case "transaction":
            return _seen_by_transaction(operation.argument, result)
        case _:
            return ()


def _seen_by_transaction(argument: Any, result: Any) -> Sequence[Item]:
    """Without what it wrote itself and then changed again: nobody else can have seen that."""
    revision, succeeded, results = result
    changed_last = {step[1]: place for place, step in enumerate(argument[1 if succeeded else 2]) if step[0] != "get"}
    return [
        got for place, got in enumerate(results) if isinstance(got, tuple) and (got[3] != revision or place > changed_last.get(got[0], -1))
    ]
