"""Rot in one of three members heals without an operator; in two of three the cluster stops, and says what is needed.

In the door a few damages of each kind; COORD_LONG=1 makes it all 200. The counts are printed (pytest -s).
"""

from collections import Counter
from collections.abc import Callable

import pytest

from coordnode.checking.linearizable import Budget
from coordnode.checking.replay import check_store
from coordnode.checking.verdict import PASS
from coordnode.errors import FolderRefused, Rotten
from coordnode.ids import NOBODY, MemberId
from coordnode.replica.needs import needs
from coordnode.simulator import faults, rot
from coordnode.simulator.cluster import Cluster
from coordnode.simulator.member import REFUSED, UP, SimMember
from coordnode.simulator.world import MILLISECOND, SECOND, World
from coordnode.storage.hard_state import HARD_STATE_FILES
from coordnode.storage.identity import IDENTITY_FILE
from coordnode.storage.recovery import Recovered, open_folder
from tests.door import IS_LONG

IDENTITY = "rot in the identity"
DAMAGES = {faults.ROT_RECORD: 50, faults.ROT_HARD_STATE: 50, faults.ROT_SNAPSHOT: 50, faults.ROT_ANYWHERE: 48, IDENTITY: 2}
DAMAGES_OF_A_LIFE = 20  # one after the other in one cluster, each healed before the next
DOOR_SHARE = 16
SEED = 4_200

HEAL_NS_MAX = 20 * SECOND
CONVERGE_NS_MAX = 30 * SECOND
STEP_NS = 100 * MILLISECOND

assert sum(DAMAGES.values()) == 200


class Counts:
    def __init__(self) -> None:
        self.done: dict[str, int] = dict.fromkeys(DAMAGES, 0)
        self.healed: dict[str, int] = dict.fromkeys(DAMAGES, 0)
        self.noticed: dict[str, int] = dict.fromkeys(DAMAGES, 0)  # a start spoke of it
        self.lost_entries = 0  # times in which a voter had to regain entries before it voted again
        self.refused: list[str] = []
        self.operations = 0


class Told(Cluster):
    """Remembers what each member said of its folder when it last started."""

    def __init__(self, seed: int) -> None:
        self.reports: dict[MemberId, list[str]] = {}
        super().__init__(World(seed), members=3, operations_max=0)

    def on_opened(self, member: SimMember, recovered: Recovered) -> None:
        self.reports[member.member] = [line for line in recovered.report if not line.startswith("torn tail")]
        super().on_opened(member, recovered)


def plan() -> list[str]:
    """The kinds of all damages, mixed so that every life has some of each."""
    share = 1 if IS_LONG else DOOR_SHARE
    left = {kind: max(1, count // share) for kind, count in DAMAGES.items()}
    kinds: list[str] = []
    total = sum(left.values())
    for place in range(total):
        # Whichever kind is furthest behind its share.
        kind = max(left, key=lambda kind: left[kind] / max(1, DAMAGES[kind] // share) - place / total * 1e-9)
        left[kind] -= 1
        kinds.append(kind)
    return kinds


def step(cluster: Cluster, duration_ns: int = STEP_NS) -> None:
    cluster.world.run_until(cluster.world.now_ns + duration_ns)


def began(seed: int) -> Told:
    """Three members under load, with a leader and something on their disks."""
    cluster = Told(seed)
    step(cluster, 3 * SECOND)
    assert cluster.settled_config() is not None
    return cluster


def damage(cluster: Told, kind: str, number: int, counts: Counts) -> None:
    victim = cluster.members[MemberId(1 + number % 3)]
    if kind == IDENTITY:
        counts.refused.append(damage_identity(cluster, victim))
        return
    for attempt in range(200):
        # The draw decides whether it is hit while it runs, after a crash, or after a loss of its power.
        if cluster.rot(kind, victim, number + attempt, down_ns=200 * MILLISECOND):
            break
        step(cluster)
    else:
        raise AssertionError(f"member {victim.member} could not be damaged: {kind}")
    deadline_ns = cluster.world.now_ns + HEAL_NS_MAX
    hurt = cluster.damages.hurt
    lost = False
    while victim.member in hurt and cluster.world.now_ns < deadline_ns:
        step(cluster, 10 * MILLISECOND)
        lost = lost or (victim.replica is not None and victim.replica.raft.lost_entries)
    counts.noticed[kind] += bool(cluster.reports[victim.member])
    counts.lost_entries += lost
    counts.healed[kind] += victim.member not in hurt and victim.state == UP


def damage_identity(cluster: Cluster, victim: SimMember) -> str:
    """No member can know whose folder it is when the folder does not say so: an operator has to."""
    chance = cluster.world.stream("identity")
    victim.crash(power=True)
    hit = rot.rot_identity(victim.disk, chance)
    assert hit.path == IDENTITY_FILE
    with pytest.raises(FolderRefused) as refused:
        open_folder(victim.disk, victim.identity, cluster.wal_settings)
    recovered = open_folder(victim.disk, victim.identity, cluster.wal_settings, adopt=True)
    assert not recovered.lost_entries
    victim.disk.crash(chance)
    victim.claims.rot_injected = True  # it was opened by hand: what it finds now is not what the last life left
    victim.start()
    step(cluster, SECOND)
    return refused.value.sentence


def must_be_right(cluster: Cluster) -> None:
    """The clients end, everybody has all, and the whole history is one that a single copy could have given."""
    cluster.workload.stop()
    deadline_ns = cluster.world.now_ns + CONVERGE_NS_MAX
    while why := cluster.why_not_converged():
        assert cluster.world.now_ns < deadline_ns, why
        step(cluster)
    for member in cluster.belonging():
        assert member.replica is not None
        cluster.checks.compare_whole(member.replica)
    verdict = check_store(cluster.recording.history(), Budget(), complete=True)
    assert verdict.outcome == PASS, verdict.reason


def test_damages_of_live_bytes_in_one_of_three_members(figure: Callable[[str], None]) -> None:
    """Never wrong data, never a lost entry voted away: the checks of the simulator look after each turn of each member."""
    counts = Counts()
    kinds = plan()
    for life, first in enumerate(range(0, len(kinds), DAMAGES_OF_A_LIFE)):
        cluster = began(SEED + life)
        for number, kind in enumerate(kinds[first : first + DAMAGES_OF_A_LIFE], start=first):
            damage(cluster, kind, number, counts)
            counts.done[kind] += 1
        must_be_right(cluster)
        counts.operations += cluster.workload.begun
    healed = sum(counts.healed.values())
    for kind, done in counts.done.items():
        figure(f"{kind}: {done} done, {counts.noticed[kind]} noticed at a start, {counts.healed[kind]} healed without an operator")
    figure(f"{len(kinds)} damages, {healed} healed, {len(counts.refused)} refused; entries lost and regained {counts.lost_entries} times")
    figure(f"{counts.operations} client operations, all explained; refused: {counts.refused[0]}")
    assert healed + len(counts.refused) == len(kinds)
    assert counts.lost_entries, "no damage hit what was needed"
    for sentence in counts.refused:
        assert IDENTITY_FILE in sentence
        assert "offset 0" in sentence
        assert "adopt" in sentence
    if IS_LONG:
        assert len(kinds) == 200
        assert healed >= 0.99 * len(kinds)


# --- two of three ----------------------------------------------------------------------------------------------------


def stop_all(cluster: Cluster) -> list[SimMember]:
    members = list(cluster.members.values())
    for member in members:
        member.crash(power=False)
        member.disk.settle()
    return members


def acknowledged(cluster: Cluster) -> int:
    return int(cluster.reference.applied)


@pytest.mark.parametrize("seed", range(SEED, SEED + (6 if IS_LONG else 2)))
def test_two_of_three_with_lost_entries_elect_nobody_and_say_what_is_needed(seed: int, figure: Callable[[str], None]) -> None:
    cluster = began(seed)
    chance = cluster.world.stream("two of three")
    one, two, whole = stop_all(cluster)
    committed = acknowledged(cluster)
    for member in (one, two):
        member.claims.rot_injected = True
        rot.rot_last_record(member.disk, member.identity, chance)
    for member in (one, two, whole):
        member.start()
    step(cluster, 2 * SECOND)
    said: Counter[str] = Counter()
    for _ in range(150):
        step(cluster)
        assert cluster.leading() is None, "a leader that two amnesiacs elected may lack what was acknowledged"
        assert whole.replica is not None
        said.update(needs(whole.replica))
    assert acknowledged(cluster) == committed
    for member in (one, two):
        assert member.replica is not None
        assert member.replica.raft.lost_entries
        (sentence,) = needs(member.replica)
        assert "gives no vote until a leader has told it what was committed" in sentence
    assert whole.replica is not None
    last = whole.replica.raft.log.last_index()
    ((sentence, times),) = said.most_common(1)
    assert times > 100, f"it is said all the time, but while an election asks anew: {said}"
    figure(sentence)
    assert f"members {one.member} and {two.member} lost log entries" in sentence
    assert f"member {whole.member} alone cannot form a majority of 3 voters" in sentence
    assert "restore from a backup, or accept the loss by name" in sentence
    assert f"whole up to entry {last} of term" in sentence
    assert last >= committed


def test_one_of_three_with_lost_entries_waits_for_the_two_others() -> None:
    """While the third is down the whole member cannot be elected; it says whom it needs, and then all comes right."""
    cluster = began(SEED)
    damaged, down, whole = stop_all(cluster)
    damaged.claims.rot_injected = True
    rot.rot_last_record(damaged.disk, damaged.identity, cluster.world.stream("one of three"))
    damaged.start()
    whole.start()
    step(cluster, 2 * SECOND)
    said: Counter[str] = Counter()
    for _ in range(50):
        step(cluster)
        assert cluster.leading() is None
        assert whole.replica is not None
        said.update(needs(whole.replica))
    ((sentence, times),) = said.most_common(1)
    assert times > 30
    assert f"member {damaged.member} lost log entries" in sentence
    assert f"the votes of members {down.member} and {whole.member}" in sentence
    down.start()
    step(cluster, 5 * SECOND)
    for member in (damaged, down, whole):
        assert member.replica is not None
        assert member.replica.raft.leader != NOBODY
        assert needs(member.replica) == []
    must_be_right(cluster)


def test_two_of_three_without_hard_state_are_refused_with_file_offset_and_remedy() -> None:
    cluster = began(SEED)
    chance = cluster.world.stream("two of three")
    one, two, whole = stop_all(cluster)
    committed = acknowledged(cluster)
    for member in (one, two):
        member.claims.rot_injected = member.claims.only_copy_rotten = True
        for path in HARD_STATE_FILES:
            member.disk.rot(path, chance.randrange(64), chance)
        with pytest.raises(Rotten) as refused:
            open_folder(member.disk, member.identity, cluster.wal_settings)
        for path in HARD_STATE_FILES:
            assert f"{path} at offset 0" in refused.value.sentence
        assert "remove it from the cluster and add it under a new id" in refused.value.sentence
    for member in (one, two, whole):
        member.start()
    for _ in range(100):
        step(cluster)
        assert cluster.leading() is None
    assert (one.state, two.state, whole.state) == (REFUSED, REFUSED, UP)
    assert acknowledged(cluster) == committed
