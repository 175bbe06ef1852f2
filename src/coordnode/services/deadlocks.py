"""Would this wait ever end? Follows who waits for whom, over locks held and awaited. Pure.

A session holds its locks until its work is done, and that waits for whatever it awaits itself, and for the sessions below it
(OpenSession.parent). So a holder is done once every wait below it can end. A wait for an exclusive or shared lock can end once
all its holders are done: whoever stands ahead in the line waits for them, too. One for a semaphore can end once those who are
done give back enough. What is left over when nobody else can get done, waits for ever.

The walk is bounded. Beyond the bound there is no verdict, and the wait is allowed: it may be refused too seldom, never wrongly.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from coordnode.errors import Deadlock
from coordnode.ids import SessionId

Awaited = Callable[[SessionId], Iterator["Wait"]]


class Wait(NamedTuple):
    session: SessionId
    name: bytes
    permits: int  # that must be free at once: of a semaphore its own, or those of the head of the line


class Hold(NamedTuple):
    session: SessionId
    permits: int


class State(NamedTuple):
    """What the walk asks of the locks there are."""

    holds: Callable[[bytes, int], tuple[Sequence[Hold], bool]]  # of a lock, at most so many of those that last, and whether there are more
    free: Callable[[bytes], int]  # permits of a semaphore that nobody holds, or that will be free without anybody's doing; -1: it is none
    awaited: Callable[[SessionId], Sequence[Wait]]  # by a session, and by those below it
    owner_of: Callable[[SessionId], str]


def find_circle(wait: Wait, lineage: Sequence[SessionId], state: State, steps_max: int) -> Deadlock | None:
    """What is wrong with this wait, which is not in any table yet, of the first session of this lineage; None: nothing, as far as seen."""
    holds: dict[bytes, Sequence[Hold]] = {}
    waits: dict[SessionId, list[Wait]] = {}
    names = [wait.name]
    steps = 0
    while names:
        name = names.pop()
        if name in holds:
            continue
        found, more = state.holds(name, steps_max - steps)
        steps += len(found)
        if more:
            return None
        holds[name] = found
        for hold in found:
            if hold.session in waits:
                continue
            awaited = list(state.awaited(hold.session))
            if hold.session in lineage:
                awaited.append(wait)
            waits[hold.session] = awaited
            names += [each.name for each in awaited]
            steps += len(awaited)
            if steps > steps_max:
                return None
    done = _done(holds, waits, state.free)
    if _can_end(wait, holds, done, state.free):
        return None
    return Deadlock(_tell(wait, holds, waits, done, state))


def _done(holds: dict[bytes, Sequence[Hold]], waits: dict[SessionId, list[Wait]], free: Callable[[bytes], int]) -> dict[SessionId, None]:
    """The holders that can get done, in whatever order."""
    done: dict[SessionId, None] = {}
    grown = True
    while grown:
        grown = False
        for session, awaited in waits.items():
            if session not in done and all([_can_end(each, holds, done, free) for each in awaited]):
                done[session] = None
                grown = True
    return done


def _can_end(wait: Wait, holds: dict[bytes, Sequence[Hold]], done: dict[SessionId, None], free: Callable[[bytes], int]) -> bool:
    at_hand = free(wait.name)
    if at_hand < 0:
        return all([hold.session in done for hold in holds[wait.name]])
    return at_hand + sum([hold.permits for hold in holds[wait.name] if hold.session in done]) >= wait.permits


def _tell(
    wait: Wait, holds: dict[bytes, Sequence[Hold]], waits: dict[SessionId, list[Wait]], done: dict[SessionId, None], state: State
) -> str:
    """The circle, from the wait that was asked for on."""
    said: list[str] = []
    seen: dict[SessionId, None] = {}
    while True:
        session = next(hold.session for hold in holds[wait.name] if hold.session not in done)
        name = wait.name.decode(errors="replace")
        said.append(f"{name} is held by session {session} ({state.owner_of(session) or 'no name'})")
        if session in seen:
            break
        seen[session] = None
        wait = next(each for each in waits[session] if not _can_end(each, holds, done, state.free))
        below = "" if wait.session == session else f" for session {wait.session}, and that"
        said.append(f"which waits{below} for {wait.name.decode(errors='replace')}")
    return f"waiting would never end: {', '.join(said[:-1])}; release one of them first, or always take them in one order"
