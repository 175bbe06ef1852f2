"""Which of the members that are left has most, and what may be lost with the others. Pure."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from coordnode.archives.surviving import Survivor


class Ranked(NamedTuple):
    names: list[str]  # the best first
    has_quorum: bool  # those that are whole are a majority: nothing need be given up
    lost: list[str]
    risks: list[str]  # what the cluster that goes on may lack, or have too much


def rank(survivors: Mapping[str, Survivor], everybody: Mapping[str, int], unasked: Collection[str] = ()) -> Ranked:
    """By their logs, as members elect a leader: the later last term, then the longer log; of equals one without damage. `everybody`: name
    and id of each member that was known. `unasked`: of these, those of which nobody knows what is left."""
    names = sorted(survivors, key=lambda name: (survivors[name].term, survivors[name].index, not survivors[name].troubles), reverse=True)
    best = survivors[names[0]]
    voters = best.voters
    whole = {one.member for one in survivors.values() if not one.troubles}
    missed = [name for name, number in everybody.items() if number in voters and name not in survivors]
    missing = len(voters) - sum(one.member in voters for one in survivors.values())
    risks = []
    if 2 * missing > len(voters):
        gone = ", ".join(missed) or f"{missing} voters"
        seen = "none is left" if any(name not in unasked for name in missed) or not missed else "none was asked"
        risks.append(
            f"what was acknowledged after entry {best.index} (term {best.term}) by a majority of which {seen}: {gone} may have had more"
        )
    if best.index > best.committed:
        risks.append(
            f"entries {best.committed + 1} to {best.index} become part of the state, and {names[0]} does not know whether they were ever "
            "acknowledged"
        )
    risks += [f"{names[0]} is damaged: {trouble}" for trouble in best.troubles]
    lost = [name for name in missed if name not in unasked]
    return Ranked(names, 2 * sum(voter in whole for voter in voters) > len(voters), lost, risks)
