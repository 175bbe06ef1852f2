"""Faults of the links that end on this host: what another member sends is dropped or refused as it arrives, by rules of nftables.

Each fault has a table of its own, with its id in the name: nothing else is touched. Whom it hits is an element with a timeout, so that
the kernel itself ends it; rules that match nobody are left, until the reapers take the table away.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from coordctl.chaos import links, lives, sockets, values
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.local.clusters import LocalMember, host_and_port
from coordctl.local.fleet import Failed

TAKES_SECONDS_MAX = 20.0
KNOCK_SECONDS = 0.3
SPEAK_SECONDS_MAX = 5.0  # who was just started connects with the others
NFT_SECONDS = 10.0
IN_TEN_THOUSAND = 10_000
VERDICTS = ("cut", "loss", "reset")
MECHANISM = "nftables, in a table of its own, where the link ends"
ENDS = "the kernel: an element with a timeout"


class Ending(NamedTuple):
    """A link, where it ends."""

    family: str  # as nft names it: ip, ip6
    address: str  # of who sends
    ports: tuple[int, ...]  # of who sends, and of the member that is here
    own_ports: tuple[int, ...]


seen = links.seen


def lacks(fault: str) -> str:
    """Why it cannot be done on this host, and the remedy; "": it can."""
    if fault not in VERDICTS:
        return f"{fault} needs a proxy in the link, and `coordctl chaos proxy install` puts these between members of one machine only"
    if os.geteuid() != 0:
        return f"{fault} is a rule of nftables, which root alone may make: have `sudo = true` below [ssh] of the inventory"
    if _path() is None:
        return f"{fault} is a rule of nftables, and there is no nft: install nftables"
    done = _nft("list", "tables")
    return "" if done.returncode == 0 else f"{fault} is a rule of nftables, and nft says: {_words(done)}"


def strike(ledger: Ledger, entries: Sequence[Entry], for_ms: int) -> list[str]:
    return [_strike(ledger, entry, for_ms) for entry in entries]


def _strike(ledger: Ledger, entry: Entry, for_ms: int) -> str:
    endings = [_ending(ledger, source, sink) for source, sink in entry.links]
    for (source, sink), ending in zip(entry.links, endings, strict=True):
        if trouble := _unused(ledger, sink, ending):
            return f"{source} -> {sink}: {trouble}"
    done = _nft("-f", "-", told=rules(entry, endings, for_ms))
    if done.returncode:
        return f"nft refuses it: {_words(done)}"
    for number, (source, sink) in enumerate(entry.links):
        if trouble := _measured(entry, number, endings[number]):
            return f"{source} -> {sink}: {trouble}"
    return ""


def _ending(ledger: Ledger, source: str, sink: str) -> Ending:
    sender, receiver = lives.member_of(ledger.cluster_folder, source), lives.member_of(ledger.cluster_folder, sink)
    if sender is None or receiver is None:
        raise Failed(f"{source} -> {sink}: it is not known here where these are")
    family, _, _, _, place = socket.getaddrinfo(*host_and_port(sender.address), type=socket.SOCK_STREAM)[0]
    return Ending("ip6" if family == socket.AF_INET6 else "ip", str(place[0]), _ports(sender), _ports(receiver))


def _ports(member: LocalMember) -> tuple[int, ...]:
    """On which others speak with it: of coordnode that for clients."""
    return member.peers or (host_and_port(member.address)[1],)


def _unused(ledger: Ledger, sink: str, ending: Ending) -> str:
    """Why nothing that members say would be hit, as an inventory may have it wrong: who sends answers there, and is not spoken with."""
    receiver = lives.member_of(ledger.cluster_folder, sink)
    if receiver is None or not receiver.peers or not _knock(ending):
        return ""
    otherwise = f"members do not speak with {ending.address} on {_set(ending.ports)}: correct address or peer-ports in the inventory"
    is_used = partial(sockets.is_connected, ending.address, ending.ports, ending.own_ports)
    return lives.wait_until(is_used, SPEAK_SECONDS_MAX, otherwise, 0.05)


def table_of(entry: Entry) -> str:
    return f"coordctl_chaos_{entry.id}"


def rules(entry: Entry, endings: Sequence[Ending], for_ms: int) -> str:
    """What the sender asks us, and what it answers on our connections to it."""
    share = ""
    if entry.fault == "loss":
        share = f"numgen random mod {IN_TEN_THOUSAND} < {round(values.percent(entry.by) / 100 * IN_TEN_THOUSAND)} "
    verdict = "reject with tcp reset" if entry.fault == "reset" else "drop"
    lines = [f"table inet {table_of(entry)} {{"]
    for number, one in enumerate(endings):
        kind = "ipv6_addr" if one.family == "ip6" else "ipv4_addr"
        lines.append(f"set from{number} {{ type {kind}; flags timeout; elements = {{ {one.address} timeout {max(1, for_ms)}ms }}; }}")
        lines.append(f"counter taken{number} {{ }}")
    lines.append("chain arriving { type filter hook input priority -150; policy accept;")
    for number, one in enumerate(endings):
        for port in (f"tcp dport {_set(one.own_ports)}", f"tcp sport {_set(one.ports)}"):
            lines.append(f"{one.family} saddr @from{number} {port} {share}counter name taken{number} {verdict}")
    return "\n".join([*lines, "}", "}", ""])


def _set(ports: Sequence[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(map(str, ports))} }}"


def _measured(entry: Entry, number: int, ending: Ending) -> str:
    """Of what we ask for, so that there is something to take; "": it was taken."""
    answered = False

    def is_taken() -> bool:
        nonlocal answered
        answered = _knock(ending)
        return _taken(entry, number) > 0

    trouble = lives.wait_until(is_taken, TAKES_SECONDS_MAX, "no packet was taken")
    return trouble or ("it answers still" if answered and entry.fault == "cut" else "")


def _knock(ending: Ending) -> bool:
    """Whether who sends on that link answers."""
    with suppress(OSError), socket.create_connection((ending.address, ending.ports[-1]), KNOCK_SECONDS) as connection:
        connection.settimeout(KNOCK_SECONDS)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: coordnode\r\nConnection: close\r\n\r\n")
        connection.recv(1)
        return True
    return False


def _taken(entry: Entry, number: int) -> int:
    done = _nft("-j", "list", "counter", "inet", table_of(entry), f"taken{number}")
    if done.returncode:
        return 0
    return sum(int(one["counter"]["packets"]) for one in json.loads(done.stdout)["nftables"] if "counter" in one)


def cure(ledger: Ledger, entry: Entry) -> None:
    if not is_cured(ledger, entry):
        done = _nft("delete", "table", "inet", table_of(entry))
        if done.returncode and not is_cured(ledger, entry):
            raise Failed(f"nft does not take its table away: {_words(done)}")


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    done = _nft("-j", "list", "tables", "inet")
    if done.returncode:
        raise Failed(f"nft does not say which tables there are: {_words(done)}")
    return table_of(entry) not in [one["table"]["name"] for one in json.loads(done.stdout)["nftables"] if "table" in one]


drop = cure


def _path() -> str | None:
    return shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _nft(*arguments: str, told: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([_path() or "nft", *arguments], input=told, capture_output=True, text=True, timeout=NFT_SECONDS, check=False)


def _words(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[0]
