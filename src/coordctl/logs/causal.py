"""What can follow from what: a small table, and the order that it is read in. Pure.

A later sign is called a consequence of an earlier one only where the table knows how that could be. All others stay side by side.
"""

from collections.abc import Mapping

ANY, SAME = "any member", "the same member"

# Effect -> what can have it as a consequence, and where. Numbers are named as the miner does, without the peer or kind at their end.
SLOW = ("pulse.sync_ms", "pulse.sync_worst_ms", "pulse.late_worst_ms", "pulse.waited_ms", "late_tick", "pulse.took_ms", "silence")
GONE = ("stopped", "leaving", "failed", "silence", "peer_silent", "peer_lost", "diverged", "rotten", "started")
BUSY = ("pulse.asks", "pulse.asked_kib", "pulse.connections", "pulse.opened")
FOLLOWS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "peer_lost": ((ANY, (*GONE, "peer_refused")), (SAME, ("late_tick", "pulse.took_ms"))),
    "peer_up": ((ANY, ("started", "listening", "peer_lost", "silence")),),
    "peer_silent": ((ANY, (*GONE, "late_tick", "pulse.took_ms", "pulse.late_worst_ms", "pulse.waited_ms")),),
    "peer_heard": ((ANY, ("peer_silent", "silence", "started")),),
    "role": ((ANY, (*GONE, "handed_over", "role", *SLOW)),),
    "elected": ((ANY, (*GONE, "handed_over", "role", *SLOW)),),
    "handed_over": ((SAME, ("leaving",)),),
    "not_handed_over": ((SAME, ("leaving",)), (ANY, ("peer_silent", "peer_lost"))),
    "stopped": ((SAME, ("leaving",)),),
    "listening": ((SAME, ("started",)),),
    "restored": ((SAME, ("started",)),),
    "folder": ((SAME, ("started",)),),
    "started": ((SAME, ("stopped", "failed", "silence", "diverged", "rotten")),),
    "installed": ((SAME, ("started", "silence", "diverged", "rotten", "lost_entries")),),
    "lost_entries": ((SAME, ("rotten", "folder", "started")),),
    "regained": ((SAME, ("lost_entries", "started")),),
    "config": ((SAME, ("started", "restored", "installed")),),
    "slow_commit": ((ANY, (*SLOW, *GONE, "slow_turn", "role", "elected", "pulse.round_trip_ms", *BUSY)),),
    "slow_turn": ((SAME, ("late_tick", "pulse.waited_ms", *BUSY, "started", "installed")),),
    "late_tick": ((SAME, ("pulse.waited_ms", "silence", "started", "slow_turn", *BUSY)),),
    "silence": ((SAME, ("stopped", "failed", "leaving")),),
    "snapshot_failed": ((SAME, ("space_low",)),),
    "space_back": ((SAME, ("space_low",)),),
    "pulse.commit_ms": ((ANY, (*SLOW, *GONE, *BUSY, "role", "elected", "pulse.round_trip_ms", "slow_commit")),),
    "pulse.commit_worst_ms": ((ANY, (*SLOW, *GONE, *BUSY, "role", "elected", "pulse.round_trip_ms", "pulse.commit_ms")),),
    "pulse.round_trip_ms": ((ANY, (*BUSY, "pulse.late_worst_ms", "pulse.waited_ms", "late_tick", "pulse.took_ms", "silence")),),
    "pulse.behind": ((ANY, (*SLOW, *GONE, "pulse.round_trip_ms", "pulse.asks")),),
    "pulse.took_ms": ((SAME, ("late_tick", "silence", "pulse.waited_ms", "pulse.late_worst_ms", "slow_turn")),),
    "pulse.late_worst_ms": ((SAME, ("silence", "pulse.waited_ms", "slow_turn", *BUSY, "started")),),
    "pulse.turn_ms": ((SAME, ("pulse.waited_ms", "slow_turn", *BUSY, "late_tick")),),
    "pulse.turn_worst_ms": ((SAME, ("pulse.waited_ms", "slow_turn", *BUSY, "late_tick", "started")),),
    "pulse.waited_ms": ((SAME, ("pulse.pressure.cpu", *BUSY)), (ANY, ("pulse.pressure.cpu",))),
    "pulse.sync_worst_ms": ((SAME, ("pulse.sync_ms",)), (ANY, ("pulse.pressure.io",))),
    "pulse.sync_ms": ((ANY, ("pulse.pressure.io", "pulse.asked_kib")),),
    "pulse.cpu_ms": ((SAME, (*BUSY, "started", "installed")),),
    "pulse.asks": ((SAME, ("pulse.connections", "role", "elected")),),
    "pulse.asked_kib": ((SAME, ("pulse.asks", "pulse.connections", "role", "elected")),),
    "pulse.opened": ((SAME, ("pulse.connections", "pulse.asks", "role", "elected")),),
    "pulse.expired": ((ANY, (*GONE, "pulse.opened", "role", "elected")),),
    "pulse.connections": ((ANY, ("role", "elected", "started", "stopped", "silence")),),
    "pulse.rss_kib": ((SAME, (*BUSY, "installed")),),
    "pulse.files": ((SAME, ("pulse.connections",)),),
    "pulse.pressure.cpu": ((ANY, BUSY),),
    "pulse.pressure.io": ((ANY, ("pulse.sync_ms", "pulse.asks")),),
    "pulse.pressure.memory": ((ANY, ("pulse.rss_kib",)),),
    "bug": (),
    "events_dropped": ((ANY, ("slow_commit", "peer_lost", "role")),),
}  # fmt: skip


def family(kind: str) -> str:
    """`pulse.round_trip_ms.4711` is of the family `pulse.round_trip_ms`."""
    head, dot, rest = kind.partition(".")
    if head != "pulse" or not dot:
        return kind
    name = rest.partition(".")[0]
    return kind if name == "pressure" else f"pulse.{name}"


def can_follow(effect: str, effect_member: str, cause: str, cause_member: str) -> bool:
    if effect_member == cause_member and effect.startswith(f"{cause}."):
        return True  # a number of those very lines
    for where, causes in FOLLOWS.get(family(effect), ()):
        if family(cause) in causes and (where == ANY or effect_member == cause_member):
            return True
    return False
