"""Every error this project raises or answers with. Each has a code, and says whether it is `definite`.

definite = True: the thing asked for surely did not happen, and never will.
definite = False: it may have happened. When in doubt, indefinite is always safe.

CoordError
├── Refused                definite, nothing changed
│   ├── NotLeader          10  another member leads; says which when known
│   ├── NotReady           11  leads, but its first own-term entry is not applied yet
│   ├── Overloaded         12  a queue is full; retry_after_ms
│   ├── TooLarge           13  key, value, transaction or frame past its bound
│   ├── BadRequest         14  cannot be understood, or makes no sense
│   ├── NotPermitted       15  identity may not do this
│   ├── NoSpace            16  members with free disk space are no quorum
│   ├── LevelMissing       17  the cluster's feature level is below what this needs
│   ├── StateFull          18  the replicated state has reached its bound
│   ├── WritesStopped      19  members' states differ and none has a majority
│   ├── SessionExpired     20  the session is over (expired, closed or never was)
│   ├── ClusterReplaced    22  the client speaks of a cluster that was replaced by a restore
│   ├── WrongCluster       23
│   ├── WrongMember        24
│   ├── UnknownVersion     25  wire version that this build does not speak
│   ├── Unreachable        26  no member could be asked in time: nothing was sent
│   ├── HistoryGone        27  a watch wants changes older than the history keeps; says which are the oldest it has
│   ├── MembershipBusy     30  another change is under way, or this change is not possible now
│   ├── NotHeld            31  the token, ticket or claim is not (or no longer) this session's
│   ├── Deadlock           32  waiting would never end: names the circle
│   ├── Missing            33  there is no lock, queue, group … of that name
│   ├── Conflict           34  it exists, with other settings than these
│   ├── Full               35  a list (of waiters, tasks, members …) has reached its bound
│   └── Busy               36  somebody else has it, and this caller waits no longer; it is in use
├── Unknown                not definite
│   ├── LeadershipLost     50  the leader lost its term while the request was under way
│   ├── TimedOut           51
│   ├── Disconnected       52
│   └── TooOld             53  sequence below the session's reply window: answered once already, the answer is gone
├── Damaged                bytes that are not what was written; never guessed around
│   ├── FrameError         60  a frame cannot be decoded
│   ├── RecordError        61  a WAL or snapshot record cannot be decoded
│   ├── Rotten             62  durable bytes are damaged: file, offset, what to do
│   └── UnknownFormat      63  format version of a file that this build does not know
├── FolderRefused          70  wrong identity, copied, wiped, or already in use
├── DiskFull               71
├── DiskFailed             72  a write or fsync failed: the process must end
├── Diverged               73  this member's state differs from the majority's
├── ConfigRefused          74  a member's settings: each mistake on a line, with its place and the remedy
├── Superseded             75  a snapshot that the log has left behind since: not stored, not read
├── HistoryError           80  a recorded history cannot be read: line, and what is wrong with it
└── PromiseBroken          81  a checker found that the cluster did not keep a promise: which, and the evidence
"""

from __future__ import annotations

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import ClassVar


class CoordError(Exception):
    """One sentence: what is wrong, where, and what to do."""

    code: ClassVar[int] = 1
    definite: ClassVar[bool] = False

    def __init__(self, sentence: str, *, retry_after_ms: int = 0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retry_after_ms = retry_after_ms


class Refused(CoordError):
    definite = True


class NotLeader(Refused):
    code = 10

    def __init__(self, sentence: str, *, leader: int = 0) -> None:
        super().__init__(sentence)
        self.leader = leader  # MemberId of the leader when known, else 0


class NotReady(Refused):
    code = 11


class Overloaded(Refused):
    code = 12


class TooLarge(Refused):
    code = 13


class BadRequest(Refused):
    code = 14


class NotPermitted(Refused):
    code = 15


class NoSpace(Refused):
    code = 16


class LevelMissing(Refused):
    code = 17


class StateFull(Refused):
    code = 18


class WritesStopped(Refused):
    code = 19


class SessionExpired(Refused):
    code = 20


class ClusterReplaced(Refused):
    code = 22


class WrongCluster(Refused):
    code = 23


class WrongMember(Refused):
    code = 24


class UnknownVersion(Refused):
    code = 25


class Unreachable(Refused):
    code = 26


class HistoryGone(Refused):
    code = 27

    def __init__(self, sentence: str, *, floor: int = 0, retry_after_ms: int = 0) -> None:
        super().__init__(sentence, retry_after_ms=retry_after_ms)
        self.floor = floor  # the first revision from which changes can still be told, when known


class MembershipBusy(Refused):
    code = 30


class NotHeld(Refused):
    code = 31


class Deadlock(Refused):
    code = 32


class Missing(Refused):
    code = 33


class Conflict(Refused):
    code = 34


class Full(Refused):
    code = 35


class Busy(Refused):
    code = 36


class Unknown(CoordError):
    definite = False


class LeadershipLost(Unknown):
    code = 50


class TimedOut(Unknown):
    code = 51


class Disconnected(Unknown):
    code = 52


class TooOld(Unknown):
    code = 53


class Damaged(CoordError):
    pass


class FrameError(Damaged):
    code = 60


class RecordError(Damaged):
    code = 61


class Rotten(Damaged):
    code = 62


class UnknownFormat(Damaged):
    code = 63


class FolderRefused(CoordError):
    code = 70
    definite = True


class DiskFull(CoordError):
    code = 71
    definite = True


class DiskFailed(CoordError):
    code = 72


class Superseded(CoordError):
    code = 75
    definite = True


class Diverged(CoordError):
    code = 73


class ConfigRefused(CoordError):
    code = 74
    definite = True


class HistoryError(CoordError):
    code = 80


class PromiseBroken(CoordError):
    code = 81

    def __init__(self, check_name: str, sentence: str, evidence: object = None) -> None:
        super().__init__(sentence)
        self.check_name = check_name
        self.evidence = evidence


def _walk(root: type[CoordError]) -> list[type[CoordError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_walk(child))
    return found


BY_CODE: dict[int, type[CoordError]] = {kind.code: kind for kind in _walk(CoordError) if kind.code != 1}
"""What a code on the wire means. Codes are never reused."""
