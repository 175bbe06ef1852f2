"""The same commands give the same state in every process, whatever its hash seed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import hashlib
from tests.unit.services.test_snapshot import lived
for seed in range(3):
    machine = lived(seed).machine
    print(machine.digest, hashlib.sha256(b"".join(machine.snapshot())).hexdigest(), hashlib.sha256(machine.dump()).hexdigest())
"""


def run(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True, timeout=300).stdout


def test_two_hash_seeds_one_state() -> None:
    first, second = run("1"), run("2")
    assert first == second
    assert len(set(first.splitlines())) == 3
