"""What one service is to the store's model: its answers, its items, and what goes with a session. Pure."""

from collections.abc import Callable
from typing import Any, ClassVar

from coordnode.checking.history import Value

Key = Any  # bytes from the simulator, text from a file: only compared with its like; of a part: (its name, …)
Changes = dict[Key, Any]  # the items that a command leaves behind, None for those that go; empty: it changed nothing
Answer = tuple[Value, Changes]


class Part:
    """Another service's part of the store. Its state are items under keys (name, …): read by `item`, changed only through answers."""

    NAME: ClassVar[str]
    RAISES_REVISION: ClassVar[bool] = True  # a change of it has a revision of its own, as one of a key has
    SPACE: ClassVar[int] = -1  # of the events that watches are told of it

    def __init__(self, item: Callable[[Key], Any]) -> None:
        self.item = item
        self.revision: Callable[[], int] = lambda: 0  # set by the store: the newest one
        self.answers: dict[str, Callable[[Any, Any], Answer]] = {}  # by function: (argument, result or UNSEEN)

    def placed(self, key: Key, old: Any, new: Any) -> None:
        """An item came, went (new is None) or changed, also backwards: for what the part keeps to find items by."""

    def ends(self, session: int) -> Changes:
        """What the end of a session changes."""
        return {}

    def raises_revision(self, key: Key) -> bool:
        return self.RAISES_REVISION

    def event_key(self, key: Key) -> bytes | None:
        """Under which key watches are told of it; None: they are not."""
        return None
