"""A canary's cycles on another engine, before clusters that keep their promises and clusters that do not."""

from typing import Any

import pytest

from coordctl.canary.cycles import Announced, judge_leader
from coordctl.canary.samples import OK, WRONG
from coordctl.local.clusters import ETCD, Chosen
from coordctl.operations import canary_foreign
from coordctl.operations.canary_foreign import ElectionCycle, LockCycle
from coordctl.operations.canary_probes import Trip

TRIP = Trip("_canary/x/", "test", 7, 5_000, 1.0)
CHOSEN = Chosen(ETCD, "", [])
WON = Announced(0, 12, "7")


class Cluster:
    """One that keeps its promises, but for the one that it is told to break."""

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks
        self.token = 10
        self.held: dict[str, tuple[int, str]] = {}

    def grant(self, name: str, value: str) -> int:
        self.token += self.breaks != "tokens rise"
        self.held[name] = (self.token, value)
        return self.token

    def __call__(self, *_: Any) -> "Session":
        return Session(self)


class Session:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._name = ""

    def open(self) -> None:
        pass

    def check(self) -> None:
        pass

    def acquire(self, name: str) -> int:
        self._name = name
        return self._cluster.grant(name, "")

    def campaign(self, name: str, value: str) -> int:
        self._name = name
        return self._cluster.grant(name, value)

    def admits(self, name: str, token: int, _key: str, _value: str) -> bool:
        is_held = self._cluster.held.get(name, (0, ""))[0] == token
        return is_held is not (self._cluster.breaks == ("holders write" if is_held else "others do not"))

    def leader(self, name: str) -> tuple[int, str]:
        found = self._cluster.held.get(name, (0, ""))
        return (0, "") if self._cluster.breaks == "leaders are read" else found

    def close(self) -> None:
        if self._cluster.breaks != "who resigned leads no more":
            self._cluster.held.pop(self._name, None)


@pytest.mark.parametrize(
    ("cycle", "breaks", "words"),
    [
        (LockCycle, "", ""),
        (LockCycle, "tokens rise", "token 10 was granted after 10"),
        (LockCycle, "holders write", "a write with token 11 was refused although it is held"),
        (LockCycle, "others do not", "a write with token 11 was admitted although it had been released"),
        (ElectionCycle, "", ""),
        (ElectionCycle, "tokens rise", "token 10 was won after 10"),
        (ElectionCycle, "leaders are read", "token 11 had won with '7', and who was read to lead was nobody"),
        (ElectionCycle, "who resigned leads no more", "token 11 had resigned, and was read to lead"),
    ],
)
def test_a_promise_that_is_broken_is_told(monkeypatch: pytest.MonkeyPatch, cycle: Any, breaks: str, words: str) -> None:
    monkeypatch.setattr(canary_foreign, "Blocking", Cluster(breaks))
    made = cycle()
    samples = [made.run(TRIP, CHOSEN) for _ in range(2)]
    told = next((one for one in samples if one.outcome != OK), samples[0])
    assert (told.outcome, told.sentence) == (WRONG if breaks else OK, words)


def test_another_leader_than_the_one_that_won_is_wrong() -> None:
    assert judge_leader(11, WON, Announced(0, 13, "8"), Announced(0)) == (
        WRONG,
        "token 12 had won with '7', and who was read to lead was token 13 with '8'",
    )
    assert judge_leader(11, WON, Announced(0, 12, "8"), Announced(0))[0] == WRONG
    assert judge_leader(11, WON, WON, Announced(0, 13, "8")) == (OK, "")
