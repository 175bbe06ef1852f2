"""Elections: what may be asked, what is answered, and what is told to candidates and to who observes. Pure."""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId, Token
from coordnode.services.commands.base import NoticeBase, OperationBase, ResultBase


class Campaign(OperationBase, frozen=True, array_like=True, gc=False, tag=40):
    """Leader at once, or in line: first come, first served, unless a leader hands over to a named candidate."""

    name: bytes
    value: bytes = b""  # what observers read of the leader: an address, say
    candidate: str = ""  # by which others may name it
    wait: bool = True  # false: leader at once or not at all


class Proclaim(OperationBase, frozen=True, array_like=True, gc=False, tag=41):
    """The leader's new value."""

    name: bytes
    token: Token
    value: bytes


class Resign(OperationBase, frozen=True, array_like=True, gc=False, tag=42):
    """By the token, or by the ticket: a candidate withdraws; if it was elected meanwhile, that leadership ends."""

    name: bytes
    number: Token
    to: str = ""  # the candidate who shall lead next; refused if there is none of that name


class Depose(OperationBase, frozen=True, array_like=True, gc=False, tag=43):
    """An operator's: ends a leadership, whose holder is told at once."""

    name: bytes
    token: Token = Token(0)  # 0: whoever leads
    to: str = ""
    reason: str = ""
    by: str = ""


class ReadElection(OperationBase, frozen=True, array_like=True, gc=False, tag=44):
    name: bytes
    after_ticket: Token = Token(0)  # of the last candidate of the page before
    limit: int = 0


class ListElections(OperationBase, frozen=True, array_like=True, gc=False, tag=45):
    prefix: bytes = b""
    after: bytes = b""  # the last name of the page before
    limit: int = 0


class ReadCandidacies(OperationBase, frozen=True, array_like=True, gc=False, tag=46):
    """What one session leads and stands for."""

    session: SessionId
    after_name: bytes = b""  # both of the last of the page before
    after_number: Token = Token(0)
    limit: int = 0


# --- what is answered ----------------------------------------------------------------------------------------------


class Leader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    token: Token
    session: SessionId
    owner: str  # of the session, as it named itself
    candidate: str
    value: bytes
    since_wall_ms: int  # only to be shown
    led_ms: int  # as the cluster counts


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    ticket: Token
    session: SessionId
    owner: str
    candidate: str
    value: bytes
    since_wall_ms: int
    waited_ms: int


class ElectionInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    leader: Leader
    candidates: int  # who wait


class Elected(ResultBase, frozen=True, array_like=True, gc=False, tag=40):
    revision: Revision
    token: Token


class CandidateQueued(ResultBase, frozen=True, array_like=True, gc=False, tag=41):
    """A notice to the session says when it leads, at a later revision than this."""

    revision: Revision
    ticket: Token
    ahead: int  # who wait before this one
    leader: Leader


class LedAlready(ResultBase, frozen=True, array_like=True, gc=False, tag=42):
    """The answer to a campaign that would not wait."""

    revision: Revision
    leader: Leader


class Resigned(ResultBase, frozen=True, array_like=True, gc=False, tag=43):
    """`token` 0: it only stood, and stands no more; else that of the leadership that is over."""

    revision: Revision
    token: Token


class ElectionView(ResultBase, frozen=True, array_like=True, gc=False, tag=44):
    """`election` None: nobody leads, and nobody stands."""

    revision: Revision
    election: ElectionInfo | None
    candidates: list[Candidate]  # in the order in which they follow, unless a leader names another
    more: bool


class ElectionPage(ResultBase, frozen=True, array_like=True, gc=False, tag=45):
    revision: Revision
    elections: list[ElectionInfo]
    more: bool


class Candidacy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: bytes
    token: Token  # 0: it only stands
    ticket: Token  # it stands, or stood, with; 0: it led at once


class Candidacies(ResultBase, frozen=True, array_like=True, gc=False, tag=46):
    revision: Revision
    candidacies: list[Candidacy]
    more: bool


# --- what is told to one session (space NOTICES, kind ELECTIONS) --------------------------------------------------


class LeadershipGiven(NoticeBase, frozen=True, array_like=True, gc=False, tag=40):
    """What stood with `ticket` leads with `token`."""

    name: bytes
    ticket: Token
    token: Token


class LeadershipTaken(NoticeBase, frozen=True, array_like=True, gc=False, tag=41):
    """An operator ended it: the token is stale from here on."""

    name: bytes
    token: Token
    reason: str
    by: str


# --- what everybody may watch (space ELECTIONS) -------------------------------------------------------------------

LEADS = 0  # somebody begins to lead
PROCLAIMED = 1  # the same leader has another value
VACANT = 2  # nobody leads now

RESIGNED = "resigned"  # why somebody leads no more
SESSION_OVER = "its session ended"


class LeaderChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The value of an event: all there is to know. VACANT has no leader. `reason`: why the one before left, where this is its end."""

    token: Token = Token(0)
    session: SessionId = NO_SESSION
    owner: str = ""
    candidate: str = ""
    value: bytes = b""
    reason: str = ""


_change_decoder = msgspec.msgpack.Decoder(LeaderChange)


def decode_leader_change(value: bytes) -> LeaderChange:
    return _change_decoder.decode(value)


# --- all of them --------------------------------------------------------------------------------------------------

ElectionOperation = Campaign | Proclaim | Resign | Depose
ElectionRead = ReadElection | ListElections | ReadCandidacies
ElectionResult = Elected | CandidateQueued | LedAlready | Resigned | ElectionView | ElectionPage | Candidacies
ElectionNotice = LeadershipGiven | LeadershipTaken
