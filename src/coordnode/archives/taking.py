"""From a member's folder, which it may be using meanwhile, to an archive: its snapshot, the bytes of journals that this lists, and the
log behind it up to one index."""

import time
from zlib import crc32

from coordnode import __version__
from coordnode.archives.format import ENTRY, ENTRY_HEAD, META, PIECE, PIECE_HEAD, SLICE, About, Writer
from coordnode.errors import CoordError, Damaged
from coordnode.limits import BLOB_PIECE_BYTES
from coordnode.raft.blobs import decode_list, is_list
from coordnode.storage.reader import Reader
from coordnode.storage.record import encode_meta, link_chain

LOOKS_MAX = 5  # a running member makes snapshots and removes what they cover while we read
PAUSE_SECONDS = 0.2


class NotThere(CoordError):
    """The folder does not hold the state at that index, or not as a whole."""

    definite = True


def take(reader: Reader, path: str, *, through: int | None, cluster_name: str = "") -> About:
    """`through`: None takes all that the log holds, which may not be committed. Raises NotThere, DiskFull, DiskFailed."""
    why = ""
    for look in range(LOOKS_MAX):
        if look:
            time.sleep(PAUSE_SECONDS)
        try:
            return _take(reader, path, through, cluster_name)
        except (NotThere, Damaged, FileNotFoundError) as error:
            why = str(error)
    raise NotThere(why)


def _take(reader: Reader, path: str, through: int | None, cluster_name: str) -> About:
    identity = reader.identity().identity
    state = reader.newest_state(through)
    if state is None:
        reaching = "" if through is None else f" up to index {through}"
        raise NotThere(f"no whole snapshot{reaching} is in the folder: take it from another member")
    meta, slices = state
    entries, chains = reader.standing(meta)
    if through is not None:
        entries = [entry for entry in entries if entry.index <= through]
    index, term, chain = meta.index, meta.term, meta.chain
    for entry, chain_there in zip(entries, chains[1:], strict=False):
        chain = link_chain(chain, entry.term, entry.index, entry.kind, crc32(entry.data))
        if chain != chain_there:
            raise NotThere(f"the log does not continue the snapshot at entry {entry.index}")
        index, term = entry.index, entry.term
    if through is not None and index < through:
        raise NotThere(f"the log ends at entry {index}, and {through} is wanted")
    about = About(
        cluster=identity.cluster,
        cluster_name=cluster_name,
        member=identity.member,
        base=meta.index,
        index=index,
        term=term,
        chain=chain,
        taken_unix_s=int(time.time()),
        version=__version__,
    )
    writer = Writer(path, about)
    try:
        writer.add(META, encode_meta(meta))
        for data in slices:
            writer.add(SLICE, data)
        for blob in [blob for data in slices if is_list(data) for blob in decode_list(data)[0]]:
            for number, piece in enumerate(reader.pieces(blob)):
                writer.add(PIECE, PIECE_HEAD.pack(blob.id, number * BLOB_PIECE_BYTES) + piece)
        for entry in entries:
            writer.add(ENTRY, ENTRY_HEAD.pack(entry.term, entry.index, entry.kind) + entry.data)
        writer.end()
    except BaseException:
        writer.abandon()
        raise
    return about
