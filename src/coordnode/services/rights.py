"""What an operation needs that its asker may do: an area, a level, and over which names. Pure.

Each service says it of its own operations and reads (`Service.RIGHTS`), so that none is there without it.
"""

from typing import NamedTuple

KV, LOCK, ELECT, GROUP, QUEUE, SHARD, BARRIER, COUNTER, JOURNAL, ADMIN = range(10)
AREAS = ("kv", "lock", "elect", "group", "queue", "shard", "barrier", "counter", "journal", "admin")
NAMED_AREAS = range(ADMIN)  # admin has no names: it is the cluster

READ, USE, MANAGE = range(3)
LEVELS = ("read", "use", "manage")

# Over which names:
NAME = 0  # the one in `field`
PREFIX = 1  # all that begin with what is in `field`
RANGE = 2  # from `start` to `end`
NONE = 3  # of the whole area
SESSION = 4  # whose session is in `field` may; to others it does not exist, unless they may do what is said in the area
ANYTHING = 5  # whoever may do anything at all at that level


class Right(NamedTuple):
    area: int
    level: int
    field: str = "name"
    over: int = NAME


Rights = tuple[Right, ...]
"""All of them are needed."""


def needs(area: int, level: int, field: str = "name", over: int = NAME) -> Rights:
    return (Right(area, level, field, over),)
