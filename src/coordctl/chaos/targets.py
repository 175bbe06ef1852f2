"""Whom a fault hits, by role or by name, and what becomes of that once the members and their leader are known. Pure."""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from coordctl.chaos.values import NAME

T = TypeVar("T")
LEADER, FOLLOWER, RANDOM, ALL, MINORITY, MAJORITY, OTHERS = "leader", "follower", "random", "all", "minority", "majority", "others"
ROLES = {
    LEADER: "whoever leads when the row begins",
    FOLLOWER: "one that does not lead, drawn by the seed",
    RANDOM: "any one, drawn by the seed",
    ALL: "every member",
    MINORITY: "as many as the cluster can do without, drawn by the seed",
    MAJORITY: "so many that the others are no quorum, drawn by the seed",
}
ONE_WAY, BOTH_WAYS = "->", "<->"
SHAPES = (
    f"{', '.join(ROLES)}, a share such as 40%, or names such as n1 or n1,n3; between two of these -> or <->, "
    "and others, on one side, for all that the other side leaves"
)


class Members(NamedTuple):
    """Of one moment."""

    names: tuple[str, ...]  # voters, in order
    leader: str  # "": nobody leads
    others: tuple[str, ...] = ()  # that take part and do not vote: meant only by name


class Group(NamedTuple):
    """Some members."""

    text: str  # a role, a share, or names

    def names(self, members: Members, chance: Random, left: Sequence[str] = ()) -> list[str]:
        """In the order of the members. Raises ValueError when nobody is meant."""
        chosen = self._chosen(members, chance, left)
        return [name for name in (*members.names, *members.others) if name in chosen]

    def _chosen(self, members: Members, chance: Random, left: Sequence[str]) -> Sequence[str]:
        names, count = members.names, len(members.names)
        if self.text == ALL:
            return names
        if self.text == OTHERS:
            return [name for name in names if name not in left]
        if self.text in (LEADER, FOLLOWER) and not members.leader:
            raise ValueError("nobody leads at present: wait for a leader (`coordctl wait --for leader`), or name a member")
        if self.text == LEADER:
            return [members.leader]
        if self.text == FOLLOWER:
            rest = [name for name in names if name != members.leader]
            if not rest:
                raise ValueError("a cluster of one member has no follower: name the member, or say leader")
            return [chance.choice(rest)]
        sizes = {RANDOM: 1, MINORITY: (count - 1) // 2, MAJORITY: count // 2 + 1}
        if self.text in sizes or self.text.endswith("%"):
            size = sizes[self.text] if self.text in sizes else round(count * float(self.text[:-1]) / 100)
            if size == 0:
                raise ValueError(f"{self.text} of {count} members is nobody: name a member")
            return chance.sample(names, size)
        wanted = self.text.split(",")
        for name in wanted:
            if name not in (*names, *members.others):
                raise ValueError(f"there is no member {name}; there are {', '.join([*names, *members.others])}")
        return wanted


class Target(NamedTuple):
    """Members, or the links between two groups of them."""

    source: Group
    arrow: str  # "": members
    sink: Group  # without meaning where there is no arrow

    @property
    def text(self) -> str:
        return f"{self.source.text} {self.arrow} {self.sink.text}" if self.arrow else self.source.text

    @property
    def needs_leader(self) -> bool:
        return bool({LEADER, FOLLOWER} & {self.source.text, self.sink.text})

    def members(self, members: Members, chance: Random) -> list[str]:
        assert not self.arrow
        return self.source.names(members, chance)

    def links(self, members: Members, chance: Random) -> list[tuple[str, str]]:
        """(from, to), in order. A group alone stands for all links between it and the others, both ways."""
        left, right = in_both(self.source, self.sink if self.arrow else Group(OTHERS), lambda group, of: group.names(members, chance, of))
        pairs = [(one, other) for one in left for other in right if one != other]
        if self.arrow != ONE_WAY:
            pairs += [(other, one) for one, other in pairs if (other, one) not in pairs]
        if not pairs:
            raise ValueError(f"{self.text}: there is no link between these: name two different members")
        return pairs


def in_both(source: Group, sink: Group, names: Callable[[Group, list[T]], list[T]]) -> tuple[list[T], list[T]]:
    """Who the two sides are: that which says `others` comes second, and is asked for what the other one leaves."""
    if source.text == OTHERS:
        right = names(sink, [])
        return names(source, right), right
    left = names(source, [])
    return left, names(sink, left)


def parse_target(text: str) -> Target:
    """Raises ValueError with what to give instead."""
    parts = re.split(r"\s*(<->|->)\s*", text.strip())
    if len(parts) not in (1, 3):
        raise ValueError(f"give one arrow at most: {SHAPES}")
    source = _group(parts[0], beside=parts[-1] if len(parts) == 3 else OTHERS)
    if len(parts) == 1:
        return Target(source, "", source)
    return Target(source, parts[1], _group(parts[2], beside=parts[0]))


def _group(text: str, *, beside: str) -> Group:
    if text in ROLES or (text == OTHERS and beside != OTHERS):
        return Group(text)
    if re.fullmatch(r"[0-9]{1,3}%", text) and 0 < int(text[:-1]) <= 100:
        return Group(text)
    names = re.split(r"\s*,\s*", text)
    if all(re.fullmatch(NAME, name, re.ASCII) and name != OTHERS for name in names):
        return Group(",".join(dict.fromkeys(names)))
    raise ValueError(f"give {SHAPES}")
