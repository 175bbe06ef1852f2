"""What watches see: changes of one revision, each with its events. Pure.

Every event is in one space, and a watch looks at one space: kv's keys, the notices to one session, or one service's names.
"""

import msgspec

from coordnode.ids import NO_SESSION, Revision, SessionId

KV = 0
NOTICES = 1  # key: the session's id in eight bytes; what somebody else's doing, or time, changed for that session
LOCKS = 2
ELECTIONS = 3
GROUPS = 4
QUEUES = 5
SHARDS = 6
BARRIERS = 7
COUNTERS = 8
JOURNALS = 9
SPACE_MAX = 255

PUT_EVENT = 0
DELETE_EVENT = 1


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """In kv, a put shows the key as it is now; a delete has no value and version 0, and names the session the key was bound to.

    In other spaces `kind` counts by the service, `key` is a name, and `value` is a result or view in its encoding.
    """

    kind: int
    key: bytes
    value: bytes
    version: int
    session: SessionId = NO_SESSION
    space: int = KV


class Change(msgspec.Struct, frozen=True, array_like=True):
    """All that happened at one revision; a watch gets all of it that matches, or nothing yet."""

    revision: Revision
    events: list[Event]
