"""What operations return, and so what `-o json` prints. Fields are only ever added; `coordctl schema VERB` prints the schema."""

from typing import Literal

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.version/1"] = "coordctl.version/1"
    outcome: Literal["answered"] = "answered"
    exit_code: Literal[0] = 0
    version: str
    python: str
    platform: str


class CheckEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why a history cannot be explained."""

    operation: str  # the one that finds no place
    key: str | None
    other: str | None  # the one it collides with
    expected: str  # what the model would have answered; "" when there is no one answer
    prefix_operations: int  # how long the shortest impossible beginning is
    prefix_last: list[str]  # its last operations


class Check(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.check/1"] = "coordctl.check/1"
    outcome: str  # pass, violation, unknown
    exit_code: int
    history: str
    model: str
    reason: str
    method: str
    operations: int
    partitions: int
    steps: int
    elapsed_ms: int
    evidence: CheckEvidence | None


class WalRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `wal dump`, in the order of the log; damage stands where it is."""

    schema: Literal["coordctl.wal-dump/1"]
    path: str
    offset: int
    kind: str  # segment, batch, entry, truncate, reset, end
    holds: str  # of an entry: batch, config, noop
    term: int
    index: int
    chain: str  # hash of the log up to here, in hexadecimal: equal on members whose logs are equal so far
    size_bytes: int  # with header and padding
    verdict: str  # ok, torn tail, rot
    reason: str = ""
    data: bytes | None = None  # with --data, base64


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    offset: int
    reason: str
    remedy: str


class WalVerified(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.wal-verify/1"] = "coordctl.wal-verify/1"
    outcome: Literal["ok", "torn tail", "rot"]
    exit_code: Literal[0, 2]
    folder: str
    cluster: int
    member: int
    entries: int
    segments: int
    last_index: int
    last_chain: str
    tail_path: str
    tail_offset: int
    damages: list[Damage]


class Up(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.up/1"] = "coordctl.up/1"
    outcome: Literal["ready"] = "ready"
    exit_code: Literal[0] = 0
    name: str
    folder: str
    members: list[str]
    endpoints: list[str]
    leader: str
    started: list[str]  # those that did not run before
    is_new: bool
    elapsed_ms: int


class Down(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.down/1"] = "coordctl.down/1"
    outcome: Literal["stopped"] = "stopped"
    exit_code: Literal[0] = 0
    name: str
    folder: str
    members: list[str]
    stopped: int
    purged: bool
    left_behind: list[str]  # files in its folder that are not the cluster's


class FoundMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member that does not answer has a state and a trouble; what only it could say is null."""

    name: str
    member: int
    address: str
    role: str  # voter, leader, learner
    state: str  # ok, NOT READY, BEHIND, UNREACHABLE
    trouble: str
    lag: int | None
    seen_unix_s: int | None  # when it last answered a `status` from here; null: never
    applied: int | None
    commit_p99_ms: float | None  # since it started, while it led
    sync_p99_ms: float | None
    version: str | None
    term: int | None
    pid: int | None
    uptime_s: int | None
    free_bytes: int | None
    reasons: list[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    level: str
    sentence: str
    remedy: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.status/1"] = "coordctl.status/1"
    outcome: Literal["answered", "unreachable"]
    exit_code: Literal[0, 69]
    cluster: str
    judgement: str
    can_lose: int  # more members, without an outage; below 0: too few are left
    leader: str
    term: int
    revision: int | None
    members: list[FoundMember]
    findings: list[Finding]
    digest: str  # equal, different, unknown
    digest_index: int
    sources_answered: int
    sources_asked: int
    unix_ms: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.health/1"] = "coordctl.health/1"
    outcome: str  # ok, warning, critical, unknown
    exit_code: int  # 0, 1, 2, 3
    cluster: str
    sentence: str
    can_lose: int
    members_well: int
    members: int
    digest: str  # equal, different, unknown
    digest_index: int
    findings: list[Finding]
    sources_answered: int
    sources_asked: int


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.wait/1"] = "coordctl.wait/1"
    outcome: Literal["reached", "not reached"]
    exit_code: Literal[0, 1]
    condition: str
    now: str  # how the cluster was when last seen
    elapsed_ms: int


class KvItem(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and values as text where they are text, and always as base64."""

    key: str | None
    key_base64: str
    value: str | None
    value_base64: str
    create_revision: int
    mod_revision: int
    version: int
    session: int


class KvGet(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-get/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    key: str | None
    key_base64: str
    revision: int
    item: KvItem | None


class KvPut(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-put/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    key: str | None
    key_base64: str
    revision: int
    request_id: str


class KvDelete(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-del/1"]
    outcome: Literal["deleted", "absent"]
    exit_code: Literal[0]
    key: str | None
    key_base64: str
    revision: int
    request_id: str


class KvListed(KvItem, frozen=True, kw_only=True):
    """One line for each key."""

    schema: Literal["coordctl.kv-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class KvCas(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.kv-cas/1"]
    outcome: Literal["done", "different"]
    exit_code: Literal[0, 1]
    key: str | None
    key_base64: str
    revision: int
    request_id: str
    found: KvItem | None  # what was there instead


class KvChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each key that changed; those of one transaction have one revision."""

    schema: Literal["coordctl.kv-watch/1"]
    outcome: Literal["changed"]
    exit_code: Literal[0]
    revision: int
    is_last_of_revision: bool
    kind: Literal["put", "delete"]
    key: str | None
    key_base64: str
    value: str | None
    value_base64: str
    version: int
    session: int


class SessionFound(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    owner: str
    ttl_ms: int
    open_ms: int  # at least: the cluster's clock stands still between commands
    keys: int  # that go when it ends


class SessionListed(SessionFound, frozen=True, kw_only=True):
    """One line for each session."""

    schema: Literal["coordctl.session-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class SessionShown(SessionFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.session-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class SessionClosed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.session-close/1"]
    outcome: Literal["closed"]
    exit_code: Literal[0]
    session: int
    revision: int


class QueueNamed(msgspec.Struct, frozen=True, kw_only=True):
    """The name as text where it is text, and always as base64."""

    queue: str | None
    queue_base64: str


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    lease_ms: int
    retries_max: int
    backoff_ms: int
    backoff_ms_max: int
    dead_max: int
    tasks_max: int
    bytes_max: int
    dedupe_ms: int


class QueueFound(QueueNamed, frozen=True, kw_only=True):
    ready: int
    delayed: int
    taken: int
    dead: int
    waiting: int  # takers in line
    size_bytes: int  # payloads of all tasks
    settings: QueueSettings


class QueueListed(QueueFound, frozen=True, kw_only=True):
    """One line for each queue."""

    schema: Literal["coordctl.queue-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueShown(QueueFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    oldest_ms: int  # for how long the task that is next has been there


class TaskFound(QueueNamed, frozen=True, kw_only=True):
    task: int
    state: str  # ready, delayed, taken, dead
    priority: int
    attempts: int
    size_bytes: int
    age_ms: int  # at least: the cluster's clock stands still between commands
    due_ms: int  # until a delayed one is ready, or a taken one's lease ends; else 0
    token: int  # of a taken one
    session: int  # whose end returns it; 0: nobody's
    failure: str  # how its last attempt ended: returned, lease ended, session ended, given back
    note: str
    key: str


class QueueTask(TaskFound, frozen=True, kw_only=True):
    """One line for each task."""

    schema: Literal["coordctl.queue-tasks/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueDead(TaskFound, frozen=True, kw_only=True):
    """One line for each task."""

    schema: Literal["coordctl.queue-dead/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class QueueTaskShown(TaskFound, frozen=True, kw_only=True):
    """What `queue show QUEUE TASK` prints."""

    schema: Literal["coordctl.queue-show-task/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    payload: str | None
    payload_base64: str


class QueuePut(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-put/1"]
    outcome: Literal["put", "put before"]
    exit_code: Literal[0]
    task: int
    request_id: str


class QueueTaken(QueueNamed, frozen=True, kw_only=True):
    """One line for each task; none: there was nothing to take (75)."""

    schema: Literal["coordctl.queue-take/1"]
    outcome: Literal["taken"]
    exit_code: Literal[0]
    task: int
    token: int
    attempts: int  # this one included
    priority: int
    lease_ms: int
    payload: str | None
    payload_base64: str


class QueueExtended(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-extend/1"]
    outcome: Literal["extended"]
    exit_code: Literal[0]
    token: int
    lease_ms: int
    request_id: str


class QueueAcknowledged(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-ack/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    token: int
    request_id: str


class QueueReturned(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-nack/1"]
    outcome: Literal["ready", "delayed", "dead"]
    exit_code: Literal[0]
    token: int
    delay_ms: int
    request_id: str


class QueueSet(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-set/1"]
    outcome: Literal["changed", "unchanged"]
    exit_code: Literal[0]
    settings: QueueSettings
    request_id: str


class QueueRedriven(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-redrive/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int


class QueuePurged(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-purge/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int


class QueueDeleted(QueueNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.queue-delete/1"]
    outcome: Literal["done", "nothing to do"]
    exit_code: Literal[0]
    count: int


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    token: int
    session: int  # 0: it expired, and its lock-delay is not over
    owner: str
    kind: Literal["exclusive", "shared", "semaphore"]
    permits: int
    times: int  # it must be released
    note: str
    since_unix_ms: int
    held_ms: int  # as the cluster counts: its clock stands still between commands
    delay_ms: int


class LockWaiter(msgspec.Struct, frozen=True, kw_only=True):
    ticket: int
    session: int
    owner: str
    kind: Literal["exclusive", "shared", "semaphore"]
    permits: int
    note: str
    since_unix_ms: int
    waited_ms: int


class LockDescribed(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Literal["exclusive", "shared", "semaphore"]
    limit: int  # of a semaphore; else 0
    permits: int  # in use
    holders: int
    waiters: int
    first: LockHolder | None  # who has held it for longest


class LockListed(LockDescribed, frozen=True, kw_only=True):
    """One line for each lock."""

    schema: Literal["coordctl.lock-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class LockShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    name: str
    lock: LockDescribed | None
    holders: list[LockHolder]
    waiters: list[LockWaiter]  # in the order in which they are served


class LockChecked(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-check/1"]
    outcome: Literal["held", "lost", "cannot tell"]
    exit_code: Literal[0, 1, 74]
    name: str
    token: int
    holder: LockHolder | None


class LockAcquired(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-acquire/1"]
    outcome: Literal["acquired"]
    exit_code: Literal[0]
    name: str
    token: int
    session: int
    ttl_ms: int
    keeper_pid: int | None  # of the process that renews it


class LockRenewed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-renew/1"]
    outcome: Literal["renewed"]
    exit_code: Literal[0]
    name: str
    token: int
    ttl_ms: int


class LockReleased(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-release/1"]
    outcome: Literal["released"]
    exit_code: Literal[0]
    name: str
    token: int


class LockBroken(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.lock-break/1"]
    outcome: Literal["broken"]
    exit_code: Literal[0]
    name: str
    tokens: list[int]
    told_ms: int | None  # until the leader had told the holder; null: it could not be observed


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the runners write with --report."""

    schema: Literal["coordctl.run-report/1"]
    outcome: Literal[
        "ended",
        "not started",
        "lost",
        "broken",
        "hold-max",
        "not acquired",
        "unreachable",
        "not permitted",
        "usage",
        "interrupted",
        "done before",
    ]
    exit_code: int
    token: int | None  # null: it was never held
    waited_ms: int
    held_ms: int


class FenceAdmitted(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.fence-admit/1"]
    outcome: Literal["admitted", "stale"]
    exit_code: Literal[0, 76]
    file: str
    token: int
    highest: int


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    member: str
    session: int
    data: str | None
    data_base64: str
    labels: dict[str, str]
    weight: int
    joined_view: int


class GroupListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each group; with --where, one for each member that was found."""

    schema: Literal["coordctl.group-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    group: str
    view: int | None
    members: int | None
    member: GroupMember | None


class GroupShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    group: str
    view: int  # never goes back; 0: it has no members
    members: list[GroupMember]


class GroupViewed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each view; the first is the present one."""

    schema: Literal["coordctl.group-watch/1"]
    outcome: Literal["changed"]
    exit_code: Literal[0]
    group: str
    view: int
    members: list[GroupMember]
    joined: list[str]  # since the line before
    updated: list[str]
    left: list[str]


class GroupChanged(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str
    exit_code: Literal[0]
    group: str
    member: str
    session: int
    view: int  # that this made


class GroupJoined(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-join/1"]


class GroupUpdated(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-update/1"]


class GroupLeft(GroupChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.group-leave/1"]


class ShardListed(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each assignment."""

    schema: Literal["coordctl.shard-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    group: str
    shards: int
    owned: int
    revoking: int  # of those


class ShardOwned(msgspec.Struct, frozen=True, kw_only=True):
    shard: int
    member: str
    session: int
    token: int
    revoke_left_ms: int | None  # to be released within this time


class ShardShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    name: str
    group: str
    shards: int
    revoke_ms: int
    owned: list[ShardOwned]
    free: list[int]  # without an owner


class ShardMoved(msgspec.Struct, frozen=True, kw_only=True):
    """One line for each move."""

    schema: Literal["coordctl.shard-watch/1"]
    outcome: Literal["moved"]
    exit_code: Literal[0]
    name: str
    revision: int
    kind: Literal["assigned", "revoking", "freed", "configured", "deleted"]
    shard: int  # -1: the assignment itself
    member: str
    session: int
    token: int


class ShardChanged(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str
    exit_code: Literal[0]
    name: str
    request_id: str


class ShardCreated(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-create/1"]


class ShardSet(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-set/1"]


class ShardDeleted(ShardChanged, frozen=True, kw_only=True):
    schema: Literal["coordctl.shard-delete/1"]


class BarrierEntered(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-enter/1"]
    outcome: Literal["open", "not open"]
    exit_code: Literal[0, 75]
    name: str
    count: int
    session: int  # that stays inside; 0: none does


class BarrierFound(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    count: int
    inside: int
    round: int  # its number: no other round of any barrier has it
    is_open: bool


class BarrierLeft(BarrierFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-leave/1"]
    outcome: Literal["left"]
    exit_code: Literal[0]


class BarrierListed(BarrierFound, frozen=True, kw_only=True):
    """One line for each barrier."""

    schema: Literal["coordctl.barrier-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class BarrierSession(msgspec.Struct, frozen=True, kw_only=True):
    session: int
    owner: str


class BarrierShown(BarrierFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.barrier-show/1"]
    outcome: Literal["found", "absent"]
    exit_code: Literal[0, 1]
    sessions: list[BarrierSession]


class CounterNamed(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None
    name_base64: str


class CounterGot(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-get/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    value: int  # 0 also if there is none


class CounterAdded(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-add/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    value: int  # the sum
    request_id: str


class CounterListed(CounterNamed, frozen=True, kw_only=True):
    """One line for each counter."""

    schema: Literal["coordctl.counter-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
    value: int


class CounterDeleted(CounterNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.counter-del/1"]
    outcome: Literal["deleted", "absent"]
    exit_code: Literal[0]
    request_id: str


SCHEMAS: dict[str, type[msgspec.Struct]] = {
    "barrier-enter": BarrierEntered,
    "barrier-leave": BarrierLeft,
    "barrier-ls": BarrierListed,
    "barrier-show": BarrierShown,
    "counter-add": CounterAdded,
    "counter-del": CounterDeleted,
    "counter-get": CounterGot,
    "counter-ls": CounterListed,
    "down": Down,
    "fence-admit": FenceAdmitted,
    "group-join": GroupJoined,
    "group-leave": GroupLeft,
    "group-ls": GroupListed,
    "group-show": GroupShown,
    "group-update": GroupUpdated,
    "group-watch": GroupViewed,
    "health": Health,
    "kv-cas": KvCas,
    "kv-del": KvDelete,
    "kv-get": KvGet,
    "kv-ls": KvListed,
    "kv-put": KvPut,
    "kv-watch": KvChanged,
    "lock-acquire": LockAcquired,
    "lock-break": LockBroken,
    "lock-check": LockChecked,
    "lock-ls": LockListed,
    "lock-release": LockReleased,
    "lock-renew": LockRenewed,
    "lock-show": LockShown,
    "queue-ack": QueueAcknowledged,
    "queue-dead": QueueDead,
    "queue-delete": QueueDeleted,
    "queue-extend": QueueExtended,
    "queue-ls": QueueListed,
    "queue-nack": QueueReturned,
    "queue-purge": QueuePurged,
    "queue-put": QueuePut,
    "queue-redrive": QueueRedriven,
    "queue-set": QueueSet,
    "queue-show": QueueShown,
    "queue-show-task": QueueTaskShown,
    "queue-take": QueueTaken,
    "queue-tasks": QueueTask,
    "run-report": RunReport,
    "session-close": SessionClosed,
    "session-ls": SessionListed,
    "session-show": SessionShown,
    "shard-create": ShardCreated,
    "shard-delete": ShardDeleted,
    "shard-ls": ShardListed,
    "shard-set": ShardSet,
    "shard-show": ShardShown,
    "shard-watch": ShardMoved,
    "status": Status,
    "up": Up,
    "version": Version,
    "wait": Waited,
    "wal-dump": WalRecord,
    "wal-verify": WalVerified,
}
"""Verb -> what its `-o json` prints; for a stream, the type of each line."""
