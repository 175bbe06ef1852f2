"""What both shells ask of queues and make of the answers, and what may be believed about a task that was taken. Pure."""

from collections.abc import Mapping

from coordnode.client.durations import Seconds, in_ms
from coordnode.client.renewal import believed_ms
from coordnode.client.requests import Request, as_bytes, expect
from coordnode.errors import BadRequest, CoordError, NotHeld
from coordnode.ids import Token
from coordnode.services.commands import (
    DEAD,
    DELAYED,
    READY,
    TAKEN,
    AckTask,
    ConfigureQueue,
    DeleteQueue,
    Done,
    ExtendTask,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    Notice,
    PurgeTasks,
    PutTask,
    QueuePage,
    QueueSettings,
    QueueView,
    RedriveTasks,
    StopTaking,
    TakenTask,
    TakeTasks,
    TaskExtended,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksGiven,
    TasksTaken,
    TaskView,
)

Name = str | bytes

STATES: Mapping[str, int] = {"ready": READY, "delayed": DELAYED, "taken": TAKEN, "dead": DEAD}


def moments_ms(time: Seconds | None, what: str) -> int:
    """None and 0: at once."""
    return in_ms(time, what) if time else 0


def configure_request(queue: bytes, settings: QueueSettings) -> Request[bool]:
    return Request(ConfigureQueue(queue, settings), lambda result: expect(result, Done).changed > 0)


def put_request(queue: bytes, payload: Name, priority: int, delay_ms: int, key: Name, holding: int, request_id: str) -> Request[TaskPut]:
    operation = PutTask(queue, as_bytes(payload), priority, delay_ms, as_bytes(key), Token(holding))
    return Request(operation, lambda result: expect(result, TaskPut), request_id=request_id)


def take_request(queue: bytes, count: int, wait: bool, detached: bool, lease_ms: int, request_id: str) -> Request[TasksTaken]:
    return Request(TakeTasks(queue, count, wait, detached, lease_ms), lambda result: expect(result, TasksTaken), request_id=request_id)


def stop_request(queue: bytes, ticket: int) -> Request[TasksTaken]:
    return Request(StopTaking(queue, ticket), lambda result: expect(result, TasksTaken))


def extend_request(queue: bytes, token: Token, lease_ms: int) -> Request[TaskExtended]:
    return Request(ExtendTask(queue, token, lease_ms), lambda result: expect(result, TaskExtended))


def ack_request(queue: bytes, token: Token, request_id: str = "") -> Request[None]:
    def convert(result: object) -> None:
        expect(result, Done)  # type: ignore[arg-type]  # whatever it is, it is said to be another kind of answer

    return Request(AckTask(queue, token), convert, request_id=request_id)


def nack_request(queue: bytes, token: Token, delay_ms: int, note: str, begun: bool, request_id: str = "") -> Request[TaskReturned]:
    return Request(NackTask(queue, token, delay_ms, note, begun), lambda result: expect(result, TaskReturned), request_id=request_id)


def redrive_request(queue: bytes, task: int) -> Request[Done]:
    return Request(RedriveTasks(queue, task), lambda result: expect(result, Done))


def purge_request(queue: bytes, dead: bool) -> Request[Done]:
    return Request(PurgeTasks(queue, dead), lambda result: expect(result, Done))


def delete_request(queue: bytes) -> Request[Done]:
    return Request(DeleteQueue(queue), lambda result: expect(result, Done))


def show_request(queue: bytes, stale: bool) -> Request[QueueView]:
    return Request(GetQueue(queue), lambda result: expect(result, QueueView), stale)


def page_request(prefix: bytes, after: bytes, stale: bool) -> Request[QueuePage]:
    return Request(ListQueues(prefix, after), lambda result: expect(result, QueuePage), stale)


def tasks_request(queue: bytes, state: str, after: bytes, stale: bool) -> Request[TaskPage]:
    if state not in STATES:
        raise BadRequest(f"there is no state {state!r} of a task; there are {', '.join(STATES)}")
    return Request(ListTasks(queue, STATES[state], after), lambda result: expect(result, TaskPage), stale)


def task_request(queue: bytes, task: int, stale: bool = False) -> Request[TaskView]:
    return Request(GetTask(queue, task), lambda result: expect(result, TaskView), stale)


def note_of(error: BaseException | None) -> str:
    """What a failed attempt leaves for whoever looks at the task."""
    return f"{type(error).__name__}: {error}".encode()[:1_000].decode(errors="ignore") if error is not None else ""


# --- waiting -----------------------------------------------------------------------------------------------------------


class Wait:
    """One place in line, as the session's notices speak of it. They are listened to before it is asked for, so that none is missed."""

    __slots__ = ("_told", "ticket")

    def __init__(self) -> None:
        self.ticket = 0  # 0: not answered yet, and a notice may come before the answer
        self._told: dict[int, list[TakenTask]] = {}  # by ticket

    def on_notice(self, notice: Notice) -> None:
        """In whichever thread moves the bytes."""
        if isinstance(notice, TasksGiven) and self.ticket in (0, notice.ticket):
            self._told[notice.ticket] = notice.tasks

    def given(self) -> list[TakenTask] | None:
        return self._told.get(self.ticket)


# --- holding -----------------------------------------------------------------------------------------------------------


class Hold:
    """Until when a task is surely this client's, on its own clock; counted from when the take, or the extension, was sent."""

    __slots__ = ("_error", "_extend_at_ms", "_what", "is_finished", "lease_ms", "token", "until_ms")

    def __init__(self, what: str, token: Token, lease_ms: int, sent_ms: int) -> None:
        self._what = what
        self._error: CoordError | None = None
        self.token = token
        self.is_finished = False  # acknowledged or returned by its owner
        self.lease_ms = lease_ms
        self.until_ms = 0
        self._extend_at_ms = 0
        self.on_extended(lease_ms, sent_ms)

    def on_extended(self, lease_ms: int, sent_ms: int) -> None:
        self.lease_ms = lease_ms
        self.until_ms = sent_ms + believed_ms(lease_ms)
        self._extend_at_ms = sent_ms + lease_ms // 3

    def on_lost(self, error: CoordError) -> None:
        """The cluster says so, and does not take it back."""
        self._error = error

    def on_failed(self, now_ms: int) -> None:
        """An extension did not come through: soon again."""
        self._extend_at_ms = now_ms + max(10, self.lease_ms // 12)

    def extend_at_ms(self) -> int | None:
        """None: there is nothing to extend any more."""
        return None if self.is_finished or self._error is not None else self._extend_at_ms

    def is_held(self, now_ms: int) -> bool:
        return not self.is_finished and self._error is None and now_ms < self.until_ms

    def check(self, now_ms: int) -> None:
        if self.is_finished:
            raise NotHeld(f"{self._what} was acknowledged or returned already")
        if self._error is not None:
            raise NotHeld(f"{self._what} is lost: {self._error.sentence}")
        if now_ms >= self.until_ms:
            raise NotHeld(f"{self._what} may be somebody else's: its lease could not be extended in time")
