"""Sessions, as operators see them: who is there, since when; and some that are opened as over HTTP, each key by whoever likes. All others
are opened and closed by the workload."""

from collections.abc import Mapping
from typing import ClassVar

from coordnode.checking import shown
from coordnode.client.actions import Finished
from coordnode.ids import SessionId
from coordnode.services.commands import ReadSessions, SessionOpened, SessionPage
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other_read

KEYS = ("worker-1", "worker-2", "worker-3")
OPEN_TTL_MS = 2_500  # nobody keeps them


class SimSessions(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {ReadSessions: other_read("sessions")}

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._reads: dict[tuple[int, int], ReadSessions] = {}  # by client and call
        self._openings: dict[tuple[int, int], None] = {}  # under keys; by client and call
        self._opened: dict[int, tuple[SimClient, int]] = {}  # by session: who was told of it first, with which call
        self._to_close: list[int] = []  # of those

    def steps(self) -> Mapping[Step, int]:
        return {self._read: 1, self._open: 2, self._close: 1}

    def _open(self, client: SimClient) -> None:
        """The same key with one request id or another: a nonce opens one session, until that is over and long past."""
        chance = self.stage.chance.random
        key = KEYS[int(chance() * len(KEYS))]
        request_id = key if chance() < 0.5 else f"{client.name} {key}"
        self._openings[client.number, self.stage.open_again(client, key.encode(), request_id, OPEN_TTL_MS)] = None

    def _close(self, client: SimClient) -> None:
        if self._to_close:
            owner, opening = self._opened[self._to_close.pop(0)]
            if not owner.is_gone():
                self.stage.close_other(owner, opening)
                owner.poll()

    def _read(self, client: SimClient) -> None:
        chance = self.stage.chance.random
        known = [0, *self.stage.presence.sessions]
        after = known[int(chance() * len(known))] if chance() < 0.5 else 0
        operation = ReadSessions(SessionId(after), limit=int(chance() * 4))
        self._reads[client.number, self.stage.call(client, operation, stale=chance() < 0.3)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        call, result = (client.number, finished.call), finished.result
        if call in self._openings:
            del self._openings[call]
            if isinstance(result, SessionOpened) and int(result.session) not in self._opened:
                self._opened[int(result.session)] = client, finished.call
                self._to_close.append(int(result.session))
            return
        operation = self._reads.pop(call, None)
        if operation is None or not isinstance(result, SessionPage) or not self.stage.recording.is_newest(finished.index):
            return
        rows = tuple([(int(one.session), one.owner, one.ttl_ms) for one in result.sessions])
        shown.must_be("the list of sessions", (rows, result.more), shown.sessions(self.stage.presence, operation.after, operation.limit))
        present = self.stage.presence.sessions
        times = [(present[int(one.session)].since_ms, one.open_ms) for one in result.sessions]
        shown.times_must_agree("how long sessions are open", times, *self.stage.recording.read_between_ms())
