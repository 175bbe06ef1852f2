"""Bytes of ZooKeeper's protocol: requests out, answers in. Pure."""

from __future__ import annotations

from coordctl.engines.lines import Gone, There
from coordnode.errors import BadRequest, FrameError, NotPermitted, NotReady, SessionExpired
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordctl.engines.secrets import User

CREATE, DELETE, GET, SET, PING, CHILDREN = 1, 2, 4, 5, 11, 12
CHECK, MULTI, CREATE2, CREATE_CONTAINER, CLOSE = 13, 14, 15, 19, -11
ADD_WATCH, RECURSIVE = 106, 1
AUTHENTICATE = 100
EVENT_XID, PING_XID, AUTHENTICATE_XID = -1, -2, -4
PERSISTENT, EPHEMERAL, EPHEMERAL_SEQUENTIAL, CONTAINER = 0, 1, 3, 4
ANY_VERSION = -1
NO_PASSWORD = bytes(16)
FRAME_BYTES_MAX = 1 << 26
NO_NODE, NO_RIGHT, BAD_VERSION, NO_CHILDREN, EXISTS_ALREADY, NOT_EMPTY, EXPIRED, NOT_AUTHENTIC, INVALID, UNKNOWN_KIND = (
    *(-101, -102, -103, -108, -110, -111, -112, -115, -8, -6),
)
RUNTIME_INCONSISTENCY = -2  # of the others in a transaction that one refused


class Ask(NamedTuple):
    kind: int
    body: bytes = b""
    flags: int | None = None  # of what makes a node: they come behind whose it is
    is_open: bool = False  # it is everybody's, whoever makes it
    parts: tuple[Ask, ...] = ()  # of a transaction


class Answer(NamedTuple):
    zxid: int
    error: int
    body: bytes


class Greeted(NamedTuple):
    """`session` 0: the one that was named is over."""

    session: int
    ttl_ms: int
    password: bytes


class Stat(NamedTuple):
    created: int  # zxid
    changed: int  # zxid
    version: int
    owner: int  # session; 0: it is not ephemeral
    children: int


def number(value: int) -> bytes:
    return value.to_bytes(4, "big", signed=True)


def long(value: int) -> bytes:
    return (value & (1 << 64) - 1).to_bytes(8, "big")


def buffer(content: bytes) -> bytes:
    return number(len(content)) + content


def frame(content: bytes) -> bytes:
    return number(len(content)) + content


def request(xid: int, ask: Ask, owners: bytes) -> bytes:
    """`owners`: of the nodes that it makes."""
    return frame(number(PING_XID if ask.kind == PING else xid) + number(ask.kind) + packed(ask, owners))


def packed(ask: Ask, owners: bytes) -> bytes:
    if ask.kind == MULTI:
        parts = [number(one.kind) + b"\0" + number(-1) + packed(one, owners) for one in ask.parts]
        return b"".join(parts) + number(-1) + b"\1" + number(-1)
    return ask.body if ask.flags is None else ask.body + (ANYBODY if ask.is_open else owners) + number(ask.flags)


def authentication(user: User) -> bytes:
    """Before all else. Its scheme tells the server a name and a password, and is told nothing back."""
    said = number(0) + buffer(b"digest") + buffer(f"{user.name}:{user.password}".encode())
    return frame(number(AUTHENTICATE_XID) + number(AUTHENTICATE) + said)


def greeting(ttl_ms: int, session: int, password: bytes, seen_zxid: int) -> bytes:
    return frame(number(0) + long(seen_zxid) + number(ttl_ms) + long(session) + buffer(password) + b"\0")


ANYBODY = number(1) + number(31) + buffer(b"world") + buffer(b"anyone")
ITS_MAKER = number(1) + number(31) + buffer(b"auth") + buffer(b"")


def create(path: bytes, value: bytes, flags: int, *, is_open: bool = False) -> Ask:
    return Ask(CREATE_CONTAINER if flags == CONTAINER else CREATE2, buffer(path) + buffer(value), flags, is_open)


def delete(path: bytes, version: int = ANY_VERSION) -> Ask:
    return Ask(DELETE, buffer(path) + number(version))


def set_value(path: bytes, value: bytes, version: int = ANY_VERSION) -> Ask:
    return Ask(SET, buffer(path) + buffer(value) + number(version))


def check(path: bytes) -> Ask:
    """That it is there; of use in a transaction."""
    return Ask(CHECK, buffer(path) + number(ANY_VERSION))


def get(path: bytes, *, watch: bool = False) -> Ask:
    return Ask(GET, buffer(path) + bytes((watch,)))


def children(path: bytes, *, watch: bool = False) -> Ask:
    return Ask(CHILDREN, buffer(path) + bytes((watch,)))


def watch_below(path: bytes) -> Ask:
    """It and all below it, for as long as the connection lasts; from version 3.6 on."""
    return Ask(ADD_WATCH, buffer(path) + number(RECURSIVE))


def multi(asks: Sequence[Ask]) -> Ask:
    """All or none. Goes through the log, also if it only checks."""
    return Ask(MULTI, parts=tuple(asks))


class Reading:
    """One answer's body, from its start to its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def long(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def buffer(self) -> bytes:
        size = self.number()
        return self._take(size) if size > 0 else b""

    def is_true(self) -> bool:
        return self._take(1) != b"\0"

    def stat(self) -> Stat:
        created, changed = self.long(), self.long()
        self._take(16)
        version = self.number()
        self._take(8)
        owner = self.long()
        self._take(4)
        count = self.number()
        self._take(8)
        return Stat(created, changed, version, owner, count)

    def _take(self, size: int) -> bytes:
        part = self._content[self._at : self._at + size]
        if len(part) < size:
            raise FrameError("what answers there does not speak ZooKeeper's protocol: check the endpoint")
        self._at += size
        return part


def greeted(content: bytes) -> Greeted:
    reading = Reading(content)
    reading.number()
    ttl_ms, session, password = reading.number(), reading.long(), reading.buffer()
    return Greeted(session if ttl_ms > 0 else 0, ttl_ms, password)


def answer(content: bytes) -> tuple[int, Answer]:
    """(xid, the rest)"""
    reading = Reading(content)
    xid, zxid, error = reading.number(), reading.long(), reading.number()
    return xid, Answer(zxid, error, content[16:])


def event(found: Answer) -> tuple[int, bytes]:
    """(kind, path) of something that was watched."""
    reading = Reading(found.body)
    kind, _ = reading.number(), reading.number()
    return kind, reading.buffer()


def result(found: Answer) -> Answer:
    if found.error:
        raise refusal(found.error)
    return found


def refusal(error: int) -> Exception:
    if error in (NO_NODE, BAD_VERSION):
        return Gone("there is no such node")
    if error == EXISTS_ALREADY:
        return There("there is such a node already")
    if error == EXPIRED:
        return SessionExpired("its session is over")
    if error in (NO_RIGHT, NOT_AUTHENTIC):
        return NotPermitted("ZooKeeper permits it not: its nodes have access lists, which know users that COORD_AUTH_TOKEN_FILE can name")
    if error == NOT_EMPTY:
        return BadRequest("there are keys below it, which ZooKeeper does not delete with it")
    if error == NO_CHILDREN:
        return BadRequest("there can be no keys below one that goes with its session")
    if error in (INVALID, UNKNOWN_KIND):
        return BadRequest("ZooKeeper refused it: is the name one that it takes, and is it version 3.5 or later?")
    return NotReady(f"ZooKeeper answered with error {error}")


def results(found: Answer) -> list[Answer]:
    """Of a transaction that was carried out; or raises why it was not."""
    reading = Reading(found.body)
    refused: list[int] = []
    done: list[Answer] = []
    while True:
        kind, is_over, error = reading.number(), reading.is_true(), reading.number()
        if is_over:
            break
        if kind == -1:
            refused.append(reading.number())
        elif kind in (CREATE, CREATE2, CREATE_CONTAINER):
            reading.buffer()
            if kind != CREATE:
                reading.stat()
        elif kind == SET:
            reading.stat()
        done.append(Answer(found.zxid, error, b""))
    for error in refused:
        if error not in (0, RUNTIME_INCONSISTENCY):
            raise refusal(error)
    return done


class Frames:
    """Cut from what comes in."""

    def __init__(self) -> None:
        self._in = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._in += data
        found: list[bytes] = []
        while len(self._in) >= 4:
            size = int.from_bytes(self._in[:4], "big")
            if size > FRAME_BYTES_MAX:
                raise FrameError("what answers there does not speak ZooKeeper's protocol: check the endpoint")
            if len(self._in) < 4 + size:
                break
            found.append(bytes(self._in[4 : 4 + size]))
            del self._in[: 4 + size]
        return found
