"""One member: what happened goes in, what is to be done comes out. Pure.

handle   asks ─→ clients ─→ one batch ─→ raft ─→ effects (send, write); messages, finished writes ─→ raft
apply    committed entries ─→ machine ─→ clients ─→ effects (answers, snapshot work)

A turn has both steps, so that messages and the write leave before what was committed is applied: nobody waits for our machine.
"""

import random
from collections import deque

from coordnode.errors import RecordError
from coordnode.ids import NOBODY, Index, MemberId
from coordnode.limits import BLOBS_UNWRITTEN_BYTES_MAX
from coordnode.raft import snapshots
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, NOOP, Entry, HardState, SnapshotMeta, decode_config
from coordnode.raft.messages import Append, DigestReport, Heal, Heartbeat, Message
from coordnode.raft.ready import Ready
from coordnode.raft.state import LEADER
from coordnode.raft.successor import other_voters
from coordnode.replica.agreement import AGREE, NOBODY_KNOWS, WE_DIFFER, Agreement
from coordnode.replica.clients import Clients
from coordnode.replica.clock import Clock
from coordnode.replica.config import FOR_SLOW_MEMBERS, ReplicaConfig
from coordnode.replica.effects import Effects, StoreChunk
from coordnode.replica.events import Events, RecordsFound
from coordnode.replica.giving_up import GivingUp, can_go_on_without
from coordnode.replica.known import NOTHING, Known
from coordnode.replica.snapshotting import SnapshotMaker
from coordnode.replica.yielding import Yielding
from coordnode.services.commands import decode_batch
from coordnode.services.context import Wait
from coordnode.services.machine import Machine, Restorer
from coordnode.services.work import BYTES_WEIGHT

SNAPSHOT_RETRY_MS = 5_000  # after one could not be made, most likely because the disk is full


class Replica:
    def __init__(
        self,
        *,
        member: MemberId,
        config: ReplicaConfig,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: list[Entry],
        commit_hint: Index,
        rng: random.Random,
        supported_level: int,
        known: Known = NOTHING,
    ) -> None:
        """`known`: what an earlier life had come to."""
        self.member = member
        self.config = config
        self.raft = Raft(
            member=member,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            commit_hint=commit_hint,
            timing=config.timing,
            rng=rng,
        )
        self.raft.level_max = supported_level
        self.raft.has_state = False
        self._clock = Clock(config.tick_ms)
        self.clients = Clients(self.raft, self._clock, config)
        self.machine: Machine | None = None  # None: no state yet, or it is being rebuilt
        self.applied = Index(0)

        self._supported_level = supported_level
        self._restoring: SnapshotMeta | None = snapshot  # read back at the first turn
        self._restorer: Restorer | None = None
        self._load_due = snapshot is not None
        self._to_apply: deque[Entry] = deque()
        self._maker = SnapshotMaker()
        self._agreement = Agreement()
        self._yielding = Yielding(self.raft)
        self._giving_up = GivingUp(self.raft)
        self._reported = Index(0)
        self._report_ticks = 0  # since we reported it
        self._known = known
        self._unproven = known.applied > 0  # whether the state has not come as far again yet
        self._effects = Effects()  # of the turn under way
        self._ticked = False
        self._gives_up = ""  # why our state is to be regained from others: said once this turn's messages and write are on their way
        self._unwritten = 0  # bytes of journals that were handed on, less those that are written
        self._written = 0

    # --- one turn --------------------------------------------------------------------------------------------------

    def handle(self, events: Events) -> Effects:
        """What happened. The driver carries the effects out as far as they go; then `apply` adds the rest."""
        effects = self._effects = Effects()
        raft = self.raft
        clients = self.clients
        self._clock.advance(events.now_ms, events.wall_ms, stands_still=self._yielding.stands_still())
        if self._load_due:
            self._load_due = False
            effects.load_snapshot = self._restoring
        if events.space_ok is not None:
            raft.space_ok = events.space_ok
        if events.persisted is not None:
            raft.on_persisted(events.persisted.write_id, events.persisted.term, events.persisted.index)
        for message in events.messages:
            self._on_message(message)
        for member in events.peers_gone:
            raft.on_peer_gone(member)
        if events.ticked:
            self._on_tick()
        if events.has_snapshot_news():
            self._on_snapshot_events(events)
        if events.blobs_written is not None:
            self._unwritten -= events.blobs_written.total - self._written
            self._written = events.blobs_written.total
        for found in events.records_found:
            self._on_records_found(found)
        for connection, caller in events.opened:
            clients.on_opened(connection, caller)
        clients.on_asks(events.asks)
        if events.closed:
            clients.on_closed(events.closed)
        clients.flush()
        self._carry(raft.ready())
        effects.failed = self._giving_up.take_due()
        return effects

    def _on_tick(self) -> None:
        raft, clients = self.raft, self.clients
        self._ticked = True
        raft.tick()
        if raft.has_just_checked_quorum():
            clients.reading.on_quorum(serves=clients.serving)
        waits = self.machine is not None and (bool(self._to_apply) or self._unwritten > BLOBS_UNWRITTEN_BYTES_MAX)
        self._yielding.on_tick(waits=waits, applied=self.applied, written=self._written, serving=clients.serving)
        self._giving_up.on_tick()
        if clients.serving and raft.role == LEADER:
            clients.tick(stands_still=self._yielding.stands_still())

    def apply(self) -> None:
        """What is committed; fills in what is left of the effects that `handle` returned."""
        effects = self._effects
        clients = self.clients
        if self._to_apply:
            self._apply_committed()
        if self._unproven:
            self._compare_with_known()
        if clients.has_to_serve():
            clients.serve()
            effects.again = effects.again or clients.has_more_to_serve()
        if self._ticked:
            self._ticked = False
            self._report_digest()
        self._maybe_snapshot()
        effects.failed = effects.failed or self._gives_up
        if clients.fetching.wanted:
            effects.read_records, clients.fetching.wanted = clients.fetching.wanted, []
        effects.to_clients = clients.answers.take()
        effects.looked_bytes = clients.answers.take_looked_bytes()

    def _carry(self, ready: Ready) -> None:
        """Hands on what raft wants done."""
        effects = self._effects
        clients = self.clients
        effects.send_now = ready.send_now
        effects.write = ready.write
        effects.read_chunks = ready.chunks_wanted
        if ready.chunk_received:
            effects.store_chunks = [StoreChunk(*received) for received in ready.chunk_received]
        if ready.role_changed:
            self._agreement.forget_reports()
            self._reported = Index(0)
            clients.on_role_changed()
        for read in ready.reads_lost:
            clients.on_read_lost(read)
        if ready.restore is not None:
            self._begin_restore(ready.restore)
        if ready.committed:
            self._to_apply.extend(ready.committed)
        for read, index in ready.reads:
            clients.on_read_confirmed(read, index)

    # --- applying --------------------------------------------------------------------------------------------------

    def _apply_committed(self) -> None:
        """Committed entries, in order, as many as one turn should carry; none while the disk is too far behind."""
        machine = self.machine
        if machine is None or self._unwritten > BLOBS_UNWRITTEN_BYTES_MAX:
            return
        to_apply = self._to_apply
        work, until = 0, machine.work + self.config.apply_work_per_turn
        while to_apply and machine.work + work < until:
            entry = to_apply.popleft()
            assert entry.index == self.applied + 1, f"entry {entry.index} follows applied {self.applied}"
            try:
                self._apply_entry(machine, entry)
            except Exception as error:
                error.add_note(f"while applying entry {entry.index} of term {entry.term} on member {self.member}")
                raise
            work += 1 + len(entry.data) // BYTES_WEIGHT
            if entry.index % machine.settings.digest_every == 0:
                self._agreement.checkpoint(entry.index, machine.digest)
        if to_apply:
            self._effects.again = True
        self._effects.store_blobs = blobs = machine.take_blobs()
        if blobs:
            self._unwritten += sum([blob.size() for blob in blobs])

    def _apply_entry(self, machine: Machine, entry: Entry) -> None:
        self.applied = entry.index
        clients = self.clients
        if entry.kind == BATCH:
            proposal = clients.take_proposal(entry.index, entry.data)
            if proposal is None:
                machine.apply(entry.index, entry.term, decode_batch(entry.data))
            else:
                clients.on_applied(proposal, machine.apply(entry.index, entry.term, proposal.batch))
            return
        machine.skip(entry.index)
        if entry.kind != NOOP:
            clients.on_config_applied(entry.index, decode_config(entry.data))
        elif self.raft.role == LEADER and entry.term == self.raft.term:
            clients.begin_serving()

    def known(self) -> Known:
        """For the next start."""
        return self._known if self.machine is None or self._unproven else Known(self.applied, self.machine.revision)

    def _compare_with_known(self) -> None:
        """The revision never decreases, not by a restart either: what is served must have come at least as far as once before."""
        known = self._known
        machine = self.machine
        if machine is None or self.applied < known.applied:
            return
        if machine.revision >= known.revision:
            self._unproven = False
        else:
            self._effects.failed = (
                f"the state at index {self.applied} is of revision {machine.revision}, and this member once had "
                f"revision {known.revision} at index {known.applied}"
            )

    # --- peers -----------------------------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        raft = self.raft
        if isinstance(message, Heartbeat):
            raft.step(message)
            if message.current:
                self._note_current(message)
        elif isinstance(message, Append):
            raft.step(message)
            if message.commit <= raft.committed:
                self._note_current(message)
        elif isinstance(message, DigestReport):
            self._on_digest_report(message)
        elif isinstance(message, Heal):
            is_leaders = message.term == raft.term and message.source == raft.leader
            if is_leaders and self._agreement.own(message.index) == message.digest:
                self._gives_up = f"our state at index {message.index} is not the majority's"
        else:
            raft.step(message)

    def _note_current(self, message: Message) -> None:
        """The leader's own word that everything committed is here."""
        raft = self.raft
        if message.source == raft.leader and message.term == raft.term:
            self.clients.reading.on_current()

    def _on_digest_report(self, message: DigestReport) -> None:
        raft = self.raft
        if raft.role == LEADER and message.term == raft.term:
            self._agreement.report(message.source, message.index, message.digest)
            self._judge(message.index)

    def longest_wait(self) -> Wait | None:
        """On the leader, whose clock counts."""
        return self.machine.longest_wait(self.clients.cluster_ms()) if self.machine is not None else None

    def checkpoint(self) -> tuple[Index, int | None]:
        """The newest index at which members compare their states, and our digest there; None: not reached since the start."""
        newest = self._agreement.newest
        return newest, self._agreement.own(newest)

    def _report_digest(self) -> None:
        """Again and again: a report, or the word that answers it, may be lost, and the next checkpoint may be days away."""
        raft = self.raft
        newest = self._agreement.newest
        digest = self._agreement.own(newest)
        if digest is None or raft.leader == NOBODY or not raft.hard_durable:
            return
        if newest <= self._reported and self._report_ticks * self.config.tick_ms < self.config.report_again_ms:
            self._report_ticks += 1
            return
        self._reported = newest
        self._report_ticks = 0
        if raft.role == LEADER:
            self._judge(newest)
        else:
            self._send(DigestReport(self.member, raft.leader, raft.boot, raft.term, newest, digest))

    def _send(self, message: Message) -> None:
        self._effects.send_applied = [*self._effects.send_applied, message]

    def _judge(self, index: Index) -> None:
        raft = self.raft
        verdict, wrong = self._agreement.judge(index, self.member, raft.config.voters)
        if verdict == WE_DIFFER:
            self._yielding.differs = True
            self._giving_up.on_differs(f"our state at index {index} is not the majority's", [member for member, _ in wrong])
        elif verdict == AGREE and wrong:
            # Without their entries they would vote for nobody: told again later, if the others cannot go on without them now.
            healed = wrong if can_go_on_without(raft, [member for member, _ in wrong]) else []
            for member, digest in healed:
                self._send(Heal(self.member, member, raft.boot, raft.term, index, digest))
        elif verdict == NOBODY_KNOWS:
            self.clients.stopped_at = max(self.clients.stopped_at, index)
        elif index > self.clients.stopped_at:
            self.clients.stopped_at = Index(0)

    # --- rot in what the state stands on ---------------------------------------------------------------------------

    def _on_records_found(self, found: RecordsFound) -> None:
        if found.is_rotten:
            self._on_rot(found.problem)
        self.clients.fetching.on_found(found, can_heal=bool(other_voters(self.raft)))

    def _on_rot(self, problem: str) -> None:
        self._giving_up.on_rot(problem)

    # --- snapshots -------------------------------------------------------------------------------------------------

    def _on_snapshot_events(self, events: Events) -> None:
        raft = self.raft
        maker = self._maker
        if events.slice_stored is not None:
            maker.on_slice_stored(events.slice_stored.number)
        if events.snapshot_failed is not None:
            maker.abandon()
            maker.not_before_ms = self._clock.now_ms + SNAPSHOT_RETRY_MS
        if events.snapshot_stored is not None:
            meta = events.snapshot_stored.meta
            maker.abandon()
            keep_from = raft.log.first_within(self.config.snapshot_log_bytes // 2, meta.index)
            keep_from = max(keep_from, Index(meta.index - self.config.keep_entries + 1))
            keep_from = min(keep_from, max(snapshots.needed_from(raft), self._kept_at_most(meta.index)))
            raft.compact(meta, keep_from)
            self._effects.release_before = keep_from
        for chunk in events.chunks_read:
            if chunk.rotten:
                self._on_rot(chunk.rotten)
                continue
            if not chunk.found and raft.snapshot == chunk.meta:
                maker.due = True
            raft.on_chunk_read(chunk.target, chunk.meta, chunk.number, chunk.last, chunk.data, chunk.found)
        for stored in events.chunks_stored:
            raft.on_chunk_stored(stored.source, stored.meta, stored.next_number, stored.complete)
        loaded = events.snapshot_loaded
        if loaded is not None and loaded.meta == self._restoring:
            self._on_slices_loaded(loaded.slices, last=loaded.last)

    def _maybe_snapshot(self) -> None:
        """Begins a snapshot when one is due, and hands over the next slice when the last one is synced."""
        machine = self.machine
        maker = self._maker
        if machine is None:
            return
        if maker.is_idle():
            if not self._snapshot_is_due() or self.applied > self.raft.persisted:
                return
            index = self.applied
            term = self.raft.log.term_at(index)
            assert term is not None
            config_index, config = self.raft.config_at(index)
            # The chain is storage's knowledge: it fills it in.
            maker.begin(SnapshotMeta(index, term, self.member, 0, config, config_index), machine.snapshot())
        self._effects.store_slice = maker.take_slice()

    def _snapshot_is_due(self) -> bool:
        raft, config, maker = self.raft, self.config, self._maker
        newest = raft.snapshot.index if raft.snapshot is not None else Index(0)
        entries, log_bytes = self.applied - newest, raft.log.bytes_after(newest)
        if not maker.due and 2 * entries < config.snapshot_entries and 2 * log_bytes <= config.snapshot_log_bytes:
            return False  # as in most turns
        if entries < 0 or self._clock.now_ms < maker.not_before_ms:
            return False
        if maker.due or entries == 0 or not self._is_long(entries, log_bytes):
            return maker.due
        # Whoever is being given the last one needs the log behind it: a third would be made, and the first gone, before it has it whole.
        is_very_long = entries > FOR_SLOW_MEMBERS * config.snapshot_entries or log_bytes > FOR_SLOW_MEMBERS * config.snapshot_log_bytes
        return is_very_long or not snapshots.is_sending(raft)

    def _kept_at_most(self, index: Index) -> Index:
        """One more of the bounds than after which a snapshot is made at any rate: it is made later than that, and whoever is being given
        the one before needs all that lies between."""
        config = self.config
        bounds = FOR_SLOW_MEMBERS + 1
        by_bytes = self.raft.log.first_within(bounds * config.snapshot_log_bytes, index)
        return max(by_bytes, Index(index - bounds * config.snapshot_entries + 1))

    def _is_long(self, entries: int, log_bytes: int) -> bool:
        """Members make their snapshots after different shares of the bounds, from more than a half to all: one that is slower for it
        finds the others, who are a quorum, at their usual speed."""
        config = self.config
        members = self.raft.config.members()
        count = len(members)
        share = count + 1 + members.index(self.member) if self.member in members else 2 * count
        return 2 * count * entries >= share * config.snapshot_entries or 2 * count * log_bytes > share * config.snapshot_log_bytes

    def _begin_restore(self, meta: SnapshotMeta) -> None:
        self._set_machine(None)
        self._yielding.differs = False
        self.applied = Index(0)
        self._to_apply.clear()
        self._maker.abandon()
        self._restorer = None
        self._restoring = meta
        self._effects.load_snapshot = meta

    def _on_slices_loaded(self, slices: list[bytes], *, last: bool) -> None:
        meta = self._restoring
        assert meta is not None
        if self._restorer is None:
            self._restorer = Restorer(self._supported_level)
        try:
            for data in slices:
                self._restorer.feed(data)
            if not last:
                return
            machine = self._restorer.finish()
        except RecordError as error:
            self._effects.failed = f"the snapshot at index {meta.index} cannot be read back: {error.sentence}"
            return
        assert machine.applied == meta.index
        self._set_machine(machine)
        self.applied = meta.index
        self._restorer = None
        self._restoring = None

    def _set_machine(self, machine: Machine | None) -> None:
        self.machine = machine
        self.clients.machine = machine
        self.raft.has_state = machine is not None
