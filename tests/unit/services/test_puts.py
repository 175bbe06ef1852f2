"""Puts that stand together in an entry: they leave, and are answered, what they would leave one by one."""

import random

import pytest

from coordnode.ids import Index, Sequence, SessionId, Term
from coordnode.services.commands import Batch, CloseSession, Command, Delete, DeleteRange, Operation, Put
from coordnode.services.machine import Machine
from coordnode.services.tables import UNHASHED_ENOUGH, UNHASHED_MAX

from .driven import Driven, opening

SESSIONS = 6
SMALL = {"state_bytes_max": 18_000, "key_bytes_max": 12, "value_bytes_max": 400, "dedupe_entries_max": 8, "history_count_max": 40}
"""Soon full; then deletes make room for a while."""


def life(seed: int) -> list[Batch]:
    """Entries of puts, most of them; some bind, some are too long, some are retries or come when their session is over."""
    chance = random.Random(seed)
    sequences = [0] * (SESSIONS + 2)
    sent: list[Command] = []
    batches = []
    for _ in range(60):
        commands = []
        for _ in range(chance.choice((1, 5, 40))):
            if sent and chance.random() < 0.1:
                commands.append(chance.choice(sent[-30:]))
                continue
            session = chance.randrange(SESSIONS + 2)  # 0 is none, the last was never opened
            sequences[session] += chance.choice((1, 1, 1, 2))
            sequence = sequences[session] if session else 0
            lowest_open = max(0, sequence - chance.choice((0, 3, 9, -1)))
            command = Command(SessionId(session), Sequence(sequence), Sequence(lowest_open), "", operation(chance))
            sent.append(command)
            commands.append(command)
        batches.append(Batch(0, 0, commands))
    return batches


def operation(chance: random.Random) -> Operation:
    key = b"key-%d" % chance.randrange(30)
    dice = chance.random()
    if dice < 0.04:
        return Delete(key)
    if dice < 0.05:
        return DeleteRange(b"", b"", 8)
    if dice < 0.06:
        return CloseSession(SessionId(chance.randrange(1, 9)))
    if dice < 0.08:
        return Put(b"" if dice < 0.07 else b"k" * 13, b"value")
    return Put(key, bytes(chance.choice((0, 8, 300, 401))), chance.random() < 0.1)


def prepared(settings: dict[str, int]) -> Machine:
    driven = Driven(**settings)
    driven.apply(*[opening(number) for number in range(SESSIONS)])
    return driven.machine


@pytest.mark.parametrize("settings", [{}, SMALL], ids=["roomy", "small"])
def test_together_is_as_if_one_by_one(settings: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    taken = refused = 0
    for seed in range(8):
        together, alone = prepared(settings), prepared(settings)
        windows = together._sessions.windows
        for number, batch in enumerate(life(seed)):
            index = Index(together.applied + 1)
            with monkeypatch.context() as patched:
                patched.setattr(type(windows), "take_puts", lambda *arguments: [])
                expected = alone.apply(index, Term(1), batch)
            outcomes = together.apply(index, Term(1), batch)
            assert outcomes == expected
            assert together.dump() == alone.dump()
            if number % 7 == 0:
                before, frozen = together.dump(), together.snapshot()
                assert together.digest == together.recompute_digest()
            elif number % 7 == 3:
                assert Machine.restore(frozen).dump() == before, "what was applied meanwhile does not show"
            refused += sum(b"bytes more would make" in outcome.result for outcome in outcomes)
        taken += together.revision
        assert together.changes(together.history_floor - 1, together.revision) == alone.changes(alone.history_floor - 1, alone.revision)
    assert taken > 1_000
    assert (refused > 20) is (settings is SMALL)


def test_rows_that_wait_to_be_hashed_are_bounded() -> None:
    machine = prepared({})
    waited = []
    for number in range(40):  # each of 4,000 keys, and then each once more
        keys = [b"%d" % (number * 200 % 4_000 + place) for place in range(200)]
        first = 1 + number * 200
        commands = [Command(SessionId(1), Sequence(first + place), Sequence(0), "", Put(key, b"")) for place, key in enumerate(keys)]
        machine.apply(Index(machine.applied + 1), Term(1), Batch(0, 0, commands))
        waited.append(sum([len(bucket.unhashed) for bucket in machine._kv.keys._buckets]))
    assert UNHASHED_ENOUGH - 200 <= max(waited[20:]) < UNHASHED_MAX
