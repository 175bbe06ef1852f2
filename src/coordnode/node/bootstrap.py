"""Makes the folders of new members: founders get the state that a cluster begins with, those who join later get none."""

import random
from collections.abc import Mapping

from coordnode.errors import Rotten
from coordnode.ids import ClusterId, Index, MemberId, Term
from coordnode.limits import TOKEN_MAX
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.services.machine import Machine
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.state import Settings
from coordnode.storage.block import Identity
from coordnode.storage.disk import RealDisk
from coordnode.storage.reader import Reader
from coordnode.storage.recovery import Genesis, create_folder
from coordnode.storage.wal import Settings as WalSettings

GENESIS_AUTHOR = MemberId(0)


def new_id(rng: random.Random | None = None) -> int:
    return (rng or random.SystemRandom()).randint(1, TOKEN_MAX)


def genesis(
    cluster: ClusterId,
    created_unix_s: int,
    contacts: Mapping[MemberId, str],
    *,
    settings: Settings | None = None,
    level: int = SUPPORTED_LEVEL,
) -> Genesis:
    """The same on every founding member that is given the same."""
    machine = Machine.genesis(settings or Settings(), cluster=cluster, created_unix_s=created_unix_s, level=level)
    members = tuple(sorted(contacts))
    config = Config(voters=members, contacts=tuple((member, contacts[member]) for member in members))
    return Genesis(SnapshotMeta(Index(0), Term(0), GENESIS_AUTHOR, 0, config, Index(0)), list(machine.snapshot()))


def create_founder(
    folder: str,
    cluster: ClusterId,
    member: MemberId,
    created_unix_s: int,
    contacts: Mapping[MemberId, str],
    *,
    settings: Settings | None = None,
    wal_settings: WalSettings | None = None,
) -> None:
    """One of the first members; all of them are given the same cluster, second and contacts."""
    assert member in contacts
    _create(folder, Identity(cluster, member), genesis(cluster, created_unix_s, contacts, settings=settings), wal_settings)


def create_restored(folder: str, identity: Identity, begin: Genesis, *, wal_settings: WalSettings | None = None) -> Machine:
    """One of the first members of a cluster that begins with an archive's state; returns what is in the folder then, as it was read from
    the disk. Raises Rotten when not all of it arrived there."""
    _create(folder, identity, begin, wal_settings)
    reader = Reader(RealDisk(folder))
    damages = reader.verify().damages
    state = reader.newest_state()
    if damages or state is None:
        what = f"{damages[0].path}: {damages[0].reason}" if damages else "no snapshot is there"
        raise Rotten(f"{folder} was made and is not whole: {what}; look at that disk, and name an empty folder")
    return Machine.restore(state[1])


def create_joiner(folder: str, cluster: ClusterId, member: MemberId, *, wal_settings: WalSettings | None = None) -> None:
    """A member that a running cluster takes in: it has no state until the leader sends it."""
    _create(folder, Identity(cluster, member), None, wal_settings)


def _create(folder: str, identity: Identity, begin: Genesis | None, wal_settings: WalSettings | None) -> None:
    disk = RealDisk(folder)
    disk.make_root()
    create_folder(disk, identity, begin, wal_settings or WalSettings())
