"""What one member believes, and the few acts that every rule needs: sending, appending, truncating, stepping down. Pure."""

import random
from collections.abc import Sequence

import msgspec

from coordnode.ids import NOBODY, Index, MemberId, Term, WriteId
from coordnode.raft.entry import CONFIG, Config, Entry, HardState, SnapshotMeta, decode_config
from coordnode.raft.log import Log
from coordnode.raft.messages import Message
from coordnode.raft.progress import Progress
from coordnode.raft.ready import ChunkWanted

FOLLOWER = 0
PRE_CANDIDATE = 1
CANDIDATE = 2
LEADER = 3

ELECTIONS_LET_PASS = 5  # by who is reluctant to lead, before it stands after all: nobody else seems to be able to

ROLE_NAMES = ("follower", "pre-candidate", "candidate", "leader")


class Timing(msgspec.Struct, frozen=True):
    """In ticks. election_ticks_min is also how long a voter stays loyal to a leader it hears."""

    election_ticks_min: int = 10
    election_ticks_max: int = 20
    heartbeat_ticks: int = 2
    stuck_ticks: int = 40  # a leader whose own disk has not finished a write for so long steps down
    chunk_retry_ticks: int = 10  # at least: a slice that a link takes longer for is sent again later

    def __post_init__(self) -> None:
        assert self.heartbeat_ticks * 2 < self.election_ticks_min, "a voter must survive one lost heartbeat"
        assert self.election_ticks_min < self.election_ticks_max


class State:
    def __init__(
        self,
        *,
        member: MemberId,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: list[Entry],
        commit_hint: Index,
        timing: Timing,
        rng: random.Random,
    ) -> None:
        self.member = member
        self.timing = timing
        self.rng = rng

        self.term = hard_state.term
        self.vote = hard_state.vote
        self.boot = hard_state.boot
        self.lost_entries = hard_state.lost_entries
        self.hard_durable = True  # False: no message of this term may leave before the next write is durable
        self.hard_changed = False  # the next write must carry the hard state
        self.hard_write = WriteId(0)

        # A member without state (new, or all of it lost) takes nothing but a snapshot.
        self.stateless = snapshot is None
        assert snapshot is not None or not entries, "entries that stand on no snapshot cannot be applied"
        self.snapshot = snapshot  # the newest whole snapshot on our disk
        self.log = Log(snapshot.index if snapshot else Index(0), snapshot.term if snapshot else Term(0), entries)
        self.configs: list[tuple[Index, Config]] = []  # by the index at which each took effect; the first is the floor
        self.configs.append((snapshot.config_index, snapshot.config) if snapshot else (Index(0), Config()))
        for entry in entries:
            if entry.kind == CONFIG:
                self.configs.append((entry.index, decode_config(entry.data)))
        self.config = self.configs[-1][1]

        self.committed = self.log.base_index
        if not self.lost_entries:  # rot may bring back an older branch: the hint is about the entries that replaced it
            self.committed = Index(max(self.committed, min(commit_hint, self.log.last_index())))
        self.agreed = Index(0)  # up to here an Append of this term's leader found our log equal to the leader's
        self.delivered = self.log.base_index  # handed out to be applied; delivered <= committed
        self.submitted = self.log.last_index()  # handed to storage
        self.persisted = self.log.last_index()  # durable here; persisted <= submitted
        self.truncate_from = Index(0)  # the next write must undo this index and all after it
        self.reset_to: SnapshotMeta | None = None
        self.rewrite = WriteId(0)  # the newest write that truncates or resets: what older writes made durable may be gone again
        self.next_write = WriteId(1)
        self.written = WriteId(0)  # newest durable write

        self.role = FOLLOWER
        self.leader = NOBODY
        self.elapsed = 0  # ticks since a leader was heard, or since this election began
        self.timeout = 0
        self.votes: dict[MemberId, bool] = {}
        self.lost_entries_refusals: dict[MemberId, bool] = {}  # voters that refused since a leader was heard: shown to operators
        self.regain_target = Index(-1)  # with lost_entries: vote again once everything up to here is durable; -1: not known yet
        self.disk_ticks = 0  # since our own disk last finished a write, while one is under way

        self.progress: dict[MemberId, Progress] = {}  # leader only
        # Newest boot heard of each peer: what an earlier one acknowledged is void. Outlives its Progress, because such an
        # acknowledgement may still be under way when the peer was removed and is added again.
        self.boots: dict[MemberId, int] = {}
        self.round = 0  # read rounds of this term
        self.rounds: list[tuple[int, Index, list[int]]] = []  # begun, not confirmed: (round, read index, read ids)
        self.reads_waiting: list[int] = []  # for the next round
        self.confirms: dict[int, tuple[MemberId, int, int]] = {}  # read id -> (member that asked, its boot, its number for it)
        self.next_confirm = -1  # ids of our own reads count downwards, the replica's upwards
        self.reads_asked: list[int] = []  # the question under way to the leader, from who does not lead, is for these
        self.asked = 0  # its number
        self.asked_ticks = 0  # since it was sent
        self.transferee = NOBODY
        self.transfer_ticks = 0
        self.heartbeat_elapsed = 0
        self.quorum_elapsed = 0

        self.out_now: list[Message] = []
        self.out_after: list[Message] = []
        self.out_reads: list[tuple[int, Index]] = []
        self.out_reads_lost: list[int] = []
        self.out_chunks_wanted: list[ChunkWanted] = []
        self.out_chunks: list[tuple[MemberId, SnapshotMeta, int, bool, bytes]] = []
        self.chunks_storing: list[tuple[MemberId, SnapshotMeta]] = []  # whose slice is in storage's hands: one of each at a time
        self.out_restore: SnapshotMeta | None = None
        self.out_role_changed = False
        self.out_config_changed = True
        self.replicate_due = False  # something new to send to peers at the end of this turn

        self.has_state = True  # False: it is still being read back, so nobody could be served if we led
        self.is_reluctant = False  # we would serve nobody well if we led, and it may not pass by itself
        self.let_pass = 0  # elections in which we did not stand, since a leader was heard
        self.space_ok = True  # our own disk; told to the leader
        self.level_max = 0  # the highest feature level our build can apply; told to the leader

        self.reset_timeout()

    # --- sending ---------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Leaves at once, unless our term or vote is not durable yet."""
        if self.hard_durable:
            self.out_now.append(message)
        else:
            self.out_after.append(message)

    def send_durable(self, message: Message, match: Index) -> None:
        """Says that entries up to `match` are durable here, so it leaves when they are."""
        if match <= self.persisted and self.hard_durable:
            self.out_now.append(message)
        else:
            self.out_after.append(message)

    # --- hard state ------------------------------------------------------------------------------------------------

    def enter_term(self, term: Term) -> None:
        assert term > self.term
        self.term = term
        self.vote = NOBODY
        self.agreed = Index(0)
        self._hard_change()

    def vote_for(self, candidate: MemberId) -> None:
        assert self.vote in (NOBODY, candidate)
        if self.vote != candidate:
            self.vote = candidate
            self._hard_change()

    def regained(self) -> None:
        assert self.lost_entries
        self.lost_entries = False
        self._hard_change()

    def _hard_change(self) -> None:
        self.hard_durable = False
        self.hard_changed = True

    # --- the log ---------------------------------------------------------------------------------------------------

    def append_own(self, kind: int, data: bytes) -> Index:
        assert self.role == LEADER
        entry = Entry(self.term, Index(self.log.last_index() + 1), kind, data)
        self.log.append(entry)
        if kind == CONFIG:
            self.push_config(entry.index, decode_config(data))
        self.replicate_due = True
        return entry.index

    def append_received(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.log.append(entry)
            if entry.kind == CONFIG:
                self.push_config(entry.index, decode_config(entry.data))

    def truncate(self, index: Index) -> None:
        """Undoes `index` and all after it, here and in storage."""
        assert index > self.committed, f"committed entry {index} would be truncated"
        self.log.truncate_from(index)
        if index <= self.submitted:
            self.truncate_from = min(self.truncate_from, index) if self.truncate_from else index
            self.submitted = Index(index - 1)
            self.rewrite = self.next_write
        self.persisted = min(self.persisted, Index(index - 1))
        while self.configs[-1][0] >= index:
            self.configs.pop()
            self.set_config(self.configs[-1][1])

    # --- membership ------------------------------------------------------------------------------------------------

    def push_config(self, index: Index, config: Config) -> None:
        assert index > self.configs[-1][0]
        self.configs.append((index, config))
        self.set_config(config)

    def set_config(self, config: Config) -> None:
        self.config = config
        self.out_config_changed = True
        if self.role == LEADER:
            self.match_progress_to_config()

    def match_progress_to_config(self) -> None:
        """One Progress for each other member of the configuration in force."""
        kept = self.progress
        next_index = Index(self.log.last_index() + 1)
        self.progress = {member: kept.get(member) or Progress(next_index) for member in self.config.members() if member != self.member}

    def config_at(self, index: Index) -> tuple[Index, Config]:
        """The configuration in force at an applied index, and where it took effect."""
        for position, config in reversed(self.configs):
            if position <= index:
                return position, config
        raise AssertionError(f"no configuration is known for index {index}")

    def is_voter(self, member: MemberId) -> bool:
        return member in self.config.voters or member in self.config.outgoing

    def may_campaign(self) -> bool:
        """A voter whose removal is not known to be committed still may: the voters that stay may need its longer log."""
        if self.lost_entries or self.stateless or not self.has_state:
            return False
        if self.is_reluctant and self.let_pass < ELECTIONS_LET_PASS:
            return False
        for position, config in reversed(self.configs):
            if self.member in config.voters or self.member in config.outgoing:
                return True
            if position <= self.committed:
                break
        return False

    # --- roles -----------------------------------------------------------------------------------------------------

    def reset_timeout(self) -> None:
        self.elapsed = 0
        if self.config.members() == [self.member]:
            self.timeout = 1  # nobody else could lead or would be disturbed
        else:
            self.timeout = self.rng.randint(self.timing.election_ticks_min, self.timing.election_ticks_max)

    def set_role(self, role: int) -> None:
        if role != self.role:
            self.lose_reads()
            self.out_role_changed = True
            self.role = role

    def set_leader(self, leader: MemberId) -> None:
        if leader != self.leader:
            self.lose_reads()
            self.leader = leader
            self.out_role_changed = True
            if leader != NOBODY:
                self.lost_entries_refusals = {}
                self.let_pass = 0

    def become_follower(self, term: Term, leader: MemberId) -> None:
        if term > self.term:
            self.enter_term(term)
        assert term == self.term
        if self.role == LEADER:
            self._drop_leadership()
        self.set_role(FOLLOWER)
        self.set_leader(leader)
        self.votes = {}
        self.reset_timeout()

    def _drop_leadership(self) -> None:
        self.progress = {}
        self.transferee = NOBODY
        self.replicate_due = False

    def lose_reads(self) -> None:
        """Whoever was to confirm them leads no more, or nobody is known to."""
        for reads in (*[reads for _, _, reads in self.rounds], self.reads_waiting, self.reads_asked):
            self.out_reads_lost.extend([read for read in reads if read >= 0])
        self.rounds = []
        self.reads_waiting = []
        self.reads_asked = []
        self.confirms = {}

    def has_own_term_committed(self) -> bool:
        """Only then does a leader know everything that was committed before it."""
        return self.role == LEADER and self.log.term_at(self.committed) == self.term
