"""Where a host is not as its inventory has it, and what that needs."""

import pytest

from coordctl.facts import drift
from coordctl.facts.drift import Drift


def test_settings_are_compared_one_by_one() -> None:
    wanted = 'name = "n1"\ntick = "40ms"\nslow-commit = "70ms"\n'
    found = 'name = "n1"\ntick = "50ms"\nkeep-entries = 9\n'
    assert drift.compare(wanted, found, ("slow-commit", "keep-entries")) == [
        Drift("tick", "40ms", "50ms", "restart"),
        Drift("slow-commit", "70ms", None, "reload"),
        Drift("keep-entries", None, "9", "reload"),
    ]
    assert drift.compare(wanted, wanted, ()) == []
    assert [one.setting for one in drift.compare(wanted, "tick = soon", ())] == ["name", "tick", "slow-commit"]


@pytest.mark.parametrize(
    ("wanted", "found", "remedy"),
    [
        ("voter", "voter", ""),
        ("voter", "learner", "member promote"),
        ("voter", "none", "member add"),
        ("learner", "voter", "member demote"),
        ("learner", "none", "deploy"),
        ("spare", "spare", ""),
        ("spare", "none", ""),
        ("spare", "voter", "say so in the inventory"),
        ("spare", "learner", "say so in the inventory"),
    ],
)
def test_what_makes_role_and_inventory_agree(wanted: str, found: str, remedy: str) -> None:
    assert drift.of_role(wanted, found) == remedy
