"""How the kernel's packet filter is spoken to: messages of attributes over a socket of netlink, asked one at a time."""

import os
import socket
import struct
from collections.abc import Iterator, Sequence

FAMILY, PROTOCOL = 16, 12  # AF_NETLINK, NETLINK_NETFILTER
ERROR = 2  # the type of an answer that says whether it was done
REQUEST, ACK = 1, 4
NESTED = 0x8000
ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 1 << 16
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, whose
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_SUBJECT = struct.Struct(">BBH")  # family of addresses, version, what it is about
PREFIX_BYTES = _HEADER.size + _SUBJECT.size


def attribute(kind: int, content: bytes) -> bytes:
    """Whatever follows begins at a multiple of four."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content + bytes(-len(content) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def name(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def message(kind: int, flags: int, subject: int, *attributes: bytes, family: int = 0, sequence: int = 0) -> bytes:
    content = _SUBJECT.pack(family, 0, subject) + b"".join(attributes)
    return _HEADER.pack(_HEADER.size + len(content), kind, flags | REQUEST, sequence, 0) + content


def attributes(content: bytes) -> dict[int, bytes]:
    """Of a message, behind its prefix. One that says it is longer than the message ends it."""
    found, at = {}, PREFIX_BYTES
    while at + _ATTRIBUTE.size <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, at)
        if length < _ATTRIBUTE.size or at + length > len(content):
            break
        found[kind & ~NESTED] = content[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4
    return found


def messages(received: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence, all of it) of each."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, _, sequence, _ = _HEADER.unpack_from(received, at)
        if length < _HEADER.size or at + length > len(received):
            break
        yield kind, sequence, received[at : at + length]
        at += length + -length % 4


def opened() -> socket.socket:
    made = socket.socket(FAMILY, socket.SOCK_RAW | socket.SOCK_CLOEXEC, PROTOCOL)
    made.bind((0, 0))
    return made


def ask(asked: socket.socket, sent: bytes, sequences: Sequence[int]) -> None:
    """Raises OSError with the first of these that was refused."""
    asked.settimeout(ANSWER_SECONDS)
    asked.send(sent)
    left = set(sequences)
    while left:
        for kind, sequence, content in messages(asked.recv(ANSWER_BYTES_MAX)):
            if kind != ERROR:
                continue
            (code,) = struct.unpack_from("=i", content, _HEADER.size)
            if code:
                raise OSError(-code, os.strerror(-code))
            left.discard(sequence)
