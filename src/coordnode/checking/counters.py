"""Counters as a part of the store: each addition once, told with what it came to. Pure.

add-counter      (name, delta)            → (revision, value)
delete-counter   name                     → (revision, changed)
get-counter      name                     → (revision, value); 0 where there is none
list-counters    (prefix, after, limit)   → (revision, ((name, value), …), more)
"""

from typing import Any, ClassVar

from coordnode.checking.history import UNSEEN
from coordnode.checking.parts import Answer, Key, Part

COUNTERS = 8


class Counters(Part):
    NAME: ClassVar[str] = "counters"
    SPACE: ClassVar[int] = COUNTERS

    def __init__(self, item: Any) -> None:
        super().__init__(item)
        self.answers = {
            "add-counter": self._add,
            "delete-counter": self._delete,
            "get-counter": self._get,
            "list-counters": self._list,
        }
        self._values: dict[Any, int] = {}

    def placed(self, key: Key, old: Any, new: Any) -> None:
        if new is None:
            self._values.pop(key[1], None)
        else:
            self._values[key[1]] = new

    def event_key(self, key: Key) -> bytes | None:
        name: bytes = key[1]
        return name

    def _add(self, argument: Any, _result: Any) -> Answer:
        name, delta = argument
        value = self._values.get(name, 0) + delta
        return (self.revision() + 1, value), {("counters", name): value}

    def _delete(self, name: Any, _result: Any) -> Answer:
        if name not in self._values:
            return (self.revision(), 0), {}
        return (self.revision() + 1, 1), {("counters", name): None}

    def _get(self, name: Any, _result: Any) -> Answer:
        return (self.revision(), self._values.get(name, 0)), {}

    def _list(self, argument: Any, result: Any) -> Answer:
        if result is UNSEEN:
            return UNSEEN, {}
        prefix, after, limit = argument
        rows = [(name, value) for name, value in sorted(self._values.items()) if name.startswith(prefix) and name > after]
        return (self.revision(), tuple(rows[:limit] if limit else rows), bool(limit) and len(rows) > limit), {}
