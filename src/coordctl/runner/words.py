"""What runner and guard tell each other: lines of JSON over a socket pair."""

import json
import socket
from typing import Any

# From the runner.
DEADLINE = "deadline"  # ms on CLOCK_BOOTTIME: the job must be gone by then
GO = "go"  # environment, terminal
SIGNAL = "signal"  # number
END = "end"  # reason

# From the guard.
READY = "ready"  # pid of the command to be, folder of its control group: what the runner needs if it has to take over
STARTED = "started"  # pid
FAILED = "failed"  # errno of exec
STOPPED = "stopped"  # number of the signal
EXITED = "exited"  # code, or minus the signal's number; ms
LEFT = "left"  # [[pid, name], …] of those who live on
ENDING = "ending"  # reason
GONE = "gone"  # ms: nothing of the job is left

Word = list[Any]


class Channel:
    """One end. Never blocks for long: what is said is short, and the other end reads it or is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self.is_closed = False  # by the other side: it ended

    def fileno(self) -> int:
        return self._end.fileno()

    def tell(self, *word: object) -> None:
        try:
            self._end.sendall(json.dumps(word).encode() + b"\n")
        except OSError:
            self.is_closed = True

    def receive(self) -> list[Word]:
        try:
            part = self._end.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            part = b""
        if not part:
            self.is_closed = True
            return []
        *lines, self._rest = (self._rest + part).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self._end.close()


def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(ours), Channel(theirs)
