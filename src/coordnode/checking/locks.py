"""What locks promise, followed in the order of the log: who holds and who waits by the rules, beside what was answered and told. Pure.

The rules are written anew, slowly: lines are lists, and a deadlock is found by playing on until nobody can get done any more.
Each contradiction is named: lock-exclusion, lock-fifo, lock-tokens, lock-sessions, lock-delay, lock-deadlock, lock-told, lock-answer.
"""

from collections.abc import Iterable
from typing import Any, Final

from coordnode.errors import PromiseBroken

EXCLUSIVE: Final = 0
SHARED: Final = 1

DEADLOCK: Final = "deadlock"
REFUSED: Final = "refused"

GRANTED_EVENT: Final = 0
ENDED_EVENTS: Final = {2: "released", 4: "lost", 5: "broken", 6: "delay over"}


class Grant:
    __slots__ = ("count", "delay_ms", "due_ms", "kind", "note", "permits", "session", "since_ms", "ticket", "token")

    def __init__(self, token: int, session: int, kind: int, permits: int, delay_ms: int, ticket: int, note: str, since_ms: int) -> None:
        self.token = token
        self.session = session  # 0: lost, kept closed until due_ms
        self.kind = kind
        self.permits = permits
        self.delay_ms = delay_ms
        self.ticket = ticket
        self.note = note
        self.since_ms = since_ms
        self.due_ms = 0
        self.count: dict[int, int] = {session: 1}  # by session: how often it must release it


class Waiter:
    __slots__ = ("delay_ms", "kind", "note", "permits", "session", "since_ms", "ticket")

    def __init__(self, ticket: int, session: int, kind: int, permits: int, delay_ms: int, note: str, since_ms: int) -> None:
        self.ticket = ticket
        self.session = session
        self.kind = kind
        self.permits = permits
        self.delay_ms = delay_ms
        self.note = note
        self.since_ms = since_ms


class _Lock:
    __slots__ = ("grants", "limit", "line")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.grants: list[Grant] = []
        self.line: list[Waiter] = []

    def fits(self, kind: int, permits: int) -> bool:
        if self.limit:
            return sum([grant.permits for grant in self.grants]) + permits <= self.limit
        if kind == EXCLUSIVE:
            return not self.grants
        return all([grant.kind == SHARED for grant in self.grants])


class GuardedResources:
    """What exclusive locks guard: whoever believes that it holds one, by its own clock and its session's lease, writes with its token.

    A resource refuses tokens below one that it has seen. Who believes rightly is never refused: that is what it is told by name.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}  # by lock
        self._held: dict[
            int, dict[bytes, int]
        ] = {}  # by session: what it was granted, and gave back neither itself nor by an operator's hand

    def granted(self, session: int, name: bytes, token: int) -> None:
        self._held.setdefault(session, {})[name] = token

    def given_back(self, session: int, name: bytes) -> None:
        self._held.get(session, {}).pop(name, None)

    def closed(self, session: int) -> None:
        """By its client, who knows. What ends it otherwise is not told here: the client must have stopped believing by then."""
        self._held.pop(session, None)

    def believes(self, session: int) -> None:
        """Its client does, at this moment: and writes."""
        for name, token in self._held.get(session, {}).items():
            if token < self._seen.get(name, 0):
                sentence = (
                    f"session {session} believes that it holds lock {name!r} with token {token}; {self._seen[name]} has written already"
                )
                raise PromiseBroken("lock-resource", sentence, None)
            self._seen[name] = token


class LockTruth:
    def __init__(self) -> None:
        self.locks: dict[bytes, _Lock] = {}
        self.parents: dict[int, int] = {}  # of sessions that are open
        self.now_ms = 0  # of the last command, as the cluster counts
        self.deadlocks = self.delays = self.handed_over = self.broken = self.entered = 0  # how often they were seen
        self._token = self._ticket = 0  # the newest
        self._at_once: list[tuple[bytes, int, int]] = []  # name, token and session of who was granted by the last command's answer
        self._due: list[tuple[bytes, Waiter]] = []  # granted by what the last command did: events and notices must say so
        self._taken: list[tuple[int, bytes, int]] = []  # by it: session, name and token of what was broken
        self._ended: dict[int, None] = {}  # by it

    # --- what is asked -------------------------------------------------------------------------------------------------

    def claims(self, session: int) -> list[tuple[bytes, int]]:
        """Names and numbers of what a session holds, has entered and awaits."""
        found: list[tuple[bytes, int]] = []
        for name, lock in self.locks.items():
            found += [(name, grant.token) for grant in lock.grants if session in grant.count and grant.session]
            found += [(name, grant.ticket) for grant in lock.grants if grant.session == session and grant.ticket]
            found += [(name, waiter.ticket) for waiter in lock.line if waiter.session == session]
        return found

    def is_inside(self, session: int, name: bytes) -> bool:
        """It holds the lock, be it by a grant that others entered too and that outlives it."""
        lock = self.locks.get(name)
        return lock is not None and any(session in grant.count for grant in lock.grants)

    def numbers(self, name: bytes) -> list[int]:
        lock = self.locks.get(name)
        return [] if lock is None else [grant.token for grant in lock.grants] + [waiter.ticket for waiter in lock.line]

    def tokens(self) -> list[tuple[bytes, int]]:
        """Of all grants that last."""
        return [(name, grant.token) for name, lock in self.locks.items() for grant in lock.grants if grant.session]

    # --- what the log says ---------------------------------------------------------------------------------------------

    def opened(self, session: int, parent: int) -> None:
        self.parents[session] = parent

    def acquired(
        self, session: int, asked: tuple[bytes, int, int, int, bool, bool, int], now_ms: int, answer: tuple[Any, ...], note: str = ""
    ) -> None:
        """asked: name, kind, permits, limit, wait, reentrant, delay_ms; answer: ("granted", token, count), ("queued", ticket, ahead),
        ("busy",), ("deadlock",), ("refused",) for another kind or what cannot be entered."""
        name, kind, permits, limit, wait, reentrant, delay_ms = asked
        what = f"session {session} asks for lock {name!r} ({asked[1:]})"
        lock = self.locks.get(name)
        refusal = self._refusal(session, asked, now_ms)
        if (refusal or "") != (answer[0] if answer[0] in (DEADLOCK, REFUSED) else ""):
            sentence = f"{what} and is answered {answer}; by the rules it is {refusal or 'not refused'}"
            if DEADLOCK in (refusal, answer[0]):
                raise PromiseBroken("lock-deadlock", sentence, self._evidence(name))
            raise PromiseBroken("lock-answer", sentence, self._evidence(name))
        if refusal is not None:
            self.deadlocks += refusal == DEADLOCK
            return
        own = self._own(session, name) if reentrant else None
        if own is not None:
            own.count[session] = own.count.get(session, 0) + 1
            self.entered += 1
            if answer != ("granted", own.token, sum(own.count.values())):
                raise PromiseBroken("lock-answer", f"{what} again and is answered {answer}, not {own.token}", self._evidence(name))
            return
        self.passed(now_ms)
        lock = self.locks.setdefault(name, _Lock(limit))
        if not lock.line and lock.fits(kind, permits):
            self._expect("granted", what, name, answer)
            self._at_once.append((name, answer[1], session))
            lock.grants.append(Grant(answer[1], session, kind, permits, delay_ms, 0, note, now_ms))
        elif wait:
            self._expect("queued", what, name, answer)
            if answer[1] <= max(self._token, self._ticket):
                raise PromiseBroken("lock-tokens", f"{what} and gets ticket {answer[1]}, after {max(self._token, self._ticket)}", None)
            self._ticket = answer[1]
            if answer[2] != len(lock.line):
                raise PromiseBroken(
                    "lock-answer", f"{what}: {answer[2]} are said to wait before it, not {len(lock.line)}", self._evidence(name)
                )
            lock.line.append(Waiter(answer[1], session, kind, permits, delay_ms, note, now_ms))
        else:
            self._expect("busy", what, name, answer)

    def released(self, session: int, name: bytes, number: int, answer: tuple[Any, ...]) -> None:
        """answer: ("released", what, token, count) with what 0 over, 1 cancelled, 2 held still; ("refused",)"""
        lock = self.locks.get(name)
        expected: tuple[Any, ...] = (REFUSED,)
        if lock is not None:
            for waiter in lock.line:
                if waiter.ticket == number and waiter.session == session:
                    lock.line.remove(waiter)
                    expected = ("released", 1, 0, 0)
                    break
            else:
                for grant in lock.grants:
                    if number in (grant.token, grant.ticket) and grant.session and grant.count.get(session):
                        grant.count[session] -= 1
                        left = sum(grant.count.values())
                        if not grant.count[session]:
                            del grant.count[session]
                        if not left:
                            lock.grants.remove(grant)
                        expected = ("released", 2 if left else 0, grant.token, left)
                        break
        if answer != expected:
            raise PromiseBroken(
                "lock-answer", f"session {session} releases {number} of lock {name!r}: {answer}, not {expected}", self._evidence(name)
            )
        self._move_on(name)

    def was_broken(self, name: bytes, token: int, ended: int) -> None:
        """`ended`: how many grants are said to have ended; -1: it was refused."""
        lock = self.locks.get(name)
        found = [grant for grant in lock.grants if not token or grant.token == token] if lock is not None else []
        is_refused = lock is None or (token != 0 and not found)
        if (ended < 0) != is_refused or (ended >= 0 and ended != len(found)):
            raise PromiseBroken("lock-answer", f"breaking lock {name!r} ended {ended} grants, not {len(found)}", self._evidence(name))
        if lock is not None:
            lock.grants = [grant for grant in lock.grants if grant not in found]
            self.broken += len(found)
            self._taken += [(session, name, grant.token) for grant in found for session in grant.count if session]
        self._move_on(name)

    def session_ended(self, session: int, is_clean: bool, now_ms: int) -> bool:
        """Whether that changed anything."""
        self.parents.pop(session, None)
        self._ended[session] = None
        changed = False
        for lock in self.locks.values():
            before = len(lock.line)
            lock.line = [waiter for waiter in lock.line if waiter.session != session]
            changed = changed or len(lock.line) != before
        for name in list(self.locks):
            lock = self.locks[name]
            for grant in list(lock.grants):
                was_inside = grant.session and grant.count.pop(session, 0)
                if grant.session != session and (not was_inside or grant.count):
                    continue
                changed = True
                if is_clean or not grant.delay_ms:
                    lock.grants.remove(grant)
                else:
                    grant.session, grant.due_ms, grant.count = 0, now_ms + grant.delay_ms, {}
        for name in list(self.locks):
            self._move_on(name)
        return changed

    def passed(self, now_ms: int) -> None:
        """Lock-delays that are over by now."""
        for name in list(self.locks):
            lock = self.locks[name]
            kept = [grant for grant in lock.grants if not 0 < grant.due_ms <= now_ms]
            if len(kept) != len(lock.grants):
                self.delays += len(lock.grants) - len(kept)
                lock.grants = kept
                self._move_on(name)

    # --- what is told --------------------------------------------------------------------------------------------------

    def told(
        self, granted: Iterable[tuple[bytes, int, int]], given: Iterable[tuple[int, bytes, int, int]], taken: list[tuple[int, bytes, int]]
    ) -> None:
        """Of the last command. granted: (name, token, session) as everybody may watch it; given: (session, name, ticket, token) and
        taken: (session, name, token) as notices say it.

        Whoever waited and is granted by the rules must be in both of the first, in the order of its line, and nobody else.
        """
        due, self._due = self._due, []
        at_once, self._at_once = self._at_once, []
        ended, self._ended = self._ended, {}
        notices = {(session, name, ticket): token for session, name, ticket, token in given}
        by_name: dict[bytes, list[tuple[int, int]]] = {}
        for name, token, session in granted:
            if session not in self.parents and session not in ended:
                raise PromiseBroken("lock-sessions", f"lock {name!r} is granted to session {session}, which is over", self._evidence(name))
            if token <= self._token:
                raise PromiseBroken("lock-tokens", f"token {token} was given out after {self._token}", self._evidence(name))
            self._token = token
            by_name.setdefault(name, []).append((token, session))
        for name, waiter in due:
            told = by_name.get(name) or [(0, 0)]
            token, session = told.pop(0)
            if session != waiter.session:
                sentence = f"lock {name!r} goes to session {session}; next in line is session {waiter.session} with ticket {waiter.ticket}"
                if session:
                    raise PromiseBroken("lock-fifo", sentence, self._evidence(name))
                raise PromiseBroken("lock-told", sentence, self._evidence(name))
            if notices.pop((session, name, waiter.ticket), 0) != token:
                sentence = f"session {session} is not told once that ticket {waiter.ticket} holds lock {name!r} with token {token}"
                raise PromiseBroken("lock-told", sentence, self._evidence(name))
            for grant in self.locks[name].grants if name in self.locks else ():
                if grant.ticket == waiter.ticket:  # else its session ended by the same command
                    grant.token = token
            self.handed_over += 1
        for name, token, session in at_once:
            if (token, session) not in by_name.get(name, []):
                raise PromiseBroken("lock-told", f"nobody is told that session {session} holds lock {name!r}", self._evidence(name))
        for name, left in by_name.items():
            known = [grant.token for grant in self.locks[name].grants] if name in self.locks else []
            wrong = [each for each in left if each[0] not in known and each[1] not in ended]
            if wrong:
                raise self._wrongly_granted(name, f"lock {name!r} is granted to {wrong}, who may not have it")
        broken, self._taken = self._taken, []
        if sorted(broken) != sorted(taken):
            raise PromiseBroken("lock-told", f"of broken locks {taken} are told; {broken} were broken", None)
        if notices:
            raise PromiseBroken("lock-told", f"sessions are told of grants that are none: {notices}", None)

    # --- the rules -----------------------------------------------------------------------------------------------------

    def _refusal(self, session: int, asked: tuple[bytes, int, int, int, bool, bool, int], now_ms: int) -> str | None:
        name, kind, permits, limit, wait, reentrant, _ = asked
        lock = self.locks.get(name)
        if lock is None:
            return None
        last = lock.grants[0] if len(lock.grants) == 1 and not lock.line else None
        if lock.limit != limit and not (last is not None and 0 < last.due_ms <= now_ms):
            return REFUSED
        own = self._own(session, name) if reentrant else None
        if own is not None:
            return REFUSED if (own.kind == SHARED and kind == EXCLUSIVE) or own.permits < permits else None
        if not wait or (not lock.line and lock.fits(kind, permits)):
            return None
        return DEADLOCK if self._is_stuck(session, name, permits) else None

    def _own(self, session: int, name: bytes) -> Grant | None:
        lock = self.locks.get(name)
        for above in self._lineage(session):
            for grant in lock.grants if lock is not None else ():
                if grant.session == above:
                    return grant
        return None

    def _lineage(self, session: int) -> list[int]:
        line: list[int] = []
        while session in self.parents:
            line.append(session)
            session = self.parents[session]
        return line

    def _is_stuck(self, session: int, name: bytes, permits: int) -> bool:
        """Plays on: sessions that await nothing, and below which none does, get done and give back; what then can end, ends."""
        above_it = self._lineage(session)
        if not any([grant.session in above_it for lock in self.locks.values() for grant in lock.grants]):
            return False  # nobody waits for it: it may stand behind a circle, it is in none
        waits: list[tuple[int, bytes, int]] = [(session, name, self._needed(name, permits))]
        for other, lock in self.locks.items():
            waits += [(waiter.session, other, self._needed(other, waiter.permits)) for waiter in lock.line]
        done: dict[int, None] = {}
        while True:
            open_waits = [wait for wait in waits if not self._can_end(wait, done)]
            stuck = {above for waiter, _, _ in open_waits for above in self._lineage(waiter)}
            grown = [one for one in self.parents if one not in stuck and one not in done]
            if not grown:
                return waits[0] in open_waits
            done.update(dict.fromkeys(grown))

    def _needed(self, name: bytes, permits: int) -> int:
        line = self.locks[name].line
        return max(permits, line[0].permits) if line else permits

    def _can_end(self, wait: tuple[int, bytes, int], done: dict[int, None]) -> bool:
        lock = self.locks[wait[1]]
        left = [grant for grant in lock.grants if grant.session and grant.session not in done]
        return sum([grant.permits for grant in left]) + wait[2] <= lock.limit if lock.limit else not left

    def _move_on(self, name: bytes) -> None:
        lock = self.locks.get(name)
        if lock is None:
            return
        while lock.line and lock.fits(lock.line[0].kind, lock.line[0].permits):
            waiter = lock.line.pop(0)
            grant = Grant(0, waiter.session, waiter.kind, waiter.permits, waiter.delay_ms, waiter.ticket, waiter.note, self.now_ms)
            lock.grants.append(grant)
            self._due.append((name, waiter))
        if not lock.line and not lock.grants:
            del self.locks[name]

    def _expect(self, expected: str, what: str, name: bytes, answer: tuple[Any, ...]) -> None:
        if answer[0] == expected:
            return
        sentence = f"{what} and is {answer[0]}; by the rules it is {expected}"
        if answer[0] == "granted":
            raise self._wrongly_granted(name, sentence)
        raise PromiseBroken("lock-answer", sentence, self._evidence(name))

    def _wrongly_granted(self, name: bytes, sentence: str) -> PromiseBroken:
        """Named after who stands in the way."""
        lock = self.locks.get(name)
        if lock is not None and any([grant.due_ms for grant in lock.grants]):
            return PromiseBroken("lock-delay", sentence, self._evidence(name))
        if lock is not None and lock.line and lock.fits(SHARED, 1):
            return PromiseBroken("lock-fifo", sentence, self._evidence(name))
        return PromiseBroken("lock-exclusion", sentence, self._evidence(name))

    def _evidence(self, name: bytes) -> Any:
        lock = self.locks.get(name)
        if lock is None:
            return None
        grants = [(grant.token, grant.session, grant.kind, grant.permits, grant.due_ms, dict(grant.count)) for grant in lock.grants]
        line = [(waiter.ticket, waiter.session, waiter.kind, waiter.permits) for waiter in lock.line]
        return {"limit": lock.limit, "grants": grants, "line": line}
