"""What the leader knows about one peer. Pure."""

from collections import deque

from coordnode.ids import Index
from coordnode.limits import INFLIGHT_APPENDS_MAX, INFLIGHT_BYTES_MAX
from coordnode.raft.entry import SnapshotMeta

PROBE = 0  # where does its log agree with ours? one Append at a time
REPLICATE = 1  # known: Appends are pipelined, next_index runs ahead of the answers
SNAPSHOT = 2  # it needs entries that are compacted here: slices are on their way

LONG_OVERDUE = 4  # times as long as the answer to a slice is waited for


class Progress:
    __slots__ = (
        "active",
        "chunk_furthest",
        "chunk_meta",
        "chunk_number",
        "chunk_ticks",
        "chunk_wait",
        "inflight",
        "inflight_bytes",
        "level_max",
        "match",
        "match_at_heartbeat",
        "next_index",
        "probe_sent",
        "round",
        "space_ok",
        "state",
        "was_active",
    )

    def __init__(self, next_index: Index) -> None:
        self.match = Index(0)  # durable there and equal to our log; match < next_index
        self.next_index = next_index
        self.state = PROBE
        self.probe_sent = False  # PROBE: an Append is under way
        self.inflight: deque[tuple[Index, int]] = deque()  # REPLICATE: (last index, bytes) of unanswered Appends
        self.inflight_bytes = 0
        self.match_at_heartbeat = Index(-1)
        self.active = True  # heard of since the last quorum check; one that is new is given until the next
        self.was_active = False  # and between that check and the one before
        self.round = 0  # newest read round it confirmed
        self.space_ok = True
        self.level_max = 0  # 0: not heard of yet
        self.chunk_meta: SnapshotMeta | None = None
        self.chunk_number = 0
        self.chunk_furthest = 0  # the highest that it asked for: below that, it lost what it had
        self.chunk_ticks = 0  # since the slice under way was first asked for
        self.chunk_wait = 0  # it is sent again when so many have passed

    def is_heard(self) -> bool:
        return self.active or self.was_active

    def is_given_a_snapshot(self) -> bool:
        """Nothing else is heard of it while a slice takes the whole link: it counts as heard of until the answer is long overdue."""
        return self.state == SNAPSHOT and (self.is_heard() or not self.is_long_overdue())

    def is_long_overdue(self) -> bool:
        return self.chunk_ticks >= LONG_OVERDUE * self.chunk_wait

    def is_ready(self) -> bool:
        """Heard of lately, and as far as we are, but for what is under way."""
        return self.state == REPLICATE and self.is_heard()

    def needs_from(self) -> Index:
        """The first entry that it has not, or will not have with the snapshot that it is given."""
        return Index(max(self.match, self.chunk_meta.index if self.chunk_meta is not None else 0) + 1)

    def become_probe(self, next_index: Index) -> None:
        self.state = PROBE
        self.next_index = next_index
        self.probe_sent = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.chunk_meta = None

    def become_replicate(self) -> None:
        self.state = REPLICATE
        self.next_index = Index(self.match + 1)
        self.inflight.clear()
        self.inflight_bytes = 0
        self.chunk_meta = None

    def become_snapshot(self, meta: SnapshotMeta) -> None:
        self.state = SNAPSHOT
        self.chunk_meta = meta
        self.chunk_number = 0
        self.chunk_furthest = 0
        self.chunk_ticks = 0
        self.inflight.clear()
        self.inflight_bytes = 0

    def restarted(self, next_index: Index) -> None:
        """The peer started anew; what it acknowledged before may be lost to rot, so nothing counts until it says so again."""
        self.match = Index(0)
        self.round = 0
        self.become_probe(next_index)

    def is_window_full(self) -> bool:
        return len(self.inflight) >= INFLIGHT_APPENDS_MAX or self.inflight_bytes >= INFLIGHT_BYTES_MAX

    def sent(self, last_index: Index, size: int) -> None:
        self.inflight.append((last_index, size))
        self.inflight_bytes += size
        self.next_index = Index(last_index + 1)

    def acknowledged(self, match: Index) -> bool:
        """Returns whether this is news."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= match:
            self.inflight_bytes -= inflight.popleft()[1]
        if match <= self.match:
            return False
        self.match = match
        if self.next_index <= match:
            self.next_index = Index(match + 1)
        return True
