"""What came of the last time that a member was told to read its settings anew."""

from typing import NamedTuple


class Reloaded(NamedTuple):
    times: int = 0  # that it was asked for
    unix_s: int = 0
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()  # differ from what this member runs with, and wait for its next start
    trouble: str = ""  # nothing was taken over
