"""kill -9 of `coordctl chaos run` and of either reaper before each thing that they do to the world, in every playbook; then what is left.

    PYTHONPATH=src:. .venv/bin/python -m tests.processes.boundaries [--only NAME …] [--who ctl a b] [--each] [--record FILE]
    PYTHONPATH=src:. .venv/bin/python -m tests.processes.boundaries --table [--record FILE]

Each playbook runs on a shortened timetable: what is done, to whom, in which order and beside what stays, with one load, and that of locks
where a row needs it. Within a minute after each kill rules, qdiscs, mounts, processes, limits, toxics, members, files and keys must be what
they were before. A boundary is who dies, before doing what, during which fault. One that another playbook has, too, is struck in the first
of them; where the same is done several times on end, before the first and before the last of these. `--each` strikes all of them in all
playbooks. FILE gets a line for each playbook of which nothing was left, and those that are in it are done: so it may take several runs,
also at once.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coordctl.chaos import links
from coordctl.chaos.faults import ADD, HOLDERS, REPLACE
from coordctl.chaos.ledger import Ledger
from coordctl.chaos.playbook import Playbook
from coordctl.chaos.values import shown_ms
from coordctl.facts.members import ClusterFacts
from coordctl.local import clusters
from coordctl.operations import statuses
from coordnode.client.sync import connect
from coordnode.errors import CoordError
from coordnode.harm.orders import ROT
from tests.processes.builds import build
from tests.processes.local import SOURCE, Home
from tests.processes.playbooks import ACCEPT, cluster, playbooks
from tests.processes.runner.jobs import is_alive, marked

RECORD = Path(__file__).with_name("boundaries.jsonl")
FATAL = Path(__file__).with_name("fatal")
CTL, REAPERS, ANYBODY = "ctl", ("a", "b"), "any"
FASTER = 10
FOR_MS_MIN = 3_000  # so that what is done is seen to have taken, also on a machine with other work
LONG, LONG_MS_MIN = (ROT, ADD, REPLACE), 20_000  # a member is started meanwhile
GAP_MS_MIN, HEALED_MS, LASTS_MS = 100, 2_000, 500
CARRIED_OUT_TRIES = 3
DEADLINE_SECONDS = 60.0
COMMANDS = (["iptables-save"], ["ip6tables-save"], ["nft", "list", "ruleset"], ["tc", "qdisc", "show"], ["ip", "route", "show"])
KEPT = ("reaper-", ".lock", ".log", "log.jsonl", "proxies.json", "links.json")  # of the folder chaos/: who heals lives there
ASK_SECONDS = 2.0


class Snapshot(NamedTuple):
    """Of all that chaos may touch."""

    rules: tuple[str, ...]
    mounts: tuple[str, ...]
    processes: tuple[str, ...]  # what each of ours was started as, and whether it stands still
    limits: tuple[tuple[int, int], ...]
    toxics: str
    files: tuple[str, ...]
    members: str  # who belongs to the cluster, and as what, and who tells of damage
    keys: tuple[bytes, ...]  # and counters, queues and journals


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
    files += [*folder.glob("n*/harm.json*"), *folder.glob("n*/chaos-filling-*"), *folder.glob("n*-*"), *home.folder.glob("chaos-run-*")]
    return Snapshot(
        rules=tuple(_rules([str(one["address"]).rpartition(":")[2] for one in home.members()])),
        mounts=tuple(line for line in Path("/proc/self/mounts").read_text().splitlines() if str(home.folder) in line),
        processes=tuple(sorted({_shown(pid) for pid in ours} - {""})),
        limits=tuple(limits),
        toxics=json.dumps({name: proxy["toxics"] for name, proxy in proxies.items()}, sort_keys=True),
        files=tuple(sorted(str(path) for path in files)),
        members=_belonging(_facts(home)),
        keys=_names(home),
    )


def _facts(home: Home) -> ClusterFacts:
    cluster = clusters.read(str(home.state / "local"))
    assert cluster is not None
    return ClusterFacts(statuses.of_members(cluster, ASK_SECONDS))


def _belonging(facts: ClusterFacts) -> str:
    damaged = [one.shown_name for one in facts.answered if one.status is not None and one.status["storage"]["rot"]]
    config = f"voters {sorted(facts.voters())}, learners {sorted(facts.learners())}, leaving {facts.outgoing()}"
    return f"{len(facts.members)} run: {config}, damaged {damaged}"


def _names(home: Home) -> tuple[bytes, ...]:
    """Of all that clients can leave behind."""
    try:
        with connect([str(one["address"]) for one in home.members()], identity="boundaries", timeout=ASK_SECONDS) as cluster:
            found = [item.key for item in cluster.kv.range(keys_only=True)]
            for kind in (cluster.counters, cluster.queues, cluster.journals):
                found += [one.name for one in kind.list()]
    except CoordError as error:
        return (error.sentence.encode(),)
    return tuple(found)


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
    """The same on a shorter timetable, with one client."""
    needs_lock = any(row.do in HOLDERS for row in playbook.rows)
    loads = dict.fromkeys([playbook.load[0].do, *(["lock"] if needs_lock else [])])
    lines = ["proves: What is left when somebody dies in the midst of it.", "version: 1", f"seed: {playbook.seed}", "load:"]
    lines += [f"  - {{do: {load}, clients: {2 if load == 'lock' else 1}}}" for load in loads]
    lines.append("rows:")
    begins, ends = shortened(playbook)
    for row in playbook.rows:
        at_ms, for_ms = begins[row.number], ends[row.number] - begins[row.number]
        by = f", by: {row.by}" if row.by else ""
        lines.append(f'  - {{at: {at_ms}ms, for: {for_ms}ms, do: {row.do}, to: "{row.to.text}"{by}}}')
    return "\n".join([*lines, f"lasts: {shown_ms(max(ends.values()) + LASTS_MS)}"]) + "\n"


def shortened(playbook: Playbook) -> tuple[dict[int, int], dict[int, int]]:
    """When each row begins, and ends: in the order in which they did, so that those beside each other still are."""
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    now_ms = before_ms = 0
    is_end = False
    for at_ms in sorted({at for row in playbook.rows for at in (row.at_ms, row.end_ms)}):
        now_ms += max(HEALED_MS if is_end else GAP_MS_MIN, (at_ms - before_ms) // FASTER)
        now_ms = max([now_ms, *[begins[row.number] + least_ms(row.do) for row in playbook.rows if row.end_ms == at_ms]])
        begins |= {row.number: now_ms for row in playbook.rows if row.at_ms == at_ms}
        ending = {row.number: now_ms for row in playbook.rows if row.end_ms == at_ms}
        ends, is_end = ends | ending, bool(ending)
        before_ms = at_ms
    return begins, ends


def least_ms(fault: str) -> int:
    return LONG_MS_MIN if fault in LONG else FOR_MS_MIN


class Boundary(NamedTuple):
    """Who dies, before the so-manieth of what: as it is called where names differ from run to run. During: a fault, or "" beside it."""

    who: str
    label: str
    ordinal: int
    during: str

    def armed(self, folder: Path, count: Path) -> str:
        told = {"who": self.who, "label": self.label, "ordinal": self.ordinal, "folder": str(folder), "count": str(count)}
        return json.dumps(told)


NOBODY = Boundary(ANYBODY, "", 0, "")
OF_A_FAULT = re.compile(r"\b([0-9a-f]{8})(?:\.fault|-upstream|-downstream)")
OF_THE_RUN = ("RUN", "/kept", "/PROBE", "/seen/", "coordctl.chaos.loads")


def boundaries_of(who: str, lines: Sequence[str], faults: Sequence[str]) -> list[Boundary]:
    """`lines`: label and what it was, as they came. `faults`: of each entry in the ledger, in the order in which they were begun.

    What a run does belongs to the fault that it began last; what a reaper does, to the one that it heals next."""
    labels = [line.partition("\t")[0] for line in lines]
    ids: list[str] = []
    of_line: list[str] = []
    for line in lines:
        found = OF_A_FAULT.search(line)
        if found and found[1] not in ids:
            ids.append(found[1])
        of_line.append(found[1] if found else "")
    nearest = ""
    order = range(len(lines)) if who == CTL else range(len(lines) - 1, -1, -1)
    for number in order:
        of_line[number] = nearest = of_line[number] or nearest
    by_id = dict(zip(ids, faults, strict=False))
    made = []
    for number, label in enumerate(labels):
        during = "" if any(part in label for part in OF_THE_RUN) else by_id.get(of_line[number], "")
        made.append(Boundary(who, label, labels[: number + 1].count(label), during))
    return made


def worth_striking(boundaries: Sequence[Boundary], struck: set[Boundary]) -> list[Boundary]:
    """The first and the last of each kind that was not struck yet; `struck` knows it from then on."""
    chosen = []
    for kind in dict.fromkeys(one._replace(ordinal=0) for one in boundaries):
        if kind not in struck:
            same = [one for one in boundaries if one._replace(ordinal=0) == kind]
            chosen += list(dict.fromkeys([same[0], same[-1]]))
            struck.add(kind)
    return chosen


class NotCarriedOut(Exception):
    """On this machine, with whatever else it does."""


class Found(NamedTuple):
    """Of one playbook: for each who, how many boundaries there are, how many were struck here, and at how many of these it died."""

    there: dict[str, int]
    struck: dict[str, int]
    died: dict[str, int]
    kinds: list[list[str]]  # at which it died: who, before what, during which fault

    def __str__(self) -> str:
        return ", ".join(f"{who} {self.died[who]} of {self.there[who]}" for who in self.there)


class Boundaries:
    def __init__(self, home: Home, *, waits: bool = True) -> None:
        """`waits`: for the deadlines of what a run that was killed had broken; else these are brought forward."""
        self._home = home
        self._waits = waits
        self._count = home.folder / "count"
        self.slowest_seconds = 0.0

    def run(self, book: Path, at: Boundary) -> dict[str, Any]:
        """What came of it; empty: it was killed."""
        home = self._home
        for path in home.folder.glob(f"{self._count.name}.*"):
            path.unlink()
        if at.who != CTL:  # so that the run starts them anew, armed
            for pid in _reapers(home):
                os.kill(pid, signal.SIGKILL)
        environment = {
            **home.environment,
            "PYTHONPATH": f"{FATAL}:{home.environment['PYTHONPATH']}",
            "COORD_DIES": at.armed(home.folder, self._count),
        }
        kept = home.folder / "kept"
        command = [sys.executable, "-m", "coordctl", "chaos", "run", str(book), *ACCEPT, "-q", "-o", "json", "--keep", str(kept)]
        done = subprocess.run(command, env=environment, cwd=home.folder, capture_output=True, timeout=240, check=False)
        found: dict[str, Any] = json.loads(done.stdout or b"{}")
        return found

    def boundaries(self, book: Path, before: Snapshot, rows: int) -> list[Boundary]:
        """Of a run in which everything was done, and nobody died."""
        for _ in range(CARRIED_OUT_TRIES):
            found = self.run(book, NOBODY)
            self.settle(before, f"{book.stem}: nobody was killed")
            if len(found.get("rows", ())) == rows:
                break
        else:
            why = [one["sentence"] for one in found.get("verdicts", ()) if one["kind"] in ("start", "fault")]
            raise NotCarriedOut(f"not carried out, so not struck: {'; '.join(why) or found}")
        faults = [row["do"] for row in found["rows"] for _ in ([""] if "->" in row["hit"] else row["hit"].split(", "))]
        counts = {path.suffix[1:]: path.read_text().splitlines() for path in self._home.folder.glob(f"{self._count.name}.*")}
        return [one for who in sorted(counts) for one in boundaries_of(who, counts[who], faults)]

    def settle(self, before: Snapshot | None, what: str) -> Snapshot:
        """Returns once all is as before, and the cluster is well."""
        began = time.monotonic()
        while True:
            now = snapshot(self._home)
            if (before is None or now == before) and self._is_well():
                break
            assert time.monotonic() - began < DEADLINE_SECONDS, f"{what}: {differences(before, now)}"
            time.sleep(0.1)
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        return now

    def _is_well(self) -> bool:
        facts = _facts(self._home)
        return facts.leader_status is not None and all(facts.state(one) == "ok" for one in facts.members)

    def all_of(self, playbook: Playbook, whos: Sequence[str], struck: set[Boundary] | None, most: int = 1_000_000) -> Found:
        """`struck`: what needs to be struck no more; None: everything is. `most`: of each who."""
        book = self._home.folder / f"{playbook.name}.yaml"
        book.write_text(faster(playbook))
        before = self.settle(None, f"{playbook.name}: before")
        boundaries = self.boundaries(book, before, len(playbook.rows))
        found = Found({}, {}, {}, [])
        for who in whos:
            there = [one for one in boundaries if one.who == who]
            chosen = there if struck is None else worth_striking(there, struck)
            chosen = chosen[:: max(1, -(-len(chosen) // most))]
            found.there[who], found.struck[who], found.died[who] = len(there), len(chosen), 0
            for one in chosen:
                self.run(book, one)
                if who == CTL and not self._waits:
                    time_is_over(self._home)
                if Path(f"{self._count}.died").exists():  # of two reapers the other one may have been faster
                    found.died[who] += 1
                    found.kinds.extend([kind] if (kind := [who, one.label, one.during]) not in found.kinds else [])
                during = f" during {one.during}" if one.during else ""
                self.settle(before, f"{playbook.name}: {who} was killed{during} before “{one.label}”, time {one.ordinal}")
        return found


def time_is_over(home: Home) -> None:
    """Of all that is broken: as at its deadline, for which nobody has to wait, and before which nothing has to be seen."""
    ledger = Ledger(str(home.state / "local"))
    with ledger.locked():
        for entry in ledger.entries():
            ledger.end_now(entry)


def differences(before: Snapshot | None, now: Snapshot) -> str:
    if before is None:
        return f"the cluster is not well: {now}"
    return "; ".join(
        f"{name}: {was} became {was_now}" for name, was, was_now in zip(now._fields, before, now, strict=True) if was != was_now
    )


def recorded(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def struck_by(lines: Sequence[dict[str, Any]]) -> set[Boundary]:
    return {Boundary(who, label, 0, during) for line in lines for who, label, during in line["kinds"]}


def table(lines: Sequence[dict[str, Any]]) -> str:
    """For the page: of each playbook what it has, and where it was killed."""
    shown = ["| playbook | boundaries of the run | of the reapers | killed at | slowest to be whole |", "|---|---|---|---|---|"]
    for line in sorted(lines, key=lambda one: str(one["playbook"])):
        reapers = sum(line["there"].get(name, 0) for name in REAPERS)
        died = sum(line["died"].values())
        shown.append(f"| `{line['playbook']}` | {line['there'][CTL]} | {reapers} | {died} | {line['slowest_seconds']:.1f} s |")
    there = sum(sum(line["there"].values()) for line in lines)
    died = sum(sum(line["died"].values()) for line in lines)
    return "\n".join([*shown, "", f"{len(lines)} playbooks, {there} boundaries, killed at {died}; nothing was left."])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.boundaries")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--who", nargs="+", default=[CTL, *REAPERS], choices=[CTL, *REAPERS])
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print(table(recorded(asked.record)))
        return 0
    bad = 0
    wanted = sorted(playbooks(asked.only), key=lambda one: asked.only.index(one.name) if asked.only else 0)
    for nodes in (3, 5):
        some = [one for one in wanted if max(3, one.members_min) == nodes]
        while some:
            with cluster(nodes, SOURCE) as home:
                bad += _strike_all(home, some, asked)
    print(table(recorded(asked.record)))
    return 1 if bad else 0


def _strike_all(home: Home, some: list[Playbook], asked: argparse.Namespace) -> int:
    """Takes those that are done out of `some`. Whether something was left: then the others want another cluster."""
    while some:
        boundaries = Boundaries(home)
        playbook = some.pop(0)
        lines = recorded(asked.record)
        if playbook.name in [line["playbook"] for line in lines]:
            continue
        try:
            found = boundaries.all_of(playbook, asked.who, None if asked.each else struck_by(lines))
        except NotCarriedOut as error:
            print(f"{playbook.name:<24}{error}", flush=True)
            continue
        except AssertionError as error:
            print(f"{playbook.name:<24}LEFT: {error}", flush=True)
            return 1
        told = {"there": found.there, "died": found.died, "slowest_seconds": round(boundaries.slowest_seconds, 1)}
        with asked.record.open("a") as file:
            file.write(json.dumps({"playbook": playbook.name, "build": build(), **told, "kinds": found.kinds}) + "\n")
        print(f"{playbook.name:<24}{found}; slowest {boundaries.slowest_seconds:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
