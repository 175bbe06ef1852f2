"""`backup create`: one member's state at one index, as a file that was read again and applied before it is called a backup.

The state is taken from a member's folder and not over its client port: the folder has it in exactly the form that a member begins with, so
no member works for it, nothing new speaks on the wire, and the same works on what a dead member left (`recover`).
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.local.clusters import Endpoint, LocalCluster
from coordctl.operations import archiving, backups, statuses
from coordctl.operations.noting import Notes
from coordctl.results.backup import BackupCreated
from coordnode.archives.format import Seal, add_seal
from coordnode.archives.replaying import Replayed, replay
from coordnode.client.tls import VARIABLE
from coordnode.errors import BadRequest, CoordError, Unreachable

ASK_SECONDS = 1.0
PAUSE_SECONDS = 0.05

Say = Callable[[str], None]


class NotTheState(CoordError):
    """What was taken does not come to the state that the member said it has."""

    definite = True


def create(cluster: LocalCluster, *, folder: str, member: str, keep: int, timeout_seconds: float, say: Say) -> BackupCreated:
    began = time.monotonic()
    where = folder or backups.folder_of(cluster.name)
    os.makedirs(where, mode=0o700, exist_ok=True)
    if cluster.tls:
        os.environ.setdefault(VARIABLE, cluster.tls)
    source = chosen_member(cluster.endpoints(), member, began + timeout_seconds)
    assert source.status is not None
    index, digest = source.status["applied"], source.status["applied_digest"]
    stem = os.path.join(where, f"{cluster.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{index}")
    beside = f"{stem}.{os.getpid()}{backups.UNVERIFIED}"
    say(f"taking the state at index {index} from {source.name}")
    archiving.take(cluster, source.name, beside, index)
    say("reading it again")
    try:
        replayed = replay(beside)
        if replayed.machine.digest != digest:
            raise NotTheState(
                f"{source.name} says that its state at index {index} has digest {digest:016x}, and what its folder holds comes to "
                f"{replayed.machine.digest:016x}: nothing was kept; take it from another with --member, and see `coordctl wal verify`"
            )
        seal(beside, replayed)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    os.rename(beside, stem + backups.SUFFIX)
    backups.sync_folder(where)
    made = backups.look(stem + backups.SUFFIX)
    ahead = backups.warnings(one for one in backups.found_in(where) if one.cluster_id == cluster.cluster)
    removed = backups.keep(where, cluster.cluster, keep, made.path) if keep else []
    with suppress(CoordError):  # the backup is there all the same
        Notes(ClusterFacts(statuses.ask(cluster.endpoints(), ASK_SECONDS))).backed_up(made.taken_unix_s, made.index, made.path)
    return BackupCreated(
        backup=made,
        member=source.name,
        digest=f"{digest:016x}",
        removed=removed,
        warnings=ahead,
        elapsed_ms=int((time.monotonic() - began) * 1000),
    )


def seal(path: str, replayed: Replayed) -> None:
    machine = replayed.machine
    said = Seal(
        content=replayed.content,
        digest=machine.digest,
        revision=machine.revision,
        token=machine.scalars.token_next,
        sessions=sum(1 for _ in machine.sessions()),
        state_bytes=machine.state_bytes,
        journal_bytes=sum(blob.size for blob in machine.blobs()),
        verified_unix_s=int(time.time()),
    )
    add_seal(path, said, replayed.parts)


def chosen_member(endpoints: Sequence[Endpoint], wanted: str, until: float) -> MemberFacts:
    """One that has applied all that was acknowledged before this began; a follower if possible. It says itself how far it is, and what
    its state comes to there."""
    if wanted and wanted not in [one.name for one in endpoints]:
        raise BadRequest(f"there is no member {wanted}: give one of {', '.join(one.name for one in endpoints)}")
    committed: int | None = None
    while True:
        facts = ClusterFacts(statuses.ask(endpoints, ASK_SECONDS))
        leader = _known_leader(facts)
        if leader is not None:
            committed = committed if committed is not None else leader["commit"]
            for one in sorted(facts.answered, key=lambda one: one.status is leader):
                assert one.status is not None
                is_there = one.status["applied"] >= committed and one.status["applied_digest"] is not None
                if is_there and wanted in ("", one.name):
                    return one
        if time.monotonic() >= until:
            break
        time.sleep(PAUSE_SECONDS)
    if committed is None:
        raise Unreachable(
            "nobody leads, so nobody knows what was acknowledged: see `coordctl status`; with the quorum lost for good, `recover`"
        )
    raise Unreachable(f"{wanted or 'no member'} has all that was acknowledged: see `coordctl status`")


def _known_leader(facts: ClusterFacts) -> dict[str, Any] | None:
    """Whom a majority follows in its term: it, and no later one, has acknowledged whatever was acknowledged up to now."""
    leader = facts.leader_status
    if leader is None or not leader["ready"]:
        return None
    followed = {one.member for one in facts.answered if one.status is not None and one.status["term"] == leader["term"]}
    is_known = all(2 * sum(voter in followed for voter in voters) > len(voters) for voters in (facts.voters(), facts.outgoing()) if voters)
    return leader if is_known else None
