"""Queues: what may be asked and what is answered. Pure.

A task is READY, DELAYED until a time of the cluster's clock, TAKEN under a token, or DEAD.
"""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands.base import NoticeBase, OperationBase, ResultBase

READY = 1
DELAYED = 2  # put with a delay, or returned and backing off
TAKEN = 3
DEAD = 4  # failed once too often: stays until it is redriven or purged

NEVER_FAILED = 0
NACKED = 1  # its taker said so; `note` says what the taker said
LEASE_ENDED = 2  # nobody extended it
SESSION_ENDED = 3  # of its taker
GIVEN_BACK = 4  # its taker had not begun: does not count as an attempt


class QueueSettings(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    lease_ms: int = 30_000
    retries_max: int = 10  # a task is tried once more than that, then it is dead
    backoff_ms: int = 1_000  # after the first failure; doubled by each further one
    backoff_ms_max: int = 300_000
    dead_max: int = 10_000  # where they are as many, a task that failed too often goes on at the longest back-off: none is dropped
    tasks_max: int = 1_000_000  # ready, delayed and taken
    bytes_max: int = 268_435_456  # payloads of all tasks
    dedupe_ms: int = 300_000  # for so long a deduplication key is remembered


class ConfigureQueue(OperationBase, frozen=True, array_like=True, gc=False, tag=60):
    """Makes it, or changes its settings; what is in it stays. Leases and delays that run already end as they would have."""

    queue: bytes
    settings: QueueSettings = QueueSettings()


class PutTask(OperationBase, frozen=True, array_like=True, gc=False, tag=61):
    """A queue that does not exist is made, with the usual settings."""

    queue: bytes
    payload: bytes
    priority: int = 0  # higher ones are taken first; in one priority the first put is
    delay_ms: int = 0
    key: bytes = b""  # a further put with this key, while the queue remembers it, finds this task instead of making another
    holding: Token = Token(0)  # refused unless this token is live; 0: does not matter


class TakeTasks(OperationBase, frozen=True, array_like=True, gc=False, tag=62):
    """At once as many as there are, at most `count`. With `wait`, and none there: a place in line, and a notice once it was served."""

    queue: bytes
    count: int = 1
    wait: bool = False  # only in a session
    detached: bool = False  # what is taken outlives the session: only its lease ends it
    lease_ms: int = 0  # 0: as the queue says


class StopTaking(OperationBase, frozen=True, array_like=True, gc=False, tag=63):
    """Leaves the line. Whoever was served meanwhile is told what it got: nothing is lost between a time-out and a notice."""

    queue: bytes
    ticket: int


class ExtendTask(OperationBase, frozen=True, array_like=True, gc=False, tag=64):
    """The lease begins anew, now."""

    queue: bytes
    token: Token
    lease_ms: int = 0  # 0: as the queue says


class AckTask(OperationBase, frozen=True, array_like=True, gc=False, tag=65):
    """It is done: the task is gone."""

    queue: bytes
    token: Token


class NackTask(OperationBase, frozen=True, array_like=True, gc=False, tag=66):
    """It failed: back to the queue after a back-off, or dead."""

    queue: bytes
    token: Token
    delay_ms: int = -1  # -1: as the queue backs off
    note: str = ""  # why
    begun: bool = True  # False: given back untouched, at once; the attempt does not count


class RedriveTasks(OperationBase, frozen=True, array_like=True, gc=False, tag=67):
    """Dead ones become ready, as if just put but in their old place: all, in slices, or the one named."""

    queue: bytes
    task: int = 0
    limit: int = 128


class PurgeTasks(OperationBase, frozen=True, array_like=True, gc=False, tag=68):
    """One slice: drops READY and DELAYED ones, or DEAD ones; what is taken stays its taker's."""

    queue: bytes
    dead: bool = False
    limit: int = 128


class DeleteQueue(OperationBase, frozen=True, array_like=True, gc=False, tag=69):
    """Only an empty one that nobody waits for."""

    queue: bytes


class GetQueue(OperationBase, frozen=True, array_like=True, gc=False, tag=70):
    queue: bytes


class ListQueues(OperationBase, frozen=True, array_like=True, gc=False, tag=71):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0  # 0: as many as one page may hold


class ListTasks(OperationBase, frozen=True, array_like=True, gc=False, tag=72):
    """READY ones in the order in which they will be taken, others in the order of their puts; without payloads."""

    queue: bytes
    state: int = READY
    after: bytes = b""  # `next` of the page before
    limit: int = 0


class GetTask(OperationBase, frozen=True, array_like=True, gc=False, tag=73):
    queue: bytes
    task: int


# --- what is answered ----------------------------------------------------------------------------------------------


class TaskPut(ResultBase, frozen=True, array_like=True, gc=False, tag=60):
    revision: Revision
    task: int  # unique in the cluster, for ever
    is_new: bool = True  # False: its key was put before; `task` is that one, be it done already


class TakenTask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    task: int
    token: Token
    payload: bytes | None  # None: too large to come along; read it
    attempts: int  # this one included
    priority: int


class TasksTaken(ResultBase, frozen=True, array_like=True, tag=61):
    revision: Revision
    tasks: list[TakenTask]
    lease_ms: int
    ticket: int = 0  # the place in line, for who waits


class TaskExtended(ResultBase, frozen=True, array_like=True, gc=False, tag=62):
    revision: Revision
    lease_ms: int


class TaskReturned(ResultBase, frozen=True, array_like=True, gc=False, tag=63):
    revision: Revision
    state: int  # READY, DELAYED or DEAD; TAKEN: somebody else waited for it
    delay_ms: int  # of a DELAYED one


class QueueInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    settings: QueueSettings
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int  # takers in line
    size: int  # bytes of the payloads of all tasks


class QueueView(ResultBase, frozen=True, array_like=True, gc=False, tag=64):
    revision: Revision
    queue: QueueInfo
    oldest_ms: int  # for how long the task that will be taken next has been in the queue; 0: none is ready


class QueuePage(ResultBase, frozen=True, array_like=True, tag=65):
    revision: Revision
    queues: list[QueueInfo]
    more: bool


class TaskInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    task: int
    state: int
    priority: int
    attempts: int
    size: int  # bytes of its payload
    age_ms: int  # since it was put, as the cluster counts
    due_ms: int = 0  # how long until a DELAYED one is ready, or a TAKEN one's lease ends
    token: Token = Token(0)  # of a TAKEN one
    session: SessionId = NO_SESSION  # whose end returns it
    failure: int = NEVER_FAILED  # how its last attempt ended: NACKED …
    note: str = ""
    key: bytes = b""


class TaskPage(ResultBase, frozen=True, array_like=True, tag=66):
    revision: Revision
    tasks: list[TaskInfo]
    more: bool
    next: bytes  # where the next page goes on


class TaskView(ResultBase, frozen=True, array_like=True, gc=False, tag=67):
    revision: Revision
    task: TaskInfo
    payload: bytes


# --- what is told to one session (space NOTICES, kind QUEUES) -----------------------------------------------------


class TasksGiven(NoticeBase, frozen=True, array_like=True, tag=60):
    """The wait is over: what waited with `ticket` has these."""

    queue: bytes
    ticket: int
    tasks: list[TakenTask]
    lease_ms: int  # from the moment they were given, not from when the notice arrives


class TaskLost(NoticeBase, frozen=True, array_like=True, gc=False, tag=61):
    """Its lease ended, or somebody else acknowledged or returned it: the token is stale from here on."""

    queue: bytes
    task: int
    token: Token


# --- what everybody may watch (space QUEUES) ----------------------------------------------------------------------

QUEUE_CHANGED = 0  # under the queue's name, its QueueSettings: made, or configured
QUEUE_DELETED = 1
TASK_DIED = 2  # under the queue's name, a TaskInfo


# --- all of them --------------------------------------------------------------------------------------------------

QueueOperation = (
    PutTask | TakeTasks | AckTask | NackTask | ExtendTask | StopTaking | ConfigureQueue | RedriveTasks | PurgeTasks | DeleteQueue
)
QueueRead = GetQueue | ListQueues | ListTasks | GetTask
QueueResult = TaskPut | TasksTaken | TaskExtended | TaskReturned | QueueView | QueuePage | TaskPage | TaskView
QueueNotice = TasksGiven | TaskLost
