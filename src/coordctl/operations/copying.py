"""Keys from one cluster to another, of whichever engines: each is written, then all are compared. Nothing at the target is deleted,
and what is bound to a session there belongs to whoever has that session: it is never overwritten."""

import time
from collections.abc import Iterator
from typing import Final

from coordctl.engines.keys import Item, Keys
from coordctl.engines.lacks import TITLES
from coordctl.local.clusters import Chosen
from coordctl.results.copy import Copied, Unlike, Why
from coordnode.errors import BadRequest, TooLarge, Unknown

BOUND_THERE: Final = "bound there"


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
        self._written = 0

    def run(self, *, overwrites: bool, is_dry: bool) -> Copied:
        found = list(self._from.items(self._prefix))
        wanted = {one.key: one.value for one in found if not one.session}
        there = {one.key: one for one in self._to.items(self._prefix)}
        alike = [key for key, value in wanted.items() if key in there and not there[key].session and there[key].value == value]
        bound_there = [key for key in wanted if key in there and there[key].session]
        others = [key for key, value in wanted.items() if key in there and not there[key].session and there[key].value != value]
        to_write = [key for key in wanted if key not in there] + (others if overwrites else [])
        if is_dry:
            unlike = [Unlike(key=_shown(key), why=BOUND_THERE) for key in bound_there]
            unlike += [] if overwrites else [Unlike(key=_shown(key), why="another value") for key in others]
            is_done = not to_write and not unlike
        else:
            for key in to_write:
                self._write(key, wanted[key], there.get(key))
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
            written=len(to_write) if is_dry else self._written,
            unlike=unlike,
        )

    def _compared(self, wanted: dict[bytes, bytes]) -> Iterator[Unlike]:
        """As both are now; whatever became of a write."""
        now = {one.key: one.value for one in self._from.items(self._prefix) if not one.session}
        there = {one.key: one for one in self._to.items(self._prefix)}
        for key in sorted({*wanted, *now}):
            if now.get(key) != wanted.get(key):
                yield Unlike(key=_shown(key), why="changed meanwhile")
                continue
            found = there.get(key)
            if found is not None and found.session:
                yield Unlike(key=_shown(key), why=BOUND_THERE)
            elif found is None or found.value != wanted[key]:
                why: Why = "refused" if key in self._refused else "missing" if found is None else "another value"
                yield Unlike(key=_shown(key), why=why, sentence=self._refused.get(key, ""))

    def _write(self, key: bytes, value: bytes, before: Item | None) -> None:
        try:
            self._written += self._to.put(key, value, before)
        except (BadRequest, TooLarge) as error:
            self._refused[key] = error.sentence
        except Unknown:
            return  # the comparison tells


def _named(cluster: Chosen) -> str:
    return cluster.name or f"{TITLES.get(cluster.engine, cluster.engine)} at {cluster.endpoints[0].address}"


def _shown(key: bytes) -> str:
    return key.decode(errors="backslashreplace")
