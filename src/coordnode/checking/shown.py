"""What reads of services must show, by the truths that are kept in the order of the log: held against them at the same index. Pure.

A page that `limit` cuts off says that there is more; 0 stands for a page that holds all there is here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from coordnode.checking.barrier_rounds import BarrierRounds
from coordnode.checking.elections import Candidate, ElectionTruth
from coordnode.checking.group_views import GroupViews
from coordnode.checking.locks import EXCLUSIVE, SHARED, Grant, LockTruth
from coordnode.checking.presence import Presence
from coordnode.checking.queue_ledger import READY, TAKEN, QueueLedger
from coordnode.checking.shard_owners import ShardOwners
from coordnode.errors import PromiseBroken

SEMAPHORE = 2
IS, IS_NOT, HAS = 0, 1, 2  # relations of a label; any other: it has none

Page = tuple[tuple[Any, ...], bool]


def must_be(what: str, seen: object, truth: object) -> None:
    if seen != truth:
        raise PromiseBroken("read-shows-truth", f"{what} was read as {seen}; it is {truth}", (seen, truth))


def token_must_be(what: str, *, taken_for_live: bool, lasts: bool) -> None:
    """What a transaction or a put found that asked for it, beside what the truth of its grant says."""
    if taken_for_live is not lasts:
        sentence = f"{what} is taken for {'live' if taken_for_live else 'stale'}, and its grant {'lasts' if lasts else 'is over'}"
        raise PromiseBroken("token-live", sentence, None)


def times_must_agree(what: str, times: Iterable[tuple[int, int]], earliest_ms: int, latest_ms: int) -> None:
    """(since when by the truth, for how long as it was read): they must name one moment, and one that can have been that of the read."""
    moments = sorted({since_ms + lasted_ms for since_ms, lasted_ms in times})
    if len(moments) > 1 or (moments and not earliest_ms <= moments[0] <= latest_ms):
        sentence = f"{what} is shown to last until {moments}; it was read between {earliest_ms} and {latest_ms}"
        raise PromiseBroken("read-shows-truth", sentence, tuple(times))


def page(rows: Sequence[Any], limit: int) -> Page:
    return (tuple(rows[:limit]), len(rows) > limit) if limit else (tuple(rows), False)


# --- sessions --------------------------------------------------------------------------------------------------------------


def sessions(truth: Presence, after: int, limit: int) -> Page:
    return page([(session, one.owner, one.ttl_ms) for session, one in sorted(truth.sessions.items()) if session > after], limit)


# --- locks -----------------------------------------------------------------------------------------------------------------


def lock(truth: LockTruth, name: bytes, limit: int) -> tuple[Any, Page, Page]:
    """(what a list says of it, its holders, its line)"""
    found = truth.locks.get(name)
    if found is None:
        return None, ((), False), ((), False)
    holders = [(grant.token, grant.session, grant.kind, grant.permits, _count(grant), grant.note) for grant in found.grants]
    line = [(waiter.ticket, waiter.session, waiter.kind, waiter.permits, waiter.note) for waiter in found.line]
    return _lock_info(truth, name), page(holders, limit), page(line, limit)


def locks(truth: LockTruth, limit: int) -> Page:
    return page([_lock_info(truth, name) for name in sorted(truth.locks)], limit)


def held(truth: LockTruth, session: int) -> Page:
    """(name, token, ticket, count) of each, token 0: it waits"""
    found: list[tuple[bytes, int, tuple[Any, ...]]] = []
    for name, known in truth.locks.items():
        for grant in known.grants:
            if grant.session and (session in grant.count or grant.session == session):
                found.append((name, grant.token, (name, grant.token, grant.ticket, _count(grant))))
        found += [(name, waiter.ticket, (name, 0, waiter.ticket, 0)) for waiter in known.line if waiter.session == session]
    return page([row for _, _, row in sorted(found)], 0)


def _count(grant: Grant) -> int:
    return sum(grant.count.values())


def _lock_info(truth: LockTruth, name: bytes) -> tuple[Any, ...]:
    found = truth.locks[name]
    is_exclusive = any([grant.kind == EXCLUSIVE for grant in found.grants])
    kind = SEMAPHORE if found.limit else EXCLUSIVE if is_exclusive else SHARED
    return name, kind, found.limit, sum([grant.permits for grant in found.grants]), len(found.grants), len(found.line)


# --- elections -------------------------------------------------------------------------------------------------------------


def election(truth: ElectionTruth, name: bytes, limit: int) -> tuple[Any, Page]:
    """(what a list says of it, who stands)"""
    line = [(one.ticket, one.session, one.candidate, one.value) for one in truth.lines.get(name, [])]
    return _election_info(truth, name) if name in truth.leaders else None, page(line, limit)


def elections(truth: ElectionTruth, limit: int) -> Page:
    return page([_election_info(truth, name) for name in sorted(truth.leaders)], limit)


def candidacies(truth: ElectionTruth, session: int) -> Page:
    """(name, token, ticket) of each, token 0: it stands"""
    found = [(name, one.number, _stood_with(one)) for name, one in truth.leaders.items() if one.session == session]
    standing = [(name, 0, one.ticket) for name, line in truth.lines.items() for one in line if one.session == session]
    return page(sorted([*found, *standing], key=lambda row: (row[0], row[1] or row[2])), 0)


def _election_info(truth: ElectionTruth, name: bytes) -> tuple[Any, ...]:
    one = truth.leaders[name]
    return name, one.number, one.session, one.candidate, one.value, len(truth.lines.get(name, []))


def _stood_with(one: Candidate) -> int:
    return one.ticket if one.ticket != one.number else 0


# --- barriers, groups, shards ----------------------------------------------------------------------------------------------


def barrier(truth: BarrierRounds, name: bytes) -> tuple[Any, tuple[int, ...]]:
    """(how it stands, who is inside)"""
    found = truth.rounds.get(name)
    return (None, ()) if found is None else (found.shown(), tuple(sorted(found.inside)))


def barriers(truth: BarrierRounds) -> Page:
    return page([(name, found.shown()) for name, found in sorted(truth.rounds.items())], 0)


def groups(truth: GroupViews) -> Page:
    known = [(name, truth.view_of(name), len(members)) for name, members in sorted(truth.groups.items()) if members]
    return page(known, 0)


def members(truth: GroupViews, requires: Iterable[tuple[str, int, str]], limit: int) -> Page:
    """(group, member) of all that meet these; a page that is full says that there is more where any member follows, met or not."""
    found: list[Any] = []
    for group, known in sorted(truth.groups.items()):
        for name in sorted(known):
            if limit and len(found) == limit:
                return tuple(found), True
            if all([_meets(dict(known[name][3]).get(key), relation, value) for key, relation, value in requires]):
                found.append((group, known[name]))
    return tuple(found), False


def _meets(label: str | None, relation: int, value: str) -> bool:
    if relation in (IS, IS_NOT):
        return (label == value) is (relation == IS)
    return (label is not None) is (relation == HAS)


def assignments(truth: ShardOwners) -> Page:
    return page(truth.listed(), 0)


# --- queues ----------------------------------------------------------------------------------------------------------------


def queues(truth: QueueLedger) -> Page:
    return page([(name, queue.counts(), queue.rules) for name, queue in sorted(truth.queues.items())], 0)


def tasks(truth: QueueLedger, name: bytes, state: int) -> Page | None:
    """(number, state, priority, attempts, size, token, session) of each, in the order in which they are listed; None: no such queue"""
    queue = truth.queues.get(name)
    if queue is None:
        return None
    found = queue.state(state)
    if state == TAKEN:
        found = sorted(found, key=lambda task: task.token)
    elif state != READY:
        found = sorted(found, key=lambda task: task.number)
    return page([_task(queue.tasks[task.number]) for task in found], 0)


def task(truth: QueueLedger, name: bytes, number: int) -> tuple[Any, bytes] | None:
    """Beside its payload; None: there is none."""
    queue = truth.queues.get(name)
    found = queue.tasks.get(number) if queue is not None else None
    return (_task(found), found.payload) if found is not None else None


def task_times(truth: QueueLedger, name: bytes, number: int, age_ms: int, due_ms: int) -> list[tuple[int, int]]:
    """For `times_must_agree`: since it was put, and until it is due where that is not over."""
    found = truth.queues[name].tasks[number]
    return [(found.put_ms, age_ms), *([(found.due_ms - due_ms, 0)] if due_ms else [])]


def _task(found: Any) -> tuple[Any, ...]:
    return found.number, found.state, found.priority, found.attempts, len(found.payload), found.token, found.session, found.key
