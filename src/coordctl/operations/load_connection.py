"""One connection of a generator of load, with a session of its own: operations are done on it, one after the other or side by side."""

from typing import Any, NamedTuple, Protocol

from coordctl.load.tally import Tally
from coordctl.load.workloads import Operation, Place
from coordnode.client.core import READS
from coordnode.client.requests import Answer, Request
from coordnode.errors import CoordError, PromiseBroken

CLOSE_MS_MAX = 2_000


class Owner(Protocol):
    """Whose connection it is."""

    tally: Tally
    heard_ns: int  # when what is being read now was there to be read

    def on_opened(self, connection: "Connection") -> None:
        """Its session is, or could not be: see its trouble."""

    def on_session_lost(self, connection: "Connection") -> None: ...

    def on_over(self, connection: "Connection") -> None:
        """One operation is, however it went."""


class Work:
    """One operation under way."""

    __slots__ = ("is_counted", "is_write", "meant_ns", "name", "operation", "place", "request", "sent_ns")

    def __init__(self, name: str, operation: Operation, place: Place, meant_ns: int, is_counted: bool) -> None:
        self.request: Request[Any]
        self.name = name
        self.operation = operation
        self.place = place
        self.meant_ns = meant_ns
        self.is_counted = is_counted
        self.is_write = False
        self.sent_ns = 0


class Terms(NamedTuple):
    identity: str
    prefix: str  # of the names of all its places
    value: bytes
    ttl_ms: int
    timeout_ms: int  # of one request


class Connection:
    """Whoever is asked on it, its operations and their places are the same. Each engine says how it asks."""

    def __init__(self, owner: Owner, terms: Terms, places_max: int) -> None:
        self._owner = owner
        self._terms = terms
        self._places_max = places_max
        self.registered: tuple[int, int] | None = None  # (file, what it is polled for)
        self._places: list[Place] = []  # that nobody is at
        self._places_made = 0
        self.is_open = False
        self.trouble = ""  # why its session could not be opened
        self.way_ns = 0  # to the leader and back, the shortest; 0: not known

    # --- each engine's own ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Its session, if there is one."""
        raise NotImplementedError

    @property
    def under_way(self) -> int:
        raise NotImplementedError

    def _ask(self, work: Work, now_ns: int) -> None:
        raise NotImplementedError

    def _is_held(self) -> bool:
        """Its session surely is, and what it finds is nobody's doing but that of others."""
        raise NotImplementedError

    def look(self) -> None:
        """Before any load, at what is answered at once: that takes as long as the way to the leader."""

    def abandon(self) -> list[Work]:
        """What will not be waited for any more."""
        raise NotImplementedError

    def carry_out(self) -> None:
        """What was asked since the last time is sent, and what came of it is told."""
        raise NotImplementedError

    def wanted(self) -> tuple[int, int] | None:
        """(file, what it is to be polled for)"""
        raise NotImplementedError

    def on_ready(self, event: int) -> None:
        raise NotImplementedError

    def wake_at_ms(self) -> int | None:
        raise NotImplementedError

    def hang_up(self) -> None:
        raise NotImplementedError

    # --- operations ----------------------------------------------------------------------------------------------------

    def has_place(self) -> bool:
        return self.is_open and self.under_way < self._places_max

    def begin(self, name: str, meant_ns: int, now_ns: int, *, is_counted: bool) -> None:
        if self._places:
            place = self._places.pop()
        else:
            place = Place(f"{self._terms.prefix}.{self._places_made}", self._terms.value)
            self._places_made += 1
        work = Work(name, place.begin(name), place, meant_ns, is_counted)
        self._go_on(work, None, now_ns)

    def _go_on(self, work: Work, answer: object, now_ns: int) -> None:
        try:
            work.request = work.operation.send(answer)
        except StopIteration:
            if work.is_counted:
                self._owner.tally.add(work.name, now_ns - work.meant_ns)
            self._over(work)
            return
        except PromiseBroken as error:
            # What was bound to a session goes with it: only while it is surely held, its absence proves anything.
            if self._is_held():
                self._owner.tally.on_wrong(error.sentence)
            self._failed(work, error)
            return
        except CoordError as error:
            self._failed(work, error)
            return
        work.is_write = type(work.request.operation) not in READS
        self._ask(work, now_ns)
        work.sent_ns = now_ns

    def _failed(self, work: Work, error: CoordError) -> None:
        if work.is_counted:
            self._owner.tally.fail(type(error).__name__)
        work.place.start_anew()
        self._over(work)

    def _over(self, work: Work) -> None:
        self._places.append(work.place)
        self._owner.on_over(self)

    def _on_finished(self, work: Work, result: Answer | None, error: CoordError | None) -> None:
        now_ns = self._owner.heard_ns
        if error is not None:
            self._failed(work, error)
            return
        if work.is_counted:
            tally = self._owner.tally
            (tally.writes if work.is_write else tally.reads).add(now_ns - work.sent_ns)
        try:
            answer = work.request.convert(result)
        except CoordError as refused:
            self._failed(work, refused)
            return
        self._go_on(work, answer, now_ns)

    def forget_places(self) -> None:
        """What lay there was bound to a session that is over."""
        for place in self._places:
            place.start_anew()
