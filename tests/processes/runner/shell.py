"""A real shell with job control on a real pty, to be typed at."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress

from tests.processes.local import Home
from tests.processes.runner.jobs import PATIENCE_SECONDS

PROMPT = "ready> "


class Shell:
    """bash at a pty. What is typed is not echoed, so everything that is read was printed by somebody."""

    def __init__(self, home: Home, **environment: str) -> None:
        self.terminal, inside = pty.openpty()
        modes = termios.tcgetattr(inside)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(inside, termios.TCSANOW, modes)
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        ours = {"PS1": PROMPT, "TERM": "dumb", "PYTHON": sys.executable, "HISTFILE": ""}
        command = ["setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-i"]
        self.process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env={**home.environment, **ours, **environment}, cwd=home.folder
        )
        os.close(inside)
        self._read = ""
        self.expect(re.escape(PROMPT))

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode() + b"\n")

    def press(self, key: str) -> None:
        os.write(self.terminal, bytes((ord(key) - 64,)))

    def expect(self, pattern: str) -> "re.Match[str]":
        """Reads until this was printed, and forgets all up to there."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = re.search(pattern, self._read)
            if found is not None:
                self._read = self._read[found.end() :]
                return found
            assert time.monotonic() < ends, (pattern, self._read)
            if select.select([self.terminal], [], [], 0.5)[0]:
                self._read += os.read(self.terminal, 65_536).decode(errors="replace").replace("\r", "")

    def prompt(self) -> str:
        """All that was printed until the shell was ready again."""
        return self.expect(f"(?s)(.*?){re.escape(PROMPT)}")[1]

    def foreground(self) -> int:
        return os.tcgetpgrp(self.terminal)

    def close(self) -> None:
        if self.process.poll() is None:
            with suppress(OSError):
                os.killpg(self.foreground(), signal.SIGKILL)
        self.process.kill()
        self.process.wait(30)
        os.close(self.terminal)
