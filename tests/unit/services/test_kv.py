"""Keys and values: revisions, versions, transactions, ranges, bound keys, bounds."""

import pytest

from coordnode.errors import BadRequest, LevelMissing, StateFull, TooLarge
from coordnode.services.commands import (
    CREATE_REVISION,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
    TOKEN,
    VALUE,
    VERSION,
    CloseSession,
    Compare,
    Delete,
    DeleteRange,
    Done,
    Failure,
    Get,
    Got,
    Item,
    Page,
    Put,
    Range,
    Transaction,
    TransactionDone,
    decode_result,
)

from .driven import Driven, alone, in_session, opening


def get(driven: Driven, key: bytes) -> Item | None:
    result = decode_result(driven.machine.read(Get(key)))
    assert isinstance(result, Got)
    assert result.revision == driven.machine.revision
    return result.item


def page(driven: Driven, operation: Range, items_max: int = 1024, bytes_max: int = 1 << 20) -> Page:
    result = decode_result(driven.machine.read(operation, items_max, bytes_max))
    assert isinstance(result, Page)
    return result


def test_revisions_and_versions() -> None:
    driven = Driven()
    assert driven.apply(alone(Put(b"a", b"1")), alone(Put(b"b", b"2")), alone(Put(b"a", b"3"))) == [Done(1), Done(2), Done(3)]
    assert get(driven, b"a") == Item(b"a", b"3", 1, 3, 2)
    assert driven.apply(alone(Delete(b"a")), alone(Delete(b"a"))) == [Done(4), Done(4, 0)]
    assert get(driven, b"a") is None
    assert driven.one(alone(Put(b"a", b""))) == Done(5)
    assert get(driven, b"a") == Item(b"a", b"", 5, 5, 1)


def test_a_barrier_reads_nothing() -> None:
    assert Driven().machine.read(None) == b""


def test_a_transaction_is_one_revision_and_sees_itself() -> None:
    driven = Driven()
    driven.apply(alone(Put(b"old", b"x")))
    steps = [Put(b"a", b"1"), Get(b"a"), Put(b"a", b"2"), Delete(b"old"), Get(b"old"), Delete(b"old"), Put(b"old", b"new")]
    assert driven.one(alone(Transaction([], steps))) == TransactionDone(
        2, True, [Done(2), Got(2, Item(b"a", b"1", 2, 2, 1)), Done(2), Done(2), Got(2, None), Done(2, 0), Done(2)]
    )
    assert get(driven, b"a") == Item(b"a", b"2", 2, 2, 2)
    assert get(driven, b"old") == Item(b"old", b"new", 2, 2, 1)
    (change,) = driven.machine.changes(1, 2)
    assert [(event.kind, event.key, event.value) for event in change.events] == [
        (0, b"a", b"1"),
        (0, b"a", b"2"),
        (1, b"old", b""),
        (0, b"old", b"new"),
    ]


def test_a_transaction_that_changes_nothing_takes_no_revision() -> None:
    driven = Driven()
    driven.apply(alone(Put(b"a", b"1")))
    assert driven.one(alone(Transaction([], [Get(b"a"), Delete(b"none")]))) == TransactionDone(
        1, True, [Got(1, Item(b"a", b"1", 1, 1, 1)), Done(1, 0)]
    )
    assert driven.one(alone(Transaction([Compare(b"a", VERSION, EQUAL, 9)], [Put(b"a", b"2")]))) == TransactionDone(1, False, [])


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare(b"a", VALUE, EQUAL, value=b"1"), True),
        (Compare(b"a", VALUE, EQUAL, value=b"2"), False),
        (Compare(b"a", VALUE, NOT_EQUAL, value=b"2"), True),
        (Compare(b"a", VALUE, EQUAL, value=None), False),
        (Compare(b"a", VALUE, NOT_EQUAL, value=None), True),
        (Compare(b"none", VALUE, EQUAL, value=None), True),
        (Compare(b"none", VALUE, EQUAL, value=b""), False),
        (Compare(b"none", VALUE, NOT_EQUAL, value=b""), True),
        (Compare(b"a", MOD_REVISION, EQUAL, 3), True),
        (Compare(b"a", CREATE_REVISION, EQUAL, 2), True),
        (Compare(b"a", VERSION, EQUAL, 2), True),
        (Compare(b"a", VERSION, LESS, 3), True),
        (Compare(b"a", VERSION, LESS, 2), False),
        (Compare(b"a", VERSION, GREATER, 1), True),
        (Compare(b"a", VERSION, GREATER, 2), False),
        (Compare(b"a", VERSION, NOT_EQUAL, 2), False),
        (Compare(b"none", VERSION, EQUAL, 0), True),
        (Compare(b"none", MOD_REVISION, EQUAL, 0), True),
        (Compare(b"none", CREATE_REVISION, LESS, 1), True),
    ],
)
def test_comparisons(compare: Compare, holds: bool) -> None:
    driven = Driven()
    driven.apply(alone(Put(b"z", b"")), alone(Put(b"a", b"0")), alone(Put(b"a", b"1")))
    result = driven.one(alone(Transaction([compare], [Put(b"yes", b"")], [Put(b"no", b"")])))
    assert isinstance(result, TransactionDone)
    assert result.succeeded is holds
    assert (get(driven, b"yes") is not None) is holds
    assert (get(driven, b"no") is None) is holds


def test_all_comparisons_must_hold() -> None:
    driven = Driven()
    compares = [Compare(b"a", VERSION, EQUAL, 0), Compare(b"b", VERSION, EQUAL, 1)]
    assert driven.one(alone(Transaction(compares, [Put(b"a", b"")]))) == TransactionDone(0, False, [])


def test_pages() -> None:
    driven = Driven()
    driven.apply(*[alone(Put(b"k%d" % number, b"v" * 10)) for number in range(9)])
    first = page(driven, Range(b"", b"", 4))
    assert ([item.key for item in first.items], first.more, first.revision) == ([b"k0", b"k1", b"k2", b"k3"], True, 9)
    assert page(driven, Range(b"k3\0", b"k6")).items == [Item(b"k%d" % n, b"v" * 10, n + 1, n + 1, 1) for n in (4, 5)]
    assert page(driven, Range(b"k5", b"", 4)).more is False
    assert [item.value for item in page(driven, Range(b"k8", b"", keys_only=True)).items] == [b""]
    assert len(page(driven, Range(b"", b""), items_max=3).items) == 3
    by_bytes = page(driven, Range(b"", b""), bytes_max=13)  # an item is 12 bytes: the second one reaches the bound
    assert (len(by_bytes.items), by_bytes.more) == (2, True)
    assert page(driven, Range(b"x", b"a")).items == []


def test_a_read_through_the_log_is_bounded_by_the_settings() -> None:
    driven = Driven(range_items_max=2)
    driven.apply(*[alone(Put(b"k%d" % number, b"")) for number in range(5)])
    result = driven.one(alone(Range(b"", b"")))
    assert isinstance(result, Page)
    assert (len(result.items), result.more) == (2, True)
    assert driven.one(alone(Get(b"k0"))) == Got(5, Item(b"k0", b"", 1, 1, 1))


def test_range_deletes_come_in_slices_of_one_revision_each() -> None:
    driven = Driven()
    driven.apply(*[alone(Put(b"k%d" % number, b"")) for number in range(5)])
    assert driven.one(alone(DeleteRange(b"k1", b"", 3))) == Done(6, 3, True)
    assert driven.one(alone(DeleteRange(b"k1", b"", 3))) == Done(7, 1, False)
    assert driven.one(alone(DeleteRange(b"k1", b"", 3))) == Done(7, 0, False)
    assert [event.key for event in driven.machine.changes(5, 6)[0].events] == [b"k1", b"k2", b"k3"]


def test_bound_keys_end_with_their_session_in_one_revision() -> None:
    driven = Driven()
    driven.apply(opening(1), opening(2))
    driven.apply(in_session(1, 1, Put(b"a", b"", True)), in_session(1, 2, Put(b"b", b"", True)), in_session(2, 1, Put(b"c", b"", True)))
    assert get(driven, b"a") == Item(b"a", b"", 1, 1, 1, 1)
    assert driven.one(alone(CloseSession(1))) == Done(4)
    assert (get(driven, b"a"), get(driven, b"b")) == (None, None)
    assert get(driven, b"c") is not None
    (change,) = driven.machine.changes(3, 4)
    assert [(event.kind, event.key, event.session) for event in change.events] == [(1, b"a", 1), (1, b"b", 1)]


def test_a_later_put_unbinds_or_rebinds() -> None:
    driven = Driven()
    driven.apply(opening(1), opening(2))
    driven.apply(*[in_session(1, number + 1, Put(key, b"", True)) for number, key in enumerate((b"a", b"b", b"c", b"d"))])
    driven.apply(alone(Put(b"a", b"")), in_session(2, 1, Put(b"b", b"", True)), alone(Transaction([], [Put(b"c", b"")])))
    driven.apply(alone(Delete(b"d")), alone(Put(b"d", b"")))
    driven.apply(alone(CloseSession(1)))
    assert [item.key for item in page(driven, Range(b"", b"")).items] == [b"a", b"b", b"c", b"d"]
    driven.apply(alone(CloseSession(2)))
    assert [item.key for item in page(driven, Range(b"", b"")).items] == [b"a", b"c", b"d"]
    assert driven.machine.containers[7].recompute_digest() == driven.machine.containers[8].recompute_digest() == 0


def test_a_session_binds_no_more_keys_than_its_bound() -> None:
    driven = Driven(session_keys_max=2)
    driven.apply(opening(1))
    results = driven.apply(*[in_session(1, number, Put(b"%d" % number, b"", True)) for number in (1, 2, 3)])
    assert [type(result) for result in results] == [Done, Done, Failure]
    assert driven.one(in_session(1, 4, Put(b"2", b"again", True))) == Done(3)
    refused = driven.one(in_session(1, 5, Transaction([], [Delete(b"1"), Put(b"3", b"", True), Put(b"4", b"", True)])))
    assert isinstance(refused, Failure)
    assert refused.code == TooLarge.code
    assert get(driven, b"1") is not None
    assert isinstance(driven.one(in_session(1, 6, Transaction([], [Delete(b"1"), Put(b"3", b"", True)]))), TransactionDone)


def test_binding_needs_a_session() -> None:
    refused = Driven().one(alone(Put(b"a", b"", True)))
    assert isinstance(refused, Failure)
    assert refused.code == BadRequest.code


def test_a_full_state_refuses_growth_only() -> None:
    driven = Driven(state_bytes_max=3000)
    assert driven.one(alone(Put(b"a", b"x" * 2000))) == Done(1)
    for refused in driven.apply(alone(Put(b"b", b"x" * 2000)), alone(Transaction([], [Put(b"b", b"x" * 2000)])), opening(1)):
        assert isinstance(refused, Failure)
        assert refused.code == StateFull.code
    assert driven.apply(alone(Put(b"a", b"y" * 1900)), alone(Transaction([], [Delete(b"a"), Put(b"b", b"x" * 2000)]))) == [
        Done(2),
        TransactionDone(3, True, [Done(3), Done(3)]),
    ]
    assert driven.one(alone(Delete(b"b"))) == Done(4)
    assert driven.machine.state_bytes == 0
    assert driven.one(alone(Put(b"b", b"x" * 2000))) == Done(5)


def test_a_refused_transaction_leaves_no_trace() -> None:
    driven = Driven(transaction_result_bytes_max=10)
    driven.apply(alone(Put(b"a", b"x" * 6)))
    before = driven.machine.dump()
    steps = [Put(b"b", b"1"), Delete(b"a"), Put(b"a", b"x" * 6), Get(b"a"), Get(b"a")]
    refused = driven.one(alone(Transaction([], steps)))
    assert isinstance(refused, Failure)
    assert refused.code == TooLarge.code
    driven.machine.scalars.applied -= 1
    assert driven.machine.dump() == before


BAD = [
    (Put(b"", b""), BadRequest),
    (Put(b"k" * 1025, b""), TooLarge),
    (Put(b"k", b"v" * (1024 * 1024 + 1)), TooLarge),
    (Delete(b""), BadRequest),
    (Get(b"k" * 1025), TooLarge),
    (Range(b"", b"", -1), BadRequest),
    (Range(b"k" * 1026, b""), TooLarge),
    (DeleteRange(b"", b"", 0), BadRequest),
    (DeleteRange(b"", b"", 1025), BadRequest),
    (DeleteRange(b"", b"k" * 1026), TooLarge),
    (Transaction([], [Get(b"a")] * 129), TooLarge),
    (Transaction([], [], [Get(b"a")] * 129), TooLarge),
    (Transaction([Compare(b"a", VERSION, EQUAL)] * 129, []), TooLarge),
    (Transaction([], [Put(b"", b"")]), BadRequest),
    (Transaction([], [], [Delete(b"")]), BadRequest),
    (Transaction([Compare(b"", VERSION, EQUAL)], []), BadRequest),
    (Transaction([Compare(b"a", 5, EQUAL)], []), BadRequest),
    (Transaction([Compare(b"a", TOKEN, LESS, 1)], []), BadRequest),
    (Transaction([Compare(b"a", -1, EQUAL)], []), BadRequest),
    (Transaction([Compare(b"a", VERSION, 4)], []), BadRequest),
    (Transaction([Compare(b"a", VALUE, LESS)], []), BadRequest),
    (Transaction([Compare(b"a", VALUE, EQUAL, value=b"v" * (1024 * 1024 + 1))], []), TooLarge),
]


@pytest.mark.parametrize(("operation", "kind"), BAD)
def test_what_admission_refuses_apply_refuses_too(operation: Put, kind: type) -> None:
    driven = Driven()
    driven.apply(opening(1))
    error = driven.machine.admit(alone(operation))  # type: ignore[arg-type]
    assert type(error) is kind
    assert error.definite
    for refused in driven.apply(alone(operation), in_session(1, 1, operation), alone(operation, "request")):
        assert refused == Failure(error.code, error.sentence)
    if isinstance(operation, Get | Range):
        assert decode_result(driven.machine.read(operation)) == Failure(error.code, error.sentence)


def test_a_full_transaction_is_fine() -> None:
    driven = Driven()
    result = driven.one(alone(Transaction([], [Put(b"%d" % number, b"") for number in range(128)])))
    assert isinstance(result, TransactionDone)
    assert driven.machine.revision == 1


def test_gated_operations_wait_for_their_level() -> None:
    driven = Driven(level=1)
    assert type(driven.machine.admit(alone(DeleteRange(b"", b"")))) is LevelMissing  # type: ignore[arg-type]
    refused = driven.one(alone(DeleteRange(b"", b"")))
    assert isinstance(refused, Failure)
    assert refused.code == LevelMissing.code
