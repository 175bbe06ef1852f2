"""What members tell in their logs that no fault excuses: bugs, and a state that is not the majority's. Pure, but for reading files."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

NEVER = ("bug", "diverged")  # whatever was done to it
FAILED = "failed"  # with a trace it is a bug; without, a disk that failed, for example
SENTENCE_LETTERS_MAX = 200


class Word(NamedTuple):
    member: str
    event: str
    sentence: str


def where_they_end(paths: Mapping[str, str]) -> dict[str, int]:
    """Of logs by member: how long each is now."""
    return {member: os.path.getsize(path) if os.path.exists(path) else 0 for member, path in paths.items()}


def since(paths: Mapping[str, str], ends: Mapping[str, int]) -> list[Word]:
    return [word for member, path in paths.items() for word in _of(member, path, ends.get(member, 0))]


def _of(member: str, path: str, start: int) -> Iterator[Word]:
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        if os.path.getsize(path) >= start:  # else it was put aside, and this is a new one
            file.seek(start)
        for line in file:
            with suppress(ValueError):
                found = json.loads(line)
                event = found.get("event") if isinstance(found, dict) else ""
                if event in NEVER or (event == FAILED and found.get("trace")):
                    yield Word(member, event, str(found.get("error", ""))[:SENTENCE_LETTERS_MAX])
