"""Virtual time, named chance, clocks."""

import random

import pytest

from coordnode.simulator.clock import HostClock
from coordnode.simulator.world import MILLISECOND, SECOND, World


def test_callbacks_run_in_order_of_time_and_then_of_asking() -> None:
    world = World(1)
    ran: list[str] = []
    world.at(20, ran.append, "late")
    world.at(10, ran.append, "first of two")
    world.at(10, ran.append, "second of two")
    world.run_until(15)
    assert ran == ["first of two", "second of two"]
    assert world.now_ns == 15
    world.run_until(20)
    assert ran[-1] == "late"


def test_a_callback_may_ask_for_more_at_the_same_moment() -> None:
    world = World(1)
    ran: list[int] = []

    def again(left: int) -> None:
        ran.append(left)
        if left:
            world.after(0, again, left - 1)

    world.after(5, again, 3)
    world.run_until(5)
    assert ran == [3, 2, 1, 0]


def test_streams_do_not_disturb_each_other() -> None:
    first, second = World(7), World(7)
    first.stream("a").random()
    noisy = first.stream("a")
    for _ in range(100):
        noisy.random()
    assert first.stream("b").random() == second.stream("b").random()
    assert World(7).stream("a").random() != World(8).stream("a").random()
    assert World(7).stream("a").random() != World(7).stream("b").random()


def test_the_trace_tells_runs_apart() -> None:
    def trace(*delays: int) -> int:
        world = World(1)
        for delay in delays:
            world.after(delay, lambda: None)
        world.run_until(100)
        return world.trace

    assert trace(5, 9) == trace(5, 9)
    assert trace(5, 9) != trace(6, 9)
    assert trace(5, 9) != trace(9, 5), "the order of asking is part of it"
    assert trace(5, 9) != trace(5)


def test_what_fails_in_the_middle_leaves_the_trace_of_what_ran() -> None:
    world = World(1)
    world.after(5, lambda: None)
    world.after(6, lambda: 1 // 0)
    world.after(7, lambda: None)
    with pytest.raises(ZeroDivisionError):
        world.run_until(100)
    assert (world.events, world.now_ns) == (2, 6)
    assert world.trace


def test_a_clock_keeps_its_rate_and_never_goes_back() -> None:
    chance = random.Random(3)
    world = World(1)
    clock = HostClock(world, start_ms=500, rate_ppm=1_000, wall_ms=1_000_000)
    world.run_until(10 * SECOND)
    assert clock.own_ms() == 500 + 10_010
    seen = clock.own_ns()
    for _ in range(200):
        clock.set_rate(chance.randint(-1_000, 1_000))
        clock.jump_wall(chance.randint(-5_000, 5_000))
        assert clock.own_ns() == seen
        world.run_until(world.now_ns + chance.randint(0, SECOND))
        assert clock.own_ns() >= seen
        seen = clock.own_ns()


def test_a_delay_of_the_own_clock_is_never_too_short() -> None:
    for rate in (-1_000, -999, 0, 333, 1_000):
        world = World(1)
        clock = HostClock(world, start_ms=0, rate_ppm=rate, wall_ms=0)
        before = clock.own_ns()
        wait_ns = clock.world_ns(50 * MILLISECOND)
        world.run_until(wait_ns)
        assert 50 * MILLISECOND <= clock.own_ns() - before <= 50 * MILLISECOND + 2
