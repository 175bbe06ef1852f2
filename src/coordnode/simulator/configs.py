"""The configurations that stand in each member's log, followed by what it hands to its disk: raft's own list is what they judge."""

from coordnode.errors import PromiseBroken
from coordnode.ids import Index, MemberId
from coordnode.raft.core import Raft
from coordnode.raft.entry import CONFIG, Config, SnapshotMeta, decode_config
from coordnode.raft.ready import Write
from coordnode.raft.state import LEADER
from coordnode.storage.recovery import Recovered

Logged = list[tuple[Index, Config]]  # ascending; the first is what the snapshot carries, where there is one


class Configs:
    def __init__(self) -> None:
        self.agreed: dict[MemberId, Config | None] = {}  # what raft goes by, found equal since either changed
        self._logged: dict[MemberId, Logged] = {}

    def opened(self, member: MemberId, recovered: Recovered) -> None:
        logged: Logged = []
        if recovered.snapshot is not None:
            logged.append((recovered.snapshot.config_index, recovered.snapshot.config))
        logged.extend([(entry.index, decode_config(entry.data)) for entry in recovered.entries if entry.kind == CONFIG])
        self._logged[member] = logged
        self.agreed[member] = None

    def wrote(self, member: MemberId, write: Write) -> None:
        logged = self._logged[member]
        if write.reset_to is not None:
            self.agreed[member] = None
            logged[:] = [(write.reset_to.config_index, write.reset_to.config)]
        if write.truncate_from:
            while logged and logged[-1][0] >= write.truncate_from:
                logged.pop()
                self.agreed[member] = None
        for entry in write.entries:
            if entry.kind == CONFIG:
                logged.append((entry.index, decode_config(entry.data)))
                self.agreed[member] = None

    def check(self, raft: Raft) -> None:
        """The configuration in force is the newest in the log: from the moment it is appended, until it is undone."""
        logged = self._logged[raft.member]
        if logged and logged[-1][1] != raft.config:
            index, config = logged[-1]
            raise PromiseBroken(
                "config-in-force",
                f"member {raft.member} goes by the voters {list(raft.config.voters)}; the newest configuration in its log, at {index}, "
                f"has {list(config.voters)}",
                (raft.config, config, index),
            )
        if raft.role == LEADER:
            self._check_change(raft, logged)
        self.agreed[raft.member] = raft.config

    def _check_change(self, raft: Raft, logged: Logged) -> None:
        """Whoever leads begins no change, and ends none, before the configuration that it starts from is committed."""
        if len(logged) < 2 or raft.log.term_at(logged[-1][0]) != raft.term:
            return
        before, index = logged[-2][0], logged[-1][0]
        if before > raft.committed:
            sentence = f"member {raft.member} appends a configuration at {index}; {before}, the one before, is not committed"
            raise PromiseBroken("one-change-at-a-time", sentence, (raft.term, index, before, raft.committed))

    def check_leader(self, raft: Raft) -> None:
        """Who is no voter any more leads no longer than until that is committed."""
        index, config = raft.configs[-1]
        if index <= raft.committed and not config.is_joint() and raft.member not in config.voters:
            sentence = f"member {raft.member} leads on; the voters are {list(config.voters)}, as committed at {index}"
            raise PromiseBroken("leader-is-voter", sentence, (raft.term, index, config))

    def check_snapshot(self, member: MemberId, meta: SnapshotMeta) -> None:
        """It carries the newest configuration of the log that it covers, and none of what follows."""
        expected = next((logged for logged in reversed(self._logged[member]) if logged[0] <= meta.index), None)
        if expected is not None and expected != (meta.config_index, meta.config):
            raise PromiseBroken(
                "snapshot-config",
                f"member {member} makes a snapshot up to {meta.index} with the configuration of {meta.config_index}; in force there was "
                f"that of {expected[0]}",
                (meta, expected),
            )

    def up_to(self, raft: Raft, last_index: Index) -> tuple[Index, Config]:
        """What was in force when the log ended there."""
        logged = self._logged[raft.member]
        for position, config in reversed(logged):
            if position <= last_index:
                return position, config
        return logged[0] if logged else raft.configs[0]
