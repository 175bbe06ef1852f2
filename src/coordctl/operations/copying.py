"""Keys from one cluster to another, of whichever engines: each is written, then all are compared. Nothing at the target is deleted."""

import time
from collections.abc import Iterator

from coordctl.engines.keys import Keys
from coordctl.engines.lacks import TITLES
from coordctl.local.clusters import Chosen
from coordctl.results.copy import Copied, Unlike, Why
from coordnode.errors import BadRequest, TooLarge, Unknown


class Copying:
    def __init__(self, source: Chosen, target: Chosen, prefix: bytes, seconds: float) -> None:
        if {one.address for one in source.endpoints} & {one.address for one in target.endpoints}:
            raise BadRequest("source and target are the same cluster: name another one with --to")
        self._source = source
        self._target = target
        self._prefix = prefix
        until = time.monotonic() + seconds
        self._from, self._to = Keys(source, until), Keys(target, until)
        self._refused: dict[bytes, str] = {}

    def run(self, *, overwrites: bool, is_dry: bool) -> Copied:
        found = list(self._from.items(self._prefix))
        wanted = {one.key: one.value for one in found if not one.session}
        there = self._values(self._to)
        alike = [key for key, value in wanted.items() if there.get(key) == value]
        others = [key for key, value in wanted.items() if there.get(key, value) != value]
        to_write = [key for key in wanted if key not in there] + (others if overwrites else [])
        if is_dry:
            unlike = [] if overwrites else [Unlike(key=_shown(key), why="another value") for key in others]
            is_done = not to_write and not unlike
        else:
            for key in to_write:
                self._write(key, wanted[key], overwrites=overwrites)
            unlike = list(self._compared(wanted))
            is_done = not unlike
        return Copied(
            outcome="different" if unlike else "equal" if not to_write else "would copy" if is_dry else "copied",
            exit_code=0 if is_done else 1,
            source=_named(self._source),
            target=_named(self._target),
            is_dry=is_dry,
            keys=len(wanted),
            bound=len(found) - len(wanted),
            alike=len(alike),
            written=len(to_write) - len(self._refused),
            unlike=unlike,
        )

    def _compared(self, wanted: dict[bytes, bytes]) -> Iterator[Unlike]:
        """As both are now; whatever became of a write."""
        now, there = self._values(self._from), self._values(self._to)
        for key in sorted({*wanted, *now}):
            if now.get(key) != wanted.get(key):
                yield Unlike(key=_shown(key), why="changed meanwhile")
            elif there.get(key) != wanted[key]:
                why: Why = "refused" if key in self._refused else "another value" if key in there else "missing"
                yield Unlike(key=_shown(key), why=why, sentence=self._refused.get(key, ""))

    def _write(self, key: bytes, value: bytes, *, overwrites: bool) -> None:
        try:
            self._to.put(key, value, overwrites=overwrites)
        except (BadRequest, TooLarge) as error:
            self._refused[key] = error.sentence
        except Unknown:
            return  # the comparison tells

    def _values(self, keys: Keys) -> dict[bytes, bytes]:
        return {one.key: one.value for one in keys.items(self._prefix) if not one.session}


def _named(cluster: Chosen) -> str:
    return cluster.name or f"{TITLES.get(cluster.engine, cluster.engine)} at {cluster.endpoints[0].address}"


def _shown(key: bytes) -> str:
    return key.decode(errors="backslashreplace")
