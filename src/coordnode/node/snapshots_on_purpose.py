"""A member that was told to makes snapshots after few entries, and keeps none of these: who lags needs one. Else its settings hold."""

from collections.abc import Callable

from msgspec import structs

from coordnode.config import NodeConfig
from coordnode.harm.orders import SNAPSHOT, Orders
from coordnode.replica.replica import Replica


class SnapshotsOnPurpose:
    """Asked once per tick."""

    def __init__(self, replica: Replica, orders: Orders, config: Callable[[], NodeConfig]) -> None:
        self._replica = replica
        self._orders = orders
        self._config = config

    def on_tick(self) -> None:
        order, config, replica = self._orders.of(SNAPSHOT), self._config(), self._replica
        wanted = (config.snapshot_entries, config.keep_entries) if order is None else (int(order.amount), 0)
        if (replica.config.snapshot_entries, replica.config.keep_entries) != wanted:
            replica.config = structs.replace(replica.config, snapshot_entries=wanted[0], keep_entries=wanted[1])
