"""Sessions: what may be asked and what is answered. Pure."""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId
from coordnode.services.commands.base import Failure, OperationBase, ResultBase
from coordnode.services.commands.elections import Campaign, CandidateQueued, Elected, LedAlready
from coordnode.services.commands.kv import Delete, Done, Put, Transaction, TransactionDone
from coordnode.services.commands.locks import Acquire, LockBusy, LockGranted, LockQueued

FirstOperation = Put | Delete | Transaction | Acquire | Campaign
"""What may come with the opening of a session, in one round trip."""

FirstResult = Done | TransactionDone | Failure | LockGranted | LockQueued | LockBusy | Elected | CandidateQueued | LedAlready


class OpenSession(OperationBase, frozen=True, array_like=True, gc=False, tag=10):
    """`nonce` makes a retry find the session that the first attempt opened."""

    nonce: bytes
    ttl_ms: int
    owner: str = ""  # shown to operators, decides nothing
    first: FirstOperation | None = None  # carried out in the new session, as its sequence 1
    parent: SessionId = NO_SESSION  # the session that will not go on before this one is over: what holds what for whom
    user: str = ""  # whose it is, as the leader knows; only that user may use it. "": whoever knows its number; no client may say it


class CloseSession(OperationBase, frozen=True, array_like=True, gc=False, tag=11):
    session: SessionId


class ReadSessions(OperationBase, frozen=True, array_like=True, gc=False, tag=12):
    """Who is there, in the order of their ids; only ever a read."""

    after: SessionId = NO_SESSION
    limit: int = 0  # 0: as many as one page may hold


# --- what is answered ----------------------------------------------------------------------------------------------


class SessionOpened(ResultBase, frozen=True, array_like=True, gc=False, tag=5):
    session: SessionId
    ttl_ms: int
    revision: Revision
    first: FirstResult | None = None


class SessionInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    session: SessionId
    ttl_ms: int
    owner: str
    open_ms: int  # for how long, as the cluster counts
    keys: int  # that are bound to it


class SessionPage(ResultBase, frozen=True, array_like=True, gc=False, tag=7):
    revision: Revision
    sessions: list[SessionInfo]
    more: bool


# --- all of them --------------------------------------------------------------------------------------------------

SessionOperation = OpenSession | CloseSession
SessionRead = ReadSessions
SessionResult = SessionOpened | SessionPage
