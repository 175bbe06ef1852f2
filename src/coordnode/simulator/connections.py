"""The streams between clients and members: ordered while they last, and cut by crashes, partitions and chance."""

from collections.abc import Sequence
from typing import Protocol

from coordnode.ids import MemberId
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Answer, Ask
from coordnode.simulator.network import BASE_DELAY_NS, SPREAD_NS
from coordnode.simulator.world import MILLISECOND, World

SILENT_CUT_NS = 1_500 * MILLISECOND  # a stream whose path is gone is given up by both ends after this

FAR_NS = (0, 0, 120 * MILLISECOND)
"""What the way of the farthest client of a seed takes in addition: an answer says what was true when it left."""


class ClientEnd(Protocol):
    name: str
    caller: Caller

    def on_opened(self, connection: int) -> None: ...

    def on_answers(self, connection: int, answers: Sequence[Answer]) -> None: ...

    def on_cut(self, connection: int) -> None: ...


class MemberEnd(Protocol):
    def is_serving(self) -> bool: ...

    def on_opened(self, connection: int, caller: Caller) -> None: ...

    def on_asks(self, connection: int, asks: Sequence[Ask]) -> None: ...

    def on_closed(self, connection: int) -> None: ...


class _Stream:
    __slots__ = ("answered_ns", "asked_ns", "client", "client_open", "member", "member_open", "silent")

    def __init__(self, client: ClientEnd, member: MemberId) -> None:
        self.client = client
        self.member = member
        self.client_open = True  # the client has not been told that it is over
        self.member_open = False  # the member knows it
        self.silent = False  # nothing gets through any more, and nobody knows yet
        self.asked_ns = 0  # arrival of the newest ask
        self.answered_ns = 0


class Connections:
    def __init__(self, world: World, members: dict[MemberId, MemberEnd]) -> None:
        self._world = world
        self._members = members
        self._random = world.stream("connections").random
        self._streams: dict[int, _Stream] = {}
        self._distances = world.stream("client distances")
        self._far_ns = FAR_NS[int(self._distances.random() * len(FAR_NS))]
        self._distances_ns: dict[str, int] = {}  # by client, in seeds whose clients are far away
        self._next = 1
        self._blocked: dict[tuple[str, MemberId], int] = {}
        self._deaf: dict[str, int] = {}  # clients that no answer reaches, whatever they ask

    # --- the path between a client and a member --------------------------------------------------------------------

    def block(self, client: str, member: MemberId) -> None:
        path = (client, member)
        self._blocked[path] = self._blocked.get(path, 0) + 1
        for number, stream in self._streams.items():
            if stream.client.name == client and stream.member == member:
                self._fall_silent(number, stream)

    def unblock(self, client: str, member: MemberId) -> None:
        path = (client, member)
        count = self._blocked[path] - 1
        if count:
            self._blocked[path] = count
        else:
            del self._blocked[path]

    def deafen(self, client: str) -> None:
        """What it asks arrives and is carried out; what is answered is lost, and the stream with it."""
        self._deaf[client] = self._deaf.get(client, 0) + 1

    def undeafen(self, client: str) -> None:
        self._deaf[client] -= 1
        if not self._deaf[client]:
            del self._deaf[client]

    def stall(self, number: int, lasting_ns: int, *, asks: bool) -> None:
        """What is sent on this stream, one way, arrives only then: also when its sender has given up waiting and asks elsewhere."""
        stream = self._streams[number]
        until_ns = self._world.now_ns + lasting_ns
        if asks:
            stream.asked_ns = max(stream.asked_ns, until_ns)
        else:
            stream.answered_ns = max(stream.answered_ns, until_ns)

    def _fall_silent(self, number: int, stream: _Stream) -> None:
        if not stream.silent:
            stream.silent = True
            self._world.after(SILENT_CUT_NS, self.cut, number)

    # --- the client's end ------------------------------------------------------------------------------------------

    def open(self, client: ClientEnd, member: MemberId) -> int:
        number = self._next
        self._next += 1
        stream = _Stream(client, member)
        self._streams[number] = stream
        self._world.after(self._delay_ns(client), self._arrive, number, stream)
        return number

    def _arrive(self, number: int, stream: _Stream) -> None:
        if not stream.client_open:
            self._streams.pop(number, None)
            return
        if (stream.client.name, stream.member) in self._blocked:
            self._fall_silent(number, stream)
            return
        member = self._members.get(stream.member)
        if member is None or not member.is_serving():
            self._world.after(self._delay_ns(stream.client), self._tell_client, number, stream)
            return
        stream.member_open = True
        member.on_opened(number, stream.client.caller)
        self._world.after(self._delay_ns(stream.client), self._opened, number, stream)

    def _opened(self, number: int, stream: _Stream) -> None:
        if stream.client_open and not stream.silent:
            stream.client.on_opened(number)

    def ask(self, number: int, asks: Sequence[Ask]) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.silent:
            return
        stream.asked_ns = max(self._world.now_ns + self._delay_ns(stream.client), stream.asked_ns)
        self._world.at(stream.asked_ns, self._deliver_asks, number, stream, asks)

    def _deliver_asks(self, number: int, stream: _Stream, asks: Sequence[Ask]) -> None:
        if stream.member_open and not stream.silent:
            self._members[stream.member].on_asks(number, asks)

    def hang_up(self, number: int) -> None:
        """The client closes; what is on its way to the member still arrives there."""
        stream = self._streams.get(number)
        if stream is None or not stream.client_open:
            return
        stream.client_open = False
        if stream.silent:
            return
        stream.asked_ns = max(self._world.now_ns + self._delay_ns(stream.client), stream.asked_ns)
        self._world.at(stream.asked_ns, self._tell_member, number, stream)

    # --- the member's end ------------------------------------------------------------------------------------------

    def answer(self, number: int, answers: Sequence[Answer]) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.silent or not stream.client_open:
            return
        if stream.client.name in self._deaf:
            self._fall_silent(number, stream)
            return
        stream.answered_ns = max(self._world.now_ns + self._delay_ns(stream.client), stream.answered_ns)
        self._world.at(stream.answered_ns, self._deliver_answers, number, stream, answers)

    def _deliver_answers(self, number: int, stream: _Stream, answers: Sequence[Answer]) -> None:
        if stream.client_open and not stream.silent:
            stream.client.on_answers(number, answers)

    def close(self, number: int) -> None:
        """The member closes; what it answered before still arrives."""
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.member_open = False
        stream.answered_ns = max(self._world.now_ns + self._delay_ns(stream.client), stream.answered_ns)
        self._world.at(stream.answered_ns, self._tell_client, number, stream)

    def member_gone(self, member: MemberId) -> None:
        """Its process ended: nobody is left to close anything, the clients' ends see a reset."""
        for number, stream in list(self._streams.items()):
            if stream.member == member:
                stream.member_open = False
                self._world.after(self._delay_ns(stream.client), self._tell_client, number, stream)

    # --- over ------------------------------------------------------------------------------------------------------

    def cut(self, number: int) -> None:
        """Both ends are told, each in its own time."""
        stream = self._streams.get(number)
        if stream is None:
            return
        self._world.after(self._delay_ns(stream.client), self._tell_client, number, stream)
        self._world.after(self._delay_ns(stream.client), self._tell_member, number, stream)

    def open_numbers(self) -> list[int]:
        return [number for number, stream in self._streams.items() if stream.client_open]

    def _tell_client(self, number: int, stream: _Stream) -> None:
        if stream.client_open:
            stream.client_open = False
            stream.client.on_cut(number)
        self._forget(number, stream)

    def _tell_member(self, number: int, stream: _Stream) -> None:
        if stream.member_open:
            stream.member_open = False
            self._members[stream.member].on_closed(number)
        self._forget(number, stream)

    def _forget(self, number: int, stream: _Stream) -> None:
        if not stream.client_open and not stream.member_open:
            self._streams.pop(number, None)

    def _delay_ns(self, client: ClientEnd) -> int:
        delay_ns = BASE_DELAY_NS + int(self._random() * SPREAD_NS)
        return delay_ns + self._distance_ns(client.name) if self._far_ns else delay_ns

    def _distance_ns(self, client: str) -> int:
        known = self._distances_ns.get(client)
        if known is None:
            known = self._distances_ns[client] = int(self._distances.random() * self._far_ns)
        return known
