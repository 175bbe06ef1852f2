"""`recover`: the quorum is lost for good. What is left is ranked, what may be lost is said, and only then the best becomes a new cluster.

It is a backup and a restore: the best survivor's whole log becomes an archive that is read again and sealed, every old folder is put
aside and none is removed, and a new cluster begins with the archive's state.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from coordctl.facts import surviving
from coordctl.facts.members import ClusterFacts
from coordctl.facts.surviving import Ranked
from coordctl.local import clusters, fleet
from coordctl.local.clusters import Endpoint, LocalCluster, state_folder
from coordctl.operations import archiving, backing_up, backups, local, statuses
from coordctl.operations.noting import Notes
from coordctl.operations.restoring import rehearse, state_of, told
from coordctl.results.backup import Recovered, RestoredState, Surviving
from coordctl.results.deploy import HostDone, Noted
from coordctl.transport.audit import Audit
from coordnode.archives.replaying import replay
from coordnode.archives.surviving import Survivor, look
from coordnode.errors import CoordError, FolderRefused, LevelMissing, Unreachable
from coordnode.storage.reader import open_reader

RISK = "data-loss"
ASK_SECONDS = 2.0

Say = Callable[[str], None]


class NotNeeded(LevelMissing):
    """A majority is whole: starting it loses nothing."""


class Assessed(NamedTuple):
    survivors: Mapping[str, Survivor]
    ranked: Ranked
    unasked: Mapping[str, str]  # members of which nobody knows what is left, and why


NOT_AGAIN = Assessed({}, Ranked([], has_quorum=False, lost=[], risks=[]), {})  # by a run that goes on with what one before it chose


def assess(survivors: Mapping[str, Survivor], everybody: Mapping[str, int], start: str, unasked: Mapping[str, str] = {}) -> Assessed:
    if not survivors:
        silent = "".join(f"; {name} was not asked: {why}" for name, why in unasked.items())
        raise Unreachable(f"no member's state is left that could be read{silent}: restore from a backup, with `coordctl restore`")
    ranked = surviving.rank(survivors, everybody, unasked)
    if ranked.has_quorum:
        raise NotNeeded(f"a majority of the voters is whole ({', '.join(ranked.names)}): start them, and nothing is lost: {start}")
    return Assessed(survivors, ranked, unasked)


def restore_goes_on(name: str, how: str) -> NotNeeded:
    """Its backup is there, and whatever members have is of it."""
    return NotNeeded(f"nothing was touched: a restore of {name} ended before its cluster served, and nothing of it is lost: go on: {how}")


# --- on this machine -----------------------------------------------------------------------------------------------


def look_here(cluster: LocalCluster) -> Assessed:
    if cluster.archive:
        raise restore_goes_on(cluster.name, f"coordctl up -c {cluster.name}")
    survivors = {}
    for member in cluster.members:
        try:
            survivors[member.name] = look(open_reader(fleet.data_folder(cluster, member)))
        except CoordError:
            continue
    everybody = {member.name: member.member for member in cluster.members}
    return assess(survivors, everybody, f"coordctl up -c {cluster.name}")


def refused_here(cluster: LocalCluster) -> Recovered:
    return goes_on(cluster.name, cluster.archive) if cluster.is_recovery else refused(look_here(cluster), cluster.name)


def recover_here(cluster: LocalCluster, reason: str, *, timeout_seconds: float, say: Say) -> Recovered:
    began = time.monotonic()
    until = began + timeout_seconds
    with fleet.locked(cluster.folder, until):
        cluster = clusters.read(cluster.folder) or cluster  # as it is now that nobody else works on it
        assessed = NOT_AGAIN if cluster.is_recovery else look_here(cluster)  # before anything is stopped
        Audit(os.path.join(state_folder(), "audit"), cluster.name, "recover", reason).note("here", "recover", accepted=RISK)
        _, left = fleet.end(cluster, until)
        if left:
            raise FolderRefused(f"{', '.join(one.name for one in left)} did not end: nothing was touched")
        planned = cluster
        if not cluster.is_recovery:
            assessed = look_here(cluster)
            best = assessed.ranked.names[0]
            path = sealed(cluster, best, assessed.survivors[best], say)
            members = [member._replace(member=fleet.new_id(), pid=0, started="") for member in cluster.members]
            drawn = cluster._replace(cluster=fleet.new_id(), created=int(time.time()), is_made=False, members=tuple(members))
            planned = drawn._replace(archive=path, replaces=(*cluster.replaces, cluster.cluster), is_recovery=True)
        say(f"rehearsing with {os.path.basename(planned.archive)}")
        rehearsed = rehearse(planned.archive, os.path.dirname(cluster.folder), planned.cluster, planned.created)
        clusters.write(planned)  # before anything is put aside: whoever goes on begins with the same state
        _put_aside(planned)
        fleet.make(planned, digest=rehearsed.digest)
    local.up(cluster.folder, len(planned.members), timeout_seconds)
    note_loss(planned.endpoints(), reason)
    steps = ["put aside what it had", "make its state from the backup", "start it"]
    hosts = [HostDone(name=one.name, outcome="done", steps=steps, trouble="") for one in planned.members]
    state = state_of(rehearsed, planned.cluster)
    return recovered(assessed, cluster.name, planned.archive, told(rehearsed, planned.cluster), state, hosts, began)


def _put_aside(planned: LocalCluster) -> None:
    """Every folder but those that were made for the new cluster already."""
    aside = f"before-recover-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for member in planned.members:
        folder = fleet.data_folder(planned, member)
        if os.path.exists(folder) and not _is_of(folder, planned.cluster):
            os.rename(folder, f"{folder}.{aside}")


def _is_of(folder: str, cluster: int) -> bool:
    try:
        return open_reader(folder).identity().identity.cluster == cluster
    except (CoordError, OSError):
        return False


def note_loss(endpoints: Sequence[Endpoint], reason: str) -> None:
    """In the new cluster, for whoever looks at it. It serves already, and the audit log beside the inventories has it in any case."""
    with suppress(CoordError):
        Notes(ClusterFacts(statuses.ask(endpoints, ASK_SECONDS))).accept(RISK, "recover", reason)


def sealed(cluster: LocalCluster, name: str, survivor: Survivor, say: Say) -> str:
    """All that it has, as a backup."""
    where = backups.folder_of(cluster.name)
    os.makedirs(where, mode=0o700, exist_ok=True)
    path = os.path.join(where, f"{cluster.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{survivor.index}-recovered")
    say(f"taking all that {name} has, up to entry {survivor.index}")
    beside = f"{path}.{os.getpid()}{backups.UNVERIFIED}"
    archiving.take(cluster, name, beside, None)
    try:
        backing_up.seal(beside, replay(beside))
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    os.rename(beside, path + backups.SUFFIX)
    backups.sync_folder(where)  # before the old folders are put aside
    return path + backups.SUFFIX


# --- what is said --------------------------------------------------------------------------------------------------


def shown(assessed: Assessed) -> list[Surviving]:
    return [
        Surviving(name=name, term=one.term, index=one.index, committed=one.committed, troubles=one.troubles)
        for name, one in ((name, assessed.survivors[name]) for name in assessed.ranked.names)
    ]


def refused(assessed: Assessed, name: str) -> Recovered:
    """Nothing was touched; what would be done, and what it may cost."""
    best = assessed.ranked.names[0]
    sentence = f"nothing was touched: {best} has most, and a new cluster would begin with what it has; accept that with --accept {RISK}"
    return _untouched(assessed, name, sentence, "")


def goes_on(name: str, path: str) -> Recovered:
    """Also untouched; but what was decided on stands."""
    sentence = f"an earlier recover ended before its new cluster was made: go on with what it chose, {path}, with --accept {RISK}"
    return _untouched(NOT_AGAIN, name, sentence, path)


def _untouched(assessed: Assessed, name: str, sentence: str, path: str) -> Recovered:
    return Recovered(
        outcome="refused",
        exit_code=76,
        cluster=name,
        sentence=sentence,
        hosts=[],
        noted=_risks(assessed),
        elapsed_ms=0,
        survivors=shown(assessed),
        lost=assessed.ranked.lost,
        unasked=dict(assessed.unasked),
        backup=path,
        state=None,
    )


def _risks(assessed: Assessed) -> list[Noted]:
    remedy = "if a member's disk can still be read, bring that member back first"
    best = next(iter(assessed.ranked.names), "")
    return [Noted(host=best, level="remark", sentence=sentence, remedy=remedy) for sentence in assessed.ranked.risks]


def recovered(
    assessed: Assessed, name: str, path: str, sentence: str, state: RestoredState | None, hosts: list[HostDone], began: float
) -> Recovered:
    begins_with = f"what {assessed.ranked.names[0]} had" if assessed.ranked.names else f"what an earlier run chose, {path}"
    return Recovered(
        outcome="done",
        exit_code=0,
        cluster=name,
        sentence=f"goes on with {begins_with}: {sentence}",
        hosts=hosts,
        noted=_risks(assessed),
        elapsed_ms=int((time.monotonic() - began) * 1000),
        survivors=shown(assessed),
        lost=assessed.ranked.lost,
        unasked=dict(assessed.unasked),
        backup=path,
        state=state,
    )
