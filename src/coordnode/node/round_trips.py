"""How long the way to each other member and back takes a leader: its heartbeats are answered at once, whatever the disks do."""

from collections import deque

from coordnode.ids import MemberId
from coordnode.node.metrics import Durations
from coordnode.raft.messages import Heartbeat, HeartbeatReply
from coordnode.replica.effects import Effects
from coordnode.replica.events import Events

UNANSWERED_MAX = 1_000  # of one member; then it begins anew


class RoundTrips:
    """A connection keeps the order, so an answer is to the oldest heartbeat of its round. Heartbeats that are sent while nobody reads
    share a round: an answer that was lost with a connection may shift them, until the next read begins another."""

    def __init__(self) -> None:
        self.by_peer: dict[MemberId, Durations] = {}
        self._unanswered: dict[MemberId, deque[tuple[int, int]]] = {}  # (round, when it was sent)

    def clear(self) -> None:
        self._unanswered.clear()

    def on_connection(self, member: MemberId) -> None:
        """It ended or is new: what was sent before may never be answered."""
        self._unanswered.pop(member, None)

    def turned(self, events: Events, effects: Effects, now_ns: int) -> None:
        for message in events.messages:
            if type(message) is HeartbeatReply:
                self._on_reply(message.source, message.round, now_ns)
        for message in effects.send_now:
            if type(message) is Heartbeat:
                unanswered = self._unanswered.setdefault(message.target, deque())
                if len(unanswered) >= UNANSWERED_MAX:
                    unanswered.clear()
                unanswered.append((message.round, now_ns))

    def _on_reply(self, member: MemberId, number: int, now_ns: int) -> None:
        unanswered = self._unanswered.get(member)
        while unanswered and unanswered[0][0] < number:
            unanswered.popleft()
        if unanswered and unanswered[0][0] == number:
            durations = self.by_peer.get(member)
            if durations is None:
                durations = self.by_peer[member] = Durations()
            durations.observe(now_ns - unanswered.popleft()[1])
