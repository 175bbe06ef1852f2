"""Small cores driven by hand: member 1 is ours, the others are played by the test."""

import random

from coordnode.ids import NOBODY, Index, MemberId, Term
from coordnode.raft.core import Raft
from coordnode.raft.entry import BATCH, Config, Entry, HardState, SnapshotMeta
from coordnode.raft.messages import AppendReply, Message, VoteReply
from coordnode.raft.ready import Ready
from coordnode.raft.state import FOLLOWER, LEADER, Timing

ONE, TWO, THREE = MemberId(1), MemberId(2), MemberId(3)
TIMING = Timing()


def snapshot_of(*voters: MemberId, index: int = 1, term: int = 1, author: MemberId = ONE) -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), author, 0, Config(voters=voters), Index(1))


def batch(term: int, index: int) -> Entry:
    return Entry(Term(term), Index(index), BATCH, b"%d of term %d" % (index, term))


def core(
    snapshot: SnapshotMeta | None,
    entries: list[Entry] | None = None,
    *,
    term: int = 1,
    lost_entries: bool = False,
    commit_hint: int = 0,
) -> Raft:
    return Raft(
        member=ONE,
        hard_state=HardState(Term(term), NOBODY, 1, lost_entries),
        snapshot=snapshot,
        entries=entries or [],
        commit_hint=Index(commit_hint),
        timing=TIMING,
        rng=random.Random(1),
    )


def turn(raft: Raft) -> tuple[list[Message], Ready]:
    """One turn on a disk that is done at once: what left, and the Ready."""
    ready = raft.ready()
    left = list(ready.send_now)
    if ready.write is not None:
        left += ready.write.send_after
        raft.on_persisted(ready.write.write_id, ready.write.last_term, ready.write.last_index)
    return left, ready


def stand(raft: Raft) -> None:
    """Waits until member 1 asks whether it could be elected."""
    for _ in range(raft.timing.election_ticks_max):
        if raft.role != FOLLOWER:
            break
        raft.tick()
    assert raft.role != FOLLOWER, "it does not stand for election"


def elect(raft: Raft, *, votes_of: tuple[MemberId, ...] = (TWO,), boot: int = 1) -> None:
    """Makes member 1 the leader; its first entry is durable here and sent."""
    stand(raft)
    for pre in (True, False):
        turn(raft)
        for voter in votes_of:
            raft.step(VoteReply(voter, ONE, boot, Term(raft.term + pre), pre, True, False))
    assert raft.role == LEADER
    turn(raft)


def accepted(raft: Raft, source: MemberId, match: int, *, boot: int = 1, round: int = 0) -> AppendReply:
    return AppendReply(source, ONE, boot, raft.term, True, Index(match), Index(0), Term(0), round, True, 1)


def acknowledge(raft: Raft, source: MemberId, *, boot: int = 1) -> None:
    """The peer has everything."""
    raft.step(accepted(raft, source, raft.log.last_index(), boot=boot))
    turn(raft)
