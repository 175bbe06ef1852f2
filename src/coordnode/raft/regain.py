"""A member that lost log entries to rot: no vote until all that may have been committed with its help is here again. Pure.

It asks the leader; the leader answers with the commit index of a confirmation round begun after the question arrived,
having first made void whatever this member acknowledged in an earlier boot. Once everything up to that index is durable
here, whatever was committed with the lost acknowledgements is back, and the vote is safe.
"""

from coordnode.ids import NOBODY
from coordnode.raft.messages import ConfirmAsk, ConfirmReply
from coordnode.raft.state import State


def on_leader_heard(raft: State) -> None:
    """With each heartbeat: the question may have been lost, or the commit index may have moved with nothing left to write."""
    if not raft.lost_entries or raft.leader == NOBODY:
        return
    if raft.regain_target < 0:
        raft.send(ConfirmAsk(raft.member, raft.leader, raft.boot, raft.term))
    else:
        maybe_regained(raft)


def on_confirm_reply(raft: State, message: ConfirmReply) -> None:
    if raft.lost_entries and message.asked_boot == raft.boot:
        raft.regain_target = max(raft.regain_target, message.commit)
        maybe_regained(raft)


def maybe_regained(raft: State) -> None:
    """After something became durable. Below the commit index our log is surely the leader's."""
    if not raft.lost_entries or raft.stateless or raft.regain_target < 0:
        return
    if raft.persisted >= raft.regain_target and raft.committed >= raft.regain_target:
        raft.regained()
