"""Snapshots: complete, unmoved by what is applied meanwhile, equal for equal states, and refused when damaged."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from coordnode import limits
from coordnode.errors import RecordError, UnknownFormat
from coordnode.ids import Index, SessionId, Term
from coordnode.services import snapshot
from coordnode.services.commands import (
    Acquire,
    AddCounter,
    AddToken,
    AppendRecords,
    Batch,
    CloseSession,
    ConfigureJournal,
    CreateAssignment,
    EnterBarrier,
    Expire,
    Grant,
    JoinGroup,
    Put,
    PutTask,
    SetRole,
    SetUser,
    TakeTasks,
)
from coordnode.services.machine import Machine, Restorer
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.tables import Container
from coordnode.services.windows import Windows

from .driven import Driven, alone, in_session, opening
from .random_life import SMALL, Life


def lived(seed: int, batches: int = 80, **settings: int) -> Driven:
    driven = Driven(**SMALL | settings)
    for batch in Life(seed).batches(batches):
        driven.apply(*batch)
    return driven


def large(keys: int = 16_000) -> Driven:
    driven = Driven(history_count_max=100)
    for start in range(0, keys, 1000):
        commands = [alone(Put(b"key-%06d" % number, b"v" * 60)) for number in range(start, start + 1000)]
        driven.machine.apply(Index(driven.machine.applied + 1), Term(1), Batch(0, 0, commands))
    return driven


@pytest.mark.parametrize("seed", range(10))
def test_a_restored_machine_is_the_same_and_lives_the_same(seed: int) -> None:
    driven = lived(seed)
    twin = Driven()
    twin.machine = driven.restored()
    assert twin.machine.dump() == driven.machine.dump()
    assert twin.machine.digest == driven.machine.digest == driven.machine.recompute_digest()
    assert list(twin.machine.snapshot()) == list(driven.machine.snapshot())
    life = Life(seed + 1000)
    for batch in life.batches(40):
        assert twin.apply(*batch) == driven.apply(*batch)
        assert twin.outcomes == driven.outcomes
        assert twin.machine.digest == driven.machine.digest
    assert twin.machine.dump() == driven.machine.dump()


def test_slices_are_bounded() -> None:
    slices = list(large().machine.snapshot())
    assert len(slices) > 5
    assert max(len(piece) for piece in slices) < limits.SLICE_BYTES_MAX + 1000
    assert min(len(piece) for piece in slices[:-1]) >= limits.SLICE_BYTES_MAX
    driven = Driven()
    driven.apply(*[alone(Put(b"%d" % number, b"v" * 1_000_000)) for number in range(3)])
    assert max(len(piece) for piece in driven.machine.snapshot()) < limits.SLICE_BYTES_HARD_MAX


def test_what_is_applied_meanwhile_does_not_show() -> None:
    driven = large()
    dump = driven.machine.dump()
    slices = driven.machine.snapshot()
    taken = [next(slices), next(slices)]
    abandoned = driven.machine.snapshot()
    next(abandoned)
    life = Life(3)
    for batch in life.batches(15):
        driven.apply(*batch, alone(Put(b"key-%06d" % life.chance.randrange(30_000), b"new")))
    later_dump = driven.machine.dump()
    later = driven.machine.snapshot()
    del abandoned
    for batch in life.batches(15):
        driven.apply(*batch, alone(Put(b"key-%06d" % life.chance.randrange(30_000), b"newer")))
    assert Machine.restore([*taken, *slices]).dump() == dump
    assert Machine.restore(later).dump() == later_dump
    assert driven.restored().dump() == driven.machine.dump()


def test_replies_do_not_change_under_a_snapshot() -> None:
    for seed in range(5):
        driven = lived(seed)
        dump, slices = driven.machine.dump(), driven.machine.snapshot()
        for batch in Life(seed + 50).batches(30):
            driven.apply(*batch)
        assert driven.machine.dump() != dump
        assert Machine.restore(slices).dump() == dump


# --- completeness --------------------------------------------------------------------------------------------------


def perturbed(value: Any, kind: Any = None) -> Iterator[tuple[str, Any]]:
    """Each value that differs from this one in exactly one field, with the field's place. Rows hold no other kinds."""
    if isinstance(value, bool):
        yield "", not value
    elif isinstance(value, int):
        yield "", value + 1
    elif value is None:
        yield "", 1
    elif isinstance(value, bytes):
        yield "", value + b"~"
    elif isinstance(value, str):
        yield "", value + "~"
    elif isinstance(value, tuple):
        for at, part in enumerate(value):
            for place, other in perturbed(part):
                yield f"{at}{place}", (*value[:at], other, *value[at + 1 :])
    else:
        assert isinstance(value, msgspec.Struct), f"no way to change a {type(value)}"
        for name in value.__struct_fields__:
            for place, other in perturbed(getattr(value, name)):
                yield f".{name}{place}", msgspec.structs.replace(value, **{name: other})


def loaded(machine: Machine, container: Container[Any, Any], items: list[tuple[Any, Any]]) -> Machine:
    """A copy of the machine in which one container holds these items."""
    copy = Machine.restore(machine.snapshot())
    fresh = Machine(copy.settings, copy.scalars, SUPPORTED_LEVEL)
    for number, other in copy.containers.items():
        chosen = items if number == container.id else other.items()
        rows = b"".join([b"\xdd", len(chosen := list(chosen)).to_bytes(4, "big"), *[other.row(key, leaf) for key, leaf in chosen]])
        fresh.containers[number].load(msgspec.Raw(rows))
    return fresh


def test_no_field_of_any_row_is_missing_from_digest_or_snapshot() -> None:
    driven = lived(4, request_ids_max=5, state_bytes_max=1 << 30)
    driven.apply(opening(900, first=Put(b"bound", b"", True)))
    # What no random life is sure to have at its end: a lock entered twice, awaited, passed on, and one in its lock-delay.
    holder = SessionId(driven.machine.scalars.session_next)
    for number, operation in ((901, Acquire(b"z")), (902, Acquire(b"y", delay_ms=9_000)), (903, Acquire(b"y"))):
        driven.apply(opening(number, first=operation))
    driven.apply(opening(904, first=Acquire(b"z", reentrant=True), parent=holder))
    driven.apply(alone(Expire(Term(1), [SessionId(holder + 1)])), opening(905, first=Acquire(b"x")), opening(906, first=Acquire(b"x")))
    driven.apply(alone(CloseSession(SessionId(holder + 4))))
    # And shards, of which one is being revoked.
    driven.apply(opening(907), opening(908), alone(CreateAssignment(b"z", b"z", 2)))
    driven.apply(in_session(holder + 6, 0, JoinGroup(b"z", b"a")), in_session(holder + 7, 0, JoinGroup(b"z", b"b")))
    driven.apply(in_session(holder + 7, 0, EnterBarrier(b"z", 2)), alone(AddCounter(b"z", 1)))
    newest = driven.machine.scalars.session_next - 1
    driven.apply(alone(PutTask(b"served", b"now", key=b"once")), in_session(newest, 2, TakeTasks(b"waited-for", wait=True)))
    driven.apply(in_session(newest, 3, TakeTasks(b"waited", wait=True)), alone(PutTask(b"waited", b"given")))
    driven.apply(alone(ConfigureJournal(b"z", 4_096)), *[alone(AppendRecords(b"z", 1, bytes(600)))] * 2)
    signed = ("", "cert:operator")
    driven.apply(alone(SetRole("z", (Grant(0, 0),), *signed)), alone(SetUser("z", ("z",), *signed)), opening(909, user="z"))
    driven.apply(alone(AddToken("z", b"z" * 32, "", *signed)))
    machine = driven.machine
    digest = machine.digest
    assert loaded(machine, machine.containers[1], list(machine.containers[1].items())).digest == digest
    for number, container in machine.containers.items():
        items = list(container.items())
        assert items, f"container {number} is empty: the life must reach it"
        # The last row of each kind of leaf, changed so that it stays the last.
        last = {type(leaf): (at, key, leaf) for at, (key, leaf) in enumerate(items)}
        for at, key, leaf in last.values():
            changed = [(place, (key, other)) for place, other in perturbed(leaf)]
            if at == len(items) - 1:
                # A floor's key names nothing but a session: the next one is another session's.
                is_floor = isinstance(container, Windows) and isinstance(leaf, int)
                changed += [("key", (other, leaf)) for other in ([key + (1 << 53)] if is_floor else [other for _, other in perturbed(key)])]
            for place, item in changed:
                other = loaded(machine, container, [*items[:at], item, *items[at + 1 :]])
                assert other.digest != digest, f"container {number}: {place} of {leaf} is missing from the digest"
                assert other.digest == other.recompute_digest()
                again = Machine.restore(other.snapshot())
                assert list(again.containers[number].items())[at] == item, f"container {number}: {place} is missing from the snapshot"
                assert again.digest == other.digest


@pytest.mark.parametrize("which", ["settings", "scalars"])
def test_no_scalar_and_no_setting_is_missing_from_digest_or_snapshot(which: str) -> None:
    machine = lived(4).machine
    for place, other in perturbed(getattr(machine, which)):
        if place == ".level":
            continue  # the life is at the highest level; test_levels_are_part_of_the_state goes down instead
        parts = {"settings": machine.settings, "scalars": machine.scalars} | {which: other}
        changed = Machine(parts["settings"], parts["scalars"], SUPPORTED_LEVEL)
        base = Machine(machine.settings, machine.scalars, SUPPORTED_LEVEL)
        assert changed.digest != base.digest, f"{place} is missing from the digest"
        assert getattr(Machine.restore(changed.snapshot()), which) == other, f"{place} is missing from the snapshot"


def test_levels_are_part_of_the_state() -> None:
    low, high = Driven(level=1).machine, Driven(level=2).machine
    assert low.digest != high.digest
    assert Machine.restore(low.snapshot()).level == 1


def test_no_container_lives_outside_the_machines_list() -> None:
    """All that changes when commands are applied is a registered container, or a scalar, or known to hold nothing between entries."""
    machine = lived(1).machine
    seen: list[int] = []
    found: list[Container[Any, Any]] = []

    def walk(value: Any, place: str) -> None:
        if id(value) in seen or isinstance(value, type):
            return
        seen.append(id(value))
        if isinstance(value, Container):
            found.append(value)
        elif isinstance(value, dict | list | tuple):
            parts = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
            for key, part in parts:
                walk(part, f"{place}[{key!r}]")
        elif isinstance(value, msgspec.Struct):
            assert value is machine.scalars or value is machine.settings, f"{place} is state outside the containers"
        elif type(value).__module__.startswith("coordnode."):
            slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
            for name in [*slots, *getattr(value, "__dict__", ())]:
                walk(getattr(value, name), f"{place}.{name}")
        else:
            assert isinstance(value, int | str | None.__class__) or callable(value), f"{place}: {type(value)}, state of its own?"

    walk(machine, "machine")
    assert {id(container) for container in found} == {id(container) for container in machine.containers.values()}
    assert machine._context.changes == []
    assert machine._context._events == []


# --- damage --------------------------------------------------------------------------------------------------------


def test_a_slice_that_is_missing_doubled_or_swapped_is_noticed() -> None:
    slices = list(large().machine.snapshot())
    assert len(slices) >= 5
    for wrong in (
        slices[:-1],
        slices[1:],
        [slices[0], *slices[2:]],
        [slices[0], slices[0], *slices[1:]],
        [*slices[:2], slices[1], *slices[2:]],
        [slices[0], slices[2], slices[1], *slices[3:]],
        [*slices, slices[-1]],
        [],
    ):
        with pytest.raises(RecordError):
            Machine.restore(wrong)


def test_each_changed_byte_is_noticed() -> None:
    (piece,) = lived(7, 12).machine.snapshot()
    for at in range(len(piece)):
        damaged = piece[:at] + bytes((piece[at] ^ 1 << at % 8,)) + piece[at + 1 :]
        with pytest.raises((RecordError, UnknownFormat)):
            Machine.restore([damaged])


def test_garbage_is_refused_by_name() -> None:
    chance = random.Random(9)
    (piece,) = lived(7, 12).machine.snapshot()
    for _ in range(3000):
        damaged = bytearray(piece)
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        if bytes(damaged) == piece:
            continue
        with pytest.raises((RecordError, UnknownFormat)):
            Machine.restore([bytes(damaged)])
    for _ in range(2000):
        with pytest.raises((RecordError, UnknownFormat)):
            Restorer().feed(chance.randbytes(chance.randrange(60)))
            Restorer().finish()


def test_an_unknown_format_is_refused_before_the_rest_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Driven().machine
    monkeypatch.setattr(snapshot, "FORMAT", 2)
    (piece,) = machine.snapshot()
    monkeypatch.undo()
    with pytest.raises(UnknownFormat, match="format 2, this build knows 1"):
        Machine.restore([piece])


def test_what_another_build_wrote_is_told_from_what_went_wrong_in_memory() -> None:
    """The bytes of neither are damaged. The state of one is wrong; of the other every member would say so, and all would give it up."""
    machine = lived(7, 12).machine
    (piece,) = machine.snapshot()
    header, *rows, trailer = msgspec.msgpack.decode(piece)
    trailer[1][0][0] ^= 1  # the digest
    with pytest.raises(RecordError, match="its digest is"):
        Machine.restore([msgspec.msgpack.encode([header, *rows, trailer])])
    del header[1][0][1][-1]  # the newest setting, which an older build did not know
    with pytest.raises(UnknownFormat, match="another build wrote it; run that one"):
        Machine.restore([msgspec.msgpack.encode([header, *rows, trailer])])


def test_windows_out_of_order_are_refused() -> None:
    machine = Driven().machine
    reply = (1, 0, b"")
    floor = (1, 0, 1)
    for wrong in ([floor, (1, 2, reply), (1, 1, reply)], [(1, 1, reply)], [(2, 0, 1), floor], [floor, (2, 1, reply)], [floor, floor]):
        windows = Windows(machine.settings, machine.scalars)
        with pytest.raises(RecordError, match="not in order"):
            windows.load(msgspec.Raw(msgspec.msgpack.encode(wrong)))
