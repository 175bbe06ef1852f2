"""One running member: the loop's turns, its ticks, and what arrives from sockets and storage threads.

client, member ─bytes→ net ─→ inbox ─→ turn (driver: replica, then effects in order) ─→ net, lanes ─→ inbox
"""

import asyncio
import os
import platform
import random
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from coordnode import __version__
from coordnode.address import Address as DialAddress
from coordnode.address import parse_address
from coordnode.client.addresses import reached_at
from coordnode.config import Listen, NodeConfig, told_settings
from coordnode.driver import Driver
from coordnode.errors import BadRequest, Disconnected
from coordnode.ids import MemberId, Revision
from coordnode.net.clients import ClientLink, Clients
from coordnode.net.door import Door, Ours, together
from coordnode.net.http import HttpAnswer
from coordnode.net.limits import Limits
from coordnode.net.peers import Address, Peers
from coordnode.net.tls import contexts
from coordnode.node.clock import Clock
from coordnode.node.duties import Duties
from coordnode.node.ending import FAILED, LEFT, Outcome, ending_of
from coordnode.node.gateway import Gateway
from coordnode.node.inbox import Inbox
from coordnode.node.lanes import Committed, Lanes, Stored
from coordnode.node.leaving import Leaving
from coordnode.node.next_turn import NextTurn
from coordnode.node.observer import Observer
from coordnode.node.recovery import Opened
from coordnode.node.reloaded import Reloaded
from coordnode.node.snapshots_on_purpose import SnapshotsOnPurpose
from coordnode.node.telemetry import Telemetry
from coordnode.node.tuning import freeze
from coordnode.raft.entry import Config
from coordnode.raft.messages import Message
from coordnode.raft.quorum import has_quorum
from coordnode.raft.state import FOLLOWER
from coordnode.replica.events import BlobsWritten, ChunkRead, RecordsFound, SliceStored, SnapshotFailed, SnapshotLoaded, SnapshotStored
from coordnode.services.callers import Caller
from coordnode.services.commands import ReadOperation
from coordnode.services.dialogue import Answer, Ask
from coordnode.wire.hello import Hello

BACKLOG = 1_024
LANES_SECONDS_MAX = 5.0
LAST_WORDS_SECONDS_MAX = 0.2
HELD_NS_MAX = 2_000_000


class Member:
    """Implements driver.Network, lanes.Owner, clients.ClientSink, peers.PeerSink and gateway.Host."""

    def __init__(
        self,
        config: NodeConfig,
        opened: Opened,
        loop: asyncio.AbstractEventLoop,
        telemetry: Telemetry,
        rng: random.Random,
        limits: Limits,
        show: Callable[["Member", str, Caller], HttpAnswer],
        clock: Clock,
    ) -> None:
        """`show` answers an HTTP path with what is to be seen of this member by that caller."""
        self.config = config
        self.identity = opened.identity
        self.recovered = opened.recovered
        self.replica = opened.replica
        self.telemetry = telemetry
        self.pid = os.getpid()
        self.name = config.name or f"member {opened.identity.member}"
        self.address = ""  # where it listens, once it does
        self.http_address = ""
        self.advertise = ""
        self.disk = opened.disk
        self._loop = loop
        self.clock = clock
        self.orders = opened.orders
        self._started_ms = clock.now_ms()
        self._outcome: Outcome | None = None
        self._next = NextTurn(loop, self._turn)
        self._leaving: Leaving | None = None
        self.reloaded = Reloaded()
        self._duties = Duties(opened.replica, telemetry, clock.now_ms, config.promote_after_ms)
        self._snapshots = SnapshotsOnPurpose(opened.replica, self.orders, lambda: self.config) if self.orders is not None else None
        self._servers: list[asyncio.Server] = []
        self._tick_at_s = 0.0
        self._tick_handle: asyncio.Handle | None = None
        self._restored = False
        self._snapshot_began_ms = 0
        self.snapshots_installed = 0  # of the leader's, since this process began
        self._asked_ns = 0  # when the first ask that no turn has taken yet arrived
        self._hold_handle: asyncio.Handle | None = None
        self._contacts: tuple[tuple[MemberId, str], ...] = ()

        self.inbox = Inbox(self.answer, rng.randrange)
        self.lanes = Lanes(opened.recovered.wal, opened.recovered.snapshots, loop.call_soon_threadsafe, self)
        self._driver = Driver(self.replica, self.lanes, self)
        self.observer = Observer(opened.replica, telemetry, config.slow_commit_ms, self._on_config)
        self.clients = Clients(self, limits)
        ours = Ours(
            opened.identity.cluster, opened.identity.member, opened.replica.raft.boot, __version__, contexts(config.tls), config.replaces
        )
        self.show = partial(show, self)
        self.gateway = Gateway(loop, self, ours.cluster, f"http at member {ours.member}", ours.dialling)
        self.door = Door(ours, self.clients, self._on_messages, lambda: self._contacts, self.gateway, time.monotonic)
        self.observer.pulse.follow(self.clients.traffic, self.door.refusals, told_settings(config)["config_hash"])
        self.peers = Peers(loop, ours, self, lambda: self._contacts, rng)
        self.door.on_member = self._on_member_hello
        self.door.on_member_lost = self._on_connection_ended

    # --- life ------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """From listening to the end; the folder is closed and unlocked when it returns."""
        loop = self._loop
        raft = self.replica.raft
        self.telemetry.cluster = self.identity.cluster
        self.telemetry.member = self.identity.member
        self.telemetry.place = lambda: (raft.term, self.replica.applied)
        self.telemetry.emit(
            "started",
            name=self.name,
            build=__version__,
            **told_settings(self.config),
            python=platform.python_version(),
            pid=self.pid,
            boot=raft.boot,
            loop=type(loop).__module__.split(".")[0],
            entries=len(self.recovered.entries),
            snapshot_index=raft.snapshot.index if raft.snapshot is not None else None,
        )
        for sentence in self.recovered.report:
            self.telemetry.emit("folder", report=sentence)
        loop.set_exception_handler(self._on_loop_error)
        try:
            loop.run_until_complete(self._listen())
        except OSError as error:
            self._outcome = Outcome(FAILED, f"cannot listen at {error}: is another process there? choose another address with --listen")
        if self._outcome is None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._on_signal, signal.Signals(number).name)
            # Whoever started us may block signals, and that is inherited: nobody could end us in order.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            self.lanes.start()
            self._tick_at_s = loop.time()
            self._tick()
            loop.run_forever()
        assert self._outcome is not None
        self._close()
        return self._outcome

    async def _listen(self) -> None:
        server = await self._serve(self.config.listen, self.door.for_everyone)
        self.address = _address_of(server, self.config.listen)
        self.advertise = self.config.advertise or self.address
        if self.config.http_listen is not None:
            self.http_address = _address_of(await self._serve(self.config.http_listen, self.door.for_http), self.config.http_listen)
        self.telemetry.emit("listening", address=self.address, http_address=self.http_address, advertise=self.advertise)

    async def _serve(self, listen: Listen, protocol: Any) -> asyncio.Server:
        try:
            server = await self._loop.create_server(protocol, listen.host, listen.port, backlog=BACKLOG, ssl=self.door.ours.listening())
        except OSError as error:
            raise OSError(f"{listen}: {error.strerror or error}") from error
        self._servers.append(server)
        return server

    def _on_signal(self, name: str) -> None:
        if self._leaving is not None:  # asked twice: whoever asks does not want to wait
            self._end(Outcome(LEFT))
            return
        self.telemetry.emit("leaving", reason=name)
        self._leaving = Leaving(self.replica, self.telemetry, self.clock.now_ms, self._is_quiet)
        self._maybe_leave()
        self._next.soon()

    def is_leaving(self) -> bool:
        return self._leaving is not None

    def _is_quiet(self) -> bool:
        """Nothing that was begun is unfinished."""
        if self.lanes.log.pending or not self.inbox.is_empty() or not self.gateway.is_quiet():
            return False
        return not any(link.outstanding or link.unread_bytes() for link in self.clients.links.values())

    def _maybe_leave(self) -> None:
        if self._leaving is not None and self._leaving.is_over():
            self._end(Outcome(LEFT))

    def _end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self._loop.stop()

    def _fail(self, error: BaseException) -> None:
        """The first reason counts."""
        if self._outcome is None:
            event, fields, outcome = ending_of(error, alone=self.replica.raft.config.members() == [self.identity.member])
            self.telemetry.emit(event, **fields)
            self._end(outcome)

    def _close(self) -> None:
        loop = self._loop
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        for server in self._servers:
            server.close()
        self.peers.close()
        left = self._outcome is not None and self._outcome.kind == LEFT
        if left:
            self.clients.close_all(Disconnected("this member stops; connect to another"))
            loop.run_until_complete(self._wait_unread())
        loop.run_until_complete(self.gateway.close())
        self.door.close_all()
        self.clients.abort_all()
        loop.run_until_complete(asyncio.sleep(0))  # what was closed is let go of in a turn of the loop
        self.lanes.stop(LANES_SECONDS_MAX, self.replica.known())
        self.disk.unlock()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if left:
            self.telemetry.emit("stopped", uptime_s=self.uptime_ms() // 1_000)

    async def _wait_unread(self) -> None:
        """Last words go out as fast as they are read, within a bound."""
        until = self._loop.time() + LAST_WORDS_SECONDS_MAX
        while self.clients.links and self._loop.time() < until:
            await asyncio.sleep(0.002)

    # --- turns -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._next.begins()
        if self._outcome is not None:
            return
        began_ns = time.monotonic_ns()
        try:
            holding = self._is_holding(began_ns)
            asked_ns = self._asked_ns
            now_ms = self.clock.now_ms()
            events = self.inbox.take(now_ms, with_asks=not holding)
            if not holding:
                self._asked_ns = began_ns if self.inbox.lines.waiting else 0
            events.now_ms = now_ms
            events.wall_ms = self.clock.wall_ms()
            effects = self._driver.turn(events)
            for connection, looked_bytes in effects.looked_bytes.items():
                self.clients.charge(connection, looked_bytes)
            self.observer.turned(events, effects, asked_ns, began_ns, time.monotonic_ns())
            if events.snapshot_loaded is not None:
                self._on_loaded(events.snapshot_loaded)
            if effects.again:
                self._next.soon()
            elif self.inbox.has_more():
                if self._is_holding(time.monotonic_ns()):
                    self._hold()
                else:
                    self._next.soon()
            if self._leaving is not None:
                self._maybe_leave()
        except BaseException as error:
            self._fail(error)

    def _is_holding(self, now_ns: int) -> bool:
        """While what was asked before is on its way to being committed, what clients ask gathers: one entry for all of it costs
        every member far less than one for each. Never for long: reads wait here, too."""
        if now_ns - self._asked_ns >= HELD_NS_MAX or self.inbox.is_full():
            return False
        return self.replica.clients.is_committing()

    def _hold(self) -> None:
        if self._hold_handle is None:
            self._hold_handle = self._loop.call_later(HELD_NS_MAX / 1e9, self._end_hold)

    def _end_hold(self) -> None:
        self._hold_handle = None
        self._next.soon()

    def _tick(self) -> None:
        """After a pause of this process, what others sent meanwhile is read before their silence counts."""
        tick_s = self.config.tick_ms / 1_000
        late_s = self._loop.time() - self._tick_at_s
        self._tick_at_s = max(self._tick_at_s, self._loop.time() - tick_s) + tick_s
        self.observer.late_ticks.observe(max(0, int(late_s * 1e9)))
        if late_s > 2 * tick_s:
            self.telemetry.emit("late_tick", late_ms=int(late_s * 1_000))
            self._tick_handle = self._loop.call_later(0.001, self._ticked)
        else:
            self._ticked()

    def _ticked(self) -> None:
        try:
            self.inbox.on_tick()
            self.lanes.log.on_tick(self.replica.known())
            self.lanes.snapshots.on_tick()
            self.clients.sweep(self._loop.time())
            self.door.sweep()
            self._duties.on_tick()
            if self._snapshots is not None:
                self._snapshots.on_tick()
            self._turn()
            self._tick_handle = self._loop.call_at(self._tick_at_s, self._tick)
        except BaseException as error:
            self._fail(error)

    # --- what the driver does --------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        self.peers.send(messages)

    def answer(self, connection: int, replies: Sequence[Answer]) -> None:
        link = self.clients.links.get(connection)
        if link is not None:
            link.answer(replies)

    def close(self, connection: int) -> None:
        self.clients.close(connection)

    # --- what storage does -----------------------------------------------------------------------------------------

    def on_committed(self, committed: Committed) -> None:
        if self._outcome is not None:
            return
        try:
            self.lanes.log.on_reported(committed)
            self.inbox.on_persisted(self._driver.on_written(committed.writes))
            self.observer.on_committed(committed)
            raft = self.replica.raft
            commits = raft.role != FOLLOWER and (not committed.in_turn or has_quorum(raft.config, raft.member.__eq__))
            if commits or not raft.hard_durable or self._leaving is not None:
                self._next.soon()
            # What waited for a follower's write has left: the rest may wait for its next message or tick. So may what a leader wrote
            # before anybody could acknowledge it.
        except BaseException as error:
            self._fail(error)

    def on_space(self, space_ok: bool) -> None:
        free = {"free_bytes": self.disk.free_bytes(), "free_files": self.disk.free_files()}
        self.telemetry.emit("space_back" if space_ok else "space_low", **free)
        self.inbox.on_space(space_ok)
        self._next.soon()

    def on_stored(self, event: Stored) -> None:
        inbox = self.inbox
        if isinstance(event, BlobsWritten):
            return inbox.on_blobs_written(event)  # whatever turn comes next is soon enough
        if isinstance(event, SnapshotLoaded):
            inbox.on_snapshot_loaded(event)
        elif isinstance(event, SliceStored):
            if event.number == 0:
                self._snapshot_began_ms = self.clock.now_ms()
            inbox.on_slice_stored(event)
        elif isinstance(event, SnapshotStored):
            took_ms = self.clock.now_ms() - self._snapshot_began_ms if self._snapshot_began_ms else 0
            self._snapshot_began_ms = 0
            self.telemetry.emit("snapshot", of_index=event.meta.index, took_ms=took_ms)
            inbox.on_snapshot_stored(event)
        elif isinstance(event, SnapshotFailed):
            self.telemetry.emit("snapshot_failed", of_index=event.meta.index)
            inbox.on_snapshot_failed(event)
        elif isinstance(event, ChunkRead | RecordsFound):
            inbox.on_read(event)
        else:
            if event.complete:
                self.snapshots_installed += 1
                self.telemetry.emit("installed", of_index=event.meta.index)
            inbox.on_chunk_stored(event)
        self._next.soon()

    def on_lane_failed(self, error: BaseException) -> None:
        self._fail(error)

    def _on_loaded(self, loaded: SnapshotLoaded) -> None:
        if not loaded.last:
            self.lanes.snapshots.load_more()
        elif not self._restored and self.replica.machine is not None:
            self._restored = True
            self.telemetry.emit("restored", took_ms=self.uptime_ms(), revision=self.replica.machine.revision)
            freeze()

    # --- what clients and members do -------------------------------------------------------------------------------

    def on_opened(self, connection: int, caller: Caller) -> None:
        self.inbox.on_opened(connection, caller)
        self._next.soon()

    def on_asks(self, connection: int, asks: list[Ask], patience_ms: int) -> None:
        self._asked_ns = self._asked_ns or time.monotonic_ns()
        self.inbox.on_asks(connection, asks, self.clock.now_ms() + patience_ms if patience_ms else 0)
        if not self._next.is_due():
            self._on_asked()

    def on_eager_asks(self, link: ClientLink, asks: list[Ask], patience_ms: int) -> None:
        self._asked_ns = self._asked_ns or time.monotonic_ns()
        self.inbox.on_eager_asks(link, asks, patience_ms, self.clock.now_ms())
        if not self._next.is_due():
            self._on_asked()

    def _on_asked(self) -> None:
        if not self.replica.clients.is_committing() or self.inbox.is_full():
            self._next.soon()
        else:
            self._hold()

    def on_closed(self, connection: int) -> None:
        self.inbox.on_closed(connection)
        self._next.soon()

    def _on_messages(self, messages: list[Message]) -> None:
        self.inbox.on_messages(messages)
        if not self._next.is_due():
            self._next.soon()

    def on_peer_up(self, member: MemberId, build: str) -> None:
        self.observer.round_trips.on_connection(member)
        self.telemetry.emit("peer_up", peer=member, build=build)

    def on_peer_lost(self, member: MemberId, why: str) -> None:
        if self._outcome is None:
            self.telemetry.emit("peer_lost", peer=member, reason=why)
            self._on_connection_ended(member)

    def _on_connection_ended(self, member: MemberId) -> None:
        """Ours to it, or its to us. When neither is left its process most likely ended: no need to wait for its silence."""
        self.observer.round_trips.on_connection(member)
        if self._outcome is None and not self.peers.is_connected(member) and not self.door.is_connected(member):
            self.inbox.on_peer_gone(member)
            self._next.soon()

    def on_peer_refused(self, member: MemberId, why: str) -> None:
        self.telemetry.emit("peer_refused", peer=member, reason=why)

    def _on_config(self, config: Config) -> None:
        self._contacts = config.contacts
        self.door.on_contacts()
        self.telemetry.emit("config", voters=list(config.voters), outgoing=list(config.outgoing), learners=list(config.learners))
        self._connect(config.members(), dict(config.contacts))

    def _on_member_hello(self, hello: Hello) -> None:
        """A member without state knows nobody: whoever connects to it adds where members are. One that joins, too, may know as little."""
        self.observer.round_trips.on_connection(hello.member)
        if not self.replica.raft.config.members():
            self._contacts = together(hello.contacts, self._contacts)
            self._connect([member for member, _ in self._contacts], dict(self._contacts))
        self.peers.poke(hello.member)

    def _connect(self, members: Sequence[MemberId], contacts: Mapping[MemberId, str]) -> None:
        addresses: dict[MemberId, Address] = {}
        elsewhere = dict(self.config.dial)
        for member in members:
            if member == self.identity.member:
                continue
            contact = elsewhere.get(member) or contacts.get(member, "")
            try:
                addresses[member] = Address(*parse_address(contact))
            except BadRequest:
                self.telemetry.emit("contact_unreadable", peer=member, contact=contact)
        self.peers.set_members(addresses)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of asyncio failed: the connection it served is closed by the loop; it is a bug all the same."""
        error = context.get("exception")
        if isinstance(error, MemoryError):
            return self._fail(error)
        trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
        self.telemetry.emit("bug", error=f"{context.get('message', '')}: {error}", trace=trace)

    # --- what HTTP needs -------------------------------------------------------------------------------------------

    def read_stale(self, operation: ReadOperation, min_revision: Revision, caller: Caller) -> tuple[bytes, int]:
        clients = self.replica.clients
        return clients.read_stale(operation, min_revision, clients.permitted(caller, operation))

    def endpoints(self) -> list[DialAddress]:
        return reached_at(self.address, [contact for _, contact in self._contacts])

    def nonce(self) -> bytes:
        return os.urandom(16)

    def on_bug(self, error: str, trace: str) -> None:
        self.telemetry.emit("bug", error=error, trace=trace)

    def uptime_ms(self) -> int:
        return self.clock.now_ms() - self._started_ms


def _address_of(server: asyncio.Server, listen: Listen) -> str:
    """With the port that the system chose."""
    port = next(sock.getsockname()[1] for sock in server.sockets if sock.family in (socket.AF_INET, socket.AF_INET6))
    return str(Listen(listen.host, port))
