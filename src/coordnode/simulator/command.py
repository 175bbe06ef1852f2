"""`coordnode simulate`: runs seeds, shows progress on stderr, and says on stdout what was proven or how to see the failure again."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from coordnode.simulator.cluster_operator import VOTERS_MAX
from coordnode.simulator.faults import parse_keep
from coordnode.simulator.marks import LONG_RUN_SEEDS, MARKS
from coordnode.simulator.report import STOCK, Options, SeedReport
from coordnode.simulator.run import run_seed
from coordnode.simulator.shrink import shrink
from coordnode.simulator.workers import in_workers

GREEN, RED, USAGE, INTERRUPTED = 0, 2, 64, 130
SHRINK_BUDGET_S = 60.0
PROGRESS_EVERY_S = 2.0


def main(argv: Sequence[str]) -> int:
    parser = _parser()
    try:
        asked = parser.parse_args(argv)
    except SystemExit as stop:
        return USAGE if stop.code else GREEN
    try:
        first, last = _parse_seeds(asked.seeds)
        options = _options(asked)
    except ValueError as error:
        print(f"coordnode simulate: {error}", file=sys.stderr)
        return USAGE
    total = _Total()
    try:
        _run_all(total, first, last, options, asked)
        if total.red and asked.shrink > 0:
            _say(f"seed {total.red[0].seed} is red; shrinking it, for {asked.shrink:.0f} s at most")
            total.smaller = shrink(total.red[0], run_seed, budget_s=asked.shrink)
        code = RED if total.red or total.marks_missed() else GREEN
    except KeyboardInterrupt:
        code = INTERRUPTED
    if asked.output == "json":
        print(json.dumps(total.as_json(code)))
    else:
        total.print(code, traces=asked.trace_hash)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coordnode simulate",
        description="Runs whole clusters under faults in virtual time and checks every promise.",
        epilog="Exit codes: 0 all promises held; 2 one was broken, or a mark was never reached in a long run; 64 usage; 130 interrupted.",
    )
    parser.add_argument("--seeds", required=True, metavar="A-B", help="first and last seed; one number means that seed alone")
    parser.add_argument("--minutes", type=float, default=0.0, metavar="M", help="begin no further seed after so many minutes")
    parser.add_argument("--members", type=int, default=0, metavar="N", help="begin with so many voters instead of a drawn number")
    parser.add_argument("--seconds", type=int, default=STOCK.safety_ms // 1_000, metavar="S", help="simulated seconds under faults")
    parser.add_argument("--operations", type=int, default=0, metavar="N", help="clients begin no more than N operations")
    parser.add_argument("--keep-faults", metavar="3,7-9", help="carry out only these faults of the seed's plan")
    parser.add_argument("--cut", metavar="M:N", help="all members lose power at disk operation N of member M")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="worker processes")
    parser.add_argument("--keep-going", action="store_true", help="run all seeds even after one was red")
    parser.add_argument("--shrink", type=float, default=SHRINK_BUDGET_S, metavar="S", help="seconds to spend on a smaller failure; 0: none")
    parser.add_argument("--trace-hash", action="store_true", help="print each seed's trace hash")
    parser.add_argument("-o", dest="output", choices=("table", "json"), default="table")
    return parser


def _parse_seeds(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise ValueError(f"--seeds wants A-B, as in 1-300, not {text!r}")
    begin, end = int(first), int(last) if dash else int(first)
    if end < begin:
        raise ValueError(f"--seeds {text} is empty; write the smaller seed first")
    return begin, end


def _options(asked: argparse.Namespace) -> Options:
    if not 0 <= asked.members <= VOTERS_MAX:
        raise ValueError("--members wants 1 to 5")
    if asked.seconds < 2:
        raise ValueError("--seconds wants at least 2")
    if asked.jobs < 1 or asked.operations < 0:
        raise ValueError("--jobs and --operations want positive numbers")
    keep = None
    if asked.keep_faults is not None:
        try:
            keep = parse_keep(asked.keep_faults)
        except ValueError:
            raise ValueError(f"--keep-faults wants numbers as in 3,7-9, not {asked.keep_faults!r}") from None
    return Options(asked.members, asked.seconds * 1_000, asked.operations, keep, _parse_cut(asked.cut) if asked.cut else None)


def _parse_cut(text: str) -> tuple[int, int]:
    member, colon, operation = text.partition(":")
    if not colon or not member.isdecimal() or not operation.isdecimal():
        raise ValueError(f"--cut wants member:operation, as in 2:317, not {text!r}")
    return int(member), int(operation)


def _run_all(total: "_Total", first: int, last: int, options: Options, asked: argparse.Namespace) -> None:
    began = time.monotonic()
    deadline = began + asked.minutes * 60 if asked.minutes else float("inf")
    shown = began
    seeds = iter(range(first, last + 1))
    reports = _in_turn(seeds, options, deadline) if asked.jobs == 1 else in_workers(seeds, options, deadline, asked.jobs)
    for report in reports:
        total.add(report)
        if report.broken is not None:
            _say(f"seed {report.seed}: {report.broken.check}: {report.broken.sentence}")
            if not asked.keep_going:
                return
        if time.monotonic() - shown >= PROGRESS_EVERY_S:
            shown = time.monotonic()
            _say(f"{total.seeds} of {last - first + 1} seeds, {total.operations} operations, {len(total.red)} red, {shown - began:.0f} s")


def _in_turn(seeds: Iterator[int], options: Options, deadline: float) -> Iterator[SeedReport]:
    for seed in seeds:
        if time.monotonic() >= deadline:
            return
        yield run_seed(seed, options)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Total:
    def __init__(self) -> None:
        self.seeds = 0
        self.simulated_ms = 0
        self.operations = 0
        self.checked = 0
        self.cpu_s = 0.0
        self.faults: dict[str, int] = {}
        self.marks = dict.fromkeys(MARKS, 0)
        self.red: list[SeedReport] = []
        self.smaller: SeedReport | None = None
        self.traces: dict[int, str] = {}

    def add(self, report: SeedReport) -> None:
        self.seeds += 1
        self.simulated_ms += report.simulated_ms
        self.operations += report.operations
        self.checked += report.checked
        self.cpu_s += report.cpu_s
        self.traces[report.seed] = report.trace
        for kind, count in report.faults.items():
            self.faults[kind] = self.faults.get(kind, 0) + count
        for mark, count in report.marks.items():
            self.marks[mark] += count
        if report.broken is not None:
            self.red.append(report)

    def marks_missed(self) -> list[str]:
        if self.seeds < LONG_RUN_SEEDS:
            return []
        return [mark for mark, count in self.marks.items() if not count]

    def as_json(self, code: int) -> dict[str, Any]:
        return {
            "schema": "coordnode.simulate.1",
            "outcome": {GREEN: "held", RED: "broken", INTERRUPTED: "interrupted"}[code],
            "exit_code": code,
            "seeds": self.seeds,
            "simulated_hours": round(self.simulated_ms / 3_600_000, 3),
            "operations": self.operations,
            "operations_checked": self.checked,
            "cpu_seconds": round(self.cpu_s, 3),
            "faults": dict(sorted(self.faults.items())),
            "marks": self.marks,
            "marks_missed": self.marks_missed(),
            "red": [_red_json(report) for report in self.red],
            "smaller": _red_json(self.smaller) if self.smaller is not None else None,
            "traces": {str(seed): trace for seed, trace in sorted(self.traces.items())},
        }

    def print(self, code: int, *, traces: bool) -> None:
        cpu_s = max(self.cpu_s, 1e-9)
        if traces:
            for seed, trace in sorted(self.traces.items()):
                print(f"trace {seed} {trace}")
        for report in sorted(self.red, key=lambda report: report.seed):
            _print_red(report)
        if self.smaller is not None:
            print(f"smaller   {self.smaller.replay_command()}")
            _print_evidence(self.smaller)
        print(f"seeds     {self.seeds}, {len(self.red)} red" + (", interrupted" if code == INTERRUPTED else ""))
        print(f"simulated {self.simulated_ms / 3_600_000:.2f} hours, {self.simulated_ms / 1_000 / cpu_s:.0f} x real time of one core")
        print(f"clients   {self.operations} operations, {self.checked} checked, {self.checked / cpu_s:.0f}/s of one core")
        print("faults    " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items())))
        print("marks     " + ", ".join(f"{mark} {count}" for mark, count in self.marks.items() if count))
        missed = [mark for mark, count in self.marks.items() if not count]
        if missed:
            print("missed    " + ", ".join(missed))
        if self.marks_missed():
            print(f"a run of {LONG_RUN_SEEDS} seeds or more must reach every mark")


def _red_json(report: SeedReport) -> dict[str, Any]:
    assert report.broken is not None
    return {"seed": report.seed, "replay": report.replay_command(), **msgspec.to_builtins(report.broken)}


def _print_red(report: SeedReport) -> None:
    assert report.broken is not None
    print(f"red       seed {report.seed} at {report.broken.at_ms / 1_000:.3f} s: {report.broken.check}: {report.broken.sentence}")
    _print_evidence(report)
    print(f"replay    {report.replay_command()}")


def _print_evidence(report: SeedReport) -> None:
    assert report.broken is not None
    for line in report.broken.evidence:
        print(f"          {line}")
