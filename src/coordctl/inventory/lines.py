"""Where each key of a TOML text stands, which tomllib does not say. Pure."""

import re
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY: Final = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=\s*(.*)")
_TABLE: Final = re.compile(rf"\s*\[\[?\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]\]?")
_INLINE: Final = re.compile(rf"[{{,]\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_PARTS: Final = re.compile(_PART)

Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Path of a key or table → its line. What a text that spans lines holds may look like a key: its first place counts."""
    found: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = _path(match[1])
            _note(found, table, number)
        elif match := _KEY.match(line):
            key = table + _path(match[1])
            _note(found, key, number)
            if match[2].startswith("{"):
                for inner in _INLINE.finditer(match[2]):
                    _note(found, key + _path(inner[1]), number)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Of a key that is missing: where what should hold it stands."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _path(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PARTS.findall(text))


def _note(found: dict[Path, int], path: Path, number: int) -> None:
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], number)
