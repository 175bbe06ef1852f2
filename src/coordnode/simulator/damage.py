"""Which members are hurt by rot and not healed yet: keeps the damage to a minority, and sees it heal."""

from typing import Protocol

from coordnode.ids import MemberId
from coordnode.raft.entry import Config
from coordnode.services.commands import Outcome
from coordnode.services.requests import REPLIES_ID
from coordnode.services.tables import Table
from coordnode.simulator import faults, marks, rot
from coordnode.simulator.checks import Checks
from coordnode.simulator.marks import Marks
from coordnode.simulator.member import DOWN, UP, SimMember
from coordnode.simulator.rot import Hit
from coordnode.simulator.world import MILLISECOND, World
from coordnode.storage.hard_state import HARD_STATE_FILES
from coordnode.storage.journals import blob_path
from coordnode.storage.recovery import Recovered

HEALED_MARKS = {
    faults.ROT_RECORD: marks.ROT_LAST_RECORD_HEALED,
    faults.ROT_HARD_STATE: marks.ROT_HARD_STATE_HEALED,
    faults.ROT_SNAPSHOT: marks.ROT_SNAPSHOT_HEALED,
}


FLIPPED = b"\xfeflipped"  # no request id and no nonce
LOOK_EVERY_NS = 200 * MILLISECOND
FALLS_AGAIN_NS_MIN = 5 * MILLISECOND
FALLS_AGAIN_NS_SPREAD = 200 * MILLISECOND


class Hurt:
    __slots__ = ("found", "kind", "lives")

    def __init__(self, kind: str, lives: int) -> None:
        self.kind = kind
        self.lives = lives  # which of its lives it was in
        self.found = False  # a start since then said so


class Site(Protocol):
    world: World
    marks: Marks
    checks: Checks

    def settled_config(self) -> Config | None: ...

    def is_changing(self) -> bool: ...


class Damages:
    def __init__(self, site: Site) -> None:
        self.hurt: dict[MemberId, Hurt] = {}
        self._site = site
        self._chance = site.world.stream("rot")
        self._look_again_ns = 0

    def rot(self, kind: str, victim: SimMember, draw: int, down_ns: int) -> bool:
        """In a running member, found at its next start; or in one that is down just then. Either way it starts again soon."""
        if not victim.is_serving() or not self._may_hurt(victim.member, lasting=kind == faults.HARD_STATE_LOST):
            return False
        if draw % 2:
            victim.crash(power=draw % 4 == 3)
        hit = self._hit(kind, victim)
        if hit is None:
            self._site.world.after(down_ns, victim.start)
            return False
        self.hurt[victim.member] = Hurt(kind, victim.lives)
        victim.claims.rot_injected = True
        victim.claims.rotten_paths[hit.path] = None
        if kind == faults.HARD_STATE_LOST:
            victim.claims.only_copy_rotten = True
        elif draw % 2 and hit.target != "newest snapshot":  # there it may be padding, which holds nothing
            victim.claims.must_report = hit.path
        self._site.world.after(down_ns, self._start_again, victim)
        if draw % 3 == 0:
            self._site.world.after(down_ns + FALLS_AGAIN_NS_MIN + draw % FALLS_AGAIN_NS_SPREAD, self._fall_again, victim)
        return True

    def flip_state(self, victim: SimMember) -> bool:
        """A row that no client ever asks for: only the digest can tell."""
        checks, replica = self._site.checks, victim.replica
        machine = replica.machine if replica is not None else None
        config = self._site.settled_config()
        if machine is None or config is None or len(config.voters) < 3 or victim.member not in config.voters:
            return False
        if self.hurt or checks.flipped or victim.leads() or self._site.is_changing():
            return False
        replies = machine.containers[REPLIES_ID]
        assert isinstance(replies, Table)
        replies.set(FLIPPED, Outcome(0, 0, b""))
        checks.flipped[victim.member] = int(machine.applied)
        self.hurt[victim.member] = Hurt(faults.STATE_FLIPPED, victim.lives)  # it will set all aside, and then needs the others
        return True

    def rot_journal(self, victim: SimMember, draw: int) -> bool:
        """Not found by a start: until the blob is whole again or gone, nobody else is hurt."""
        replica = victim.replica
        config = self._site.settled_config()
        if replica is None or replica.machine is None or config is None or len(config.voters) < 3 or self._site.is_changing():
            return False
        if self.hurt or self._site.checks.flipped or victim.member not in config.voters:
            return False
        victim.disk.settle()
        blob = rot.rot_blob(victim.disk, replica.machine.blobs(), self._chance)
        if blob:
            victim.rotten[blob] = None
            self.hurt[victim.member] = Hurt(faults.ROT_JOURNAL, victim.lives)
        return bool(blob)

    def _look_at_journals(self, member: SimMember) -> None:
        replica = member.replica
        if replica is None or replica.machine is None or self._site.world.now_ns < self._look_again_ns:
            return
        self._look_again_ns = self._site.world.now_ns + LOOK_EVERY_NS
        known = {blob.id: blob for blob in replica.machine.blobs()}
        for number in list(member.rotten):
            is_whole = number in known and rot.is_blob_whole(member.disk, known[number])
            if is_whole or not member.disk.exists(blob_path(number)):  # a snapshot may list it for longer than the state
                del member.rotten[number]
        if not member.rotten and not replica.raft.lost_entries and replica.raft.hard_durable:
            del self.hurt[member.member]

    def _start_again(self, victim: SimMember) -> None:
        hurt = self.hurt.get(victim.member)
        if hurt is not None and hurt.lives == victim.lives and victim.state != DOWN:
            victim.crash(power=False)
        victim.start()

    def _fall_again(self, victim: SimMember) -> None:
        """What it found out in its last start it must know in the next one, too."""
        if victim.member in self.hurt and victim.is_up():
            victim.crash(power=True)
            victim.start()

    def _may_hurt(self, member: MemberId, *, lasting: bool) -> bool:
        """Only while the configuration is settled, and then at most a minority of its voters at a time."""
        config = self._site.settled_config()
        if config is None or self._site.is_changing() or member in self.hurt or member not in config.members():
            return False
        flipped = self._site.checks.flipped
        if member in flipped:
            return False
        hurt = len([voter for voter in config.voters if voter in self.hurt or voter in flipped])
        if member in config.voters:
            hurt += 1
        elif self.hurt:
            return False
        voters = len(config.voters)
        # A lost hard state takes the voter away for good: two must remain that can let a new one in.
        return 2 * hurt < voters and not (lasting and (voters < 3 or self.hurt))

    def _hit(self, kind: str, victim: SimMember) -> Hit | None:
        disk, identity, chance = victim.disk, victim.identity, self._chance
        disk.settle()  # only what is durable rots
        if kind == faults.ROT_RECORD:
            return rot.rot_last_record(disk, identity, chance)
        if kind == faults.ROT_HARD_STATE:
            return rot.rot_hard_state(disk, chance)
        if kind == faults.ROT_SNAPSHOT:
            return rot.rot_newest_snapshot(disk, chance)
        if kind == faults.ROT_ANYWHERE:
            return rot.rot_anywhere(disk, identity, chance)
        assert kind == faults.HARD_STATE_LOST
        for path in HARD_STATE_FILES:
            disk.rot(path, int(chance.random() * 64), chance)
        return Hit("hard state", HARD_STATE_FILES[0], 0)

    def forget(self, member: MemberId) -> None:
        """It is no member any more."""
        self.hurt.pop(member, None)

    def on_opened(self, member: SimMember, recovered: Recovered) -> None:
        hurt = self.hurt.get(member.member)
        if hurt is None or member.lives == hurt.lives:
            return
        if hurt.kind == faults.ROT_HARD_STATE:
            hurt.found = any("hard_state" in line for line in recovered.report)
        elif hurt.kind == faults.ROT_SNAPSHOT:
            hurt.found = any(line.startswith("rot in snapshots") for line in recovered.report)
        else:
            hurt.found = bool(recovered.rot) or recovered.lost_entries

    def look(self, member: SimMember) -> None:
        """After one of its turns: it is healed once it started since, has its state, and regained what it lost."""
        hurt = self.hurt.get(member.member)
        if hurt is not None and hurt.kind == faults.ROT_JOURNAL:
            self._look_at_journals(member)
            return
        if hurt is None or member.lives == hurt.lives or member.state != UP:
            return
        replica = member.replica
        if replica is None or replica.machine is None or replica.raft.lost_entries or not replica.raft.hard_durable:
            return
        del self.hurt[member.member]
        mark = HEALED_MARKS.get(hurt.kind)
        if hurt.found and mark is not None:
            self._site.marks.reach(mark)
