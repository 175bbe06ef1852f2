"""The HTML report of `chaos run`: what was done and who led, how fast clients were answered meanwhile, and what was shown by it."""

import time

from coordctl.report import html
from coordctl.report.html import BAD, CALM, GOOD, WARN, Badge, Block, Curve, Curves, Lane, Lanes, Mark, Page, Section
from coordctl.results.chaos import ChaosRun, ChaosVerdict
from coordnode import __version__

TONES = {0: GOOD, 1: WARN, 2: BAD, 3: WARN, 5: BAD, 130: WARN}
ABOUT = {
    "check": "histories: is what clients were told possible?",
    "log": "what members told of themselves",
    "probe": "what users must be able to do",
    "goal": "what must have happened, or nothing is shown",
    "expect": "how the cluster was in the end",
    "fault": "faults that could not be done",
    "start": "how it began",
    "load": "clients",
    "revert": "what could not be undone",
}


def page(done: ChaosRun) -> str:
    blocks: list[Block] = []
    if done.rows or done.leaders:
        blocks.append(Section("What was done, and who led", [_lanes(done), _rows(done)]))
    if done.pace:
        blocks.append(Section("How clients were answered", _pace(done)))
    for kind in ABOUT:
        found = [one for one in done.verdicts if one.kind == kind]
        if found:
            blocks.append(Section(ABOUT[kind], [_verdicts(found)], Badge(*_worst(found))))
    if done.skipped:
        blocks.append(Section("What was not done", [html.Table(("row", "why"), [(one.row, one.why) for one in done.skipped])]))
    blocks.append(Section("Again", [html.Lines([("", "$", one) for one in done.again])]))
    blocks.append(Section("As it went", [html.Lines([(_at(one.at_ms), "", one.sentence) for one in done.told])], is_folded=True))
    facts = [("cluster", done.cluster), ("seed", str(done.seed)), ("took", _at(done.elapsed_ms)), ("histories", done.kept or "not kept")]
    began = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(done.began_unix_ms / 1000))
    return html.render(
        Page(
            title=f"chaos run {done.playbook}",
            badge=Badge(done.outcome, TONES[done.exit_code]),
            summary=done.proves,
            facts=[*facts, ("began", began)],
            blocks=blocks,
            made=f"coordctl chaos run {__version__}. Times count from the begin of the run.",
        )
    )


def _at(ms: int) -> str:
    return f"{ms / 1000:.1f} s"


def _worst(found: list[ChaosVerdict]) -> tuple[str, str]:
    """Verdicts come the worst first."""
    return found[0].outcome, TONES[found[0].exit_code]


def _lanes(done: ChaosRun) -> Lanes:
    lanes = [
        Lane(f"{one.row} {one.do}", [Mark(one.began_ms, f"{one.do} {one.hit}: {one.verified}", WARN, one.began_ms + one.for_ms)])
        for one in done.rows
    ]
    names = sorted({one.leader for one in done.leaders if one.leader})
    ends = [one.at_ms for one in done.leaders[1:]] + [done.elapsed_ms]
    for name in names:
        marks = [
            Mark(one.at_ms, f"{name} leads from {_at(one.at_ms)}, term {one.term}", GOOD, until_ms)
            for one, until_ms in zip(done.leaders, ends, strict=True)
            if one.leader == name
        ]
        lanes.append(Lane(f"{name} leads", marks))
    nobody = [
        Mark(one.at_ms, f"no leader answers from {_at(one.at_ms)}", BAD, until_ms)
        for one, until_ms in zip(done.leaders, ends, strict=True)
        if not one.leader
    ]
    if nobody:
        lanes.append(Lane("no leader", nobody))
    return Lanes(0, done.elapsed_ms, ("0 s", _at(done.elapsed_ms)), lanes)


def _rows(done: ChaosRun) -> html.Table:
    rows = [(str(one.row), _at(one.began_ms), _at(one.for_ms), one.do, one.hit, one.verified) for one in done.rows]
    return html.Table(("row", "at", "for", "fault", "hit", "seen to have taken"), rows, numbers=("row", "at", "for"))


def _pace(done: ChaosRun) -> list[Block]:
    to_ms = max(done.elapsed_ms, done.pace[-1].at_ms + 1_000)
    answered = Curve("answered in a second", GOOD, [(one.at_ms, float(one.answered)) for one in done.pace])
    unknown = Curve("refused or unknown", BAD, [(one.at_ms, float(one.refused + one.unknown)) for one in done.pace])
    median = Curve("median", CALM, [(one.at_ms, one.median_ms) for one in done.pace])
    slowest = Curve("slowest", WARN, [(one.at_ms, one.slowest_ms) for one in done.pace])
    rows = [
        (_at(one.at_ms), str(one.answered), str(one.refused), str(one.unknown), f"{one.median_ms:.1f}", f"{one.slowest_ms:.1f}")
        for one in done.pace
    ]
    headings = ("second", "answered", "refused", "unknown", "median ms", "slowest ms")
    return [
        Curves("", 0, to_ms, [answered, unknown]),
        Curves("ms", 0, to_ms, [median, slowest]),
        Section("In figures", [html.Table(headings, rows, numbers=headings)], is_folded=True),
    ]


def _verdicts(found: list[ChaosVerdict]) -> html.Table:
    return html.Table(("outcome", "of", "evidence"), [(one.outcome, one.name or one.kind, one.sentence) for one in found])
