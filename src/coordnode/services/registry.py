"""The services there are. A new one is its own file and one line here. Pure."""

from coordnode.services.commands import RaiseLevel, Wake
from coordnode.services.context import Check, Service
from coordnode.services.kv import Kv
from coordnode.services.sessions import Sessions

SUPPORTED_LEVEL = 2  # the highest feature level that this build can apply

OTHER_SERVICES: tuple[type[Service], ...] = ()
"""All but the two that the machine knows by name. Told of ended sessions in this order, after those."""

COMMAND_LEVELS: dict[type, int] = {Wake: 1, RaiseLevel: 1}
"""Which feature level an operation needs: below it every member refuses it alike, whatever its build."""

CHECKS: dict[type, Check] = {}
"""What can be wrong with an operation, whatever the state."""


for _levels, _checks in (
    (Sessions.LEVELS, Sessions.CHECKS),
    (Kv.LEVELS, Kv.CHECKS),
    *[(_kind.LEVELS, _kind.CHECKS) for _kind in OTHER_SERVICES],
):
    assert not COMMAND_LEVELS.keys() & _levels.keys(), "two services claim one operation"
    assert _checks.keys() <= _levels.keys(), "a check without a level"
    COMMAND_LEVELS.update(_levels)
    CHECKS.update(_checks)
