"""The load of `load.py` as a process of its own, and the judgement over what it wrote down."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes.violence import judgement
from tests.upgrade.load import LOCKS

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 120


class Users:
    def __init__(self, endpoints: str, tls: str, folder: Path, rate: float, seed: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.told: dict[str, Any] = {}
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "COORD_TLS": tls}
        command = [sys.executable, "-m", "tests.upgrade.load", endpoints, str(folder), "--rate", str(rate), "--seed", str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)

    def end(self) -> dict[str, Any]:
        said, _ = self._process.communicate(timeout=END_SECONDS)
        assert self._process.returncode == 0, said
        self.told = json.loads(said)
        return self.told

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def judged(self) -> list[str]:
        """What `coordctl check` says of each history; raises for one that cannot have been."""
        histories = [("kv", self.folder / "kv.jsonl"), *[("lock", self.folder / f"lock-{which}.jsonl") for which in range(LOCKS)]]
        found = []
        for model, paper in histories:
            history = self.folder / f"{paper.stem}.history"
            events = sorted(judgement.lines(paper), key=lambda event: (event["time"], event["type"] != "invoke"))
            assert events, f"nothing was asked in {paper.name}"
            head = [{"history": judgement.VERSION, "model": model}]
            history.write_text("".join(json.dumps(line) + "\n" for line in [*head, *events]))
            code, words = judgement.check(history, model)
            assert code == 0, words
            found.append(words.splitlines()[0])
        return found


@contextmanager
def users(endpoints: str, tls: str, folder: Path, rate: float, seed: int = 1) -> Iterator[Users]:
    made = Users(endpoints, tls, folder, rate, seed)
    try:
        yield made
    finally:
        made.kill()
