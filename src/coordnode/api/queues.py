"""Routes of queues: tasks put, taken under a token, extended, acknowledged, returned, redriven. Pure."""

from base64 import b64encode
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordnode.api.answers import expect
from coordnode.api.route import (
    NUMBER_MAX,
    RAW_TYPE,
    Asked,
    ListQuery,
    Number,
    Query,
    Read,
    ReadQuery,
    Route,
    Shown,
    Work,
    Write,
)
from coordnode.api.values import Base64, in_query, one_of, text_of
from coordnode.errors import BadRequest
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
    PurgeTasks,
    PutTask,
    QueueInfo,
    QueuePage,
    QueueSettings,
    QueueView,
    RedriveTasks,
    Result,
    TakeTasks,
    TaskExtended,
    TaskInfo,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksTaken,
    TaskView,
)

STATES = {"ready": READY, "delayed": DELAYED, "taken": TAKEN, "dead": DEAD}
NAMES = {number: name for name, number in STATES.items()}
FAILURES = ("", "returned", "lease ended", "session ended", "given back")
USUAL = QueueSettings()

Bound = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
HeldToken = Annotated[int, Meta(ge=1, le=NUMBER_MAX, description="that the take was answered with")]
LeaseMs = Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: as the queue says")]
Slice = Annotated[int, Meta(ge=1, le=1_024, description="at most so many at a time; `more`: go on")]


# --- what is asked -----------------------------------------------------------------------------------------------------


class SettingsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out is as usual, also where the queue had it otherwise."""

    lease_ms: Bound = USUAL.lease_ms
    retries_max: Bound = USUAL.retries_max
    backoff_ms: Bound = USUAL.backoff_ms
    backoff_ms_max: Bound = USUAL.backoff_ms_max
    dead_max: Bound = USUAL.dead_max
    tasks_max: Bound = USUAL.tasks_max
    bytes_max: Bound = USUAL.bytes_max
    dedupe_ms: Bound = USUAL.dedupe_ms


class TaskBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payload as text or as base64; or send the bytes alone, with another content type."""

    payload: str | None = None
    payload_base64: Base64 | None = None
    priority: Annotated[int, Meta(ge=-128, le=127, description="higher ones are taken first")] = 0
    delay_ms: Bound = 0
    key: Annotated[str, Meta(max_length=255, description="put once while the queue remembers it")] = ""
    holding: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="only while this token is live; 0: always")] = 0


class TakeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=128)] = 1
    lease_ms: LeaseMs = 0
    detached: Annotated[bool, Meta(description="in a session: what is taken outlives it")] = False


class ExtendBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: HeldToken
    lease_ms: LeaseMs = 0


class AckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: HeldToken


class NackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: HeldToken
    delay_ms: Annotated[int, Meta(ge=-1, le=NUMBER_MAX, description="-1: as the queue backs off")] = -1
    note: Annotated[str, Meta(max_length=1_024, description="why; kept with the task")] = ""
    begun: Annotated[bool, Meta(description="false: at once for somebody else, and not counted as an attempt")] = True


class RedriveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: all that are dead")] = 0
    limit: Slice = 128


class PurgeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dead: Annotated[bool, Meta(description="the dead ones; else those that are ready or delayed")] = False
    limit: Slice = 128


class TasksQuery(ReadQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Literal["ready", "delayed", "taken", "dead"] = "ready"
    after: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){0,16}$(?!\n)", description="`next` of the page before")] = ""
    limit: Number = 0


# --- what is answered ----------------------------------------------------------------------------------------------------


class ShownSettings(msgspec.Struct, frozen=True):
    lease_ms: int
    retries_max: int
    backoff_ms: int
    backoff_ms_max: int
    dead_max: int
    tasks_max: int
    bytes_max: int
    dedupe_ms: int


class ShownQueue(msgspec.Struct, frozen=True):
    queue: str | None
    queue_base64: str
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int
    size_bytes: int
    settings: ShownSettings


class QueueShown(msgspec.Struct, frozen=True):
    revision: int
    queue: ShownQueue
    oldest_ms: int  # for how long the task that is next has been there


class QueuesShown(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = the last name."""

    revision: int
    queues: list[ShownQueue]
    more: bool


class ShownTask(msgspec.Struct, frozen=True):
    task: int
    state: str
    priority: int
    attempts: int
    size_bytes: int
    age_ms: int
    due_ms: int  # until a delayed one is ready, or a taken one's lease ends; else 0
    token: int
    session: int
    failure: str  # how its last attempt ended
    note: str
    key: str | None
    key_base64: str


class TasksShown(msgspec.Struct, frozen=True):
    """`more`: go on with `after` = `next`."""

    revision: int
    tasks: list[ShownTask]
    more: bool
    next: str


class TaskShown(msgspec.Struct, frozen=True):
    revision: int
    task: ShownTask
    payload: str | None
    payload_base64: str


class TaskIsPut(msgspec.Struct, frozen=True):
    """`is_new` false: its key was put before, as this task."""

    revision: int
    task: int
    is_new: bool


class TakenOne(msgspec.Struct, frozen=True):
    """A payload that is null beside its base64 is no text; null in both is too large to come along: read the task."""

    task: int
    token: int
    attempts: int
    priority: int
    payload: str | None
    payload_base64: str | None


class TasksAreTaken(msgspec.Struct, frozen=True):
    """None: there is none now."""

    revision: int
    tasks: list[TakenOne]
    lease_ms: int  # count it from the moment of sending, less 0.2 % for two clocks


class LeaseExtended(msgspec.Struct, frozen=True):
    revision: int
    lease_ms: int


class TaskIsBack(msgspec.Struct, frozen=True):
    revision: int
    state: str  # ready, delayed or dead
    delay_ms: int


class QueueChanged(msgspec.Struct, frozen=True):
    revision: int
    changed: int
    more: bool


# --- from one to the other ---------------------------------------------------------------------------------------------


def _configure(asked: Asked[Query, SettingsBody]) -> Work:
    return Write(ConfigureQueue(asked.path["queue"], QueueSettings(**msgspec.structs.asdict(asked.body))))


def _put(asked: Asked[Query, TaskBody | bytes]) -> Work:
    body = asked.body
    if isinstance(body, bytes):
        return Write(PutTask(asked.path["queue"], body))
    payload = one_of(body.payload, body.payload_base64, "payload")
    key = body.key.encode()
    return Write(PutTask(asked.path["queue"], payload, body.priority, body.delay_ms, key, Token(body.holding)))


def _show_put(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    put = expect(result, TaskPut)
    return TaskIsPut(put.revision, put.task, put.is_new)


def _take(asked: Asked[Query, TakeBody]) -> Work:
    body = asked.body
    return Write(TakeTasks(asked.path["queue"], body.count, False, body.detached, body.lease_ms))


def _show_taken(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    taken = expect(result, TasksTaken)
    tasks = []
    for one in taken.tasks:
        payload = one.payload
        text, encoded = (None, None) if payload is None else (text_of(payload), b64encode(payload).decode())
        tasks.append(TakenOne(one.task, one.token, one.attempts, one.priority, text, encoded))
    return TasksAreTaken(taken.revision, tasks, taken.lease_ms)


def _extend(asked: Asked[Query, ExtendBody]) -> Work:
    return Write(ExtendTask(asked.path["queue"], Token(asked.body.token), asked.body.lease_ms))


def _show_extended(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    extended = expect(result, TaskExtended)
    return LeaseExtended(extended.revision, extended.lease_ms)


def _ack(asked: Asked[Query, AckBody]) -> Work:
    return Write(AckTask(asked.path["queue"], Token(asked.body.token)))


def _nack(asked: Asked[Query, NackBody]) -> Work:
    body = asked.body
    return Write(NackTask(asked.path["queue"], Token(body.token), body.delay_ms, body.note, body.begun))


def _show_returned(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    back = expect(result, TaskReturned)
    return TaskIsBack(back.revision, NAMES[back.state], back.delay_ms)


def _redrive(asked: Asked[Query, RedriveBody]) -> Work:
    return Write(RedriveTasks(asked.path["queue"], asked.body.task, asked.body.limit))


def _purge(asked: Asked[Query, PurgeBody]) -> Work:
    return Write(PurgeTasks(asked.path["queue"], asked.body.dead, asked.body.limit))


def _delete(asked: Asked[Query, None]) -> Work:
    return Write(DeleteQueue(asked.path["queue"]))


def _show_done(asked: Asked[Query, object], result: Result) -> msgspec.Struct:
    done = expect(result, Done)
    return QueueChanged(done.revision, done.changed, done.more)


def _get(asked: Asked[ReadQuery, None]) -> Work:
    return Read(GetQueue(asked.path["queue"]))


def _show_queue(asked: Asked[ReadQuery, None], result: Result) -> msgspec.Struct:
    view = expect(result, QueueView)
    return QueueShown(view.revision, _queue(view.queue), view.oldest_ms)


def _list(asked: Asked[ListQuery, None]) -> Work:
    query = asked.query
    return Read(ListQueues(in_query(query.prefix), in_query(query.after), query.limit))


def _show_queues(asked: Asked[ListQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, QueuePage)
    return QueuesShown(page.revision, [_queue(queue) for queue in page.queues], page.more)


def _tasks(asked: Asked[TasksQuery, None]) -> Work:
    query = asked.query
    return Read(ListTasks(asked.path["queue"], STATES[query.state], bytes.fromhex(query.after), query.limit))


def _show_tasks(asked: Asked[TasksQuery, None], result: Result) -> msgspec.Struct:
    page = expect(result, TaskPage)
    return TasksShown(page.revision, [_task(task) for task in page.tasks], page.more, page.next.hex())


def _get_task(asked: Asked[ReadQuery, None]) -> Work:
    text = asked.path["task"]
    if not text.isdigit() or len(text) > 16:
        raise BadRequest("a task is a whole number, as the put was answered")
    return Read(GetTask(asked.path["queue"], int(text)))


def _show_task(asked: Asked[ReadQuery, None], result: Result) -> msgspec.Struct | Shown:
    view = expect(result, TaskView)
    if asked.wants_raw:
        return Shown(200, RAW_TYPE, view.payload)
    return TaskShown(view.revision, _task(view.task), text_of(view.payload), b64encode(view.payload).decode())


def _queue(info: QueueInfo) -> ShownQueue:
    settings = ShownSettings(*msgspec.structs.astuple(info.settings))
    counts = (info.ready, info.delayed, info.taken, info.dead, info.waiting, info.size)
    return ShownQueue(text_of(info.name), b64encode(info.name).decode(), *counts, settings)


def _task(info: TaskInfo) -> ShownTask:
    return ShownTask(
        info.task,
        NAMES[info.state],
        info.priority,
        info.attempts,
        info.size,
        info.age_ms,
        info.due_ms,
        info.token,
        info.session,
        FAILURES[info.failure],
        info.note,
        text_of(info.key),
        b64encode(info.key).decode(),
    )


ROUTES = (
    Route("GET", "/v1/queues", "queue-list", "Queues by name, a page at a time.", _list, _show_queues, {200: QueuesShown}, ListQuery),
    Route(
        "GET", "/v1/queues/{queue}", "queue-get", "A queue: its settings, and how many tasks are in it.",
        _get, _show_queue, {200: QueueShown}, ReadQuery,
    ),
    Route(
        "PUT", "/v1/queues/{queue}", "queue-configure", "Make a queue, or give it other settings.",
        _configure, _show_done, {200: QueueChanged}, body=SettingsBody, is_write=True,
    ),
    Route(
        "DELETE", "/v1/queues/{queue}", "queue-delete", "Delete an empty queue.",
        _delete, _show_done, {200: QueueChanged}, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/tasks", "task-put", "Put a task; a queue that does not exist is made.",
        _put, _show_put, {200: TaskIsPut}, body=TaskBody, takes_raw=True, is_write=True,
    ),
    Route(
        "GET", "/v1/queues/{queue}/tasks", "task-list", "Tasks of one state, without payloads; ready ones in the order of taking.",
        _tasks, _show_tasks, {200: TasksShown}, TasksQuery,
    ),
    Route(
        "GET", "/v1/queues/{queue}/tasks/{task}", "task-get", "A task with its payload; with Accept: application/octet-stream only that.",
        _get_task, _show_task, {200: TaskShown}, ReadQuery, gives_raw=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/take", "task-take",
        "Take tasks under leases, each with a token; in a session they go back when it ends.",
        _take, _show_taken, {200: TasksAreTaken}, body=TakeBody, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/extend", "task-extend", "Begin a taken task's lease anew.",
        _extend, _show_extended, {200: LeaseExtended}, body=ExtendBody, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/ack", "task-ack", "A taken task is done.",
        _ack, _show_done, {200: QueueChanged}, body=AckBody, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/nack", "task-nack", "A taken task failed: tried again later, or dead.",
        _nack, _show_returned, {200: TaskIsBack}, body=NackBody, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/redrive", "task-redrive", "Make dead tasks ready again.",
        _redrive, _show_done, {200: QueueChanged}, body=RedriveBody, is_write=True,
    ),
    Route(
        "POST", "/v1/queues/{queue}/purge", "task-purge", "Drop tasks that nobody has taken.",
        _purge, _show_done, {200: QueueChanged}, body=PurgeBody, is_write=True,
    ),
)  # fmt: skip
