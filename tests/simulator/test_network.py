"""What may become of a message, and of a client's connection."""

from collections.abc import Sequence

from coordnode.ids import Index, MemberId, Term
from coordnode.raft.messages import DigestReport, Message
from coordnode.services.callers import Caller
from coordnode.services.dialogue import Answer, Ask, Reply, UnwatchAsk
from coordnode.simulator.connections import SILENT_CUT_NS, Connections
from coordnode.simulator.network import PeerNetwork
from coordnode.simulator.world import SECOND, World

ONE, TWO = MemberId(1), MemberId(2)


def report(source: MemberId, target: MemberId, number: int) -> Message:
    return DigestReport(source, target, 1, Term(1), Index(number), 0)


def numbers_received(world: World, network: PeerNetwork, got: list[Message]) -> list[int]:
    network.send([report(ONE, TWO, number) for number in range(200)])
    world.run_until(world.now_ns + SECOND)
    numbers = [message.index for message in got if isinstance(message, DigestReport)]
    got.clear()
    return [*map(int, numbers)]


def a_network(seed: int) -> tuple[World, PeerNetwork, list[Message]]:
    world = World(seed)
    got: list[Message] = []
    return world, PeerNetwork(world, got.append, None), got


def test_in_calm_weather_everything_arrives_once_and_in_order() -> None:
    world, network, got = a_network(1)
    assert numbers_received(world, network, got) == list(range(200))


def test_each_kind_of_weather_does_what_it_says() -> None:
    world, network, got = a_network(1)
    network.weather.loss = 300
    lossy = numbers_received(world, network, got)
    assert 100 < len(lossy) < 180
    assert lossy == sorted(lossy)
    network.weather.loss = 0
    network.weather.duplicate = 300
    doubled = numbers_received(world, network, got)
    assert len(doubled) > 220
    assert sorted({*doubled}) == list(range(200))
    network.weather.duplicate = 0
    network.weather.reorder = 500
    shuffled = numbers_received(world, network, got)
    assert shuffled != list(range(200))
    assert sorted(shuffled) == list(range(200))
    network.weather.reorder = 0
    assert network.weather.is_calm()


def test_a_blocked_link_stops_one_direction_until_every_fault_is_gone() -> None:
    world, network, got = a_network(1)
    network.block(ONE, TWO)
    network.block(ONE, TWO)
    assert numbers_received(world, network, got) == []
    network.send([report(TWO, ONE, 9)])
    world.run_until(world.now_ns + SECOND)
    assert len(got) == 1
    got.clear()
    network.unblock(ONE, TWO)
    assert numbers_received(world, network, got) == []
    network.unblock(ONE, TWO)
    assert numbers_received(world, network, got) == list(range(200))


class Client:
    name = "client"
    caller = Caller("client")

    def __init__(self) -> None:
        self.said: list[str] = []

    def on_opened(self, connection: int) -> None:
        self.said.append("opened")

    def on_answers(self, connection: int, answers: Sequence[Answer]) -> None:
        self.said.extend(str(answer.request) for answer in answers)

    def on_cut(self, connection: int) -> None:
        self.said.append("cut")


class Member:
    def __init__(self) -> None:
        self.up = True
        self.said: list[str] = []

    def is_serving(self) -> bool:
        return self.up

    def on_opened(self, connection: int, caller: Caller) -> None:
        self.said.append(f"opened by {caller.name}")

    def on_asks(self, connection: int, asks: Sequence[Ask]) -> None:
        self.said.extend(str(ask.request) for ask in asks)

    def on_closed(self, connection: int) -> None:
        self.said.append("closed")


def connected() -> tuple[World, Connections, Client, Member, int]:
    world, client, member = World(1), Client(), Member()
    connections = Connections(world, {ONE: member})
    number = connections.open(client, ONE)
    world.run_until(world.now_ns + SECOND)
    assert client.said == ["opened"]
    client.said.clear()
    member.said.clear()
    return world, connections, client, member, number


def test_a_stream_is_ordered_both_ways() -> None:
    world, connections, client, member, number = connected()
    for request in range(50):
        connections.ask(number, [UnwatchAsk(request)])
        connections.answer(number, [Reply(request, 0, 0, b"")])
    world.run_until(world.now_ns + SECOND)
    assert member.said == [str(request) for request in range(50)]
    assert client.said == [str(request) for request in range(50)]


def test_a_member_that_ends_resets_its_streams_and_refuses_new_ones() -> None:
    world, connections, client, member, _ = connected()
    member.up = False
    connections.member_gone(ONE)
    world.run_until(world.now_ns + SECOND)
    assert client.said == ["cut"]
    assert member.said == []
    connections.open(client, ONE)
    world.run_until(world.now_ns + SECOND)
    assert client.said == ["cut", "cut"]


def test_hanging_up_still_delivers_what_was_asked_before() -> None:
    world, connections, client, member, number = connected()
    connections.ask(number, [UnwatchAsk(1)])
    connections.hang_up(number)
    world.run_until(world.now_ns + SECOND)
    assert member.said == ["1", "closed"]
    assert client.said == []


def test_a_blocked_path_is_silent_first_and_cut_later() -> None:
    world, connections, client, member, number = connected()
    connections.block("client", ONE)
    connections.ask(number, [UnwatchAsk(1)])
    world.run_until(world.now_ns + SILENT_CUT_NS // 2)
    assert client.said == []
    world.run_until(world.now_ns + SILENT_CUT_NS)
    assert client.said == ["cut"]
    assert member.said == ["closed"]
    connections.unblock("client", ONE)
    connections.open(client, ONE)
    world.run_until(world.now_ns + SECOND)
    assert client.said == ["cut", "opened"]
