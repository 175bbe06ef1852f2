"""What etcd's JSON lines say, in the words that the rules know. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from coordctl.logs.foreign import USUAL, Said, without
from coordctl.logs.lines import milliseconds

TERM = re.compile(r"at term (\d+)")
OF_LEADERS = re.compile(r"(?:lost|elected) leader ([0-9a-f]+) at|changed leader from [0-9a-f]+ to ([0-9a-f]+)")
TIMEOUT = re.compile(r"i/o timeout|deadline exceeded|no route to host|network is unreachable")
TLS = re.compile(r"x509|\btls:")
UNKNOWN_NAME = re.compile(r"lookup (\S+?):? .*no such host|lookup (\S+?):? .*server misbehaving")
STOPPING_ITSELF = "context canceled"
ENDS = ("fatal", "panic", "dpanic")

Found = Mapping[str, Any]


def _peer(found: Found) -> str:
    return str(found.get("remote-peer-id") or found.get("peer-id") or found.get("remote-member-id") or "")


def _about_peer(found: Found, *, is_act: bool) -> Said:
    error, peer = str(found.get("error", "")), _peer(found)
    fields: dict[str, Any] = {"peer": peer, "said": without(str(found.get("msg", ""))), "error": without(error)}
    if not error or not peer or STOPPING_ITSELF in error:
        return Said(USUAL)  # the other end of a connection of which more is said beside it; or it leaves itself
    unknown = UNKNOWN_NAME.search(error)
    if TLS.search(error):
        return Said("peer_refused", {**fields, "reason": f"TLS: {without(error)}"}, is_act)
    if unknown is not None:
        return Said("peer_refused", {**fields, "reason": f"its name {unknown[1] or unknown[2]} is not found"}, is_act)
    return Said("peer_silent" if TIMEOUT.search(error) else "peer_lost", fields, is_act)


def lost(found: Found) -> Said:
    return _about_peer(found, is_act=True)


def unhealthy(found: Found) -> Said:
    """By a probe that goes on saying what was, for seconds after, or beside what was said of the connection."""
    said = _about_peer(found, is_act=False)
    return Said(said.kind, said.fields) if said.kind == "peer_refused" else said


def up(found: Found) -> Said:
    return Said("peer_up", {"peer": _peer(found)})


def started(found: Found) -> Said:
    return Said("started", {"name": found.get("name", ""), "build": f"etcd {found.get('etcd-version', '')}"})


def leaving(found: Found) -> Said:
    return Said("leaving", {"said": found.get("msg", ""), "signal": found.get("signal", "")})


def _stopped(_: Found) -> Said:
    return Said("stopped")


def handed_over(found: Found) -> Said:
    return Said("handed_over", {"target": str(found.get("new-leader-member-id", ""))})


def elected(found: Found) -> Said:
    term = TERM.search(str(found.get("msg", "")))
    return Said("elected", {"term": int(term[1]) if term else 0})


def leader(found: Found) -> Said | None:
    leader = OF_LEADERS.search(str(found.get("msg", "")))
    if leader is None:
        return None
    return Said("leader_lost" if "lost leader" in found.get("msg", "") else "leader_found", {"leader": leader[1] or leader[2]})


def slow_sync(found: Found) -> Said:
    return Said("slow_commit", {"fsync_ms": milliseconds(str(found.get("took", ""))), "said": found.get("msg", "")})


def slow_request(found: Found) -> Said:
    return Said("slow_request", {"total_ms": milliseconds(str(found.get("took", "")))}, is_act=False)


def late(found: Found) -> Said:
    return Said("late_tick", {"late_ms": milliseconds(str(found.get("exceeded-duration", ""))), "said": without(found.get("msg", ""))})


def alarm(found: Found) -> Said | None:
    fields = {"peer": str(found.get("from", "")), "said": f"{found.get('msg', '')} {found.get('alarm')}"}
    kinds = {"NOSPACE": ("quota_full", "quota_back"), "CORRUPT": ("diverged", USUAL)}.get(str(found.get("alarm")))
    return Said(kinds["disarmed" in found.get("msg", "")], fields) if kinds is not None else None


def drift(found: Found) -> Said:
    drift = str(found.get("clock-drift", ""))
    ms = milliseconds(drift.lstrip("-"))
    return Said("clock_drift", {"peer": _peer(found), "drift_ms": -ms if drift[:1] == "-" else ms, "said": found.get("msg", "")})


def _installed(found: Found) -> Said:
    return Said("installed", {"said": found.get("msg", "")})


def _usual(_: Found) -> Said:
    return Said(USUAL)


# By the beginning of a kind, ids and numbers masked.
WORDS: Final[Mapping[str, Callable[[Found], Said | None]]] = {
    "starting an etcd server": started,
    "received signal; shutting down": leaving,
    "closed etcd server": _stopped,
    "leadership transfer finished": handed_over,
    "* became leader at term *": elected,
    "raft.node: * lost leader * at term *": leader,
    "raft.node: * elected leader * at term *": leader,
    "raft.node: * changed leader from * to *": leader,
    "lost TCP streaming connection with remote peer": lost,
    "peer became inactive": unhealthy,
    "peer became active": up,
    "prober detected unhealthy status": unhealthy,
    "failed to reach the peer URL": unhealthy,
    "failed to get version": unhealthy,
    "prober found high clock drift": drift,
    "slow fdatasync": slow_sync,
    "apply request took too long": slow_request,
    "leader failed to send out heartbeat on time": late,
    "alarm raised": alarm,
    "alarm disarmed": alarm,
    "applied snapshot": _installed,
    "established TCP streaming connection with remote peer": _usual,
    "closed TCP streaming connection with remote peer": _usual,
    "stopped TCP streaming connection with remote peer": _usual,
    "simple token is not cryptographically signed": _usual,
    "failed to find remote peer in cluster": _usual,
}
ROOMS = (
    "embed/",
    "rafthttp",
    "raft/",
    "etcdserver",
    "wal/",
    "etcdmain",
    "membership/",
    "mvcc/",
    "pkg/",
    "osutil/",
    "flags/",
)  # of `caller`
IDENTITY = "local-member-id"


def speaks(found: Found) -> bool:
    caller = found.get("caller")
    return isinstance(caller, str) and caller.startswith(ROOMS)


def failed(found: Found) -> Said | None:
    return Said("failed", {"error": without(f"{found.get('msg', '')}: {found.get('error', '')}")}) if found.get("level") in ENDS else None
