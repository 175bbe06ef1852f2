"""What a member's folder still has of the cluster's log, to be ranked against others' when most are gone. Nothing is written."""

import msgspec

from coordnode.errors import CoordError, FolderRefused, RecordError
from coordnode.raft.entry import CONFIG, decode_config
from coordnode.storage.reader import Reader


class Survivor(msgspec.Struct, frozen=True, kw_only=True):
    cluster: int
    member: int
    term: int  # of the last entry that stands
    index: int
    committed: int  # up to here it is known there that a majority had it
    voters: list[int]  # as of that entry
    troubles: list[str]  # what is damaged or was lost there


def look(reader: Reader) -> Survivor:
    """Raises FolderRefused where there is no state to go on with."""
    try:
        identity = reader.identity().identity
    except (FileNotFoundError, RecordError) as error:
        raise FolderRefused(f"no member's folder is here: {error}") from None
    state = reader.newest_state()
    if state is None:
        raise FolderRefused("no whole snapshot is here")
    meta = state[0]
    term, index, config = meta.term, meta.index, meta.config
    for entry in reader.standing(meta).entries:
        term, index = entry.term, entry.index
        if entry.kind == CONFIG:
            config = decode_config(entry.data)
    copies = [found.copy for found in reader.hard_state() if found.copy is not None]
    troubles = [f"{damage.path}: {damage.reason}" for damage in reader.verify().damages]
    if not copies:
        troubles.append("both copies of the hard state are damaged")
    elif any(copy.hard_state.lost_entries for copy in copies):
        troubles.append("it has lost entries before, and had not regained them")
    mark = _mark(reader)
    return Survivor(
        cluster=identity.cluster,
        member=identity.member,
        term=term,
        index=index,
        committed=max(meta.index, min(mark, index)),
        voters=list(config.voters),
        troubles=troubles,
    )


def _mark(reader: Reader) -> int:
    try:
        mark, _ = reader.mark()
    except CoordError:
        return 0
    return mark.commit if mark is not None else 0
