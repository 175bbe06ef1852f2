"""Sessions, as operators see them: who is there, since when. Who opens and closes them is the workload's."""

from collections.abc import Mapping
from typing import ClassVar

from coordnode.checking import shown
from coordnode.client.actions import Finished
from coordnode.ids import SessionId
from coordnode.services.commands import ReadSessions, SessionPage
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other_read


class SimSessions(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {ReadSessions: other_read("sessions")}

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._reads: dict[tuple[int, int], ReadSessions] = {}  # by client and call

    def steps(self) -> Mapping[Step, int]:
        return {self._read: 1}

    def _read(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        known = [0, *self.stage.presence.sessions]
        after = known[int(chance() * len(known))] if chance() < 0.5 else 0
        operation = ReadSessions(SessionId(after), limit=int(chance() * 4))
        self._reads[client.number, self.stage.call(client, operation, stale=chance() < 0.3)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        operation, result = self._reads.pop((client.number, finished.call), None), finished.result
        if operation is None or not isinstance(result, SessionPage) or not self.stage.recording.is_newest(finished.index):
            return
        rows = tuple([(int(one.session), one.owner, one.ttl_ms) for one in result.sessions])
        shown.must_be("the list of sessions", (rows, result.more), shown.sessions(self.stage.presence, operation.after, operation.limit))
        present = self.stage.presence.sessions
        times = [(present[int(one.session)].since_ms, one.open_ms) for one in result.sessions]
        shown.times_must_agree("how long sessions are open", times, *self.stage.recording.read_between_ms())
