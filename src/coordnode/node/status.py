"""What HTTP shows of a member: health, readiness with reasons, metrics, status."""

import json
import time
from typing import Any

from coordnode import __version__
from coordnode.client.clock import now_ms
from coordnode.config import told_settings
from coordnode.formats import LEVEL_MAX, STORAGE, WIRE
from coordnode.harm.orders import Order
from coordnode.ids import NOBODY
from coordnode.net.guests import Guest
from coordnode.net.http import JSON, TEXT, HttpAnswer
from coordnode.node.clock import wall_ms
from coordnode.node.commits import PARTS
from coordnode.node.drains import drains
from coordnode.node.member import Member
from coordnode.node.metrics import CONTENT_TYPE, Text
from coordnode.node.noted import accepted_risks, newest_backup
from coordnode.node.tuning import loop_waited_seconds
from coordnode.raft.state import LEADER, ROLE_NAMES
from coordnode.replica.needs import needs
from coordnode.services.callers import Caller
from coordnode.services.commands import ReadSessions

BUSIEST_MAX = 5  # identities shown
PATHS = ("/livez", "/readyz", "/metrics", "/status")
OPEN_PATHS = ("/livez", "/readyz")  # for what can show no token: a load balancer, a supervisor


def answer(member: Member, path: str, caller: Caller) -> HttpAnswer:
    """Raises NotPermitted."""
    # While there is no state here nobody knows who may see it, and whoever gets in has to see why.
    if path not in OPEN_PATHS and member.replica.machine is not None:
        member.replica.clients.permitted(caller, ReadSessions())
    if path == "/livez":
        return HttpAnswer(200, TEXT, b"alive\n")
    if path == "/readyz":
        reasons = not_ready(member)
        return HttpAnswer(503 if reasons else 200, TEXT, "".join(f"{reason}\n" for reason in reasons or ["ready"]).encode())
    if path == "/metrics":
        return HttpAnswer(200, CONTENT_TYPE, metrics(member))
    if path == "/status":
        return HttpAnswer(200, JSON, json.dumps(status(member), separators=(",", ":")).encode() + b"\n")
    return HttpAnswer(404, TEXT, f"there is nothing at this path; there are {', '.join(PATHS)}\n".encode())


def not_ready(member: Member) -> list[str]:
    """Why requests should not be sent here; empty: they may."""
    replica = member.replica
    raft = replica.raft
    reasons = []
    if member.is_leaving():
        reasons.append("leaving: asked to stop")
    if replica.machine is None:
        what = "waits for a snapshot from the leader" if raft.stateless else "is being rebuilt from the snapshot"
        reasons.append(f"restoring: the state {what}")
    elif replica.applied < raft.committed and raft.committed - replica.applied > 1_000:
        reasons.append(f"catching up: applied {replica.applied} of {raft.committed} committed entries")
    if raft.leader == NOBODY:
        reasons.append("no leader: an election is under way, or too few members can be reached")
    elif raft.role == LEADER and not replica.clients.serving:
        reasons.append("new leader: its first entry is not committed yet")
    if raft.lost_entries:
        reasons.append("regaining: log entries were lost here and are being fetched")
    if raft.role == LEADER and replica.clients.stopped_at:
        reasons.append(f"writes stopped: the members' states differ at index {replica.clients.stopped_at}")
    return reasons + needs(replica)


def certificate_seconds_left(member: Member) -> int | None:
    """Until this member's certificate, or the authority that it believes, is over; None: it speaks in the clear."""
    tls = member.door.ours.tls
    return int(tls.ends_unix_s - time.time()) if tls is not None else None


def status(member: Member) -> dict[str, Any]:
    replica = member.replica
    raft = replica.raft
    machine = replica.machine
    config = raft.config
    recovered = member.recovered
    checkpoint = replica.checkpoint()
    return {
        "schema": "coordnode.status/1",
        "cluster": member.identity.cluster,
        "cluster_name": member.config.cluster_name,
        "member": member.identity.member,
        "name": member.name,
        "address": member.address,
        "advertise": member.advertise,
        "fault_injection": member.config.fault_injection,
        "harm": [_harm(order) for order in member.orders.current()] if member.orders is not None else [],
        "clock": {"now_ms": member.clock.now_ms(), "wall_ms": member.clock.wall_ms()},
        "dial": {str(other): place for other, place in member.config.dial},
        "version": __version__,
        "level": machine.level if machine is not None else None,
        "level_max": LEVEL_MAX,
        "wire": WIRE,
        "storage_format": STORAGE,
        "uptime_s": member.uptime_ms() // 1_000,
        "pid": member.pid,
        "unix_ms": wall_ms(),
        "boot": raft.boot,
        "role": ROLE_NAMES[raft.role],
        "term": raft.term,
        "leader": raft.leader,
        "ready": not not_ready(member),
        "reasons": not_ready(member),
        "needs": needs(replica),  # what only a person can do
        "commit": raft.committed,
        "applied": replica.applied,
        "last_index": raft.log.last_index(),
        "persisted": raft.persisted,
        "first_index": raft.log.base_index + 1,
        "snapshot_index": raft.snapshot.index if raft.snapshot is not None else None,
        "snapshots_installed": member.snapshots_installed,
        "revision": machine.revision if machine is not None else None,
        "state_bytes": machine.state_bytes if machine is not None else None,
        "digest_index": checkpoint[0],  # where members compare
        "digest": checkpoint[1],
        "applied_digest": machine.digest if machine is not None else None,
        "writes_stopped_at": replica.clients.stopped_at or None,
        "lost_entries": raft.lost_entries,
        "config": {
            "voters": list(config.voters),
            "outgoing": list(config.outgoing),
            "learners": list(config.learners),
            "contacts": {str(other): contact for other, contact in config.contacts},
        },
        **told_settings(member.config),
        "reloaded": member.reloaded._asdict(),
        "certificate_seconds_left": certificate_seconds_left(member),
        "drains": drains(replica, time.time()),
        "accepted": accepted_risks(replica),
        "backup": newest_backup(replica, member.identity.cluster),
        "peers": [_peer(member, other) for other in config.members() if other != member.identity.member],
        "clients": len(member.clients.links),
        "busiest": [_guest(guest) for guest in member.clients.guests.busiest(BUSIEST_MAX)],
        "disk": {
            "folder": member.config.folder,
            "free_bytes": member.disk.free_bytes(),
            "free_files": member.disk.free_files(),
            "wal_bytes": recovered.wal.bytes_used,
            "snapshot_bytes": recovered.snapshots.bytes_used,
            "space_ok": raft.space_ok,
        },
        "storage": {
            "report": list(recovered.report),
            "rot": [*map(str, recovered.rot), *recovered.snapshots.rot],
            "lost_entries": recovered.lost_entries,
        },
    }


def _guest(guest: Guest) -> dict[str, Any]:
    """One identity."""
    return {
        "identity": guest.name,
        "connections": guest.connections,
        "asks": guest.outstanding,
        "pending_bytes": guest.pending_bytes,
        "watches": guest.watches,
        "held": len(guest.held),
    }


def _harm(order: Order) -> dict[str, Any]:
    return {"fault": order.fault, "amount": order.amount, "left_ms": max(0, order.deadline_ms - now_ms())}


def _peer(member: Member, other: int) -> dict[str, Any]:
    raft = member.replica.raft
    link = member.peers.links.get(other)  # type: ignore[call-overload]
    progress = raft.progress.get(other) if raft.role == LEADER else None  # type: ignore[call-overload]
    shown: dict[str, Any] = {"member": other, "connected": link is not None and link.is_up(), "version": link.build if link else ""}
    if progress is not None:
        shown |= {
            "match": progress.match,
            "active": progress.active,
            "state": ("probe", "replicate", "snapshot")[progress.state],
            "space_ok": progress.space_ok,
            "level_max": progress.level_max,
        }
    return shown


def metrics(member: Member) -> bytes:
    text = Text()
    replica = member.replica
    raft = replica.raft
    machine = replica.machine
    clients = member.clients.traffic
    peers = member.peers.traffic
    observer = member.observer
    text.labelled("coordnode_build_info", "gauge", "1, of this version", "version", [(__version__, 1)])
    text.gauge("coordnode_wall_clock_seconds", "what this host's wall clock says", time.time())
    text.gauge("coordnode_up_seconds", "since the process began", member.uptime_ms() / 1_000)
    text.gauge("coordnode_is_leader", "1 while this member leads", int(raft.role == LEADER))
    text.gauge("coordnode_has_leader", "1 while this member knows a leader", int(raft.leader != NOBODY))
    text.gauge("coordnode_is_ready", "1 while /readyz is content", int(not not_ready(member)))
    text.gauge("coordnode_term", "Raft term", raft.term)
    text.gauge("coordnode_commit_index", "newest committed log entry known here", raft.committed)
    text.gauge("coordnode_applied_index", "newest applied log entry", replica.applied)
    text.gauge("coordnode_persisted_index", "newest log entry durable here", raft.persisted)
    text.gauge("coordnode_revision", "revision of the state", machine.revision if machine is not None else 0)
    text.gauge("coordnode_state_bytes", "replicated state, as its bound counts it", machine.state_bytes if machine is not None else 0)
    text.counter("coordnode_elections_won_total", "elections that this member won since its start", observer.elections)
    commits = observer.commits
    text.durations("coordnode_commit_seconds", "from the first ask of a turn to its answers, on the leader", commits.total)
    for part, durations in commits.parts.items():
        text.durations(f"coordnode_commit_{part}_seconds", f"of a commit: {PARTS[part]}", durations)
    acknowledged = "from proposing to a peer's acknowledgement, where that came before the answers, on the leader"
    text.durations_by_peer("coordnode_peer_acknowledged_seconds", acknowledged, commits.acknowledged)
    round_trip = "from a heartbeat to its answer, which waits for no disk, on the leader"
    text.durations_by_peer("coordnode_peer_round_trip_seconds", round_trip, observer.round_trips.by_peer)
    text.durations("coordnode_sync_seconds", "write and fdatasync of one group of log writes", observer.syncs)
    text.durations("coordnode_turn_seconds", "turns of the loop", observer.turns)
    text.durations("coordnode_tick_late_seconds", "how late each tick was: the loop was busy, or not run", observer.late_ticks)
    text.counter("coordnode_cpu_seconds_total", "CPU used by all threads", time.process_time())
    text.counter("coordnode_loop_cpu_seconds_total", "CPU used by the loop's thread", time.thread_time())
    drained = {one["member"] for one in drains(replica, time.time())}
    by_address = [(contact, int(other in drained)) for other, contact in raft.config.contacts]
    text.labelled("coordnode_drained", "gauge", "1 while an operator is at work on the member there", "address", by_address)
    waited = loop_waited_seconds()
    if waited is not None:
        text.counter("coordnode_loop_cpu_wait_seconds_total", "the loop's thread could have run, and others had the CPU", waited)
    text.gauge("coordnode_client_connections", "connected clients", clients.connections)
    text.counter("coordnode_connections_accepted_total", "connections accepted, of every kind", clients.accepted)
    text.counter("coordnode_client_asks_total", "asks from clients", clients.asks)
    text.counter("coordnode_client_answers_total", "answers to clients, pushes included", clients.answers)
    text.counter("coordnode_client_received_bytes_total", "bytes from clients", clients.bytes_in)
    text.counter("coordnode_client_sent_bytes_total", "bytes to clients", clients.bytes_out)
    text.counter("coordnode_client_refused_total", "clients told that they break the rules", clients.refused)
    text.counter("coordnode_client_cut_off_total", "clients cut off because they did not read", clients.cut_off)
    text.counter("coordnode_client_pauses_total", "times a client was not read for a while", clients.pauses)
    text.gauge("coordnode_client_pending_bytes", "asked and not answered", member.clients.guests.pending_bytes)
    guests = member.clients.guests
    text.gauge("coordnode_client_identities", "tokens, users of certificates and hosts with a connection", len(guests.by_name))
    text.gauge("coordnode_client_eager_connections", "connections that ask for much at once, served in turns", len(member.clients.eager))
    text.gauge("coordnode_client_eager_asks", "asks that wait in their lines", member.inbox.lines.waiting)
    text.counter("coordnode_asks_shed_total", "asks that were refused as too many of their client waited", member.inbox.lines.shed)
    text.counter("coordnode_watches_refused_total", "watches beyond client-watches-max", clients.watches_refused)
    text.counter("coordnode_sessions_refused_total", "sessions beyond client-sessions-max", replica.clients.authority.openings.refused)
    text.counter("coordnode_asks_too_late_total", "asks whose client's patience ended before they began", member.inbox.too_late)
    if (seconds_left := certificate_seconds_left(member)) is not None:
        text.gauge("coordnode_certificate_seconds_left", "until its certificate, or the authority that it believes, is over", seconds_left)
    text.counter("coordnode_denied_total", "asked for without the right to it", member.replica.clients.authority.denials)
    refusals = sorted(member.door.refusals.items())
    text.labelled("coordnode_strangers_refused_total", "counter", "connections refused before their hello was done", "error", refusals)
    statuses = [(str(status), count) for status, count in sorted(member.gateway.statuses.items())]
    text.labelled("coordnode_http_requests_total", "counter", "HTTP requests answered", "status", statuses)
    text.gauge("coordnode_http_connections", "HTTP connections", len(member.door.https.links))
    text.gauge("coordnode_http_watches", "watches over HTTP", member.gateway.watchers())
    text.counter("coordnode_http_cut_off_total", "HTTP connections ended because they were slow or did not read", member.door.https.cut_off)
    text.counter("coordnode_peer_messages_sent_total", "raft messages sent", peers.messages)
    text.counter("coordnode_peer_sent_bytes_total", "bytes to other members", peers.bytes)
    text.counter("coordnode_peer_messages_dropped_total", "raft messages that found no connection", peers.dropped)
    text.gauge("coordnode_peers_connected", "members that we are connected to", sum(link.is_up() for link in member.peers.links.values()))
    text.gauge("coordnode_disk_free_bytes", "free on the folder's disk", member.disk.free_bytes())
    text.gauge("coordnode_disk_free_files", "that can still be made on the folder's disk", member.disk.free_files())
    text.gauge("coordnode_disk_space_ok", "0 while writes that add data are refused here", int(raft.space_ok))
    text.gauge("coordnode_wal_bytes", "the log's files", member.recovered.wal.bytes_used)
    text.gauge("coordnode_snapshot_bytes", "the snapshots' files", member.recovered.snapshots.bytes_used)
    text.counter("coordnode_events_dropped_total", "events that could not be written", member.telemetry.dropped)
    return text.encode()
