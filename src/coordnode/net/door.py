"""Where connections come in: who is it? A client, a member, a browser, or nobody we want here. One port for all of them.

The first byte tells frames from HTTP, the hello tells members from clients; then a protocol of its own takes the connection over.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple

from coordnode.errors import CoordError, FrameError, NotPermitted, Overloaded, TimedOut
from coordnode.ids import NOBODY, ClusterId, MemberId
from coordnode.net.clients import ClientLink, Clients, as_transport
from coordnode.net.http import encode_answer
from coordnode.net.http_link import HttpHandler, HttpLink, HttpTraffic
from coordnode.net.limits import HELLO_SECONDS_MAX, MEMBER_LINKS_MAX, MEMBERS_MAX, UNREAD_BYTES_ALL_MAX
from coordnode.net.members import MemberLink
from coordnode.net.sockets import CLIENT_UNACKNOWLEDGED_MS_MAX, place_of, tune
from coordnode.net.tls import Tls, check_member, fingerprint_of, user_of
from coordnode.raft.messages import Message
from coordnode.services.callers import MEMBER, Caller, digest_of, identity_of
from coordnode.wire.bodies import CLIENT_BODY_BYTES_MAX
from coordnode.wire.frames import BODY_BYTES_MAX, MAGIC, MSGPACK, Frame, FrameReader
from coordnode.wire.hello import ANY_CLUSTER, HELLO_BYTES_MAX, Hello, check_hello, decode_hello, encode_hello, encode_refusal

CONTACTS_BYTES_MAX = HELLO_BYTES_MAX // 2
TOLD_PER_TICK = 256  # clients that contacts have changed: not so many at once that others would have to wait for it
ANYBODY = Hello(ANY_CLUSTER, NOBODY, NOBODY, 0, "")  # a client, whoever it is

Contacts = tuple[tuple[MemberId, str], ...]


class Ours(NamedTuple):
    """Who we are."""

    cluster: ClusterId
    member: MemberId
    boot: int
    build: str
    tls: Tls | None = None
    replaced: tuple[int, ...] = ()  # clusters whose place ours took

    def listening(self) -> ssl.SSLContext | None:
        return self.tls.listening if self.tls is not None else None

    def dialling(self) -> ssl.SSLContext | None:
        return self.tls.dialling if self.tls is not None else None


def shown_contacts(contacts: Contacts) -> Contacts:
    """As many as fit into a hello, whatever they are."""
    room = CONTACTS_BYTES_MAX
    shown = []
    for member, contact in contacts:
        room -= len(contact.encode()) + 16
        if room >= 0:
            shown.append((member, contact))
    return tuple(shown)


def together(newer: Contacts, older: Contacts) -> Contacts:
    """Each member once, and no more of them than a cluster has."""
    known = dict(newer)
    for member, contact in older:
        known.setdefault(member, contact)
    return tuple(known.items())[:MEMBERS_MAX]


def caller_of(transport: asyncio.BaseTransport, hello: Hello) -> Caller:
    """Raises NotPermitted."""
    user, place = user_of(transport), place_of(transport)
    if hello.behalf is not None:
        if not user.startswith(MEMBER):
            raise NotPermitted("only a member asks on somebody else's behalf")
        user, place = hello.behalf
    return Caller(hello.identity, user, digest_of(hello.token), place)


class Door:
    def __init__(
        self,
        ours: Ours,
        clients: Clients,
        on_messages: Callable[[list[Message]], None],
        contacts: Callable[[], Contacts],
        http: HttpHandler,
        now_s: Callable[[], float],
    ) -> None:
        self.ours = ours
        self.clients = clients
        self.on_messages = on_messages
        self.on_member: Callable[[Hello], None] = lambda hello: None  # it just connected to us, so it is there
        self.on_member_lost: Callable[[MemberId], None] = lambda member: None  # a connection that it had opened ended
        self.http = http
        self.https = HttpTraffic()
        self.now_s = now_s
        self.strangers: dict[Stranger, float] = {}  # has not said who it is -> by when it must
        self.members: dict[MemberLink, None] = {}
        self.refusals: dict[str, int] = {}  # name of the error -> how often it was the reason
        self._contacts = contacts
        self._told: Contacts = ()
        self._untold: dict[ClientLink, None] = {}  # follow contacts, and have not heard of the newest
        self.is_closed = False

    def for_everyone(self) -> "Stranger":
        return Stranger(self, http_only=False)

    def for_http(self) -> "Stranger":
        return Stranger(self, http_only=True)

    def check_room(self, caller: Caller) -> None:
        """For one more of those who want something of us: it is only known who does once they have said so. Raises Overloaded."""
        limits = self.clients.limits
        if len(self.https.links) + len(self.clients.links) >= limits.connections_max:
            raise Overloaded(f"{limits.connections_max} connections are open already; try another member")
        if self.clients.guests.connections_of(caller) >= limits.client_connections_max:
            sentence = f"{limits.client_connections_max} connections of this client are open already; close some, or ask over one"
            raise Overloaded(f"{sentence} ({identity_of(caller)})")

    def admit_member(self, link: MemberLink) -> None:
        """Whoever is newest is there; connections that died without a word, or never were a member's, make room."""
        others = [other for other in self.members if other.theirs == link.theirs]
        crowd = others[: len(others) - MEMBER_LINKS_MAX + 1] or list(self.members)[: len(self.members) - MEMBERS_MAX + 1]
        self.members[link] = None
        for other in crowd:
            other.refuse(Overloaded("a newer connection of a member took the place of this one"))

    def our_hello(self, theirs: Hello) -> Hello:
        ours = self.ours
        return Hello(ours.cluster, ours.member, theirs.member, ours.boot, "", ours.build, shown_contacts(self._contacts()))

    def on_contacts(self) -> None:
        """They may have changed. Whoever stays connected for long would know, in the end, only members that are gone."""
        contacts = self._contacts()
        if contacts == self._told:
            return
        self._told = contacts
        self._untold = {link: None for link in self.clients.links.values() if link.follows}

    def _tell_contacts(self) -> None:
        links = list(self._untold)[:TOLD_PER_TICK]
        greeting = self.our_hello(ANYBODY)
        greetings = {body_format: encode_hello(greeting, body_format) for body_format in {link.body_format for link in links}}
        for link in links:
            del self._untold[link]
            link.greet(greetings[link.body_format])

    def is_connected(self, member: MemberId) -> bool:
        """It has a connection to us."""
        return any(link.theirs == member for link in self.members)

    def member_lost(self, link: MemberLink) -> None:
        if link in self.members:
            del self.members[link]
            self.on_member_lost(link.theirs)

    def refused(self, error: CoordError) -> None:
        name = type(error).__name__
        self.refusals[name] = self.refusals.get(name, 0) + 1

    def sweep(self) -> None:
        """Once a tick: whoever takes too long to say what it wants, and whoever is to be told something."""
        now = self.now_s()
        if self._untold:
            self._tell_contacts()
        while self.strangers:
            stranger, until = next(iter(self.strangers.items()))
            if until > now:
                break
            stranger.refuse(TimedOut(f"no hello within {HELLO_SECONDS_MAX:g} s"))
        for link in [link for link in self.https.links if link.is_late(now)]:
            link.time_out()
        unread = {link: link.unread_bytes() for link in self.https.unread}
        while sum(unread.values()) > UNREAD_BYTES_ALL_MAX:
            slowest = max(unread, key=lambda link: unread[link])
            del unread[slowest]
            slowest.cut_off()

    def end_revoked(self) -> None:
        """Of who stands already, after certificates were read anew."""
        tls = self.ours.tls
        if tls is None or not tls.revoked:
            return
        links: list[ClientLink | HttpLink | MemberLink] = [*self.clients.links.values(), *self.https.links, *self.members]
        for link in links:
            if fingerprint_of(link.transport) in tls.revoked:
                link.transport.abort()

    def close_all(self) -> None:
        """For good: who was accepted just before, and is made known only now, does not come in any more."""
        self.is_closed = True
        for stranger in list(self.strangers):
            stranger.close()
        for link in list(self.https.links):
            link.close()
        for member in list(self.members):
            member.close()


class Stranger(asyncio.Protocol):
    def __init__(self, door: Door, *, http_only: bool) -> None:
        self._door = door
        self._http_only = http_only
        self._reader = FrameReader(HELLO_BYTES_MAX)
        self._format = MSGPACK
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = as_transport(transport)
        door = self._door
        if door.is_closed:
            self._transport.abort()
            return
        tune(transport, CLIENT_UNACKNOWLEDGED_MS_MAX)
        if door.ours.tls is not None:
            try:
                door.ours.tls.check(transport)
            except NotPermitted as error:
                door.refused(error)
                self._transport.abort()
                return
        door.clients.traffic.accepted += 1
        strangers_max = door.clients.limits.strangers_max
        if len(door.strangers) >= strangers_max:
            next(iter(door.strangers)).refuse(Overloaded(f"{strangers_max} newer connections came before this one said who it is"))
        door.strangers[self] = door.now_s() + HELLO_SECONDS_MAX

    def data_received(self, data: bytes) -> None:
        if self not in self._door.strangers:
            return
        if self._http_only or (data[0] != MAGIC and self._reader.is_between_frames() and 65 <= data[0] <= 90):
            self._become_http(data)
            return
        try:
            frames = self._reader.feed(data)
            if frames:
                self._on_hello(frames[0], frames[1:])
        except CoordError as error:
            self.refuse(error)

    def _become_http(self, data: bytes) -> None:
        door = self._door
        del door.strangers[self]
        caller = Caller(user=user_of(self._transport), place=place_of(self._transport))
        try:
            door.check_room(caller)
        except Overloaded as error:
            self._refuse_http(error)
            return
        guests = door.clients.guests
        link = HttpLink(self._transport, door.http, door.https, door.now_s, caller, guests)
        self._transport.set_protocol(link)
        link.data_received(data)

    def _on_hello(self, frame: Frame, more: list[Frame]) -> None:
        door = self._door
        self._format = frame.format
        hello = decode_hello(frame)
        check_hello(hello, door.ours.cluster, door.ours.member, door.ours.replaced)
        if hello.member != NOBODY and frame.format != MSGPACK:
            raise FrameError("members speak msgpack among themselves")
        if hello.member != NOBODY:
            check_member(self._transport, hello.member)
        caller = caller_of(self._transport, hello)
        if hello.member == NOBODY:
            door.check_room(caller)
        del door.strangers[self]
        self._transport.write(encode_hello(door.our_hello(hello), frame.format))
        if hello.member != NOBODY:
            self._reader.body_bytes_max = BODY_BYTES_MAX
            member = MemberLink(self._transport, self._reader, hello.member, door.ours.member, door.on_messages, door.member_lost)
            door.admit_member(member)
            door.on_member(hello)
            self._hand_over(member, more)
        else:
            self._reader.body_bytes_max = CLIENT_BODY_BYTES_MAX
            client = door.clients.open(self._transport, self._reader, caller, frame.format, follows=hello.follows)
            self._hand_over(client, more)

    def _hand_over(self, link: "MemberLink | ClientLink", more: list[Frame]) -> None:
        self._transport.set_protocol(link)
        try:
            for frame in more:
                link.on_frame(frame)
        except CoordError as error:
            link.refuse(error)

    def refuse(self, error: CoordError) -> None:
        self._door.strangers.pop(self, None)
        if self._http_only:
            self._refuse_http(error)
            return
        self._door.refused(error)
        if not self._transport.is_closing():
            self._transport.write(encode_refusal(error, self._format))
            self._transport.close()

    def _refuse_http(self, error: CoordError) -> None:
        self._door.refused(error)
        if not self._transport.is_closing():
            status = 408 if isinstance(error, TimedOut) else 503
            self._transport.write(encode_answer(self._door.http.refusal(status, error.sentence), keep_alive=False))
            self._transport.close()

    def close(self) -> None:
        self._door.strangers.pop(self, None)
        self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._door.strangers.pop(self, None)
