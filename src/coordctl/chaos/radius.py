"""The blast radius: how many voters a leader could reach of those that would be left, and whether that is a quorum. Pure."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

Link = tuple[str, str]  # from, to


class Radius(NamedTuple):
    voters: int
    quorum: int
    left: int  # well voters that the best placed of them reaches, and is answered by; itself, too
    is_beyond: bool
    sentence: str


def judge(voters: Sequence[str], well: Collection[str], hit: Collection[str], cut: Collection[Link], broken: Sequence[str]) -> Radius:
    """`hit`: members that serve no more, `cut`: links that nothing passes, of all faults together. `broken`: those there are already."""
    quorum = len(voters) // 2 + 1
    serving = [name for name in voters if name in well and name not in hit]
    left = max((1 + sum(_is_answered(name, other, cut) for other in serving if other != name) for name in serving), default=0)
    before = f"; broken already: {', '.join(broken)}" if broken else ""
    ill = [name for name in voters if name not in well and name not in hit]
    before += f"; not well: {', '.join(ill)}" if ill else ""
    group = "1 voter" if left == 1 else f"{left} voters"
    sentence = f"{group} of {len(voters)} would be left, a leader and those that it reaches, and a quorum is {quorum}{before}"
    return Radius(len(voters), quorum, left, left < quorum, sentence)


def _is_answered(name: str, other: str, cut: Collection[Link]) -> bool:
    return (name, other) not in cut and (other, name) not in cut
