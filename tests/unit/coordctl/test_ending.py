"""When and how a job is ended: all of it before the deadline, whatever the reason."""

import pytest

from coordctl.runner import ending
from coordctl.runner.ending import BROKEN, HOLD_MAX, IGNORE, KILL, LEFT, LOST, ORPHANED, RUN, TERM, Ending

POLICY = ending.policy(10_000)
DEADLINE_MS = 100_000


def made(on_lost: str = TERM, grace_ms: int | None = None) -> Ending:
    job = Ending(ending.policy(10_000, on_lost, "wait", grace_ms))
    job.on_deadline(DEADLINE_MS)
    return job


def test_a_deadline_leaves_time_to_ask_and_to_kill() -> None:
    job = made()
    at_ms = job.wake_at_ms()
    assert at_ms == DEADLINE_MS - POLICY.margin_ms - POLICY.grace_ms
    assert job.due(at_ms - 1) == []
    assert job.due(at_ms) == [TERM]
    assert job.reason == LOST
    assert job.due(at_ms) == []
    kill_at_ms = job.wake_at_ms()
    assert kill_at_ms == DEADLINE_MS - POLICY.margin_ms
    assert job.due(kill_at_ms) == [KILL]
    assert job.is_killing()
    assert (job.due(kill_at_ms + 1), job.wake_at_ms()) == ([], None)


def test_a_renewal_puts_it_off_and_never_back() -> None:
    job = made()
    job.on_deadline(DEADLINE_MS + 5_000)
    job.on_deadline(DEADLINE_MS)
    assert job.due(DEADLINE_MS) == []
    assert job.wake_at_ms() == DEADLINE_MS + 5_000 - POLICY.margin_ms - POLICY.grace_ms


def test_who_wakes_long_after_the_deadline_kills_at_once() -> None:
    assert made().due(DEADLINE_MS + 60_000) == [TERM, KILL]


@pytest.mark.parametrize("reason", [BROKEN, ORPHANED, HOLD_MAX, LEFT])
def test_other_reasons_have_the_grace_but_not_beyond_the_deadline(reason: str) -> None:
    job = made()
    assert job.begin(reason, 50_000)
    assert not job.begin(LOST, 50_000)
    assert job.due(50_000) == [TERM]
    assert job.wake_at_ms() == 50_000 + POLICY.grace_ms
    late = made()
    late.begin(reason, DEADLINE_MS - POLICY.margin_ms - 10)
    assert late.wake_at_ms() == DEADLINE_MS - POLICY.margin_ms


def test_ways_to_treat_a_loss() -> None:
    killed = made(KILL)
    assert killed.due(DEADLINE_MS - POLICY.margin_ms - 1) == []
    assert killed.due(DEADLINE_MS - POLICY.margin_ms) == [KILL]
    ignored = made(IGNORE)
    assert ignored.wake_at_ms() == DEADLINE_MS, "nothing need be over by then: until then it is not lost"
    assert (ignored.due(DEADLINE_MS - 1), ignored.reason) == ([], "")
    assert ignored.due(DEADLINE_MS) == []
    assert (ignored.reason, ignored.wake_at_ms()) == (LOST, None)
    told = made("notify me")
    assert told.due(DEADLINE_MS - POLICY.margin_ms - POLICY.grace_ms) == [RUN]
    assert told.due(DEADLINE_MS - POLICY.margin_ms) == [KILL]


def test_a_loss_that_is_ignored_keeps_nobody_from_being_ended_for_another_reason() -> None:
    job = made(IGNORE)
    job.due(DEADLINE_MS)
    assert job.begin(ORPHANED, DEADLINE_MS + 1_000)
    assert job.due(DEADLINE_MS + 1_000) == [TERM, KILL]


@pytest.mark.parametrize("reason", [HOLD_MAX, LEFT])
def test_after_a_loss_that_is_ignored_there_is_a_grace_and_no_deadline(reason: str) -> None:
    job = made(IGNORE)
    job.due(DEADLINE_MS)
    assert job.begin(reason, DEADLINE_MS + 1_000)
    assert job.due(DEADLINE_MS + 1_000) == [TERM]
    assert job.wake_at_ms() == DEADLINE_MS + 1_000 + POLICY.grace_ms
    assert job.due(DEADLINE_MS + 1_000 + POLICY.grace_ms) == [KILL]


@pytest.mark.parametrize("ttl_ms", [1_000, 3_000, 10_000, 60_000, 86_400_000])
def test_asking_never_begins_before_a_renewal_could_have_been_answered(ttl_ms: int) -> None:
    """Renewals are sent after a third of the lease; there is as much time again before the command is asked to end."""
    for policy in (ending.policy(ttl_ms), ending.policy(ttl_ms, TERM, "wait", 86_400_000)):
        assert policy.margin_ms + policy.grace_ms <= ttl_ms * 2 // 5
        assert policy.margin_ms >= 50
