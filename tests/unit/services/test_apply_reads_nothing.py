"""Apply reads neither wall time nor this build's limits: only the log and the settings in the state decide."""

import os
import subprocess
import sys
from pathlib import Path

from coordnode.ids import ClusterId, Index, Term
from coordnode.services.commands import decode_batch, encode, splice_batch
from coordnode.services.machine import Machine
from coordnode.services.registry import SUPPORTED_LEVEL
from coordnode.services.state import Settings

from .driven import CREATED_UNIX_S
from .random_life import SMALL, Life

ROOT = Path(__file__).resolve().parents[3]


def test_wall_time_changes_nothing() -> None:
    """Three members see the same log but for the wall times in it: old, true, absurd. They differ in what they show."""
    for seed in range(3):
        machines = [
            Machine.genesis(Settings(**SMALL), cluster=ClusterId(77), created_unix_s=CREATED_UNIX_S, level=SUPPORTED_LEVEL)
            for _ in range(3)
        ]
        shown: list[list[int]] = [[], [], []]
        for index, batch in enumerate(Life(seed).batches(80), start=1):
            bodies = [encode(command) for command in batch]
            outcomes: list[list[bytes]] = []
            for machine, times, wall_ms in zip(
                machines, shown, (2**40 + index, CREATED_UNIX_S * 1_000 + index, 2**53 - 977 * index), strict=True
            ):
                times.append(wall_ms)
                batch_of_one = decode_batch(splice_batch(index * 10, wall_ms, bodies))
                outcomes.append([without(times, encode(outcome)) for outcome in machine.apply(Index(index), Term(1), batch_of_one)])
            assert outcomes[0] == outcomes[1] == outcomes[2]
        assert len({without(times, unchained(machine)) for machine, times in zip(machines, shown, strict=True)}) == 1


def unchained(machine: Machine) -> bytes:
    """The digests of audit records are over the times that they show, too."""
    data = machine.dump()
    for _, record in machine.auth.audit.table.items():
        data = data.replace(record.chain, bytes(32))
    return data


def without(wall_times: list[int], data: bytes) -> bytes:
    for wall_ms in wall_times:
        data = data.replace(encode(wall_ms), encode(2**63))  # all of one length
    return data


LIVES = """
import hashlib
from tests.unit.services.test_snapshot import lived
print([(driven.machine.digest, hashlib.sha256(driven.machine.dump()).hexdigest()) for driven in map(lived, range(3))])
"""

OTHER_LIMITS = """
from coordnode import limits
for name, value in list(vars(limits).items()):
    if name.isupper() and isinstance(value, int):
        setattr(limits, name, value // 5 + 3)
"""


def lives(program: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True, timeout=300).stdout


def test_a_build_with_other_limits_applies_alike() -> None:
    """Limits stand at admission and on the wire. What apply needs is replicated, so two builds never decide differently."""
    ours = lives(LIVES)
    assert ours.count("(") == 3
    assert lives(OTHER_LIMITS + LIVES) == ours
