"""Snapshots after few entries, as long as an order says so, and afterwards what the settings say by then."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from coordnode.client.clock import now_ms
from coordnode.config import NodeConfig
from coordnode.harm import orders
from coordnode.harm.orders import SNAPSHOT, Order, Orders, boot_mark
from coordnode.node.snapshots_on_purpose import SnapshotsOnPurpose
from coordnode.replica.config import ReplicaConfig


def test_an_order_holds_for_its_time_and_then_the_settings_do_also_those_that_were_changed_meanwhile(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(orders, "LOOK_NS", 0)
    replica: Any = SimpleNamespace(config=ReplicaConfig(snapshot_entries=1_000, keep_entries=100))
    settings = NodeConfig(folder=str(tmp_path), snapshot_entries=1_000, keep_entries=100)
    harmed = SnapshotsOnPurpose(replica, Orders(str(tmp_path)), lambda: settings)

    def has() -> tuple[int, int]:
        harmed.on_tick()
        return replica.config.snapshot_entries, replica.config.keep_entries

    assert has() == (1_000, 100)
    order = Order(id="a", fault=SNAPSHOT, amount=20.0, boot=boot_mark(), deadline_ms=now_ms() + 60_000)
    (tmp_path / orders.ORDERS_FILE).write_bytes(orders.encode([order]))
    assert has() == (20, 0)
    settings = NodeConfig(folder=str(tmp_path), snapshot_entries=500, keep_entries=50)
    assert has() == (20, 0)
    (tmp_path / orders.ORDERS_FILE).unlink()
    assert has() == (500, 50)
