"""A transcript: a text file in which commands and what they brought about alternate, so that behaviour reads as a story.

    # Words for the reader.
    > command with its arguments
      what happened
      what happened next

`check` plays the commands and compares. `COORD_REWRITE=1 python -m pytest tests/transcripts` writes what happens now into
the files; reading the diff is the review.
"""

import os
from collections.abc import Callable
from pathlib import Path

COMMAND = "> "
INDENT = "  "


def play(text: str, perform: Callable[[str], list[str]]) -> str:
    """The same transcript with what its commands bring about now."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(INDENT):
            continue
        lines.append(line)
        if line.startswith(COMMAND):
            lines.extend(INDENT + said for said in perform(line.removeprefix(COMMAND)))
    return "\n".join(lines) + "\n"


def check(path: Path, perform: Callable[[str], list[str]]) -> None:
    expected = path.read_text()
    assert expected.startswith("# "), f"{path.name} must begin by saying what it proves"
    now = play(expected, perform)
    if os.environ.get("COORD_REWRITE"):
        path.write_text(now)
        return
    assert now == expected, f"{path.name} tells another story now; COORD_REWRITE=1 writes it, the diff shows it"
