"""Whether a read saw, and a watch told of, all that had been acknowledged. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from coordctl.canary.samples import FAILED, OK, WRONG


class Write(NamedTuple):
    member: str  # through which one
    key: str
    value: str
    revision: int  # 0: it was not acknowledged, and may have happened or not
    lasts: bool  # what it was bound to was seen alive after the read
    at_s: float = 0.0  # when its acknowledgement was here


class Told(NamedTuple):
    """A put that a watch told of."""

    revision: int
    key: str
    value: str
    at_s: float = 0.0


def judge_read(revision: int, found: Mapping[str, str], writes: Sequence[Write]) -> tuple[str, str]:
    """(outcome, what is not as it should be), of an answer as of `revision`."""
    for write in writes:
        if revision < write.revision:
            return WRONG, f"answered as of revision {revision}, although {write.revision} had been acknowledged through {write.member}"
        if write.revision and found.get(write.key) != write.value:
            if write.lasts:
                return WRONG, f"{write.key} was not what had been acknowledged through {write.member} at revision {write.revision}"
            return FAILED, f"the session that {write.key} is bound to was over before its read could be judged"
    return OK, ""


def judge_watch(told: Sequence[Told], next_revision: int, writes: Sequence[Write]) -> tuple[str, str]:
    """(outcome, what is not as it should be), of a watch that began before the writes and has told of all before `next_revision`."""
    for before, after in pairwise(told):
        if after.revision <= before.revision:
            return WRONG, f"told of revision {after.revision} after {before.revision}"
    known = {(one.revision, one.key, one.value) for one in told}
    for write in writes:
        if not write.revision or (write.revision, write.key, write.value) in known:
            continue
        acknowledged = f"{write.key}, acknowledged through {write.member} at revision {write.revision}"
        if next_revision > write.revision:
            return WRONG, f"never told of {acknowledged}, and went on to {next_revision}"
        return FAILED, f"did not tell in time of {acknowledged}"
    return OK, ""


def lag_ms(told: Sequence[Told], writes: Sequence[Write]) -> float:
    """The longest from an acknowledgement until the watch told of it, which may come first."""
    at_s = {one.key: one.at_s for one in told}
    return max([0.0, *[at_s[write.key] - write.at_s for write in writes if write.revision and write.key in at_s]]) * 1000
