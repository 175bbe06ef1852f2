"""When a member is over what it was told to suffer."""

from pathlib import Path
from typing import Any

import pytest

from coordctl.chaos import lives, seams
from coordctl.chaos.ledger import Ledger
from coordctl.local.clusters import LocalMember
from coordnode.client.clock import now_ms
from coordnode.harm import orders
from coordnode.harm.orders import ORDERS_FILE, Order, Orders, boot_mark, encode
from tests.unit.coordctl.test_chaos_ledger import entry, written

DAMAGE = "rot in wal/1.seg at offset 7"


@pytest.mark.parametrize(
    ("status", "is_cured"),
    [
        ({"storage": {"rot": []}}, True),
        ({"storage": {"rot": [DAMAGE]}}, False),  # found by a start that ended only after it was looked at for the cure
        ({}, False),  # it gives no answer: so nobody knows
    ],
)
def test_rot_is_over_once_the_member_tells_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], *, is_cured: bool
) -> None:
    monkeypatch.setattr(lives, "member_of", lambda *_: LocalMember("n1", 1, "127.0.0.1:1"))
    monkeypatch.setattr(lives, "is_back", lambda *_: True)
    monkeypatch.setattr(lives, "status", lambda _: status)
    assert seams.is_cured(Ledger(str(tmp_path)), entry(fault="rot")) == is_cured


@pytest.mark.parametrize("fault", ["eio", "power-loss"])
def test_a_member_that_ends_by_what_it_has_read_last_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """It looks at its orders only now and then."""
    monkeypatch.setattr(orders, "LOOK_NS", 4 * orders.LOOK_NS)  # however long it takes to withdraw them
    folder = tmp_path / "n1"
    folder.mkdir()
    (folder / ORDERS_FILE).write_bytes(encode([Order(id="aa", fault=fault, boot=boot_mark(), deadline_ms=now_ms() + 60_000)]))
    obeying = Orders(str(folder))
    started = []
    monkeypatch.setattr(lives, "start", lambda *_: started.append(obeying.of(fault)))
    assert obeying.of(fault) is not None
    seams.cure(Ledger(str(tmp_path)), entry(fault=fault))
    assert started == [None], "it was looked at while it still did as it had been told"


def test_of_a_member_that_is_no_more_nothing_is_asked(tmp_path: Path) -> None:
    assert seams.is_cured(Ledger(str(tmp_path)), entry(fault="rot"))


# --- a sync that is under way --------------------------------------------------------------------------------------------

SYNCED = 'coordnode_sync_seconds_bucket{{le="+Inf"}} {}\n'


@pytest.mark.parametrize(
    ("code", "leader", "syncs", "is_cured"),
    [
        (200, 1, True, True),
        (200, 1, False, False),  # it stands in the one that was slowed
        (0, 1, False, False),  # and so it answers nobody
        (200, 0, False, True),  # without a leader nothing is written
        (403, 1, False, True),  # it does not show itself to us
    ],
)
def test_slow_syncs_are_over_once_one_has_passed_where_that_can_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, leader: int, *, syncs: bool, is_cured: bool
) -> None:
    count = 7

    def ask(_address: str, method: str, path: str, _seconds: float = 1.0) -> tuple[int, bytes]:
        nonlocal count
        count += syncs and method == "DELETE"
        return code, SYNCED.format(count).encode()

    monkeypatch.setattr(lives, "member_of", lambda *_: LocalMember("n1", 1, "127.0.0.1:1"))
    monkeypatch.setattr(lives, "is_running", lambda _: True)
    monkeypatch.setattr(lives, "status", lambda _: {"leader": leader} if code == 200 else {})
    monkeypatch.setattr(lives, "ask", ask)
    slow = entry(fault="slow-fsync")
    ledger = written(tmp_path, slow)
    assert seams.is_cured(ledger, slow) == is_cured
    ledger.add(entry("bb"))
    assert seams.is_cured(ledger, slow), "another fault may be what keeps it from a sync"
