"""A runner without a cluster: what it holds is granted at once, or after a while, and then renewed for as long as it lives.

python -m tests.processes.runner.alone TTL_MS GRANTED_AFTER_MS ON_LOST LEFTOVER COMMAND …
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from coordctl.runner import ending
from coordctl.runner.rules import Settings
from coordctl.runner.source import Closed, Granted, Renewed, Told
from coordnode.client.clock import now_ms

ROOT = Path(__file__).resolve().parents[3]


class Granting:
    """A Source."""

    def __init__(self, ttl_ms: int, granted_at_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._next_ms: int | None = granted_at_ms
        self._is_granted = self._is_closed = False

    def descriptor(self) -> tuple[int, int]:
        return -1, 0

    def on_ready(self, now_ms: int) -> None: ...

    def poll(self, now_ms: int) -> list[Told]:
        if self._is_closed:
            self._is_closed, self._next_ms = False, None
            return [Closed()]
        if self._next_ms is None or now_ms < self._next_ms:
            return []
        self._next_ms = now_ms + self._ttl_ms // 3
        if self._is_granted:
            return [Renewed(now_ms + self._ttl_ms)]
        self._is_granted = True
        return [Granted(1, now_ms + self._ttl_ms, {"COORD_TOKEN": "1"})]

    def wake_at_ms(self) -> int | None:
        return self._next_ms

    def close(self, now_ms: int, *, succeeded: bool) -> None:
        self._is_closed = True

    def hang_up(self) -> None: ...


@contextmanager
def alone(
    *command: str, ttl_ms: int = 1_500, granted_after_ms: int = 0, on_lost: str = "term", leftover: str = "wait", **options: Any
) -> "Iterator[subprocess.Popen[bytes]]":
    """In a session of its own, so without a terminal. Its command is granted what it needs and ended with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COORD", "PYTHON"))}
    environment = {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **options.pop("environment", {})}
    words = [sys.executable, "-m", __name__, str(ttl_ms), str(granted_after_ms), on_lost, leftover, *command]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(words, env=environment, start_new_session=True, **streams)
    try:
        yield process
    finally:
        with suppress(OSError):
            process.kill()  # its guard ends the rest
        process.communicate(timeout=60)


def main() -> int:
    from coordctl.report import plain
    from coordctl.runner.run import run
    from coordnode import streams

    streams.prepare()
    ttl_ms, granted_after_ms, on_lost, leftover, *command = sys.argv[1:]
    settings = Settings("demo", command[0], ending.policy(int(ttl_ms), on_lost, leftover))
    return run(Granting(int(ttl_ms), now_ms() + int(granted_after_ms)), command, settings, plain.note).exit_code


if __name__ == "__main__":
    sys.exit(main())
