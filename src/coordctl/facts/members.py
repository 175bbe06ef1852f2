"""What each member says of itself (its /status), or why it says nothing; and what that makes of the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from coordctl.facts.metrics import Metrics

COMMIT = "coordnode_commit_seconds"
SYNC = "coordnode_sync_seconds"
LAG_ENTRIES_MAX = 1_000  # a member further behind would be missed in an election


@dataclass(frozen=True, slots=True)
class MemberFacts:
    address: str
    status: dict[str, Any] | None  # None: it did not answer
    trouble: str = ""  # why not
    name: str = ""  # as far as known from elsewhere
    member: int = 0
    metrics: Metrics = field(default_factory=Metrics)
    metrics_text: str = ""  # as it was told

    def p99_ms(self, name: str) -> float | None:
        """Since that member started; None: not asked for, or nothing of it happened."""
        return self.metrics.histogram(name).quantile_ms(0.99)

    @property
    def shown_name(self) -> str:
        return str(self.status["name"]) if self.status is not None else self.name or self.address


class Drain(NamedTuple):
    """A member that an operator is at work on."""

    until_unix_s: int
    by: str
    reason: str
    session: int  # of which it is a part: with it, it ends

    def says(self) -> str:
        until = datetime.fromtimestamp(self.until_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return f"drained by {self.by} until {until}" + (f": {self.reason}" if self.reason else "")


class Accepted(NamedTuple):
    """A risk that an operator took knowingly, and that nobody cleared since."""

    risk: str
    unix_s: int
    by: str
    verb: str
    reason: str

    def says(self) -> str:
        at = datetime.fromtimestamp(self.unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return f"the risk {self.risk} was accepted by {self.by} at {at} for {self.verb}: {self.reason}"


class NotedBackup(NamedTuple):
    """The newest one, as whoever made it wrote down in the cluster."""

    taken_unix_s: int
    at_index: int
    by: str
    path: str


class ClusterFacts:
    """Of one moment, from those members that answered."""

    def __init__(self, members: Sequence[MemberFacts]) -> None:
        self.members = list(members)
        self.answered = [found for found in members if found.status is not None]
        statuses = [found.status for found in self.answered if found.status is not None]
        leading = [status for status in statuses if status["role"] == "leader"]
        # An old leader that was cut off still believes it leads: the latest term is right.
        self.leader_status = max(leading, key=lambda status: status["term"], default=None)
        self._newest = self.leader_status or max(statuses, key=lambda status: (status["term"], status["applied"]), default=None)

    @property
    def cluster_name(self) -> str:
        return str(self._newest["cluster_name"]) if self._newest is not None else ""

    @property
    def cluster(self) -> int:
        """Its id; 0: nobody said."""
        return int(self._newest["cluster"]) if self._newest is not None else 0

    def clusters(self) -> dict[int, str]:
        """Of all that answered, by id and name: more than one where the endpoints are of several clusters."""
        found: dict[int, str] = {}
        for one in self.answered:
            if one.status is not None and one.status.get("cluster"):
                found.setdefault(int(one.status["cluster"]), str(one.status["cluster_name"]))
        return found

    @property
    def term(self) -> int:
        return int(self._newest["term"]) if self._newest is not None else 0

    @property
    def leader_name(self) -> str:
        return str(self.leader_status["name"]) if self.leader_status is not None else ""

    @property
    def commit(self) -> int:
        return max((found.status["commit"] for found in self.answered if found.status is not None), default=0)

    def voters(self) -> list[int]:
        return list(self._newest["config"]["voters"]) if self._newest is not None else []

    def outgoing(self) -> list[int]:
        return list(self._newest["config"]["outgoing"]) if self._newest is not None else []

    def learners(self) -> list[int]:
        return list(self._newest["config"]["learners"]) if self._newest is not None else []

    def contacts(self) -> dict[int, str]:
        return {int(member): contact for member, contact in self._newest["config"]["contacts"].items()} if self._newest is not None else {}

    def drains(self) -> dict[int, Drain]:
        said = self._newest.get("drains", ()) if self._newest is not None else ()  # an older member says nothing of it
        return {one["member"]: Drain(one["until_unix_s"], one["by"], one["reason"], one["session"]) for one in said}

    def accepted(self) -> list[Accepted]:
        said = self._newest.get("accepted", ()) if self._newest is not None else ()
        return [Accepted(one["risk"], one["unix_s"], one["by"], one["verb"], one["reason"]) for one in said]

    def backup(self) -> NotedBackup | None:
        said = self._newest.get("backup") if self._newest is not None else None
        return NotedBackup(said["taken_unix_s"], said["index"], said["by"], said["path"]) if said else None

    def role(self, found: MemberFacts) -> str:
        if found.status is None:
            return "learner" if found.member in self.learners() else "voter"
        if found.status is self.leader_status:
            return "leader"
        return "learner" if found.status["member"] in self.learners() else "voter"

    def lag(self, found: MemberFacts) -> int | None:
        return max(0, self.commit - found.status["applied"]) if found.status is not None else None

    def state(self, found: MemberFacts) -> str:
        """One word for the table."""
        if found.status is None:
            return "UNREACHABLE"
        lag = self.lag(found)
        if lag is not None and lag > LAG_ENTRIES_MAX:
            return "BEHIND"
        return "ok" if found.status["ready"] else "NOT READY"

    def good_voters(self, voters: Sequence[int]) -> int:
        good = {found.status["member"] for found in self.members if found.status is not None and self.state(found) == "ok"}
        return sum(member in good for member in voters)

    def can_lose(self) -> int:
        """How many more members may go without an outage; below 0: too few are left already."""
        spare = [self.good_voters(voters) - (len(voters) // 2 + 1) for voters in (self.voters(), self.outgoing()) if voters]
        return min(spare, default=-1)

    def digests(self) -> tuple[str, int]:
        """(equal, different or unknown; the index at which the members' states were compared)"""
        by_index: dict[int, set[int]] = {}
        counts: dict[int, int] = {}
        of_ours = [found for found in self.answered if found.status is not None and found.status.get("cluster") == self.cluster]
        for found in of_ours:
            assert found.status is not None
            for index, digest in _digests_of(found.status):
                by_index.setdefault(index, set()).add(digest)
                counts[index] = counts.get(index, 0) + 1
        different = [index for index in sorted(by_index) if len(by_index[index]) > 1]
        if different:
            return "different", different[0]
        compared = [index for index in sorted(by_index) if counts[index] == len(of_ours)]
        return ("equal", compared[-1]) if compared else ("unknown", 0)


def _digests_of(status: dict[str, Any]) -> list[tuple[int, int]]:
    """Its state now, and its state at the index where members were told to compare."""
    found = {}
    if status.get("digest") is not None:
        found[status["digest_index"]] = status["digest"]
    if status.get("applied_digest") is not None:
        found[status["applied"]] = status["applied_digest"]
    return list(found.items())
