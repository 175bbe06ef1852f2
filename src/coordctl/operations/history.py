"""`life` and `timeline`: what happened, told from members' folders and logs. Nobody needs to be running for it."""

import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from coordctl.local.clusters import COORDNODE
from coordctl.logs import comparing, lives
from coordctl.logs.evidence import SURGE, Evidence
from coordctl.logs.mining import Act
from coordctl.operations import logs
from coordctl.operations.folders import Folder, folders_of
from coordctl.operations.logs import Whose
from coordctl.operations.windows import Asked
from coordctl.results.history import LifeLine, TimelineLine
from coordnode.annals.retelling import OPERATOR, Happened, retell
from coordnode.errors import BadRequest, CoordError
from coordnode.storage.reader import open_reader

HOUR_SECONDS = 3_600.0
SETTINGS = {"build": "version", "config_hash": "settings"}  # facts that somebody changed; others change by themselves
NAMED = frozenset({"lock", "election", "shard", "task", "operator"})
ALARMS = (
    "quota_full",
    "quota_back",
    "refused_client",
    "space_low",
    "space_back",
    "writes_stopped",
    "diverged",
    "rotten",
    "lost_entries",
    "regained",
    "failed",
    "peer_refused",
)
SORTS = {
    **dict.fromkeys(ALARMS, "alarm"),
    **dict.fromkeys(("elected", "handed_over", "not_handed_over"), "election"),
    "config": "membership",
}


def life(name: str, folders: Sequence[Folder]) -> list[LifeLine]:
    """Of the lock, election, assignment, queue or session of that name, as far back as the newest snapshot of the fullest log."""
    return [
        LifeLine(
            at_ms=one.wall_ms,
            entry=one.entry,
            service=one.service,
            name=one.name,
            what=one.what,
            who=one.who,
            session=one.session,
            token=one.token,
            why=one.why,
        )
        for one in _retold(folders)
        if one.name == name and (one.service in NAMED or one.service == "session")
    ]


def _retold(folders: Sequence[Folder]) -> Iterator[Happened]:
    """From the folder whose log begins earliest; of those, from the longest."""
    best: tuple[int, int, str] | None = None
    troubles = []
    for folder in folders:
        if folder.trouble:
            troubles.append(f"{folder.called}: {folder.trouble}")
            continue
        try:
            reader = open_reader(folder.path)
            newest = max((found.meta.index for found in reader.snapshots() if found.complete and found.meta is not None), default=None)
            last = max((record.index for record in reader.records() if record.kind == "entry"), default=0)
        except (CoordError, OSError) as error:
            troubles.append(f"{folder.called}: {folder.told(str(error))}")
            continue
        if newest is not None and (best is None or (newest, -last) < best[:2]):
            best = (newest, -last, folder.path)
    if best is None:
        raise BadRequest(f"no member's folder can be read; {'; '.join(troubles) or 'none has a whole snapshot'}")
    yield from retell(open_reader(best[2]))


class Timeline(NamedTuple):
    lines: list[TimelineLine]
    left_out: list[str]  # what could not be had, and why


def timeline(places: Sequence[str], whose: Whose, asked: Asked) -> Timeline:
    """From logs; and, of a cluster whose members' folders can be had, what operators did through it."""
    if asked == Asked():
        asked = Asked(since_seconds=HOUR_SECONDS)
    with logs.gathered(places, whose, asked) as found:
        read = logs.read(found, asked)
    evidence = Evidence(read.side, read.baseline, comparing.compare(read.side, read.baseline))
    window = read.side.window
    lines = [*_restarts(evidence), *_acts(evidence), *_settings(evidence), *_surges(evidence)]
    to_ms = window.to_ms
    if whose is not None and not places and whose.engine == COORDNODE:  # whose folders we cannot read
        with folders_of((), whose) as all_of_them:
            there = [folder for folder in all_of_them if os.path.isdir(folder.path)]
            lines += [_operator(one) for one in (_retold(there) if there else ()) if one.service == OPERATOR]
            to_ms = max(to_ms, time.time_ns() // 1_000_000) if there else to_ms
    troubles = [f"{one.source}: {one.what}" for one in logs.troubles_of(read.mined)]
    return Timeline(
        sorted((line for line in lines if window.from_ms <= line.at_ms < to_ms), key=lambda line: line.at_ms),
        [*troubles, *(f"{member}: no line of it is there" for member in read.missing)],
    )


def _operator(one: Happened) -> TimelineLine:
    return TimelineLine(
        at_ms=one.wall_ms, sort="operator", member="", what=f"{one.name}: {one.what}".lstrip(": "), who=one.who, why=one.why
    )


def _restarts(evidence: Evidence) -> Iterator[TimelineLine]:
    words = {
        lives.STOPPED: "was asked to stop and left in order",
        lives.FAILED: "ended by itself",
        lives.KILLED: "ended without a word",
        lives.PAUSED: "did not run",
        lives.UNKNOWN: "says nothing any more",
    }
    for gap in evidence.gaps:
        until = f", {(gap.to_ms - gap.from_ms) / 1_000:.0f} s" if gap.is_over else ""
        yield TimelineLine(at_ms=gap.from_ms, sort="restart", member=gap.member, what=f"{words[gap.how]}{until}", who="", why=gap.reason)
    for act in evidence.told("started"):
        told = {"version": act.fields.get("build"), "boot": act.fields.get("boot")}
        what = ", ".join(["started", *(f"{name} {value}" for name, value in told.items() if value is not None)])
        yield TimelineLine(at_ms=act.at_ms, sort="restart", member=act.member, what=what, who="", why="")


def _acts(evidence: Evidence) -> Iterator[TimelineLine]:
    config = ""
    for act in evidence.acts:
        sort = SORTS.get(act.kind)
        if sort is None:
            continue
        what = _words(evidence, act)
        if sort == "membership":
            if what == config:  # each member tells it
                continue
            config = what
        why = str(act.fields.get("error", act.fields.get("reason", "")))
        yield TimelineLine(at_ms=act.at_ms, sort=sort, member="" if sort == "membership" else act.member, what=what, who="", why=why)


def _words(evidence: Evidence, act: Act) -> str:
    if act.kind == "elected":
        return f"leads, term {act.term}"
    if act.kind == "handed_over":
        return f"handed the lead to {evidence.name(act.fields.get('target'))}"
    if act.kind == "config":
        voters = ", ".join(evidence.name(voter) for voter in act.fields.get("voters", ()))
        outgoing = ", ".join(evidence.name(voter) for voter in act.fields.get("outgoing", ()))
        return f"voters {voters}" + (f", leaving {outgoing}" if outgoing else "")
    return act.kind.replace("_", " ")


def _settings(evidence: Evidence) -> Iterator[TimelineLine]:
    for (member, what), changes in evidence.summary.facts.items():
        if what not in SETTINGS:
            continue
        shift = evidence.side.offset(member).ms
        for (_, before), (at_ms, after) in pairwise(changes):
            words = f"{SETTINGS[what]} {before} became {after}"
            yield TimelineLine(at_ms=at_ms - shift, sort="settings", member=member, what=words, who="", why="")


def _surges(evidence: Evidence) -> Iterator[TimelineLine]:
    for sign in evidence.signs(*SURGE):
        yield TimelineLine(at_ms=sign.onset_ms, sort="clients", member=sign.member, what=evidence.number(sign).text, who="", why="")
