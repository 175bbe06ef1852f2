"""Commands and results in the words of checking.store. Written from what they mean, not with the code that applies them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from coordnode.checking.history import Value
from coordnode.ids import SessionId
from coordnode.services.commands import CloseSession, Failure, OpenSession, Operation, ReadOperation, Result, SessionOpened

Asked = tuple[str, Value]  # function and argument


OTHER = "other"


class Words(NamedTuple):
    """How one operation reads in a history."""

    asked: Callable[[Any, SessionId], Asked]  # of (operation, session)
    answered: Callable[[Any, Any], Value]  # of (operation, result); never of a Failure: that changed nothing and is no answer


def other(what: str) -> Words:
    """Of a service whose truth is kept by checks of its own: the history only says what was asked, and the revision."""
    return Words(
        lambda operation, session: (OTHER, (what, repr(operation), int(session))), lambda _operation, result: (int(result.revision),)
    )


def other_read(what: str) -> Words:
    return Words(lambda operation, _session: ("other-read", (what, repr(operation))), lambda _operation, result: (int(result.revision),))


class Vocabulary:
    """Of all services together; sessions and the barrier belong to none of them."""

    def __init__(self, services: Iterable[Mapping[type, Words]]) -> None:
        self._words: dict[type, Words] = {
            type(None): Words(lambda _operation, _session: ("barrier", None), lambda _operation, _result: None),
            OpenSession: Words(self._opening, self._opened),
            CloseSession: Words(lambda operation, _session: ("close-session", int(operation.session)), _closed),
        }
        for words in services:
            assert not self._words.keys() & words.keys(), "two services claim one operation"
            self._words.update(words)

    def asked(self, operation: Operation | ReadOperation, session: SessionId) -> Asked:
        return self._words[type(operation)].asked(operation, session)

    def answered(self, operation: Operation | ReadOperation, result: Result | None) -> Value:
        assert not isinstance(result, Failure)
        return self._words[type(operation)].answered(operation, result)

    def _opening(self, operation: OpenSession, _session: SessionId) -> Asked:
        return "open-session", None if operation.first is None else self.asked(operation.first, SessionId(0))

    def _opened(self, operation: OpenSession, result: SessionOpened) -> Value:
        first = None if result.first is None else self.answered(operation.first, result.first)
        return int(result.revision), int(result.session), first


def _closed(_operation: CloseSession, _result: Result) -> Value:
    raise AssertionError("what a close was answered says only that the session is over; see Recording")
