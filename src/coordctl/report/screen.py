"""Printing: tables, JSON lines and sentences, fitted to whoever reads them."""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec

from coordctl.report import plain

COLUMNS_MIN = 80

BOLD, RED, GREEN, YELLOW = "1", "31", "32", "33"


def has_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str, stream: TextIO | None = None) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if has_colour(stream or sys.stdout) else text


def columns() -> int:
    return max(COLUMNS_MIN, shutil.get_terminal_size((COLUMNS_MIN, 24)).columns)


def line(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def lines(texts: Iterable[str]) -> None:
    for text in texts:
        line(text)


def flush() -> None:
    """For whoever reads along."""
    sys.stdout.flush()


def note(text: str) -> None:
    """For a person, beside the data."""
    sys.stderr.write(text + "\n")


def error(sentence: str) -> None:
    note(f"coordctl: {sentence}")


def visible(text: str) -> str:
    """Of what others wrote: what would move the cursor, colour the screen or ring the bell is shown instead."""
    return text if text.isprintable() else "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])


def short_path(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path


def confirmed(question: str, flag: str) -> bool:
    """Without a terminal nobody can answer: refused, and the flag that answers is named."""
    if not sys.stdin.isatty():
        note(f"coordctl: {question} There is no terminal to ask on: say so with {flag}")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def named(warning: str, name: str, flag: str) -> bool:
    """As `confirmed`, for what is not to be agreed to by habit."""
    if not sys.stdin.isatty():
        note(f"coordctl: {warning} There is no terminal to ask on: say so with {flag}")
        return False
    sys.stderr.write(f"{warning} To go on, type its name: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == name


def progress(text: str) -> None:
    """Of long work: on a terminal each line takes the place of the one before."""
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()


def progress_end() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def json_line(value: msgspec.Struct) -> None:
    try:
        plain.json_text(msgspec.json.encode(value).decode() + "\n")
    except UnicodeEncodeError:  # a path, say, with bytes that are no text
        plain.json_line(msgspec.to_builtins(value))


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """A table's lines, the headings first and in capitals; some columns to the right. The caller may put more between its rows."""
    import tabulate

    tabulate.MIN_PADDING = 0  # headings are as wide as they are: a screen has 80 columns
    sides = ["right" if heading in right else "left" for heading in headings]
    capitals = [heading.upper() for heading in headings]
    text = tabulate.tabulate(rows, capitals, tablefmt="plain", disable_numparse=True, colalign=sides)
    return [line.rstrip() for line in text.splitlines()]


def wrapped(text: str, *, indent: int, first: int = 0) -> list[str]:
    import textwrap

    return textwrap.wrap(text, columns(), initial_indent=" " * first, subsequent_indent=" " * indent, break_long_words=False)


def short_bytes(count: int | None) -> str:
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count //= 1024
    return f"{count} {unit}"


def short_seconds(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def clock(ms: int) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(ms // 1_000))


def clock_ms(ms: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(ms // 1_000)) + f".{ms % 1_000:03d}"


class Progress:
    """Of long work, on a terminal only; nothing of it stays on the screen."""

    EVERY_SECONDS = 0.2

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown_s = time.monotonic()
        self._is_shown = False

    def show(self, done: int, whole: int) -> None:
        now_s = time.monotonic()
        if not sys.stderr.isatty() or now_s - self._shown_s < self.EVERY_SECONDS or not whole:
            return
        self._shown_s, self._is_shown = now_s, True
        sys.stderr.write(f"\r{self._name}: {100 * done // whole} %\x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def json_schema(kind: type[msgspec.Struct]) -> None:
    plain.json_text(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(kind)), indent=2).decode() + "\n")
