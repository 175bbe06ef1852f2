"""Whoever looks after a job ends it, or says that this is not in its power."""

import errno
import os
import subprocess
import time
from typing import Any

import pytest

from coordctl.runner import ending, words
from coordctl.runner.cgroup import Cgroup
from coordctl.runner.family import Family
from coordctl.runner.warden import AGAIN_MS, AGAIN_MS_MAX, STUBBORN_MS, Warden


class _Others(Family):
    """What it kills answers with these numbers of errors, and goes on."""

    def __init__(self, errors: dict[int, int]) -> None:
        super().__init__(1 << 22, Cgroup(""))
        self.is_reaped = True
        self.errors = errors
        self.rounds = 0

    def kill(self) -> list[tuple[int, str, int]]:
        self.rounds += 1
        return [(pid, "other", error) for pid, error in self.errors.items()]

    def has_members(self) -> bool:
        return True

    def reap(self) -> Any:
        return iter(())


def killing(errors: dict[int, int]) -> tuple[Warden, _Others, list[Any]]:
    told: list[Any] = []
    family = _Others(errors)
    warden = Warden(family, ending.policy(10_000, "kill"), lambda *word: told.append(word))
    warden.begin(ending.LOST, 1_000)
    return warden, family, told


def test_who_may_not_be_killed_is_told_of_once_and_tried_less_and_less_often() -> None:
    warden, family, told = killing({7: errno.EPERM})
    assert told == [(words.ENDING, ending.LOST), (words.UNENDED, [(7, "other", "Operation not permitted")])]
    now_ms = 1_000
    while now_ms < 61_000:
        now_ms = warden.wake_at_ms() or 0
        warden.on_time(now_ms)
    assert len(told) == 2
    assert family.rounds < 70, "not 50 times a second"
    family.errors[8] = 0
    warden.on_time(now_ms + AGAIN_MS_MAX)
    assert warden.wake_at_ms() == now_ms + AGAIN_MS_MAX + AGAIN_MS, "whoever is new is killed at once, and so are its children"


def test_who_was_killed_and_does_not_end_is_told_of_a_little_later() -> None:
    warden, _, told = killing({7: 0})
    assert len(told) == 1
    while (now_ms := warden.wake_at_ms() or 0) < 1_000 + STUBBORN_MS:
        warden.on_time(now_ms)
        assert len(told) == 1
    warden.on_time(now_ms)
    assert told[1:] == [(words.UNENDED, [(7, "other", "")])]


def test_a_family_says_whom_it_may_not_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_pid: int, _number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            while not any(one.pid == child.pid and one.name == "sleep" for one in Family(child.pid, Cgroup("")).members()):
                time.sleep(0.01)
            family = Family(child.pid, Cgroup(""))
            family.is_reaped = True
            monkeypatch.setattr(os, "kill", refused)
            assert (child.pid, "sleep", errno.EPERM) in family.kill()
        finally:
            monkeypatch.undo()
            child.kill()
