"""Read rounds: proof that this leader still led after the reads arrived. Many reads share one round. Pure.

A round is named by (term, counter). It begins after the reads that wait for it arrived, because the counter is raised
first and only messages sent later carry it; whoever echoes it was in our term after that moment.
"""

from coordnode.ids import MemberId
from coordnode.raft.messages import ConfirmReply, Heartbeat
from coordnode.raft.quorum import quorum_value
from coordnode.raft.state import LEADER, State


def ask(raft: State, read: int) -> None:
    assert raft.role == LEADER
    raft.reads_waiting.append(read)


def ask_confirmation(raft: State, member: MemberId, boot: int) -> None:
    """A member that lost entries wants to know how far it must come."""
    read = raft.next_confirm
    raft.next_confirm -= 1
    raft.confirms[read] = (member, boot)
    raft.reads_waiting.append(read)


def maybe_begin_round(raft: State) -> None:
    """Once per turn. Before its own-term entry is committed a leader does not know what was committed, so reads wait."""
    if not raft.reads_waiting or not raft.has_own_term_committed():
        return
    raft.round += 1
    raft.rounds.append((raft.round, raft.committed, raft.reads_waiting))
    raft.reads_waiting = []
    send_heartbeats(raft)


def send_heartbeats(raft: State) -> None:
    committed = raft.committed
    for member, peer in raft.progress.items():
        match = peer.match
        raft.send(Heartbeat(raft.member, member, raft.boot, raft.term, min(match, committed), raft.round, match >= committed))
    # No answer may come any more: there are no other voters, or the silent ones were removed since.
    maybe_confirm(raft)


def maybe_confirm(raft: State) -> None:
    """After a peer echoed a round."""
    if not raft.rounds:
        return
    own = raft.member

    def newest_round(member: MemberId) -> int:
        if member == own:
            return raft.round
        peer = raft.progress.get(member)
        return peer.round if peer is not None else 0

    confirmed = quorum_value(raft.config, newest_round)
    done = 0
    for number, index, reads in raft.rounds:
        if number > confirmed:
            break
        done += 1
        for read in reads:
            if read >= 0:
                raft.out_reads.append((read, index))
                continue
            member, boot = raft.confirms.pop(read)
            raft.send(ConfirmReply(own, member, raft.boot, raft.term, index, boot))
    del raft.rounds[:done]
