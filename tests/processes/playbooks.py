"""Every playbook on real members of this machine, one after the other, and what came of it.

    PYTHONPATH=src:. .venv/bin/python -m tests.processes.playbooks [--only NAME …] [--source DIR]

Those that want five members get a cluster of their own. DIR: the source to run, instead of ours.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordctl.chaos.playbook import Playbook, parse_playbook
from tests.processes.local import SOURCE, Home

FOLDER = SOURCE.parent / "playbooks"
SHORT_LOG = {"COORDNODE_SNAPSHOT_ENTRIES": "300", "COORDNODE_KEEP_ENTRIES": "100"}  # so that there are snapshots in seconds
SAID_NOTHING = "said nothing"
ACCEPT = ("--accept", "beyond-quorum", "--reason", "all playbooks are run")


def playbooks(only: list[str]) -> list[Playbook]:
    found = [parse_playbook(path.stem, path.read_bytes()) for path in sorted(FOLDER.glob("*.yaml"))]
    return [one for one in found if not only or one.name in only]


@contextmanager
def cluster(nodes: int, source: Path = SOURCE, *, links: bool = True) -> Iterator[Home]:
    """Members that can be harmed in every way there is, `links`: in their links, too; nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="playbooks-") as folder:
        home = Home(Path(folder))
        home.environment |= {**SHORT_LOG, "PYTHONPATH": str(source), "TMPDIR": folder}
        try:
            home.ctl("up", "--nodes", str(nodes), "--timeout", "60s", *(() if links else ("--fault-injection",)))
            if links:
                home.ctl("chaos", "proxy", "install", "-q")
            yield home
        finally:
            home.run("down")
            home.close()


def run(home: Home, playbook: Playbook, folder: Path = FOLDER, *more: str) -> dict[str, Any]:
    """Its result, as `chaos run -o json` says it; {} and why not, where it says nothing."""
    process = home.start("chaos", "run", str(folder / f"{playbook.name}.yaml"), *ACCEPT, "-o", "json", *more)
    out, err = process.communicate(timeout=playbook.lasts_ms / 1000 + 240)
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        found = {"outcome": SAID_NOTHING, "exit_code": process.returncode, "verdicts": [], "elapsed_ms": 0, "told": err.decode()[-500:]}
    return found


def run_all(home: Home, some: list[Playbook], *more: str, details: bool = False) -> int:
    """How many were not green. `more`: of which cluster; `details`: green verdicts are told, too."""
    not_green = 0
    for playbook in some:
        home.ctl("wait", *more, "--for", "healthy", "--timeout", "60s")
        found = run(home, playbook, FOLDER, *more)
        not_green += found["outcome"] != "green"
        print(f"{found['outcome']:<16}{playbook.name:<24}{found['elapsed_ms'] / 1000:6.1f} s", flush=True)
        for verdict in found["verdicts"]:
            if verdict["outcome"] != "green" or details:
                print(f"    {verdict['outcome']}: {verdict['kind']} {verdict['name']}: {verdict['sentence']}", flush=True)
        if "told" in found and found["outcome"] == SAID_NOTHING:
            print(f"    {found['told']}", flush=True)
    return not_green


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.playbooks")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--source", type=Path, default=SOURCE, metavar="DIR")
    asked = parser.parse_args()
    began, not_green = time.monotonic(), 0
    wanted = playbooks(asked.only)
    for nodes in (3, 5):
        if some := [one for one in wanted if max(3, one.members_min) == nodes]:
            with cluster(nodes, asked.source) as home:
                not_green += run_all(home, some, details=len(wanted) == 1)
    print(f"{len(wanted)} playbooks, {not_green} not green, {time.monotonic() - began:.0f} s")
    return 1 if not_green else 0


if __name__ == "__main__":
    sys.exit(main())
