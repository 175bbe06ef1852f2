"""The sealed block that begins every file of a member: what it is, of which version, and whose. Pure bytes, no file."""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from coordnode.errors import FolderRefused, RecordError, UnknownFormat
from coordnode.formats import STORAGE
from coordnode.ids import ClusterId, MemberId

FORMAT_VERSION = STORAGE
_HEAD = Struct("<8sIIQQI")  # magic, version, crc, cluster, member, bytes of the body
_CRC_FROM = 16  # the crc covers what follows it, and begins with magic and version
_CRC_AT = 12
HEAD_BYTES = _HEAD.size


class Identity(NamedTuple):
    cluster: ClusterId
    member: MemberId

    def __str__(self) -> str:
        return f"member {self.member} of cluster {self.cluster}"


class Unsealed(NamedTuple):
    identity: Identity
    body: bytes
    size: int  # of the whole block


def seal(magic: bytes, identity: Identity, body: bytes, *, version: int = FORMAT_VERSION) -> bytes:
    head = _HEAD.pack(magic, version, 0, identity.cluster, identity.member, len(body))
    crc = crc32(body, crc32(head[_CRC_FROM:], crc32(head[:_CRC_AT])))
    return _HEAD.pack(magic, version, crc, identity.cluster, identity.member, len(body)) + body


def unseal(magic: bytes, data: bytes, where: str, *, expected: Identity | None = None, bytes_max: int = 1 << 20) -> Unsealed:
    """The block at the beginning of `data`. RecordError: not what was written; UnknownFormat, FolderRefused: whole, but not for us."""
    if len(data) < HEAD_BYTES:
        raise RecordError(f"{where} is too short for its header")
    found, version, crc, cluster, member, size = _HEAD.unpack_from(data)
    if found != magic:
        raise RecordError(f"{where} does not begin as such a file does")
    if size > bytes_max or HEAD_BYTES + size > len(data):
        raise RecordError(f"{where} is too short for what its header announces")
    body = bytes(data[HEAD_BYTES : HEAD_BYTES + size])
    if crc32(body, crc32(data[_CRC_FROM:HEAD_BYTES], crc32(data[:_CRC_AT]))) != crc:
        raise RecordError(f"the header of {where} does not match its checksum")
    if version != FORMAT_VERSION:
        raise UnknownFormat(f"{where} has format version {version}, this build knows {FORMAT_VERSION}: start the build that wrote it")
    identity = Identity(ClusterId(cluster), MemberId(member))
    if expected is not None and identity != expected:
        raise FolderRefused(f"{where} belongs to {identity}, not to {expected}: it was copied here; put it back where it came from")
    return Unsealed(identity, body, HEAD_BYTES + size)
