"""What a host has to say of a stretch of time: logs cut to it, its kernel's and the service's words, what it is like now; packed.

Nothing leaves the host that is outside of that time, and no secret that is known to be one.
"""

import base64
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from calendar import timegm
from collections.abc import Iterator

from coordctl.onhost.redaction import Redactor

COMMAND_SECONDS_MAX = 10.0
COMMAND_BYTES_MAX = 8 * 1024 * 1024
FILE_BYTES_MAX = 32 * 1024 * 1024  # of one log, as it is cut
PACKED_BYTES_MAX = 11 * 1024 * 1024  # as text it is a third more, and the operator takes 16 MiB
LINE_BYTES_MAX = 1024 * 1024
UNDATED_BYTES_MAX = 256 * 1024  # of a file whose lines have no times
HALVED_TO_BYTES = 1024 * 1024
CLOCK_OFF_MS = 1_000
HOST_FILES = (
    *(f"/proc/pressure/{kind}" for kind in ("cpu", "io", "memory")),
    *("/proc/meminfo", "/proc/loadavg", "/proc/diskstats", "/proc/net/dev", "/proc/net/snmp", "/etc/os-release"),
)
LOGS = ("log/events.1", "log/events", "data/flight.log.1", "data/flight.log")
OUTPUTS = ("log/member.out.1", "log/member.out")
OUTPUT = "member/output.log"  # of a member that somebody else deployed
MEMBER_FIELDS = ("MESSAGE", "PACKAGE", "PRIORITY")
LETTERS = dict(zip("234567", "CEWNID", strict=True))  # of etcd's plain lines, by the journal's priority
HEAD_BYTES = 64 * 1024  # in which such a member says who it is
FACTS = ("config/node.toml", "member.json", "run/started.json")
KERNEL_FIELDS = ("MESSAGE", "_SOURCE_MONOTONIC_TIMESTAMP")
_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")


def main(said: dict[str, object]) -> None:
    base = os.path.expanduser(
        str(said["folder"]) or ("/var/lib/coordnode/" if os.geteuid() == 0 else "~/.coordnode/") + str(said["cluster"])
    )
    offset_ms = int(time.time() * 1_000) - int(str(said["unix_ms"]))
    shift_ms = offset_ms if abs(offset_ms) > CLOCK_OFF_MS else 0
    from_ms, to_ms = int(str(said["from_ms"])) + min(0, shift_ms), int(str(said["to_ms"])) + max(0, shift_ms)
    pattern = re.compile(str(said["pattern"]).encode(), re.IGNORECASE if said["ignore_case"] else 0)
    packed = Packed(from_ms, to_ms, pattern)
    engine, service = said["engine"], str(said["service"])
    if isinstance(engine, dict):
        _said_elsewhere(packed, engine, service, from_ms, to_ms)
    else:
        _said_below(packed, base, with_facts=bool(said["with_facts"]))
    if said["with_host"]:
        # Of another engine's unit the manager's words alone: its own are the member's log.
        whose = (f"UNIT={service}",) if engine else ("-u", service)
        for name, source, content in host_facts(from_ms, to_ms, service, whose, everything=bool(said["with_facts"])):
            packed.command(f"host/{name}", source, content)
    runs = listens(int(engine["port"])) if isinstance(engine, dict) else None
    print(json.dumps({"offset_ms": offset_ms, "files": packed.files, "missing": packed.missing, "runs": runs}))
    print(base64.b64encode(packed.end()).decode())
    sys.stdout.flush()


def _said_below(packed: "Packed", base: str, *, with_facts: bool) -> None:
    """By a member of ours, and what it is set to."""
    logs = [(name, f"member/{os.path.basename(name)}") for name in LOGS]
    for name, where in [*logs, *((name, "host/output.log" + name[len("log/member.out") :]) for name in OUTPUTS)]:
        packed.log(f"{base}/{name}", where, is_missed=name in LOGS and not name.endswith(".1"))
    for name in FACTS if with_facts else ():
        packed.file(f"{base}/{name}", "host/" + name.replace("/", "-"))


def _said_elsewhere(packed: "Packed", engine: dict[str, object], service: str, from_ms: int, to_ms: int) -> None:
    """By a member that somebody else deployed: in its file, else in the journal of its unit; with what it said first."""
    path = str(engine["log"])
    if path:
        packed.log(f"{path}.1", f"{OUTPUT}.1", is_missed=False)
        packed.log(path, OUTPUT, is_missed=True, head_bytes=HEAD_BYTES)
    elif service:
        packed.command(OUTPUT, f"journal of {service}", said_in_journal(service, from_ms, to_ms), is_log=True)
    else:
        packed.command(OUTPUT, "", "nothing says where its log is: give log or unit below [run] of the inventory", is_log=True)


def said_in_journal(service: str, from_ms: int, to_ms: int) -> bytes | str:
    since, until = f"--since=@{from_ms // 1_000}", f"--until=@{to_ms // 1_000}"
    rows = ("journalctl", "-o", "json", f"--output-fields={','.join(MEMBER_FIELDS)}", "--no-pager", "--utc")
    said = _said(*rows, since, until, f"_SYSTEMD_UNIT={service}", most=FILE_BYTES_MAX)
    if isinstance(said, str) and "says nothing" not in said:
        return said
    begun = _said("systemctl", "show", "--property=InvocationID", "--value", service)
    head = b""
    if isinstance(begun, bytes):
        head = _beginning(*rows, f"--until=@{from_ms // 1_000}", f"_SYSTEMD_INVOCATION_ID={begun.decode().strip()}")
    return said_by_member(head + (said if isinstance(said, bytes) else b"")) or f"the journal has no word of {service} in the window"


def _beginning(*argv: str) -> bytes:
    """However much there is, only what comes first is read."""
    try:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            read = process.stdout.read(4 * HEAD_BYTES)  # around each word stands as much again
            process.kill()
    except OSError:
        return b""
    return read[: read.rfind(b"\n") + 1]


def said_by_member(rows: bytes) -> bytes:
    """As in a file: with the journal's time before what has none of its own."""
    lines: list[str] = []
    for text in rows.splitlines():
        try:
            row = json.loads(text)
            at_us, message, package = int(row["__REALTIME_TIMESTAMP"]), row.get("MESSAGE") or "", row.get("PACKAGE")
            words = message if isinstance(message, str) else bytes(message).decode(errors="replace")
        except (ValueError, KeyError, TypeError):  # cut off
            continue
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_us // 1_000_000))
        if isinstance(package, str):  # etcd's plain lines, which it has in parts there
            words = f"{LETTERS.get(str(row.get('PRIORITY')), 'I')} | {package}: {words}"
        has_time = words.startswith("{") or _TIME.match(words.lstrip("[").encode())
        lines += [words if has_time else f"{when}.{at_us % 1_000_000:06d}Z {words}"]
    return "".join(f"{line}\n" for line in lines).encode()


def listens(port: int) -> bool:
    """Whether anybody does, at that port of this host."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(path, encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        if any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows):
            return True
    return False


def host_facts(
    from_ms: int, to_ms: int, service: str = "", whose: tuple[str, ...] = (), *, everything: bool = True
) -> Iterator[tuple[str, str, bytes | str]]:
    """(name, of what, its lines; or, as words, why there are none); but for `everything` its logs only."""
    if everything:
        for path in HOST_FILES:
            yield path.strip("/").replace("/", "-"), path, _content(path)
        yield "df.txt", "df -PT", _said("df", "-PT")
    since, until = f"--since=@{from_ms // 1_000 - 60}", f"--until=@{to_ms // 1_000 + 60}"
    journal = ("journalctl", "-o", "short-iso-precise", "--utc", "--no-pager", since, until)
    kernel = _said("journalctl", "-o", "json", f"--output-fields={','.join(KERNEL_FIELDS)}", "--no-pager", since, until, "-k")
    if isinstance(kernel, str):
        first, kernel = kernel, _said("dmesg", "--time-format", "iso")
        kernel = f"{first}; {kernel}" if isinstance(kernel, str) else kernel
    else:
        kernel = said_by_kernel(kernel)
    yield "kernel.log", "kernel log", kernel if isinstance(kernel, str) else _within(kernel, from_ms - 60_000, to_ms + 60_000)
    if service and os.path.isdir("/run/systemd/system"):
        yield "journal.log", f"journal of {service}", _said(*journal, *whose)
        if everything:
            yield "unit.txt", f"systemctl show {service}", _said("systemctl", "show", "--no-pager", service)


def said_by_kernel(rows: bytes) -> bytes:
    """As the journal has it, with the time of each line: one that is started hears at once all that the kernel had to say before."""
    host, lines = os.uname().nodename, []
    for text in rows.splitlines():
        try:
            row = json.loads(text)
            heard_us, heard_at_us = int(row["__REALTIME_TIMESTAMP"]), int(row["__MONOTONIC_TIMESTAMP"])
            said_us = heard_us - heard_at_us + int(row.get("_SOURCE_MONOTONIC_TIMESTAMP", heard_at_us))
            message = row.get("MESSAGE") or ""
            words = message if isinstance(message, str) else bytes(message).decode(errors="replace")  # what is no text comes as numbers
        except (ValueError, KeyError, TypeError):  # cut off
            continue
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(said_us // 1_000_000))
        lines.append(f"{when}.{said_us % 1_000_000:06d}Z {host} kernel: {words}")
    return "\n".join(lines).encode()


def _within(lines: bytes, from_ms: int, to_ms: int) -> bytes | str:
    kept = [line for line in lines.splitlines() if (at_ms := time_of(line)) is None or from_ms <= at_ms < to_ms]
    return b"\n".join(kept) if kept else "the kernel says nothing of that time"


def _content(path: str) -> bytes | str:
    try:
        with open(path, "rb") as file:
            return file.read(COMMAND_BYTES_MAX)
    except OSError as error:
        return f"{path}: {error.strerror}"


def _said(*argv: str, most: int = COMMAND_BYTES_MAX) -> bytes | str:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]}: {error.strerror if isinstance(error, OSError) else 'takes too long'}"
    if done.returncode:
        return f"{argv[0]}: {done.stderr.decode(errors='replace').strip()[:200] or f'exit code {done.returncode}'}"
    if not done.stdout.strip() or done.stdout.startswith(b"-- No entries"):
        return f"{argv[0]}: says nothing"
    return done.stdout[:most]


# --- cutting -------------------------------------------------------------------------------------------------------


def time_of(line: bytes) -> int | None:
    match = _TIME.search(line, 0, 200)
    if match is None:
        return None
    try:
        at_ms = timegm(tuple(int(match[number]) for number in range(1, 7))) * 1_000
    except ValueError:  # digits, but no date
        return None
    zone = match[8]
    if zone and zone != b"Z":
        at_ms += (int(zone[1:3]) * 60 + int(zone[-2:])) * (-60_000 if zone[:1] == b"+" else 60_000)
    return at_ms + (int(match[7][:3].ljust(3, b"0")) if match[7] else 0)


def cut(file: io.BufferedReader, from_ms: int, to_ms: int) -> Iterator[bytes]:
    """The lines of that time; what has no time belongs to the line before it."""
    _seek(file, from_ms)
    is_within = False
    while raw := file.readline(LINE_BYTES_MAX):
        at_ms = time_of(raw)
        if at_ms is not None:
            is_within = from_ms <= at_ms < to_ms
        if is_within:
            yield raw.rstrip(b"\n")


def _seek(file: io.BufferedReader, from_ms: int) -> None:
    """To where a line begins before which none is as late: times of a log only grow, but for small steps."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > HALVED_TO_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline(LINE_BYTES_MAX)
        start, at_ms = file.tell(), None
        while at_ms is None and file.tell() < high and (raw := file.readline(LINE_BYTES_MAX)):
            at_ms = time_of(raw)
        if at_ms is None or at_ms >= from_ms:
            high = middle
        else:
            low = start
    file.seek(low)


class Packed:
    """The archive to be, and what is and is not in it."""

    def __init__(self, from_ms: int, to_ms: int, pattern: re.Pattern[bytes]) -> None:
        self.files: list[dict[str, object]] = []
        self.missing: list[dict[str, object]] = []
        self._window = from_ms, to_ms
        self._pattern = pattern
        self._bytes = io.BytesIO()
        self._archive = tarfile.TarFile.gzopen("", "w", self._bytes, 6)

    def log(self, path: str, where: str, *, is_missed: bool, head_bytes: int = 0) -> None:
        """`head_bytes`: so much of its beginning, too, whenever that was."""
        try:
            with open(path, "rb") as file:
                lines, is_whole = _bounded(cut(file, *self._window))
                lines = _head(file, head_bytes, self._window[0]) + lines
                if not lines and os.fstat(file.fileno()).st_mtime * 1_000 >= self._window[0]:
                    lines = _undated(file)
        except OSError as error:
            if is_missed:
                self._miss(where, f"{path}: {error.strerror}", is_log=True)
            return
        if not is_whole:
            self._miss(where, f"{path}: only its first {FILE_BYTES_MAX >> 20} MiB of that time: take a shorter window", is_log=True)
        wanted = [line for line in lines if self._pattern.search(line)]
        if wanted:
            self._add(where, path, wanted)
        elif is_missed and not lines:
            self._miss(where, f"{path} has no line in the window")

    def file(self, path: str, where: str) -> None:
        self.command(where, path, _content(path))

    def command(self, where: str, source: str, content: bytes | str, *, is_log: bool = False) -> None:
        if isinstance(content, str):
            self._miss(where, content, is_log=is_log)
        else:
            if wanted := [line for line in content.splitlines() if self._pattern.search(line)]:
                self._add(where, source, wanted)

    def _miss(self, where: str, why: str, *, is_log: bool = False) -> None:
        self.missing.append({"name": where, "why": why, "is_log": is_log})

    def _add(self, where: str, source: str, lines: list[bytes]) -> None:
        if self._bytes.tell() > PACKED_BYTES_MAX // 2:
            self._miss(where, f"{source}: there is too much in front of it for one answer: take a shorter window", is_log=True)
            return
        redactor = Redactor()
        text = b"".join(redactor.line(line) + b"\n" for line in lines)
        info = tarfile.TarInfo(where)
        info.size = len(text)
        self._archive.addfile(info, io.BytesIO(text))
        self.files.append({"name": where, "source": source, "hidden": redactor.hidden})

    def end(self) -> bytes:
        self._archive.close()
        return self._bytes.getvalue()


def _bounded(lines: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """(as many of them as there is room for, whether these are all)"""
    kept: list[bytes] = []
    room = FILE_BYTES_MAX
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return kept, False
        kept.append(line)
    return kept, True


def _head(file: io.BufferedReader, size: int, before_ms: int) -> list[bytes]:
    """Whole lines of before that time; what has none belongs to the line before it."""
    file.seek(0)
    read = file.read(size)
    found: list[bytes] = []
    for line in read[: read.rfind(b"\n") + 1].splitlines():
        at_ms = time_of(line)
        if at_ms is not None and at_ms >= before_ms:
            break
        found.append(line)
    return found


def _undated(file: io.BufferedReader) -> list[bytes]:
    """Its end, if none of it has a time."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - UNDATED_BYTES_MAX))
    lines = file.read().splitlines()
    return [] if any(time_of(line) is not None for line in lines) else lines
