"""kill -9 of `coordctl chaos run` and of either reaper before each thing that they do to the world, in every playbook; then what is left.

    PYTHONPATH=src:. .venv/bin/python -m tests.processes.boundaries [--only NAME …] [--who ctl a b] [--every 1]

Each playbook runs with its timetable ten times as fast: what is done, to whom and in which order stays. Within a minute after each kill
rules, qdiscs, mounts, processes, limits, toxics, files and keys must be what they were before. `--every 10` tries each tenth point.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from coordctl.chaos import links
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.playbook import Playbook
from coordctl.chaos.values import shown_ms
from tests.processes.local import SOURCE, Home
from tests.processes.playbooks import ACCEPT, cluster, playbooks
from tests.processes.runner.jobs import is_alive, marked

FATAL = Path(__file__).with_name("fatal")
CTL, REAPERS, ANYBODY = "ctl", ("a", "b"), "any"
FASTER = 10
FOR_MS_MIN, LASTS_MS = 400, 500
DEADLINE_SECONDS = 60.0
COMMANDS = (["iptables-save"], ["ip6tables-save"], ["nft", "list", "ruleset"], ["tc", "qdisc", "show"], ["ip", "route", "show"])
KEPT = ("reaper-", ".lock", ".log", "log.jsonl", "proxies.json", "links.json")  # of the folder chaos/: who heals lives there
LISTS = (("kv", "ls"), ("counter", "ls"), ("queue", "ls"), ("journal", "ls"))


class Snapshot(NamedTuple):
    """Of all that chaos may touch."""

    rules: tuple[str, ...]
    mounts: tuple[str, ...]
    processes: tuple[str, ...]  # what each of ours was started as, and whether it stands still
    limits: tuple[tuple[int, int], ...]
    toxics: str
    files: tuple[str, ...]
    members: str  # who belongs to the cluster, and as what
    keys: tuple[bytes, ...]


def _rules(ours: Sequence[str]) -> Iterator[str]:
    """Those that name a port of ours: others use this machine, too."""
    for command in COMMANDS:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        yield from [line for line in done.stdout.splitlines() if any(name in line for name in ours)]


def snapshot(home: Home) -> Snapshot:
    folder = home.state / "local"
    ours = sorted(pid for pid in marked(str(home.folder)) + marked(str(home.members()[0]["address"])) if is_alive(pid))
    pids = [int(str(one["pid"])) for one in home.members()]
    limits = []
    for pid in pids:
        try:
            limits.append(resource.prlimit(pid, resource.RLIMIT_NOFILE))
        except ProcessLookupError:
            limits.append((0, 0))
    installation = links.read(Ledger(str(folder)))
    proxies = links.ask(installation, "GET", "/proxies") if installation is not None else {}
    files = [path for path in (folder / "chaos").glob("*") if not any(part in path.name for part in KEPT)]
    files += [*folder.glob("n*/harm.json*"), *folder.glob("n*/chaos-filling-*"), *home.folder.glob("chaos-run-*")]
    listed = json.loads(home.run("member", "ls", "-o", "json").stdout or b"{}").get("members", [])
    return Snapshot(
        rules=tuple(_rules([str(one["address"]).rpartition(":")[2] for one in home.members()])),
        mounts=tuple(line for line in Path("/proc/self/mounts").read_text().splitlines() if str(home.folder) in line),
        processes=tuple(sorted({_shown(pid) for pid in ours} - {""})),
        limits=tuple(limits),
        toxics=json.dumps({name: proxy["toxics"] for name, proxy in proxies.items()}, sort_keys=True),
        files=tuple(sorted(str(path) for path in files)),
        members=str(sorted((one["name"], "voter" if one["role"] == "leader" else one["role"]) for one in listed)),
        keys=tuple(home.run(*words).stdout for words in LISTS),
    )


def _reapers(home: Home) -> list[int]:
    there = marked("coordctl.chaos.reapers")
    return [pid for pid in marked(str(home.state)) if pid in there]


def _shown(pid: int) -> str:
    """Reapers may come and go: they are who heals, and leave when there is nothing left."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
    return "" if "coordctl.chaos.reapers" in words else f"{'still ' if state == 'T' else ''}{words}"


def faster(playbook: Playbook) -> str:
    """The same timetable, ten times as fast, with one client of each load."""
    lines = ["proves: What is left when somebody dies in the midst of it.", "version: 1", f"seed: {playbook.seed}", "load:"]
    lines += [f"  - {{do: {one.do}, clients: 1}}" for one in playbook.load]
    lines.append("rows:")
    last_ms = 0
    for row in playbook.rows:
        at_ms, for_ms = row.at_ms // FASTER, max(FOR_MS_MIN, row.for_ms // FASTER)
        last_ms = max(last_ms, at_ms + for_ms)
        by = f", by: {row.by}" if row.by else ""
        lines.append(f'  - {{at: {at_ms}ms, for: {for_ms}ms, do: {row.do}, to: "{row.to.text}"{by}}}')
    return "\n".join([*lines, f"lasts: {shown_ms(last_ms + LASTS_MS)}"]) + "\n"


class Boundaries:
    def __init__(self, home: Home) -> None:
        self._home = home
        self._count = home.folder / "count"
        self.slowest_seconds = 0.0

    def run(self, book: Path, who: str, point: int) -> None:
        home = self._home
        for path in home.folder.glob(f"{self._count.name}.*"):
            path.unlink()
        if who != CTL:  # so that the run starts them anew, armed
            for pid in _reapers(home):
                os.kill(pid, signal.SIGKILL)
        environment = {
            **home.environment,
            "PYTHONPATH": f"{FATAL}:{home.environment['PYTHONPATH']}",
            "COORD_DIES": f"{who} {point} {home.folder} {self._count}",
        }
        command = [sys.executable, "-m", "coordctl", "chaos", "run", str(book), *ACCEPT, "-q", "--keep", str(home.folder / "kept")]
        subprocess.run(command, env=environment, cwd=home.folder, capture_output=True, timeout=240, check=False)

    def points(self, book: Path) -> dict[str, int]:
        """How many there are for each."""
        self.run(book, ANYBODY, 0)
        return {path.suffix[1:]: int(path.read_text() or 0) for path in self._home.folder.glob(f"{self._count.name}.*")}

    def settle(self, before: Snapshot | None, what: str) -> Snapshot:
        """Returns once all is as before, and the cluster is well."""
        began = time.monotonic()
        while True:
            now = snapshot(self._home)
            if (before is None or now == before) and self._home.run("health").returncode == 0:
                break
            assert time.monotonic() - began < DEADLINE_SECONDS, f"{what}: {differences(before, now)}"
            time.sleep(0.1)
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        return now

    def all_of(self, playbook: Playbook, whos: list[str], every: int) -> dict[str, tuple[int, int]]:
        """Of each who: (points that there are, points at which it was killed)."""
        book = self._home.folder / f"{playbook.name}.yaml"
        book.write_text(faster(playbook))
        before = self.settle(None, f"{playbook.name}: before")
        points = self.points(book)
        self.settle(before, f"{playbook.name}: nobody was killed")
        found = {}
        for who in whos:
            killed = 0
            for point in range(1, points[who] + 1, every):
                self.run(book, who, point)
                killed += Path(f"{self._count}.died").exists()
                self.settle(before, f"{playbook.name}: {who} was killed at point {point} of {points[who]}")
            found[who] = points[who], killed
        return found


def differences(before: Snapshot | None, now: Snapshot) -> str:
    if before is None:
        return f"the cluster is not well: {now}"
    return "; ".join(
        f"{name}: {was} became {was_now}" for name, was, was_now in zip(now._fields, before, now, strict=True) if was != was_now
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.boundaries")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--who", nargs="+", default=[CTL, *REAPERS], choices=[CTL, *REAPERS])
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    there = killed = 0
    wanted = playbooks(asked.only)
    for nodes in (3, 5):
        some = [one for one in wanted if max(3, one.members_min) == nodes]
        if not some:
            continue
        with cluster(nodes, SOURCE) as home:
            boundaries = Boundaries(home)
            for playbook in some:
                found = boundaries.all_of(playbook, asked.who, asked.every)
                there += sum(points for points, _ in found.values())
                killed += sum(count for _, count in found.values())
                words = ", ".join(f"{who} {count} of {points}" for who, (points, count) in found.items())
                print(f"{playbook.name:<24}{words}; slowest {boundaries.slowest_seconds:.1f} s", flush=True)
    print(f"{len(wanted)} playbooks, {there} points, killed at {killed}, nothing was left, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
