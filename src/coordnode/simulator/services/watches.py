"""Watches: each client keeps a few, from now on or from a revision of the past, and is told what it must be told."""

from coordnode.client.actions import WatchEvents, WatchFailed, WatchGapSeen
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage

STEADY, RESTLESS = (2, 0.01), (6, 0.2)  # so many watches at the most; the chance that one of them ends when no more may begin
RESTLESS_SHARE = 0.25  # of seeds: watches begin and end all the time, so some begin while the same client is told of a change


class SimWatches(SimService):
    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._watches: dict[int, dict[int, int]] = {}  # by client: watch -> the recording's number of it
        self._watches_max, self._end_chance = RESTLESS if stage.stream("restless watches").random() < RESTLESS_SHARE else STEADY

    def before_step(self, client: SimClient) -> None:
        watches = self._watches.setdefault(client.number, {})
        chance = self.stage.chance.random
        recording = self.stage.recording
        if len(watches) >= self._watches_max:
            if chance() < self._end_chance:
                watch = next(iter(watches))
                recording.unwatched(watches.pop(watch))
                client.core.unwatch(watch)
            return
        if chance() < 0.1:
            start, end = ((b"", b""), (b"hot/", b"hot0"), (b"wide/2", b"wide/4"))[int(chance() * 3)]
            newest = recording.newest_revision(client)
            start_revision = 0 if chance() < 0.4 else 1 + int(chance() * newest)
            watch = client.core.watch(start, end, start_revision, client.clock.own_ms())
            watches[watch] = recording.watching(start, end, start_revision)

    def why_not_quiet(self, client: SimClient) -> str:
        for number in self._watches.setdefault(client.number, {}).values():
            revision = self.stage.recording.untold(number)
            if revision:
                return f"watch {number} of client {client.name} was not told of revision {revision}"
        return ""

    def on_watch(self, client: SimClient, seen: WatchEvents | WatchGapSeen | WatchFailed) -> None:
        watches = self._watches.setdefault(client.number, {})
        number = watches.get(seen.watch)
        if number is None:
            return
        recording = self.stage.recording
        if isinstance(seen, WatchEvents):
            recording.watched(client, number, seen)
            return
        if isinstance(seen, WatchGapSeen):
            recording.gap(number, seen.floor)
        else:
            recording.unwatched(number)
        del watches[seen.watch]
