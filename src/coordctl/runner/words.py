"""What runner and guard tell each other: over a socket pair, as Python keeps its own code: both are one program."""

from __future__ import annotations

import marshal

from coordctl.hot.bare import socket
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Word = Sequence[Any]

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
UNENDED = "unended"  # [[pid, name, why], …] of those that cannot be killed; no why: they do not end all the same
GONE = "gone"  # ms: nothing of the job is left

LENGTH_BYTES = 4  # before each word


class Channel:
    """One end. Never blocks for long: what is said is short, and the other end reads it or is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self.is_closed = False  # by the other side: it ended

    def fileno(self) -> int:
        return self._end.fileno()

    def tell(self, *word: Any) -> None:
        """If the other side has ended, that is found out by whoever listens, after all that it has said before."""
        content = marshal.dumps(word)
        with suppress(OSError):
            self._end.sendall(len(content).to_bytes(LENGTH_BYTES) + content)

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
        self._rest += part
        words: list[Word] = []
        while len(self._rest) >= (end := LENGTH_BYTES + int.from_bytes(self._rest[:LENGTH_BYTES])):
            words.append(marshal.loads(self._rest[LENGTH_BYTES:end]))
            self._rest = self._rest[end:]
        return words

    def close(self) -> None:
        self._end.close()


def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(ours), Channel(theirs)
