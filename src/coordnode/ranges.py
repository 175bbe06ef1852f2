"""Ranges of names: from one up to, but without, another."""


def prefix_end(prefix: bytes) -> bytes:
    """The first name behind all that begin with `prefix`; empty: there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else b""
