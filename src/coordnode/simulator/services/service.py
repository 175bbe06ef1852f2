"""What one service is in the simulator: what clients ask of it, how that reads in a history, and which checks it has of its own.

What its answers must have been is judged in checking/: a model there, listed in checking.store, replays the order of the log.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from coordnode.checking.presence import Presence
from coordnode.client.actions import Finished, WatchEvents, WatchFailed, WatchGapSeen
from coordnode.services.commands import ClientOperation, Command, FirstOperation, ReadOperation, Result
from coordnode.simulator.client import SimClient
from coordnode.simulator.marks import Marks
from coordnode.simulator.recording import Recording
from coordnode.simulator.reference import EventRow
from coordnode.simulator.vocabulary import Words

Step = Callable[[SimClient], None]


class Stage(Protocol):
    """What a service may use of the workload around it."""

    chance: random.Random
    recording: Recording
    presence: Presence
    marks: Marks
    begun: int  # operations so far
    guest: SimClient  # may what the roles say; all other clients may everything

    def call(
        self,
        client: SimClient,
        operation: ClientOperation | ReadOperation,
        *,
        session: int = 0,
        request_id: str = "",
        stale: bool = False,
        min_revision: int = 0,
    ) -> int:
        """Asks, and records that it was asked. The number that on_finished names."""
        ...

    def open_again(self, client: SimClient, nonce: bytes, request_id: str, ttl_ms: int) -> int:
        """As HTTP opens a session under a key: whoever asks with the same nonce is answered with the same session. Nobody keeps it."""
        ...

    def close_other(self, client: SimClient, opening: int) -> None:
        """Such a session, opened by that call of the client's; no other call closes it."""
        ...

    def write(self, client: SimClient, operation: ClientOperation) -> int:
        """Deduplicated by a session where the client has one, by a request id else."""
        ...

    def usable_session(self, client: SimClient) -> int:
        """The client's own number of one that is open; 0: it has none."""
        ...

    def tokens(self) -> list[tuple[bytes, int]]:
        """All that are live, as the services' truths say, each with the name under which a transaction asks for it."""
        ...

    def stream(self, name: str) -> random.Random:
        """Draws of the service's own: what others draw stays as it is."""
        ...

    def new_value(self, client: SimClient) -> bytes:
        """Never written twice, so that a value read names its write."""
        ...


class SimService:
    """One per seed. A step asks for one thing; the steps of all services are drawn by weight, and each seed bends the weights."""

    WORDS: ClassVar[Mapping[type, Words]] = {}  # by type of operation

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def steps(self) -> Mapping[Step, int]:
        """With the weight of each; those of all services together are about a hundred."""
        return {}

    def first_command(self, client: SimClient) -> FirstOperation | None:
        """What a session may be opened with."""
        return None

    def before_step(self, client: SimClient) -> None:
        """The client is about to do something; not what it does."""

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        """One of the client's calls is over; it may be another service's."""

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        """May be another service's watch."""

    def tokens(self) -> list[tuple[bytes, int]]:
        """Its own part of Stage.tokens."""
        return []

    def why_not_quiet(self, client: SimClient) -> str:
        """With nothing asked any more: what this client should have been told and was not, in words."""
        return ""

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        """The first copy of this command was committed at `place` and did that; told in the order of the log, for checks of its own."""

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        """That is what the command of the last `on_effect` did, too. Whether watches must be told of more than its keys."""
        return False

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        """The revisions that the command of the last `on_effect` made, with what watches are told of each."""
