"""Judges a recorded history: reads the file, gives the pure checkers a clock and a budget, says what came out."""

import time
from pathlib import Path

from coordctl.results.check import Check, CheckEvidence
from coordnode.checking.history import History, Value
from coordnode.checking.judge import NOT_GIVEN, judge
from coordnode.checking.linearizable import Budget, told
from coordnode.checking.models import shown
from coordnode.checking.reading import json_value, parse_history
from coordnode.checking.verdict import Evidence, Verdict
from coordnode.errors import BadRequest, HistoryError

EXIT_CODES = {"pass": 0, "violation": 2, "unknown": 3}
LAST_OPERATIONS = 12  # of the shortest impossible beginning, those that are shown


def check(path: Path, model: str, initial: str | None, complete: bool, seconds_max: float, bytes_max: float) -> Check:
    import psutil  # not before it is needed: 30 ms

    begin = time.monotonic()
    process = psutil.Process()
    try:
        history = parse_history(path.read_bytes())
    except HistoryError as error:
        raise HistoryError(f"{path}: {error.sentence}") from None
    first = NOT_GIVEN if initial is None else _initial(initial)
    read_bytes = process.memory_info().rss
    budget = Budget(
        out_of_time=lambda: time.monotonic() - begin > seconds_max,
        out_of_memory=lambda: process.memory_info().rss - read_bytes > bytes_max,
    )
    verdict = judge(history, model, budget, first, complete)
    return _result(path, history, verdict, time.monotonic() - begin)


def _initial(text: str) -> Value:
    try:
        return json_value(text)
    except HistoryError:
        raise BadRequest(f"--initial {shown(text)} is not JSON") from None


def _result(path: Path, history: History, verdict: Verdict, seconds: float) -> Check:
    reason = verdict.reason
    if history.model and history.model != verdict.model:
        reason += f" (the file says that it is of model {shown(history.model)})"
    return Check(
        outcome=verdict.outcome,
        exit_code=EXIT_CODES[verdict.outcome],
        history=str(path),
        model=verdict.model,
        reason=reason,
        method=verdict.method,
        operations=verdict.operations,
        partitions=verdict.partitions,
        steps=verdict.steps,
        elapsed_ms=round(seconds * 1000),
        evidence=None if verdict.evidence is None else _evidence(verdict.evidence),
    )


def _evidence(evidence: Evidence) -> CheckEvidence:
    return CheckEvidence(
        operation=told(evidence.operation),
        key=None if evidence.partition is None else shown(evidence.partition),
        other=None if evidence.other is None else told(evidence.other),
        expected=evidence.expected,
        prefix_operations=len(evidence.prefix),
        prefix_last=[told(operation) for operation in evidence.prefix[-LAST_OPERATIONS:]],
    )
