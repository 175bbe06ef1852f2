"""What a service sees of the command under way, and what the machine asks of a service. Pure."""

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, ClassVar, NamedTuple

from coordnode.errors import CoordError, TooOld
from coordnode.ids import NO_SESSION, Index, Revision, SessionId, Term
from coordnode.raft.blobs import Blob, BlobWrite
from coordnode.services.commands import NOTICES, Failure, RecordsRead, Result
from coordnode.services.holdings import Holdings
from coordnode.services.rights import Rights
from coordnode.services.state import Scalars, Settings
from coordnode.services.tables import Container

EventRow = tuple[int, bytes, bytes, int, int] | tuple[int, bytes, bytes, int, int, int]
"""A commands.Event as a plain tuple, in the order of its fields: history encodes it, only a reader makes an Event of it.
kv's have no space."""

ChangeRow = tuple[int, Sequence[EventRow]]
"""A commands.Change likewise: (revision, events)."""

Containers = tuple[Container[Any, Any], ...]
Handler = Callable[[Any], Result]
Check = Callable[[Any, Settings], CoordError | None]
Reader = Callable[[Any, int, int], Result]  # (operation, items_max, bytes_max)


class Located(NamedTuple):
    """Where the records that a read asks for lie, and what is to be answered besides."""

    blob: Blob
    offset: int
    next: int  # the offset behind the last record of that blob
    answer: RecordsRead  # without the frames


Locator = Callable[[Any], Located | Result]

_pack_session = Struct(">Q").pack


class Context:
    """One per machine, filled in anew for each command: a handler reads it and keeps nothing of it."""

    __slots__ = (
        "_events",
        "blobs",
        "changes",
        "cluster_ms",
        "end_session",
        "execute",
        "holdings",
        "index",
        "lineage",
        "on_group_changed",
        "own",
        "owner_of",
        "position",
        "root_of",
        "rows_looked_at",
        "scalars",
        "session",
        "settings",
        "settle",
        "shown_ms",
        "term",
        "wall_ms",
        "weights_of",
    )

    def __init__(self, settings: Settings, scalars: Scalars) -> None:
        self.settings = settings
        self.scalars = scalars
        self.holdings = Holdings(scalars)
        self.index = Index(0)
        self.term = Term(0)
        self.position = 0
        self.cluster_ms = scalars.cluster_ms
        self.shown_ms = scalars.cluster_ms  # cluster time as answers tell it: of a read, as the leader counts it now
        self.wall_ms = 0  # to be stored and shown; no rule reads it
        self.rows_looked_at = 0  # by reads, beside what they answer; only grows, and no rule reads it
        self.session = NO_SESSION
        self.changes: list[ChangeRow] = []  # of this batch; history takes them at its end
        self.blobs: list[BlobWrite] = []  # what is to be written outside of the state; whoever drives the machine takes it
        self._events: list[EventRow] = []
        # Set by the machine:
        self.execute: Callable[[Any], Result]  # carry out an operation inside this command, with which it was checked
        self.end_session: Callable[[SessionId, bool], None]  # every service lets go of it; whether its client closed it
        self.settle: Callable[[], None]  # after the last session that this command ends
        self.owner_of: Callable[[SessionId], str]  # what an open session said of itself
        self.lineage: Callable[[SessionId], Sequence[SessionId]]  # a session, the one that waits for it, and so on
        self.root_of: Callable[[SessionId], SessionId]  # the last of that line when the session was opened
        self.weights_of: Callable[[bytes], list[tuple[bytes, SessionId, int]]]  # set by groups: who shares what is assigned over one
        self.own: Callable[[SessionId, str], None]  # set by auth: this session is that user's from now on
        # Set by shards: members of this group came, went or changed; because their session is ending, and `settle` comes, or not.
        self.on_group_changed: Callable[[bytes, bool], None] = lambda group, is_ending: None

    def emit(self, event: EventRow) -> None:
        """Part of the change that the next `publish` makes visible."""
        self._events.append(event)

    def publish(self) -> Revision:
        """Gives all events since the last time one revision. Without events the revision stays."""
        if self._events:
            self.scalars.revision = Revision(self.scalars.revision + 1)
            self.changes.append((self.scalars.revision, self._events))
            self._events = []
        return self.scalars.revision

    def notify(self, session: SessionId, kind: int, notice: bytes) -> None:
        """Tells a session what somebody else, or time, changed for it; part of the change that the next `publish` makes visible."""
        self._events.append((kind, _pack_session(session), notice, 0, session, NOTICES))

    def has_room(self, grown_bytes: int) -> bool:
        return self.scalars.state_bytes + grown_bytes <= self.settings.state_bytes_max


class Wait(NamedTuple):
    """Of whoever has been in line for longest."""

    name: bytes  # of what is waited for
    ms: int
    waiters: int  # for whatever that service gives out


class Service:
    """One kind of replicated object: its containers, its handlers, and what else the machine asks. registry.py lists it."""

    LEVELS: ClassVar[Mapping[type, int]] = {}  # operation type -> the feature level it needs
    LEVELS_OF: ClassVar[Mapping[type, Callable[[Any], int]]] = {}  # likewise, where it depends on what the operation says
    RIGHTS: ClassVar[Mapping[type, Rights]] = {}  # operation type -> what whoever asks for it must be allowed, once there are roles
    ADDS_DATA: ClassVar[tuple[type, ...]] = ()  # refused while the members with free space are no quorum
    CHECKS: ClassVar[Mapping[type, Check]] = {}  # operation type -> what is wrong with it, whatever the state; also asked before proposing

    def __init__(self, context: Context) -> None:
        self.context = context
        self.containers: Containers = ()
        self.routes: Mapping[type, Handler] = {}
        self.reads: Mapping[type, Reader] = {}
        self.locators: Mapping[type, Locator] = {}  # reads whose answers need bytes that are not in the containers

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        """Let go of what the session held; `is_clean`: its client closed it, knowing that it is over.

        Emit, but do not publish: all services together make one revision.
        """

    def settle(self) -> None:
        """Do what one command's ended sessions leave to be done, once for all of them; emit, but do not publish."""

    def due(self) -> int | None:
        """The cluster_ms at which the next thing falls due; None: nothing ever does."""
        return None

    def longest_wait(self, now_ms: int) -> Wait | None:
        """Who has been in line for longest; None: nobody is."""
        return None

    def blobs(self) -> Sequence[Blob]:
        """The bytes outside of its containers that they stand on, in the order of ids."""
        return ()

    def on_wake(self) -> None:
        """Do what has fallen due at context.cluster_ms, at most settings.wake_items_max things; emit, but do not publish."""


def failure(error: CoordError) -> Failure:
    assert error.definite or isinstance(error, TooOld)
    return Failure(error.code, error.sentence)
