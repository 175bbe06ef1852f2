"""How the members of another engine are, each asked at the same time: what status, health and `up` go by."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from coordctl.local.clusters import Endpoint, spoken

LEADER, VOTER, LEARNER = "leader", "voter", "learner"
SERVES_NOBODY = "it serves nobody now"  # a trouble of one that answers all the same
NO_LEADER = "it knows no leader"  # an alarm


class Look(NamedTuple):
    """Of a member that does not answer there is only the trouble."""

    address: str
    name: str
    trouble: str = ""
    role: str = ""
    version: str = ""
    term: int = 0  # ZooKeeper calls it an epoch
    applied: int = 0
    alarms: tuple[str, ...] = ()  # what it says is wrong with it
    voters: int = 0  # as it knows them; 0: it does not say

    @property
    def shown(self) -> str:
        return self.name or self.address


def look(engine: str, endpoints: Sequence[Endpoint], seconds: float) -> list[Look]:
    module = spoken(engine, "looking")
    with ThreadPoolExecutor(len(endpoints)) as pool:
        found: list[Look] = list(pool.map(lambda one: module.look(one, seconds), endpoints))
    return found


def leads(found: Sequence[Look]) -> Look | None:
    """A deposed leader may not know it yet: the latest term is right."""
    return max((one for one in found if one.role == LEADER), key=lambda one: one.term, default=None)
