"""The machine as a whole: genesis, contiguity, time, levels, history, what an unexpected error leaves behind."""

from typing import get_args

import pytest

from coordnode import limits
from coordnode.errors import LevelMissing, UnknownFormat
from coordnode.ids import ClusterId, Index, SessionId, Term
from coordnode.services.admission import check_operation
from coordnode.services.commands import (
    Batch,
    ClientOperation,
    CloseSession,
    Delete,
    DeleteRange,
    Done,
    Event,
    Failure,
    Get,
    Operation,
    Put,
    RaiseLevel,
    ReadOperation,
    Transaction,
    Wake,
)
from coordnode.services.context import Context, Service
from coordnode.services.holdings import Holdings
from coordnode.services.machine import Machine
from coordnode.services.registry import CHECKS, COMMAND_LEVELS, SUPPORTED_LEVEL
from coordnode.services.state import Scalars, Settings
from coordnode.services.tables import Table

from .driven import CREATED_UNIX_S, Driven, alone, in_session, opening


def test_genesis() -> None:
    machine = Driven().machine
    assert (machine.applied, machine.revision, machine.cluster_ms, machine.level, machine.state_bytes) == (0, 0, 0, SUPPORTED_LEVEL, 0)
    assert machine.scalars.token_next == CREATED_UNIX_S << 20
    assert machine.history_floor == 1
    assert machine.changes(0, 0) == []
    assert machine.due() is None
    assert Driven(dedupe_entries_max=5).machine.digest != machine.digest


def test_settings_agree_with_the_limits_that_admission_and_wire_use() -> None:
    settings = Settings()
    assert settings.key_bytes_max == limits.KEY_BYTES_MAX
    assert settings.value_bytes_max == limits.VALUE_BYTES_MAX
    assert settings.transaction_operations_max == limits.TRANSACTION_OPERATIONS_MAX
    assert settings.request_id_bytes_max == limits.REQUEST_ID_BYTES_MAX
    assert (settings.range_items_max, settings.range_bytes_max) == (limits.RANGE_ITEMS_MAX, limits.RANGE_BYTES_MAX)
    assert (settings.session_ttl_ms_min, settings.session_ttl_ms_max) == (limits.SESSION_TTL_MS_MIN, limits.SESSION_TTL_MS_MAX)
    assert settings.expire_sessions_max == limits.EXPIRE_SESSIONS_MAX
    assert settings.range_bytes_max + settings.value_bytes_max + settings.key_bytes_max < limits.FRAME_BYTES_MAX
    longest_row = settings.history_group_bytes_max + settings.delete_range_keys_max * (settings.key_bytes_max + 32)
    assert max(longest_row, limits.COMMAND_BYTES_MAX) + limits.SLICE_BYTES_MAX < limits.SLICE_BYTES_HARD_MAX


def test_entries_are_applied_without_gaps() -> None:
    driven = Driven()
    driven.apply()
    driven.machine.skip(Index(2))
    assert driven.machine.applied == 2
    for index in (2, 4):
        with pytest.raises(AssertionError, match="does not follow"):
            driven.machine.apply(Index(index), Term(1), Batch(0, 0, []))
        with pytest.raises(AssertionError, match="does not follow"):
            driven.machine.skip(Index(index))


def test_cluster_time_never_goes_back() -> None:
    driven = Driven()
    for stamped, expected in ((50, 50), (20, 50), (60, 60)):
        driven.cluster_ms = stamped
        driven.apply(alone(Wake()))
        assert driven.machine.cluster_ms == expected


def test_an_unexpected_error_propagates_and_leaves_the_state_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven()
    driven.apply(opening(1))
    driven.apply(in_session(1, 1, Put(b"a", b"")))
    before, digest = driven.machine.dump(), driven.machine.digest

    def fails(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("coordnode.services.kv._charge", fails)
    monkeypatch.setattr("coordnode.services.kv.Done", fails)
    for operation in (Delete(b"a"), Transaction([], [Put(b"b", b"")]), Put(b"b", b"", True)):
        with pytest.raises(ZeroDivisionError):
            driven.apply(in_session(1, 2, operation))
        assert (driven.machine.dump(), driven.machine.digest) == (before, digest)


# --- levels --------------------------------------------------------------------------------------------------------


def test_every_operation_has_a_level_and_a_route() -> None:
    machine = Driven().machine
    operations, reads = set(get_args(Operation)), set(get_args(ReadOperation)) - {type(None)}
    assert machine._routes.keys() == operations
    assert machine._reads.keys() == reads
    assert COMMAND_LEVELS.keys() == operations | reads
    assert CHECKS.keys() <= operations | reads
    assert set(get_args(ClientOperation)) < operations


def test_raising_the_level_opens_what_was_gated() -> None:
    driven = Driven(level=1)
    results = driven.apply(alone(DeleteRange(b"", b"")), alone(RaiseLevel(2)), alone(DeleteRange(b"", b"")), alone(RaiseLevel(1)))
    assert [type(result) for result in results] == [Failure, Done, Done, Done]
    assert isinstance(results[0], Failure)
    assert results[0].code == LevelMissing.code
    assert driven.machine.level == 2
    assert driven.machine.admit(alone(DeleteRange(b"", b""))) is None  # type: ignore[arg-type]


def test_a_level_that_this_build_does_not_know_stops_it() -> None:
    driven = Driven(level=1, supported_level=1)
    with pytest.raises(UnknownFormat, match="entry 1 raises the feature level to 2, this build knows 1"):
        driven.apply(alone(RaiseLevel(2)))
    with pytest.raises(UnknownFormat):
        Driven(level=2, supported_level=1)
    with pytest.raises(UnknownFormat):
        Machine.restore(Driven(level=2).machine.snapshot(), supported_level=1)


# --- history -------------------------------------------------------------------------------------------------------


def test_changes_are_complete_and_in_order() -> None:
    driven = Driven(history_group_count_max=4)
    for start in range(0, 30, 10):
        driven.apply(*[alone(Put(b"%d" % number, b"v")) for number in range(start, start + 10)])
    for after in range(31):
        for up_to in range(after, 31):
            changes = driven.machine.changes(after, up_to)
            assert [change.revision for change in changes] == list(range(after + 1, up_to + 1))
    assert driven.machine.changes(6, 7)[0].events == [Event(0, b"6", b"v", 1)]


@pytest.mark.parametrize("bound", [{"history_count_max": 25}, {"history_bytes_max": 600}])
def test_history_is_bounded_and_its_floor_is_exact(bound: dict[str, int]) -> None:
    driven = Driven(history_group_count_max=7, **bound)
    for start in range(0, 300, 10):
        driven.apply(*[alone(Put(b"%d" % number, b"v")) for number in range(start, start + 10)])
        machine = driven.machine
        scalars, settings = machine.scalars, machine.settings
        changes = machine.changes(machine.history_floor - 1, machine.revision)
        assert [change.revision for change in changes] == list(range(machine.history_floor, machine.revision + 1))
        assert scalars.history_count == len(changes) <= settings.history_count_max
        assert scalars.history_bytes == sum(len(group) for _, group in machine.containers[9].items()) <= settings.history_bytes_max
    assert driven.machine.history_floor > 250
    with pytest.raises(AssertionError):
        driven.machine.changes(driven.machine.history_floor - 2, driven.machine.revision)
    assert driven.restored().changes(driven.machine.history_floor - 1, driven.machine.revision) == changes


def test_a_change_beyond_the_whole_bound_leaves_an_empty_history() -> None:
    driven = Driven(history_bytes_max=100)
    driven.apply(alone(Put(b"a", b"")), alone(Put(b"a", b"x" * 200)))
    assert driven.machine.history_floor == 3
    assert driven.machine.changes(2, 2) == []
    driven.apply(alone(Put(b"a", b"")))
    assert [change.revision for change in driven.machine.changes(2, 3)] == [3]


def test_large_changes_stand_in_groups_of_their_own() -> None:
    driven = Driven(history_group_bytes_max=1000)
    driven.apply(*[alone(Put(b"%d" % number, b"x" * (900 if number % 3 == 0 else 10))) for number in range(10)])
    groups = [len(group) for _, group in driven.machine.containers[9].items()]
    assert len(groups) > 3
    assert max(groups) <= 1000
    assert [change.revision for change in driven.machine.changes(0, 10)] == list(range(1, 11))


# --- other services ------------------------------------------------------------------------------------------------


class Bell(Service):
    """Rings at a time, and hears of ended sessions: the smallest service that uses what a service may use."""

    LEVELS = {Get: 1}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.tokens: Table[int] = Table(200, int)
        self.containers = (self.tokens,)
        self.rings_at: int | None = 70

    def on_session_end(self, session: SessionId, is_clean: bool) -> None:
        self.tokens.set(b"%d" % session, self.context.holdings.grant(200, b"bell", session))
        self.context.emit((0, b"bell", b"", 1, session))

    def due(self) -> int | None:
        return self.rings_at

    def on_wake(self) -> None:
        if self.rings_at is not None and self.context.cluster_ms >= self.rings_at:
            self.rings_at = None
            self.context.emit((0, b"ring", b"", 1, 0))


def test_a_service_is_told_of_ended_sessions_and_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordnode.services.machine.OTHER_SERVICES", (Bell,))
    driven = Driven()
    driven.apply(opening(1, first=Put(b"a", b"", True)))
    assert driven.one(alone(CloseSession(1))) == Done(2)
    # Every service's events at the end of one session are one change.
    assert [event.key for event in driven.machine.changes(1, 2)[0].events] == [b"a", b"bell"]
    assert driven.machine.scalars.token_next == (CREATED_UNIX_S << 20) + 1
    assert driven.machine.due() == 70
    driven.cluster_ms = 69
    assert driven.one(alone(Wake())) == Done(2)
    driven.cluster_ms = 70
    assert driven.one(alone(Wake())) == Done(3)
    assert driven.machine.due() is None
    assert driven.restored().dump() == driven.machine.dump()


def test_two_services_may_not_share_a_container_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordnode.services.machine.OTHER_SERVICES", (Bell, Bell))
    with pytest.raises(AssertionError, match="id 200"):
        Driven()


def test_tokens_end_before_json_does() -> None:
    holdings = Holdings(Scalars(ClusterId(1), 1, 1, token_next=2**53 - 1))  # type: ignore[arg-type]
    assert holdings.grant(2, b"nightly", SessionId(1)) == 2**53 - 1
    with pytest.raises(AssertionError, match="2\\*\\*53"):
        holdings.grant(2, b"nightly", SessionId(1))


def test_an_operation_below_its_level_is_not_even_looked_at() -> None:
    error = check_operation(DeleteRange(b"", b"", -1), Settings(), 1)
    assert type(error) is LevelMissing
    assert error.sentence == "DeleteRange needs feature level 2, the cluster is at 1; upgrade every member, then raise it"
