"""The ordered container: against a plain dict, under running snapshots, and its digest."""

import random
from collections.abc import Iterator
from itertools import islice

import msgspec
import pytest

from coordnode.errors import RecordError
from coordnode.services.tables import BUCKET_ITEMS_MAX, UNHASHED_MAX, UNSETTLED_BUCKETS_MAX, Table, row_hash


def filled(items: dict[bytes, int]) -> Table[int]:
    table: Table[int] = Table(1, int)
    for key, leaf in items.items():
        table.set(key, leaf)
    return table


@pytest.mark.parametrize("seed", range(4))
def test_it_is_an_ordered_dict(seed: int) -> None:
    chance = random.Random(seed)
    table: Table[int] = Table(1, int)
    model: dict[bytes, int] = {}
    # Few different keys are set and deleted again and again, many let buckets split and vanish.
    kinds = [3, 300, 6000][seed % 3]
    for step in range(12_000):
        key = b"%d" % chance.randrange(kinds)
        dice = chance.random()
        if dice < 0.55 or (step < 6000 and dice < 0.8):
            table.set(key, step)
            model[key] = step
        elif dice < 0.9:
            assert table.delete(key) is (model.pop(key, None) is not None)
        else:
            assert table.get(key) == model.get(key)
        if step % 2000 == 0:
            for lost in list(model)[: len(model) // 2]:
                table.get(lost)
                assert table.delete(lost)
                del model[lost]
    assert list(table.items()) == sorted(model.items())
    assert table.count == len(model)
    assert table.first() == min(model.items(), default=None)
    assert table.digest() == table.recompute_digest() == filled(model).digest()
    for _ in range(200):
        start, end = b"%d" % chance.randrange(kinds), chance.choice([b"", b"%d" % chance.randrange(kinds)])
        assert table.first_from(start) == next(table.scan(start), None)
        assert list(table.scan(start, end)) == [item for item in sorted(model.items()) if start <= item[0] and (not end or item[0] < end)]
        assert table.last_up_to(start) == max((item for item in model.items() if item[0] <= start), default=None)


def test_a_bucket_holds_no_more_than_its_bound() -> None:
    for keys in (range(5000), reversed(range(5000)), random.Random(1).sample(range(5000), 5000)):
        table = filled({b"%08d" % key: key for key in keys})
        assert [len(bucket.keys) <= BUCKET_ITEMS_MAX for bucket in table.parts()] == [True] * len(table.parts())
        assert len(table.parts()) <= 10


def test_growing_keys_leave_full_buckets() -> None:
    table = filled({b"%08d" % key: key for key in range(10 * BUCKET_ITEMS_MAX)})
    assert len(table.parts()) == 10


def test_keys_below_all_that_are_left_find_their_place() -> None:
    table = filled({b"%08d" % key: key for key in range(3 * BUCKET_ITEMS_MAX)})
    for key in range(BUCKET_ITEMS_MAX + 10):
        assert table.delete(b"%08d" % key)
    table.set(b"%08d" % 5, 5)
    assert table.first() == (b"%08d" % 5, 5)
    assert table.get(b"%08d" % 5) == 5
    assert [leaf for _, leaf in table.scan(b"", b"%08d" % (BUCKET_ITEMS_MAX + 12))] == [5, BUCKET_ITEMS_MAX + 10, BUCKET_ITEMS_MAX + 11]
    assert table.last_up_to(b"%08d" % 4) is None


def test_a_snapshot_does_not_see_what_comes_after_it() -> None:
    chance = random.Random(5)
    model = {b"%d" % chance.randrange(10_000): number for number in range(6000)}
    table = filled(model)
    expected = [msgspec.msgpack.encode(item) for item in sorted(model.items())]
    first = table.freeze()
    abandoned = table.freeze()
    taken = [next(first) for _ in range(1000)]
    next(abandoned)
    for number in range(3000):
        table.set(b"%d" % chance.randrange(12_000), -number)
        table.delete(b"%d" % chance.randrange(12_000))
        if number == 1500:
            between = table.freeze()
            expected_between = [msgspec.msgpack.encode(item) for item in table.items()]
    del abandoned
    assert [*taken, *first] == expected
    assert list(between) == expected_between
    assert table.digest() == table.recompute_digest()


def test_changes_all_over_a_large_table_do_not_wait_to_be_hashed_together() -> None:
    """Rows whose buckets have left the processor's caches take ten times as long: a digest over thousands of them stops everybody."""
    count = 2 * UNSETTLED_BUCKETS_MAX * BUCKET_ITEMS_MAX
    table = filled({b"%08d" % key: key for key in range(count)})
    assert len(table.parts()) > UNSETTLED_BUCKETS_MAX
    most = 0
    for step in range(500):
        table.set(b"%08d" % (step * 7919 * BUCKET_ITEMS_MAX % count), -step)
        most = max(most, sum(bool(bucket.unhashed) for bucket in table.parts()))
    assert UNSETTLED_BUCKETS_MAX // 2 <= most <= UNSETTLED_BUCKETS_MAX
    few = filled({b"%d" % key: key for key in range(100)})
    few.digest()
    for step in range(1_000):
        few.set(b"%d" % (step % 100), -step)
    assert sum(len(bucket.unhashed) for bucket in few.parts()) == 100, "what is replaced again and again is hashed once"


def kept(table: Table[int]) -> int:
    """Leaves that are there only for snapshots."""
    return sum(len(bucket.kept) for bucket in table.parts())


def test_what_a_snapshot_has_read_is_let_go_of_piece_by_piece() -> None:
    """All at once, at its end, a million replaced items would take a hundred turns' time."""
    count = 8 * BUCKET_ITEMS_MAX
    table = filled({b"%08d" % key: key for key in range(count)})
    frozen = table.freeze()
    for key in range(count):
        table.set(b"%08d" % key, -key)
    assert kept(table) == count
    for _ in range(count // 2):
        next(frozen)
    assert 0 < kept(table) <= count - count // 2
    table.set(b"%08d" % 0, 1)
    assert kept(table) <= count - count // 2, "nobody reads it again"
    assert sum(1 for _ in frozen) == count - count // 2
    assert kept(table) == 0


def test_nothing_is_kept_for_a_snapshot_that_nobody_holds_any_more() -> None:
    table = filled({b"%08d" % key: key for key in range(3 * BUCKET_ITEMS_MAX)})
    abandoned = table.freeze()
    next(abandoned)
    table.set(b"%08d" % (2 * BUCKET_ITEMS_MAX), 5)
    assert kept(table) == 1
    del abandoned
    table.set(b"%08d" % (2 * BUCKET_ITEMS_MAX), 6)
    assert kept(table) == 0


def test_while_a_snapshot_is_made_a_change_of_one_item_touches_no_other() -> None:
    table = filled({b"%08d" % key: key for key in range(3 * BUCKET_ITEMS_MAX)})
    table.digest()
    parts = table.parts()
    frozen = table.freeze()
    for key in range(0, 3 * BUCKET_ITEMS_MAX, BUCKET_ITEMS_MAX):
        table.set(b"%08d" % key, -1)
    assert all(now is before for now, before in zip(table.parts(), parts, strict=True))
    assert (kept(table), sum(1 for _ in frozen)) == (3, 3 * BUCKET_ITEMS_MAX)


def test_snapshots_that_are_read_bit_by_bit_while_items_change_come_and_go() -> None:
    chance = random.Random(8)
    table = filled({b"%05d" % key: key for key in range(0, 12_000, 2)})
    reading: list[tuple[Iterator[bytes], list[tuple[bytes, int]]]] = []  # and what is still to come
    whole = 0
    for step in range(6_000):
        table.set(b"%05d" % (11_998 - 2 * chance.randrange(30)), -step)  # again and again, before it is read
        key = b"%05d" % chance.randrange(12_000)
        act = chance.random()
        if act < 0.75:
            table.set(key, step)
        elif act < 0.85:
            table.delete(key)
        elif act < 0.86 and len(reading) < 3:
            reading.append((table.freeze(), list(table.items())))
        elif act < 0.861 and reading:
            del reading[chance.randrange(len(reading))]
        for rows, expected in reading:
            for row in islice(rows, chance.randrange(100)):
                assert msgspec.msgpack.decode(row, type=tuple[bytes, int]) == expected.pop(0)
        assert all(next(rows, None) is None for rows, expected in reading if not expected)
        whole += sum(not expected for _, expected in reading)
        reading = [one for one in reading if one[1]]
    assert whole > 20
    assert table.digest() == table.recompute_digest()
    reading.clear()
    assert list(table.freeze()) == [msgspec.msgpack.encode(item) for item in table.items()]


def test_the_digest_is_right_whenever_it_is_asked_for() -> None:
    """Rows are hashed late: none may be forgotten, or be counted twice, by a change of any kind in between."""
    chance = random.Random(6)
    table: Table[int] = Table(1, int)
    for step in range(6 * UNHASHED_MAX):
        key = b"%d" % chance.randrange(3000)
        if chance.random() < 0.8:
            table.set(key, step)
        else:
            table.delete(key)
        dice = chance.random()
        if dice < 0.001:
            assert table.digest() == table.recompute_digest()
        elif dice < 0.002:
            table.freeze()
    assert table.digest() == table.recompute_digest() == filled(dict(table.items())).digest()


def test_a_bucket_whose_only_change_is_gone_is_hashed_with_the_next() -> None:
    """It is noted as changed already when there are as many such buckets as may be."""
    table = filled({b"%08d" % key: key for key in range((UNSETTLED_BUCKETS_MAX + 1) * BUCKET_ITEMS_MAX)})
    assert table.digest()
    table.set(b"%08d" % 0, -1)
    table.delete(b"%08d" % 0)
    for bucket in range(1, UNSETTLED_BUCKETS_MAX):
        table.set(b"%08d" % (bucket * BUCKET_ITEMS_MAX), -1)
    table.set(b"%08d" % 1, -1)
    assert table.digest() == table.recompute_digest()


def test_the_digest_sees_each_part_of_a_row_and_swaps() -> None:
    base = filled({b"a": 1, b"b": 2}).digest()
    others = [{b"a": 2, b"b": 1}, {b"a": 1, b"c": 2}, {b"a": 1}, {b"a": 1, b"b": 3}, {b"ab": 1, b"": 2}, {b"b": 2, b"a": 0, b"c": 1}]
    assert base not in [filled(other).digest() for other in others]
    assert filled({b"b": 2, b"a": 1}).digest() == base
    other_table: Table[int] = Table(2, int)
    other_table.set(b"a", 1)
    assert other_table.digest() != filled({b"a": 1}).digest()


def test_hashes_spread_over_all_64_bits() -> None:
    hashes = [row_hash(1, b"%d" % number) for number in range(20_000)]
    assert len(set(hashes)) == len(hashes)
    for bit in range(64):
        ones = sum(number >> bit & 1 for number in hashes)
        assert 0.3 < ones / len(hashes) < 0.7, bit


def test_rows_out_of_order_are_refused() -> None:
    table: Table[int] = Table(1, int)
    with pytest.raises(RecordError, match="not in order"):
        table.load(msgspec.Raw(msgspec.msgpack.encode([(b"b", 1), (b"a", 2)])))
    table = filled({b"m": 1})
    with pytest.raises(RecordError, match="not in order"):
        table.load(msgspec.Raw(msgspec.msgpack.encode([(b"m", 1)])))
