"""Services whose truth is kept by checks of their own, in the order of the log: here they only move the store's revision on. Pure.

other        (raised, …)     → (revision, …)   `raised`: 1 if the log says that watches are told of it, else 0
other-read   …               → (revision, …)
others-end   (session, …)                      whose ends watches are told of, beside what happens to keys; unseen, before all else
"""

from typing import Any, ClassVar

from coordnode.checking.history import UNSEEN
from coordnode.checking.parts import Answer, Changes, Part

_MOVED = ("others", "moved")


class Others(Part):
    NAME: ClassVar[str] = "others"

    def __init__(self, item: Any) -> None:
        super().__init__(item)
        self.answers = {"other": self._other, "other-read": self._read, "others-end": self._ends}

    def raises_revision(self, key: Any) -> bool:
        return bool(key == _MOVED)

    def ends(self, session: int) -> Changes:
        """Once: an expiry may name a session that was closed before."""
        return {**self._move(), ("others", session): None} if self.item(("others", session)) else {}

    def _other(self, argument: Any, result: Any) -> Answer:
        changes = self._move() if argument[0] else {}
        return UNSEEN if result is UNSEEN else (self.revision() + bool(changes), *result[1:]), changes

    def _read(self, _argument: Any, result: Any) -> Answer:
        return UNSEEN if result is UNSEEN else (self.revision(), *result[1:]), {}

    def _ends(self, sessions: Any, _result: Any) -> Answer:
        return UNSEEN, {("others", session): True for session in sessions}

    def _move(self) -> Changes:
        return {_MOVED: (self.item(_MOVED) or 0) + 1}
