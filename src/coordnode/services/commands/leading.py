"""What only a leader may decide. Pure."""

from coordnode.ids import SessionId, Term
from coordnode.services.commands.base import OperationBase


class Expire(OperationBase, frozen=True, array_like=True, tag=20):
    """Refused by apply unless `term` is the term of the entry it stands in."""

    term: Term
    sessions: list[SessionId]


class Checkpoint(OperationBase, frozen=True, array_like=True, tag=21):
    """What is left of leases that are running out, so that a new leader does not grant them whole."""

    remaining_ms: list[tuple[SessionId, int]]


class Withdraw(OperationBase, frozen=True, array_like=True, tag=22):
    """These sessions were heard of again: their checkpoints are void."""

    sessions: list[SessionId]


class Wake(OperationBase, frozen=True, array_like=True, gc=False, tag=23):
    """Something falls due: brings the batch's cluster_ms into the log when nobody else does."""


class RaiseLevel(OperationBase, frozen=True, array_like=True, gc=False, tag=24):
    level: int


class Noted(OperationBase, frozen=True, array_like=True, gc=False, tag=25):
    """For the audit log: somebody asked this leader for what an operator does. It stands before what was asked for, or right behind it."""

    by: str
    place: str
    what: str
    before: str
    after: str
    reason: str = ""


# --- all of them --------------------------------------------------------------------------------------------------

LeadingOperation = Expire | Checkpoint | Withdraw | Wake | RaiseLevel | Noted
