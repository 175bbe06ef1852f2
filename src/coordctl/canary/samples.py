"""What one probe found out once, and one round of probes: what was tried through whom, and which members could be reached. Pure."""

from typing import Final, NamedTuple

LOCK: Final = "lock"
ELECTION: Final = "election"
QUEUE: Final = "queue"
WRITE: Final = "write"
READ: Final = "read"
WATCH: Final = "watch"
CYCLES: Final = (LOCK, ELECTION, QUEUE)  # of the cluster as a whole; the others go through each member
PROBES: Final = (*CYCLES, WRITE, READ, WATCH)

OK: Final = "ok"
FAILED: Final = "failed"  # it did not work, or nobody knows whether it did
WRONG: Final = "wrong"  # it worked, and broke a promise
UNREACHED: Final = "unreached"  # it could not be tried: nothing was sent
DENIED: Final = "denied"  # it may not be tried: that says nothing of the cluster

ANSWERS: Final = "answers"
REFUSES: Final = "refuses"  # its host answers that nobody listens there: seen from here it is down
SILENT: Final = "silent"  # down, or only cut off from here


class Sample(NamedTuple):
    probe: str
    member: str  # through which one; "": the cluster as a whole
    outcome: str
    milliseconds: float
    sentence: str = ""  # what was not as it should be


class Reached(NamedTuple):
    member: str
    how: str  # ANSWERS, REFUSES, SILENT
    is_voter: bool
    trouble: str = ""


class Round(NamedTuple):
    samples: tuple[Sample, ...]
    members: tuple[Reached, ...]
