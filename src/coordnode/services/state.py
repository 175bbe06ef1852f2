"""What is not in a table: the settings fixed at genesis and the scalars. Both stand in snapshot and digest as one row. Pure."""

import msgspec

from coordnode.ids import ClusterId, Index, Revision, SessionId, Token
from coordnode.services.tables import encode_row, row_hash

SCALARS_ID = 0  # the containers count from 1
TOKEN_MAX = 2**53 - 1  # JSON carries it unharmed


class Settings(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """The bounds by which apply decides. Replicated, so that every member and every build decides alike."""

    key_bytes_max: int = 1024
    value_bytes_max: int = 1_048_576
    transaction_operations_max: int = 128  # comparisons, `then` and `otherwise`: each
    transaction_result_bytes_max: int = 1_048_576  # values that one transaction may read
    delete_range_keys_max: int = 1024  # one slice of a range delete
    range_items_max: int = 1024  # a read that goes through the log
    range_bytes_max: int = 1_048_576
    session_ttl_ms_min: int = 1_000
    session_ttl_ms_max: int = 86_400_000
    session_keys_max: int = 1024  # keys bound to one session
    expire_sessions_max: int = 1_000  # sessions named by one Expire, Checkpoint or Withdraw
    nonce_bytes_max: int = 64
    owner_bytes_max: int = 256
    dedupe_entries_max: int = 1024  # replies kept for one session
    dedupe_bytes_max: int = 65_536
    request_id_bytes_max: int = 128
    request_ids_max: int = 16_384  # replies kept for writes without a session
    request_ids_bytes_max: int = 8_388_608
    history_count_max: int = 65_536  # revisions that a watch can resume over
    history_bytes_max: int = 16_777_216
    history_group_count_max: int = 64  # revisions stored and trimmed together
    history_group_bytes_max: int = 65_536  # a group that is larger holds one revision
    state_bytes_max: int = 2_147_483_648
    digest_every: int = 64  # entries between comparisons of the members' digests
    name_bytes_max: int = 255  # of a lock, an election, a group and the like
    wake_items_max: int = 1_000  # things of one service that one Wake carries out
    group_members_max: int = 1_000  # of one group: a view is always answered whole
    member_bytes_max: int = 2_048  # its data and labels
    member_weight_max: int = 1_000
    requires_max: int = 16  # conditions of one search for members
    session_depth_max: int = 64  # sessions of which each waits for the next; those further up are not seen
    lock_holders_max: int = 100_000  # of one lock
    lock_waiters_max: int = 10_000  # of one lock
    lock_permits_max: int = 1_000_000  # of one semaphore
    lock_delay_ms_max: int = 3_600_000
    session_locks_max: int = 1_024  # that one session holds or awaits
    note_bytes_max: int = 256  # of a lock's note, or of a reason
    deadlock_steps_max: int = 256  # holders looked at before a wait is taken to be none
    candidates_max: int = 10_000  # of one election
    candidate_value_bytes_max: int = 16_384
    shards_max: int = 1_024  # of one assignment
    revoke_ms_max: int = 3_600_000
    group_assignments_max: int = 16  # over one group: each change of its members looks at all of them
    task_bytes_max: int = 262_144  # payload of a queue's task
    task_inline_bytes_max: int = 16_384  # payloads that come along with tokens, in one answer or notice
    take_tasks_max: int = 128  # tasks taken at a time
    session_tasks_max: int = 1_024  # tasks that one session holds, and places in line that it has
    queue_waiters_max: int = 10_000  # places in line before one queue
    barrier_count_max: int = 10_000  # sessions
    journal_batch_bytes_max: int = 1_048_576  # records of one append, and what says where they end
    journal_batch_records_max: int = 65_536
    journal_bytes_min: int = 4_096  # no journal has a smaller bound
    journals_bytes_max: int = 1_099_511_627_776  # the bounds of all journals together


class Scalars(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    cluster: ClusterId
    created_unix_s: int
    level: int  # the feature level in force
    applied: Index = Index(0)
    cluster_ms: int = 0  # never goes back
    revision: Revision = Revision(0)
    session_next: SessionId = SessionId(1)
    token_next: Token = Token(0)
    state_bytes: int = 0  # keys, values, sessions and kept replies, with a fixed charge for each
    request_ids_bytes: int = 0  # the part of it that the replies to session-less writes take
    history_count: int = 0
    history_bytes: int = 0
    history_floor: Revision = Revision(1)  # the first revision whose changes are all still here
    journals_bytes: int = 0  # the bounds of all journals together


def scalars_hash(settings: Settings, scalars: Scalars) -> int:
    return row_hash(SCALARS_ID, encode_row((settings, scalars)))
