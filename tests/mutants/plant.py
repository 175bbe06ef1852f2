"""Planted bugs: one-line changes of the real code, kept as data, that the simulator must find through a named check.

    python -m tests.mutants                          every planted bug, over three fresh seed ranges of 300
    python -m tests.mutants --only vote-not-durable  one of them
    python -m tests.mutants --seeds 1-300            over this range alone

Each bug is planted in a copy of src/; the stock command, `coordnode simulate --seeds A-B`, then runs until it is red.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
DATA = pathlib.Path(__file__).with_name("planted.toml")

WITHOUT_IT = "red without it"

NOT_A_CHECK = ("crash", "timeout", "harness", WITHOUT_IT)
"""What the simulator says when something broke that no named check or assertion explains; and what the bug did not cause."""


@dataclass(frozen=True, slots=True)
class Planted:
    name: str
    file: str  # below src/coordnode
    old: str
    new: str
    breaks: str  # the promise, in a few words
    playbook: str = ""  # by which members that are processes are seen to break it; "": none is known


@dataclass(frozen=True, slots=True)
class Found:
    check: str  # "" when the range stayed green
    sentence: str
    seed: int
    seeds: int  # how many were run

    @property
    def is_named(self) -> bool:
        return bool(self.check) and self.check not in NOT_A_CHECK


def load() -> list[Planted]:
    with DATA.open("rb") as file:
        rows = tomllib.load(file)["planted"]
    planted = [Planted(**row) for row in rows]
    names = [bug.name for bug in planted]
    assert len(names) == len(set(names)), "two planted bugs share a name"
    return planted


def plant(bug: Planted, source: pathlib.Path) -> None:
    """Changes the one place that bug.old names; the text must stand there exactly once."""
    path = source / "coordnode" / bug.file
    text = path.read_text()
    count = text.count(bug.old)
    if count != 1:
        raise ValueError(f"{bug.name}: its text stands {count} times in {bug.file}, not once; mend tests/mutants/planted.toml")
    path.write_text(text.replace(bug.old, bug.new))


def hunt(bug: Planted, first: int, last: int, *, timeout_s: float = 3_600) -> Found:
    """Runs the stock command against a copy with the bug, until it is red or the range ends."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        source = pathlib.Path(folder) / "src"
        shutil.copytree(SOURCE, source)  # with what is compiled already, but for the file that is changed
        plant(bug, source)
        changed = source / "coordnode" / bug.file
        for compiled in changed.parent.glob(f"__pycache__/{changed.stem}.*"):
            compiled.unlink()
        report = _simulate(source, first, last, timeout_s)
    if not report["red"]:
        return Found("", "", 0, report["seeds"])
    red = report["red"][0]
    if _red_anyway(red["seed"], timeout_s) == red["check"]:
        return Found(WITHOUT_IT, f"{red['check']}: {red['sentence']}", red["seed"], report["seeds"])
    return Found(red["check"], red["sentence"], red["seed"], report["seeds"])


@cache
def _red_anyway(seed: int, timeout_s: float) -> str:
    """The check that finds something in this seed without any bug planted; empty: none."""
    red = _simulate(SOURCE, seed, seed, timeout_s)["red"]
    return red[0]["check"] if red else ""


def _simulate(source: pathlib.Path, first: int, last: int, timeout_s: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "coordnode", "simulate", "--seeds", f"{first}-{last}", "--shrink", "0", "-o", "json"]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"the simulator said nothing readable (exit {done.returncode}): {done.stderr[-2000:]}") from None
    return report
