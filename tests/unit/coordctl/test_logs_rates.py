"""What is more than chance, and enough to matter."""

import random

from coordctl.logs.rates import FALSE_DISCOVERIES_MAX, change, discoveries, is_enough


def test_a_change_of_rate_and_its_probability() -> None:
    same = change(100, 600, 600, 3_600)
    assert 0.9 < same.ratio < 1.1
    assert same.p > 0.5
    tenfold = change(100, 600, 60, 3_600)
    assert 9 < tenfold.ratio < 11
    assert tenfold.p < 1e-10
    assert change(1, 60, 0, 3_600).ratio > 50  # never seen before: rare, not impossible
    assert change(0, 600, 600, 3_600).ratio < 0.01


def test_an_effect_must_be_large_enough_however_sure_it_is() -> None:
    sure = change(13_000, 3_600, 10_000, 3_600)
    assert sure.p < 1e-10
    assert not is_enough(sure, 13_000, 3_600, 10_000, 3_600)
    assert not is_enough(change(2, 600, 0, 3_600), 2, 600, 0, 3_600)
    assert is_enough(change(30, 600, 6, 600), 30, 600, 6, 600)


def test_chance_alone_is_hardly_ever_discovered() -> None:
    rng = random.Random(1)
    found = 0
    for _ in range(200):
        counts = [(sum(rng.random() < 0.1 for _ in range(300)), sum(rng.random() < 0.1 for _ in range(300))) for _ in range(20)]
        found += any(discoveries([change(now, 300, before, 300).p for now, before in counts]))
    assert found <= 200 * 5 * FALSE_DISCOVERIES_MAX
    assert discoveries([1e-9, 0.9, 0.8]) == [True, False, False]
    assert discoveries([]) == []
