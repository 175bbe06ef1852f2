"""Journals: batches that are appended once, and keep their offsets."""

from contextlib import suppress
from typing import Any, ClassVar

from coordctl.chaos.loads.clients import Client
from coordnode.client.sync import Cluster
from coordnode.errors import CoordError, HistoryGone, Missing

JOURNALS = 2
BATCH_MAX = 3
READS_MAX = 20


class JournalClient(Client):
    pause_seconds_max: ClassVar[float] = 0.05

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._bounds: dict[str, tuple[int, int]] = {}  # what it knows: the first that is there, the next one

    def turn(self, turn: int) -> None:
        name = f"{self.prefix}j{self.chance.randrange(JOURNALS)}"
        first, following = self._bounds.get(name, (0, 0))
        draw = self.chance.random()
        if draw < 0.45:
            self._append(name, turn)
        elif draw < 0.97:
            self._read(self.cluster, name, self.chance.randint(first, following))
        else:
            before = following if self.chance.random() < 0.5 else self.chance.randint(first, following)
            info = self.ask("trim", [name, before], lambda: self._trim(name, before))
            self._bounds[name] = (info, max(info, following))

    def _append(self, name: str, turn: int) -> None:
        records = [f"{self.number}-{turn}-{part}" for part in range(1 + self.chance.randrange(BATCH_MAX))]
        request_id = f"{self.prefix}{self.number}-{turn}" if self.chance.random() < 0.7 else ""
        first = self.ask("append", [name, records], lambda: self.cluster.journal(name).append(records, request_id=request_id))
        known = self._bounds.get(name, (0, 0))
        self._bounds[name] = (known[0], max(known[1], first + len(records)))

    def _trim(self, name: str, before: int) -> int:
        return self.cluster.journal(name).trim(before).first

    def _read(self, cluster: Cluster, name: str, offset: int) -> int:
        """How many there were."""
        journal = cluster.journal(name)

        def act() -> list[object]:
            try:
                return [offset, [one.data.decode() for one in journal.read(offset, READS_MAX)]]
            except Missing:  # it ends before that offset, or is not there yet
                return [offset, []]

        try:
            return len(self.ask("read", [name, offset], act)[1])
        except HistoryGone:
            found = journal.info()
            self._bounds[name] = (found.first, max(found.next, self._bounds.get(name, (0, 0))[1]))
            raise

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            for number in range(JOURNALS):
                name = f"{self.prefix}j{number}"
                offset = cluster.journal(name).info().first
                while count := self._read(cluster, name, offset):
                    offset += count
