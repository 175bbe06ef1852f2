"""The standard playbooks on coordnode, etcd and ZooKeeper, each of three members on this machine, and one table of what came of it.

    python benchmarks/engines.py [--engines coordnode,etcd,zookeeper] [--playbooks kill-leader,…] [--json FILE]

Where an engine has no mechanism for a fault the playbook is skipped there, with the reason. Kept in docs/engines.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"
PLAYBOOKS = SOURCE / "coordctl" / "playbooks"
ENGINES = ("coordnode", "etcd", "zookeeper")
SECONDS_MAX = 170


class Place:
    """One engine's cluster, in a state folder of its own."""

    def __init__(self, folder: Path, engine: str) -> None:
        self._engine = engine
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COORD", "XDG_"))}
        self._environment = {**kept, "XDG_STATE_HOME": str(folder), "HOME": str(folder), "PYTHONPATH": str(SOURCE)}

    def ctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "coordctl", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)

    def up(self) -> None:
        done = self.ctl("up", "--engine", self._engine, "--timeout", "60s")
        if done.returncode:
            raise SystemExit(done.stderr)

    def run(self, playbook: str) -> dict[str, Any]:
        done = self.ctl("chaos", "run", playbook, "--accept", "beyond-quorum", "--reason", "comparison", "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def down(self) -> None:
        self.ctl("down", "--purge", "--yes")


def failover_ms(found: dict[str, Any]) -> int | None:
    """From the first fault to the first leader of a later term that was seen; looked at ten times a second."""
    if not found["rows"]:
        return None
    began = found["rows"][0]["began_ms"]
    before = max((one["term"] for one in found["leaders"] if one["at_ms"] <= began), default=0)
    later = [one["at_ms"] for one in found["leaders"] if one["at_ms"] > began and one["leader"] and one["term"] > before]
    return later[0] - began if later else None


def cell(found: dict[str, Any]) -> str:
    """One engine's outcome of one playbook, in the words of a table."""
    skipped = [one["sentence"] for one in found["verdicts"] if one["kind"] == "start"]
    if skipped and not found["rows"]:
        return "skipped"
    words = [found["outcome"]]
    for one in found["verdicts"]:
        if one["kind"] == "check":
            words.append(f"{one['name']}: {one['sentence'].partition(' operations')[0]} operations, {one['outcome']}")
        elif one["kind"] == "probe":
            words.append(f"writes {one['sentence'].partition(':')[0]}")
        elif one["exit_code"]:
            words.append(f"{one['kind']}: {one['sentence']}")
    took = failover_ms(found)
    words += [f"new leader after {took / 1000:.1f} s"] if took is not None else []
    return "; ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--playbooks", default=",".join(sorted(path.stem for path in PLAYBOOKS.glob("*.yaml"))))
    parser.add_argument("--json", type=Path, help="all that was found, for later")
    given = parser.parse_args()
    engines, playbooks = given.engines.split(","), given.playbooks.split(",")
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="engines-") as base:
        for engine in engines:
            place = Place(Path(base), engine)
            place.up()
            try:
                for playbook in playbooks:
                    found.setdefault(playbook, {})[engine] = place.run(playbook)
                    print(f"{engine} {playbook}: {cell(found[playbook][engine])}", file=sys.stderr, flush=True)
            finally:
                place.down()
    if given.json:
        given.json.write_text(json.dumps(found))
    print(f"| playbook | {' | '.join(engines)} |\n|---|{'---|' * len(engines)}")
    for playbook, outcomes in found.items():
        print(f"| {playbook} | {' | '.join(cell(outcomes[engine]) for engine in engines)} |")


if __name__ == "__main__":
    main()
