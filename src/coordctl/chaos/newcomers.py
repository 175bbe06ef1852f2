"""A member that takes part for a while: made with an empty state, taken in by the cluster, and ended again with all that was made for it.

It stands in the cluster's description like the others, so that whoever looks at the cluster, breaks it or stops it sees this one, too.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from coordctl.chaos import lives
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import LocalCluster, LocalMember, host_and_port
from coordctl.local.fleet import Failed

CATCHES_UP_SECONDS_MAX = 30.0
ENDS_SECONDS_MAX = 20.0
LOCK_SECONDS_MAX = 30.0
MARK_LETTERS = 4  # of the fault's id


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    member: int
    address: str

    @property
    def place(self) -> LocalMember:
        return LocalMember(self.name, self.member, self.address)


def drawn(beside: LocalMember, entry_id: str) -> Newcomer:
    """On the same host. Its name is never given twice: its log stays when it is gone."""
    (port,) = fleet.free_ports(1, random.SystemRandom())
    host, _ = host_and_port(beside.address)
    return Newcomer(name=f"{beside.name}-{entry_id[:MARK_LETTERS]}", member=fleet.new_id(), address=f"{host}:{port}")


def take_in(ledger: Ledger, entry: Entry, newcomer: Newcomer, become_learner: Callable[[Ledger, Entry], str]) -> str:
    """What is wrong, or "": it is a learner that has all that the others have."""
    with fleet.locked(ledger.cluster_folder, time.monotonic() + LOCK_SECONDS_MAX):
        cluster = clusters.read(ledger.cluster_folder)
        if cluster is None or ledger.find(entry) is None:
            return "its time was over before it was made"
        fleet.make_joiner(cluster, newcomer.place)
        cluster = cluster._replace(members=(*cluster.members, newcomer.place))
        clusters.write(cluster)  # from here on whoever heals finds its process
        started = fleet.start_one(cluster, newcomer.place)
        processes.let_go(started.process)
        clusters.write(cluster._replace(members=(*cluster.members[:-1], started.member)))
    return become_learner(ledger, entry) or lives.wait_until(
        lambda: bool(lives.status(newcomer.address).get("ready")), CATCHES_UP_SECONDS_MAX, "the new member does not catch up", 0.1
    )


def dismiss(ledger: Ledger, newcomer: Newcomer) -> None:
    """Nobody counts on it any more. What it told stays, beside what is told of faults."""
    with fleet.locked(ledger.cluster_folder, time.monotonic() + LOCK_SECONDS_MAX, wakes=True):
        cluster = clusters.read(ledger.cluster_folder)
        if cluster is None:
            return
        _end(cluster, lives.of(cluster, newcomer.name) or newcomer.place)
        log = fleet.log_path(cluster, newcomer.place)
        with suppress(FileNotFoundError):
            os.replace(log, os.path.join(ledger.folder, os.path.basename(log)))
        with suppress(FileNotFoundError):
            os.unlink(log + ".1")
        shutil.rmtree(fleet.data_folder(cluster, newcomer.place), ignore_errors=True)
        clusters.write(cluster._replace(members=tuple([one for one in cluster.members if one.name != newcomer.name])))


def _end(cluster: LocalCluster, member: LocalMember) -> None:
    """Also a process that nobody wrote down: whoever started it was killed before that."""
    for one in (member, fleet.holder(cluster, member)):
        if one is not None and one.pid:
            processes.send(one.pid, one.started, signal.SIGKILL)
            if not processes.wait_gone(one.pid, one.started, ENDS_SECONDS_MAX):
                raise Failed(f"{one.name} (pid {one.pid}) does not end")


def is_gone(ledger: Ledger, newcomer: Newcomer) -> bool:
    cluster = clusters.read(ledger.cluster_folder)
    if cluster is None:
        return True
    return lives.of(cluster, newcomer.name) is None and not os.path.exists(fleet.data_folder(cluster, newcomer.place))
