"""What one member of another engine tells of itself, in its own words: numbers and settings, as they are kept for whoever looks later."""

from typing import NamedTuple

from coordctl.local.clusters import Endpoint, spoken


class Told(NamedTuple):
    file: str  # to be kept as
    source: str  # what was asked
    said: bytes
    trouble: str = ""  # why there is nothing


def tell(engine: str, endpoint: Endpoint, seconds: float) -> list[Told]:
    found: list[Told] = spoken(engine, "telling").tell(endpoint, seconds)
    return found
