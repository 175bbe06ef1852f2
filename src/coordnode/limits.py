"""Every bound, and how the bounds relate. Apply never reads this room: what apply needs is replicated (services.machine.Settings)."""

KIB = 1024
MIB = 1024 * KIB

KEY_BYTES_MAX = 1 * KIB
VALUE_BYTES_MAX = 1 * MIB
TRANSACTION_OPERATIONS_MAX = 128
RANGE_ITEMS_MAX = 1024  # items of one page
RANGE_BYTES_MAX = 1 * MIB  # a page ends with the item that reaches this
REQUEST_ID_BYTES_MAX = 128

COMMAND_BYTES_MAX = 2 * MIB  # one client command, encoded
BATCH_BYTES_MAX = 4 * MIB
# Entries of one Append; one entry always travels, whatever its size. An answer to each is what a leader on a saturated link lives by.
APPEND_BYTES_MAX = 512 * KIB
FRAME_HEADER_BYTES = 16
FRAME_BYTES_MAX = 16 * MIB

INFLIGHT_APPENDS_MAX = 64  # unanswered Appends to one peer
INFLIGHT_BYTES_MAX = 16 * MIB
UNCOMMITTED_BYTES_MAX = 64 * MIB  # the leader refuses proposals beyond this
WAITING_READS_MAX = 65_536
READ_BYTES_PER_TURN = 8 * MIB  # a turn answers no more reads after the one that reaches this; stale reads have as much again
BLOBS_UNWRITTEN_BYTES_MAX = 16 * MIB  # of journals, applied and not written yet: beyond this nothing more is applied
FETCHES_MAX = 64  # reads of journals that wait for the disk
READ_BYTES_LEAST = 1 * KIB  # what even an empty answer counts: it takes its time, too
LOOKED_ROW_BYTES = 256  # what each row counts that a search looks at, whether it answers it or not
PUSH_BYTES_LEAST = 1 * KIB  # likewise, what a watch is told

SLICE_BYTES_MAX = 256 * KIB  # a snapshot slice ends with the item that reaches this
SLICE_BYTES_HARD_MAX = SLICE_BYTES_MAX + 2 * COMMAND_BYTES_MAX
SNAPSHOT_UNSYNCED_BYTES_MAX = 4 * MIB  # more would stall the WAL's fdatasync
SLICE_BLOBS_MAX = 8_192  # blobs listed in one slice
BLOB_PIECE_BYTES = 512 * KIB  # of a blob, on its way to another member
RECORDS_READ_BYTES_MAX = 1 * MIB  # a read of a journal ends with the batch that reaches this

SESSION_TTL_MS_MIN = 1_000
SESSION_TTL_MS_MAX = 86_400_000
EXPIRE_SESSIONS_MAX = 1_000  # sessions that one Expire, Checkpoint or Withdraw may name
EXPIRE_SESSIONS_PER_ENTRY = 64  # that a leader names in one Expire: each takes as long as many puts
EXPIRE_SESSIONS_PER_TICK = 3 * EXPIRE_SESSIONS_PER_ENTRY  # who loses thousands at once must not keep all others waiting for all of them
KEEP_ALIVE_NAMED_MAX = 131_072  # that one may name, and is answered about: earlier clients name all of theirs, and ask again too late
CLOCK_RATE_ERROR_PPM = 1_000  # clocks run between 0.999 and 1.001 of true rate
TICK_ADVANCE_TICKS_MAX = 2  # a late tick moves the lease clock by at most this many ticks

CLIENT_CALLS_MAX = 65_536  # calls of one client that are not finished yet
CLIENT_OUTSTANDING_MAX = 1_024  # of these, sent and not answered
CLIENT_KEEP_ALIVE_SESSIONS_MAX = 4_096  # that one of its keep-alives names
CLIENT_SESSION_WINDOW = 512  # sequences of one session that are open at a time; below the machine's reply window of 1,024

FREE_FILES_MIN = 16  # fewer that a disk can still take are none: the next segments and a snapshot need their names

TOKEN_MAX = 2**53 - 1

CLUSTER_MEMBERS_MAX = 64  # voters and learners of one cluster: each is dialled by all others
CONTACT_CHARACTERS_MAX = 300  # a name has up to 253

assert KEY_BYTES_MAX + VALUE_BYTES_MAX < COMMAND_BYTES_MAX
assert COMMAND_BYTES_MAX < BATCH_BYTES_MAX
assert EXPIRE_SESSIONS_PER_ENTRY <= EXPIRE_SESSIONS_MAX
assert CLIENT_KEEP_ALIVE_SESSIONS_MAX <= KEEP_ALIVE_NAMED_MAX
assert BATCH_BYTES_MAX + COMMAND_BYTES_MAX + FRAME_HEADER_BYTES < FRAME_BYTES_MAX
assert SLICE_BYTES_HARD_MAX + FRAME_HEADER_BYTES < FRAME_BYTES_MAX
assert SLICE_BYTES_HARD_MAX < FRAME_BYTES_MAX
assert SLICE_BLOBS_MAX * 32 <= SLICE_BYTES_MAX
assert BLOB_PIECE_BYTES <= SLICE_BYTES_HARD_MAX
assert BLOB_PIECE_BYTES <= SNAPSHOT_UNSYNCED_BYTES_MAX
assert RECORDS_READ_BYTES_MAX + COMMAND_BYTES_MAX < FRAME_BYTES_MAX
assert APPEND_BYTES_MAX <= INFLIGHT_BYTES_MAX <= INFLIGHT_APPENDS_MAX * APPEND_BYTES_MAX
assert RANGE_BYTES_MAX < READ_BYTES_PER_TURN
assert APPEND_BYTES_MAX + BATCH_BYTES_MAX + COMMAND_BYTES_MAX < FRAME_BYTES_MAX
