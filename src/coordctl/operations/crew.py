"""The processes that generate load together. They end when their standard input does: with whoever started them, at the latest."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from coordctl.operations.generator import END, Go, Plan, Told
from coordnode.errors import Disconnected, Unreachable

WAIT_SECONDS_MAX = 10.0


class _Process:
    def __init__(self, plan: Plan) -> None:
        # What this program was started with is all that it needs: the same interpreter finds the same modules.
        command = [sys.executable, "-m", "coordctl.operations.generator"]
        self.running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""  # the beginning of a line
        self.is_over = False
        self.cpu_seconds = self.seconds = self.way_ms = 0.0
        self.say(plan)

    def say(self, what: msgspec.Struct) -> None:
        assert self.running.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and what it said last tells why
            self.running.stdin.write(msgspec.json.encode(what) + b"\n")
            self.running.stdin.flush()

    def take_in(self, data: bytes) -> list[Told]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        told = [msgspec.json.decode(line, type=Told) for line in lines]
        for one in told:
            self.cpu_seconds += one.cpu_seconds
            self.seconds += one.seconds
            self.way_ms = one.way_ms
            self.is_over = self.is_over or one.kind in ("over", "failed")
        return told


class Crew:
    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = plans
        self._processes: list[_Process] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Crew":
        for plan in self._plans:
            process = _Process(plan)
            self._processes.append(process)
            assert process.running.stdout is not None
            self._selector.register(process.running.stdout, selectors.EVENT_READ, process)
        return self

    @property
    def busy_share(self) -> float:
        """Of one core, the busiest one's."""
        return max((one.cpu_seconds / one.seconds for one in self._processes if one.seconds), default=0.0)

    @property
    def way_ms(self) -> float:
        """To the leader and back, before the load."""
        return sum(one.way_ms for one in self._processes) / len(self._processes)

    def wait_ready(self) -> None:
        ready = 0
        while ready < len(self._processes):
            for one in self.hear(None):
                if one.kind == "failed":
                    raise Unreachable(one.sentence)
                ready += one.kind == "ready"

    def go(self, go: Go) -> None:
        for process in self._processes:
            process.say(go)

    def hear(self, seconds: float | None) -> list[Told]:
        told = []
        for key, _ in self._selector.select(seconds):
            process: _Process = key.data
            data = os.read(key.fd, 1 << 20)
            told += process.take_in(data)
            if not data:
                self._selector.unregister(key.fileobj)
                if not process.is_over:
                    code = process.running.wait()
                    raise Disconnected(f"a process that generates load ended with {code}: what it asked last is not known")
        return told

    def end(self, seconds: float) -> list[Told]:
        """Now, if they have not ended by themselves; what they had still to tell."""
        self.go(END)
        until, told = time.monotonic() + seconds, []
        while self._selector.get_map() and (left := until - time.monotonic()) > 0:
            told += self.hear(left)
        return told

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.running.stdin is not None
            with suppress(BrokenPipeError):
                process.running.stdin.close()
        for process in self._processes:
            try:
                process.running.wait(WAIT_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.running.kill()
                process.running.wait()
            assert process.running.stdout is not None
            process.running.stdout.close()
        self._selector.close()
