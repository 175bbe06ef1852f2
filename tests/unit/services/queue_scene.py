"""Sessions that put and take tasks, for tests that read like a conversation."""

from typing import TypeVar

from coordnode.errors import CoordError
from coordnode.services.commands import (
    NOTICES,
    QUEUES,
    Done,
    Event,
    Failure,
    GetQueue,
    GetTask,
    Notice,
    Operation,
    PutTask,
    QueueInfo,
    QueueView,
    ReadOperation,
    Result,
    TakenTask,
    TakeTasks,
    TaskInfo,
    TaskPut,
    TasksGiven,
    TasksTaken,
    TaskView,
    Wake,
    decode_notice,
    decode_result,
)

from .driven import Driven, alone, in_session, opening

R = TypeVar("R", bound=Result)


class Scene(Driven):
    """A driven machine with words for queues. Each session counts its own sequences."""

    def __init__(self, sessions: int = 0, **settings: int) -> None:
        super().__init__(**settings)
        self._sequences = dict.fromkeys(range(1, sessions + 1), 0)
        for number in self._sequences:
            self.apply(opening(number))

    def told(self, kind: type[R], operation: Operation, session: int = 0) -> R:
        if session:
            self._sequences[session] += 1
            result = self.one(in_session(session, self._sequences[session], operation))
        else:
            result = self.one(alone(operation))
        assert isinstance(result, kind), result
        return result

    def refused(self, kind: type[CoordError], operation: Operation, session: int = 0) -> str:
        before = self.machine.dump()
        applied, cluster_ms = self.machine.scalars.applied, self.machine.scalars.cluster_ms
        failure = self.told(Failure, operation, session)
        assert failure.code == kind.code, failure
        if not session:  # else its reply is kept
            self.machine.scalars.applied, self.machine.scalars.cluster_ms = applied, cluster_ms
            assert self.machine.dump() == before, "a refusal changed something"
            self.machine.scalars.applied += 1
        return failure.sentence

    def put(self, payload: str = "", queue: bytes = b"q", **other: object) -> int:
        return self.told(TaskPut, PutTask(queue, payload.encode(), **other)).task  # type: ignore[arg-type]

    def take(self, count: int = 1, session: int = 0, queue: bytes = b"q", **other: bool) -> list[TakenTask]:
        return self.told(TasksTaken, TakeTasks(queue, count, **other), session).tasks

    def payloads(self, count: int = 100) -> list[bytes | None]:
        return [task.payload for task in self.take(count)]

    def wait(self, session: int, count: int = 1, queue: bytes = b"q") -> int:
        taken = self.told(TasksTaken, TakeTasks(queue, count, True), session)
        assert not taken.tasks
        return taken.ticket

    def wake(self, at_ms: int) -> None:
        self.cluster_ms = at_ms
        self.told(Done, Wake())

    def read(self, operation: ReadOperation, now_ms: int = 0) -> Result:
        return decode_result(self.machine.read(operation, now_ms=now_ms))

    def info(self, queue: bytes = b"q") -> QueueInfo:
        view = self.read(GetQueue(queue))
        assert isinstance(view, QueueView), view
        return view.queue

    def counts(self) -> tuple[int, int, int, int]:
        info = self.info()
        return info.ready, info.delayed, info.taken, info.dead

    def task(self, number: int, queue: bytes = b"q") -> TaskInfo:
        view = self.read(GetTask(queue, number))
        assert isinstance(view, TaskView), view
        return view.task

    def events(self, after: int = 0) -> list[Event]:
        machine = self.machine
        return [event for change in machine.changes(after, machine.revision) for event in change.events]  # type: ignore[arg-type]

    def notices(self, session: int, after: int = 0) -> list[Notice]:
        told = [event for event in self.events(after) if event.space == NOTICES and int.from_bytes(event.key, "big") == session]
        assert all(event.kind == QUEUES for event in told)
        return [decode_notice(event.value) for event in told]

    def given(self, session: int, after: int = 0) -> list[TasksGiven]:
        return [notice for notice in self.notices(session, after) if isinstance(notice, TasksGiven)]
