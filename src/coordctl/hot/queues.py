"""The questions behind `coordctl queue`, but for waiting."""

from __future__ import annotations

from coordctl.hot import frames
from coordnode.errors import NotHeld
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.hot.cluster import Cluster

CONFIGURE, PUT, TAKE, EXTEND, ACK, NACK, REDRIVE, PURGE, DELETE = 60, 61, 62, 64, 65, 66, 67, 68, 69  # tags of operations
SHOW, LIST, TASKS, TASK = 70, 71, 72, 73  # tags of reads
TASK_PUT, TAKEN, EXTENDED, RETURNED, VIEW, PAGE, TASK_PAGE, TASK_VIEW = 60, 61, 62, 63, 64, 65, 66, 67  # tags of results

STATES = {"ready": 1, "delayed": 2, "taken": 3, "dead": 4}
NAMES = {number: name for name, number in STATES.items()}
FAILURES = ("", "returned", "lease ended", "session ended", "given back")
SETTINGS = {  # in the order of the protocol, with what a queue begins with
    "lease_ms": 30_000,
    "retries_max": 10,
    "backoff_ms": 1_000,
    "backoff_ms_max": 300_000,
    "dead_max": 10_000,
    "tasks_max": 1_000_000,
    "bytes_max": 268_435_456,
    "dedupe_ms": 300_000,
}


class Taken(NamedTuple):
    task: int
    token: int
    payload: bytes
    attempts: int
    priority: int


class Queue(NamedTuple):
    name: bytes
    settings: dict[str, int]
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int
    size: int


class Task(NamedTuple):
    task: int
    state: str
    priority: int
    attempts: int
    size: int
    age_ms: int
    due_ms: int
    token: int
    session: int
    failure: str
    note: str
    key: bytes


def configure(asking: Cluster, queue: bytes, settings: dict[str, int], request_id: str) -> bool:
    """Whether that changed anything."""
    result = _write(asking, request_id, frames.DONE, [CONFIGURE, queue, [settings[name] for name in SETTINGS]])
    return bool(result[2])


def put(
    asking: Cluster, queue: bytes, payload: bytes, request_id: str, *, priority: int, delay_ms: int, key: bytes, holding: int
) -> tuple[int, bool]:
    """(task, whether it is a new one)"""
    operation = [PUT, queue, payload, priority, delay_ms, key, holding]
    result = _write(asking, request_id, TASK_PUT, operation)
    return int(result[2]), bool(result[3])


def take(asking: Cluster, queue: bytes, count: int, lease_ms: int, request_id: str) -> tuple[list[Taken], int]:
    """(tasks, the length of their leases)"""
    result = _write(asking, request_id, TAKEN, [TAKE, queue, count, False, True, lease_ms])
    taken = []
    for number, token, payload, attempts, priority in [fields[:5] for fields in result[2]]:
        data = payload if payload is not None else _payload(asking, queue, number, token)
        taken.append(Taken(number, token, data, attempts, priority))
    return taken, int(result[3])


def _payload(asking: Cluster, queue: bytes, number: int, token: int) -> bytes:
    task, payload = get(asking, queue, number, stale=False)
    if task.token != token:
        raise NotHeld(f"task {number} was lost before its payload could be read; take again")
    return payload


def extend(asking: Cluster, queue: bytes, token: int, lease_ms: int, request_id: str) -> int:
    """The length of the lease, from now on."""
    return int(_write(asking, request_id, EXTENDED, [EXTEND, queue, token, lease_ms])[2])


def ack(asking: Cluster, queue: bytes, token: int, request_id: str) -> None:
    _write(asking, request_id, frames.DONE, [ACK, queue, token])


def nack(asking: Cluster, queue: bytes, token: int, request_id: str, *, delay_ms: int, note: str, begun: bool) -> tuple[str, int]:
    """(its state, for how long that is delayed)"""
    result = _write(asking, request_id, RETURNED, [NACK, queue, token, delay_ms, note, begun])
    return NAMES.get(result[2], "unknown"), int(result[3])


def redrive(asking: Cluster, queue: bytes, task: int) -> int:
    """How many. A slice that was made twice finds less to do: nothing is redriven twice."""
    total, more = 0, True
    while more:
        result = _write(asking, "", frames.DONE, [REDRIVE, queue, task, 128])
        total += result[2]
        more = result[3] and not task and result[2] > 0
    return total


def purge(asking: Cluster, queue: bytes, dead: bool) -> int:
    total, more = 0, True
    while more:
        result = _write(asking, "", frames.DONE, [PURGE, queue, dead, 128])
        total += result[2]
        more = result[3]
    return total


def delete(asking: Cluster, queue: bytes) -> bool:
    """Whether it was there."""
    more = True
    while more:
        result = _write(asking, "", frames.DONE, [DELETE, queue])
        more = len(result) > 3 and result[3]
    return bool(result[2])


def page(asking: Cluster, prefix: bytes, after: bytes, *, stale: bool) -> tuple[list[Queue], bool]:
    """(queues in the order of their names, whether there are more)"""
    result = _read(asking, stale, PAGE, [LIST, prefix, after, 0])
    return [_queue(fields) for fields in result[2]], result[3]


def show(asking: Cluster, queue: bytes, *, stale: bool) -> tuple[Queue, int]:
    """(the queue, for how long the task that is next has been in it)"""
    result = _read(asking, stale, VIEW, [SHOW, queue])
    return _queue(result[2]), int(result[3])


def tasks(asking: Cluster, queue: bytes, state: str, after: bytes, *, stale: bool) -> tuple[list[Task], bool, bytes]:
    """(tasks, whether there are more, where those begin)"""
    result = _read(asking, stale, TASK_PAGE, [TASKS, queue, STATES[state], after, 0])
    return [_task(fields) for fields in result[2]], result[3], result[4]


def get(asking: Cluster, queue: bytes, task: int, *, stale: bool) -> tuple[Task, bytes]:
    """(the task, its payload)"""
    result = _read(asking, stale, TASK_VIEW, [TASK, queue, task])
    return _task(result[2]), result[3]


def _queue(fields: Any) -> Queue:
    name, settings, *counts = fields[:8]
    return Queue(name, dict(zip(SETTINGS, settings, strict=False)), *counts)


def _task(fields: Any) -> Task:
    number, state, priority, attempts, size, age_ms, due_ms, token, session, failure, note, key = fields[:12]
    why = FAILURES[failure] if failure < len(FAILURES) else str(failure)
    name = NAMES.get(state, str(state))
    return Task(number, name, priority, attempts, size, age_ms, due_ms, token, session, why, note, key)


def _write(asking: Cluster, request_id: str, tag: int, operation: list[object]) -> Any:
    result = asking.ask(frames.WRITE, [0, 0, 0, request_id, operation], is_safe_twice=True)
    frames.expect(result, tag)
    return result


def _read(asking: Cluster, stale: bool, tag: int, read: list[object]) -> Any:
    result = asking.ask(frames.READ, read, stale, 0, is_safe_twice=True)
    frames.expect(result, tag)
    return result
