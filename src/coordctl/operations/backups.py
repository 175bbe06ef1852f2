"""The backups of a cluster on this machine: which there are, and which of them go."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import own_folder
from coordctl.results.backup import BackupsListed, FoundBackup
from coordnode.archives.format import About, Seal, read_about, read_seal
from coordnode.errors import BadRequest, CoordError

SUFFIX, UNVERIFIED = ".backup", ".unverified"
AHEAD_SECONDS_MAX = 60  # by which the clock of whoever took a backup may be ahead of the one here
WRITTEN_SECONDS = 3_600  # what was written to within these may be of a run that goes on, on another machine, too


def folder_of(cluster: str, environment: Mapping[str, str] = os.environ) -> str:
    """Apart from what a cluster's members are made of, so that it outlives them."""
    return os.path.join(own_folder("XDG_DATA_HOME", os.path.join(".local", "share"), environment), "backups", cluster)


def found_in(folder: str) -> list[FoundBackup]:
    """The newest first; of what is not whole at first sight it is said why.

    Those of one cluster by how far its log had come, which no clock is asked about; of several clusters the one that was backed up last.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    paths = [os.path.join(folder, name) for name in names if name.endswith((SUFFIX, UNVERIFIED))]
    found = [look(path) for path in paths]
    latest: dict[int, int] = {}
    for one in found:
        latest[one.cluster_id] = max(latest.get(one.cluster_id, 0), 0 if is_ahead(one) else one.taken_unix_s)
    return sorted(found, key=lambda one: (latest[one.cluster_id], one.cluster_id, *_how_far(one), one.path), reverse=True)


def _how_far(found: FoundBackup) -> tuple[int, int, int]:
    return found.index, found.revision or 0, found.taken_unix_s


def is_ahead(found: FoundBackup) -> bool:
    return found.taken_unix_s > time.time() + AHEAD_SECONDS_MAX


def warnings(found: Iterable[FoundBackup]) -> list[str]:
    now = time.time()
    return [
        f"{one.path} says that it was taken {(one.taken_unix_s - now) / 3_600:.1f} h from now: that clock was ahead, or this one is behind"
        for one in found
        if is_ahead(one)
    ]


def look(path: str) -> FoundBackup:
    about: About | None = None
    seal: Seal | None = None
    trouble = ""
    try:
        about = read_about(path)
        sealed = read_seal(path)
        seal = sealed[0] if sealed is not None else None
        if seal is None and path.endswith(SUFFIX):
            trouble = "its seal is missing: it is cut off or damaged"
    except CoordError as error:
        trouble = error.sentence
    except OSError as error:
        trouble = (error.strerror or str(error)).lower()
    taken = about.taken_unix_s if about is not None else 0
    size = 0
    with suppress(OSError):  # somebody removed it meanwhile
        size = os.path.getsize(path)
    return FoundBackup(
        path=path,
        cluster=about.cluster_name if about is not None else "",
        cluster_id=about.cluster if about is not None else 0,
        taken_unix_s=taken,
        age_s=max(0, int(time.time()) - taken) if about is not None else 0,
        index=about.index if about is not None else 0,
        bytes=size,
        verified_unix_s=seal.verified_unix_s if seal is not None else None,
        revision=seal.revision if seal is not None else None,
        state_bytes=seal.state_bytes if seal is not None else None,
        journal_bytes=seal.journal_bytes if seal is not None else None,
        trouble=trouble,
    )


def newest(cluster: str, cluster_id: int = 0, folder: str = "") -> FoundBackup | None:
    """Of those that were verified. `cluster_id`: of this very cluster; 0: of whichever had its name."""
    for found in found_in(folder or folder_of(cluster)):
        if found.verified_unix_s is not None and not found.trouble and cluster_id in (0, found.cluster_id):
            return found
    return None


def newest_age_s(facts: ClusterFacts) -> int | None:
    """Of this very cluster: one that was made anew has no backup yet. Wherever it was written: the cluster remembers that it was."""
    here = None
    with suppress(OSError):  # whoever may not read this home, or has none, is told how the cluster is all the same
        here = newest(facts.cluster_name, facts.cluster) if facts.cluster else None
    taken = [one.taken_unix_s for one in (facts.backup(), here) if one is not None]
    return max(0, int(time.time()) - max(taken)) if taken else None


def listed(cluster: str, folder: str = "") -> BackupsListed:
    where = folder or folder_of(cluster)
    backups = found_in(where)
    return BackupsListed(
        outcome="answered" if backups else "none",
        exit_code=0 if backups else 1,
        cluster=cluster,
        folder=where,
        backups=backups,
        warnings=warnings(backups),
    )


def chosen(said: str, cluster: str, folder: str = "") -> str:
    """The path of a backup: as it was said, or by its name alone; "": the newest that was verified."""
    where = folder or folder_of(cluster)
    if not said:
        found = newest(cluster, 0, where)
        if found is None:
            raise BadRequest(f"no verified backup is in {where}: make one with `coordctl backup create -c {cluster}`, or name a file")
        return found.path
    for path in (os.path.abspath(said), os.path.join(where, said), os.path.join(where, said + SUFFIX)):
        if os.path.isfile(path):
            return path
    raise BadRequest(f"there is no backup {said}, neither here nor in {where}: see `coordctl backup ls`")


def keep(folder: str, cluster_id: int, count: int, made: str = "") -> list[str]:
    """Removes all but the newest `count` verified ones of this cluster; what was begun before these and never finished goes, too.

    `made`: what this run made stays, whatever the others say of themselves.
    """
    mine = [found for found in found_in(folder) if found.cluster_id == cluster_id]
    kept = [found for found in mine if found.verified_unix_s is not None and not found.trouble][:count]
    if len(kept) < count:
        return []
    gone = [one.path for one in mine if one not in kept and one.path != made and _how_far(one) <= _how_far(kept[-1]) and not _in_work(one)]
    for path in gone:
        with suppress(FileNotFoundError):  # another run keeps as many, at the same time
            os.unlink(path)
    return gone


def _in_work(found: FoundBackup) -> bool:
    """Whether another run may be writing it, here or, where the folder is shared, elsewhere."""
    if not found.path.endswith(UNVERIFIED):
        return False
    writer = found.path.removesuffix(UNVERIFIED).rpartition(".")[2]
    try:
        is_young = time.time() - os.stat(found.path).st_mtime < WRITTEN_SECONDS
    except FileNotFoundError:
        return True
    return is_young or (writer.isdecimal() and writer.isascii() and _lives(int(writer)))


def _lives(process: int) -> bool:
    return os.path.isdir(f"/proc/{process}")


def sync_folder(folder: str) -> None:
    """A name that was given there outlives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
