"""The blast radius: how many voters would be left that serve and hear each other, and whether that is a quorum. Pure."""

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import NamedTuple

Link = tuple[str, str]  # from, to


class Radius(NamedTuple):
    voters: int
    quorum: int
    left: int  # the largest group of well voters of which each hears each
    is_beyond: bool
    sentence: str


def judge(voters: Sequence[str], well: Collection[str], hit: Collection[str], cut: Collection[Link], broken: Sequence[str]) -> Radius:
    """`hit`: members that serve no more, `cut`: links that nothing passes, of all faults together. `broken`: those there are already."""
    quorum = len(voters) // 2 + 1
    serving = [name for name in voters if name in well and name not in hit]
    left = _largest(serving, cut)
    before = f"; broken already: {', '.join(broken)}" if broken else ""
    ill = [name for name in voters if name not in well and name not in hit]
    before += f"; not well: {', '.join(ill)}" if ill else ""
    group = "1 voter" if left == 1 else f"{left} voters"
    sentence = f"{group} of {len(voters)} would be left that serve and hear each other, and a quorum is {quorum}{before}"
    return Radius(len(voters), quorum, left, left < quorum, sentence)


def _largest(serving: Sequence[str], cut: Collection[Link]) -> int:
    for size in range(len(serving), 1, -1):
        for group in combinations(serving, size):
            if not any((one, other) in cut or (other, one) in cut for one, other in combinations(group, 2)):
                return size
    return min(1, len(serving))
