"""Read rounds: proof that this leader still led after the reads arrived. Many reads share one round. Pure.

A round is named by (term, counter). It begins after the reads that wait for it arrived, because the counter is raised
first and only messages sent later carry it; whoever echoes it was in our term after that moment.

Who does not lead asks the leader, whose round then begins after the reads arrived here. It asks one question at a time, for
all that waits; what arrives meanwhile waits for the next. The question shows by itself that who sent it, after the reads arrived,
followed nobody newer; where that makes a quorum with the leader, no round is needed.
"""

from coordnode.ids import NOBODY, MemberId
from coordnode.raft.messages import ConfirmAsk, ConfirmReply, Heartbeat
from coordnode.raft.quorum import has_quorum, quorum_value
from coordnode.raft.state import State

ASK_AGAIN_TICKS = 3


def ask(raft: State, read: int) -> None:
    raft.reads_waiting.append(read)


def on_confirm_ask(raft: State, message: ConfirmAsk) -> None:
    """A member wants to know how far it must come."""
    if message.number and raft.has_own_term_committed() and has_quorum(raft.config, lambda voter: voter in (raft.member, message.source)):
        raft.send(ConfirmReply(raft.member, message.source, raft.boot, raft.term, raft.committed, message.boot, message.number))
        return
    question = (message.source, message.boot, message.number)
    if question in raft.confirms.values():
        return  # it came again, maybe for long: who leads may have to wait before it can begin a round
    read = raft.next_confirm
    raft.next_confirm -= 1
    raft.confirms[read] = question
    raft.reads_waiting.append(read)


# --- who does not lead -----------------------------------------------------------------------------------------------


def maybe_ask_leader(raft: State) -> None:
    """Once per turn."""
    if not raft.reads_waiting or raft.reads_asked:
        return
    if raft.leader == NOBODY:
        raft.lose_reads()
        return
    raft.reads_asked, raft.reads_waiting = raft.reads_waiting, []
    raft.asked += 1
    _send_question(raft)


def on_tick(raft: State) -> None:
    """The question or its answer may have been lost."""
    if raft.reads_asked:
        raft.asked_ticks += 1
        if raft.asked_ticks >= ASK_AGAIN_TICKS:
            _send_question(raft)


def _send_question(raft: State) -> None:
    raft.asked_ticks = 0
    raft.send(ConfirmAsk(raft.member, raft.leader, raft.boot, raft.term, raft.asked))


def on_confirm_reply(raft: State, message: ConfirmReply) -> None:
    if message.asked_boot == raft.boot and message.number == raft.asked:
        raft.committed = max(raft.committed, min(message.commit, raft.agreed))  # or they would wait for the next heartbeat
        raft.out_reads.extend([(read, message.commit) for read in raft.reads_asked])
        raft.reads_asked = []


# --- who leads -------------------------------------------------------------------------------------------------------


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
            member, boot, asked = raft.confirms.pop(read)
            raft.send(ConfirmReply(own, member, raft.boot, raft.term, index, boot, asked))
    del raft.rounds[:done]
