"""What an archive of logs and facts is made of."""

from collections.abc import Iterable
from typing import NamedTuple


class Part(NamedTuple):
    """One file of the archive to be."""

    name: str
    source: str
    lines: Iterable[tuple[int, bytes]]  # (time or 0, line)
    hidden: int = 0  # secrets that were taken out before it came here
