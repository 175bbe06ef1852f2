"""Applies a folder's log to its newest snapshot and tells what each command and each change meant, with the time its leader gave it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from coordnode.errors import FolderRefused
from coordnode.ids import Revision
from coordnode.raft.entry import BATCH, CONFIG, Entry, decode_config
from coordnode.services.commands import (
    LEADS,
    LOCKS,
    SHARDS,
    VACANT,
    AckTask,
    AssignmentChanged,
    Batch,
    BreakLock,
    Command,
    ConfigureQueue,
    DeleteQueue,
    Depose,
    Expire,
    Failure,
    LeaderChange,
    LockEvent,
    NackTask,
    Outcome,
    PurgeTasks,
    PutTask,
    RaiseLevel,
    RedriveTasks,
    TakeTasks,
    TaskPut,
    TasksTaken,
    decode_batch,
    decode_result,
)
from coordnode.services.commands.events import ELECTIONS, Event
from coordnode.services.machine import Machine
from coordnode.storage.reader import Reader

LOCK_WORDS = ("granted", "queued", "released", "left the line", "lost: its session ended", "broken", "free again: the lock-delay is over")
SHARD_WORDS = ("assigned", "asked to let go", "freed")
OPERATOR = "operator"


class Happened(NamedTuple):
    wall_ms: int  # as the leader's clock said; only to be shown
    entry: int  # index in the log
    service: str  # lock, election, shard, task, session, membership, leader, operator
    name: str
    what: str
    who: str
    session: int
    token: int
    why: str


_lock_decoder = msgspec.msgpack.Decoder(LockEvent)
_leader_decoder = msgspec.msgpack.Decoder(LeaderChange)
_shards_decoder = msgspec.msgpack.Decoder(AssignmentChanged)


def retell(reader: Reader) -> Iterator[Happened]:
    """From the newest snapshot on, in the order of the log. Its last entries may not be committed yet."""
    state = reader.newest_state()
    if state is None:
        raise FolderRefused("there is no whole snapshot in this folder: give another member's")
    meta, slices = state
    machine = Machine.restore(slices)
    wall_ms = 0
    for entry in reader.standing(meta).entries:
        if entry.kind == BATCH:
            batch = decode_batch(entry.data)
            wall_ms = batch.wall_ms
            yield from _batch(machine, entry, batch)
        else:
            machine.skip(entry.index)
            yield _unusual(entry, wall_ms)


def _unusual(entry: Entry, wall_ms: int) -> Happened:
    if entry.kind == CONFIG:
        config = decode_config(entry.data)
        joint = f", leaving {', '.join(map(str, config.outgoing))}" if config.outgoing else ""
        words = f"voters {', '.join(map(str, config.voters))}{joint}; learners {', '.join(map(str, config.learners)) or 'none'}"
        return Happened(wall_ms, entry.index, "membership", "", words, "", 0, 0, "")
    return Happened(wall_ms, entry.index, "leader", "", f"term {entry.term} begins", "", 0, 0, "")


def _batch(machine: Machine, entry: Entry, batch: Batch) -> Iterator[Happened]:
    before = machine.revision
    outcomes = machine.apply(entry.index, entry.term, batch)
    machine.take_blobs()
    for command, outcome in zip(batch.commands, outcomes, strict=True):
        yield from _command(batch.wall_ms, entry.index, command, outcome)
    kept_after = machine.history_floor - 1  # a command may change more than the history holds
    for change in machine.changes(Revision(max(before, kept_after)), machine.revision):
        for event in change.events:
            yield from _event(batch.wall_ms, entry.index, event)


def _command(wall_ms: int, index: int, command: Command, outcome: Outcome) -> Iterator[Happened]:
    """What leaves no event, or has an operator behind it."""
    operation: Any = command.operation
    if not isinstance(operation, TOLD):
        return
    result = decode_result(outcome.result)
    if isinstance(result, Failure):
        return

    def told(service: str, name: bytes, what: str, *, who: str = "", token: int = 0, why: str = "") -> Happened:
        return Happened(wall_ms, index, service, _text(name), what, who, command.session, token, why)

    if isinstance(operation, PutTask) and isinstance(result, TaskPut):
        yield told("task", operation.queue, f"task {result.task} put")
    elif isinstance(operation, TakeTasks) and isinstance(result, TasksTaken):
        for taken in result.tasks:
            yield told("task", operation.queue, f"task {taken.task} taken, attempt {taken.attempts}", token=taken.token)
    elif isinstance(operation, AckTask):
        yield told("task", operation.queue, "done", token=operation.token)
    elif isinstance(operation, NackTask):
        yield told("task", operation.queue, "returned", token=operation.token, why=operation.note)
    elif isinstance(operation, BreakLock):
        yield told(OPERATOR, operation.name, "broke the lock", who=operation.by, why=operation.reason)
    elif isinstance(operation, Depose):
        yield told(OPERATOR, operation.name, "ended the leadership", who=operation.by, why=operation.reason)
    elif isinstance(operation, Expire):
        for session in operation.sessions:
            yield Happened(wall_ms, index, "session", str(session), "expired", "", session, 0, "")
    elif isinstance(operation, RaiseLevel):
        yield told(OPERATOR, b"", f"raised the feature level to {operation.level}")
    else:
        yield told(OPERATOR, operation.queue, QUEUE_ACTS[type(operation)])


QUEUE_ACTS = {
    ConfigureQueue: "configured the queue",
    RedriveTasks: "redrove dead tasks",
    PurgeTasks: "purged tasks",
    DeleteQueue: "deleted the queue",
}
TOLD = (PutTask, TakeTasks, AckTask, NackTask, BreakLock, Depose, Expire, RaiseLevel, *QUEUE_ACTS)


def _event(wall_ms: int, index: int, event: Event) -> Iterator[Happened]:
    if event.space == LOCKS:
        lock = _lock_decoder.decode(event.value)
        why = f"{lock.reason} (by {lock.by})" if lock.by and lock.reason else lock.reason or lock.note
        yield Happened(wall_ms, index, "lock", _text(event.key), LOCK_WORDS[event.kind], lock.owner, lock.session, lock.number, why)
    elif event.space == ELECTIONS:
        change = _leader_decoder.decode(event.value)
        what = "leads" if event.kind == LEADS else "nobody leads" if event.kind == VACANT else "proclaims"
        who = change.candidate or change.owner
        yield Happened(wall_ms, index, "election", _text(event.key), what, who, change.session, change.token, change.reason)
    elif event.space == SHARDS:
        for moved in _shards_decoder.decode(event.value).changes:
            what = f"shard {moved.shard} {SHARD_WORDS[moved.kind]}"
            yield Happened(wall_ms, index, "shard", _text(event.key), what, _text(moved.member), moved.session, moved.token, "")


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
