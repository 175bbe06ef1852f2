"""Parts of the report that are no tables of requests a second, and what those need that measure them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .clusters import Cluster, Entrant, Shape
from .coordnode import Coordnode


class Bench(NamedTuple):
    entrants: Sequence[Entrant]  # what can be started
    clusters: Sequence[Cluster]  # what was
    shapes: Sequence[Shape]
    rounds: int
    seconds: float
    keys: int
    folder: Path

    @property
    def ours(self) -> Coordnode:
        return next(cluster for cluster in self.clusters if isinstance(cluster, Coordnode))


class Section(NamedTuple):
    name: str
    lines: str
    data: Any
    is_kept: bool = True  # whatever is wanted of it
    plots: Mapping[str, str] = MappingProxyType({})


def verdict(is_kept: bool) -> str:
    return "yes" if is_kept else "NO"
