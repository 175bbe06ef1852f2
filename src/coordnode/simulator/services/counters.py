"""Counters: a few of them, added to, read, listed and deleted; the verdict replays them in the order of the log."""

from collections.abc import Mapping
from typing import ClassVar

from coordnode.services.commands import AddCounter, DeleteCounter, GetCounter, ListCounters
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Step
from coordnode.simulator.vocabulary import Words

NAMES = (b"count/a", b"count/b", b"count/c")


class SimCounters(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        AddCounter: Words(
            lambda operation, _session: ("add-counter", (operation.name, operation.delta)),
            lambda _operation, result: (int(result.revision), result.value),
        ),
        DeleteCounter: Words(
            lambda operation, _session: ("delete-counter", operation.name),
            lambda _operation, result: (int(result.revision), result.changed),
        ),
        GetCounter: Words(
            lambda operation, _session: ("get-counter", operation.name),
            lambda _operation, result: (int(result.revision), result.value),
        ),
        ListCounters: Words(
            lambda operation, _session: ("list-counters", (operation.prefix, operation.after, operation.limit)),
            lambda _operation, result: (int(result.revision), tuple([(each.name, each.value) for each in result.counters]), result.more),
        ),
    }

    def steps(self) -> Mapping[Step, int]:
        return {self._add: 3, self._read: 2}

    def _name(self) -> bytes:
        return NAMES[int(self.stage.chance.random() * len(NAMES))]

    def _add(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        if chance() < 0.1:
            self.stage.write(client, DeleteCounter(self._name()))
        else:
            self.stage.write(client, AddCounter(self._name(), int(chance() * 8) - 2))

    def _read(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        if chance() < 0.6:
            self.stage.call(client, GetCounter(self._name()), stale=chance() < 0.2)
        else:
            after = self._name() if chance() < 0.4 else b""
            self.stage.call(client, ListCounters(b"count/", after, int(chance() * 3)))
