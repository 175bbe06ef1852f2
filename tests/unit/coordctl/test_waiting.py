"""`wait`: how long each look may take, and whose words are told in the end."""

import time

import pytest

from coordctl.local.clusters import COORDNODE, ETCD, Chosen
from coordctl.operations import waiting
from coordnode.errors import BadRequest


def test_the_last_look_has_time_for_an_answer_and_its_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, patience = [0.0], list[float]()

    def look(seconds: float) -> tuple[bool, str]:
        patience.append(seconds)
        answers_within = 0.3
        clock[0] += min(seconds, answers_within)
        return False, "door is held by ann" if seconds >= answers_within else "nobody answered"

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(waiting, "_look_for", lambda condition, chosen: look)
    found = waiting.wait("unlocked=door", Chosen(COORDNODE, "", []), 5.0)
    assert (found.outcome, found.exit_code, found.now) == ("not reached", 1, "door is held by ann")
    assert (patience[0], patience[-1]) == (waiting.ASK_SECONDS_MAX, waiting.LOOK_SECONDS_MIN)
    assert clock[0] <= 5.0 + waiting.LOOK_SECONDS_MIN + waiting.PAUSE_SECONDS


@pytest.mark.parametrize("engine", [COORDNODE, ETCD])
@pytest.mark.parametrize(
    "condition", ["leader=", "members=", "members=0", "members=-1", "members=abc", "members=²", "version=", "unlocked="]
)
def test_what_says_nothing_is_refused_before_anybody_is_asked(engine: str, condition: str) -> None:
    with pytest.raises(BadRequest, match="="):
        waiting.wait(condition, Chosen(engine, "", []), 0.0)
