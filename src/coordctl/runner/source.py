"""What a runner needs to know about the thing that is held while its command runs: a lock, an election, a task, a shard."""

from __future__ import annotations

from coordnode.light import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLL_MS_MAX = 2**31 - 1  # it takes no more at a time: who wakes too early looks again


class Granted(NamedTuple):
    """It is ours, and stays so until `deadline_ms` if nothing is renewed."""

    token: int | None  # None: it has none
    deadline_ms: int
    environment: Mapping[str, str]


class Renewed(NamedTuple):
    deadline_ms: int


class Lost(NamedTuple):
    """For good. `reason` is one of ending.LOSSES; the sentence says who or what did it."""

    reason: str
    sentence: str


class Revoked(NamedTuple):
    """Somebody else shall have it, who waits until we let go: the command is ended, and that is no loss."""

    sentence: str


class Refused(NamedTuple):
    """It will not be ours: `outcome` is one of outcome.OUTCOMES, the sentence says why and what to do."""

    outcome: str
    sentence: str


class News(NamedTuple):
    """For a person who waits."""

    sentence: str


class Closed(NamedTuple):
    """Nothing is held any more, and nothing of us is left in the cluster; else `sentence` says what is.

    With an outcome: what had to be written for a command that succeeded could not be; this is how the run ended then.
    """

    sentence: str = ""
    outcome: str = ""


Told = Granted | Renewed | Lost | Revoked | Refused | News | Closed


def heard(source: Source, now_ms: int) -> Iterator[Told]:
    while told := source.poll(now_ms):
        yield from told


class Source(Protocol):
    """Times are on client.clock. After whatever else is called, and by `wake_at_ms`, `poll` is, until it tells nothing."""

    def descriptor(self) -> tuple[int, int]:
        """(file descriptor, what to poll it for); (-1, 0): none now."""

    def on_ready(self, now_ms: int) -> None: ...

    def poll(self, now_ms: int) -> list[Told]: ...

    def wake_at_ms(self) -> int | None: ...

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        """Let go of everything; ends with Closed. Whether the command ended with 0, while all was still held."""

    def hang_up(self) -> None:
        """After the end."""
