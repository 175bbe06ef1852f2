"""Standard input, output and error as a process can rely on, whatever it was started with. Imports next to nothing."""

from __future__ import annotations

import io
import os
import sys

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

OUTPUT = "standard output"


class _Patient(io.FileIO):
    """Whoever shares a pipe with us may have made it one that does not wait; what is printed must come out whole all the same."""

    def write(self, content: Any) -> int:
        while (written := super().write(content)) is None:
            from select import select

            select((), (self,), ())
        return written


class _Data(_Patient):
    outlives_reader = False

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            if not self.outlives_reader:
                raise
            discard()
            return len(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, OUTPUT) from None


class _Beside(_Patient):
    """A log on a full disk, or a reader that has gone, changes neither what is done nor the exit code."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def prepare() -> None:
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _fill()
    sys.stdout = _text(_Data(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Beside(2, "w", closefd=False), sys.stderr)


def outlive_reader() -> None:
    """For work that is to be done, and judged, whoever reads along: else the reader that has gone ends it with the next line."""
    _Data.outlives_reader = True


def _fill() -> None:
    """No connection or file of ours is to be what something takes for standard output. What we run finds closed what was closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)  # and so reading from it is an error, not an empty value
    while nowhere <= 2:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    os.close(nowhere)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")


def _text(raw: _Patient, before: Any) -> io.TextIOWrapper:
    """A character that the encoding lacks is shown as its number: a table with a hole is no answer."""
    if before is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
    errors = "backslashreplace" if before.errors == "strict" else before.errors
    by_line = isinstance(raw, _Beside) or before.line_buffering  # PYTHONUNBUFFERED takes it from both
    return io.TextIOWrapper(io.BufferedWriter(raw), before.encoding, errors, line_buffering=by_line)


def flush() -> None:
    """Of a reader that has gone nothing is said, and the exit code stands."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard()


def discard() -> None:
    """Nobody reads any more; the interpreter would complain once more when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
