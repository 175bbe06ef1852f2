"""The closed list of what clients may ask and leaders may decide, what is answered, and the codec of all three.

A client encodes a `Command` once; those bytes are spliced into a raft entry's `Batch` and never re-encoded.
Tags are never reused. Field order is the wire format: fields are only ever added at the end, with a default.
Each service's own words are in a file of its name; here they become one language.
"""

from collections.abc import Sequence as SequenceOf

import msgspec

from coordnode.errors import BadRequest, RecordError
from coordnode.ids import Sequence, SessionId
from coordnode.services.commands.barriers import (
    BARRIER_OPENED,
    BARRIER_OVER,
    BarrierChanged,
    BarrierInfo,
    BarrierPage,
    BarrierView,
    EnterBarrier,
    GetBarrier,
    LeaveBarrier,
    ListBarriers,
    decode_barrier,
)
from coordnode.services.commands.base import Failure
from coordnode.services.commands.counters import (
    AddCounter,
    CounterInfo,
    CounterPage,
    CounterValue,
    DeleteCounter,
    GetCounter,
    ListCounters,
)
from coordnode.services.commands.elections import (
    LEADS,
    PROCLAIMED,
    VACANT,
    Campaign,
    Candidacies,
    Candidacy,
    Candidate,
    CandidateQueued,
    Depose,
    Elected,
    ElectionInfo,
    ElectionPage,
    ElectionView,
    Leader,
    LeaderChange,
    LeadershipGiven,
    LeadershipTaken,
    LedAlready,
    ListElections,
    Proclaim,
    ReadCandidacies,
    ReadElection,
    Resign,
    Resigned,
)
from coordnode.services.commands.events import (
    BARRIERS,
    COUNTERS,
    DELETE_EVENT,
    ELECTIONS,
    GROUPS,
    JOURNALS,
    KV,
    LOCKS,
    NOTICES,
    PUT_EVENT,
    QUEUES,
    SHARDS,
    SPACE_MAX,
    Change,
    Event,
)
from coordnode.services.commands.groups import (
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    MEMBER_JOINED,
    MEMBER_LEFT,
    MEMBER_UPDATED,
    FindMembers,
    FoundMember,
    GetGroup,
    GroupChanged,
    GroupInfo,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    Require,
    UpdateMember,
    decode_member,
)
from coordnode.services.commands.kv import (
    CREATE_REVISION,
    EQUAL,
    GREATER,
    LESS,
    MOD_REVISION,
    NOT_EQUAL,
    TOKEN,
    VALUE,
    VERSION,
    Compare,
    Delete,
    DeleteRange,
    Done,
    Get,
    Got,
    Item,
    Page,
    Put,
    Range,
    Transaction,
    TransactionDone,
)
from coordnode.services.commands.leading import (
    Checkpoint,
    Expire,
    RaiseLevel,
    Wake,
    Withdraw,
)
from coordnode.services.commands.locks import (
    CANCELLED,
    EXCLUSIVE,
    LOCK_BROKEN,
    LOCK_CANCELLED,
    LOCK_DELAY_OVER,
    LOCK_GRANTED,
    LOCK_LOST,
    LOCK_QUEUED,
    LOCK_RELEASED,
    RELEASED,
    SEMAPHORE,
    SHARED,
    STILL_HELD,
    Acquire,
    BreakLock,
    HeldLock,
    HeldLocks,
    ListLocks,
    LockBusy,
    LockEvent,
    LockGiven,
    LockGranted,
    LockHolder,
    LockInfo,
    LockPage,
    LockQueued,
    LockReleased,
    LockTaken,
    LockView,
    LockWaiter,
    ReadHeldLocks,
    ReadLock,
    Release,
)
from coordnode.services.commands.queues import (
    DEAD,
    DELAYED,
    GIVEN_BACK,
    LEASE_ENDED,
    NACKED,
    NEVER_FAILED,
    QUEUE_CHANGED,
    QUEUE_DELETED,
    READY,
    SESSION_ENDED,
    TAKEN,
    TASK_DIED,
    AckTask,
    ConfigureQueue,
    DeleteQueue,
    ExtendTask,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    NackTask,
    PurgeTasks,
    PutTask,
    QueueInfo,
    QueuePage,
    QueueSettings,
    QueueView,
    RedriveTasks,
    StopTaking,
    TakenTask,
    TakeTasks,
    TaskExtended,
    TaskInfo,
    TaskLost,
    TaskPage,
    TaskPut,
    TaskReturned,
    TasksGiven,
    TasksTaken,
    TaskView,
)
from coordnode.services.commands.sessions import (
    CloseSession,
    FirstOperation,
    FirstResult,
    OpenSession,
    ReadSessions,
    SessionInfo,
    SessionOpened,
    SessionPage,
)
from coordnode.services.commands.shards import (
    ASSIGNED,
    ASSIGNMENT_CONFIGURED,
    ASSIGNMENT_DELETED,
    ASSIGNMENT_MOVED,
    FREED,
    REVOKING,
    AssignmentChanged,
    AssignmentInfo,
    AssignmentPage,
    AssignmentView,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    GetAssignment,
    ListAssignments,
    OwnedShard,
    ReleaseShard,
    ShardChange,
    decode_assignment_changed,
)

__all__ = [
    "ASSIGNED",
    "ASSIGNMENT_CONFIGURED",
    "ASSIGNMENT_DELETED",
    "ASSIGNMENT_MOVED",
    "BARRIERS",
    "BARRIER_OPENED",
    "BARRIER_OVER",
    "CANCELLED",
    "COUNTERS",
    "CREATE_REVISION",
    "DEAD",
    "DELAYED",
    "DELETE_EVENT",
    "ELECTIONS",
    "EQUAL",
    "EXCLUSIVE",
    "FREED",
    "GIVEN_BACK",
    "GREATER",
    "GROUPS",
    "HAS",
    "HAS_NOT",
    "IS",
    "IS_NOT",
    "JOURNALS",
    "KV",
    "LEADS",
    "LEASE_ENDED",
    "LESS",
    "LOCKS",
    "LOCK_BROKEN",
    "LOCK_CANCELLED",
    "LOCK_DELAY_OVER",
    "LOCK_GRANTED",
    "LOCK_LOST",
    "LOCK_QUEUED",
    "LOCK_RELEASED",
    "MEMBER_JOINED",
    "MEMBER_LEFT",
    "MEMBER_UPDATED",
    "MOD_REVISION",
    "NACKED",
    "NEVER_FAILED",
    "NOTICES",
    "NOT_EQUAL",
    "PROCLAIMED",
    "PUT_EVENT",
    "QUEUES",
    "QUEUE_CHANGED",
    "QUEUE_DELETED",
    "READS",
    "READY",
    "RELEASED",
    "REVOKING",
    "SEMAPHORE",
    "SESSION_ENDED",
    "SHARDS",
    "SHARED",
    "SPACE_MAX",
    "STILL_HELD",
    "TAKEN",
    "TASK_DIED",
    "TOKEN",
    "VACANT",
    "VALUE",
    "VERSION",
    "AckTask",
    "Acquire",
    "AddCounter",
    "AssignmentChanged",
    "AssignmentInfo",
    "AssignmentPage",
    "AssignmentView",
    "BarrierChanged",
    "BarrierInfo",
    "BarrierPage",
    "BarrierView",
    "Batch",
    "BreakLock",
    "Campaign",
    "Candidacies",
    "Candidacy",
    "Candidate",
    "CandidateQueued",
    "Change",
    "Checkpoint",
    "ClientCommand",
    "ClientOperation",
    "CloseSession",
    "Command",
    "Compare",
    "ConfigureAssignment",
    "ConfigureQueue",
    "CounterInfo",
    "CounterPage",
    "CounterValue",
    "CreateAssignment",
    "Delete",
    "DeleteAssignment",
    "DeleteCounter",
    "DeleteQueue",
    "DeleteRange",
    "Depose",
    "Done",
    "Elected",
    "ElectionInfo",
    "ElectionPage",
    "ElectionView",
    "EnterBarrier",
    "Event",
    "Expire",
    "ExtendTask",
    "Failure",
    "FindMembers",
    "FirstOperation",
    "FirstResult",
    "FoundMember",
    "Get",
    "GetAssignment",
    "GetBarrier",
    "GetCounter",
    "GetGroup",
    "GetQueue",
    "GetTask",
    "Got",
    "GroupChanged",
    "GroupInfo",
    "GroupPage",
    "GroupView",
    "HeldLock",
    "HeldLocks",
    "Item",
    "JoinGroup",
    "Leader",
    "LeaderChange",
    "LeadershipGiven",
    "LeadershipTaken",
    "LeaveBarrier",
    "LeaveGroup",
    "LedAlready",
    "ListAssignments",
    "ListBarriers",
    "ListCounters",
    "ListElections",
    "ListGroups",
    "ListLocks",
    "ListQueues",
    "ListTasks",
    "LockBusy",
    "LockEvent",
    "LockGiven",
    "LockGranted",
    "LockHolder",
    "LockInfo",
    "LockPage",
    "LockQueued",
    "LockReleased",
    "LockTaken",
    "LockView",
    "LockWaiter",
    "Member",
    "MemberPage",
    "NackTask",
    "Notice",
    "OpenSession",
    "Operation",
    "Outcome",
    "OwnedShard",
    "Page",
    "Proclaim",
    "PurgeTasks",
    "Put",
    "PutTask",
    "QueueInfo",
    "QueuePage",
    "QueueSettings",
    "QueueView",
    "RaiseLevel",
    "Range",
    "ReadCandidacies",
    "ReadElection",
    "ReadHeldLocks",
    "ReadLock",
    "ReadOperation",
    "ReadSessions",
    "RedriveTasks",
    "Release",
    "ReleaseShard",
    "Require",
    "Resign",
    "Resigned",
    "Result",
    "SessionInfo",
    "SessionOpened",
    "SessionPage",
    "ShardChange",
    "StopTaking",
    "TakeTasks",
    "TakenTask",
    "TaskExtended",
    "TaskInfo",
    "TaskLost",
    "TaskPage",
    "TaskPut",
    "TaskReturned",
    "TaskView",
    "TasksGiven",
    "TasksTaken",
    "Transaction",
    "TransactionDone",
    "UpdateMember",
    "Wake",
    "Withdraw",
    "array_header",
    "decode_assignment_changed",
    "decode_barrier",
    "decode_batch",
    "decode_client_command",
    "decode_member",
    "decode_notice",
    "decode_read",
    "decode_result",
    "encode",
    "splice_batch",
]

ClientOperation = (
    # what is most often asked comes first
    Put | Delete | DeleteRange | Transaction | Get | Range | OpenSession | CloseSession
    | AddCounter | DeleteCounter
    | JoinGroup | UpdateMember | LeaveGroup
    | CreateAssignment | ConfigureAssignment | DeleteAssignment | ReleaseShard
    | EnterBarrier | LeaveBarrier
    | Acquire | Release | BreakLock
    | Campaign | Proclaim | Resign | Depose
    | PutTask | TakeTasks | AckTask | NackTask | ExtendTask | StopTaking
    | ConfigureQueue | RedriveTasks | PurgeTasks | DeleteQueue
)  # fmt: skip
Operation = ClientOperation | Expire | Checkpoint | Withdraw | Wake | RaiseLevel
READS = (
    Get, Range, ReadSessions,
    GetCounter, ListCounters,
    GetGroup, ListGroups, FindMembers,
    GetAssignment, ListAssignments,
    GetBarrier, ListBarriers,
    ReadLock, ListLocks, ReadHeldLocks,
    ReadElection, ListElections, ReadCandidacies,
    GetQueue, ListQueues, ListTasks, GetTask,
)  # fmt: skip
ReadOperation = (
    # None: only the barrier, "everything before this is visible to me"
    Get | Range | ReadSessions | None
    | GetCounter | ListCounters
    | GetGroup | ListGroups | FindMembers
    | GetAssignment | ListAssignments
    | GetBarrier | ListBarriers
    | ReadLock | ListLocks | ReadHeldLocks
    | ReadElection | ListElections | ReadCandidacies
    | GetQueue | ListQueues | ListTasks | GetTask
)  # fmt: skip

Result = (
    Done | Got | Page | TransactionDone | Failure | SessionOpened | SessionPage
    | CounterValue | CounterPage
    | GroupChanged | GroupView | GroupPage | MemberPage
    | LockGranted | LockQueued | LockBusy | LockReleased | LockView | LockPage | HeldLocks
    | Elected | CandidateQueued | LedAlready | Resigned | ElectionView | ElectionPage | Candidacies
    | AssignmentView | AssignmentPage
    | TaskPut | TasksTaken | TaskExtended | TaskReturned | QueueView | QueuePage | TaskPage | TaskView
    | BarrierChanged | BarrierView | BarrierPage
)  # fmt: skip

Notice = LockGiven | LockTaken | LeadershipGiven | LeadershipTaken | AssignmentChanged | TasksGiven | TaskLost
"""The value of an event in the space of notices; the event's kind is the space of the service that tells it."""


class Command(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`sequence` 0 with an empty `request_id`: not deduplicated; the client must not retry it unless refused."""

    session: SessionId
    sequence: Sequence
    lowest_open: Sequence  # the client will never ask again about anything below this
    request_id: str  # exactly-once without a session (Idempotency-Key, --request-id); "" otherwise
    operation: Operation


class ClientCommand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The same bytes as Command, but only with what a client may ask."""

    session: SessionId
    sequence: Sequence
    lowest_open: Sequence
    request_id: str
    operation: ClientOperation


class Batch(msgspec.Struct, frozen=True, array_like=True):
    cluster_ms: int  # decides what is due; never goes back; stands still while there is no leader
    wall_ms: int  # only shown; no rule reads it
    commands: list[Command]


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where in the log a command took effect, and its encoded Result. A retry gets the very same Outcome."""

    index: int
    position: int  # within the entry
    result: bytes


# --- codec ---------------------------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_client_command_decoder = msgspec.msgpack.Decoder(ClientCommand)
_read_decoder: msgspec.msgpack.Decoder[ReadOperation] = msgspec.msgpack.Decoder(ReadOperation)
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_notice_decoder: msgspec.msgpack.Decoder[Notice] = msgspec.msgpack.Decoder(Notice)
_result_decoder: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)

encode = _encoder.encode


def decode_client_command(data: bytes) -> ClientCommand:
    try:
        return _client_command_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the command cannot be decoded: {error}") from None


def decode_read(data: bytes) -> ReadOperation:
    try:
        return _read_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the read cannot be decoded: {error}") from None


def decode_result(data: bytes) -> Result:
    try:
        return _result_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a result cannot be decoded: {error}") from None


def decode_notice(data: bytes) -> Notice:
    try:
        return _notice_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a notice cannot be decoded: {error}") from None


def decode_batch(data: bytes) -> Batch:
    try:
        return _batch_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"a log entry's batch cannot be decoded: {error}") from None


def array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    if length < 65536:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def splice_batch(cluster_ms: int, wall_ms: int, commands: SequenceOf[bytes]) -> bytes:
    """The bytes of a Batch around commands that are already encoded."""
    head = b"\x93" + _encoder.encode(cluster_ms) + _encoder.encode(wall_ms)
    return b"".join((head, array_header(len(commands)), *commands))
