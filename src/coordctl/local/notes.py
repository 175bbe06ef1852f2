"""What one command notes for the next: worth no error, and nothing half-written is left. Imports next to nothing."""

from __future__ import annotations

import os

from coordnode.light import suppress


def write(path: str, content: str) -> None:
    """A monitoring user may have no home, or a full one: then nothing is remembered."""
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            os.unlink(beside)
