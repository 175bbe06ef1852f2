"""Carries out a fault plan: begins each fault at its time, ends it when its time is over, and heals everything for the second phase."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from coordnode.ids import MemberId
from coordnode.simulator import faults
from coordnode.simulator.cluster_operator import Operator
from coordnode.simulator.connections import Connections
from coordnode.simulator.faults import LEADER, Fault
from coordnode.simulator.network import PeerNetwork
from coordnode.simulator.world import MILLISECOND, World


class SnapshotCut(NamedTuple):
    """So many disk operations after a slice of a received snapshot came, that host crashes."""

    operations: int
    in_last: bool  # the slice that ends it; else any other
    down_ns: int


class Victim(Protocol):
    """What can be done to one member."""

    member: MemberId

    def is_up(self) -> bool: ...

    def crash(self, *, power: bool) -> None:
        """The process ends at once; with `power` its host forgets what was not synced."""
        ...

    def start(self) -> None: ...

    def crash_in_write(self, operations: int, *, everyone: bool, down_ns: int, in_sync: bool) -> bool:
        """At that disk operation from now on, or at the next sync behind it; with `everyone`, all members lose power in that moment."""
        ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def fail_fsync(self, down_ns: int) -> None: ...

    def refuse_syncs(self, count: int, *, of_journals: bool) -> None:
        """For want of room."""
        ...

    def slow_disk(self, sync_ms: int) -> None: ...

    def fill_disk(self, *, full: bool) -> None: ...

    def set_clock_rate(self, ppm: int) -> None: ...

    def jump_wall(self, by_ms: int) -> None: ...


class Cluster(Protocol):
    def victims(self) -> list[Victim]:
        """Members that belong to the cluster, in order."""
        ...

    def leading(self) -> MemberId | None: ...

    def client_names(self) -> list[str]: ...

    def silence_client(self, draw: int, lasting_ns: int) -> bool: ...

    def power_loss(self) -> None: ...

    def cut_next_snapshot(self, cut: SnapshotCut) -> None:
        """Whoever receives one next crashes."""
        ...

    def flip_state(self, victim: Victim) -> bool:
        """Its state in memory is not what the log made any more. False: it leads, or others are hurt."""
        ...

    def rot_journal(self, victim: Victim, draw: int) -> bool:
        """In a running member, found when somebody reads there. False: it has none, or others are hurt."""
        ...

    def rot(self, kind: str, victim: Victim, draw: int, down_ns: int) -> bool:
        """False: nothing there may rot now without a majority being hurt."""
        ...


STRIKE_AMOUNTS: dict[str, Callable[[int], int]] = {
    faults.CRASH: lambda draw: draw % 2,
    faults.ISOLATE: lambda draw: draw % 2,
    faults.PAUSE: lambda draw: draw % 1_200,
    faults.CRASH_IN_WRITE: lambda draw: 1 + draw % 12,
    faults.STRANDED: lambda draw: draw % 400,
}
STRIKES = tuple(STRIKE_AMOUNTS)
PAUSE_IS_DEAF_FROM = 600  # amount of a pause
LINKS_OF = 1 << 20  # added to a fault's number: its second part, which ends by itself
STUTTER_MS_MIN = 100
STUTTER_RUNS_NS = 12 * MILLISECOND
STRIKE_DELAYS_MS = 60  # some of what the leader sent has arrived by then, and some of that is written


class Injector:
    def __init__(
        self, world: World, cluster: Cluster, network: PeerNetwork, connections: Connections, operator: Operator, plan: Sequence[Fault]
    ) -> None:
        self.counts: dict[str, int] = {}
        self._world = world
        self._cluster = cluster
        self._network = network
        self._connections = connections
        self._operator = operator
        self._undo: dict[int, Callable[[], None]] = {}  # by fault: what still has to be taken back
        self._waiting: dict[str, list[Fault]] = {faults.STRIKE_ELECTED: [], faults.STRIKE_JOINT: [], faults.SLOW_ELECTED: []}
        self._over = False
        for fault in plan:
            world.at(fault.at_ms * MILLISECOND, self._begin, fault)

    def end_all(self) -> None:
        """Faults stop: what is under way is taken back, what is still to come is forgotten."""
        self._over = True
        for number in sorted(self._undo):
            self._end(number)

    def on_moment(self, strike: str) -> None:
        """What such a fault waits for has just happened."""
        if self._over:
            return
        if strike == faults.STRIKE_ELECTED and self._waiting[faults.SLOW_ELECTED]:
            self._slow_disks(self._waiting[faults.SLOW_ELECTED].pop(0))
        if not self._waiting[strike]:
            return
        fault = self._waiting[strike].pop(0)
        draw, kind = divmod(fault.amount, len(STRIKES))
        draw, delay_ms = divmod(draw, STRIKE_DELAYS_MS)
        amount = STRIKE_AMOUNTS[STRIKES[kind]](draw)
        struck = msgspec.structs.replace(fault, kind=STRIKES[kind], victim=LEADER, amount=amount)
        self._world.after(delay_ms * MILLISECOND, self._begin, struck)

    def _begin(self, fault: Fault) -> None:
        if self._over:
            return
        victim = self._choose(fault)
        if victim is None or not BEGIN[fault.kind](self, fault, victim):
            return
        self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1

    def _choose(self, fault: Fault) -> Victim | None:
        victims = self._cluster.victims()
        if not victims:
            return None
        if fault.victim == LEADER:
            leader = self._cluster.leading()
            for victim in victims:
                if victim.member == leader:
                    return victim
            return victims[fault.amount % len(victims)]
        return victims[fault.victim % len(victims)]

    def _until_over(self, fault: Fault, undo: Callable[[], None]) -> bool:
        self._undo[fault.number] = undo
        self._world.after(fault.lasting_ms * MILLISECOND, self._end, fault.number)
        return True

    def _end(self, number: int) -> None:
        undo = self._undo.pop(number, None)
        if undo is not None:
            undo()

    # --- the network -----------------------------------------------------------------------------------------------

    def _weather(self, fault: Fault, victim: Victim) -> bool:
        weather = self._network.weather
        field = {faults.LOSS: "loss", faults.DELAY: "delay_ms", faults.DUPLICATE: "duplicate", faults.REORDER: "reorder"}[fault.kind]
        setattr(weather, field, getattr(weather, field) + fault.amount)
        return self._until_over(fault, lambda: setattr(weather, field, getattr(weather, field) - fault.amount))

    def _other(self, fault: Fault, victim: Victim) -> MemberId | None:
        others = [other.member for other in self._cluster.victims() if other is not victim]
        return others[fault.amount % len(others)] if others else None

    def _block(self, fault: Fault, links: list[tuple[MemberId, MemberId]]) -> bool:
        for source, target in links:
            self._network.block(source, target)

        def undo() -> None:
            for source, target in links:
                self._network.unblock(source, target)

        return self._until_over(fault, undo) if links else False

    def _one_way(self, fault: Fault, victim: Victim) -> bool:
        other = self._other(fault, victim)
        return other is not None and self._block(fault, [(victim.member, other)])

    def _pair(self, fault: Fault, victim: Victim) -> bool:
        other = self._other(fault, victim)
        return other is not None and self._block(fault, [(victim.member, other), (other, victim.member)])

    def _between(self, inside: list[MemberId]) -> list[tuple[MemberId, MemberId]]:
        outside = [other.member for other in self._cluster.victims() if other.member not in inside]
        return [link for one in inside for other in outside for link in ((one, other), (other, one))]

    def _isolate(self, fault: Fault, victim: Victim) -> bool:
        names = self._cluster.client_names() if fault.amount else []
        if not self._block(fault, self._between([victim.member])):
            return False
        cut_peers = self._undo[fault.number]
        for name in names:
            self._connections.block(name, victim.member)

        def undo() -> None:
            cut_peers()
            for name in names:
                self._connections.unblock(name, victim.member)

        self._undo[fault.number] = undo
        return True

    def _minority(self, fault: Fault, victim: Victim) -> bool:
        members = [other.member for other in self._cluster.victims()]
        start = members.index(victim.member)
        size = max(1, (len(members) - 1) // 2)
        inside = [members[(start + step) % len(members)] for step in range(size)]
        return self._block(fault, self._between(inside))

    def _client_path(self, fault: Fault, victim: Victim) -> bool:
        names = self._cluster.client_names()
        name = names[fault.amount % len(names)]
        self._connections.block(name, victim.member)
        return self._until_over(fault, lambda: self._connections.unblock(name, victim.member))

    def _lose_answers(self, fault: Fault, victim: Victim) -> bool:
        names = self._cluster.client_names()
        name = names[fault.amount % len(names)]
        self._connections.deafen(name)
        return self._until_over(fault, lambda: self._connections.undeafen(name))

    def _reconnect(self, fault: Fault, victim: Victim) -> bool:
        numbers = self._connections.open_numbers()
        if numbers:
            self._connections.cut(numbers[fault.amount % len(numbers)])
        return bool(numbers)

    def _stall(self, fault: Fault, victim: Victim) -> bool:
        numbers = self._connections.open_numbers()
        if numbers:
            number = numbers[fault.amount % len(numbers)]
            self._connections.stall(number, fault.lasting_ms * MILLISECOND, asks=fault.kind == faults.STALLED_ASKS)
        return bool(numbers)

    # --- processes, power, disks, clocks ---------------------------------------------------------------------------

    def _crash(self, fault: Fault, victim: Victim) -> bool:
        if not victim.is_up():
            return False
        victim.crash(power=bool(fault.amount))
        return self._until_over(fault, victim.start)

    def _crash_in_write(self, fault: Fault, victim: Victim) -> bool:
        everyone = fault.kind == faults.POWER_LOSS_IN_WRITE
        in_sync = fault.amount % 4 != 0
        return victim.crash_in_write(fault.amount, everyone=everyone, down_ns=fault.lasting_ms * MILLISECOND, in_sync=in_sync)

    def _cut_snapshot(self, fault: Fault, victim: Victim) -> bool:
        in_last = fault.amount % 2 == 0  # until it is in place there are few operations
        operations = fault.amount // 2 if in_last else fault.amount
        self._cluster.cut_next_snapshot(SnapshotCut(operations, in_last, fault.lasting_ms * MILLISECOND))
        return True

    def _power_loss(self, fault: Fault, victim: Victim) -> bool:
        victims = [other for other in self._cluster.victims() if other.is_up()]
        self._cluster.power_loss()

        def undo() -> None:
            for other in victims:
                other.start()

        return self._until_over(fault, undo)

    def _pause(self, fault: Fault, victim: Victim) -> bool:
        """With its links down meanwhile, and a while longer, it wakes up and knows nothing of what happened."""
        if not victim.is_up():
            return False
        victim.pause()
        deaf_ms = fault.amount - PAUSE_IS_DEAF_FROM
        if deaf_ms < 0:
            return self._until_over(fault, victim.resume)
        links = self._between([victim.member])
        for source, target in links:
            self._network.block(source, target)
        waking = LINKS_OF + fault.number

        def hears() -> None:
            for source, target in links:
                self._network.unblock(source, target)

        def resume() -> None:
            victim.resume()
            self._world.after(deaf_ms * MILLISECOND, self._end, waking)

        self._undo[waking] = hears
        return self._until_over(fault, resume)

    def _strand(self, fault: Fault, victim: Victim) -> bool:
        """Its clients reach it and its peers do not; scheduled only now and then, it counts its ticks slower than the world does. With
        a slow disk, what it takes back when it is healed is still being written."""
        if not self._block(fault, self._between([victim.member])):
            return False
        cut_peers = self._undo[fault.number]
        # Some of its clients are on its side of the cut: they have nobody else.
        others = [other.member for other in self._cluster.victims() if other is not victim]
        names = [name for place, name in enumerate(self._cluster.client_names()) if (fault.amount >> place % 4) & 1]
        paths = [(name, other) for name in names for other in others]
        for path in paths:
            self._connections.block(*path)
        over = False

        def run_a_moment() -> None:
            victim.resume()
            if not over:
                self._world.after(STUTTER_RUNS_NS, stand_still)

        def stand_still() -> None:
            if not over:
                victim.pause()
                self._world.after(fault.amount * MILLISECOND, run_a_moment)

        def undo() -> None:
            nonlocal over
            over = True
            cut_peers()
            for path in paths:
                self._connections.unblock(*path)
            victim.slow_disk(0)
            victim.resume()

        self._undo[fault.number] = undo
        if fault.amount % 2:
            victim.slow_disk(fault.amount)
        if fault.amount >= STUTTER_MS_MIN:
            stand_still()
        return True

    def _rot(self, fault: Fault, victim: Victim) -> bool:
        return self._cluster.rot(fault.kind, victim, fault.amount, fault.lasting_ms * MILLISECOND)

    def _rot_journal(self, fault: Fault, victim: Victim) -> bool:
        return self._cluster.rot_journal(victim, fault.amount)

    def _flip_state(self, fault: Fault, victim: Victim) -> bool:
        return self._cluster.flip_state(victim)

    def _fsync_fails(self, fault: Fault, victim: Victim) -> bool:
        if victim.is_up():
            victim.fail_fsync(fault.lasting_ms * MILLISECOND)
        return victim.is_up()

    def _sync_full(self, fault: Fault, victim: Victim) -> bool:
        if victim.is_up():
            victim.refuse_syncs(1 + fault.amount // 2, of_journals=fault.amount % 2 == 1)
        return victim.is_up()

    def _slow_disk(self, fault: Fault, victim: Victim) -> bool:
        victim.slow_disk(fault.amount)
        return self._until_over(fault, lambda: victim.slow_disk(0))

    def _slow_disks(self, fault: Fault) -> None:
        slow = self._cluster.victims()
        for each in slow:
            each.slow_disk(fault.amount)

        def undo() -> None:
            for each in slow:
                each.slow_disk(0)

        self._until_over(fault, undo)

    def _full_disk(self, fault: Fault, victim: Victim) -> bool:
        full = self._cluster.victims() if fault.amount == 3 else [victim]
        for each in full:
            each.fill_disk(full=True)

        def undo() -> None:
            for each in full:
                each.fill_disk(full=False)

        return self._until_over(fault, undo)

    def _clock_rate(self, fault: Fault, victim: Victim) -> bool:
        victim.set_clock_rate(fault.amount - 1_000)
        return True

    def _wall_jump(self, fault: Fault, victim: Victim) -> bool:
        victim.jump_wall(fault.amount - 10_000_000)
        return True

    def _strike(self, fault: Fault, victim: Victim) -> bool:
        if fault.kind == faults.STRIKE_JOINT:
            self._operator.wish(msgspec.structs.replace(fault, kind=faults.JOINT))
        self._waiting[fault.kind].append(fault)
        return True

    # --- operators and clients -------------------------------------------------------------------------------------

    def _operate(self, fault: Fault, victim: Victim) -> bool:
        self._operator.wish(fault)
        return True

    def _silence(self, fault: Fault, victim: Victim) -> bool:
        return self._cluster.silence_client(fault.amount, fault.lasting_ms * MILLISECOND)


BEGIN: dict[str, Callable[[Injector, Fault, Victim], bool]] = {
    faults.LOSS: Injector._weather,
    faults.DELAY: Injector._weather,
    faults.DUPLICATE: Injector._weather,
    faults.REORDER: Injector._weather,
    faults.ONE_WAY: Injector._one_way,
    faults.PAIR: Injector._pair,
    faults.ISOLATE: Injector._isolate,
    faults.MINORITY: Injector._minority,
    faults.CLIENT_PATH: Injector._client_path,
    faults.RECONNECT: Injector._reconnect,
    faults.CRASH: Injector._crash,
    faults.CRASH_IN_WRITE: Injector._crash_in_write,
    faults.SNAPSHOT_CUT: Injector._cut_snapshot,
    faults.POWER_LOSS: Injector._power_loss,
    faults.POWER_LOSS_IN_WRITE: Injector._crash_in_write,
    faults.PAUSE: Injector._pause,
    faults.STRANDED: Injector._strand,
    faults.ROT_RECORD: Injector._rot,
    faults.ROT_HARD_STATE: Injector._rot,
    faults.ROT_SNAPSHOT: Injector._rot,
    faults.ROT_ANYWHERE: Injector._rot,
    faults.HARD_STATE_LOST: Injector._rot,
    faults.STATE_FLIPPED: Injector._flip_state,
    faults.FSYNC_FAILS: Injector._fsync_fails,
    faults.SLOW_DISK: Injector._slow_disk,
    faults.FULL_DISK: Injector._full_disk,
    faults.CLOCK_RATE: Injector._clock_rate,
    faults.WALL_JUMP: Injector._wall_jump,
    faults.TRANSFER: Injector._operate,
    faults.ADD_LEARNER: Injector._operate,
    faults.PROMOTE: Injector._operate,
    faults.REMOVE: Injector._operate,
    faults.REPLACE: Injector._operate,
    faults.JOINT: Injector._operate,
    faults.RAISE_LEVEL: Injector._operate,
    faults.SILENCE: Injector._silence,
    faults.STRIKE_ELECTED: Injector._strike,
    faults.STRIKE_JOINT: Injector._strike,
    faults.ANSWERS_LOST: Injector._lose_answers,
    faults.STALLED_ASKS: Injector._stall,
    faults.STALLED_ANSWERS: Injector._stall,
    faults.ROT_JOURNAL: Injector._rot_journal,
    faults.SLOW_ELECTED: Injector._strike,
    faults.SYNC_FULL: Injector._sync_full,
}
