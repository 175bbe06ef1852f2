"""What clients write on: one file for each process, one line at a time, by several threads."""

import json
import os
import time
from pathlib import Path
from typing import Any

from coordnode.checking.history import Value
from coordnode.checking.writing import plain


class Paper:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        assert os.write(self._descriptor, data) == len(data)


def write_event(paper: Paper, process: int, kind: str, function: str, value: Value) -> None:
    """Of a history, as `coordctl check` reads it."""
    paper.write({"process": process, "type": kind, "f": function, "value": plain(value), "time": time.monotonic_ns()})
