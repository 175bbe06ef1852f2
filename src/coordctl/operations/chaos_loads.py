"""The clients of a run: processes of their own, started, found by what they hold, ended; and what they wrote down."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from coordctl.chaos.loads.words import ALONE, ENDED, KEEPER, LINEARIZABLE, LOST
from coordctl.chaos.playbook import Load
from coordctl.chaos.verdicts import Turn
from coordctl.local import processes

LOG = "load.log"
END_SECONDS_MAX = 30.0  # for a load to finish what it has begun
STARTS_SECONDS_MAX = 30.0  # until each has asked for something
LOSSES_OF_OURS = 999  # behind those that a client learns of itself


class Holder(NamedTuple):
    """The client that has the lock."""

    client: int
    token: int
    pid: int
    mark: str


class Loads:
    def __init__(self, folder: str, addresses: list[str], prefix: str, seed: int) -> None:
        self._folder = folder
        self._addresses = addresses
        self._prefix = prefix
        self._seed = seed
        self._running: list[tuple[str, list[int], subprocess.Popen[bytes]]] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        self._killed: set[int] = set()

    def start(self, loads: tuple[Load, ...]) -> None:
        self._keeper = self._begin(KEEPER, self._prefix, "", os.devnull, LINEARIZABLE)
        os.mkdir(self._folder, 0o700)
        log = os.path.join(self._folder, LOG)
        for load in loads:
            numbers = list(range(1, load.clients + 1))
            for part in [[number] for number in numbers] if load.do in ALONE else [numbers]:
                process = self._begin(load.do, f"{self._prefix}{load.do}/", ",".join(map(str, part)), log, load.reads)
                self._running.append((load.do, part, process))
        until = time.monotonic() + STARTS_SECONDS_MAX
        while any(not self._has_begun(kind, numbers) for kind, numbers, process in self._running if process.poll() is None):
            if time.monotonic() > until:
                return  # the run shows what comes of it
            time.sleep(0.05)

    def _has_begun(self, kind: str, numbers: list[int]) -> bool:
        asked = {event["process"] for event in self.events(kind)}
        return all(number in asked for number in numbers)

    def _begin(self, kind: str, prefix: str, numbers: str, log_path: str, reads: str) -> "subprocess.Popen[bytes]":
        words = [kind, ",".join(self._addresses), prefix, self._folder, numbers, str(self._seed), reads]
        with open(log_path, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "coordctl.chaos.loads", *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    # --- what they do ------------------------------------------------------------------------------------------------

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = []
        with suppress(FileNotFoundError), open(os.path.join(self._folder, f"{kind}.events.jsonl"), encoding="utf-8") as file:
            for line in file:
                with suppress(ValueError):  # the last line of a load that was killed
                    found.append(json.loads(line))
        return found

    def is_answered_since(self, kind: str, since: float) -> bool:
        """What clients note that they lost is no answer."""
        answers = [event for event in self.events(kind) if event["type"] == "ok" and event["f"] != "lost"]
        return any(event["time"] / 1e9 >= since for event in answers)

    def turns(self, began: float) -> list[Turn]:
        """With the lock; `began`: the moment that they are counted from."""
        kinds = {("acquire", "ok"): True, ("release", "invoke"): False}
        found = [event for event in self.events("lock") if (event["f"], event["type"]) in kinds]
        return [
            Turn(round((event["time"] / 1e9 - began) * 1000), int(event["process"]), kinds[event["f"], event["type"]]) for event in found
        ]

    def _held(self) -> dict[int, int]:
        """By client: the token of what it was granted and has not begun to give back."""
        held: dict[int, int] = {}
        for event in self.events("lock"):
            client = int(event["process"])
            if event["f"] == "acquire" and event["type"] == "ok":
                held[client] = int(event["value"])
            elif (event["f"] == "release" and event["type"] == "invoke") or event["f"] == "lost":
                held.pop(client % LOST if client < LOST else client // LOST, None)
        return {client: token for client, token in held.items() if client not in self._killed}

    def holder(self) -> Holder | None:
        """Who was granted the lock last and has not begun to give it back; None: nobody."""
        held = self._held()
        if not held:
            return None
        client = max(held, key=lambda one: held[one])
        for kind, numbers, process in self._running:
            if kind == "lock" and numbers == [client] and process.poll() is None:
                return Holder(client, held[client], process.pid, processes.started_mark(process.pid))
        return None

    def note_killed(self, holder: Holder) -> None:
        """What it cannot write down itself: it may have lost what it holds, ever since it asked for it, and will never say so."""
        self._killed.add(holder.client)
        number = LOST * holder.client + LOSSES_OF_OURS
        with open(os.path.join(self._folder, "lock.events.jsonl"), "a", encoding="utf-8") as file:
            for kind, value in (("invoke", holder.token), ("info", None)):
                at_ns = self._asked_ns(holder.client) if kind == "invoke" else time.monotonic_ns()
                line = {"process": number, "type": kind, "f": "lost", "value": value, "time": at_ns}
                file.write(json.dumps(line) + "\n")

    def _asked_ns(self, client: int) -> int:
        """For what it was granted last."""
        asked = [event for event in self.events("lock") if (event["process"], event["f"], event["type"]) == (client, "acquire", "invoke")]
        return int(asked[-1]["time"])

    # --- how it ends -------------------------------------------------------------------------------------------------

    def end(self) -> list[tuple[str, str]]:
        """(which load ended before its time, what it said)"""
        troubles = []
        for _, _, process in self._running:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write(ENDED)
                process.stdin.close()
        for kind, numbers, process in self._running:
            if not _has_ended(process):
                process.kill()
                process.wait()
            elif process.returncode and not set(numbers) <= self._killed:
                words = Path(self._folder, LOG).read_text(errors="replace").strip().splitlines()
                troubles.append((kind, words[-1] if words else f"code {process.returncode}"))
        return troubles

    def dismiss(self) -> None:
        """What is left of the folder now is to stay; what was put into the cluster goes."""
        if self._keeper is not None:
            with suppress(BrokenPipeError, subprocess.TimeoutExpired):
                self._keeper.communicate(ENDED, timeout=END_SECONDS_MAX)
            self._keeper.kill()
            self._keeper.wait()


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return False
    return True
