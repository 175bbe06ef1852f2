"""How many shards each member shall own, and which ones move for it: weighted, sticky, in whole numbers. Pure.

A member of weight w, of all weights W, owns floor or ceil of shards * w / W. Whoever owns more than the floor already is among the
first to keep the ceil, so that no other choice within these bounds would move less.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace


def quotas(shards: int, weights: Sequence[int], loads: Sequence[int]) -> list[int]:
    """How many each shall own. Without any weight nobody owns anything."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [shards * weight // whole for weight in weights]
    rests = [shards * weight % whole for weight in weights]
    order = sorted([at for at, rest in enumerate(rests) if rest], key=lambda at: (loads[at] <= shares[at], -rests[at], at))
    for at in order[: shards - sum(shares)]:
        shares[at] += 1
    return shares


def hand_out(free: Sequence[int], lacks: Sequence[int]) -> list[tuple[int, int]]:
    """(shard, place of its new owner): each to whoever lacks most by then, as far as anybody lacks any."""
    lacking = [(-lack, at) for at, lack in enumerate(lacks) if lack > 0]
    heapify(lacking)
    given: list[tuple[int, int]] = []
    for shard in free:
        if not lacking:
            break
        lack, at = lacking[0]
        given.append((shard, at))
        if lack == -1:
            heappop(lacking)
        else:
            heapreplace(lacking, (lack + 1, at))
    return given
