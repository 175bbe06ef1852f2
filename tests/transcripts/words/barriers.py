"""Words of barriers.

enter NAME COUNT | exit NAME [only-waiting] | barrier NAME | barriers
"""

from coordnode.services.commands import (
    BARRIER_OPENED,
    BARRIERS,
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    EnterBarrier,
    Event,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    Result,
    decode_barrier,
)
from tests.unit.services.driven import CREATED_UNIX_S


def parse(verb: str, words: list[str]) -> object | None:
    match verb:
        case "enter":
            return EnterBarrier(words[0].encode(), int(words[1]))
        case "exit":
            return LeaveBarrier(words[0].encode(), words[1:] == ["only-waiting"])
        case "barrier":
            return GetBarrier(words[0].encode())
        case "barriers":
            return ListBarriers()
    return None


def show_barrier(barrier: BarrierInfo) -> str:
    phase = f"open since revision {barrier.opened}" if barrier.opened else "waiting"
    number = barrier.round - (CREATED_UNIX_S << 20)
    return f"{barrier.name.decode()}, round +{number}: {barrier.inside} of {barrier.count} inside, {phase}"


def show(result: Result) -> list[str] | None:
    match result:
        case BarrierChanged():
            return [f"{'inside' if result.is_inside else 'outside'}; {show_barrier(result.barrier)}"]
        case BarrierView():
            lines = [show_barrier(result.barrier) if result.barrier is not None else "nobody is inside"]
            return lines + [f"  session {session} {owner}".rstrip() for session, owner in result.sessions]
        case BarrierPage():
            return [show_barrier(barrier) for barrier in result.barriers] or ["no barrier"]
    return None


def show_event(event: Event) -> str | None:
    if event.space != BARRIERS:
        return None
    return f"barrier {'opens' if event.kind == BARRIER_OPENED else 'is over'}: {show_barrier(decode_barrier(event.value))}"
