"""Words of queues. Tokens, tickets and tasks are shown, and given, as their distance from the first number of the cluster.

queue QUEUE [lease=MS] [retries=N] [backoff=MS] [backoff_max=MS] [dead=N] [tasks=N] [bytes=N] [dedupe=MS]
task QUEUE PAYLOAD [priority=N] [delay=MS] [key=KEY] [holding=N] | take QUEUE [COUNT] [wait] [detached] [lease=MS] | stop QUEUE TICKET
extend QUEUE TOKEN [lease=MS] | ack QUEUE TOKEN
nack QUEUE TOKEN [delay=MS] [note=TEXT] [unbegun] | redrive QUEUE [TASK] | purge QUEUE [dead]
drop-queue QUEUE | queue-of QUEUE | tasks QUEUE ready|delayed|taken|dead
"""

import msgspec

from coordnode.ids import Token
from coordnode.services.commands import (
    NOTICES,
    QUEUE_CHANGED,
    QUEUE_DELETED,
    QUEUES,
    AckTask,
    ConfigureQueue,
    DeleteQueue,
    Event,
    ExtendTask,
    GetQueue,
    ListTasks,
    NackTask,
    PurgeTasks,
    PutTask,
    QueueSettings,
    QueueView,
    RedriveTasks,
    Result,
    StopTaking,
    TakenTask,
    TakeTasks,
    TaskExtended,
    TaskInfo,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksGiven,
    TasksTaken,
    decode_notice,
)
from coordnode.services.machine import TOKEN_SECONDS_SHIFT
from tests.unit.services.driven import CREATED_UNIX_S

FIRST = (CREATED_UNIX_S << TOKEN_SECONDS_SHIFT) - 1
STATES = ("", "ready", "delayed", "taken", "dead")
FAILURES = ("", "returned", "its lease ended", "its session ended", "given back")
SETTINGS = {"lease": "lease_ms", "retries": "retries_max", "backoff": "backoff_ms", "backoff_max": "backoff_ms_max"}
SETTINGS |= {"dead": "dead_max", "tasks": "tasks_max", "bytes": "bytes_max", "dedupe": "dedupe_ms"}


def parse(verb: str, words: list[str]) -> object | None:
    plain = [word for word in words[1:] if "=" not in word]
    said = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    numbers = {name: int(value) for name, value in said.items() if value.lstrip("-").isdigit()}
    name = words[0].encode() if words else b""
    number = Token(FIRST + int(plain[0])) if plain and plain[0].isdigit() else Token(0)
    match verb:
        case "queue":
            return ConfigureQueue(name, QueueSettings(**{SETTINGS[key]: value for key, value in numbers.items()}))
        case "task":
            holding = Token(FIRST + numbers["holding"] if "holding" in said else 0)
            key = said.get("key", "").encode()
            return PutTask(name, plain[0].encode(), numbers.get("priority", 0), numbers.get("delay", 0), key, holding)
        case "take":
            count = int(plain[0]) if number else 1
            return TakeTasks(name, count, "wait" in plain, "detached" in plain, numbers.get("lease", 0))
        case "stop":
            return StopTaking(name, number)
        case "extend":
            return ExtendTask(name, number, numbers.get("lease", 0))
        case "ack":
            return AckTask(name, number)
        case "nack":
            return NackTask(name, number, numbers.get("delay", -1), said.get("note", ""), "unbegun" not in plain)
        case "redrive":
            return RedriveTasks(name, number)
        case "purge":
            return PurgeTasks(name, "dead" in plain)
        case "drop-queue":
            return DeleteQueue(name)
        case "queue-of":
            return GetQueue(name)
        case "tasks":
            return ListTasks(name, STATES.index(plain[0]))
    return None


def show_taken(task: TakenTask) -> str:
    payload = "payload to be read" if task.payload is None else repr(task.payload.decode())
    return f"task {task.task - FIRST} {payload}, attempt {task.attempts}, under token {task.token - FIRST}"


def show_info(task: TaskInfo) -> str:
    parts = [f"task {task.task - FIRST}: {STATES[task.state]}, {task.attempts} attempts"]
    if task.due_ms:
        parts.append(f"for {task.due_ms} ms")
    if task.token:
        parts.append(f"token {task.token - FIRST}")
    if task.failure:
        parts.append(FAILURES[task.failure] + (f": {task.note}" if task.note else ""))
    return ", ".join(parts)


def show(result: Result) -> list[str] | None:
    match result:
        case TaskPut():
            return [f"task {result.task - FIRST}{'' if result.is_new else ', put before'}"]
        case TasksTaken():
            if result.ticket:
                return [f"waits with ticket {result.ticket - FIRST}, from revision {result.revision} on"]
            return [f"{show_taken(task)}, for {result.lease_ms} ms" for task in result.tasks] or ["nothing"]
        case TaskExtended():
            return [f"for {result.lease_ms} ms from now"]
        case TaskReturned():
            return [STATES[result.state] + (f" for {result.delay_ms} ms" if result.delay_ms else "")]
        case QueueView():
            queue = result.queue
            counts = f"{queue.ready} ready, {queue.delayed} delayed, {queue.taken} taken, {queue.dead} dead"
            return [f"{counts}; {queue.waiting} wait; {queue.size} bytes"]
        case TaskPage():
            return [show_info(task) for task in result.tasks] or ["none"]
    return None


def show_event(event: Event) -> str | None:
    if event.space == NOTICES and event.kind == QUEUES:
        notice = decode_notice(event.value)
        told = f"session {int.from_bytes(event.key, 'big')} is told: queue "
        if isinstance(notice, TasksGiven):
            return f"{told}{notice.queue.decode()} serves ticket {notice.ticket - FIRST}: {'; '.join(map(show_taken, notice.tasks))}"
        assert hasattr(notice, "task")
        return f"{told}{notice.queue.decode()}: task {notice.task - FIRST} is lost"  # type: ignore[attr-defined]
    if event.space != QUEUES:
        return None
    name = event.key.decode()
    if event.kind == QUEUE_CHANGED:
        return f"queue {name} is configured"
    if event.kind == QUEUE_DELETED:
        return f"queue {name} is deleted"
    return f"queue {name}: {show_info(msgspec.msgpack.decode(event.value, type=TaskInfo))}"
