"""What the kernel says of this process and its host, in a few short reads of /proc; -1 and nothing where it does not say."""

import os
from typing import NamedTuple

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
PRESSURES = ("cpu", "io", "memory")


class Host(NamedTuple):
    rss_kib: int
    files: int
    pressure: list[float]  # cpu, io, memory; empty: this kernel does not count it
    free_kib: int


def host_now() -> Host:
    return Host(_rss_kib(), _files(), _pressure(), _free_kib())


def _first(path: str, size: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, size)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _rss_kib() -> int:
    found = _first("/proc/self/statm", 100).split()
    return int(found[1]) * PAGE_KIB if len(found) > 1 else -1


def _files() -> int:
    try:
        return os.stat("/proc/self/fd").st_size or -1  # Linux 6.2 and later count them there; listing thousands would take long
    except OSError:
        return -1


def _pressure() -> list[float]:
    """`some avg10=1.23 avg60=…` of each kind."""
    found = []
    for kind in PRESSURES:
        _, equals, rest = _first(f"/proc/pressure/{kind}", 64).partition(b"avg10=")
        if not equals:
            return []
        found.append(float(rest.split()[0]))
    return found


def _free_kib() -> int:
    _, colon, rest = _first("/proc/meminfo", 256).partition(b"MemAvailable:")
    return int(rest.split()[0]) if colon else -1
