"""What `--once` keeps in the cluster for each key whose run has succeeded. Pure. Loaded by the runs that ask for it only, for its JSON."""

from __future__ import annotations

import json
from time import gmtime, strftime  # a number to words, no clock

from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def written(by: str, token: int, at_unix_ms: int, until_unix_ms: int) -> bytes:
    return json.dumps({"by": by, "at_unix_ms": at_unix_ms, "until_unix_ms": until_unix_ms, "token": token}).encode()


def read(record: bytes) -> dict[str, Any]:
    """Empty: somebody else wrote it."""
    try:
        found = json.loads(record)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def done(key: str, record: dict[str, Any]) -> str:
    at = strftime("%Y-%m-%d %H:%M:%SZ", gmtime(record.get("at_unix_ms", 0) // 1000))
    return f"{key} was done by {record.get('by', '?')}, at {at}"
