"""A disk that is filled with a file of ours, in the member's folder, by whose name it is known; healed by taking the file away."""

import os
from collections.abc import Sequence
from contextlib import suppress

from coordctl.chaos import premises, values
from coordctl.chaos.ledger import Entry, Ledger

PIECE_BYTES = 64 << 20  # so that the file may be taken away meanwhile
NAME = "chaos-filling-"


def _path(ledger: Ledger, entry: Entry) -> str:
    return os.path.join(premises.of(ledger.cluster_folder).folder(entry.member), NAME + entry.id)


def _used_percent(folder: str) -> float:
    """As `df` counts it: of what is not kept for root."""
    found = os.statvfs(folder)
    used = found.f_blocks - found.f_bfree
    return 100 * used / (used + found.f_bavail)


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    return [_strike(ledger, entry) for entry in entries]


def _strike(ledger: Ledger, entry: Entry) -> str:
    path = _path(ledger, entry)
    with ledger.striking([entry]):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        return _fill(descriptor, os.path.dirname(path), values.percent(entry.by))
    finally:
        os.close(descriptor)


def _fill(descriptor: int, folder: str, percent: float) -> str:
    """Whoever heals takes away what there is, and with it what is still to come."""
    size = 0
    while _used_percent(folder) < percent:
        found = os.statvfs(folder)
        used = found.f_blocks - found.f_bfree
        wanted = max(1, round((used + found.f_bavail) * percent / 100) - used) * found.f_frsize
        piece = min(PIECE_BYTES, wanted, found.f_bavail * found.f_frsize)
        if piece <= 0:
            break
        try:
            os.posix_fallocate(descriptor, size, piece)
        except OSError as error:
            return f"cannot fill it further: {error.strerror}" if _used_percent(folder) < percent - 1 else ""
        size += piece
    found_percent = _used_percent(folder)
    return "" if found_percent >= percent - 0.5 else f"it is only {found_percent:.1f}% full"


def seen(entry: Entry) -> str:
    return f"its disk is {entry.by} full"


def cure(ledger: Ledger, entry: Entry) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_path(ledger, entry))


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    return not os.path.exists(_path(ledger, entry))


drop = cure
