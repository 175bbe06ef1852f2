"""What a claim asks of the thing that it claims (a lock, a leadership, a membership), and whom it speaks through. Only types, which nothing
loads when it runs."""

from typing import Any, Protocol

from coordctl.hot.talk import Told
from coordnode.client.renewal import Renewal


class Wish(Protocol):
    """What is claimed. The numbers are tags of docs/protocol.md, whose fields have the same order for each service."""

    name: str
    waits: bool
    verb: str  # of coordctl
    held: str  # "still held": in words
    broken: str  # "was broken by": in words
    is_token: bool  # what it is granted with
    is_conflict_busy: bool  # a Conflict may go by; else it is the caller's mistake
    comes_with_opening: bool  # of the session
    space: int  # of what is told to the session
    granted: int  # revision, token
    queued: int  # revision, ticket, how many are ahead, who has it
    busy: int  # revision, who has it
    given: int  # told: name, ticket, token
    taken: int  # told: name, token, reason, by whom
    standing: int  # revision, [[name, token or 0, ticket], …]

    def operation(self) -> list[object]: ...

    def on_granted(self, result: Any) -> None: ...

    def environment(self, token: int) -> dict[str, str]:
        """Of the command."""

    def read(self) -> list[object]:
        """Who has it."""

    def read_standing(self, session: int) -> list[object]:
        """What a session has and waits for; empty: what it has once lasts as long as the session."""

    def had_by(self, fields: Any) -> Any:
        """Who has it, as `queued` and `busy` say it."""

    def had_now(self, result: Any) -> Any | None:
        """Who has it, as a read says it."""

    def who(self, had: Any, extra_ms: int = 0) -> str:
        """As the end of "NAME is …". `extra_ms`: that was said so long ago."""

    def token(self, had: Any) -> int: ...


class Speech(Protocol):
    """A session, and what is asked beside it, in the words of docs/protocol.md. Each engine has a talk of its own."""

    lease: Renewal
    cluster: int  # which one answered; 0: it does not say
    heard_ms: int  # when a member last answered that could
    troubles: dict[str, str]  # address -> what it did last

    def open(self, nonce: bytes, ttl_ms: int, owner: str, first: list[object] | None, parent: int = 0, parent_cluster: int = 0) -> int:
        """A session with a first operation in it; the number of the call. Again with another nonce: the old session is forgotten."""

    def write(self, operation: list[object]) -> int: ...

    def read(self, operation: list[object]) -> int: ...

    def close(self) -> int: ...

    def renew_soon(self, now_ms: int) -> None: ...

    def was_sent(self) -> bool: ...

    def is_refused_everywhere(self) -> bool: ...

    def told(self) -> list[Told]: ...

    def wake_at_ms(self) -> int | None: ...
