"""Elections and commits, held against what the disks of a quorum really hold.

Counts majorities by itself: raft's own count is what it judges.
"""

from coordnode.errors import PromiseBroken
from coordnode.ids import Index, MemberId, Term
from coordnode.raft.core import Raft
from coordnode.raft.entry import Config
from coordnode.simulator.claims import Claims
from coordnode.simulator.configs import Configs


class Quorums:
    def __init__(self) -> None:
        self.configs = Configs()
        self._claims: dict[MemberId, Claims] = {}

    def add(self, member: MemberId, claims: Claims) -> None:
        self._claims[member] = claims

    def on_elected(self, raft: Raft) -> None:
        """It leads since this turn: a quorum told it so, and their disks hold the votes."""
        config, term = raft.config, raft.term
        told = [voter for voter, granted in raft.votes.items() if granted]
        for voters in _majorities(config):
            granted = [voter for voter in voters if voter in told and self._claims[voter].votes.get(term) == raft.member]
            if 2 * len(granted) <= len(voters):
                raise PromiseBroken(
                    "elected-by-quorum",
                    f"member {raft.member} leads term {term}; of the voters {list(voters)} only {granted} hold a vote for it and said so",
                    (config, term, granted),
                )

    def on_persisted(self, raft: Raft) -> None:
        """What it holds to be durable here moved."""
        index = raft.persisted
        term = raft.log.term_at(index)
        if not self._claims[raft.member].holds(index, term):
            sentence = f"member {raft.member} takes entry {index} of term {term} for durable, and its disk does not have it"
            raise PromiseBroken("persisted-is-durable", sentence, (index, term, raft.log.last_index()))

    def on_committed(self, raft: Raft, last_index_before: Index, boots_before: dict[MemberId, int]) -> None:
        """It led before this turn, too, its log ended there, and of these starts it had heard; in this turn its commit index moved."""
        index, term = raft.committed, raft.term
        found = raft.log.term_at(index)
        if found != term:
            sentence = f"member {raft.member}, leading term {term}, commits entry {index} of term {found} by counting"
            raise PromiseBroken("own-term-commit", sentence, (index, found, term))
        position, config = self.configs.up_to(raft, last_index_before)
        if config.is_joint() and not raft.config.is_joint() and position <= index:
            # The joint entry was committed in this turn, by both majorities, and left at once: what follows needs the new one alone.
            self._check(raft, config, position, boots_before)
            config = raft.config
        self._check(raft, config, index, boots_before)

    def _check(self, raft: Raft, config: Config, index: Index, boots: dict[MemberId, int]) -> None:
        term = raft.log.term_at(index)
        assert term is not None
        for voters in _majorities(config):
            holding = [voter for voter in voters if self._holds(boots, voter, index, term)]
            if 2 * len(holding) <= len(voters):
                raise PromiseBroken(
                    "committed-by-quorum",
                    f"member {raft.member} commits entry {index} in term {raft.term}; of the voters {list(voters)} only {holding} have it "
                    "on their disks",
                    (index, term, config, holding),
                )

    def on_restarts(self, raft: Raft, seen: dict[MemberId, int]) -> None:
        """A leader has heard of starts: from then on it counts on nothing that those members lost before."""
        for member, boot in raft.boots.items():
            if seen.get(member) == boot:
                continue
            seen[member] = boot
            claims = self._claims[member]
            peer = raft.progress.get(member)
            if peer is not None and boot == claims.boot() and peer.match > claims.last_index():
                raise PromiseBroken(
                    "counts-what-is-there",
                    f"member {raft.member} counts on entries up to {peer.match} of member {member}, whose disk ends at "
                    f"{claims.last_index()} since start {boot}",
                    (raft.term, boot, peer.match),
                )

    def _holds(self, boots: dict[MemberId, int], member: MemberId, index: Index, term: Term) -> bool:
        """What a member lost to rot since counts as long as the leader had not heard of the start that found it. It may hear of that
        later in the very turn in which it commits; what it counts on from then on, `on_restarts` looks at."""
        claims = self._claims[member]
        return claims.holds(index, term) or (claims.ever_lost and boots.get(member, 0) < claims.boot())


def _majorities(config: Config) -> list[tuple[MemberId, ...]]:
    return [config.voters, config.outgoing] if config.outgoing else [config.voters]
