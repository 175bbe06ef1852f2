"""What the `queue` verbs print."""

from typing import Literal

import msgspec


class QueueNamed(msgspec.Struct, frozen=True, kw_only=True):
    """The name as text where it is text, and always as base64."""

    queue: str | None
    queue_base64: str


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    lease_ms: int
    retries_max: int
    backoff_ms: int
    backoff_ms_max: int
    dead_max: int
    tasks_max: int
    bytes_max: int
    dedupe_ms: int


class QueueFound(QueueNamed, frozen=True, kw_only=True):
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int  # takers in line
    size_bytes: int  # payloads of all tasks
    settings: QueueSettings


class QueueListed(QueueFound, frozen=True, kw_only=True):
    """One line for each queue."""

    schema: Literal["coordctl.queue-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueShown(QueueFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    oldest_ms: int  # for how long the task that is next has been there


class TaskFound(QueueNamed, frozen=True, kw_only=True):
    task: int
    state: str  # ready, delayed, taken, dead
    priority: int
    attempts: int
    size_bytes: int
    age_ms: int  # at least: the cluster's clock stands still between commands
    due_ms: int  # until a delayed one is ready, or a taken one's lease ends; else 0
    token: int  # of a taken one
    session: int  # whose end returns it; 0: nobody's
    failure: str  # how its last attempt ended: returned, lease ended, session ended, given back
    note: str
    key: str


class QueueTask(TaskFound, frozen=True, kw_only=True):
    """One line for each task."""

    schema: Literal["coordctl.queue-tasks/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueDead(TaskFound, frozen=True, kw_only=True):
    """One line for each task."""

    schema: Literal["coordctl.queue-dead/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueTaskShown(TaskFound, frozen=True, kw_only=True):
    """What `queue show QUEUE TASK` prints."""

    schema: Literal["coordctl.queue-show-task/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    payload: str | None
    payload_base64: str


class QueuePut(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-put/1"]
    outcome: Literal["put", "put before"]
    exit_code: Literal[0]
    task: int
    request_id: str


class QueueTaken(QueueNamed, frozen=True, kw_only=True):
    """One line for each task; none: there was nothing to take (75)."""

    schema: Literal["coordctl.queue-take/1"]
    outcome: Literal["taken"]
    exit_code: Literal[0]
    task: int
    token: int
    attempts: int  # this one included
    priority: int
    lease_ms: int
    payload: str | None
    payload_base64: str


class QueueExtended(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-extend/1"]
    outcome: Literal["extended"]
    exit_code: Literal[0]
    token: int
    lease_ms: int
    request_id: str


class QueueAcknowledged(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-ack/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    token: int
    request_id: str


class QueueReturned(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-nack/1"]
    outcome: Literal["ready", "delayed", "dead"]
    exit_code: Literal[0]
    token: int
    delay_ms: int
    request_id: str


class QueueSet(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-set/1"]
    outcome: Literal["changed", "unchanged"]
    exit_code: Literal[0]
    settings: QueueSettings
    request_id: str


class QueueRedriven(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-redrive/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int


class QueuePurged(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-purge/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int


class QueueDeleted(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-delete/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int
