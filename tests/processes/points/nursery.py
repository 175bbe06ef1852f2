"""Members born in a hundredth of a second: a process that has loaded everything, with what stands between it and the system, forks.

What runs in the child is `coordnode` as it is, with its own arguments, from its first call on. On standard input and output, a line each:
`{"start": [ARGUMENT, …], "environment": {…}, "control": FILE, "root": FOLDER, "log": FILE}` → its pid;  `{"wait": PID, "block": true}` →
its exit code as subprocess has it, or null while it runs.
"""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.processes.members import PATIENCE_S, SOURCE, Process, wait_until
from tests.processes.points.control import Control

PR_SET_PDEATHSIG = 1


class Nursery:
    """Whoever opens it closes it; its children end with it."""

    def __init__(self, libraries: Sequence[Path]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COORD")}
        environment |= {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}", "LD_PRELOAD": ":".join(map(str, libraries)), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "tests.processes.points.nursery"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, **line: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


class Child:
    """As much of subprocess.Popen as tests need."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(wait=self.pid, block=False)
        return self.returncode

    def wait(self, timeout: float = PATIENCE_S) -> int:
        wait_until(lambda: self.poll() is not None, f"process {self.pid} ends", timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Born(Process):
    """A member that comes from a nursery. `control`: what is done to its calls; `environment`: for what else stands there."""

    def __init__(self, nursery: Nursery, control: Control, folder: Path, member: int, address: tuple[str, int]) -> None:
        super().__init__(folder, member, address)
        self._nursery = nursery
        self._control = control
        self.environment: dict[str, str] = {}

    def coordnode(self, *arguments: str) -> Child:
        pid = self._nursery.ask(
            start=list(arguments),
            environment=self.environment,
            control=str(self._control.path),
            root=str(self.folder),
            log=str(self.log),
        )
        return Child(self._nursery, pid)

    def start(self, *flags: str, **_: Any) -> None:
        assert self.running is None
        listen = f"{self.address[0]}:{self.address[1]}"
        self.running = self.coordnode("run", "--folder", str(self.folder), "--listen", listen, *flags)  # type: ignore[assignment]


def main() -> None:
    import coordnode.__main__
    import coordnode.node.command
    import coordnode.node.founding

    system = ctypes.CDLL(None, use_errno=True)
    gc.collect()
    gc.freeze()
    for text in sys.stdin:
        line = json.loads(text)
        if "wait" in line:
            found, status = os.waitpid(line["wait"], 0 if line["block"] else os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
        else:
            answer = os.fork()
            if answer == 0:
                _live(system, line, coordnode.__main__.main)
        print(json.dumps(answer), flush=True)


def _live(system: Any, line: dict[str, Any], run: Any) -> None:
    """Of the process that was just forked."""
    code = 70
    try:
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(line["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(line["environment"])
        if line["environment"]:
            system.power_begin()
        assert system.points_begin(line["control"].encode(), line["root"].encode()) == 0
        sys.argv = ["coordnode", *line["start"]]
        code = run()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
