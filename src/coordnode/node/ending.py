"""How a member's life ends, and what is said of it."""

import traceback
from typing import NamedTuple

from coordnode.errors import CoordError, Diverged, Rotten

NO_MEMORY = "its memory ended: give it more (MemoryMax= of its unit), or let less wait at a time (pending-max, connections-max)"
LEFT, FAILED, DIVERGED, ROTTEN = "left", "failed", "diverged", "rotten"


class Outcome(NamedTuple):
    kind: str
    sentence: str = ""


def ending_of(error: BaseException, *, alone: bool) -> tuple[str, dict[str, str], Outcome]:
    """(event, its fields, outcome). A bug shows its trace, everything else a sentence. `alone`: no other member has the state."""
    if isinstance(error, Diverged):
        told = {"error": error.sentence}
        if alone:
            sentence = f"{error.sentence}: nobody else has the state, so nothing was changed here; restore from a backup"
            return "diverged", told, Outcome(FAILED, sentence)
        return "diverged", told, Outcome(DIVERGED, error.sentence)
    if isinstance(error, Rotten):
        return "rotten", {"error": error.sentence}, Outcome(ROTTEN, error.sentence)
    if isinstance(error, MemoryError):  # whatever was under way may be half done in memory; on the disk it is not
        return "failed", {"error": NO_MEMORY, "trace": ""}, Outcome(FAILED, NO_MEMORY)
    trace = "" if isinstance(error, CoordError) else "".join(traceback.format_exception(error))
    sentence = error.sentence if isinstance(error, CoordError) else f"a bug: {type(error).__name__}: {error}"
    return "failed", {"error": sentence, "trace": trace}, Outcome(FAILED, f"{sentence}\n{trace}".strip())
