"""What can be wrong with a queue's operation, whatever the state: asked before it is proposed, and again when it is applied. Pure."""

from collections.abc import Mapping
from typing import Any

from coordnode.errors import BadRequest, CoordError, TooLarge
from coordnode.services.commands import (
    DEAD,
    READY,
    AckTask,
    ConfigureQueue,
    DeleteQueue,
    ExtendTask,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    PurgeTasks,
    PutTask,
    RedriveTasks,
    StopTaking,
    TakeTasks,
)
from coordnode.services.context import Check
from coordnode.services.names import check_name, check_page
from coordnode.services.state import TOKEN_MAX, Settings

LEASE_MS_MIN = 100
TIME_MS_MAX = 31_622_400_000  # 366 days, for leases, delays and back-offs
PRIORITY_MIN, PRIORITY_MAX = -128, 127
KEY_BYTES_MAX = 255
NOTE_BYTES_MAX = 1_024

_BOUNDS: Mapping[str, tuple[int, int]] = {  # of QueueSettings
    "lease_ms": (LEASE_MS_MIN, TIME_MS_MAX),
    "retries_max": (0, 1_000_000_000),
    "backoff_ms": (0, TIME_MS_MAX),
    "backoff_ms_max": (0, TIME_MS_MAX),
    "dead_max": (0, 1_000_000_000),
    "tasks_max": (1, 1_000_000_000),
    "bytes_max": (1, 2**53 - 1),
    "dedupe_ms": (0, TIME_MS_MAX),
}


def _check_queue(operation: Any, settings: Settings) -> CoordError | None:
    return check_name("queue", operation.queue, settings)


def _check_configure(operation: ConfigureQueue, settings: Settings) -> CoordError | None:
    for name, (least, most) in _BOUNDS.items():
        value = getattr(operation.settings, name)
        if not least <= value <= most:
            return BadRequest(f"a queue's {name} cannot be {value}; give {least} to {most}")
    return _check_queue(operation, settings)


def _check_put(operation: PutTask, settings: Settings) -> CoordError | None:
    if len(operation.payload) > settings.task_bytes_max:
        return TooLarge(
            f"the task's payload has {len(operation.payload)} bytes, at most {settings.task_bytes_max}; "
            "store it elsewhere and put its name into the queue"
        )
    if not PRIORITY_MIN <= operation.priority <= PRIORITY_MAX:
        return BadRequest(f"a task's priority cannot be {operation.priority}; give {PRIORITY_MIN} to {PRIORITY_MAX}")
    if not 0 <= operation.delay_ms <= TIME_MS_MAX:
        return BadRequest(f"a task cannot be delayed by {operation.delay_ms} ms; give 0 to {TIME_MS_MAX}")
    if len(operation.key) > KEY_BYTES_MAX:
        return TooLarge(f"the deduplication key has {len(operation.key)} bytes, at most {KEY_BYTES_MAX}; shorten it")
    return _check_token(operation.holding, least=0) or _check_queue(operation, settings)


def _check_take(operation: TakeTasks, settings: Settings) -> CoordError | None:
    if not 1 <= operation.count <= settings.take_tasks_max:
        return BadRequest(f"1 to {settings.take_tasks_max} tasks can be taken at a time, not {operation.count}")
    return _check_lease(operation.lease_ms) or _check_queue(operation, settings)


def _check_stop(operation: StopTaking, settings: Settings) -> CoordError | None:
    return _check_token(operation.ticket, "place in line") or _check_queue(operation, settings)


def _check_extend(operation: ExtendTask, settings: Settings) -> CoordError | None:
    return _check_lease(operation.lease_ms) or _check_held(operation, settings)


def _check_held(operation: AckTask | ExtendTask | NackTask, settings: Settings) -> CoordError | None:
    return _check_token(operation.token) or _check_queue(operation, settings)


def _check_nack(operation: NackTask, settings: Settings) -> CoordError | None:
    if not -1 <= operation.delay_ms <= TIME_MS_MAX:
        return BadRequest(f"a task cannot be returned with a delay of {operation.delay_ms} ms; give 0 to {TIME_MS_MAX}")
    if len(operation.note.encode()) > NOTE_BYTES_MAX:
        return TooLarge(f"the note has more than {NOTE_BYTES_MAX} bytes; shorten it")
    return _check_held(operation, settings)


def _check_slice(operation: RedriveTasks | PurgeTasks, settings: Settings) -> CoordError | None:
    if not 1 <= operation.limit <= settings.delete_range_keys_max:
        return BadRequest(f"one slice has 1 to {settings.delete_range_keys_max} tasks, not {operation.limit}; repeat it for more")
    return _check_queue(operation, settings)


def _check_redrive(operation: RedriveTasks, settings: Settings) -> CoordError | None:
    return _check_token(operation.task, "task", least=0) or _check_slice(operation, settings)


def _check_get_task(operation: GetTask, settings: Settings) -> CoordError | None:
    return _check_token(operation.task, "task") or _check_queue(operation, settings)


def _check_list(operation: ListQueues, settings: Settings) -> CoordError | None:
    return check_page("queue", operation.prefix, operation.after, operation.limit, settings)


def _check_list_tasks(operation: ListTasks, settings: Settings) -> CoordError | None:
    if not READY <= operation.state <= DEAD:
        return BadRequest(f"tasks have states {READY} to {DEAD}, not {operation.state}")
    if operation.limit < 0 or len(operation.after) > 16:
        return BadRequest("a list of tasks begins after where another page ended, and its limit is not below 0")
    return _check_queue(operation, settings)


def _check_token(number: int, what: str = "token", least: int = 1) -> CoordError | None:
    if not least <= number <= TOKEN_MAX:
        return BadRequest(f"there is no {what} {number}: they are counted from 1 and stay below 2**53")
    return None


def _check_lease(lease_ms: int) -> CoordError | None:
    if lease_ms and not LEASE_MS_MIN <= lease_ms <= TIME_MS_MAX:
        return BadRequest(f"a task's lease cannot be {lease_ms} ms; give {LEASE_MS_MIN} to {TIME_MS_MAX}, or 0 for what the queue says")
    return None


CHECKS: Mapping[type, Check] = {
    ConfigureQueue: _check_configure,
    PutTask: _check_put,
    TakeTasks: _check_take,
    StopTaking: _check_stop,
    ExtendTask: _check_extend,
    AckTask: _check_held,
    NackTask: _check_nack,
    RedriveTasks: _check_redrive,
    PurgeTasks: _check_slice,
    DeleteQueue: _check_queue,
    GetQueue: _check_queue,
    ListQueues: _check_list,
    ListTasks: _check_list_tasks,
    GetTask: _check_get_task,
}
