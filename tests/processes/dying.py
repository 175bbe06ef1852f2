"""Runs `coordctl` and ends it with kill -9 before the so-manieth time that it touches a folder's files, starts or signals a process.

    python -m tests.processes.dying POINT FOLDER COUNT_FILE ARGUMENT …

POINT 0 never comes: COUNT_FILE then holds how many there are.
"""

import os
import signal
import sys
from typing import Any

ALWAYS = ("subprocess.Popen", "os.kill", "signal.pidfd_send_signal")
FILES = ("open", "os.rename", "os.remove", "os.mkdir")


def main() -> None:
    point, folder, count_file, *arguments = sys.argv[1:]
    met = 0

    def on_event(event: str, details: tuple[Any, ...]) -> None:
        nonlocal met
        path = str(details[0])
        if event in ALWAYS or (
            event in FILES and path.startswith(folder) and "/reaper-" not in path
        ):  # those are only looked at, in a loop
            met += 1
            if met == int(point):
                os.kill(os.getpid(), signal.SIGKILL)

    from coordctl.__main__ import main as coordctl
    from coordctl.local import processes

    real_send = processes.send

    def send(*details: Any) -> bool:
        """Which makes no event of its own."""
        on_event("signal.pidfd_send_signal", details)
        return real_send(*details)

    processes.send = send
    sys.addaudithook(on_event)
    sys.argv = ["coordctl", *arguments]
    code = coordctl()
    with open(count_file, "w") as file:
        file.write(str(met))
    os._exit(code)


if __name__ == "__main__":
    main()
