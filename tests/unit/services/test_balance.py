"""Quotas: within one of the exact share, all handed out, and no way to move less; against every other way there is."""

import random
from itertools import product

from coordnode.services.balance import hand_out, quotas


def moved(loads: list[int], wanted: list[int]) -> int:
    return sum(max(0, load - quota) for load, quota in zip(loads, wanted, strict=True))


def every_way(shards: int, weights: list[int]) -> list[list[int]]:
    whole = sum(weights)
    choices = [sorted({shards * weight // whole, -(-shards * weight // whole)}) for weight in weights]
    return [list(way) for way in product(*choices) if sum(way) == shards]


def test_no_other_way_moves_less() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        weights = [chance.randrange(5) for _ in range(chance.randrange(1, 6))]
        shards = chance.randrange(1, 12)
        if not sum(weights):
            continue
        loads = [0] * len(weights)
        for _ in range(chance.randrange(shards + 1)):
            loads[chance.randrange(len(loads))] += 1
        ways = every_way(shards, weights)
        wanted = quotas(shards, weights, loads)
        assert wanted in ways, (shards, weights, loads)
        assert moved(loads, wanted) == min(moved(loads, way) for way in ways), (shards, weights, loads)


def test_nobody_gets_anything_without_weight() -> None:
    assert quotas(5, [0, 0], [3, 2]) == [0, 0]
    assert quotas(5, [], []) == []
    assert quotas(5, [0, 1], [5, 0]) == [0, 5]


def test_what_is_not_free_stays_where_it_is() -> None:
    assert quotas(3, [1, 1], [2, 1]) == [2, 1]
    assert quotas(3, [1, 1], [1, 2]) == [1, 2]
    assert quotas(3, [1, 1], [0, 0]) == [2, 1]
    assert quotas(10, [3, 1], [0, 0]) == [8, 2]
    assert quotas(10, [3, 1], [7, 3]) == [7, 3]


def test_free_shards_go_to_who_lacks_most() -> None:
    assert hand_out([4, 5, 6, 7], [1, 3, 0]) == [(4, 1), (5, 1), (6, 0), (7, 1)]
    assert hand_out([1, 2, 3], [1, -2]) == [(1, 0)]
    assert hand_out([], [5]) == []
    assert hand_out([1], []) == []
