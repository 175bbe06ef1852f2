"""Random lives: each answer, the keys, the history and the leases are those of the naive machine."""

import msgspec
import pytest

from coordnode.services.commands import Failure, Range, Result, SessionOpened, decode_result

from .driven import Driven
from .naive import Naive
from .random_life import SMALL, Life


def without_sentence(result: Result | None) -> Result | None:
    if isinstance(result, Failure):
        return None
    if isinstance(result, SessionOpened) and isinstance(result.first, Failure):
        return msgspec.structs.replace(result, first=None)
    return result


@pytest.mark.parametrize("seed", range(30))
def test_a_random_life(seed: int) -> None:
    # Byte bounds are not modelled, so they are set out of reach.
    driven = Driven(**SMALL | {"dedupe_bytes_max": 1 << 20, "state_bytes_max": 1 << 30})
    naive = Naive(SMALL["dedupe_entries_max"], SMALL["request_ids_max"], SMALL["session_keys_max"])
    for batch in Life(seed, others=()).batches(120):
        for command, result in zip(batch, driven.apply(*batch), strict=True):
            assert without_sentence(result) == without_sentence(naive.apply(command)), command
        if driven.machine.applied % 40 == 0:
            driven.machine = driven.restored()
    machine = driven.machine
    assert machine._requests._order.count == machine._requests._replies.count == len(naive.requests)
    page = decode_result(machine.read(Range(b"", b"")))
    assert page.items == [naive.items[key] for key in sorted(naive.items)]
    assert machine.revision == naive.revision
    changes = machine.changes(machine.history_floor - 1, machine.revision)
    assert {change.revision: [(event.kind, event.key) for event in change.events] for change in changes} == {
        revision: events for revision, events in naive.changes.items() if revision >= machine.history_floor
    }
    assert list(machine.leases()) == [(number, session.ttl_ms, session.remaining_ms) for number, session in naive.sessions.items()]
