"""`logs collect` and `bundle`: what is needed to look into it elsewhere, in one archive, with a list of what is not in it.

An `Origin` is one member as it can be reached: by its files on this machine, or through what its host sent.
"""

import io
import os
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from coordctl.inventory.model import Host, Inventory
from coordctl.local import fleet
from coordctl.local.clusters import COORDNODE, Endpoint, LocalCluster, LocalMember, host_and_port
from coordctl.logs import files
from coordctl.logs.bounds import Bounds, bounds, ends_of
from coordctl.onhost import gather
from coordctl.onhost.redaction import Redactor
from coordctl.operations import explaining, foreign_facts, logs
from coordctl.operations.logs import Whose
from coordctl.operations.parts import Part
from coordctl.operations.wal import verify
from coordctl.operations.windows import Asked, times
from coordctl.results.logs import Collected, CollectedFile, LogsExplained, LogWindow, NotCollected
from coordnode import __version__
from coordnode.client import tls
from coordnode.client.identity import bearer
from coordnode.errors import BadRequest, CoordError

if TYPE_CHECKING:
    from coordctl.operations.fetching import Fetched

AT_ONCE_MAX = 8
HTTP_SECONDS = 2.0
MANIFEST = "manifest.json"


class Log(NamedTuple):
    where: str  # folder in the archive
    source: files.Source
    came_from: str
    hidden: int = 0


class Origin(Protocol):
    """A member, or what is left of it."""

    def logs(self) -> tuple[list[Log], list[files.Troubled]]: ...

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        """What is no log: how it is now, and its host."""
        ...


class Here:
    """A member of a cluster on this machine."""

    def __init__(self, cluster: LocalCluster, member: LocalMember) -> None:
        self._name = member.name
        self._cluster = cluster
        self._member = member

    def logs(self) -> tuple[list[Log], list[files.Troubled]]:
        flight = os.path.join(fleet.data_folder(self._cluster, self._member), files.FLIGHT)
        return self._found([*self._log(), f"{flight}.1", flight])

    def _log(self) -> list[str]:
        log = fleet.log_path(self._cluster, self._member)
        return [f"{log}.1", log]

    def _found(self, paths: Sequence[str]) -> tuple[list[Log], list[files.Troubled]]:
        """Those that are there, and who is missed: what was put aside need not be."""
        wanted = [path for path in paths if os.path.exists(path) or not path.endswith(".1")]
        there = [path for path in wanted if os.path.exists(path)]
        troubles = [files.Troubled(path, "is not there") for path in wanted if path not in there]
        found = files.find(there) if there else files.Found([], [])
        return [Log(self._name, one, one.called) for one in found.sources], [*troubles, *found.troubles]

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        yield from _answers(self._name, self._member.address, "")
        try:
            checked = msgspec.json.encode(verify(fleet.data_folder(self._cluster, self._member)))
            yield Part(f"{self._name}/wal-verify.json", "wal verify", [(0, checked)])
        except (CoordError, OSError) as error:
            yield NotCollected(what=f"{self._name}/wal-verify.json", why=str(error))


class HereForeign(Here):
    """Of another engine: it has a log, and no recorder or folder that we could read."""

    def logs(self) -> tuple[list[Log], list[files.Troubled]]:
        return self._found(self._log())

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        return foreign_facts.facts(self._cluster.engine, Endpoint(self._member.address, self._member.member, self._name))


class OnHost:
    """A member on a host, and what that host sent."""

    def __init__(self, inventory: Inventory, host: Host, fetched: "Fetched", tls_folder: str) -> None:
        self._engine = inventory.engine
        self._host = host
        self._fetched = fetched
        self._tls = tls_folder

    def runs(self) -> dict[str, bool]:
        """Of another engine's member whether its process does, as far as that is known."""
        return {} if self._fetched.runs is None else {self._host.name: self._fetched.runs}

    def logs(self) -> tuple[list[Log], list[files.Troubled]]:
        fetched = self._fetched
        found = files.find(fetched.folders, called=fetched.called) if fetched.folders else files.Found([], [])
        logs = [Log(os.path.basename(os.path.dirname(one.path)), one, one.called, fetched.hidden[one.path]) for one in found.sources]
        return logs, [*(files.Troubled(*one) for one in fetched.missing_logs), *found.troubles]

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        if self._engine == COORDNODE:
            yield from _answers(self._host.name, self._host.endpoint, self._tls)
        else:
            yield from foreign_facts.facts(self._engine, Endpoint(self._host.endpoint, 0, self._host.name))
        logs = {log.source.path for log in self.logs()[0]}
        for path, source in self._fetched.sources.items():
            if path not in logs:
                where = f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}"
                with open(path, "rb") as file:
                    yield Part(where, source, [(0, line) for line in file.read().splitlines()], self._fetched.hidden[path])
        yield from (NotCollected(what=what, why=why) for what, why in self._fetched.missing_facts)


class Folder:
    """Logs that lie about: what is left when nobody can be asked."""

    def __init__(self, unpacked: logs.Unpacked) -> None:
        self._unpacked = unpacked

    def runs(self) -> dict[str, bool] | None:
        """As it was when the one bundle that there is was made."""
        made = logs.manifest(self._unpacked.looked[0]) if len(self._unpacked.looked) == len(self._unpacked.bundles) == 1 else None
        return None if made is None else made.running

    def logs(self) -> tuple[list[Log], list[files.Troubled]]:
        found = files.find(self._unpacked.looked, self._unpacked.troubles, partial(logs.called, self._unpacked.bundles))
        return [Log(one.label, one, one.called) for one in found.sources], found.troubles

    def facts(self, from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
        return iter(())


@contextmanager
def origins(places: Sequence[str], whose: Whose, asked: Asked, *, with_facts: bool) -> Iterator[list[Origin]]:
    """What hosts sent goes away at the end."""
    if places:
        with tempfile.TemporaryDirectory(prefix="coordctl-logs-") as scratch:
            yield [Folder(logs.unpack(places, scratch))]
    elif isinstance(whose, LocalCluster):
        of = Here if whose.engine == COORDNODE else HereForeign
        yield [of(whose, member) for member in whose.members]
    else:
        assert isinstance(whose, Inventory)
        from coordctl.operations import fetching  # paramiko

        start, end = logs.span(asked)
        with fetching.fetched(whose, fetching.Wanted(from_ms=start, to_ms=end, with_facts=with_facts)) as hosts:
            tls_folder = fetching.tls_folder(whose)
            yield [OnHost(whose, host, one, tls_folder) for host, one in zip(fetching.hosts_of(whose), hosts, strict=True)]


def name_for(what: str, whose: Whose) -> str:
    name = f"{whose.name}-" if whose is not None else ""
    return f"coordctl-{what}-{name}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"


Paged = Callable[[LogsExplained], str]
Late = Callable[[files.Source], int]


def collect(places: Sequence[str], whose: Whose, asked: Asked, archive: str, *, with_facts: bool, page: Paged | None = None) -> Collected:
    """One archive; members are read side by side, and what cannot be had is named in it. `page`: a report to lay beside the logs."""
    if os.path.exists(archive):
        _check_replaced(archive, places)
    with origins(places, whose, asked, with_facts=with_facts) as found:
        of_hosts = {name: runs for one in found if isinstance(one, OnHost) for name, runs in one.runs().items()}
        of_bundle = next((one.runs() for one in found if isinstance(one, Folder)), None)
        running = of_hosts or (of_bundle if places else logs.running(whose))
        is_here = not places and not isinstance(whose, Inventory)  # what logs came from elsewhere, this machine knows nothing of
        return _collected(found, asked, archive, running, with_facts=with_facts, is_here=is_here, page=page)


def _check_replaced(archive: str, places: Sequence[str]) -> None:
    """Raises BadRequest where something that is there would be lost: but an older archive of ours, or a file that is empty."""
    if not os.path.isfile(archive):
        raise BadRequest(f"{archive} is there and no file: an archive would take its place; name another one")
    if any(os.path.exists(place) and os.path.samefile(place, archive) for place in places):
        raise BadRequest(f"{archive} is what is to be collected: it would be overwritten; name another file for it")
    if os.stat(archive).st_size and not _is_ours(archive):
        raise BadRequest(f"{archive} is there and no archive of ours: it would be overwritten; name another file, or remove it")


def _is_ours(archive: str) -> bool:
    try:
        with tarfile.open(archive, "r:gz") as packed:
            first = packed.next()
            content = packed.extractfile(first) if first is not None and first.name == MANIFEST else None
            return content is not None and bool(msgspec.json.decode(content.read(), type=Collected))
    except (tarfile.TarError, EOFError, OSError, zlib.error, msgspec.DecodeError):
        return False


def _collected(
    found: Sequence[Origin],
    asked: Asked,
    archive: str,
    running: dict[str, bool] | None,
    *,
    with_facts: bool,
    is_here: bool,
    page: Paged | None,
) -> Collected:
    began = time.monotonic()
    looked = [(origin, *origin.logs()) for origin in found]
    made_ms = time.time_ns() // 1_000_000  # behind every line of a clock that is right
    sources = [log.source for _, some, _ in looked for log in some]
    are_here = all(isinstance(origin, Here) for origin in found)
    now_ms = None if any(isinstance(origin, Folder) for origin in found) else made_ms
    known = bounds(sources, now_ms)
    late = partial(_late_ms, known, now_ms)
    oldest_ms, newest_ms = known.oldest_ms, known.newest_ms
    if not newest_ms and not with_facts:
        raise BadRequest("there is no line with a time to collect")
    if newest_ms and running is not None:
        newest_ms = made_ms  # they are silent when all is well
    elif are_here:
        newest_ms = logs.with_silence(newest_ms, made_ms)
    cut = times(asked, oldest_ms, newest_ms or made_ms)
    missing = [NotCollected(what=trouble.called, why=trouble.why) for _, _, troubles in looked for trouble in troubles]
    if not (asked.end or asked.around):
        missing += _later(sources, cut.to_ms, late)
    with tempfile.TemporaryDirectory(prefix="coordctl-bundle-") as scratch, ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        jobs: list[Callable[[], Iterator[Part | NotCollected]]] = []
        # With what it is compared with: whoever looks into it elsewhere comes to the same verdict.
        start_ms = min(cut.from_ms, cut.baseline_from_ms)
        for origin, some, _ in looked:
            jobs.append(partial(_log_parts, some, start_ms, cut.to_ms, late))
            if with_facts:
                jobs.append(partial(origin.facts, cut.from_ms, cut.to_ms))
        if with_facts and is_here:
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
            running=running,
            elapsed_ms=0,
        )
        report = page(explaining.of_folder(scratch, cut, running)) if page is not None and newest_ms else ""
        size = _packed(archive, scratch, result, report)
    return msgspec.structs.replace(result, bytes=size, elapsed_ms=round((time.monotonic() - began) * 1_000))


def _later(sources: Sequence[files.Source], to_ms: int, late: Late) -> Iterator[NotCollected]:
    """Whose last lines are behind a window that nobody asked to end there."""
    for source in sources:
        ends = ends_of(source)
        if ends is not None and ends.last_ms >= to_ms + max(0, late(source)):
            why = f"its last line is {(ends.last_ms - to_ms) / 3_600_000:.1f} h later than the members' logs, and with it"
            yield NotCollected(what=source.called, why=f"{why} whatever it has from then on is left out: --from and --to take it")


def _late_ms(known: Bounds, now_ms: int | None, source: files.Source) -> int:
    """How much later than the others, or earlier, or ahead of the clock here, its last line is: so much further it is read."""
    ends = ends_of(source)
    if now_ms is not None and ends is not None and ends.last_ms >= now_ms:
        return ends.last_ms + 1 - now_ms
    return known.astray_ms.get(source.label, 0)


def _log_parts(logs: Sequence[Log], from_ms: int, to_ms: int, late: Late) -> Iterator[Part | NotCollected]:
    taken: set[str] = set()
    for log in logs:
        where = f"{log.where}/{os.path.basename(log.source.path).removesuffix('.gz')}"
        while where in taken:
            where += "+"
        taken.add(where)
        low_ms, high_ms = files.reach(from_ms, to_ms, late(log.source))
        told = chain(files.head_of(log.source, low_ms), files.told_in(log.source, low_ms, high_ms))
        lines = ((one.at_ms, raw) for one in told for raw in one.raw.split(b"\n"))
        yield Part(where, log.came_from, lines, log.hidden)


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
                hidden=part.hidden + redactor.hidden,
            )
        )
    return kept, missing


def _packed(archive: str, scratch: str, result: Collected, report: str) -> int:
    """Under its name only when it is whole."""
    beside = f"{archive}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # what no pattern knows to be secret may be in there
        with open(descriptor, "wb") as file, tarfile.open(archive, "w:gz", file, compresslevel=6) as packed:
            manifest = msgspec.json.format(msgspec.json.encode(result), indent=1)
            for name, text in ((MANIFEST, manifest), ("report.html", report.encode())):
                if text:
                    info = tarfile.TarInfo(name)
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


def _answers(name: str, address: str, tls_folder: str) -> Iterator[Part | NotCollected]:
    for file, path in (("status.json", "/status"), ("metrics.txt", "/metrics")):
        yield _http(address, path, f"{name}/{file}", tls_folder)


def _http(address: str, path: str, name: str, tls_folder: str) -> Part | NotCollected:
    import http.client

    host, port = host_and_port(address)
    context = tls.dialling(tls_folder)
    connection = (
        http.client.HTTPConnection(host, port, timeout=HTTP_SECONDS)
        if context is None
        else http.client.HTTPSConnection(host, port, timeout=HTTP_SECONDS, context=context)
    )
    try:
        connection.request("GET", path, headers=bearer())
        return Part(name, f"http://{address}{path}", [(0, line) for line in connection.getresponse().read().rstrip(b"\n").split(b"\n")])
    except (OSError, http.client.HTTPException) as error:
        return NotCollected(what=name, why=f"{address} does not answer: {error or type(error).__name__}")
    finally:
        connection.close()


def _host(from_ms: int, to_ms: int) -> Iterator[Part | NotCollected]:
    for name, source, content in gather.host_facts(from_ms, to_ms):
        if isinstance(content, str):
            yield NotCollected(what=f"host/{name}", why=content)
        else:
            yield Part(f"host/{name}", source, [(0, line) for line in content.splitlines()])
