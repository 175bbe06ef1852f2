"""The closed list of interesting things that may happen in a run. One that a long run never reaches is a failure of the run."""

ELECTION_WHILE_JOINT = "election inside a joint configuration"
JOINT_LEFT_BY_ANOTHER = "joint configuration left by another leader than the one that began it"
SNAPSHOT_INSTALLED = "snapshot installed"
SNAPSHOT_RESUMED = "snapshot interrupted and resumed"
TORN_TAIL = "torn tail"
ROT_LAST_RECORD_HEALED = "rotten last record healed"
ROT_SNAPSHOT_HEALED = "rotten snapshot healed"
ROT_HARD_STATE_HEALED = "rotten hard state copy healed"
MEMBER_REPLACED = "member without hard state replaced"
FSYNC_FAILED = "failed fsync ended a process"
FULL_DISK_RECOVERED = "full disk refused writes, then recovered"
PAUSED_LEADER_DEPOSED = "leader paused and deposed"
POWER_LOST_WITH_DATA = "power loss of all with data"
RETRY_DEDUPLICATED = "retry deduplicated"
KEY_OPENED_ANEW = "session opened anew under a key of which nothing was kept any more"
SESSION_EXPIRED = "session expired"
SESSION_SURVIVED = "session survived a leader change"
CHECKPOINT_WITHDRAWN = "checkpoint withdrawn"
WATCH_RESUMED = "watch resumed"
WATCH_GAP = "watch gap"
TRANSFER_DONE = "transfer done"
LEVEL_RAISED = "level raised"
READ_BY_FOLLOWER = "read answered by who does not lead"
READ_AFTER_CHANGE = "read confirmed after a leader change"
ENTRIES_TRUNCATED = "entries truncated on a follower"
AMNESIAC_REFUSED = "voter that lost entries refused a vote"
VIEW_READ_ANEW = "view of a group read anew after a gap"
SHARD_RELEASED = "shard released by its owner"
SHARD_OUT_OF_TIME = "shard freed when its owner's time was over"
BARRIER_OPENED = "barrier opened"
DIVERGENCE_FOUND = "member found that its state is wrong, and began anew"
TASK_DONE = "task acknowledged"
TASK_LOST = "taker told that it lost its task"
TASK_GIVEN_IN_LINE = "task given to who waited"
TASK_PUT_AGAIN = "task put again found by its key"
TASK_REDRIVEN = "dead task redriven"
LOCK_HANDED_OVER = "lock handed over to who waited"
LOCK_ENTERED = "lock entered again"
LOCK_BROKEN = "lock broken"
LOCK_DELAY_PASSED = "lock-delay passed"
DEADLOCK_REFUSED = "deadlock refused"
LEADER_FOLLOWED = "candidate followed a leader"
LEADERSHIP_HANDED_OVER = "leadership handed over by name"
STALE_TOKEN_REFUSED = "stale token found stale"
JOURNAL_RETAINED = "old records of a journal dropped for new ones"
JOURNAL_READER_TOO_SLOW = "reader of a journal told that records are gone"
JOURNAL_DELETED = "reader of a journal told that it is deleted"
JOURNAL_ROT_FOUND = "rot in a journal found, and the state regained from others"
JOURNAL_RECEIVED = "bytes of a journal received with a snapshot"
WRITTEN_IN_TURN = "write durable before its turn was over"

MARKS = (
    ELECTION_WHILE_JOINT,
    JOINT_LEFT_BY_ANOTHER,
    SNAPSHOT_INSTALLED,
    SNAPSHOT_RESUMED,
    TORN_TAIL,
    ROT_LAST_RECORD_HEALED,
    ROT_SNAPSHOT_HEALED,
    ROT_HARD_STATE_HEALED,
    MEMBER_REPLACED,
    FSYNC_FAILED,
    FULL_DISK_RECOVERED,
    PAUSED_LEADER_DEPOSED,
    POWER_LOST_WITH_DATA,
    RETRY_DEDUPLICATED,
    KEY_OPENED_ANEW,
    SESSION_EXPIRED,
    SESSION_SURVIVED,
    CHECKPOINT_WITHDRAWN,
    WATCH_RESUMED,
    WATCH_GAP,
    TRANSFER_DONE,
    LEVEL_RAISED,
    READ_BY_FOLLOWER,
    READ_AFTER_CHANGE,
    ENTRIES_TRUNCATED,
    AMNESIAC_REFUSED,
    VIEW_READ_ANEW,
    SHARD_RELEASED,
    SHARD_OUT_OF_TIME,
    BARRIER_OPENED,
    DIVERGENCE_FOUND,
    TASK_DONE,
    TASK_LOST,
    TASK_GIVEN_IN_LINE,
    TASK_PUT_AGAIN,
    TASK_REDRIVEN,
    LOCK_HANDED_OVER,
    LOCK_ENTERED,
    LOCK_BROKEN,
    LOCK_DELAY_PASSED,
    DEADLOCK_REFUSED,
    LEADER_FOLLOWED,
    LEADERSHIP_HANDED_OVER,
    STALE_TOKEN_REFUSED,
    JOURNAL_RETAINED,
    JOURNAL_READER_TOO_SLOW,
    JOURNAL_DELETED,
    JOURNAL_ROT_FOUND,
    JOURNAL_RECEIVED,
    WRITTEN_IN_TURN,
)

LONG_RUN_SEEDS = 300
"""From so many seeds on, every mark must have been reached. Fewer may miss one by chance alone."""


class Marks:
    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = dict.fromkeys(MARKS, 0)

    def reach(self, mark: str) -> None:
        self.counts[mark] += 1
