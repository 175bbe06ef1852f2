"""`coordctl queue`: tasks put by some and taken by others, at least once. Starts fast, but for `take --wait`."""

from __future__ import annotations

import os

from coordctl.commands import fast
from coordctl.commands.asked import REQUEST_ID, STALE, content, ended_by, request_id, shown, surely
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, duration_ms, one_of, whole_number
from coordctl.hot import queues
from coordctl.hot.frames import new_request_id
from coordctl.local.clusters import choose
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, REFUSED, SURELY_NOT_DONE, Kind
from coordnode.errors import BadRequest, CoordError
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _signed(text: str) -> int:
    return -whole_number(text[1:]) if text.startswith("-") else whole_number(text)


def _size(text: str) -> int:
    number = text.rstrip("BKMGi")
    unit = text[len(number) :]
    if unit not in _UNITS or not number.isascii() or not number.isdigit():
        raise ValueError(f"a number with its unit is needed ({', '.join(_UNITS)}), such as 64MiB")
    return int(number) * _UNITS[unit]


def _moment_ms(text: str) -> int:
    return 0 if text in ("0s", "0ms") else duration_ms(text)


LEASE = Flag(("--lease",), "for so long it is yours (default: as the queue says)", "30s", duration_ms, 0)

SET = Verb(
    "queue set",
    ("QUEUE",),
    "Make QUEUE, or change its settings; what is not said stays as it is.\nA put makes a queue that does not exist, with the defaults.",
    ACTION,
    (
        Flag(("--lease",), "for so long a task is its taker's (default 30s)", "30s", duration_ms),
        Flag(("--retries",), "how often a task is tried again before it is dead (default 10)", "N", whole_number),
        Flag(("--backoff",), "pause after the first failure, doubled by each further one (default 1s)", "1s", _moment_ms),
        Flag(("--backoff-max",), "the longest pause (default 5m)", "5m", _moment_ms),
        Flag(("--dead-max",), "dead tasks; where there are as many, none is dropped: it is tried on (default 10000)", "N", whole_number),
        Flag(("--tasks-max",), "tasks that are not dead (default 1000000)", "N", whole_number),
        Flag(("--bytes-max",), "bytes of all payloads (default 256MiB)", "SIZE", _size),
        Flag(("--dedupe",), "for so long the key of a put is remembered (default 5m)", "5m", _moment_ms),
        REQUEST_ID,
    ),
)
PUT = Verb(
    "queue put",
    ("QUEUE", "PAYLOAD"),
    "Put a task into QUEUE; prints its number.\nPAYLOAD may be - (standard input) or @FILE, up to 256 KiB. Done means: durable on a "
    "majority.\nA queue that does not exist is made.",
    ACTION,
    (
        Flag(("--priority",), "-128 to 127; higher ones are taken first, and in one the first put (default 0)", "N", _signed, 0),
        Flag(("--delay",), "not to be taken before", "10s", _moment_ms, 0),
        Flag(("--key",), "put once while the queue remembers KEY; again, it finds the task that is there", "KEY", default=""),
        Flag(("--holding",), "only while this token (of a lock, another task, …) is live", "TOKEN", whole_number, 0),
        REQUEST_ID,
    ),
)
TAKE = Verb(
    "queue take",
    ("QUEUE",),
    "Take a task: prints its token on a line, and behind it the payload, byte for byte.\nIt is yours until the lease ends: extend, ack or "
    "nack it by that token before.\nExits with 75 if there is none.",
    ACTION,
    (
        Flag(("--count",), "as many as there are, up to N; more than one only with -o json", "N", whole_number, 1),
        Flag(("--wait",), "for a task, if there is none", "30s", duration_ms),
        LEASE,
        REQUEST_ID,
    ),
)
EXTEND = Verb("queue extend", ("QUEUE", "TOKEN"), "Begin the lease of a taken task anew, now.", ACTION, (LEASE, REQUEST_ID))
ACK = Verb(
    "queue ack",
    ("QUEUE", "TOKEN"),
    "A taken task is done: it is gone for good.\nExits with 1 if the token holds nothing any more: then somebody else has the task, or "
    "had it.",
    ACTION,
    (REQUEST_ID,),
)
NACK = Verb(
    "queue nack",
    ("QUEUE", "TOKEN"),
    "A taken task failed: it is tried again after a back-off, or dead after too many attempts.",
    ACTION,
    (
        Flag(("--delay",), "instead of the queue's back-off", "10s", _moment_ms, -1),
        Flag(("--note",), "why; kept with the task", "TEXT", default=""),
        Flag(("--unbegun",), "nothing was done: at once for somebody else, and not counted as an attempt"),
        REQUEST_ID,
    ),
)
LIST = Verb("queue ls", ("[PREFIX]",), "List the queues and how many tasks are in each.", QUERY, (STALE,))
SHOW = Verb(
    "queue show",
    ("QUEUE", "[TASK]"),
    "Show a queue with its settings, or one of its tasks with its payload.",
    QUERY,
    (STALE, Flag(("--payload",), "of a task, nothing but the payload, byte for byte")),
)
TASKS = Verb(
    "queue tasks",
    ("QUEUE",),
    "List tasks of one state, without payloads; ready ones in the order in which they will be taken.",
    QUERY,
    (Flag(("--state",), "ready, delayed, taken or dead (default ready)", "STATE", one_of(*queues.STATES), "ready"), STALE),
)
DEAD = Verb("queue dead", ("QUEUE",), "List the dead tasks: attempts, why the last one failed, and what its taker noted.", QUERY, (STALE,))
REDRIVE = Verb(
    "queue redrive",
    ("QUEUE", "[TASK]"),
    "Make dead tasks ready again, in their old place and with their attempts forgotten: all, or one.",
    ACTION,
)
PURGE = Verb(
    "queue purge",
    ("QUEUE",),
    "Drop all tasks that are ready or delayed, or those that are dead; asks first.\nWhat is taken stays.",
    ACTION,
    (Flag(("--dead",), "the dead ones instead"), Flag(("--yes",), "answers the question")),
)
DELETE = Verb("queue delete", ("QUEUE",), "Delete an empty queue.\nIt is no error if it was not there.", ACTION)


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        return fast.dispatch("queue", COMMANDS, argv)
    from coordctl.commands import lock_run, queue_run

    return fast.dispatch("queue", lock_run.with_run(COMMANDS, argv, queue_run.RUN, queue_run.queue_run), argv)


# --- what was given --------------------------------------------------------------------------------------------------


def _queue(given: Given) -> bytes:
    if not given["queue"]:
        raise BadRequest("the queue has no name: give 1 to 255 bytes")
    return os.fsencode(given["queue"])


def _number(given: Given, name: str) -> int:
    try:
        return whole_number(given[name])
    except ValueError as error:
        raise BadRequest(f"{name} {given[name]!r}: {error}") from None


# --- what is shown ---------------------------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.4g} s"


def _queue_fields(queue: queues.Queue) -> dict[str, object]:
    counts = {"ready": queue.ready, "delayed": queue.delayed, "taken": queue.taken, "dead": queue.dead}
    return {**shown("queue", queue.name), **counts, "waiting": queue.waiting, "size_bytes": queue.size, "settings": queue.settings}


def _task_fields(task: queues.Task) -> dict[str, object]:
    fields = task._asdict()
    fields["size_bytes"] = fields.pop("size")
    fields["key"] = _text(task.key)
    return fields


def _task_line(task: queues.Task) -> str:
    parts = [f"{task.task}  {task.state}"]
    if task.due_ms:
        parts.append(f"{_seconds(task.due_ms)} left")
    parts.append(f"priority {task.priority}, {task.attempts} attempt{'' if task.attempts == 1 else 's'}, {task.size} bytes")
    if task.token:
        parts.append(f"token {task.token}")
    if task.failure:
        parts.append(f"{task.failure}: {task.note}" if task.note else task.failure)
    return ", ".join(parts)


# --- the verbs -------------------------------------------------------------------------------------------------------


def _set(given: Given) -> int:
    queue, said, asking = _queue(given), request_id(given), fast.asking(given)
    settings = dict(queues.SETTINGS)
    found, _ = queues.page(asking, queue, b"", stale=False)
    if found and found[0].name == queue:
        settings = dict(found[0].settings)
    fields = {"lease": "lease_ms", "retries": "retries_max", "backoff": "backoff_ms", "backoff_max": "backoff_ms_max"}
    fields |= {"dead_max": "dead_max", "tasks_max": "tasks_max", "bytes_max": "bytes_max", "dedupe": "dedupe_ms"}
    settings |= {name: given[flag] for flag, name in fields.items() if flag in given}
    changed = surely(said, lambda: queues.configure(asking, queue, settings, said))
    if given.is_json():
        head = fast.head("queue-set", "changed" if changed else "unchanged", DONE)
        plain.json_line({**head, **shown("queue", queue), "settings": settings, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"{given['queue']}: {'set' if changed else 'was so already'}")
    return DONE


def _put(given: Given) -> int:
    queue, payload, said, asking = _queue(given), content(given["payload"]), request_id(given), fast.asking(given)
    task, is_new = surely(
        said,
        lambda: queues.put(
            asking,
            queue,
            payload,
            said,
            priority=given["priority"],
            delay_ms=given["delay"],
            key=os.fsencode(given["key"]),
            holding=given["holding"],
        ),
    )
    if given.is_json():
        head = fast.head("queue-put", "put" if is_new else "put before", DONE)
        plain.json_line({**head, **shown("queue", queue), "task": task, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"task {task}{'' if is_new else ', put before'}")
    return DONE


def _take(given: Given) -> int:
    queue, said, count = _queue(given), request_id(given), given["count"]
    if count != 1 and not given.is_json():
        raise BadRequest("more than one task at a time would run into each other: add -o json, which prints one line for each")
    taken: Sequence[queues.Taken]
    if "wait" in given:
        if given["request_id"]:
            raise BadRequest("--request-id and --wait exclude each other: whoever waits has a session, which does the same")
        taken, lease_ms, signal = _waited_for(given, queue)
        if signal:
            for task in taken:
                with suppress(CoordError):  # its lease ends it
                    queues.nack(fast.asking(given), queue, task.token, new_request_id(), delay_ms=0, note="", begun=False)
            return ended_by(signal)
    else:
        taken, lease_ms = surely(said, lambda: queues.take(fast.asking(given), queue, count, given["lease"], said))
    for task in taken:
        if given.is_json():
            fields: dict[str, object] = {"task": task.task, "token": task.token, "attempts": task.attempts, "priority": task.priority}
            fields |= {"lease_ms": lease_ms, **shown("queue", queue), **shown("payload", task.payload)}
            plain.json_line({**fast.head("queue-take", "taken", DONE), **fields})
        else:
            plain.data(b"%d\n" % task.token + task.payload)
    if not taken and not given["quiet"]:
        plain.note(f"coordctl: {given['queue']} has no task to take now")
    return DONE if taken else SURELY_NOT_DONE


def _waited_for(given: Given, queue: bytes) -> tuple[list[queues.Taken], int, int]:
    """(tasks, the length of their leases, the signal that ended the wait or came since)"""
    from coordctl.operations import taking  # runs for long: it may take its time to start
    from coordctl.operations.interrupts import Interrupts

    endpoints = [endpoint.address for endpoint in choose(given["endpoints"], given["cluster"])[1]]
    with Interrupts() as interrupts:
        try:
            timeout_seconds = given.timeout_ms() / 1000
            found, lease_ms = taking.take(endpoints, queue, given["count"], given["wait"], given["lease"], timeout_seconds, interrupts)
        except (CoordError, KeyboardInterrupt):
            if not interrupts.number:
                raise
            found, lease_ms = [], 0
        return [queues.Taken(*task) for task in found], lease_ms, interrupts.number


def _extend(given: Given) -> int:
    queue, token, said, asking = _queue(given), _number(given, "token"), request_id(given), fast.asking(given)
    lease_ms = surely(said, lambda: queues.extend(asking, queue, token, given["lease"], said))
    if given.is_json():
        head = fast.head("queue-extend", "extended", DONE)
        plain.json_line({**head, **shown("queue", queue), "token": token, "lease_ms": lease_ms, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"yours for {_seconds(lease_ms)} from now")
    return DONE


def _ack(given: Given) -> int:
    queue, token, said, asking = _queue(given), _number(given, "token"), request_id(given), fast.asking(given)
    surely(said, lambda: queues.ack(asking, queue, token, said))
    if given.is_json():
        plain.json_line({**fast.head("queue-ack", "done", DONE), **shown("queue", queue), "token": token, "request_id": said})
    elif not given["quiet"]:
        plain.line("done")
    return DONE


def _nack(given: Given) -> int:
    queue, token, said, asking = _queue(given), _number(given, "token"), request_id(given), fast.asking(given)
    how = {"delay_ms": given["delay"], "note": given["note"], "begun": not given["unbegun"]}
    state, delay_ms = surely(said, lambda: queues.nack(asking, queue, token, said, **how))
    if given.is_json():
        head = fast.head("queue-nack", state, DONE)
        plain.json_line({**head, **shown("queue", queue), "token": token, "delay_ms": delay_ms, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"{state} for {_seconds(delay_ms)}" if delay_ms else state)
    return DONE


def _list(given: Given) -> int:
    asking, prefix, after, more, count = fast.asking(given), os.fsencode(given["prefix"] or ""), b"", True, 0
    while more:
        found, more = queues.page(asking, prefix, after, stale=bool(given["stale"]))
        for queue in found:
            if given.is_json():
                plain.json_line({**fast.head("queue-ls", "found", DONE), **_queue_fields(queue)})
            else:
                if not count:
                    plain.line(f"{'READY':>8}  {'DELAYED':>8}  {'TAKEN':>8}  {'DEAD':>8}  {'WAITING':>8}  QUEUE")
                counts = (queue.ready, queue.delayed, queue.taken, queue.dead, queue.waiting)
                plain.line("  ".join([f"{number:>8}" for number in counts]) + f"  {_text(queue.name)}")
            count += 1
            after = queue.name
    return DONE if count else FAILED


def _show(given: Given) -> int:
    queue, asking, stale = _queue(given), fast.asking(given), bool(given["stale"])
    if "task" in given:
        task, payload = queues.get(asking, queue, _number(given, "task"), stale=stale)
        if given.is_json():
            head = fast.head("queue-show-task", "found", DONE)
            plain.json_line({**head, **shown("queue", queue), **_task_fields(task), **shown("payload", payload)})
        elif given["payload"]:
            plain.data(payload)
        else:
            plain.line(_task_line(task))
            plain.line(f"  in the queue for {_seconds(task.age_ms)} or longer{f', key {_text(task.key)}' if task.key else ''}")
        return DONE
    if given["payload"]:
        raise BadRequest("--payload needs a TASK: coordctl queue show QUEUE TASK --payload")
    found, oldest_ms = queues.show(asking, queue, stale=stale)
    if given.is_json():
        plain.json_line({**fast.head("queue-show", "found", DONE), **_queue_fields(found), "oldest_ms": oldest_ms})
        return DONE
    settings = found.settings
    plain.line(f"{_text(found.name)}: {found.ready} ready, {found.delayed} delayed, {found.taken} taken, {found.dead} dead")
    plain.line(f"  {found.size} bytes, {found.waiting} takers wait, the next task is there for {_seconds(oldest_ms)}")
    plain.line(f"  lease {_seconds(settings['lease_ms'])}, a key is remembered for {_seconds(settings['dedupe_ms'])}")
    backoff = f"{_seconds(settings['backoff_ms'])} to {_seconds(settings['backoff_ms_max'])}"
    plain.line(f"  {settings['retries_max']} retries, back-off {backoff}")
    bounds = (settings["tasks_max"], settings["dead_max"], settings["bytes_max"])
    plain.line("  at most {} tasks, {} dead, {} bytes".format(*bounds))
    return DONE


def _list_tasks(given: Given) -> int:
    return _print_tasks(given, given["state"], "queue-tasks")


def _list_dead(given: Given) -> int:
    return _print_tasks(given, "dead", "queue-dead")


def _print_tasks(given: Given, state: str, schema: str) -> int:
    queue, asking, after, more, count = _queue(given), fast.asking(given), b"", True, 0
    while more:
        found, more, after = queues.tasks(asking, queue, state, after, stale=bool(given["stale"]))
        for task in found:
            if given.is_json():
                plain.json_line({**fast.head(schema, "found", DONE), **shown("queue", queue), **_task_fields(task)})
            else:
                plain.line(_task_line(task))
        count += len(found)
    return DONE if count else FAILED


def _redrive(given: Given) -> int:
    queue, task = _queue(given), _number(given, "task") if "task" in given else 0
    return _counted(given, queue, "queue-redrive", "redriven", queues.redrive(fast.asking(given), queue, task))


def _purge(given: Given) -> int:
    queue, which = _queue(given), "dead tasks" if given["dead"] else "ready and delayed tasks"
    endpoints = choose(given["endpoints"], given["cluster"])[1]
    if not given["yes"]:
        from coordctl.report import screen

        if not screen.confirmed(f"Drop all {which} of queue {given['queue']} in the cluster at {endpoints[0].address}?", "--yes"):
            plain.note("coordctl: nothing was done")
            return REFUSED
    return _counted(given, queue, "queue-purge", "dropped", queues.purge(fast.asking(given), queue, bool(given["dead"])))


def _delete(given: Given) -> int:
    queue = _queue(given)
    return _counted(given, queue, "queue-delete", "deleted", int(queues.delete(fast.asking(given), queue)))


def _counted(given: Given, queue: bytes, schema: str, done: str, count: int) -> int:
    if given.is_json():
        plain.json_line({**fast.head(schema, "done" if count else "nothing to do", DONE), **shown("queue", queue), "count": count})
    elif not given["quiet"]:
        plain.line(f"{_text(queue)}: {count} {done}" if schema != "queue-delete" else done if count else "was not there")
    return DONE


COMMANDS = {
    "put": Command(PUT, _put, Kind.ACTION),
    "take": Command(TAKE, _take, Kind.ACTION),
    "extend": Command(EXTEND, _extend, Kind.ACTION),
    "ack": Command(ACK, _ack, Kind.ACTION),
    "nack": Command(NACK, _nack, Kind.ACTION),
    "ls": Command(LIST, _list, Kind.QUERY),
    "show": Command(SHOW, _show, Kind.QUERY),
    "tasks": Command(TASKS, _list_tasks, Kind.QUERY),
    "dead": Command(DEAD, _list_dead, Kind.QUERY),
    "redrive": Command(REDRIVE, _redrive, Kind.ACTION),
    "purge": Command(PURGE, _purge, Kind.ACTION),
    "set": Command(SET, _set, Kind.ACTION),
    "delete": Command(DELETE, _delete, Kind.ACTION),
}
