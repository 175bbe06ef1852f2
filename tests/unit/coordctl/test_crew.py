"""What a run of shards decides: one command for each shard, and none that somebody else could own already."""

from random import Random

import pytest

from coordctl.runner import crew, outcome
from coordctl.runner.crew import Close, Crew, End, Forward, Push, Release, Start

LOST, INT, TERM = "lost", 2, 15


def joined() -> Crew:
    made = Crew("jobs", 0)
    made.on_joined(1_000, 10)
    return made


def test_a_shard_is_released_once_its_command_is_gone() -> None:
    made = joined()
    assert made.on_change(crew.GAINED, 3, 7) == [Start(3, 7, 1_000)]
    assert made.on_renewed(2_000) == [Push(3, 2_000)]
    (asked,) = made.on_change(crew.REVOKED, 3, 7)
    assert asked == End(3, "shard 3 of jobs goes to somebody else", False)
    assert made.on_renewed(3_000) == [], "its time is not prolonged"
    assert made.on_ended(3, 143, False) == [Release(3, 7)]
    assert made.on_change(crew.GAINED, 3, 9) == [Start(3, 9, 3_000)]


def test_what_is_lost_is_not_released_and_begins_anew_only_when_the_old_command_is_gone() -> None:
    made = joined()
    made.on_change(crew.GAINED, 3, 7)
    (told,) = made.on_change(LOST, 3, 7)
    assert isinstance(told, End)
    assert told.is_lost
    assert made.on_change(crew.GAINED, 3, 9) == []
    assert made.on_ended(3, 79, False) == [Start(3, 9, 1_000)]
    made.on_change(LOST, 3, 9)
    made.on_change(crew.GAINED, 3, 11)
    assert made.on_change(crew.REVOKED, 3, 11) == [Release(3, 11)], "it was not begun"
    assert made.on_ended(3, 79, False) == []


def test_a_command_that_ends_ends_the_run_with_its_code() -> None:
    made = joined()
    made.on_change(crew.GAINED, 0, 7)
    made.on_change(crew.GAINED, 1, 8)
    assert made.on_ended(1, 5, False) == [Release(1, 8), End(0, "", False)]
    assert made.on_change(crew.GAINED, 2, 9) == []
    assert made.on_ended(0, 143, False) == [Release(0, 7), Close(0)]
    assert made.result(60) == outcome.Outcome(outcome.ENDED, 5, None, 10, 50)


def test_a_killed_runner_is_waited_for_until_its_guard_has_surely_ended_the_rest() -> None:
    made = joined()
    made.on_change(crew.GAINED, 0, 7)
    assert [action for action in made.on_ended(0, -9, True) if isinstance(action, Release | Close)] == [Close(1_000)]
    assert made.result(60).exit_code == 79


@pytest.mark.parametrize(("number", "code"), [(INT, 130), (TERM, 143)])
def test_signals_reach_the_commands_and_end_who_has_none(number: int, code: int) -> None:
    idle = joined()
    assert idle.on_signal(number) == [Close(0)]
    assert (idle.result(20).outcome, idle.result(20).exit_code) == (outcome.INTERRUPTED, code)
    busy = joined()
    busy.on_change(crew.GAINED, 0, 7)
    assert busy.on_signal(number) == [Forward(number)]


@pytest.mark.parametrize("seed", range(200))
def test_whatever_comes_in_whatever_order(seed: int) -> None:
    """No shard is worked on twice; none is released while it is worked on; a lost one never; deadlines of what must go stay."""
    chance = Random(seed)
    made, token, now_ms = joined(), 0, 10
    running: dict[int, int] = {}
    going: set[int] = set()
    owned: dict[int, int] = {}
    for _ in range(60):
        now_ms += 1
        shard = chance.randrange(3)
        match chance.randrange(6):
            case 0:
                actions = made.on_renewed(now_ms + 1_000)
            case 1 if shard not in owned:
                token += 1
                owned[shard] = token
                actions = made.on_change(crew.GAINED, shard, token)
            case 2 | 3 if shard in owned:
                kind = chance.choice([crew.REVOKED, LOST])
                actions = made.on_change(kind, shard, owned[shard])
                if kind == LOST:
                    del owned[shard]
            case 4 if shard in running:
                ended = running.pop(shard)
                actions = made.on_ended(shard, chance.choice([0, 79, 143]), chance.random() < 0.1)
                assert all(action.token == ended and owned.get(shard) == ended for action in actions if isinstance(action, Release))
                going.discard(shard)
            case 5 if chance.random() < 0.1:
                actions = made.on_lost("lost", "gone")
            case _:
                continue
        for action in actions:
            match action:
                case Start(started, of, _):
                    assert started not in running
                    running[started] = of
                case Push(pushed, _):
                    assert pushed in running
                    assert pushed not in going
                case End(ending, _, _):
                    assert ending in running
                    going.add(ending)
                case Release(released, of):
                    assert running.get(released) != of
                    if owned.get(released) == of:
                        del owned[released]
                case Close(_):
                    assert not running
