"""What the clients wrote down, judged: by `coordctl check`, and watches against what the revisions held."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coordnode.checking.history import OK
from coordnode.checking.promises import SessionLife, WatchOrder
from coordnode.checking.reading import VERSION, parse_history
from coordnode.checking.shapes import puts_asked
from coordnode.checking.store import changed_something, puts_done, revision_of
from coordnode.ranges import prefix_end
from coordnode.services.commands import DELETE_EVENT, PUT_EVENT
from tests.processes.members import SOURCE

CHECK_SECONDS_MAX = 300
LEARNT = 1_000_000  # processes from here on: what became of their operations was learnt from watches
Events = tuple[tuple[object, ...], ...]  # (kind, key, value, version, session) of one revision


def merged(papers: list[Path], history: Path, changes: Mapping[int, Events] | None = None) -> int:
    """All that the clients wrote, as one history in the order of time; of two at the same time the question comes first.

    `changes`: all that ever happened, by revision, as watches saw it. It tells what became of writes that nobody was told of, and
    when sessions ended: that is written down as if it had been told in the very end. So a check has next to nothing to guess."""
    events = [event for paper in papers for event in lines(paper) if "process" in event]
    events.sort(key=lambda event: (event["time"], event["type"] != "invoke"))
    if changes is not None:
        events = _resolved(events, changes)
    with history.open("w") as file:
        file.write(json.dumps({"history": VERSION, "model": "coordnode"}) + "\n")
        file.writelines(json.dumps(event) + "\n" for event in events)
    return len(events)


def _resolved(events: list[dict[str, Any]], changes: Mapping[int, Events]) -> list[dict[str, Any]]:
    written = {event[2]: revision for revision, seen in changes.items() for event in seen if event[0] == PUT_EVENT}
    processes = itertools.count(LEARNT)
    asked: dict[int, dict[str, Any]] = {}
    during: list[dict[str, Any]] = []
    in_the_end: list[dict[str, Any]] = []
    for event in events:
        during.append(event)
        if event["type"] == "invoke":
            asked[event["process"]] = event
        elif event["type"] == "info" and event["f"] in ("put", "transaction"):
            question = asked[event["process"]]["value"]
            revision = written.get(question[1] if event["f"] == "put" else question[1][0][2])
            if revision is None:
                event["type"] = "fail"
            else:
                during.pop()
                process = asked[event["process"]]["process"] = next(processes)
                told = revision if event["f"] == "put" else [revision, True, [1]]
                in_the_end.append({"process": process, "type": "ok", "f": event["f"], "value": told})
    before: list[dict[str, Any]] = []
    for revision, seen in changes.items():
        for session in {event[4] for event in seen if event[0] == DELETE_EVENT and event[4]}:
            process = next(processes)
            before.append({"process": process, "type": "invoke", "f": "close-session", "value": session})
            count = sum(event[4] == session for event in seen)
            in_the_end.append({"process": process, "type": "ok", "f": "close-session", "value": [revision, count]})
    return [*before, *during, *in_the_end]


def lines(paper: Path) -> Iterator[dict[str, Any]]:
    """A line that its writer did not finish was told to nobody."""
    for line in paper.read_text().split("\n")[:-1]:
        yield json.loads(line)


def check(history: Path, model: str = "coordnode") -> tuple[int, str]:
    """Exit code and words of `coordctl check`."""
    command = [sys.executable, "-m", "coordctl", "check", "--model", model, "--timeout", f"{CHECK_SECONDS_MAX}s", str(history)]
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
                acknowledged += operation.process < LEARNT
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
