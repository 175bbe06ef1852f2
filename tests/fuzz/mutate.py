"""Turns inputs that are right into inputs that are nearly right."""

import random
from collections.abc import Callable, Sequence

LENGTHS = (  # announcements of far more than follows, in msgpack and in fixed-width headers
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdc\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"99999999999999999999999999",
    b"[" * 2000,
    b"\x91" * 2000,
    b"-1",
    b"null",
)


def _flip(rng: random.Random, data: bytearray, _: bytes) -> None:
    for _unused in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(rng: random.Random, data: bytearray, _: bytes) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(rng: random.Random, data: bytearray, _: bytes) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(rng: random.Random, data: bytearray, _: bytes) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 9)]


def _double(rng: random.Random, data: bytearray, _: bytes) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 33)]
    data[start:start] = piece * rng.choice((1, 1, 2, 16))


def _announce(rng: random.Random, data: bytearray, _: bytes) -> None:
    start = rng.randrange(len(data))
    length = rng.choice(LENGTHS)
    data[start : start + rng.choice((0, 1, len(length)))] = length


def _garbage(rng: random.Random, data: bytearray, _: bytes) -> None:
    start = rng.randrange(len(data))
    data[start : start + rng.randrange(9)] = rng.randbytes(rng.randrange(1, 17))


def _cross(rng: random.Random, data: bytearray, other: bytes) -> None:
    if other:
        start = rng.randrange(len(other))
        data[rng.randrange(len(data)) :] = other[start:]


MUTATIONS: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
    _flip,
    _replace,
    _cut,
    _remove,
    _double,
    _announce,
    _garbage,
    _cross,
)


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One to three mutations of one of the seeds; now and then plain garbage."""
    if rng.randrange(64) == 0:
        return rng.randbytes(rng.randrange(64))
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        rng.choice(MUTATIONS)(rng, data, rng.choice(seeds))
    return bytes(data)
