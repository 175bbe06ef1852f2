"""What one member told others and what its disk was told to keep: held against what the disk gives back. The only home of these checks."""

from collections.abc import Sequence

from coordnode.errors import PromiseBroken
from coordnode.ids import NOBODY, Index, MemberId, Term
from coordnode.raft.core import Raft
from coordnode.raft.entry import Entry, HardState, SnapshotMeta
from coordnode.raft.messages import AppendReply, ChunkReply, Message, VoteAsk, VoteReply
from coordnode.raft.ready import Write
from coordnode.storage.recovery import Recovered


class DurableLog:
    """The log as storage said that it is durable; entries up to `base` are in a snapshot."""

    __slots__ = ("base", "entries")

    def __init__(self, base: int, entries: list[Entry]) -> None:
        self.base = base
        self.entries = entries  # entries[i].index == base + 1 + i

    def last_index(self) -> int:
        return self.base + len(self.entries)

    def term_at(self, index: int) -> int | None:
        place = index - self.base - 1
        return self.entries[place].term if 0 <= place < len(self.entries) else None

    def copy(self) -> "DurableLog":
        return DurableLog(self.base, self.entries.copy())

    def truncate_from(self, index: int) -> None:
        del self.entries[max(0, index - self.base - 1) :]

    def reset(self, index: int) -> None:
        self.base = index
        self.entries = []

    def write(self, write: Write) -> None:
        if write.reset_to is not None:
            self.reset(write.reset_to.index)
        if write.truncate_from:
            self.truncate_from(write.truncate_from)
        if write.entries:
            self.entries.extend(write.entries)


class Claims:
    """Of one member, over all of its lives."""

    __slots__ = (
        "_acknowledged",
        "_heard",
        "_log",
        "_member",
        "ever_lost",
        "hard_state",
        "must_regain",
        "must_report",
        "only_copy_rotten",
        "rot_injected",
        "rotten_paths",
        "under_way",
        "votes",
    )

    def __init__(self, member: MemberId) -> None:
        self._member = member
        self._acknowledged = (Term(0), Index(0))  # in which term of this life, and up to where
        self._heard: tuple[Term, MemberId] | None = None  # during a turn: the term, and the leader that it hears, as it began
        self._log = DurableLog(0, [])
        self.hard_state: HardState | None = None  # None: never started
        self.under_way: list[Write] = []  # handed to the disk, not said to be durable
        self.votes: dict[Term, MemberId] = {}  # by term, as its disk was told and said that it is durable
        self.ever_lost = False  # a start found that rot had taken entries
        self.must_regain = 0  # after entries were lost: what was committed when that was found must be here before it votes again
        self.must_report = ""  # a file damaged while the member was down, in bytes that are needed: its next start must name it
        self.only_copy_rotten = False  # both copies of the hard state were damaged: nothing but a refusal can follow
        self.rot_injected = False  # since the last start: less may come back than was kept
        self.rotten_paths: dict[str, None] = {}  # files that were ever damaged: what nobody needs any more stays rotten there

    # --- while it runs ---------------------------------------------------------------------------------------------

    def turn_begins(self, raft: Raft) -> None:
        hears = raft.leader != NOBODY and raft.elapsed < raft.timing.election_ticks_min
        self._heard = (raft.term, raft.leader) if hears else None

    def turn_ended(self) -> None:
        self._heard = None

    def check_pre_vote(self, reply: VoteReply, raft: Raft) -> None:
        """Who hears a leader helps nobody to an election."""
        if self._heard is not None and self._heard[0] == raft.term:
            sentence = f"member {self._member} would vote for member {reply.target}; it hears member {self._heard[1]} lead term {raft.term}"
            raise PromiseBroken("leader-undisturbed", sentence, (reply, self._heard))

    def wrote(self, write: Write, term: Term) -> None:
        """It hands this to its disk, in that term: whose leader counts on what was acknowledged to it."""
        told_in, told = self._acknowledged
        kept = write.truncate_from - 1 if write.truncate_from else write.reset_to.index if write.reset_to is not None else told
        if told_in == term and kept < told:
            raise PromiseBroken(
                "acknowledged-kept",
                f"member {self._member} undoes what follows {kept}; it has acknowledged entries up to {told} in this very term {term}",
                (write.truncate_from, write.reset_to),
            )

    def written(self, writes: Sequence[Write]) -> None:
        """Storage said that these are durable."""
        for write in writes:
            if write.hard_state is not None:
                self._check_vote(write.hard_state)
                self._check_regained(write.hard_state)
                self.hard_state = write.hard_state
                self.votes[write.hard_state.term] = write.hard_state.vote
            self._log.write(write)
        del self.under_way[: len(writes)]

    def _check_vote(self, newer: HardState) -> None:
        older = self.hard_state
        assert older is not None
        if newer.term < older.term:
            raise PromiseBroken("vote-once", f"member {self._member} went back from term {older.term} to {newer.term}", (older, newer))
        if newer.term == older.term and older.vote and newer.vote != older.vote:
            raise PromiseBroken(
                "vote-once", f"member {self._member} voted for {older.vote} and then for {newer.vote} in term {newer.term}", (older, newer)
            )

    def _check_regained(self, newer: HardState) -> None:
        """It takes itself for whole again: nothing may be missing of what others counted on it for."""
        assert self.hard_state is not None
        if self.hard_state.lost_entries and not newer.lost_entries and self._log.last_index() < self.must_regain:
            raise PromiseBroken(
                "regained-before-voting",
                f"member {self._member} counts as whole; its disk has entries up to {self._log.last_index()}, and when it lost some, "
                f"{self.must_regain} was committed",
                (newer, self.must_regain),
            )

    def sent(self, messages: Sequence[Message]) -> None:
        """They leave now: what they rest on must be durable."""
        hard_state = self.hard_state
        assert hard_state is not None
        for message in messages:
            if message.term <= hard_state.term:
                if (type(message) is AppendReply and message.accepted) or (type(message) is ChunkReply and message.installed):
                    self._check_acknowledgement(message)
                elif type(message) is VoteReply and message.granted and not message.pre:
                    self._check_grant(message, hard_state)
                continue
            if isinstance(message, VoteAsk | VoteReply) and message.pre:
                continue  # speaks of a term that nobody has entered
            raise PromiseBroken(
                "hard-state-first",
                f"member {self._member} sent a message of term {message.term}; its disk knows term {hard_state.term}",
                (message, hard_state),
            )

    def _check_grant(self, message: VoteReply, hard_state: HardState) -> None:
        if hard_state.lost_entries:
            raise PromiseBroken(
                "no-vote-without-memory", f"member {self._member} lost entries and votes for {message.target}", (message, hard_state)
            )
        if hard_state.term == message.term and hard_state.vote != message.target:
            raise PromiseBroken(
                "hard-state-first", f"member {self._member} grants {message.target} a vote that is not on its disk", (message, hard_state)
            )

    def _check_acknowledgement(self, message: AppendReply | ChunkReply) -> None:
        if message.match > self._log.last_index():
            raise PromiseBroken(
                "acknowledge-durable",
                f"member {self._member} acknowledged entries up to {message.match}; durable is {self._log.last_index()}",
                (message, self._log.last_index()),
            )
        told_in, told = self._acknowledged
        self._acknowledged = (message.term, max(told, message.match) if told_in == message.term else message.match)

    def holds(self, index: Index, term: Term | None) -> bool:
        """Its disk has that entry, or a snapshot in its place."""
        return index <= self._log.base or (term is not None and self._log.term_at(index) == term)

    def last_index(self) -> int:
        return self._log.last_index()

    def boot(self) -> int:
        return self.hard_state.boot if self.hard_state is not None else 0

    def check_snapshot(self, index: int, term: int) -> None:
        """A snapshot of its own up to there is being made."""
        known = self._log.term_at(index)
        if index > self._log.last_index() or (known is not None and known != term):
            raise PromiseBroken(
                "snapshot-within-persisted",
                f"member {self._member} makes a snapshot up to {index} of term {term}; its durable log ends at {self._log.last_index()}",
                (index, term, known),
            )

    # --- when it starts again --------------------------------------------------------------------------------------

    def refused(self) -> None:
        """It will not start: allowed only where nothing of one kind was left whole."""
        if not self.only_copy_rotten:
            raise PromiseBroken(
                "rot-only-where-injected",
                f"member {self._member} refuses to start, and "
                + ("a single damage was done to its disk" if self.rot_injected else "its disk is whole"),
                self._member,
            )

    def found(self, said: Sequence[str]) -> None:
        """What the first start says of a disk that was damaged while the member was down, whether it succeeds or not."""
        path, self.must_report = self.must_report, ""
        if path and not any(path in line for line in said):
            raise PromiseBroken(
                "rot-is-named", f"member {self._member} starts and says nothing of the damage in {path}", (path, tuple(said))
            )

    def opened(self, recovered: Recovered, committed: int) -> None:
        """What the folder holds must be what was durable, and of what was under way a beginning. `committed`: by anybody, so far."""
        if recovered.lost_entries:
            self.must_regain = committed
        found = recovered.hard_state
        if self.hard_state is not None:
            self._check_hard_state(found)
            if not self.rot_injected:
                self._check_no_rot(recovered)
            if recovered.lost_entries and not found.lost_entries:
                raise PromiseBroken("claims-kept", f"member {self._member} lost entries, and its hard state does not say so", found)
            if not (self.rot_injected and found.lost_entries):
                # With lost entries known, an earlier attempt to start may have found the damage and gone no further.
                self._check_log(recovered)
        base = recovered.snapshot.index if recovered.snapshot is not None else 0
        self.hard_state = found
        self._log = DurableLog(base, list(recovered.entries))
        self.ever_lost = self.ever_lost or found.lost_entries
        self.under_way = []
        self._acknowledged = (Term(0), Index(0))
        self.rot_injected = False

    def _check_hard_state(self, found: HardState) -> None:
        allowed = [self.hard_state, *[write.hard_state for write in self.under_way]]
        for known in allowed:
            if known is not None and (known.term, known.vote) == (found.term, found.vote) and known.lost_entries <= found.lost_entries:
                break
        else:
            raise PromiseBroken(
                "claims-kept",
                f"member {self._member} started with term {found.term}, vote {found.vote}, lost entries: {found.lost_entries}, "
                "which its disk was not told to keep last",
                (found, allowed),
            )
        assert self.hard_state is not None
        if found.boot <= self.hard_state.boot:
            raise PromiseBroken("claims-kept", f"member {self._member} started twice with boot {found.boot}", (found, self.hard_state))

    def _check_no_rot(self, recovered: Recovered) -> None:
        lost_before = self.hard_state is not None and self.hard_state.lost_entries
        new_rot = [line for line in recovered.report if not line.startswith("torn tail") and not self._speaks_of_rot(line)]
        if new_rot or recovered.lost_entries or (recovered.hard_state.lost_entries and not lost_before):
            raise PromiseBroken(
                "rot-only-where-injected", f"member {self._member} reports rot, and its disk is whole", tuple(recovered.report)
            )

    def _speaks_of_rot(self, line: str) -> bool:
        return any(path in line for path in self.rotten_paths)

    def _check_log(self, recovered: Recovered) -> None:
        snapshot, entries = recovered.snapshot, recovered.entries
        base = snapshot.index if snapshot is not None else 0
        state = self._log.copy()
        nearest = state.last_index()
        if _is(state, snapshot, entries):
            return
        for write in self.under_way:
            if write.reset_to is not None:
                state.reset(write.reset_to.index)
                if _is(state, snapshot, entries):
                    return
            if write.truncate_from:
                state.truncate_from(write.truncate_from)
                if _is(state, snapshot, entries):
                    return
            for entry in write.entries:
                state.entries.append(entry)
                if _is(state, snapshot, entries):
                    return
        raise PromiseBroken(
            "claims-kept",
            f"member {self._member} came back with a log of {base + 1}..{base + len(entries)}; durable was up to {nearest}, or it differs",
            (base, entries[-3:], self._log.base, self._log.entries[-3:], tuple(recovered.report)),
        )


def _is(state: DurableLog, snapshot: SnapshotMeta | None, entries: list[Entry]) -> bool:
    """Both speak of the same log, each above its own snapshot."""
    base = snapshot.index if snapshot is not None else 0
    if snapshot is not None and state.term_at(base) not in (None, snapshot.term):
        return not entries  # a received snapshot of another branch was in place: ours cannot have been committed
    if state.last_index() <= base:
        # A received snapshot was in place before the log was told.
        return not entries and (state.last_index() == base or state.base < base)
    if state.last_index() != base + len(entries):
        return False
    floor = max(base, state.base)
    return state.entries[floor - state.base :] == entries[floor - base :]
