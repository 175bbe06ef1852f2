"""A queue of the kernel's packet filter: its packets wait until we say that they pass. Whoever goes leaves a link as if there were none.

The rule that sends packets there lets them pass where nobody listens. What waits when its listener dies is lost, and sent again by TCP.
"""

import errno
import socket
import struct
from collections.abc import Sequence
from contextlib import closing, suppress

from coordctl.chaos import netlink
from coordctl.chaos.holding import Packet
from coordctl.chaos.netlink import attribute, message, name, nest

FIRST, LAST = 1024, 65_535  # the lower ones are what other programs use
WAITING_MAX = 65_535  # packets; more are lost
RECEIVED_BYTES_MAX = 8 << 20
HEAD_BYTES = 128  # of a packet: the headers of IP and TCP
BATCH = 256  # packets taken, or let go, at once
LISTED = "/proc/net/netfilter/nfnetlink_queue"
PASSES, IS_LOST = 1, 0

_QUEUES = 3 << 8  # part of the packet filter
_PACKET, _VERDICT, _CONFIGURE = _QUEUES | 0, _QUEUES | 1, _QUEUES | 2
_BIND, _COPY_HEAD, _AS_IT_CAME = 1, 2, 4
_FORCED = 33  # SO_RCVBUFFORCE
_RULES = 10 << 8
_BEGIN, _END = 0x10, 0x11
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = _RULES | 0, _RULES | 3, _RULES | 6
_CREATE, _APPEND = 0x400, 0x800
_BYPASS = 1  # what nobody listens for passes
_FAMILIES = {"ip": 2, "ip6": 10}  # as nft names them


class Queue:
    """Raises OSError where the kernel has none, or where another program listens on it."""

    def __init__(self, number: int, *, as_it_came: bool) -> None:
        """`as_it_came`: what came in one piece is one packet, however long; else none is longer than the link carries."""
        self._number = number
        self._socket = netlink.opened()
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _FORCED, RECEIVED_BYTES_MAX)
        self._configure(attribute(1, struct.pack(">BxH", _BIND, 0)))
        if as_it_came:
            self._configure(attribute(4, struct.pack(">I", _AS_IT_CAME)) + attribute(5, struct.pack(">I", _AS_IT_CAME)))
        # The last, as from now on packets may come instead of answers.
        self._configure(attribute(2, struct.pack(">IB", HEAD_BYTES, _COPY_HEAD)) + attribute(3, struct.pack(">I", WAITING_MAX)))
        self._socket.setblocking(False)

    def _configure(self, attributes: bytes) -> None:
        netlink.ask(self._socket, message(_CONFIGURE, netlink.ACK, self._number, attributes, sequence=1), [1])

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def packets(self) -> list[Packet]:
        """What has come, not all of it at once."""
        found: list[Packet] = []
        while len(found) < BATCH:
            try:
                received = self._socket.recv(netlink.ANSWER_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some came too fast, and are lost
                    raise
                continue
            found += [packet_of(content) for kind, _, content in netlink.messages(received) if kind == _PACKET]
        return found

    def let_go(self, ids: Sequence[int], verdict: int = PASSES) -> None:
        """In this order."""
        for start in range(0, len(ids), BATCH):
            self._socket.send(b"".join([verdict_on(self._number, one, verdict) for one in ids[start : start + BATCH]]))


def packet_of(content: bytes) -> Packet:
    found = netlink.attributes(content)
    (number,) = struct.unpack_from(">I", found[1])
    head = found.get(10, b"")
    whole = found.get(13)  # where it is longer than what was copied
    return Packet(number, struct.unpack(">I", whole)[0] if whole else len(head), head)


def verdict_on(number: int, packet: int, verdict: int) -> bytes:
    return message(_VERDICT, 0, number, attribute(2, struct.pack(">II", verdict, packet)))


def is_listened_on(number: int) -> bool:
    """By whomever."""
    return bool(_listed(number))


def is_open(number: int) -> bool:
    """Packets may be led there: who listens has said how he wants them."""
    return _listed(number)[3:4] == [str(_COPY_HEAD)]


def _listed(number: int) -> list[str]:
    """Queue, listener, how many wait, how they are copied, and more; empty: nobody listens."""
    with suppress(OSError), open(LISTED, encoding="ascii") as file:
        return next((fields for fields in map(str.split, file) if fields[:1] == [str(number)]), [])
    return []


# --- the rule that leads there --------------------------------------------------------------------------------------


def number_of(fault: str) -> int:
    """Each fault, by its id, has a queue of its own."""
    return FIRST + int(fault, 16) % (LAST + 1 - FIRST)


def lead(family: str, table: str, chain: str, number: int) -> None:
    """By a rule at the end of that chain. Raises OSError."""
    _tell(family, table, chain, number, (), is_meant=True)


def must_be_possible(number: int) -> None:
    """Raises OSError. Tried in a table that is not made: a batch without its end changes nothing."""
    table, chain = "coordctl_chaos_tried", "held"
    made = [
        message(_NEW_TABLE, _CREATE, 0, name(1, table), family=_FAMILIES["ip"]),
        message(_NEW_CHAIN, _CREATE, 0, name(1, table), name(3, chain), family=_FAMILIES["ip"]),
    ]
    _tell("ip", table, chain, number, made, is_meant=False)
    Queue(number, as_it_came=True).close()


def _tell(family: str, table: str, chain: str, number: int, before: Sequence[bytes], *, is_meant: bool) -> None:
    """As the kernel's nftables say it; and where these cannot, as iptables do."""
    for way in (_by_nftables(number), _by_iptables(number)):
        place = name(1, table) + name(2, chain)
        rule = message(_NEW_RULE, netlink.ACK | _CREATE | _APPEND, 0, place, nest(4, nest(1, way)), family=_FAMILIES[family], sequence=1)
        batch = [message(_BEGIN, 0, _RULES >> 8), *before, rule, *([message(_END, 0, _RULES >> 8)] if is_meant else ())]
        with closing(netlink.opened()) as asked:
            try:
                netlink.ask(asked, b"".join(batch), [1])
                return
            except OSError as error:
                refused = error
    raise refused


def _by_nftables(number: int) -> bytes:
    values = {1: number, 2: 1, 3: _BYPASS}  # one queue
    return name(1, "queue") + nest(2, *[attribute(kind, struct.pack(">H", value)) for kind, value in values.items()])


def _by_iptables(number: int) -> bytes:
    revision, told = struct.pack(">I", 3), struct.pack("=HHH2x", number, 1, _BYPASS)
    return name(1, "target") + nest(2, name(1, "NFQUEUE"), attribute(2, revision), attribute(3, told))
