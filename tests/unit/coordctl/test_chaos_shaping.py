"""Links that hold back what they carry: how long each packet waits, and how the kernel that keeps it is spoken to."""

import random
import struct
import sys
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from coordctl.chaos import arriving, netlink, nfqueue, shaping
from coordctl.chaos.arriving import Ending
from coordctl.chaos.holding import NARROW_SECONDS_MAX, Late, Narrow, Packet, Shape, Uneven, ends_of, shape_of
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.shaper import Shaper
from tests.unit.coordctl.test_chaos_ledger import entry

# As a kernel sent them: the first packet of a connection from 127.0.0.1:53726 to port 7000, and one from ::1.
SEEN = (
    "80000000000300000000000000000000020012670b000100000000010800010008000500000000011000090000060000000000000000000008000e0000000001"
    "40000a004500003cdf17400040065da27f0000017f000001d1de1b58456b1a9900000000a002ffd7fe3000000204ffd70402080ab0e84177000000000103030a"
)
SEEN_6 = (
    "940000000003000000000000000000000a0012670b0001000000000286dd010008000500000000011000090000060000000000000000000008000e0000000001"
    "54000a0060081eda002806400000000000000000000000000000000100000000000000000000000000000001986e1b58069703cc00000000a002ffc400300000"
    "0204ffc40402080a5c3ddded000000000103030a"
)
little = pytest.mark.skipif(sys.byteorder != "little", reason="these bytes are of a little-endian machine")


def head(sender: str = "10.0.0.1", port: int = 40_000, options: bytes = b"") -> bytes:
    length = 20 + len(options)
    first = bytes([0x40 | length // 4]) + bytes(8) + bytes([6]) + bytes(2)
    addresses = bytes(map(int, sender.split("."))) + bytes([10, 0, 0, 9])
    return first + addresses + options + struct.pack(">HH", port, 7000) + bytes(16)


def packet(number: int, size: int = 100, of: bytes = b"") -> Packet:
    return Packet(number, size, of or head())


# --- how the kernel is spoken to ---------------------------------------------------------------------------------------


@little
def test_a_packet_is_read_as_the_kernel_sends_it() -> None:
    found, of_6 = nfqueue.packet_of(bytes.fromhex(SEEN)), nfqueue.packet_of(bytes.fromhex(SEEN_6))
    assert (found.id, found.size_bytes, found.head[:4]) == (1, 60, bytes.fromhex("4500003c"))
    assert ends_of(found.head).sender == bytes([127, 0, 0, 1])
    assert ends_of(found.head).flow[-4:] == struct.pack(">HH", 53_726, 7_000)
    assert (of_6.id, of_6.size_bytes, ends_of(of_6.head).sender) == (2, 80, bytes(15) + b"\1")
    assert ends_of(of_6.head).flow[-4:] == struct.pack(">HH", 0x986E, 7_000)


@little
def test_of_a_packet_that_was_copied_in_part_the_whole_is_counted() -> None:
    content = netlink.message(nfqueue._PACKET, 0, 1, netlink.attribute(1, bytes.fromhex("00000007080001")), netlink.attribute(10, head()))
    assert nfqueue.packet_of(content) == Packet(7, 40, head())
    assert nfqueue.packet_of(content + netlink.attribute(13, struct.pack(">I", 1500))).size_bytes == 1500


@little
def test_a_verdict_and_a_rule_are_told_in_the_kernel_s_own_bytes() -> None:
    assert nfqueue.verdict_on(4711, 9, nfqueue.PASSES).hex() == "20000000010301000000000000000000" + "00001267" + "0c0002000000000100000009"
    # As nft itself, where its kernel has `queue num 4711 bypass`; and as iptables -j NFQUEUE --queue-num 4711 --queue-bypass.
    native = "0a000100" + b"queue\0\0\0".hex() + "1c000280" + "0600010012670000" + "0600020000010000" + "0600030000010000"
    assert nfqueue._by_nftables(4711).hex() == native
    older = "0c000100" + b"NFQUEUE\0".hex() + "0800020000000003" + "0c000300" + "6712010001000000"
    assert nfqueue._by_iptables(4711).hex() == "0b000100" + b"target\0\0".hex() + "24000280" + older


@pytest.mark.parametrize("wrong", [b"", b"\x03\x00\x01\x00", b"\x00\x00\x00\x00", b"\xff\x00\x02\x00abcd", b"\x04"])
def test_attributes_that_do_not_fit_end_a_message(wrong: bytes) -> None:
    content = netlink.message(1, 0, 0, netlink.attribute(7, b"abcde"), netlink.nest(8, b"fgh"))
    assert netlink.attributes(content + wrong) == {7: b"abcde", 8: b"fgh"}


def test_several_messages_are_told_apart_and_a_torn_one_is_left_out() -> None:
    one, other = netlink.message(1, 0, 0, sequence=4), netlink.message(2, 0, 0, netlink.attribute(1, b"x"), sequence=5)
    assert list(netlink.messages(one + other)) == [(1, 4, one), (2, 5, other)]
    assert list(netlink.messages(one + other[:-1])) == [(1, 4, one)]


def test_each_fault_has_a_queue_beyond_those_that_others_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [nfqueue.number_of(one) for one in ("00000000", "ffffffff", "c0ffee11", "c0ffee12", f"{65_536 - 1024 - 1:08x}")]
    assert all(nfqueue.FIRST <= number <= nfqueue.LAST for number in numbers)
    assert len(set(numbers)) == 5
    (tmp_path / "listed").write_text(
        " 4711   7884     0 2   128     0     0        0  1\n  471      1     0 0   128     0     0        0  1\n"
    )
    monkeypatch.setattr(nfqueue, "LISTED", str(tmp_path / "listed"))
    assert [nfqueue.is_listened_on(number) for number in (4711, 471, 47, 7884)] == [True, True, False, False]
    assert [nfqueue.is_open(number) for number in (4711, 471, 47)] == [True, False, False], "471 is not told yet how to copy"


def test_what_arrives_is_led_into_a_chain_of_the_fault_s_own_and_counted_before_and_behind_it() -> None:
    endings = [Ending("ip", "10.0.0.2", (7002,), (7001,)), Ending("ip6", "fd00::3", (7003,), (7001,))]
    text = shaping.rules(entry("c0ffee11", "delay"), endings, 30_000)
    assert (
        text
        == """\
table ip coordctl_chaos_c0ffee11 {
set from0 { type ipv4_addr; flags timeout; elements = { 10.0.0.2 timeout 30000ms }; }
counter taken0 { }
counter passed0 { }
chain held { }
chain arriving { type filter hook input priority -150; policy accept;
ip saddr @from0 tcp dport 7001 counter name taken0 jump held
ip saddr @from0 tcp sport 7002 counter name taken0 jump held
}
chain passing { type filter hook input priority -149; policy accept;
ip saddr @from0 tcp dport 7001 counter name passed0
ip saddr @from0 tcp sport 7002 counter name passed0
}
}
table ip6 coordctl_chaos_c0ffee11 {
set from1 { type ipv6_addr; flags timeout; elements = { fd00::3 timeout 30000ms }; }
counter taken1 { }
counter passed1 { }
chain held { }
chain arriving { type filter hook input priority -150; policy accept;
ip6 saddr @from1 tcp dport 7001 counter name taken1 jump held
ip6 saddr @from1 tcp sport 7003 counter name taken1 jump held
}
chain passing { type filter hook input priority -149; policy accept;
ip6 saddr @from1 tcp dport 7001 counter name passed1
ip6 saddr @from1 tcp sport 7003 counter name passed1
}
}
"""
    )
    closes = shaping.rules(entry("c0ffee11", "slow-close"), endings[:1], 1)
    assert "tcp dport 7001 tcp flags & (fin | rst) != 0 counter name taken0 jump held" in closes


# --- how long a packet waits -------------------------------------------------------------------------------------------


def test_connections_are_told_apart_and_where_no_ports_are_seen_all_are_one() -> None:
    assert ends_of(head(port=1)).flow != ends_of(head(port=2)).flow
    assert ends_of(head(options=bytes(8))).flow == ends_of(head()).flow, "options of IP come before the ports"
    assert ends_of(head(port=1)).sender == ends_of(head(port=2)).sender
    other = bytes.fromhex(SEEN_6)[netlink.PREFIX_BYTES + 44 :]
    assert ends_of(b"").flow == ends_of(b"\x45").flow == ends_of(other[:20]).flow


def test_all_are_late_by_the_same() -> None:
    shape = shape_of("delay", "200ms")
    assert isinstance(shape, Late)
    assert [shape.passes_at(packet(number), now) for number, now in enumerate((10.0, 10.5))] == [10.2, 10.7]
    assert shape_of("slow-close", "2s").passes_at(packet(1), 1.0) == 3.0


def test_lateness_comes_and_goes_and_of_one_connection_none_overtakes_another() -> None:
    shape = Uneven(0.1, random.Random(7))
    here: list[float] = []
    there: list[float] = []
    for number in range(500):
        now = number / 1000
        for port, times in ((1, here), (2, there)):
            at = shape.passes_at(packet(number, of=head(port=port)), now)
            assert at is not None
            assert now <= at <= now + 0.1
            times.append(at)
    assert here == sorted(here)
    assert there == sorted(there)
    assert here != there
    assert max(at - number / 1000 for number, at in enumerate(here)) > 0.09


def test_connections_that_have_nothing_held_are_forgotten() -> None:
    shape = Uneven(0.1, random.Random(7))
    for number in range(20_000):
        shape.passes_at(packet(number, of=head(f"10.0.{number // 200}.{number % 200}")), number)
    assert len(shape._last) <= 4096


def test_a_narrow_link_carries_one_after_the_other_and_has_room_for_so_much() -> None:
    shape = shape_of("bandwidth", "1KiB/s")
    assert isinstance(shape, Narrow)
    assert [shape.passes_at(packet(number, 512), 10.0) for number in range(5)] == [10.5, 11.0, 11.5, 12.0, 12.5]
    assert shape.passes_at(packet(6, 512), 10.0) is None
    assert shape.passes_at(packet(7, 512, head("10.0.0.2")), 10.0) == 10.5, "another sender has a link of its own"
    assert shape.passes_at(packet(8, 512), 12.5 - NARROW_SECONDS_MAX) == 13.0
    assert shape.passes_at(packet(9, 512), 20.0) == 20.5, "what was not used is not made up for"


class Queued:
    """A queue whose packets are here."""

    def __init__(self, *turns: list[Packet]) -> None:
        self.turns = list(turns)
        self.passed: list[int] = []
        self.lost: list[int] = []

    def fileno(self) -> int:
        return 0

    def packets(self) -> list[Packet]:
        return self.turns.pop(0) if self.turns else []

    def let_go(self, ids: list[int], verdict: int = nfqueue.PASSES) -> None:
        (self.passed if verdict == nfqueue.PASSES else self.lost).extend(ids)


class Told(Shape):
    """By the number of a packet."""

    TIMES: ClassVar[dict[int, float | None]] = {1: 5.0, 2: 3.0, 3: None, 4: 3.0, 5: 90.0}

    def passes_at(self, packet: Packet, now: float) -> float | None:
        return self.TIMES[packet.id]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times = [0.0]
    monkeypatch.setattr("coordctl.chaos.shaper.time.monotonic", lambda: times[0])
    monkeypatch.setattr("coordctl.chaos.shaper.select.select", lambda *asked: (asked[0], [], []))
    return times


def test_each_passes_when_its_time_has_come_and_those_of_one_time_as_they_came(clock: list[float]) -> None:
    queue = Queued([packet(number) for number in (1, 2, 3, 4)])
    shaper = Shaper(queue, Told())  # type: ignore[arg-type]
    shaper.turn()
    assert (queue.passed, queue.lost) == ([], [3])
    clock[0] = 3.0
    shaper.turn()
    assert queue.passed == [2, 4]
    clock[0] = 5.0
    shaper.turn()
    assert queue.passed == [2, 4, 1]


def test_in_the_end_all_passes_as_it_came(clock: list[float]) -> None:
    queue = Queued([packet(number) for number in (1, 2, 5)], [packet(7), packet(8)])
    shaper = Shaper(queue, Told())  # type: ignore[arg-type]
    shaper.turn()
    shaper.end()
    assert queue.passed == [1, 2, 5, 7, 8]


def test_what_is_wrong_with_a_link_is_told_and_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = msgspec.structs.replace(entry("c0ffee11", "delay"), member="", links=[("n1", "n2")], by="200ms")
    monkeypatch.setattr(arriving, "of", lambda ledger, asked: [Ending("ip", "10.0.0.2", (7002,), (7001,))])
    monkeypatch.setattr(nfqueue, "is_listened_on", lambda number: True)
    (trouble,) = shaping.strike(Ledger(str(tmp_path)), [one])
    assert trouble.startswith(f"queue {nfqueue.number_of(one.id)} of the kernel is another program's: run it again")
