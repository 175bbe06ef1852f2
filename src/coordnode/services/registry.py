"""The services there are. A new one is its own file and one line here. Pure."""

from collections.abc import Callable
from typing import Any, get_args

from coordnode.formats import LEVEL_MAX
from coordnode.services.auth.service import Auth
from coordnode.services.barriers import Barriers
from coordnode.services.commands import LeadingOperation, RaiseLevel, Wake
from coordnode.services.context import Check, Service
from coordnode.services.counters import Counters
from coordnode.services.elections import Elections
from coordnode.services.groups import Groups
from coordnode.services.journals import Journals
from coordnode.services.kv import Kv
from coordnode.services.locks.service import Locks
from coordnode.services.queues import Queues
from coordnode.services.rights import Rights
from coordnode.services.sessions import Sessions
from coordnode.services.shards import Shards

SUPPORTED_LEVEL = LEVEL_MAX

OTHER_SERVICES: tuple[type[Service], ...] = (Locks, Elections, Counters, Shards, Groups, Barriers, Queues, Journals)
"""All but those that the machine knows by name: sessions, kv and auth. Told of ended sessions in this order, after those."""

COMMAND_LEVELS: dict[type, int] = {Wake: 1, RaiseLevel: 1}
"""Which feature level an operation needs: below it every member refuses it alike, whatever its build."""

LEVELS_OF: dict[type, Callable[[Any], int]] = {}
"""Where that depends on what the operation says."""

CHECKS: dict[type, Check] = {}
"""What can be wrong with an operation, whatever the state."""

RIGHTS: dict[type, Rights] = {}
"""What whoever asks for an operation must be allowed. No operation of a service is without."""

ADDS_DATA: tuple[type, ...] = ()
"""Refused while the members with free space are no quorum."""


_SERVICES: tuple[type[Service], ...] = (Sessions, Kv, *OTHER_SERVICES, Auth)
for _kind in _SERVICES:
    assert not COMMAND_LEVELS.keys() & _kind.LEVELS.keys(), "two services claim one operation"
    assert _kind.CHECKS.keys() | _kind.LEVELS_OF.keys() <= _kind.LEVELS.keys(), "a check without a level"
    assert _kind.RIGHTS.keys() == _kind.LEVELS.keys() - {*get_args(LeadingOperation)}, f"{_kind.__name__} does not say who may do what"
    COMMAND_LEVELS.update(_kind.LEVELS)
    LEVELS_OF.update(_kind.LEVELS_OF)
    CHECKS.update(_kind.CHECKS)
    RIGHTS.update(_kind.RIGHTS)
    ADDS_DATA += _kind.ADDS_DATA
