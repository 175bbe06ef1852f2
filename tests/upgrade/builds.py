"""Builds that were never released: this tree with another version, and with a fault planted in its members."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Plant(NamedTuple):
    path: str  # below src/coordnode
    line: str  # stands there once
    instead: str


def next_to(line: str, planted: str) -> str:
    """`planted` in a line of its own above it, as deep as it is."""
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}{planted}\n{line}"


BEGINS = "    tune_interpreter()\n"
APPLIES = '        assert index == scalars.applied + 1, f"entry {index} does not follow {scalars.applied}"\n'
SYNCS = '_datasync = getattr(os, "fdatasync", os.fsync)\n'

CRASHES = Plant("node/command.py", BEGINS, next_to(BEGINS, 'raise RuntimeError("planted: it ends at its start")'))
HANGS = Plant("node/command.py", BEGINS, next_to(BEGINS, "__import__('time').sleep(1e6)"))
APPLIES_LATE = Plant("services/machine.py", APPLIES, next_to(APPLIES, "__import__('time').sleep(0.05)"))
SYNCS_LATE = Plant(
    "storage/disk.py",
    SYNCS,
    "def _datasync(descriptor: int) -> None:\n    __import__('time').sleep(0.05)\n    os.fdatasync(descriptor)\n",
)
KNOWS_ANOTHER_LEVEL = Plant("formats.py", "LEVEL_MAX = 5", "LEVEL_MAX = 6")


def made(folder: Path, version: str, *plants: Plant) -> str:
    """The path of a build's file."""
    tree = folder / f"tree-{version}"
    shutil.copytree(ROOT / "src", tree, ignore=shutil.ignore_patterns("__pycache__"))
    for plant in (Plant("__init__.py", '__version__ = "0.1.0"', f'__version__ = "{version}"'), *plants):
        path = tree / "coordnode" / plant.path
        text = path.read_text()
        assert text.count(plant.line) == 1, plant
        path.write_text(text.replace(plant.line, plant.instead))
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "coordctl", "build", "--dir", str(folder), "-o", "json"]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    shutil.rmtree(tree)
    (found,) = folder.glob(f"coordnode-{version}-*.tar.gz")
    return str(found)


def planted(folder: Path, version: str) -> str:
    """One build with every fault, of which a host has that whose name stands in its /etc/planted: crash, hang, apply, sync."""
    chosen = "(open('/etc/planted').read().strip() if __import__('os').path.exists('/etc/planted') else '')"
    begins = f"{{'crash': lambda: 1 / 0, 'hang': lambda: __import__('time').sleep(1e6)}}.get({chosen}, lambda: 0)()"
    late = f"{{seconds}} if {chosen} == '{{name}}' else 0"
    crash = Plant("node/command.py", BEGINS, next_to(BEGINS, begins))
    apply = Plant("services/machine.py", APPLIES, next_to(APPLIES, f"__import__('time').sleep({late.format(name='apply', seconds=0.15)})"))
    sync = SYNCS_LATE._replace(instead=SYNCS_LATE.instead.replace("0.05", late.format(name="sync", seconds=0.15)))
    return made(folder, version, crash, apply, sync)
