"""Barriers: sessions meet at a few of them, give up, leave, and end inside."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from coordnode.checking import shown as truths
from coordnode.checking.barrier_rounds import BarrierRounds, Shown
from coordnode.client.actions import Finished
from coordnode.services.commands import (
    BARRIER_OPENED,
    BARRIERS,
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    Command,
    EnterBarrier,
    Failure,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    ReadOperation,
    Result,
    decode_barrier,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.reference import EventRow
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

COUNTS = {b"step/0": 2, b"step/1": 3}


def shown(info: BarrierInfo) -> Shown:
    return int(info.round), info.count, info.inside, bool(info.opened)


class SimBarriers(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        EnterBarrier: other("enter"),
        LeaveBarrier: other("exit"),
        GetBarrier: other_read("barrier"),
        ListBarriers: other_read("barriers"),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._rounds = BarrierRounds()
        self._reads: dict[tuple[int, int], ReadOperation] = {}  # by client and call

    def steps(self) -> Mapping[Step, int]:
        return {self._enter: 4, self._leave: 4, self._read: 2}

    def _name(self) -> bytes:
        return list(COUNTS)[int(self._chance.random() * len(COUNTS))]

    def _enter(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            name = self._name()
            count = COUNTS[name] if self._chance.random() < 0.9 else 4
            self.stage.call(client, EnterBarrier(name, count), session=session)

    def _leave(self, client: SimClient) -> None:
        session = self.stage.usable_session(client)
        if session:
            self.stage.call(client, LeaveBarrier(self._name(), self._chance.random() < 0.3), session=session)

    def _read(self, client: SimClient) -> None:
        operation: ReadOperation = GetBarrier(self._name()) if self._chance.random() < 0.7 else ListBarriers()
        self._reads[client.number, self.stage.call(client, operation)] = operation

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        operation, result, rounds = self._reads.pop((client.number, finished.call), None), finished.result, self._rounds
        if operation is None or not self.stage.recording.is_newest(finished.index):
            return
        if isinstance(operation, GetBarrier) and isinstance(result, BarrierView):
            info = None if result.barrier is None else shown(result.barrier)
            seen = (info, tuple([int(session) for session, _ in result.sessions]))
            truths.must_be(f"barrier {operation.name!r}", seen, truths.barrier(rounds, operation.name))
        elif isinstance(operation, ListBarriers) and isinstance(result, BarrierPage):
            listed = (tuple([(each.name, shown(each)) for each in result.barriers]), result.more)
            truths.must_be("the list of barriers", listed, truths.barriers(rounds))

    # --- what must have happened -----------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        rounds = self._rounds
        rounds.begin()
        operation = command.operation
        session = int(command.session)
        if not isinstance(operation, EnterBarrier | LeaveBarrier):
            return
        if isinstance(result, Failure):
            count = operation.count if isinstance(operation, EnterBarrier) else 0
            rounds.refused(session, operation.name, count, result.code)
            return
        assert isinstance(result, BarrierChanged)
        if isinstance(operation, EnterBarrier):
            rounds.entered(session, operation.name, operation.count, shown(result.barrier))
        else:
            rounds.left(session, operation.name, operation.only_waiting, result.is_inside, shown(result.barrier))

    def on_session_end(self, session: int, cluster_ms: int) -> bool:
        return self._rounds.ended(session)

    def on_changes(self, changes: Sequence[tuple[int, Sequence[EventRow]]]) -> None:
        for revision, rows in changes:
            events = [(row[0], row[1], shown(decode_barrier(row[2]))) for row in rows if row[5] == BARRIERS]
            if any([row[5] == BARRIERS and row[0] == BARRIER_OPENED for row in rows]):
                self.stage.marks.reach(marks.BARRIER_OPENED)
            if events:
                self._rounds.told(revision, events)
