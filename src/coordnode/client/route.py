"""Which member is presumed to lead, and when it may be tried next. Pure."""

from __future__ import annotations

from coordnode.ids import NOBODY, MemberId
from coordnode.light import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKOFF_MS_MIN = 20
BACKOFF_MS_MAX = 250
HOPS_WITHOUT_DELAY = 2  # hints followed at once before members that point at each other are slowed down


class Chance(Protocol):
    """A random.Random; or less, for a process that has no time to load that."""

    def randrange(self, start: int, stop: int) -> int: ...


def jittered_ms(rng: Chance, failures: int) -> int:
    """Between half and all of a delay that doubles with each failure."""
    full_ms = min(BACKOFF_MS_MAX, BACKOFF_MS_MIN << min(failures, 8))
    return rng.randrange(full_ms // 2, full_ms + 1)


class Route:
    def __init__(self, members: Sequence[MemberId], rng: Chance) -> None:
        assert members
        assert NOBODY not in members
        self._members = list(members)
        self._rng = rng
        self._failures = 0
        self._avoid_until_ms: dict[MemberId, int] = {}  # did not answer lately: no hint leads there
        self.member = self._members[rng.randrange(0, len(members))]
        self.try_at_ms = 0

    def on_members(self, members: Sequence[MemberId]) -> None:
        assert self.member in members
        self._members = list(members)

    def member_count(self) -> int:
        return len(self._members)

    def on_progress(self) -> None:
        """The present member answered as a leader does."""
        self._failures = 0
        if self._avoid_until_ms:
            self._avoid_until_ms.pop(self.member, None)

    def on_not_leader(self, leader: MemberId, now_ms: int) -> None:
        if leader == self.member or leader not in self._members or self._avoid_until_ms.get(leader, 0) > now_ms:
            self._next(now_ms)
            return
        self.member = leader
        self.try_at_ms = now_ms if self._failures < HOPS_WITHOUT_DELAY else now_ms + jittered_ms(self._rng, self._failures)
        self._failures += 1

    def on_unreachable(self, now_ms: int, avoid_ms: int) -> None:
        """The present member did not connect, hung up, or fell silent."""
        self._avoid_until_ms[self.member] = now_ms + avoid_ms
        self._next(now_ms)

    def _next(self, now_ms: int) -> None:
        """In turn; one that did not answer lately only when nobody else is left."""
        place = self._members.index(self.member) + 1
        others = self._members[place:] + self._members[:place]
        self.member = next((member for member in others if self._avoid_until_ms.get(member, 0) <= now_ms), others[0])
        self.try_at_ms = now_ms + jittered_ms(self._rng, self._failures)
        self._failures += 1
