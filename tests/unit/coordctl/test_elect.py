"""Ending a leadership, as far as the verbs decide it."""

from typing import Any

import pytest

from coordctl.commands import elect, fast
from coordctl.hot import elections
from coordctl.report.exits import OUTCOME_UNKNOWN
from coordnode.errors import Unreachable

LED = [elections.VIEW, 7, [b"primary", [5, 77, "ops@web1, pid 1", "a", b"", 0, 0], 0], [], False]


class Lost:
    """A cluster that is gone once it has done what it was asked for."""

    answered_by, remembers, cluster = "", False, 0

    def __init__(self) -> None:
        self.is_done = False

    def ask(self, *_: Any, **__: Any) -> Any:
        if self.is_done:
            raise Unreachable("no member can be reached")
        return LED

    def take_away(self, _operation: list[object], _sessions: Any) -> None:
        self.is_done = True


@pytest.mark.parametrize("verb", [["resign", "primary", "5"], ["transfer", "primary", "b"]])
def test_a_leadership_that_is_ended_is_not_said_to_be_out_of_reach(
    verb: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fast, "asking", lambda _given: Lost())
    assert elect.main(verb) == OUTCOME_UNKNOWN
    said = capsys.readouterr().err
    assert "primary: the leadership of a, token 5, is ended; who leads now is not known: no member can be reached" in said
