"""One process that generates load: real clients' connections, each in a session of its own, and operations one after the other.

It is told what to do by whoever started it, on its standard input, and goes when that ends: so nothing goes on once its starter is gone,
however that went. Every second it tells what it counted.
"""

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from typing import BinaryIO

import msgspec

from coordctl.load.latencies import MS
from coordctl.load.pace import NS, Pace
from coordctl.load.tally import Tally
from coordctl.load.workloads import LOCK, operations
from coordctl.local.clusters import COORDNODE, Chosen, named
from coordctl.operations.load_connection import CLOSE_MS_MAX, Connection, Terms
from coordctl.operations.load_foreign import ForeignConnection
from coordctl.operations.load_member import MemberConnection
from coordnode.client.clock import now_ms

SWEEP_NS = 10_000_000  # so often connections are looked at that nothing happens on
TELL_NS = NS
LOOK_NS = 5_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: list[str]  # as --endpoints takes them
    identity: str
    prefix: str  # of all names of this process
    workload: str
    value_bytes: int
    connections: int
    outstanding: int  # of each connection, in a closed loop
    rate: float  # of all processes, in a second; 0: a closed loop
    part: int  # this process, of so many
    parts: int
    ttl_ms: int
    timeout_ms: int  # of one request


class Go(msgspec.Struct, frozen=True):
    """On this machine's monotonic clock, which all processes share."""

    begin_ns: int
    measure_ns: int  # what was meant to be sent before is not counted
    end_ns: int


END = Go(0, 0, 0)


class Told(msgspec.Struct):
    """What happened since the last one."""

    kind: str  # ready, failed, counted, over
    sentence: str = ""
    tally: Tally = msgspec.field(default_factory=Tally)
    cpu_seconds: float = 0.0  # while load was generated
    seconds: float = 0.0
    way_ms: float = 0.0  # to the leader and back, before the load; 0: not known


class Generator:
    def __init__(self, plan: Plan, told: BinaryIO, orders: int) -> None:
        self.plan = plan
        value = bytes(32 + number % 95 for number in range(plan.value_bytes))
        self.tally = Tally()
        self.heard_ns = time.monotonic_ns()  # when what is being read now was there to be read
        self._out = told
        self._orders = orders  # the file on which we are told what to do
        self._epoll = select.epoll()
        self._by_file: dict[int, Connection] = {}
        self._next_operations = cycle(operations(plan.workload))
        self._go: Go | None = None
        self._is_full = False  # all places are taken
        self._free_ns = 0  # since when they are not any more
        self._is_loading = False
        self._is_ending = False
        self._is_cut = False  # nobody is there any more who wants to know
        self._opening = plan.connections
        self._told_ns = self._swept_ns = self.heard_ns
        self._told_cpu_s = 0.0
        self._epoll.register(orders, select.EPOLLIN)
        chosen = named(",".join(plan.endpoints), "endpoints")
        self._connections = [
            self._connection(chosen, Terms(plan.identity, f"{plan.prefix}/{number}", value, plan.ttl_ms, plan.timeout_ms))
            for number in range(plan.connections)
        ]

    def _connection(self, chosen: Chosen, terms: Terms) -> Connection:
        if chosen.engine == COORDNODE:
            return MemberConnection(self, self.plan.endpoints, terms)
        return ForeignConnection(self, chosen, terms, keeps=self.plan.workload != LOCK)

    # --- its life ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._carry_out_all()
            while self._opening and not self._is_cut:
                self._turn(None)
            troubles = [one.trouble for one in self._connections if one.trouble]
            if troubles:
                self._tell("failed", troubles[0])
                return
            self._tell("ready")
            looked_at = cycle(self._connections)
            while self._go is None and not self._is_cut:
                looking = next(looked_at)  # one at a time, so that none keeps another waiting
                looking.look()
                self._carry_out(looking)
                self._turn(time.monotonic_ns() + LOOK_NS)
            if self._go is not None:
                self._load(self._go)
        finally:
            self._close()
        if not self._is_cut:
            self._tell("over")

    def _load(self, go: Go) -> None:
        plan = self.plan
        while not self._is_ending and time.monotonic_ns() < go.begin_ns:
            self._turn(go.begin_ns)
        self._told_ns, self._told_cpu_s = time.monotonic_ns(), _cpu_seconds()
        self._is_loading = True
        pace = Pace(plan.rate, go.begin_ns, go.end_ns, part=plan.part, parts=plan.parts) if plan.rate else None
        if pace is None:
            for connection in self._connections:
                for _ in range(plan.outstanding):
                    self._begin_next(connection)
            self._carry_out_all()
        in_turn = cycle(self._connections)
        while not self._is_ending and (now_ns := time.monotonic_ns()) < go.end_ns:
            if pace is not None:
                self._keep(pace, in_turn, now_ns)
            self._turn(go.end_ns if pace is None or pace.is_over else pace.next_ns)
        if pace is not None and not self._is_ending:
            self._catch_up(pace, in_turn, go)
        self._is_loading = False
        self._is_ending = True
        until_ns = time.monotonic_ns() + plan.timeout_ms * 1_000_000
        while any(one.under_way for one in self._connections) and time.monotonic_ns() < until_ns and not self._is_cut:
            self._turn(until_ns)
        self._count_unanswered(pace, go)

    def _catch_up(self, pace: Pace, in_turn: Iterator[Connection], go: Go) -> None:
        """What became due while this process itself stood still, to the end: it is late, and no failure of who was never asked."""
        self._turn(go.end_ns)  # answers that are there already make places
        while not self._is_full and not pace.is_over:
            self._keep(pace, in_turn, go.end_ns)

    def _keep(self, pace: Pace, in_turn: Iterator[Connection], now_ns: int) -> None:
        """Whatever is due is begun, on the next connection that has a place for it."""
        assert self._go is not None
        begun: set[Connection] = set()
        while len(begun) < len(self._connections) and pace.next_ns <= now_ns and not pace.is_over:
            connection = self._with_place(in_turn)
            if connection is None:
                self._is_full = True
                break
            meant_ns = pace.take(now_ns)
            assert meant_ns is not None
            begin_ns = time.monotonic_ns()
            is_counted = meant_ns >= self._go.measure_ns
            if is_counted:  # until there was a place it waited for answers, not for us
                self.tally.late.add(begin_ns - max(meant_ns, self._free_ns))
            connection.begin(next(self._next_operations), meant_ns, begin_ns, is_counted=is_counted)
            begun.add(connection)
        for connection in begun:
            self._carry_out(connection)

    def _with_place(self, in_turn: Iterator[Connection]) -> Connection | None:
        for _ in self._connections:
            connection = next(in_turn)
            if connection.has_place():
                return connection
        return None

    def _begin_next(self, connection: Connection) -> None:
        """Of a closed loop: as soon as there is room."""
        now_ns = time.monotonic_ns()
        if self._go is not None and not self._is_ending and now_ns < self._go.end_ns and connection.is_open:
            is_counted = now_ns >= self._go.measure_ns
            connection.begin(next(self._next_operations), now_ns, now_ns, is_counted=is_counted)

    def _count_unanswered(self, pace: Pace | None, go: Go) -> None:
        """What was never answered, and what could not even be sent, waited for too long all the same."""
        for connection in self._connections:
            for work in connection.abandon():
                if work.is_counted:
                    self.tally.fail("Unanswered")
        if pace is not None and time.monotonic_ns() >= go.end_ns:
            while (meant_ns := pace.take(go.end_ns)) is not None:
                if meant_ns >= go.measure_ns:
                    self.tally.fail("Unsent")

    def _close(self) -> None:
        """Sessions are closed, and with them goes what is bound to them."""
        self._is_ending = True
        for connection in self._connections:
            connection.close()
        self._carry_out_all()
        until_ns = time.monotonic_ns() + CLOSE_MS_MAX * 1_000_000
        while any(one.is_open for one in self._connections) and time.monotonic_ns() < until_ns:
            self._turn(until_ns)
        for connection in self._connections:
            connection.hang_up()
        self._epoll.close()

    # --- what connections tell ---------------------------------------------------------------------------------------

    def on_opened(self, connection: Connection) -> None:
        if self._opening:
            self._opening -= 1
        elif connection.is_open:
            self._on_room()
            for _ in range(0 if self.plan.rate else self.plan.outstanding - connection.under_way):
                self._begin_next(connection)
        elif not self._is_ending:
            connection.open()

    def on_session_lost(self, connection: Connection) -> None:
        connection.forget_places()
        if not self._is_ending and self._go is not None:
            connection.open()

    def on_over(self, connection: Connection) -> None:
        if not self.plan.rate:
            self._begin_next(connection)
        else:
            self._on_room()

    def _on_room(self) -> None:
        if self._is_full:
            self._is_full = False
            self._free_ns = self.heard_ns

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _turn(self, until_ns: int | None) -> None:
        """Sleeps until then, or until something is there to be done; does it."""
        now_ns = time.monotonic_ns()
        wake_ns = self._swept_ns + SWEEP_NS if until_ns is None else min(until_ns, self._swept_ns + SWEEP_NS)
        # select is the one that sleeps for less than a millisecond, epoll the one that knows many files.
        if wake_ns > now_ns:
            select.select([self._epoll.fileno()], [], [], (wake_ns - now_ns) / NS)
        for file, event in self._epoll.poll(0):
            if file == self._orders:
                self._on_order()
                continue
            connection = self._by_file[file]
            wanted = connection.wanted()
            if wanted is not None and wanted[0] == file:
                self.heard_ns = time.monotonic_ns()
                connection.on_ready(event)
                self._carry_out(connection)
        self._sweep()

    def _sweep(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns < self._swept_ns + SWEEP_NS:
            return
        if self._is_loading and self._go is not None and not self.plan.rate and now_ns >= self._go.measure_ns:
            self.tally.late.add(now_ns - self._swept_ns - SWEEP_NS)
        self._swept_ns = now_ns
        self.heard_ns = now_ns
        at_ms = now_ms()
        for connection in self._connections:
            wake_at_ms = connection.wake_at_ms()
            if wake_at_ms is not None and wake_at_ms <= at_ms:
                self._carry_out(connection)
        if self._is_loading and now_ns >= self._told_ns + TELL_NS:
            self._tell("counted")

    def _carry_out_all(self) -> None:
        for connection in self._connections:
            self._carry_out(connection)

    def _carry_out(self, connection: Connection) -> None:
        connection.carry_out()
        wanted = connection.wanted()
        if wanted == connection.registered:
            return
        before = connection.registered
        connection.registered = wanted
        if before is not None and (wanted is None or wanted[0] != before[0]):
            self._by_file.pop(before[0], None)  # it is closed, and the kernel has forgotten it
        if wanted is not None:
            self._by_file[wanted[0]] = connection
            if before is not None and before[0] == wanted[0]:
                with contextlib.suppress(FileNotFoundError):  # another connection under the number of the one before
                    self._epoll.modify(*wanted)
                    return
            self._epoll.register(*wanted)

    # --- whoever started us ------------------------------------------------------------------------------------------

    def _on_order(self) -> None:
        said = os.read(self._orders, 4096)
        if said.strip():
            go = msgspec.json.decode(said.splitlines()[-1], type=Go)
            self._is_ending = self._is_ending or go == END
            self._go = self._go or go
            return
        self._is_ending = self._is_cut = True
        self._epoll.unregister(self._orders)

    def _tell(self, kind: str, sentence: str = "") -> None:
        told, self.tally = Told(kind, sentence, self.tally), Tally()
        ways_ns = [one.way_ns for one in self._connections if one.way_ns]
        if ways_ns:
            told.way_ms = sum(ways_ns) / len(ways_ns) / MS
        if kind == "counted":
            now_ns, cpu_s = time.monotonic_ns(), _cpu_seconds()
            told.cpu_seconds, told.seconds = cpu_s - self._told_cpu_s, (now_ns - self._told_ns) / NS
            self._told_ns, self._told_cpu_s = now_ns, cpu_s
        try:
            self._out.write(msgspec.json.encode(told) + b"\n")
            self._out.flush()
        except BrokenPipeError:
            self._is_ending = self._is_cut = True


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: whoever started us hears it, too, and says when to end
    plan = msgspec.json.decode(os.read(0, 65_536), type=Plan)  # one line, in one write
    with os.fdopen(1, "wb", closefd=False) as told:
        Generator(plan, told, 0).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
