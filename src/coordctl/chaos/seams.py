"""Faults of a member's own disk and clock: ordered by a file in its folder, measured by what the member then does and shows.

The member ends them by itself, when their time is over. Those that end its process are over once it runs again.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import msgspec

from coordctl.chaos import lives, premises, values
from coordctl.chaos.faults import KEEPS_DOWN
from coordctl.chaos.ledger import Entry, Ledger, write_durably
from coordctl.facts.metrics import parse_metrics
from coordctl.local import processes
from coordctl.local.clusters import LocalMember
from coordnode.harm import orders
from coordnode.harm.orders import (
    CLOCK_DRIFT,
    CLOCK_JUMP,
    CLOCK_STROBE,
    DISK_FULL,
    EIO,
    ORDERS_FILE,
    POWER_LOSS,
    ROT,
    SLOW_FSYNC,
    SNAPSHOT,
    Order,
)

TAKES_SECONDS_MAX = 20.0
OBEYED_SECONDS = 0.05  # from the file to the member that does as it says
POKE_KEY = "_chaos%2Fpoke"  # deleting what is not there is a write to every log, and leaves nothing
POKE_SECONDS = 0.3
SYNC = "coordnode_sync_seconds"
ENDS_PROCESS = (EIO, ROT, POWER_LOSS)

AMOUNTS: dict[str, Callable[[str], float]] = {
    SLOW_FSYNC: values.duration_ms,
    SNAPSHOT: float,
    CLOCK_JUMP: values.signed_duration_ms,
    CLOCK_DRIFT: values.signed_percent,
    CLOCK_STROBE: values.duration_ms,
}
SEEN = {
    DISK_FULL: "no byte is free",
    SLOW_FSYNC: "each fsync takes longer by {by}",
    SNAPSHOT: "it made a snapshot, and its log begins behind that",
    EIO: "the member ended, as it must",
    ROT: "damaged bytes were found",
    POWER_LOSS: "process gone in the midst of a sync",
    CLOCK_JUMP: "its clock is off by {by}",
    CLOCK_DRIFT: "its clock goes wrong by {by}",
    CLOCK_STROBE: "its clock is off by {by}, and then right again",
}


def seen(entry: Entry) -> str:
    return SEEN[entry.fault].format(by=entry.by)


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    found = []
    for entry in entries:
        member = lives.member_of(ledger.cluster_folder, entry.member)
        found.append("there is no such member" if member is None else _strike(ledger, entry, member))
    return found


def _folder(ledger: Ledger, entry: Entry) -> str:
    return premises.of(ledger.cluster_folder).folder(entry.member)


def _strike(ledger: Ledger, entry: Entry, member: LocalMember) -> str:
    amount = AMOUNTS[entry.fault](entry.by) if entry.fault in AMOUNTS else 0.0
    seed = int(entry.id, 16)
    order = Order(id=entry.id, fault=entry.fault, amount=amount, boot=entry.boot, deadline_ms=entry.deadline_ms, seed=seed)
    if entry.fault == ROT:
        return _rot(ledger, entry, member, order)
    with ledger.striking([entry]):
        if entry.fault in KEEPS_DOWN:
            premises.of(ledger.cluster_folder).keep_down(entry)
        _give(ledger, entry, order)
    time.sleep(OBEYED_SECONDS)
    return _measured(entry, member, amount)


def _give(ledger: Ledger, entry: Entry, order: Order) -> None:
    """Whoever calls has the ledger's lock."""
    others = [one for one in orders.read(_folder(ledger, entry)) if one.id != order.id and not one.is_over()]
    write_durably(os.path.join(_folder(ledger, entry), ORDERS_FILE), orders.encode([*others, order]))


def _withdraw(ledger: Ledger, entry: Entry) -> None:
    """Also of what is over already; whoever calls has the ledger's lock."""
    path = os.path.join(_folder(ledger, entry), ORDERS_FILE)
    with suppress(FileNotFoundError):
        os.unlink(path + ".tmp")  # of whoever was killed while it had the lock
    if not os.path.exists(path):
        return
    others = [one for one in orders.read(_folder(ledger, entry)) if one.id != entry.id and not one.is_over()]
    if others:
        write_durably(path, orders.encode(others))
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


# --- whether it took -----------------------------------------------------------------------------------------------------


def _measured(entry: Entry, member: LocalMember, amount: float) -> str:
    """What is wrong, or "": it was seen."""
    address = member.address
    if entry.fault == DISK_FULL:
        return lives.wait_until(lambda: _disk(address).get("space_ok") is False, TAKES_SECONDS_MAX, "it has space still", 0.1)
    if entry.fault == SLOW_FSYNC:
        before = lives.metrics(address).histogram(SYNC)

        def is_slow() -> bool:
            poke(address)
            syncs = lives.metrics(address).histogram(SYNC).since(before)
            return syncs.count > 0 and (syncs.mean_ms() or 0.0) >= 0.9 * amount

        return lives.wait_until(is_slow, TAKES_SECONDS_MAX, "its fsyncs are as quick as before")
    if entry.fault == SNAPSHOT:
        first = lives.status(address).get("snapshot_index") or 0

        def has_made_one() -> bool:
            poke(address)
            now = lives.status(address)
            index = now.get("snapshot_index") or 0
            return index > first and now["first_index"] == index + 1

        return lives.wait_until(has_made_one, TAKES_SECONDS_MAX, "it makes no snapshot")
    if entry.fault in (EIO, POWER_LOSS):

        def is_gone() -> bool:
            poke(address)
            return not processes.is_running(entry.pid, entry.mark)

        return lives.wait_until(is_gone, TAKES_SECONDS_MAX, "its process runs still")
    return _measured_clock(entry, address, amount)


def poke(address: str) -> None:
    """So that every member of the cluster has something to sync. What becomes of it does not matter."""
    lives.ask(address, "DELETE", f"/v1/kv/{POKE_KEY}", POKE_SECONDS)


def _disk(address: str) -> dict[str, Any]:
    found: dict[str, Any] = lives.status(address).get("disk", {})
    return found


def offsets(address: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """How far its wall clock and its monotonic one are before ours: at least, and at most; None: it gave no answer."""
    wall_before, before = time.time_ns(), time.monotonic_ns()
    found = lives.status(address)
    wall_after, after = time.time_ns(), time.monotonic_ns()
    if "clock" not in found:
        return None
    wall, own = found["clock"]["wall_ms"], found["clock"]["now_ms"]
    return (wall - wall_after // 1_000_000, wall + 1 - wall_before // 1_000_000), (own - after // 1_000_000, own + 1 - before // 1_000_000)


def _measured_clock(entry: Entry, address: str, amount: float) -> str:
    if entry.fault == CLOCK_DRIFT:
        first = offsets(address)

        def has_drifted() -> bool:
            now = offsets(address)
            if first is None or now is None:
                return False
            (least, most), (least_first, most_first) = now[1], first[1]
            return least > most_first if amount > 0 else most < least_first

        return lives.wait_until(has_drifted, TAKES_SECONDS_MAX, "its clock goes as ours does", 0.1)

    def is_off() -> bool:
        now = offsets(address)
        if now is None:
            return False
        least, most = now[0]
        return least >= 0.9 * amount if amount > 0 else most <= 0.9 * amount

    def is_right() -> bool:
        now = offsets(address)
        return now is not None and now[0][0] <= 0.1 * amount

    trouble = lives.wait_until(is_off, TAKES_SECONDS_MAX, "its clock is right")
    if trouble or entry.fault == CLOCK_JUMP:
        return trouble
    return lives.wait_until(is_right, TAKES_SECONDS_MAX, "its clock does not go back")


# --- rot -----------------------------------------------------------------------------------------------------------------


def _rot(ledger: Ledger, entry: Entry, member: LocalMember, order: Order) -> str:
    """Found by a start: so there is one."""
    from coordnode.harm import rotting  # all that reads a log

    deadline = time.monotonic() + TAKES_SECONDS_MAX
    place = None
    while place is None:
        poke(member.address)  # what was synced before is proven by what follows it
        place = rotting.place(_folder(ledger, entry), Random(order.seed))
        if place is None and time.monotonic() > deadline:
            return "its log holds nothing that could rot"
    with ledger.striking([entry]):
        _give(ledger, entry, msgspec.structs.replace(order, path=place[0], offset=place[1]))
        processes.send(entry.pid, entry.mark, signal.SIGKILL)
    if not processes.wait_gone(entry.pid, entry.mark, TAKES_SECONDS_MAX):
        return "its process runs still"
    lives.start(ledger, entry)
    return lives.wait_until(lambda: _has_found_rot(member.address), lives.SERVES_SECONDS_MAX, "it found no damage")


def _has_found_rot(address: str) -> bool:
    return bool(lives.status(address).get("storage", {}).get("rot"))


# --- how it is undone ----------------------------------------------------------------------------------------------------


def cure(ledger: Ledger, entry: Entry) -> None:
    with ledger.locked():
        _withdraw(ledger, entry)
    if entry.fault not in ENDS_PROCESS:
        return
    time.sleep(OBEYED_SECONDS)  # until now it may have ended by what it last read
    lives.start(ledger, entry)
    if entry.fault != ROT:
        return
    lives.wait_until(lambda: lives.is_back(ledger, entry), lives.SERVES_SECONDS_MAX, "")
    member = lives.member_of(ledger.cluster_folder, entry.member)
    if member is not None and _has_found_rot(member.address):
        # It has healed from the others, or will: what it says of its disk is told anew by its next start.
        processes.send(member.pid, member.started, signal.SIGKILL)
        processes.wait_gone(member.pid, member.started, TAKES_SECONDS_MAX)
        lives.start(ledger, entry)


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    if any(one.id == entry.id for one in orders.read(_folder(ledger, entry))):
        return False
    if entry.fault in ENDS_PROCESS and not lives.is_back(ledger, entry):
        return False
    member = lives.member_of(ledger.cluster_folder, entry.member)
    if entry.fault == SLOW_FSYNC and member is not None:
        return _syncs_again(ledger, entry, member)
    if entry.fault != ROT or member is None or lives.is_kept_down(ledger, entry):
        return True
    return _tells_of_no_rot(member.address)


def _syncs_again(ledger: Ledger, entry: Entry, member: LocalMember) -> bool:
    """What it was to suffer from may be in the midst of a sync. Where something else may keep it from one, nobody looks: another fault,
    that it does not run, that nobody leads, or that it shows nothing to who asks."""
    if any(one.id != entry.id for one in ledger.entries()) or not lives.is_running(member):
        return True
    code, body = lives.ask(member.address, "GET", "/metrics")
    if code != 200 or not lives.status(member.address).get("leader"):
        return code != 0  # it stands still, as far as can be seen
    poke(member.address)
    before = parse_metrics(body).histogram(SYNC)
    return not lives.wait_until(lambda: lives.metrics(member.address).histogram(SYNC).since(before).count > 0, POKE_SECONDS, "no")


def _tells_of_no_rot(address: str) -> bool:
    """Who gives no answer may have found it only now."""
    storage = lives.status(address).get("storage")
    return storage is not None and not storage["rot"]


def drop(ledger: Ledger, entry: Entry) -> None:
    _withdraw(ledger, entry)
