"""What members tell in their logs that no fault excuses: bugs, and a state that is not the majority's. Pure, but for reading files."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, NamedTuple
from zlib import crc32

NEVER = ("bug", "diverged")  # whatever was done to it
FAILED = "failed"  # with a trace it is a bug; without, a disk that failed, for example
SENTENCE_LETTERS_MAX = 200
HEAD_BYTES = 256  # the first line names its moment


class Word(NamedTuple):
    member: str
    event: str
    sentence: str


class End(NamedTuple):
    """Up to where a log was written, and in which file: it is put aside as `.1` when it has grown long, and goes on in a new one."""

    file: int  # its inode; 0: there was none
    size: int
    head: int  # of how it begins: an inode is soon another file's


NOWHERE = End(0, 0, 0)


def where_they_end(paths: Mapping[str, str]) -> dict[str, End]:
    """Of logs by member."""
    return {member: _end(path) for member, path in paths.items()}


def _end(path: str) -> End:
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            return End(found.st_ino, found.st_size, crc32(file.read(min(found.st_size, HEAD_BYTES))))
    except FileNotFoundError:
        return NOWHERE


def _is_in(file: BinaryIO, end: End) -> bool:
    """Whether it is the one in which that is."""
    found = os.fstat(file.fileno())
    return found.st_ino == end.file and found.st_size >= end.size and crc32(file.read(min(end.size, HEAD_BYTES))) == end.head


def since(paths: Mapping[str, str], ends: Mapping[str, End]) -> list[Word]:
    return [word for member, path in paths.items() for word in _of(member, path, ends.get(member, NOWHERE))]


def _of(member: str, path: str, end: End) -> Iterator[Word]:
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        is_old = _is_in(file, end)
        if not is_old and end.file and os.path.exists(path + ".1"):  # the one that it was, or one that began since
            with open(path + ".1", "rb") as aside:
                yield from _in(member, aside, end.size if _is_in(aside, end) else 0)
        yield from _in(member, file, end.size if is_old else 0)


def _in(member: str, file: BinaryIO, start: int) -> Iterator[Word]:
    file.seek(start)
    for line in file:
        with suppress(ValueError):
            found = json.loads(line)
            event = found.get("event") if isinstance(found, dict) else ""
            if event in NEVER or (event == FAILED and found.get("trace")):
                yield Word(member, event, str(found.get("error", ""))[:SENTENCE_LETTERS_MAX])
