"""Whether a read saw all that had been acknowledged before it began. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordctl.canary.samples import FAILED, OK, WRONG


class Write(NamedTuple):
    member: str  # through which one
    key: str
    value: str
    revision: int  # 0: it was not acknowledged, and may have happened or not
    lasts: bool  # what it was bound to was seen alive after the read


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
