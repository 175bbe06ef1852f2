"""What the clients wrote down, judged: by `coordctl check`, and watches against what the revisions held."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordnode.checking.history import OK
from coordnode.checking.promises import SessionLife, WatchOrder
from coordnode.checking.reading import VERSION, parse_history
from coordnode.checking.shapes import puts_asked
from coordnode.checking.store import changed_something, puts_done, revision_of
from coordnode.client.requests import prefix_end
from coordnode.services.commands import DELETE_EVENT, PUT_EVENT
from tests.processes.members import SOURCE

CHECK_SECONDS_MAX = 900
Events = tuple[tuple[object, ...], ...]  # (kind, key, value, version, session) of one revision


def merged(papers: list[Path], history: Path) -> int:
    """All that the clients wrote, as one history in the order of time; of two at the same time the question comes first."""
    events = [event for paper in papers for event in lines(paper) if "process" in event]
    events.sort(key=lambda event: (event["time"], event["type"] != "invoke"))
    with history.open("w") as file:
        file.write(json.dumps({"history": VERSION, "model": "coordnode"}) + "\n")
        file.writelines(json.dumps(event) + "\n" for event in events)
    return len(events)


def lines(paper: Path) -> Iterator[dict[str, Any]]:
    """A line that its writer did not finish was told to nobody."""
    for line in paper.read_text().split("\n")[:-1]:
        yield json.loads(line)


def check(history: Path) -> tuple[int, str]:
    """Exit code and words of `coordctl check`."""
    command = [sys.executable, "-m", "coordctl", "check", "--model", "coordnode", "--timeout", f"{CHECK_SECONDS_MAX}s", str(history)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(SOURCE)}, check=False)
    return done.returncode, done.stdout + done.stderr


class Watched:
    """What the watches were sent, and whether that is all there was."""

    def __init__(self, paper: Path) -> None:
        self.changes: dict[int, Events] = {}  # revision -> all that happened at it
        self.gaps = 0
        self._lines = list(lines(paper))
        self._order = WatchOrder()
        self._prefixes = {line["watch"]: line["prefix"] for line in self._lines if "opened" in line}
        for line in self._lines:
            if "revision" in line and not self._prefixes[line["watch"]]:
                self._order.committed(line["revision"], _events(line))
                self.changes[line["revision"]] = _events(line)

    def check(self, last_revision: int) -> None:
        """Raises PromiseBroken, or AssertionError for what was never sent to any watch of everything."""
        missing = [revision for revision in range(1, last_revision + 1) if revision not in self.changes]
        assert not missing, f"no watch was sent revisions {missing[:10]}"
        for line in self._lines:
            watch = line["watch"]
            if "opened" in line:
                start = self._prefixes[watch].encode("latin-1")
                self._order.opened(watch, start.decode("latin-1"), prefix_end(start).decode("latin-1"), line["opened"])  # type: ignore[arg-type]
            elif "gap" in line:
                self.gaps += 1
                self._order.gap(watch, line["gap"])
            else:
                self._order.pushed(watch, [(line["revision"], _events(line))], line["revision"])

    def check_against(self, history: Path) -> int:
        """Every write that was acknowledged is what the watches saw at its revision; no value was written twice, and none by
        nobody. Returns how many writes were acknowledged."""
        operations = parse_history(history.read_bytes()).operations
        acknowledged = 0
        for operation in operations:
            if operation.kind == OK and changed_something(operation):
                acknowledged += 1
                seen = self.changes.get(revision_of(operation), ())
                told = [(event[1], event[2]) for event in seen]
                for put in puts_done(operation):
                    assert put in told, f"{operation} was acknowledged; its revision holds {seen}"
        asked = {put for operation in operations for put in puts_asked(operation)}
        written: dict[object, int] = {}
        for revision, events in self.changes.items():
            for kind, key, value, _, _ in events:
                if kind == PUT_EVENT:
                    assert (key, value) in asked, f"nobody asked for {key}={value}, which revision {revision} holds"
                    assert written.setdefault(value, revision) == revision, f"{value} was written at {written[value]} and {revision}"
        return acknowledged

    def check_sessions(self, told: list[dict[str, Any]]) -> int:
        """No key bound to a session goes before its holder stopped believing in it. Watches learn of it a little later than it
        happens, so nobody is accused wrongly. Returns how many sessions ended by themselves."""
        life = SessionLife()
        facts = [line for line in told if "session" in line] + [line for line in self._lines if "revision" in line]
        closing: set[int] = set()
        ended: set[int] = set()
        for line in sorted(facts, key=lambda line: line["at"]):
            if "closing" in line:
                closing.add(line["session"])
            elif "believed_until" in line:
                life.held(line["session"], line["believed_until"], line["at"])
            else:
                for kind, _, _, _, session in line["events"]:
                    if kind == DELETE_EVENT and session:
                        life.ended(session, line["at"], by_client=session in closing)
                        ended.add(session)
        return len(ended - closing)


def _events(line: dict[str, Any]) -> Events:
    return tuple([tuple(event) for event in line["events"]])
