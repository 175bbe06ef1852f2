"""Histories that others recorded against real systems, with verdicts that are known: each must be judged rightly, and soon."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coordnode.checking.certificate import verify
from coordnode.checking.judge import judge, model_named
from coordnode.checking.linearizable import Budget
from coordnode.checking.reading import parse_history
from coordnode.checking.verdict import PASS, VIOLATION

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "histories"
SECONDS_MAX = 30.0  # of a processor: what others do on this machine is no fault of the judge


def test_every_recorded_history_is_judged_rightly(figure: Callable[[str], None]) -> None:
    if not (FOLDER / "MANIFEST.json").exists():
        pytest.skip(f"the recorded histories are not beside this checkout: no {FOLDER}")
    manifest = json.loads((FOLDER / "MANIFEST.json").read_text(encoding="utf-8"))
    assert manifest, "a manifest that names nothing proves nothing"
    begin = time.process_time()
    wrong = []
    for name, entry in manifest.items():
        model_name = entry["model"].split("(")[0].split()[0]  # what follows says how it begins: nil, "", 0
        history = parse_history((FOLDER / name).read_bytes())
        verdict = judge(history, model_name, Budget(out_of_time=lambda: time.process_time() - begin > SECONDS_MAX))
        if verdict.outcome != (PASS if entry["valid"] else VIOLATION):
            wrong.append((name, entry, verdict.outcome, verdict.reason))
        if verdict.outcome == PASS:
            model = model_named(model_name)
            assert verify(model, model.relevant(history.operations), verdict.certificate) == "", name
    seconds = time.process_time() - begin
    figure(f"{len(manifest)} recorded histories, {len(wrong)} wrong verdicts, {seconds:.2f} s together")
    assert not wrong
    assert seconds <= SECONDS_MAX
