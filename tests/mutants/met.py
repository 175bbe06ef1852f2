"""Planted bugs that real members meet: each planted in a copy of the code, of which a cluster is started and put through a playbook.

    python -m tests.mutants.met                                all that planted.toml gives a playbook
    python -m tests.mutants.met --only dedupe-skipped          one of them
    python -m tests.mutants.met --only NAME --by PLAYBOOK      any, by any playbook
    python -m tests.mutants.met --write                        and the table of docs/chaos.md made anew

A bug is caught when a history is found impossible, or a member tells of a bug or of a state that is not the majority's. That a probe was
slow, or a cluster not well in time, catches nothing.
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from coordctl.chaos.faults import FAULTS, NETWORK
from coordctl.chaos.playbook import Playbook
from tests.mutants.plant import ROOT, SOURCE, Planted, load, plant
from tests.processes.playbooks import FOLDER, cluster, playbooks, run

PAGE = ROOT / "docs" / "chaos.md"
BEGIN, END = "| planted bug | by | within | because |\n|---|---|---|---|\n", "\n\n"
SHOWING = ("check", "log")  # the kinds of verdicts that catch
SENTENCE_LETTERS_MAX = 150


@dataclass(frozen=True, slots=True)
class Met:
    bug: str
    playbook: str
    outcome: str  # of the run
    sentence: str  # of what caught it; "": nothing did
    seconds: float  # from the first member's start to the verdict

    @property
    def row(self) -> str:
        return f"| `{self.bug}` | `{self.playbook}` | {self.seconds:.0f} s | {self.sentence.replace('|', '/')} |"


def meet(bug: Planted, playbook: Playbook, folder: Path = FOLDER) -> Met:
    with tempfile.TemporaryDirectory(prefix="met-") as copy:
        source = Path(copy) / "src"
        shutil.copytree(SOURCE, source)
        plant(bug, source)
        changed = source / "coordnode" / bug.file
        for compiled in changed.parent.glob(f"__pycache__/{changed.stem}.*"):
            compiled.unlink()
        began = time.monotonic()
        with cluster(max(3, playbook.members_min), source, links=any(FAULTS[row.do].kind == NETWORK for row in playbook.rows)) as home:
            found = run(home, playbook, folder)
            seconds = time.monotonic() - began
    caught = [one for one in found["verdicts"] if one["kind"] in SHOWING and one["outcome"] == "promise broken"]
    sentence = f"{caught[0]['kind']} {caught[0]['name']}: {caught[0]['sentence']}" if caught else ""
    others = [f"{one['kind']} {one['name']}: {one['sentence']}" for one in found["verdicts"] if one["outcome"] != "green"]
    outcome = (
        f"{found['outcome']}: {(others or [found.get('told', '')])[0]}" if not caught and found["outcome"] != "green" else found["outcome"]
    )
    return Met(bug.name, playbook.name, outcome, shortened(sentence), seconds)


def shortened(sentence: str) -> str:
    return sentence if len(sentence) <= SENTENCE_LETTERS_MAX else sentence[:SENTENCE_LETTERS_MAX].rstrip() + "…"


def write(met: list[Met]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    assert begin, f"{PAGE} has no table to write anew"
    _, end, after = rest.partition(END)
    PAGE.write_text(before + begin + "\n".join(one.row for one in met) + end + after, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.met")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--by", default="", metavar="PLAYBOOK")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    books = {one.name: one for one in playbooks([])}
    bugs = [bug for bug in load() if (bug.name in asked.only if asked.only else bug.playbook)]
    caught = []
    for bug in bugs:
        met = meet(bug, books[asked.by or bug.playbook])
        caught += [met] if met.sentence else []
        word, why = ("caught", met.sentence) if met.sentence else ("MISSED", met.outcome)
        print(f"{word}  {bug.name:<44}{met.playbook:<24}{met.seconds:4.0f} s  {why}", flush=True)
    print(f"{len(bugs)} planted bugs, {len(caught)} caught")
    if asked.write:
        write(caught)
    return 0 if len(caught) == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
