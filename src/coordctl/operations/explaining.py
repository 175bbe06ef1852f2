"""`logs explain`: the same logs as `logs diff`, and what most likely happened."""

import os
import time
from collections.abc import Mapping, Sequence

from coordctl.logs import comparing, files, remedies
from coordctl.logs.evidence import CAUSES, Evidence, Hypothesis
from coordctl.logs.explain import Explained, explain
from coordctl.operations import logs
from coordctl.operations.logs import Gathered, Whose
from coordctl.operations.windows import Asked, Times
from coordctl.results.logs import EvidenceLine, LogHypothesis, LogsExplained, LogWindow

UNEXPLAINED_MAX = 5


def explained(places: Sequence[str], whose: Whose, asked: Asked, progress: files.Progress = files.no_progress) -> LogsExplained:
    with logs.gathered(places, whose, asked) as found:
        return _explained(found, asked, progress)


def of_folder(folder: str, cut: Times, running: Mapping[str, bool] | None) -> LogsExplained:
    """What a bundle that is being made will tell."""
    found = files.find([folder], called=lambda path: os.path.relpath(path, folder))
    return _explained(Gathered(found, [], (cut.from_ms, cut.to_ms), running=running), Asked(), files.no_progress)


def _explained(found: Gathered, asked: Asked, progress: files.Progress) -> LogsExplained:
    began = time.monotonic()
    read = logs.read(found, asked, progress)
    compared = comparing.compare(read.side, read.baseline)
    evidence = Evidence(read.side, read.baseline, compared)
    verdict = explain(evidence)
    code = _code(verdict, is_told=logs.is_told(found, read), is_whole=read.is_whole)
    outcome = "unknown" if code == 3 else "normal" if verdict.normal else "planned" if code == 0 else "explained"
    window = read.side.window
    baseline = read.baseline
    return LogsExplained(
        outcome=outcome,  # type: ignore[arg-type]
        exit_code=code,  # type: ignore[arg-type]
        window=LogWindow(from_ms=window.from_ms, to_ms=window.to_ms),
        baseline=None if baseline is None else LogWindow(from_ms=baseline.window.from_ms, to_ms=baseline.window.to_ms),
        members=logs.members_of(read.side),
        hypotheses=[_shown(one, evidence) for one in verdict.hypotheses],
        unexplained=[logs.finding_of(root, read.mined.sources) for root in verdict.unknown[:UNEXPLAINED_MAX]],
        ruled_out=verdict.ruled_out,
        troubles=logs.troubles_of(read.mined),
        missing=read.missing,
        lines=read.mined.summary.lines,
        elapsed_ms=round((time.monotonic() - began) * 1_000),
        sources=[source.called for source in read.mined.sources],
    )


def _code(verdict: Explained, *, is_told: bool, is_whole: bool) -> int:
    """Unknown only where no fault is there to be told: what was planned is no answer to what began beside it."""
    if not is_told or (verdict.normal and not is_whole):
        return 3
    if verdict.unknown and all(one.is_planned for one in verdict.hypotheses):
        return 3
    return max((CAUSES[one.cause].gravity for one in verdict.hypotheses), default=0)


def _shown(one: Hypothesis, evidence_of: Evidence) -> LogHypothesis:
    cause = CAUSES[one.cause]
    engine = next(filter(None, map(evidence_of.engine, one.members)), "")
    other = remedies.remedy(engine, one.cause) if engine else None
    evidence = sorted(one.evidence, key=lambda line: line.at_ms)
    return LogHypothesis(
        cause=one.cause,
        members=list(one.members),
        since_ms=one.since_ms,
        confidence=one.confidence,  # type: ignore[arg-type]
        sentence=one.sentence,
        evidence=[EvidenceLine(at_ms=line.at_ms, member=line.member, text=line.text) for line in evidence],
        risk=one.risk,
        runbook=f"runbooks/{cause.runbook}" if cause.runbook and other is None else "",
        remedy=other.sentence if other is not None else "",
        confirm=other.confirm if other is not None else cause.confirm,
        is_planned=one.is_planned,
    )
