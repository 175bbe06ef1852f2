"""What a taker may believe about its task, and which notice is for whom."""

import pytest

from coordnode.client.queue_words import Hold, Wait, moments_ms, note_of, tasks_request
from coordnode.client.renewal import believed_ms
from coordnode.errors import BadRequest, NotHeld
from coordnode.ids import Token
from coordnode.services.commands import LockGiven, TakenTask, TaskLost, TasksGiven


def hold() -> Hold:
    return Hold("task 7 of queue mail", Token(9), 30_000, 1_000)


def test_believed_less_than_the_lease_from_when_it_was_sent() -> None:
    held = hold()
    assert held.until_ms == 1_000 + believed_ms(30_000) < 31_000
    assert held.is_held(held.until_ms - 1)
    assert not held.is_held(held.until_ms)
    with pytest.raises(NotHeld, match="task 7 of queue mail may be somebody else's"):
        held.check(held.until_ms)


def test_extended_after_a_third_and_soon_again_when_that_fails() -> None:
    held = hold()
    assert held.extend_at_ms() == 11_000
    held.on_failed(12_000)
    assert held.extend_at_ms() == 14_500
    held.on_extended(6_000, 15_000)
    assert (held.extend_at_ms(), held.until_ms) == (17_000, 15_000 + believed_ms(6_000))


def test_lost_stays_lost_and_finished_is_not_held() -> None:
    held = hold()
    held.on_lost(NotHeld("token 9 holds no task"))
    held.on_extended(30_000, 2_000)
    assert held.extend_at_ms() is None
    with pytest.raises(NotHeld, match="is lost: token 9 holds no task"):
        held.check(2_001)
    finished = hold()
    finished.is_finished = True
    assert finished.extend_at_ms() is None
    assert not finished.is_held(1_001)


def test_a_notice_is_known_by_its_ticket_also_when_it_comes_before_the_answer() -> None:
    tasks = [TakenTask(7, Token(9), b"x", 1, 0)]
    late, early = Wait(), Wait()
    late.ticket = 3
    for wait in (late, early):
        for notice in (LockGiven(b"mail", Token(3), Token(8)), TaskLost(b"mail", 3, Token(3)), TasksGiven(b"mail", 4, [], 30_000)):
            wait.on_notice(notice)
        assert wait.given() is None
        wait.on_notice(TasksGiven(b"mail", 3, tasks, 30_000))
    early.ticket = 3
    assert late.given() == early.given() == tasks
    other = Wait()
    other.on_notice(TasksGiven(b"mail", 3, tasks, 30_000))
    other.ticket = 5
    assert other.given() is None


def test_small_words() -> None:
    assert moments_ms(None, "delay") == moments_ms(0, "delay") == 0
    assert moments_ms(1.5, "delay") == 1_500
    with pytest.raises(BadRequest, match="the delay is -1 s"):
        moments_ms(-1, "delay")
    assert note_of(ValueError("é" * 2_000)).startswith("ValueError: é")
    assert len(note_of(ValueError("é" * 2_000)).encode()) <= 1_000
    with pytest.raises(BadRequest, match="no state 'done'"):
        tasks_request(b"mail", "done", b"", False)
