"""What a replica is told once: its times, and how much one turn may hold. Pure."""

import msgspec

from coordnode.raft.state import Timing

# While a member is given a snapshot, the next is made only after so many times the bounds of one; the log between both is kept for it.
FOR_SLOW_MEMBERS = 2


class ReplicaConfig(msgspec.Struct, frozen=True):
    tick_ms: int = 50
    timing: Timing = Timing()
    snapshot_entries: int = 50_000  # a snapshot is due after so many entries at the latest
    snapshot_log_bytes: int = 64 * 1024 * 1024  # or after so many bytes of log
    keep_entries: int = 5_000  # entries kept behind a snapshot for members that lag a little, up to half of snapshot_log_bytes
    entry_work_max: int = 1024  # of the commands of one entry, counted in plain puts: a turn cannot apply less than one entry
    apply_work_per_turn: int = 2048  # likewise; the rest waits for the next turn, so that none takes much more than 10 ms
    client_sessions_max: int = 100_000  # of one identity
    silent_revisions_max: int = 1_000  # a connection whose watches nothing matches is told how far they have seen: resuming stays cheap
    push_bytes_per_turn: int = 256 * 1024  # of what watches are told: ten thousand of them take 35 turns, and others go between
    report_again_ms: int = 1_250  # between two reports of the same digest: either report or the word that answers it may be lost
