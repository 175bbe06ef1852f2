"""`logs collect` and `bundle`: what is needed to look into it elsewhere, in one archive, with a list of what is not in it.

An `Origin` is one member as it can be reached: today by its files on this machine. A host that is reached over SSH is another one.
"""

import io
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

import msgspec

from coordctl.local import fleet
from coordctl.local.clusters import LocalCluster, LocalMember, host_and_port
from coordctl.logs import files
from coordctl.logs.redaction import Redactor
from coordctl.operations.wal import verify
from coordctl.operations.windows import Asked, times
from coordctl.results.logs import Collected, CollectedFile, LogWindow, NotCollected
from coordnode import __version__
from coordnode.errors import BadRequest, CoordError

AT_ONCE_MAX = 8
COMMAND_SECONDS_MAX = 10.0
HTTP_SECONDS = 2.0
COMMAND_BYTES_MAX = 8 * 1024 * 1024
HOST_FILES = (
    *(f"/proc/pressure/{kind}" for kind in ("cpu", "io", "memory")),
    *("/proc/meminfo", "/proc/loadavg", "/proc/diskstats", "/proc/net/dev", "/proc/net/snmp", "/etc/os-release"),
)


class Part(NamedTuple):
    """One file of the archive to be."""

    name: str
    source: str
    lines: Iterable[tuple[int, bytes]]  # (time or 0, line)


class Origin(Protocol):
    """A member, or what is left of it."""

    name: str

    def logs(self) -> tuple[list[files.Source], list[files.Troubled]]: ...

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        """What is no log: how it is now, and its host."""
        ...


class Here:
    """A member of a cluster on this machine."""

    def __init__(self, cluster: LocalCluster, member: LocalMember) -> None:
        self.name = member.name
        self._cluster = cluster
        self._member = member

    def logs(self) -> tuple[list[files.Source], list[files.Troubled]]:
        log = fleet.log_path(self._cluster, self._member)
        flight = os.path.join(fleet.data_folder(self._cluster, self._member), files.FLIGHT)
        wanted = [path for path in (f"{log}.1", log, f"{flight}.1", flight) if os.path.exists(path) or not path.endswith(".1")]
        there = [path for path in wanted if os.path.exists(path)]
        troubles = [files.Troubled(path, "is not there") for path in wanted if path not in there]
        found = files.find(there) if there else files.Found([], [])
        return found.sources, [*troubles, *found.troubles]

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        for name, path in (("status.json", "/status"), ("metrics.txt", "/metrics")):
            yield _http(self._member.address, path, f"{self.name}/{name}")
        try:
            checked = msgspec.json.encode(verify(fleet.data_folder(self._cluster, self._member)))
            yield Part(f"{self.name}/wal-verify.json", "wal verify", [(0, checked)])
        except (CoordError, OSError) as error:
            yield NotCollected(what=f"{self.name}/wal-verify.json", why=str(error))


class Folder:
    """Logs that lie about: what is left when nobody can be asked."""

    def __init__(self, places: Sequence[str]) -> None:
        self.name = ""
        self._places = places

    def logs(self) -> tuple[list[files.Source], list[files.Troubled]]:
        found = files.find(self._places)
        return found.sources, found.troubles

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        return iter(())


def origins(places: Sequence[str], cluster: LocalCluster | None) -> list[Origin]:
    if places:
        return [Folder(places)]
    assert cluster is not None
    return [Here(cluster, member) for member in cluster.members]


def name_for(what: str, cluster: LocalCluster | None) -> str:
    whose = f"{cluster.name}-" if cluster is not None else ""
    return f"coordctl-{what}-{whose}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"


def collect(found: Sequence[Origin], asked: Asked, archive: str, *, with_facts: bool) -> Collected:
    """One archive; members are read side by side, and what cannot be had is named in it."""
    began = time.monotonic()
    made_ms = time.time_ns() // 1_000_000
    year = time.gmtime().tm_year
    looked = [(origin, *origin.logs()) for origin in found]
    sources = [source for _, some, _ in looked for source in some]
    oldest_ms, newest_ms = files.bounds(sources, year)
    if not newest_ms and not with_facts:
        raise BadRequest("there is no line with a time to collect")
    cut = times(asked, oldest_ms, newest_ms or made_ms)
    missing = [NotCollected(what=trouble.path, why=trouble.why) for _, _, troubles in looked for trouble in troubles]
    with tempfile.TemporaryDirectory(prefix="coordctl-bundle-") as scratch, ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        jobs: list[Callable[[], Iterator[Part | NotCollected]]] = []
        # With what it is compared with: whoever looks into it elsewhere comes to the same verdict.
        start_ms = min(cut.from_ms, cut.baseline_from_ms)
        for origin, some, _ in looked:
            jobs.append(partial(_log_parts, origin.name, some, start_ms, cut.to_ms, year))
            if with_facts:
                jobs.append(partial(origin.facts, cut.from_ms, cut.to_ms))
        if with_facts:
            jobs.append(partial(_host, cut.from_ms, cut.to_ms))
        written = list(pool.map(lambda job: _written(job(), scratch), jobs))
        kept = sorted((one for some, _ in written for one in some), key=lambda one: one.name)
        missing += [one for _, some in written for one in some]
        result = Collected(
            outcome="partial" if missing else "whole",
            exit_code=1 if any(troubles for _, _, troubles in looked) else 0,  # a host that keeps no kernel log is no failure
            archive=archive,
            bytes=0,
            version=__version__,
            made_ms=made_ms,
            window=LogWindow(from_ms=cut.from_ms, to_ms=cut.to_ms),
            files=kept,
            missing=missing,
            elapsed_ms=0,
        )
        size = _packed(archive, scratch, result)
    return msgspec.structs.replace(result, bytes=size, elapsed_ms=round((time.monotonic() - began) * 1_000))


def _log_parts(name: str, sources: Sequence[files.Source], from_ms: int, to_ms: int, year: int) -> Iterator[Part | NotCollected]:
    taken: set[str] = set()
    for source in sources:
        where = f"{name or source.label}/{os.path.basename(source.path).removesuffix('.gz')}"
        while where in taken:
            where += "+"
        taken.add(where)
        lines = ((one.at_ms, raw) for one in files.told_in(source, from_ms, to_ms, year) for raw in one.raw.split(b"\n"))
        yield Part(where, source.path, lines)


def _written(parts: Iterator[Part | NotCollected], scratch: str) -> tuple[list[CollectedFile], list[NotCollected]]:
    kept, missing = [], []
    for part in parts:
        if isinstance(part, NotCollected):
            missing.append(part)
            continue
        path = os.path.join(scratch, part.name)
        os.makedirs(os.path.dirname(path) or scratch, exist_ok=True)
        redactor = Redactor()
        count = first = last = 0
        with open(path, "wb") as file:
            for at_ms, raw in part.lines:
                file.write(redactor.line(raw) + b"\n")
                count += 1
                if at_ms:
                    first, last = first or at_ms, at_ms
            size = file.tell()
        if not count:
            missing.append(NotCollected(what=part.name, why=f"{part.source} has no line in the window"))
            os.unlink(path)
            continue
        kept.append(
            CollectedFile(
                name=part.name,
                source=part.source,
                lines=count,
                bytes=size,
                from_ms=first or None,
                to_ms=last or None,
                hidden=redactor.hidden,
            )
        )
    return kept, missing


def _packed(archive: str, scratch: str, result: Collected) -> int:
    """Under its name only when it is whole."""
    beside = f"{archive}.{os.getpid()}.tmp"
    try:
        with tarfile.open(beside, "w:gz", compresslevel=6) as packed:
            text = msgspec.json.format(msgspec.json.encode(result), indent=1)
            info = tarfile.TarInfo("manifest.json")
            info.size, info.mtime = len(text), result.made_ms // 1_000
            packed.addfile(info, io.BytesIO(text))
            for one in result.files:
                packed.add(os.path.join(scratch, one.name), one.name)
        os.replace(beside, archive)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)
    return os.stat(archive).st_size


# --- facts ---------------------------------------------------------------------------------------------------------


def _http(address: str, path: str, name: str) -> Part | NotCollected:
    import http.client

    host, port = host_and_port(address)
    connection = http.client.HTTPConnection(host, port, timeout=HTTP_SECONDS)
    try:
        connection.request("GET", path)
        return Part(name, f"http://{address}{path}", [(0, line) for line in connection.getresponse().read().rstrip(b"\n").split(b"\n")])
    except (OSError, http.client.HTTPException) as error:
        return NotCollected(what=name, why=f"{address} does not answer: {error or type(error).__name__}")
    finally:
        connection.close()


def _host(from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
    for path in HOST_FILES:
        name = f"host/{path.strip('/').replace('/', '-')}"
        try:
            with open(path, "rb") as file:
                yield Part(name, path, [(0, line) for line in file.read().splitlines()])
        except OSError as error:
            yield NotCollected(what=name, why=f"{path}: {error.strerror}")
    since, until = from_ms // 1_000 - 60, to_ms // 1_000 + 60
    kernel = _command("journalctl", "-k", "-o", "short-iso-precise", "--utc", "--no-pager", f"--since=@{since}", f"--until=@{until}")
    if isinstance(kernel, str):
        first, kernel = kernel, _command("dmesg", "--time-format", "iso")
        if isinstance(kernel, str):
            yield NotCollected(what="host/kernel.log", why=f"{first}; {kernel}")
    if not isinstance(kernel, str):
        yield Part("host/kernel.log", "kernel log", [(0, line) for line in kernel.splitlines()])
    disks = _command("df", "-PT")
    if isinstance(disks, str):
        yield NotCollected(what="host/df.txt", why=disks)
    else:
        yield Part("host/df.txt", "df -PT", [(0, line) for line in disks.splitlines()])


def _command(*argv: str) -> bytes | str:
    """Its output, or why there is none."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]}: {error.strerror if isinstance(error, OSError) else 'takes too long'}"
    if done.returncode:
        return f"{argv[0]}: {done.stderr.decode(errors='replace').strip()[:200] or f'exit code {done.returncode}'}"
    if not done.stdout.strip() or done.stdout.startswith(b"-- No entries"):
        return f"{argv[0]}: says nothing"
    return done.stdout[:COMMAND_BYTES_MAX]
