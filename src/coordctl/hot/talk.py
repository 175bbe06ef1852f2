"""One session for a process that starts fast: whom to ask, what to send and send again, what to believe of its lease. Pure.

Its owner reports what happened, then carries out what `poll` returns, and calls it again by `wake_at_ms`. Everything that is
asked here may safely be sent twice: opening has a nonce, writes of a session have their sequence, the rest changes nothing.
"""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.address import parse_address
from coordnode.client.addresses import Places, parse_addresses
from coordnode.client.renewal import Renewal
from coordnode.client.route import Chance, Route, jittered_ms
from coordnode.errors import (
    ClusterReplaced,
    CoordError,
    NoSpace,
    NotLeader,
    NotPermitted,
    NotReady,
    Overloaded,
    SessionExpired,
    WrongCluster,
)
from coordnode.ids import NO_SESSION, NOBODY, MemberId, Revision, SessionId
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ATTEMPT_MS = 600  # after so much silence another member is asked
ATTEMPT_MS_MIN = 300  # a third of the shortest lease that a cluster grants, about
PROBE_MS = 5_000  # a session with a long lease is renewed as often as that, or a dead connection would hide its notices
OPEN_TAG, CLOSE_TAG = 10, 11
PARENT_FIELD = 5  # of what opens a session
NOTICES = 1
DOWN, CONNECTING, UP = range(3)
RETRIED = (NotReady, Overloaded, NoSpace)
GONE = (ClusterReplaced, WrongCluster)  # what is said of a session's cluster where another one has its place


class Connect(NamedTuple):
    address: str


class Disconnect(NamedTuple):
    pass


class Send(NamedTuple):
    ask: list[object]  # one ask of docs/protocol.md


Action = Connect | Disconnect | Send


class Answered(NamedTuple):
    """The only outcome of a call: `result` as docs/protocol.md has it, or an error that says it surely did not happen."""

    call: int
    result: Any
    error: CoordError | None


class Noticed(NamedTuple):
    """What was told to this session: a result, in msgpack."""

    kind: int
    value: bytes


class Missed(NamedTuple):
    """Notices may be gone: look at what is."""


class Renewed(NamedTuple):
    until_ms: int


class Expired(NamedTuple):
    """The cluster says that the session is over."""


Told = Answered | Noticed | Missed | Renewed | Expired


class _Call:
    __slots__ = ("first_sent_ms", "not_before_ms", "number", "operation", "request", "sent_ms", "sequence", "tag")

    def __init__(self, number: int, tag: int, operation: list[object], sequence: int) -> None:
        self.number = number
        self.tag = tag
        self.operation = operation
        self.sequence = sequence  # 0: not of the session's
        self.request = 0  # the attempt under way; 0: none
        self.not_before_ms = 0
        self.first_sent_ms = 0
        self.sent_ms = 0


class Talk:
    def __init__(self, addresses: Sequence[str], chance: Chance, led: str = "") -> None:
        """`led`: where a leader was before, who is asked first."""
        self.lease = Renewal(0)
        self.heard_ms = 0  # when a member last answered as a leader does
        self.troubles: dict[str, str] = {}  # address -> what it did last
        self.cluster = frames.ANY_CLUSTER  # until the first member said hello
        self._parent_cluster = 0  # of the session whose command we are, until a member said hello
        self._is_cluster_gone = False
        given = parse_addresses(addresses)
        self._places = Places(given)
        self._route = Route(self._places.current(), chance)
        if led and parse_address(led) in given:
            self._route.member = MemberId(given.index(parse_address(led)) + 1)
        self.led = led  # where a leader last answered
        self._chance = chance
        self._link = DOWN
        self._link_since_ms = 0
        self._heard_link_ms = 0
        self._calls: list[_Call] = []  # unanswered, in the order they were asked
        self._opening = 0  # the call that opens the session
        self._closing = 0
        self._last_number = 0
        self._last_sequence = 0
        self._failures = 0
        self._renewals: dict[int, int] = {}  # request -> when it was sent
        self._renewed_ms = 0  # when that was last asked
        self._watch_request = 0
        self._watch_from = Revision(0)
        self._actions: list[Action] = []
        self._told: list[Told] = []

    # --- what the owner wants --------------------------------------------------------------------------------------

    def open(self, nonce: bytes, ttl_ms: int, owner: str, first: list[object] | None, parent: int = 0, parent_cluster: int = 0) -> int:
        """Opens the session, with a first operation in it. Again with another nonce: another session, the old one is forgotten.

        `parent`: a session that will not go on before this one is over. Where another cluster than its own answers it is left out: the
        number is somebody else's there. `parent_cluster` 0: nobody said which one that is.
        """
        if self._is_cluster_gone:
            self.cluster = frames.ANY_CLUSTER
            self._is_cluster_gone = False
        if parent and parent_cluster and self.cluster == frames.ANY_CLUSTER:
            self.cluster = self._parent_cluster = parent_cluster
        elif parent_cluster not in (0, self.cluster):
            parent = 0
        self.lease = Renewal(ttl_ms)
        self._last_sequence = 1
        self._calls.clear()
        self._renewals.clear()
        self._watch_request = 0
        self._opening = self._call(frames.WRITE, [OPEN_TAG, nonce, ttl_ms, owner, first, parent], 0)
        return self._opening

    def write(self, operation: list[object]) -> int:
        """In the session, which must be open."""
        assert self.lease.id != NO_SESSION
        self._last_sequence += 1
        return self._call(frames.WRITE, operation, self._last_sequence)

    def read(self, operation: list[object]) -> int:
        return self._call(frames.READ, operation, 0)

    def close(self) -> int:
        """Of an open session. It is not renewed any more; calls under way still end."""
        self.lease.closing = True
        self._closing = self._call(frames.WRITE, [CLOSE_TAG, self.lease.id], 0)
        return self._closing

    def renew_soon(self, now_ms: int) -> None:
        """Unless that is under way already."""
        if not self._renewals:
            self.lease.ask_at_ms = min(self.lease.ask_at_ms, now_ms)

    def was_sent(self) -> bool:
        """What opens the session: it may be open."""
        return any(call.number == self._opening and call.first_sent_ms for call in self._calls)

    def is_refused_everywhere(self) -> bool:
        return all(self.troubles.get(address) == "connection refused" for address in self._given())

    def _given(self) -> list[str]:
        return [str(self._places.address(place)) for place in self._places.current()]

    def _call(self, tag: int, operation: list[object], sequence: int) -> int:
        self._last_number += 1
        self._calls.append(_Call(self._last_number, tag, operation, sequence))
        return self._last_number

    # --- what happened ---------------------------------------------------------------------------------------------

    def address(self) -> str:
        return str(self._places.address(self._route.member))

    def on_connected(self, now_ms: int) -> None:
        if self._link == CONNECTING:
            self._link = UP
            self._heard_link_ms = now_ms
            self.lease.on_connected()

    def on_hello(self, hello: list[Any], now_ms: int) -> None:
        """At another cluster, which a place may have become, our session is over: nothing that it says is about us."""
        if self._link != UP:
            return  # it came behind one that ended it
        try:
            self.cluster = frames.cluster_of(hello, self.cluster)
        except WrongCluster as error:
            self.on_refused(error, now_ms)
            return
        self._parent_cluster = 0
        contacts = [(MemberId(member), address) for member, address in (hello[6] if len(hello) > 6 else [])]
        self._places.on_hello(self._route.member, MemberId(hello[1]), contacts)
        self._route.on_members(self._places.current())

    def on_disconnected(self, trouble: str, now_ms: int) -> None:
        """Also when the connection could not be made, or speaks nonsense."""
        if self._link != DOWN:
            self._hang_up(trouble, now_ms)

    def on_shut_out(self, why: str, now_ms: int) -> None:
        """There is no understanding about certificates: it has read nothing of us."""
        self.on_refused(NotPermitted(why), now_ms)

    def on_refused(self, error: CoordError, now_ms: int) -> None:
        """The member does not speak to us at all: it has read nothing that came behind our hello. One keeps nobody out."""
        for call in self._calls:
            if call.request and call.first_sent_ms == call.sent_ms:
                call.first_sent_ms = 0
        if self._parent_cluster and isinstance(error, GONE):
            self._leave_out_parent()
            return
        self._places.on_refused(self._route.member, error)
        self.on_disconnected(error.sentence, now_ms)
        if isinstance(error, ClusterReplaced):
            self._end_all(error)

    def _leave_out_parent(self) -> None:
        """This is not its cluster. The same member is asked anew."""
        self.cluster, self._parent_cluster = frames.ANY_CLUSTER, 0
        for call in self._calls:
            if call.number == self._opening:
                call.operation[PARENT_FIELD] = 0
        if self._link != DOWN:
            self._forget_link()
            self._actions.append(Disconnect())

    def _end_all(self, error: CoordError) -> None:
        """There is no other answer to what was asked; and no such session where its cluster is no more."""
        if isinstance(error, GONE):
            self._is_cluster_gone = True
            if self._is_renewed():
                self._told.append(Expired())
        for call in self._calls:
            is_reached = call.number == self._closing and isinstance(error, GONE)
            self._told.append(Answered(call.number, None, None if is_reached else error))
        self._calls.clear()

    def on_answer(self, answer: list[Any], now_ms: int) -> None:
        if self._link != UP:
            return  # it came behind a hello that ended it
        self._heard_link_ms = now_ms
        kind, request, *fields = answer
        if request == self._watch_request and request:
            self._on_watch(kind, fields, now_ms)
        elif request in self._renewals:
            self._on_renewal(kind, self._renewals.pop(request), fields, now_ms)
        elif kind == frames.PROGRESS:
            self._watch_from = Revision(max(self._watch_from, fields[0] + 1))
        else:
            call = next((call for call in self._calls if call.request == request), None)
            if call is not None:
                self._on_call(call, kind, fields, now_ms)

    def poll(self, now_ms: int) -> list[Action]:
        self._steer(now_ms)
        if self._link == UP:
            self._send(now_ms)
        actions, self._actions = self._actions, []
        return actions

    def told(self) -> list[Told]:
        told, self._told = self._told, []
        return told

    def wake_at_ms(self) -> int | None:
        if not self._has_work():
            return None
        if self._link == DOWN:
            return self._route.try_at_ms
        if self._link == CONNECTING:
            return self._link_since_ms + self._patience_ms()
        times = [call.not_before_ms for call in self._calls if not call.request]
        if self._is_waiting():
            times.append(self._heard_link_ms + self._patience_ms())
        if self._is_renewed():
            times.append(self._renew_at_ms())
        return min(times, default=None)

    # --- answers ---------------------------------------------------------------------------------------------------

    def _on_call(self, call: _Call, kind: int, fields: list[Any], now_ms: int) -> None:
        if kind == frames.REPLY:
            result = fields[2]
            error = None
            if result is not None and result[0] == frames.FAILURE:
                error, result = frames.error_of(result[1], result[2]), None
            self._progress(now_ms)
            self._finish(call, result, error, now_ms)
            return
        code, sentence, definite, *rest = fields
        error = frames.error_of(code, sentence)
        call.request = 0
        self.troubles[self.address()] = "does not lead" if isinstance(error, NotLeader) else sentence
        if isinstance(error, NotLeader):
            self._follow(rest[1] if len(rest) > 1 else 0, now_ms)
        elif isinstance(error, RETRIED) or not definite:
            self._failures += 1
            call.not_before_ms = now_ms + max(rest[0] if rest else 0, jittered_ms(self._chance, self._failures))
        else:
            self._progress(now_ms)
            self._finish(call, None, error, now_ms)

    def _finish(self, call: _Call, result: Any, error: CoordError | None, now_ms: int) -> None:
        self._calls.remove(call)
        if call.number == self._opening and error is None:
            frames.expect(result, frames.OPENED)
            _, session, ttl_ms, revision, *_ = result
            self.lease.on_opened(SessionId(session), ttl_ms, call.first_sent_ms, now_ms)
            self._watch_from = Revision(revision + 1)
            self._renewed_ms = call.sent_ms
        if call.number == self._closing and isinstance(error, SessionExpired):
            error = None
        self._told.append(Answered(call.number, result, error))

    def _on_renewal(self, kind: int, sent_ms: int, fields: list[Any], now_ms: int) -> None:
        if kind == frames.ERROR:
            if fields[0] == NotLeader.code:
                self.troubles[self.address()] = "does not lead"
                self._follow(fields[4] if len(fields) > 4 else 0, now_ms)
            return
        alive, expired = fields[0], fields[1]
        self._progress(now_ms)
        for session, ttl_ms in alive:
            if session == self.lease.id:
                self.lease.on_alive(sent_ms, ttl_ms)
                self._told.append(Renewed(self.lease.until_ms))
        if self.lease.id in expired and not self.lease.closing:
            self._told.append(Expired())

    def _on_watch(self, kind: int, fields: list[Any], now_ms: int) -> None:
        if kind == frames.PUSH:
            for revision, events in fields[0]:
                if revision >= self._watch_from:
                    self._told += [Noticed(event[0], event[2]) for event in events]
            self._watch_from = Revision(max(self._watch_from, fields[1] + 1))
            return
        self._watch_request = 0
        if kind == frames.GAP:
            self._watch_from = Revision(0)
            self._told.append(Missed())
        elif kind == frames.ERROR and fields[0] == NotLeader.code:
            self._follow(fields[4] if len(fields) > 4 else 0, now_ms)

    def _progress(self, now_ms: int) -> None:
        self.heard_ms = now_ms
        self.led = self.address()
        self._failures = 0
        self.troubles.pop(self.address(), None)
        self._route.on_progress()

    # --- the connection --------------------------------------------------------------------------------------------

    def _steer(self, now_ms: int) -> None:
        silent_since_ms = self._link_since_ms if self._link == CONNECTING else self._heard_link_ms
        is_waited_for = self._link == CONNECTING or (self._link == UP and self._is_waiting())
        if is_waited_for and now_ms >= silent_since_ms + self._patience_ms():
            self._hang_up("fell silent", now_ms)
        if self._link == DOWN and self._has_work() and now_ms >= self._route.try_at_ms:
            self._link = CONNECTING
            self._link_since_ms = now_ms
            self._actions.append(Connect(self.address()))

    def _send(self, now_ms: int) -> None:
        if not self._is_waiting():
            self._heard_link_ms = now_ms  # silence counts from the first unanswered question
        for call in self._calls:
            if not call.request and now_ms >= call.not_before_ms:
                call.request = self._number()
                call.sent_ms = now_ms
                call.first_sent_ms = call.first_sent_ms or now_ms
                self._actions.append(Send(self._ask(call)))
        if self.lease.id == NO_SESSION or self.lease.closing:
            return
        if not self._watch_request:
            self._watch_request = self._number()
            key = self.lease.id.to_bytes(8)
            self._actions.append(Send([frames.WATCH, self._watch_request, key, key + b"\0", self._watch_from, NOTICES]))
        if now_ms >= self._renew_at_ms():
            request = self._number()
            self._renewals[request] = self._renewed_ms = now_ms
            self.lease.on_asked(now_ms)
            self._actions.append(Send([frames.KEEP_ALIVE, request, [self.lease.id]]))

    def _ask(self, call: _Call) -> list[object]:
        if call.tag == frames.READ:
            return [frames.READ, call.request, call.operation, False, 0]
        session = self.lease.id if call.sequence else NO_SESSION
        lowest_open = min(other.sequence for other in self._calls if other.sequence) if call.sequence else 0
        return [frames.WRITE, call.request, [session, call.sequence, lowest_open, "", call.operation]]

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _has_work(self) -> bool:
        return bool(self._calls) or self._is_renewed()

    def _is_renewed(self) -> bool:
        return self.lease.id != NO_SESSION and not self.lease.closing

    def _is_waiting(self) -> bool:
        return bool(self._renewals) or any(call.request for call in self._calls)

    def _renew_at_ms(self) -> int:
        return min(self.lease.ask_at_ms, self._renewed_ms + PROBE_MS)

    def _patience_ms(self) -> int:
        """A member that is asked for a lease of no time at all is still given the time to refuse it."""
        return min(ATTEMPT_MS, max(ATTEMPT_MS_MIN, self.lease.ttl_ms // 3)) if self.lease.ttl_ms else ATTEMPT_MS

    def _follow(self, leader: int, now_ms: int) -> None:
        if self._link == UP:
            self._forget_link()
            self._actions.append(Disconnect())
            self._route.on_not_leader(self._places.place_of(MemberId(leader)) if leader else NOBODY, now_ms)

    def _hang_up(self, trouble: str, now_ms: int) -> None:
        if self._link == CONNECTING:
            self._places.on_unreached(self._route.member)
        self.troubles[self.address()] = trouble
        self._forget_link()
        self._actions.append(Disconnect())
        self._route.on_unreachable(now_ms, 2 * ATTEMPT_MS)
        if why := self._places.shut_out():
            troubles = "; ".join(f"{address}: {trouble}" for address, trouble in self.troubles.items())
            self._end_all(type(why)(f"no member lets this client in ({troubles})"))

    def _forget_link(self) -> None:
        self._link = DOWN
        self._renewals.clear()
        self._watch_request = 0
        for call in self._calls:
            call.request = 0
