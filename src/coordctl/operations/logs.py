"""`logs diff`: gathers logs from folders, bundles and local clusters, has them mined, aligned and compared."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import msgspec

from coordctl.inventory.model import Inventory
from coordctl.local import fleet, processes
from coordctl.local.clusters import COORDNODE, LocalCluster
from coordctl.logs import align, comparing, files, mining, told_lives
from coordctl.logs.bounds import Bounds, bounds
from coordctl.logs.comparing import Compared, Side, Sign, Window
from coordctl.logs.lines import KILLED, LEVEL_NAMES, is_host
from coordctl.onhost import gather
from coordctl.operations.windows import BASELINE_MS, Asked, Times, times
from coordctl.results.logs import Collected, LogFinding, LogMember, LogOddity, LogsDiff, LogSign, LogTrouble, LogWindow
from coordnode.errors import BadRequest, Unreachable

FINDINGS_MAX = 20
CONSEQUENCES_MAX = 12
EVERYTHING = Asked(start="0001-01-01T00:00:00Z")
SILENCE_SHOWN_MS = 10_000
TOLD_MAX = 3  # of what could not be used, where nothing could
AROUND_MS = 60_000  # more than asked for is read: clocks differ

Whose = LocalCluster | Inventory | None  # a cluster on this machine, one on hosts, or whatever is named


class Gathered(NamedTuple):
    """The logs of one cluster."""

    found: files.Found
    names: list[str]  # of members that must be there
    window: tuple[int, int] | None = None  # that a bundle was made for; None: more than a bundle, or none
    is_here: bool = False  # a cluster of this machine, whose clock is ours: what is not there by now was not said
    running: Mapping[str, bool] | None = (
        None  # of another engine's members here, which are silent when all is well: whether their processes are
    )
    clocks: Mapping[str, align.Offset] = align.NOTHING_ASKED  # as far as more is known of them than what their lines tell

    @property
    def is_of_hosts(self) -> bool:
        """Cut, and perhaps filtered, where they are: what is not among them need not be missing there."""
        return bool(self.names) and not self.is_here


class Read(NamedTuple):
    side: Side
    baseline: Side | None
    mined: files.Mined
    missing: list[str]  # members of which no line is in the window
    is_whole: bool  # no member is missing, and the logs of all of them end at about the same time


def places_of(cluster: LocalCluster) -> list[str]:
    """Logs and flight recorders of a cluster on this machine; those that are not there are named by whoever looks for them."""
    places = []
    for member in cluster.members:
        log = fleet.log_path(cluster, member)
        flight = os.path.join(fleet.data_folder(cluster, member), files.FLIGHT)
        places += [path for path in (log, f"{log}.1", flight, f"{flight}.1") if os.path.exists(path)]
    return places


@contextmanager
def gathered(places: Sequence[str], whose: Whose, asked: Asked = EVERYTHING, **filtered: Any) -> Iterator[Gathered]:
    """Of named files, folders and bundles, else of that cluster. What was unpacked or fetched goes away at the end.

    `filtered`: of Wanted, as far as whoever asks leaves it to the hosts.
    """
    if isinstance(whose, Inventory) and not places:
        with _fetched(whose, asked, filtered) as of_hosts:
            yield of_hosts
        return
    names: list[str] = []
    if not places:
        assert isinstance(whose, LocalCluster)
        names = [member.name for member in whose.members]
        places = places_of(whose)
        if not places:
            raise BadRequest(f"{whose.name} has no logs in {whose.folder}")
    scratch = ""
    try:
        if any(map(files.is_bundle, places)):
            scratch = tempfile.mkdtemp(prefix="coordctl-logs-")
        looked, troubles, unpacked = unpack(places, scratch)
        if names and asked != EVERYTHING and (ended := _ended_by_kernel(asked)):
            scratch = scratch or tempfile.mkdtemp(prefix="coordctl-logs-")
            looked.append(_written(os.path.join(scratch, "host"), ended))
        found = files.find(looked, troubles, partial(called, unpacked))
        made = manifest(looked[0]) if len(looked) == 1 and scratch else None
        if made is not None:
            yield Gathered(found, names, (made.window.from_ms, made.window.to_ms), running=made.running)
        else:
            of_here = running(whose) if names else None
            yield Gathered(found, names, is_here=bool(names), running=of_here, clocks=align.of_one_clock(names))
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


class Unpacked(NamedTuple):
    looked: list[str]  # files and folders, bundles among them unpacked
    troubles: list[files.Troubled]
    bundles: dict[str, str]  # folder → the bundle that it came from


def unpack(places: Sequence[str], scratch: str) -> Unpacked:
    found = Unpacked([], [], {})
    for number, place in enumerate(places):
        if not files.is_bundle(place):
            found.looked.append(place)
            continue
        folder = os.path.join(scratch, str(number))
        os.makedirs(folder)
        found.troubles.extend(files.unpack(place, folder))
        found.looked.append(folder)
        found.bundles[folder] = place
    return found


def running(cluster: Whose) -> dict[str, bool] | None:
    if not isinstance(cluster, LocalCluster) or cluster.engine == COORDNODE:
        return None
    return {member.name: processes.is_running(member.pid, member.started) for member in cluster.members}


def left_out(logs: Gathered) -> list[str]:
    """What whoever is shown lines does not see: files that could not be had, and members without any; hosts say so themselves."""
    labels = {source.label for source in logs.found.sources}
    labels |= {files.label_of(one.called) for one in logs.found.troubles}
    silent = [] if logs.is_of_hosts else [name for name in logs.names if name not in labels]
    return [*(f"{one.called}: {one.why}" for one in logs.found.troubles), *(f"{name}: no log of it is there" for name in silent)]


def is_told(logs: Gathered, read: Read) -> bool:
    """Something is known of the window: by a member's line, or because whoever would have spoken is there."""
    members = (member for member in read.side.summary.spans if not is_host(member))
    return any(map(read.side.seconds_of, members)) or any((logs.running or {}).values())


def called(unpacked: Mapping[str, str], path: str) -> str:
    """By its bundle and its name in there."""
    for folder, bundle in unpacked.items():
        if path == folder:
            return bundle
        if path.startswith(folder + os.sep):
            return f"{bundle}:{os.path.relpath(path, folder)}"
    return path


def _ended_by_kernel(asked: Asked) -> bytes:
    """What the kernel of this machine says of processes that it ended for want of memory; a bundle has all that it says."""
    [said] = (said for name, _, said in gather.host_facts(*span(asked), everything=False))
    return b"".join(line + b"\n" for line in said.splitlines() if KILLED in line) if isinstance(said, bytes) else b""


def _written(folder: str, lines: bytes) -> str:
    os.makedirs(folder)
    path = os.path.join(folder, "kernel.log")
    with open(path, "wb") as file:
        file.write(lines)
    return path


@contextmanager
def _fetched(inventory: Inventory, asked: Asked, filtered: dict[str, Any]) -> Iterator[Gathered]:
    from coordctl.operations import fetching  # paramiko: who looks at this machine does without

    start, end = span(asked)
    with fetching.fetched(inventory, fetching.Wanted(from_ms=start, to_ms=end, **filtered)) as hosts:
        troubles = [files.Troubled(what, why) for host in hosts for what, why in host.missing_logs]
        folders = [folder for host in hosts for folder in host.folders]
        if not folders and not (filtered and any(host.has_answered for host in hosts)):
            raise no_logs(inventory, troubles)
        known_as = {path: host.called(path) for host in hosts for path in (*host.folders, *host.sources)}
        runs = {host.name: host.runs for host in hosts if host.runs is not None}
        found = files.find(folders, troubles, known_as.__getitem__) if folders else files.Found([], troubles)
        clocks = align.of_hosts({host.name: host.offset_ms for host in hosts if host.folders})
        yield Gathered(found, [host.name for host in hosts], running=runs or None, clocks=clocks)


def no_logs(inventory: Inventory, troubles: Iterable[tuple[str, str]]) -> Unreachable:
    return Unreachable(f"no logs of {inventory.name} could be had: {'; '.join(why for _, why in troubles) or 'there are none'}")


def span(asked: Asked) -> tuple[int, int]:
    """What hosts are asked for: the window, what it is compared with, and a little more, since clocks differ."""
    if asked == EVERYTHING:
        return 0, files.EVER_MS
    cut = times(asked, 0, time.time_ns() // 1_000_000)
    return max(0, min(cut.from_ms, cut.baseline_from_ms) - AROUND_MS), max(cut.to_ms, cut.baseline_to_ms) + AROUND_MS


def manifest(folder: str) -> Collected | None:
    """None: a bundle that is cut off, or was made by hand."""
    try:
        with open(os.path.join(folder, "manifest.json"), "rb") as file:
            return msgspec.json.decode(file.read(), type=Collected)
    except (OSError, msgspec.DecodeError):
        return None


def with_silence(newest_ms: int, now_ms: int) -> int:
    """Of a cluster that is here: the silence after its last line belongs to it, if nobody speaks any more."""
    return min(now_ms, newest_ms + SILENCE_SHOWN_MS) if newest_ms else 0


def read(logs: Gathered, asked: Asked, progress: files.Progress = files.no_progress) -> Read:
    """Mined, with names for members, clocks compared, cut into window and baseline."""
    now_ms = time.time_ns() // 1_000_000
    known = bounds(logs.found.sources, now_ms if logs.names else None)
    oldest_ms, newest_ms = known.oldest_ms, known.newest_ms
    is_asked = bool(logs.names) and logs.running is not None  # just now
    if is_asked and newest_ms:
        newest_ms = now_ms
    elif logs.is_here:
        newest_ms = with_silence(newest_ms, now_ms)
    if not newest_ms:
        looked = [source.called for source in logs.found.sources] + [f"{one.called}: {one.why}" for one in logs.found.troubles]
        raise BadRequest(f"no line with a time is in {'; '.join(looked[:TOLD_MAX])}")
    if asked == Asked() and logs.window is not None:
        start, end = logs.window
        cut = Times(start, end, max(oldest_ms, start - BASELINE_MS), start)
        looked_ms = end
    else:
        cut = times(asked, oldest_ms, newest_ms)
        looked_ms = newest_ms if logs.is_here or is_asked else 0
    low, high = min(cut.from_ms, cut.baseline_from_ms), max(cut.to_ms, cut.baseline_to_ms)
    spread_ms = max(AROUND_MS, known.spread_ms)
    mined = files.mine(logs.found, low - spread_ms, high + spread_ms, known.astray_ms, progress)
    summary = mining.by_name(mined.summary)
    seen_ms = newest_ms if logs.window is None else logs.window[1] - 1  # when somebody looked; of an earlier window that says nothing
    summary.acts += [_gone(name, seen_ms) for name, runs in (logs.running or {}).items() if not runs]
    offsets = align.offsets(summary.anchors, logs.clocks)
    side = Side(summary, Window(cut.from_ms, cut.to_ms), offsets, looked_ms)
    baseline = Side(summary, Window(cut.baseline_from_ms, cut.baseline_to_ms), offsets)
    belonging = mining.belonging(summary)
    missing = _missing(side, logs.names, known, belonging)
    astray_ms = {label: ms for label, ms in known.astray_ms.items() if ms > 0 or not belonging.is_out(known.members[label])}
    mined = mined._replace(summary=summary, troubles=[*mined.troubles, *_astray(astray_ms)])
    return Read(side, baseline if _has_any(baseline) else None, mined, missing, is_whole=not missing and not astray_ms)


def _missing(side: Side, names: Sequence[str], known: Bounds, belonging: mining.Belonging) -> list[str]:
    """Those that should be there, and those that say something each second: whoever has no line in the window, and did not leave."""
    summary = side.summary
    members = {label for labels in summary.labels.values() for label in labels}
    absent = [name for name in names if name not in summary.spans]
    quiet = sorted(label for label, begun_ms in known.begun_ms.items() if label not in members and begun_ms < side.window.to_ms)
    absent += [label for label in quiet if not belonging.is_out(known.members[label])]
    ids = {name: identity for identity, name in summary.names.items()}
    pulsing = {member for member, kind in summary.cells if kind == "pulse" and not belonging.is_out(ids.get(member, member))}
    absent += sorted(member for member in pulsing if not side.seconds_of(member) and summary.spans[member][0] < side.window.to_ms)
    known_ids = {*summary.spans, *(identity for identity, name in summary.names.items() if name in summary.spans)}
    unknown_ids = sorted(belonging.ids - known_ids)
    if len(unknown_ids) > len(absent):  # else they are who is absent by name
        absent += [f"member {identity}" for identity in unknown_ids]
    return list(dict.fromkeys(absent))


def _astray(astray_ms: Mapping[str, int]) -> list[files.Troubled]:
    found = []
    for label, ms in sorted(astray_ms.items()):
        how = f"{abs(ms) / 3_600_000:.1f} h {'after' if ms > 0 else 'before'} the others' logs"
        found.append(files.Troubled(label, f"ends {how}: its clock is off, or it was gone, or they were"))
    return found


def _gone(name: str, at_ms: int) -> mining.Act:
    return mining.Act(at_ms, name, told_lives.NOT_RUNNING, 0, 0, {"said": "its process is not there, and its log does not say why"})


def _has_any(side: Side) -> bool:
    return any(side.seconds_of(member) >= comparing.STEADY_SECONDS_MIN / 2 for member in side.summary.spans)


def diff(
    places: Sequence[str],
    whose: Whose,
    asked: Asked,
    against: Sequence[str] = (),
    progress: files.Progress = files.no_progress,
) -> LogsDiff:
    """Against a baseline in the same logs, or against another run, which is taken whole."""
    began = time.monotonic()
    with gathered(places, whose, EVERYTHING if against and asked == Asked() else asked) as logs:
        if against:
            now = read(logs, asked if asked != Asked() else EVERYTHING, progress)
            with gathered(against, None) as others:
                other = read(others, EVERYTHING, progress)
                before: Side | None = other.side
                words = f"another run, {', '.join(against)}"
        else:
            now = read(logs, asked, progress)
            before = now.baseline
            words = "what was before it" if before is not None else "nothing: there are no lines before it"
        compared = comparing.compare(now.side, before)
        return _shown(now, before, compared, words, began, is_unknown=not is_told(logs, now))


def _shown(now: Read, before: Side | None, compared: Compared, words: str, began: float, *, is_unknown: bool) -> LogsDiff:
    sources = now.mined.sources
    outcome = "unknown" if is_unknown else "different" if compared.roots else "no difference"
    window = now.side.window
    return LogsDiff(
        outcome=outcome,  # type: ignore[arg-type]
        exit_code={"unknown": 3, "different": 1, "no difference": 0}[outcome],  # type: ignore[arg-type]
        window=LogWindow(from_ms=window.from_ms, to_ms=window.to_ms),
        baseline=None if before is None else LogWindow(from_ms=before.window.from_ms, to_ms=before.window.to_ms),
        compared_with=words,
        members=members_of(now.side),
        first=None if compared.first is None else sign_of(compared.first, sources),
        findings=[finding_of(root, sources) for root in compared.roots[:FINDINGS_MAX]],
        findings_left_out=max(0, len(compared.roots) - FINDINGS_MAX),
        oddities=[
            LogOddity(member=member, kind=name, value=value, others=others)
            for member, name, value, others in comparing.odd_members(now.side)
        ],
        troubles=troubles_of(now.mined),
        missing=now.missing,
        comparisons=compared.compared,
        lines=now.mined.summary.lines,
        bytes=now.mined.summary.bytes,
        elapsed_ms=round((time.monotonic() - began) * 1_000),
        sources=[source.called for source in sources],
    )


def members_of(side: Side) -> list[LogMember]:
    shown = []
    for member, (first, last, lines) in sorted(side.summary.spans.items()):
        if is_host(member):
            continue
        offset = side.offset(member)
        shown.append(
            LogMember(
                name=member,
                lines=lines,
                from_ms=first,
                to_ms=last,
                clock_ms=offset.ms if offset.places else None,
                clock_error_ms=offset.error_ms,
                clock_agreeing=round(offset.agreeing, 2),
            )
        )
    return shown


def troubles_of(mined: files.Mined) -> list[LogTrouble]:
    called = {source.path: source.called for source in mined.sources}
    told = [LogTrouble(source=one.called, what=one.why) for one in mined.troubles]
    for (path, what), (count, where) in sorted(mined.summary.problems.items()):
        times_told = "" if count == 1 else f"{count} times, first "
        told.append(LogTrouble(source=called[path], what=f"{what}: {times_told}{where}"))
    return told


def sign_of(sign: Sign, sources: Sequence[files.Source]) -> LogSign:
    return LogSign(**_fields(sign, sources))  # type: ignore[arg-type]


def finding_of(root: Sign, sources: Sequence[files.Source]) -> LogFinding:
    following = comparing.all_consequences(root)
    return LogFinding(
        **_fields(root, sources),  # type: ignore[arg-type]
        consequences=[sign_of(sign, sources) for sign in following[:CONSEQUENCES_MAX]],
        consequences_left_out=max(0, len(following) - CONSEQUENCES_MAX),
        concurrent=[f"{sign.member} {sign.kind}" for sign in root.concurrent[:CONSEQUENCES_MAX]],
    )


def _fields(sign: Sign, sources: Sequence[files.Source]) -> dict[str, object]:
    return {
        "member": sign.member,
        "kind": sign.kind,
        "what": sign.what,
        "level": LEVEL_NAMES[sign.level],
        "onset_ms": sign.onset_ms,
        "error_ms": sign.error_ms,
        "now": round(sign.now, 2),
        "before": round(sign.before, 2),
        "text": files.text_at(sources, sign.place) if sign.place >= 0 else "",
    }
