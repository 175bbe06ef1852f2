"""Whether a change of members leaves enough of them: the sum before it, and after it, for quorums and for zones. Pure."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

NO_SPARE: Final = "no-spare"
ONE_ZONE: Final = "one-zone"
RISKS: Final = (NO_SPARE, ONE_ZONE)


class Sum(NamedTuple):
    voters: int
    well: int

    @property
    def needed(self) -> int:
        return self.voters // 2 + 1

    @property
    def can_lose(self) -> int:
        """More voters, without an outage."""
        return self.well - self.needed

    @property
    def could_lose(self) -> int:
        """If all of them were well."""
        return self.voters - self.needed

    def says(self) -> str:
        return f"{self.well} of {self.voters} voter{' is' if self.voters == 1 else 's are'} well and {self.needed} needed"


class Objection(NamedTuple):
    risk: str  # what --accept takes
    sentence: str


def of(voters: Collection[int], well: Collection[int]) -> Sum:
    return Sum(len(voters), sum(member in well for member in voters))


def objection(before: Sum, after: Sum) -> Objection | None:
    """None: after it one more may fail, or it is no worse than before. While both majorities count it is as the worse of the two."""
    if after.can_lose >= min(1, before.can_lose) and after.could_lose >= min(1, before.could_lose):
        return None
    means = "that is an outage" if after.can_lose < 0 else "one more failure would be an outage"
    return Objection(NO_SPARE, f"now {before.says()}; then {after.says()}: {means}")


def objection_of_zones(before: Collection[int], after: Collection[int], zones: Mapping[int, str]) -> Objection | None:
    """None: no zone's loss is an outage that was none before."""
    fatal = fatal_zone(after, zones)
    if not fatal or fatal_zone(before, zones):
        return None
    within = sum(zones.get(member) == fatal for member in after)
    words = f"then {within} of {len(after)} voters are in zone {fatal}, and {len(after) // 2 + 1} are needed: its loss would be an outage"
    return Objection(ONE_ZONE, words)


def fatal_zone(voters: Collection[int], zones: Mapping[int, str]) -> str:
    """The zone whose loss leaves no quorum; "": none. A cluster of one voter is not looked at."""
    if len(voters) < 2:
        return ""
    for zone in sorted({zones[member] for member in voters if zones.get(member)}):
        if sum(zones.get(member) != zone for member in voters) < len(voters) // 2 + 1:
            return zone
    return ""
