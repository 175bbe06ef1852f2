"""Ctrl-C leaves things as they were, or says exactly what not."""

from typing import Any

import pytest

from coordctl.commands import barrier, fast, kv
from coordctl.hot import barriers
from coordctl.operations import meeting
from coordnode.errors import CoordError, NotHeld, Unreachable

WAITING, OPEN = [b"step", 3, 2, 1, 0], [b"step", 3, 2, 2, 7]


class Cluster:
    """Whose answers are interrupted as a test wants it."""

    answered_by, cluster = "", False

    def __init__(self, *, remembers: bool = True, left: Any = (WAITING, False), entered: bool = True) -> None:
        self.remembers = remembers
        self.left = left
        self.entered = entered
        self.asked: list[Any] = []

    def ask(self, _tag: int, *fields: Any, is_safe_twice: bool) -> Any:
        operation = fields[0][4]
        self.asked.append(operation)
        if operation[0] == barriers.ENTER and self.entered:
            return [barriers.CHANGED, 7, WAITING]
        if operation[0] != barriers.LEAVE:
            raise KeyboardInterrupt
        if isinstance(self.left, CoordError):
            raise self.left
        return [barriers.CHANGED, 8, *self.left]


@pytest.mark.parametrize(
    ("remembers", "remedy"), [(True, "or run it again with --request-id mine: then it happens once\n"), (False, "again\n")]
)
def test_a_write_that_is_interrupted_is_not_known_to_have_happened(
    remembers: bool, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fast, "asking", lambda _given: Cluster(remembers=remembers))
    with pytest.raises(KeyboardInterrupt):
        kv.main(["put", "k", "v", "--request-id", "mine"])
    said = capsys.readouterr().err
    assert said.startswith("coordctl: interrupted before it was answered; it may have happened or not; look before you try again")
    assert said.endswith(remedy)


MAY_BE_INSIDE = "session 77 may be inside of barrier step ({}): leave it with coordctl barrier leave step --session 77"


@pytest.mark.parametrize(
    ("entered", "left", "sentence"),
    [
        (True, (WAITING, False), "barrier step was left again"),
        (True, (OPEN, True), "barrier step had opened, and session 77 is inside"),
        (True, NotHeld("it is not inside"), "barrier step is not entered any more"),
        (True, Unreachable("no member answers"), MAY_BE_INSIDE.format("no member answers")),
        (False, (WAITING, False), "barrier step was left again"),
        (False, NotHeld("it is not inside"), MAY_BE_INSIDE.format("it was interrupted before it was answered, and may come late")),
    ],
    ids=["waiting", "open", "not inside", "unreachable", "entered unheard", "under way"],
)
def test_a_session_that_waits_at_a_barrier_does_not_stay_inside_unheard(
    entered: bool, left: Any, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    cluster = Cluster(left=left, entered=entered)
    monkeypatch.setattr(fast, "asking", lambda _given: cluster)
    monkeypatch.setattr(meeting, "wait_opened", interrupted)
    with pytest.raises(KeyboardInterrupt):
        barrier.main(["enter", "step", "2", "--session", "77", "--endpoints", "10.0.0.1:1"])
    assert cluster.asked[-1] == [barriers.LEAVE, b"step", True], "only if it is waiting still"
    assert capsys.readouterr().err == f"coordctl: interrupted: {sentence}\n"
