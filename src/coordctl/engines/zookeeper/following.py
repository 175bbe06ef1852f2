"""Nothing can be followed on ZooKeeper as it is promised: an event says that a key changed, and what it is now is read after it."""

from typing import NoReturn

from coordctl.engines.lacks import why_not
from coordctl.local.clusters import ZOOKEEPER
from coordnode.errors import BadRequest


def Following(*_: object) -> NoReturn:
    raise BadRequest(why_not(ZOOKEEPER, "watch"))


Observing = Following
