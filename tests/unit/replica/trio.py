"""Three real replicas in one thread, driven by hand: messages arrive at the next turn, writes are durable at once unless held."""

import random

from coordnode.ids import ClusterId, Index, MemberId, Sequence, SessionId, Term
from coordnode.raft.entry import Config, HardState, SnapshotMeta
from coordnode.raft.messages import Message
from coordnode.raft.state import LEADER
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events, Persisted, SnapshotLoaded
from coordnode.replica.replica import Replica
from coordnode.services.commands import Command, OpenSession, Operation, Result, SessionOpened, decode_result, encode
from coordnode.services.dialogue import Answer, Ask, Reply, WriteAsk
from coordnode.services.machine import Machine
from coordnode.services.state import Settings

MEMBERS = (MemberId(1), MemberId(2), MemberId(3))
TICK_MS = 50


def whole_turn(replica: Replica, events: Events) -> Effects:
    effects = replica.handle(events)
    if not effects.failed:
        replica.apply()
    return effects


class Trio:
    def __init__(self, *, level: int = 2, supported_level: int = 2, digest_every: int = 4, **settings: int) -> None:
        machine = Machine.genesis(Settings(digest_every=digest_every, **settings), cluster=ClusterId(7), created_unix_s=10**9, level=level)
        self.genesis = list(machine.snapshot())
        meta = SnapshotMeta(Index(0), Term(0), MemberId(0), 0, Config(voters=MEMBERS), Index(0))
        self.replicas = {
            member: Replica(
                member=member,
                config=ReplicaConfig(tick_ms=TICK_MS),
                hard_state=HardState(Term(0), MemberId(0), 1, False),
                snapshot=meta,
                entries=[],
                commit_hint=Index(0),
                rng=random.Random(member),
                supported_level=max(level, supported_level),
            )
            for member in MEMBERS
        }
        self.inbox = {member: Events() for member in MEMBERS}
        self.answers: dict[tuple[int, int], list[Answer]] = {}
        self.cut: list[MemberId] = []  # neither sends nor receives
        self.lost: tuple[type[Message], ...] = ()  # what never arrives
        self.failed: dict[MemberId, str] = {}
        self.now_ms = 1_000
        self.request = 0

    # --- time and turns ----------------------------------------------------------------------------------------------

    def turn(self, member: MemberId, *, ticked: bool = False, asks: list[tuple[int, Ask]] | None = None) -> Effects:
        events, self.inbox[member] = self.inbox[member], Events()
        events.now_ms = self.now_ms
        events.ticked = ticked
        events.asks = asks or []
        effects = whole_turn(self.replicas[member], events)
        if effects.failed:
            self.failed[member] = effects.failed
            return effects  # as the driver: nothing of it leaves
        self._send(member, effects.send_now)
        self._send(member, effects.send_applied)
        if effects.write is not None:
            self._send(member, effects.write.send_after)
            self.inbox[member].persisted = Persisted(effects.write.write_id, effects.write.last_term, effects.write.last_index)
        if effects.load_snapshot is not None:
            self.inbox[member].snapshot_loaded = SnapshotLoaded(effects.load_snapshot, self.genesis, True)
        for connection, answers in effects.to_clients.items():
            for answer in answers:
                self.answers.setdefault((connection, answer.request), []).append(answer)
        return effects

    def _send(self, source: MemberId, messages: list[Message]) -> None:
        for message in messages:
            if source not in self.cut and message.target not in self.cut and not isinstance(message, self.lost):
                self.inbox[message.target].messages.append(message)

    def settle(self, rounds: int = 8) -> None:
        for _ in range(rounds):
            for member in MEMBERS:
                self.turn(member)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now_ms += TICK_MS
            for member in MEMBERS:
                self.turn(member, ticked=True)
            self.settle(4)

    # --- conveniences --------------------------------------------------------------------------------------------------

    def leader(self) -> MemberId:
        """The serving leader, elected first where there is none."""
        for _ in range(200):
            serving = [member for member in MEMBERS if member not in self.cut and self.replicas[member].clients.serving]
            if len(serving) == 1 and self.replicas[serving[0]].raft.role == LEADER:
                return serving[0]
            self.tick()
        raise AssertionError("no leader after 200 ticks")

    def ask(self, member: MemberId, make: type[Ask] | object, *arguments: object, connection: int = 1) -> int:
        """Asks at one turn of `member`; the request's number."""
        self.request += 1
        ask = make(self.request, *arguments)  # type: ignore[operator]
        self.turn(member, asks=[(connection, ask)])
        return self.request

    def answer(self, request: int, connection: int = 1) -> Answer:
        answers = self.answers.get((connection, request), [])
        assert len(answers) == 1, f"request {request} has {len(answers)} answers"
        return answers[0]

    def write(self, operation: Operation, *, session: int = 0, sequence: int = 0, request_id: str = "") -> Answer:
        """Through the leader, to the end."""
        body = encode(Command(SessionId(session), Sequence(sequence), Sequence(min(sequence, 1)), request_id, operation))
        request = self.ask(self.leader(), WriteAsk, body)
        self.settle()
        return self.answer(request)

    def result(self, operation: Operation, *, session: int = 0, sequence: int = 0, request_id: str = "") -> Result:
        answer = self.write(operation, session=session, sequence=sequence, request_id=request_id)
        assert isinstance(answer, Reply), answer
        return decode_result(answer.result)

    def open_session(self, ttl_ms: int = 5_000) -> SessionId:
        opened = self.result(OpenSession(self.request.to_bytes(16, "big"), ttl_ms))
        assert isinstance(opened, SessionOpened)
        return opened.session
