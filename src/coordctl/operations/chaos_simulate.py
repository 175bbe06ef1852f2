"""`chaos run --simulate`: a playbook's timetable on the simulator, from many seeds; every promise is checked there."""

import os
import re
import time

from coordctl.chaos import simulated
from coordctl.chaos.playbook import Playbook
from coordctl.results.chaos import ChaosRed, ChaosSimulated
from coordnode.errors import BadRequest
from coordnode.simulator.report import Options
from coordnode.simulator.workers import in_workers

SEEDS_MAX = 100_000
SECOND_MS = 1_000


def parse_seeds(text: str) -> range:
    match = re.fullmatch(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
    if not 0 <= last - first < SEEDS_MAX:
        raise BadRequest(f"--seeds {text}: give one or a range, such as 0-99; {SEEDS_MAX} at most")
    return range(first, last + 1)


def simulate(playbook: Playbook, name: str, seeds: range) -> ChaosSimulated:
    began = time.monotonic()
    members = max(3, playbook.members_min)
    try:
        plan = simulated.plan(playbook, members)
    except simulated.NoCounterpart as error:
        raise BadRequest(str(error)) from None
    safety_ms = -(-playbook.lasts_ms // SECOND_MS) * SECOND_MS
    options = Options(members=members, safety_ms=safety_ms, plan=plan.faults)
    counts: dict[str, int] = {}
    red: list[ChaosRed] = []
    operations = done = 0
    for report in in_workers(iter(seeds), options, float("inf"), os.cpu_count() or 1):
        done += 1
        operations += report.operations
        for kind, count in report.faults.items():
            counts[kind] = counts.get(kind, 0) + count
        if report.broken is not None:
            again = f"coordctl chaos run {name} --simulate --seeds {report.seed}"
            red.append(ChaosRed(seed=report.seed, check=report.broken.check, sentence=report.broken.sentence, again=again))
    return ChaosSimulated(
        outcome="promise broken" if red else "green",
        exit_code=2 if red else 0,
        playbook=playbook.name,
        proves=playbook.proves,
        seeds=done,
        members=members,
        operations=operations,
        faults=dict(sorted(counts.items())),
        red=sorted(red, key=lambda one: one.seed),
        approximations=list(plan.approximations),
        elapsed_ms=round((time.monotonic() - began) * 1000),
    )
