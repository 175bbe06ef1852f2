"""What a member is to suffer, and until when: one small file in its folder. Whoever harms it writes the file, the member reads it."""

import os
import time

import msgspec

from coordnode.client.clock import now_ms

ORDERS_FILE = "harm.json"
LOOK_NS = 10_000_000  # from one look at the file to the next

DISK_FULL, SLOW_FSYNC, EIO, ROT, POWER_LOSS = "disk-full", "slow-fsync", "eio", "rot", "power-loss"
SNAPSHOT = "snapshot"
CLOCK_JUMP, CLOCK_DRIFT, CLOCK_STROBE = "clock-jump", "clock-drift", "clock-strobe"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    fault: str
    amount: float = 0.0  # how hard: milliseconds, percent for clock-drift, entries for snapshot
    boot: str  # of the host: another one means that its time is over
    deadline_ms: int  # on the clock that goes on in suspend
    seed: int = 0
    path: str = ""  # what is rotten, and where
    offset: int = 0

    def is_over(self) -> bool:
        return now_ms() >= self.deadline_ms or self.boot != boot_mark()


def boot_mark() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def read(folder: str) -> list[Order]:
    """What is no list of orders is none: a member is never kept from serving by it."""
    try:
        with open(os.path.join(folder, ORDERS_FILE), "rb") as file:
            return msgspec.json.decode(file.read(), type=list[Order])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []


def encode(orders: list[Order]) -> bytes:
    return msgspec.json.encode(orders)


class Orders:
    """Those that hold now, looked up so seldom that it costs nothing. Any thread may ask."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._look_again_ns = 0
        self._seen = (0, 0)  # of the file: which one it is, and when it was written
        self._read: list[Order] = []
        self._current: tuple[Order, ...] = ()

    def current(self) -> tuple[Order, ...]:
        now_ns = time.monotonic_ns()
        if now_ns >= self._look_again_ns:
            self._look_again_ns = now_ns + LOOK_NS
            self._look()
        return self._current

    def of(self, fault: str) -> Order | None:
        for order in self.current():
            if order.fault == fault:
                return order
        return None

    def _look(self) -> None:
        try:
            found = os.stat(os.path.join(self._folder, ORDERS_FILE))
            seen = (found.st_ino, found.st_mtime_ns)
        except OSError:
            seen = (0, 0)
        if seen != self._seen:
            self._seen = seen
            self._read = read(self._folder)
        if self._read or self._current:
            self._current = tuple([order for order in self._read if not order.is_over()])
