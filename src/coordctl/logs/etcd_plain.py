"""What etcd's plain lines say (`… W | rafthttp: …`, as 3.4 writes unless it is told otherwise), in the words that the rules know. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from coordctl.logs import etcd
from coordctl.logs.foreign import USUAL, Said, without
from coordctl.logs.lines import CAPNSLOG

ID = re.compile(r"\b[0-9a-f]{12,16}\b")
IN_BRACKETS = re.compile(r"\((.*)\)\s*$")
BEHIND = re.compile(r"could not connect: (.*)$")
TARGET = re.compile(r" to ([0-9a-f]+)")
SYNC = re.compile(r"sync duration of (\S+),")
LATE = re.compile(r"timeout for (\S+?),")
TOOK = re.compile(r"took too long \((\S+)\)")
APART = re.compile(r"\[(\S+) > ")
CRITICAL = b"C"


def _ids(message: str) -> list[str]:
    return ID.findall(message)


def _words(pattern: re.Pattern[str], message: str) -> str:
    found = pattern.search(message)
    return found[1] if found is not None else ""


def _peer(message: str, error: re.Pattern[str]) -> etcd.Found:
    return {"msg": message.partition(" (")[0], "remote-peer-id": (_ids(message) or [""])[0], "error": _words(error, message)}


def _lost(message: str) -> Said:
    return etcd.lost(_peer(message, IN_BRACKETS))


def _unhealthy(message: str) -> Said:
    return etcd.unhealthy(_peer(message, BEHIND if "could not connect" in message else IN_BRACKETS))


def _up(message: str) -> Said:
    return etcd.up(_peer(message, IN_BRACKETS))


def _started(message: str) -> Said:
    return etcd.started({"etcd-version": message.rpartition(" ")[2]})


def _leaving(message: str) -> Said:
    return etcd.leaving({"msg": message})


def _handed_over(message: str) -> Said:
    return etcd.handed_over({"new-leader-member-id": _words(TARGET, message)})


def _elected(message: str) -> Said:
    return etcd.elected({"msg": message})


def _leader(message: str) -> Said | None:
    return etcd.leader({"msg": message})


def _slow_sync(message: str) -> Said:
    return etcd.slow_sync({"msg": message, "took": _words(SYNC, message)})


def _slow_request(message: str) -> Said | None:
    took = _words(TOOK, message)
    return etcd.slow_request({"took": took}) if took else None


def _late(message: str) -> Said:
    return etcd.late({"msg": message, "exceeded-duration": _words(LATE, message)})


def _alarm(message: str) -> Said | None:
    alarm = "NOSPACE" if "NOSPACE" in message else "CORRUPT"
    return etcd.alarm({"msg": message, "alarm": alarm, "from": (_ids(message) or [""])[-1]})


def _drift(message: str) -> Said:
    return etcd.drift({**_peer(message, IN_BRACKETS), "clock-drift": _words(APART, message)})


def _usual(_: str) -> Said:
    return Said(USUAL)


# By the beginning of a kind, ids and numbers masked.
WORDS: Final[Mapping[str, Callable[[str], Said | None]]] = {
    "etcdmain: etcd Version": _started,
    "pkg/osutil: received": _leaving,
    "etcdserver: * finished leadership transfer": _handed_over,
    "raft: * became leader at term": _elected,
    "raft: raft.node: * lost leader": _leader,
    "raft: raft.node: * elected leader": _leader,
    "raft: raft.node: * changed leader": _leader,
    "rafthttp: failed to read *": _lost,
    "rafthttp: failed to write *": _lost,
    "rafthttp: failed to dial *": _lost,
    "rafthttp: peer * became active": _up,
    "rafthttp: health check for peer *": _unhealthy,
    "etcdserver: failed to reach the peerURL": _unhealthy,
    "etcdserver: cannot get the version of member": _unhealthy,
    "rafthttp: the clock difference against peer": _drift,
    "wal: sync duration of": _slow_sync,
    "etcdserver: request *": _slow_request,
    "etcdserver: read-only range request": _slow_request,
    "etcdserver: failed to send out heartbeat on time": _late,
    "etcdserver: alarm NOSPACE": _alarm,
    "etcdserver: alarm CORRUPT": _alarm,
    "rafthttp: lost the TCP streaming connection": _usual,  # why stands beside it
    "rafthttp: closed an existing TCP streaming connection": _usual,
    "rafthttp: failed to find member": _usual,
    "etcdserver: server is likely overloaded": _usual,
    "auth: simple token is not cryptographically signed": _usual,
}
IS = ("etcdserver: starting member *", "etcdserver: restarting member *")  # kinds that name whose log it is


def message_of(found: "re.Match[bytes]") -> str:
    """Of CAPNSLOG, or of RAFT."""
    room, words = (found[2], found[3]) if found.re is CAPNSLOG else (found[1], found[9])
    return f"{room.decode()}: {words.decode(errors='replace')}"


def identity(kind: str, message: str) -> str:
    """ "": it does not say."""
    return (_ids(message) or [""])[0] if kind.startswith(IS) else ""


def failed(found: "re.Match[bytes]", message: str) -> Said | None:
    return Said("failed", {"error": without(message)}) if found.re is CAPNSLOG and found[1] == CRITICAL else None
