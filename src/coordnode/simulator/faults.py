"""What shall go wrong in one seed, drawn in advance: explicit data, so that any part of it can be left out and replayed."""

import random

import msgspec

# The weather of the network.
LOSS = "loss"
DELAY = "delay"
DUPLICATE = "duplicate"
REORDER = "reorder"
# Partitions.
ONE_WAY = "partition one way"
PAIR = "partition of a pair"
ISOLATE = "isolated member"
MINORITY = "minority split off"
CLIENT_PATH = "client cut off from a member"
RECONNECT = "client connection cut"
ANSWERS_LOST = "answers to a client lost"
STALLED_ASKS = "what a client asks comes late"
STALLED_ANSWERS = "what a client is told comes late"
# Processes and power.
CRASH = "crash"
CRASH_IN_WRITE = "crash between two disk operations"
POWER_LOSS = "power loss of all"
POWER_LOSS_IN_WRITE = "power loss of all between two disk operations"
PAUSE = "pause"
STRANDED = "leader cut off with its clients"
# Disks.
ROT_RECORD = "rot in the last record"
ROT_HARD_STATE = "rot in one hard state copy"
ROT_SNAPSHOT = "rot in the newest snapshot"
ROT_ANYWHERE = "rot anywhere"
ROT_JOURNAL = "rot in a journal"
HARD_STATE_LOST = "rot in both hard state copies"
STATE_FLIPPED = "state of one member changed by itself"
FSYNC_FAILS = "failing fsync"
SLOW_DISK = "slow disk"
FULL_DISK = "full disk"
SYNC_FULL = "sync that finds no room, and forgets what it was to write"
# Clocks.
CLOCK_RATE = "clock rate"
WALL_JUMP = "wall clock jump"
# What operators do.
TRANSFER = "leadership transfer"
ADD_LEARNER = "learner added"
PROMOTE = "learner promoted"
REMOVE = "voter removed"
REPLACE = "voter replaced"
JOINT = "several members changed at once"
RAISE_LEVEL = "feature level raised"
# What clients do.
SILENCE = "client falls silent"
SNAPSHOT_CUT = "crash while a snapshot is received"
# Moments that chance alone rarely meets.
STRIKE_ELECTED = "leader struck soon after its election"
STRIKE_JOINT = "leader struck inside a joint configuration"
SLOW_ELECTED = "every disk slow from an election on"

LEADER = -1  # the victim is whoever leads when the fault begins


class Fault(msgspec.Struct, frozen=True):
    number: int  # its place in the plan of its seed: names it in --keep-faults
    at_ms: int
    kind: str
    victim: int  # LEADER, or a draw that picks one of those there are by remainder
    lasting_ms: int
    amount: int  # what it means depends on the kind


class _Kind(msgspec.Struct, frozen=True):
    chance: float  # that a seed has any of it
    count_max: int  # in each minute
    lasting_ms: tuple[int, int]
    amount: tuple[int, int]
    leader_chance: float = 0.0  # that it hits the leader


KINDS: dict[str, _Kind] = {
    LOSS: _Kind(0.5, 3, (1_000, 15_000), (5, 300)),  # thousandths
    DELAY: _Kind(0.4, 3, (1_000, 10_000), (2, 400)),  # milliseconds at most
    DUPLICATE: _Kind(0.4, 2, (2_000, 20_000), (10, 300)),
    REORDER: _Kind(0.4, 2, (2_000, 20_000), (10, 500)),
    ONE_WAY: _Kind(0.4, 3, (300, 6_000), (0, 1_000_000), 0.4),
    PAIR: _Kind(0.3, 3, (300, 6_000), (0, 1_000_000), 0.4),
    ISOLATE: _Kind(0.5, 3, (300, 6_000), (0, 1), 0.6),  # 1: from clients, too
    MINORITY: _Kind(0.3, 2, (500, 6_000), (0, 1_000_000), 0.6),
    CLIENT_PATH: _Kind(0.3, 4, (300, 5_000), (0, 1_000_000), 0.4),
    RECONNECT: _Kind(0.4, 6, (0, 0), (0, 1_000_000)),
    CRASH: _Kind(0.6, 5, (50, 5_000), (0, 1), 0.4),  # 1: the host, so that what was not synced is lost
    CRASH_IN_WRITE: _Kind(0.5, 5, (50, 4_000), (1, 40), 0.3),  # disk operations from now
    POWER_LOSS: _Kind(0.3, 3, (50, 3_000), (0, 0)),
    POWER_LOSS_IN_WRITE: _Kind(0.35, 3, (50, 3_000), (1, 60)),
    PAUSE: _Kind(0.5, 4, (100, 8_000), (0, 1_200), 0.7),  # how much longer its links are down, above 600
    STRANDED: _Kind(0.5, 5, (600, 5_000), (0, 400), 1.0),  # milliseconds: from 100 on between its moments of running; if odd, of each sync
    ROT_RECORD: _Kind(0.3, 3, (100, 3_000), (0, 1_000_000_000), 0.3),
    ROT_HARD_STATE: _Kind(0.25, 3, (100, 3_000), (0, 1_000_000_000), 0.3),
    ROT_SNAPSHOT: _Kind(0.25, 3, (100, 3_000), (0, 1_000_000_000), 0.3),
    ROT_ANYWHERE: _Kind(0.25, 3, (100, 3_000), (0, 1_000_000_000), 0.3),
    HARD_STATE_LOST: _Kind(0.1, 1, (100, 3_000), (0, 1_000_000_000), 0.2),
    STATE_FLIPPED: _Kind(0.4, 4, (0, 0), (0, 1_000_000)),
    FSYNC_FAILS: _Kind(0.25, 3, (100, 2_000), (0, 1), 0.4),
    SLOW_DISK: _Kind(0.4, 3, (500, 6_000), (5, 3_000), 0.5),  # milliseconds for each sync
    FULL_DISK: _Kind(0.25, 2, (1_000, 10_000), (0, 3), 0.5),  # 3: every disk
    CLOCK_RATE: _Kind(0.5, 4, (0, 0), (0, 2_000), 0.3),  # parts per million, less 1,000
    WALL_JUMP: _Kind(0.3, 3, (0, 0), (0, 20_000_000), 0.5),  # milliseconds, less 10,000,000
    TRANSFER: _Kind(0.4, 5, (0, 0), (0, 1_000_000)),
    ADD_LEARNER: _Kind(0.3, 2, (0, 0), (0, 1_000_000)),
    PROMOTE: _Kind(0.3, 2, (0, 0), (0, 1_000_000)),
    REMOVE: _Kind(0.25, 2, (0, 0), (0, 1_000_000), 0.4),
    REPLACE: _Kind(0.25, 2, (0, 0), (0, 1_000_000), 0.4),
    JOINT: _Kind(0.3, 2, (0, 0), (0, 1_000_000), 0.4),
    RAISE_LEVEL: _Kind(0.3, 1, (0, 0), (2, 2)),
    SILENCE: _Kind(0.5, 4, (1_000, 12_000), (0, 1_000_000)),
    SNAPSHOT_CUT: _Kind(0.5, 3, (100, 2_000), (1, 20)),
    STRIKE_ELECTED: _Kind(0.35, 6, (100, 3_000), (0, 1_000_000)),
    STRIKE_JOINT: _Kind(0.35, 3, (200, 3_000), (0, 1_000_000)),
    ANSWERS_LOST: _Kind(0.4, 4, (300, 5_500), (0, 1_000_000)),
    STALLED_ASKS: _Kind(0.5, 10, (200, 4_000), (0, 1_000_000)),
    STALLED_ANSWERS: _Kind(0.4, 8, (100, 2_500), (0, 1_000_000)),
    ROT_JOURNAL: _Kind(0.4, 8, (0, 0), (0, 1_000_000_000), 1.0),
    SLOW_ELECTED: _Kind(0.5, 10, (300, 2_500), (20, 600)),  # milliseconds for each sync
    SYNC_FULL: _Kind(0.4, 20, (0, 0), (0, 5), 0.3),  # so many syncs and one, halved; if odd, of journals alone
}
"""Swarm: each seed draws which of these it has at all, so that a bug which one fault would hide is met without that fault."""


def draw_plan(stream: random.Random, *, safety_ms: int) -> list[Fault]:
    drawn: list[tuple[int, str, int, int, int]] = []
    for name, kind in KINDS.items():
        present = stream.random() < kind.chance
        count = 1 + int(stream.random() * kind.count_max)
        if not present:
            continue
        for _ in range(max(1, count * safety_ms // 60_000)):
            at_ms = 500 + int(stream.random() * (safety_ms - 1_000))
            on_leader = stream.random() < kind.leader_chance
            victim = LEADER if on_leader else int(stream.random() * 1_000_000)
            lasting_ms = _between(stream, kind.lasting_ms)
            drawn.append((at_ms, name, victim, lasting_ms, _between(stream, kind.amount)))
    drawn.sort()
    return [Fault(number, *fields) for number, fields in enumerate(drawn)]


def _between(stream: random.Random, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return low + int(stream.random() * (high - low + 1))


def parse_keep(text: str) -> frozenset[int]:
    """`3,7-9` → {3, 7, 8, 9}; empty text keeps none."""
    kept: list[int] = []
    for part in text.split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        kept.extend(range(int(first), int(last if dash else first) + 1))
    return frozenset(kept)


def show_keep(numbers: frozenset[int]) -> str:
    """The shortest text that parse_keep reads back."""
    parts: list[str] = []
    run: list[int] = []
    for number in [*sorted(numbers), -1]:
        if run and number != run[-1] + 1:
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
            run = []
        run.append(number)
    return ",".join(parts)
