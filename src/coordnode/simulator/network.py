"""What may become of a message between members: lost, late, doubled, out of order, or stopped at a partition."""

from collections.abc import Callable, Sequence

from coordnode.ids import MemberId
from coordnode.raft.messages import Message
from coordnode.simulator.world import MICROSECOND, MILLISECOND, World

BASE_DELAY_NS = 150 * MICROSECOND
SPREAD_NS = 350 * MICROSECOND
FAR_NS = (0, 0, 0, 8 * MILLISECOND, 60 * MILLISECOND)
"""What the longest link of a seed takes in addition: far apart, members hear of one term by many ways and at different times."""


class Weather:
    """What holds on every link at this moment. Chances are in thousandths; faults add to them and take away what they added."""

    __slots__ = ("delay_ms", "duplicate", "loss", "reorder")

    def __init__(self) -> None:
        self.loss = 0
        self.duplicate = 0
        self.reorder = 0
        self.delay_ms = 0  # a message takes up to this much longer

    def is_calm(self) -> bool:
        return not (self.loss or self.duplicate or self.reorder or self.delay_ms)


class PeerNetwork:
    """Links are first-in-first-out, as TCP is, except for what `reorder` lets through early."""

    def __init__(self, world: World, deliver: Callable[[Message], None], through_wire: Callable[[Message], Message] | None) -> None:
        self.weather = Weather()
        self.sent = 0
        self.dropped = 0
        self._world = world
        self._deliver = deliver
        self._through_wire = through_wire  # encodes and decodes each message, in seeds that say so
        self._random = world.stream("network").random
        self._hang_ups = world.stream("hang-ups")
        self._blocked: dict[tuple[MemberId, MemberId], int] = {}  # how many faults block this direction
        self._distance_ns: dict[tuple[MemberId, MemberId], int] = {}  # by link, in seeds whose members are far apart
        self._distances = world.stream("distances")
        self._far_ns = FAR_NS[int(self._distances.random() * len(FAR_NS))]
        self._arrival_ns: dict[tuple[MemberId, MemberId], int] = {}  # of the newest message on this link

    def block(self, source: MemberId, target: MemberId) -> None:
        link = (source, target)
        self._blocked[link] = self._blocked.get(link, 0) + 1

    def unblock(self, source: MemberId, target: MemberId) -> None:
        link = (source, target)
        count = self._blocked[link] - 1
        if count:
            self._blocked[link] = count
        else:
            del self._blocked[link]

    def is_blocked(self, source: MemberId, target: MemberId) -> bool:
        return (source, target) in self._blocked

    def send(self, messages: Sequence[Message]) -> None:
        world = self._world
        weather = self.weather
        chance = self._random
        self.sent += len(messages)
        for message in messages:
            link = (message.source, message.target)
            if link in self._blocked or (weather.loss and chance() * 1000 < weather.loss):
                self.dropped += 1
                continue
            if self._through_wire is not None:
                message = self._through_wire(message)
            arrival_ns = world.now_ns + BASE_DELAY_NS + int(chance() * SPREAD_NS)
            if self._far_ns:
                arrival_ns += self._distance(link)
            if weather.delay_ms:
                arrival_ns += int(chance() * weather.delay_ms * MILLISECOND)
            if not weather.reorder or chance() * 1000 >= weather.reorder:
                arrival_ns = max(arrival_ns, self._arrival_ns.get(link, 0))
                self._arrival_ns[link] = arrival_ns
            world.at(arrival_ns, self._deliver, message)
            if weather.duplicate and chance() * 1000 < weather.duplicate:
                world.at(arrival_ns + int(chance() * 20 * MILLISECOND), self._deliver, message)

    def hang_up(self, source: MemberId, targets: Sequence[MemberId], tell: Callable[[MemberId], None]) -> None:
        """A process ended and its host did not: whoever can be reached is told, behind all that was sent before."""
        for target in targets:
            link = (source, target)
            if target == source or link in self._blocked:
                continue
            arrival_ns = self._world.now_ns + BASE_DELAY_NS + int(self._hang_ups.random() * SPREAD_NS) + self._distance_ns.get(link, 0)
            self._world.at(max(arrival_ns, self._arrival_ns.get(link, 0)), tell, target)

    def _distance(self, link: tuple[MemberId, MemberId]) -> int:
        known = self._distance_ns.get(link)
        if known is None:
            known = self._distance_ns[link] = int(self._distances.random() * self._far_ns)
        return known
