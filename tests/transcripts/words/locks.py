"""Words of locks. Tokens and tickets are shown, and given, as their distance from the first number of the cluster.

acquire NAME [shared] [PERMITS/LIMIT] [try] [reentrant] [delay=MS] [note=TEXT] | give-back NAME NUMBER | break NAME [NUMBER] [reason=TEXT]
lock NAME | locks | held SESSION
"""

import msgspec

from coordnode.ids import SessionId, Token
from coordnode.services.commands import (
    EXCLUSIVE,
    LOCKS,
    NOTICES,
    SEMAPHORE,
    SHARED,
    Acquire,
    BreakLock,
    Event,
    HeldLocks,
    ListLocks,
    LockBusy,
    LockEvent,
    LockGiven,
    LockGranted,
    LockHolder,
    LockInfo,
    LockPage,
    LockQueued,
    LockReleased,
    LockTaken,
    LockView,
    ReadHeldLocks,
    ReadLock,
    Release,
    Result,
    decode_notice,
)
from coordnode.services.machine import TOKEN_SECONDS_SHIFT
from tests.unit.services.driven import CREATED_UNIX_S

FIRST = (CREATED_UNIX_S << TOKEN_SECONDS_SHIFT) - 1
KINDS = ("exclusive", "shared", "semaphore")
ENDED = ("released", "left the line", "held still")
EVENTS = ("granted", "queued", "released", "left the line", "lost", "broken", "delay over")


def number(text: str) -> Token:
    return Token(FIRST + int(text))


def shown(token: int) -> str:
    return f"#{token - FIRST}"


def parse(verb: str, words: list[str]) -> object | None:
    said = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    match verb:
        case "acquire":
            permits = next((word for word in plain[1:] if "/" in word), "1/0")
            count, limit = map(int, permits.split("/"))
            kind = SEMAPHORE if limit else SHARED if "shared" in plain else EXCLUSIVE
            delay_ms = int(said.get("delay", 0))
            name, note = plain[0].encode(), said.get("note", "")
            return Acquire(name, kind, count, limit, "try" not in plain, "reentrant" in plain, delay_ms, note)
        case "give-back":
            return Release(plain[0].encode(), number(plain[1]))
        case "break":
            return BreakLock(plain[0].encode(), number(plain[1]) if plain[1:] else Token(0), said.get("reason", ""), "ann")
        case "lock":
            return ReadLock(plain[0].encode())
        case "locks":
            return ListLocks()
        case "held":
            return ReadHeldLocks(SessionId(int(plain[0])))
    return None


def show_holder(holder: LockHolder) -> str:
    note = f" ({holder.note})" if holder.note else ""
    if not holder.session:
        return f"{shown(holder.token)} lost, closed for {holder.delay_ms} ms more"
    times = f", {holder.count} times" if holder.count > 1 else ""
    permits = f", {holder.permits} permits" if holder.permits > 1 else ""
    return f"{shown(holder.token)} session {holder.session}{note}, {KINDS[holder.kind]}{permits}{times}, for {holder.held_ms} ms"


def show_lock(lock: LockInfo) -> str:
    limit = f" of {lock.limit}, {lock.permits} in use" if lock.limit else ""
    return f"{lock.name.decode()}: {KINDS[lock.kind]}{limit}, holders {lock.holders}, waiters {lock.waiters}"


def show(result: Result) -> list[str] | None:
    match result:
        case LockGranted():
            return [f"holds it with {shown(result.token)}{f', {result.count} times' if result.count > 1 else ''}"]
        case LockQueued():
            return [f"waits with {shown(result.ticket)} behind {result.ahead}", f"  {show_lock(result.lock)}"]
        case LockBusy():
            first = [f"  {show_holder(result.lock.first)}"] if result.lock.first is not None else []
            return [f"busy; {show_lock(result.lock)}", *first]
        case LockReleased():
            left = f", to be released {result.count} times more" if result.count else ""
            return [f"{ENDED[result.what]}{f' {shown(result.token)}' if result.token else ''}{left}"]
        case LockView():
            if result.lock is None:
                return ["nobody holds or awaits it"]
            lines = [show_lock(result.lock), *[f"  held: {show_holder(holder)}" for holder in result.holders]]
            waiting = [f"  waits: {shown(one.ticket)} session {one.session}, {KINDS[one.kind]}" for one in result.waiters]
            return lines + waiting
        case LockPage():
            return [show_lock(lock) for lock in result.locks] or ["no lock"]
        case HeldLocks():
            found = [
                f"{lock.name.decode()}: {f'holds {shown(lock.token)}' if lock.token else f'waits with {shown(lock.ticket)}'}"
                for lock in result.locks
            ]
            return found or ["nothing"]
    return None


def show_event(event: Event) -> str | None:
    if event.space == NOTICES and event.kind == LOCKS:
        notice = decode_notice(event.value)
        if isinstance(notice, LockGiven):
            return f"session {event.session} is told: {notice.name.decode()} is its own, {shown(notice.ticket)} → {shown(notice.token)}"
        assert isinstance(notice, LockTaken)
        return f"session {event.session} is told: {notice.name.decode()} {shown(notice.token)} broken by {notice.by}: {notice.reason}"
    if event.space != LOCKS:
        return None
    told = msgspec.msgpack.decode(event.value, type=LockEvent)
    why = f" by {told.by}: {told.reason}" if told.by else ""
    who = f" session {told.session}" if told.session else ""
    return f"lock {event.key.decode()} {EVENTS[event.kind]} {shown(told.number)}{who}{why}"
