"""Opens a member's folder and builds the replica from what is whole in it."""

import random
from typing import NamedTuple

from coordnode.config import NodeConfig
from coordnode.errors import FolderRefused, RecordError, Rotten
from coordnode.harm.disk import HarmedDisk
from coordnode.harm.orders import Orders
from coordnode.ids import ClusterId, MemberId
from coordnode.raft.state import Timing
from coordnode.replica.config import ReplicaConfig
from coordnode.replica.replica import Replica
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.storage.block import Identity
from coordnode.storage.disk import Disk, RealDisk
from coordnode.storage.identity import IDENTITY_FILE, check_folder, read_identity
from coordnode.storage.recovery import Recovered, open_folder
from coordnode.storage.wal import Settings as WalSettings


class Opened(NamedTuple):
    identity: Identity
    disk: Disk
    recovered: Recovered
    replica: Replica
    orders: Orders | None  # what it suffers on purpose


def replica_config(config: NodeConfig) -> ReplicaConfig:
    return ReplicaConfig(
        tick_ms=config.tick_ms,
        timing=Timing(
            election_ticks_min=config.election_ticks_min,
            election_ticks_max=config.election_ticks_max,
            heartbeat_ticks=config.heartbeat_ticks,
            stuck_ticks=config.stuck_ticks,
        ),
        snapshot_entries=config.snapshot_entries,
        snapshot_log_bytes=config.snapshot_log_bytes,
        keep_entries=config.keep_entries,
        client_sessions_max=config.client_sessions_max,
    )


def open_member(config: NodeConfig, rng: random.Random, orders: Orders | None = None, *, discard_state: bool = False) -> Opened:
    """Raises FolderRefused, Rotten, UnknownFormat, DiskFull, DiskFailed; the folder is locked only when it returns."""
    disk: Disk = RealDisk(config.folder)
    if orders is not None:
        disk = HarmedDisk(disk, orders)
    identity = _expected(disk, config)
    settings = WalSettings(segment_bytes=config.segment_bytes, free_bytes_min=config.free_bytes_min)
    recovered = open_folder(disk, identity, settings, adopt=config.adopt, discard_state=discard_state)
    try:
        replica = Replica(
            member=identity.member,
            config=replica_config(config),
            hard_state=recovered.hard_state,
            snapshot=recovered.snapshot,
            entries=recovered.entries,
            commit_hint=recovered.commit_hint,
            rng=rng,
            supported_level=SUPPORTED_LEVEL,
            known=recovered.known,
        )
        if recovered.lost_entries and replica.raft.config.members() == [identity.member]:
            raise Rotten(recovered.remedy())
    except BaseException:
        close(disk, recovered)
        raise
    return Opened(identity, disk, recovered, replica, orders)


def close(disk: Disk, recovered: Recovered) -> None:
    recovered.wal.close()
    recovered.snapshots.close()
    disk.unlock()


def _expected(disk: Disk, config: NodeConfig) -> Identity:
    """Whom the folder must belong to: what was asked for, and where nothing was, whatever it says itself."""
    if config.cluster and config.member:
        return Identity(ClusterId(config.cluster), MemberId(config.member))
    if not disk.exists(IDENTITY_FILE):
        check_folder(disk, Identity(ClusterId(config.cluster), MemberId(config.member)), adopt=False)
    try:
        found = read_identity(disk).identity
    except RecordError as error:
        raise FolderRefused(f"{error.sentence}; say whose folder it is with --cluster and --member") from error
    return Identity(ClusterId(config.cluster) or found.cluster, MemberId(config.member) or found.member)
