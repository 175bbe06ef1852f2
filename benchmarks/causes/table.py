"""The table of results: how often the right cause and member were told first, and among the first three.

    python benchmarks/causes/table.py results.jsonl [again.jsonl]

`again.jsonl`: what other rules made of the same logs, as `run.py --again` wrote it. Stars: the round in which a kind was held out.
Runs that could not be set up count for nothing and are named at the end.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.causes import kinds

Result = dict[str, Any]
NOT_SET_UP = "not_set_up"  # in place of a verdict: why there was no run
COLUMNS: dict[str, Callable[[Result], bool]] = {
    "FIRST": lambda run: run["rank"] == 1,
    "TOP 3": lambda run: 0 < run["rank"] <= 3,
    "GREP": lambda run: run["grep"],
    "FREQ": lambda run: run["frequency"],
}
WIDTH = 26
AGAIN = {"AGAIN": COLUMNS["FIRST"], "TOP 3 ": COLUMNS["TOP 3"]}
SUMS = {
    "all faults": kinds.FAULTS,
    "not held out": kinds.KNOWN,
    **{f"held out {'*' * number}": one for number, one in enumerate(kinds.HELD_OUT, 1)},
    "nothing wrong": kinds.HEALTHY,
}


def rows_of(path: str) -> dict[tuple[str, int], Result]:
    return {(run["kind"], run["seed"]): run for run in map(json.loads, Path(path).read_text().splitlines())}


def table(results: dict[tuple[str, int], Result], again: dict[tuple[str, int], Result]) -> Iterable[str]:
    failed = {key: run for key, run in results.items() if NOT_SET_UP in run}
    results = {key: run for key, run in results.items() if key not in failed}
    head = "".join(f"{name:>7}" for name in ("RUNS", *COLUMNS, *(AGAIN if again else ())))
    yield f"{'KIND':<{WIDTH}}{head}".rstrip()

    def row(name: str, wanted: Iterable[str]) -> str:
        chosen = [key for key in results if key[0] in wanted]
        counts = [len(chosen), *(sum(map(is_right, map(results.__getitem__, chosen))) for is_right in COLUMNS.values())]
        if again:
            counts += [sum(is_right(again[key]) for key in chosen if key in again) for is_right in AGAIN.values()]
        return f"{name:<{WIDTH}}" + "".join(f"{count:>7}" for count in counts)

    for kind in (*kinds.FAULTS, *kinds.HEALTHY):
        if any(key[0] == kind for key in results):
            yield row(kind + kinds.mark(kind), [kind])
    for name, wanted in SUMS.items():
        if any(key[0] in wanted for key in results):
            yield row(name, wanted)
    for (kind, seed), run in sorted(failed.items()):
        yield f"not set up: {kind} {seed}: {run[NOT_SET_UP]}"


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        print("usage: table.py RESULTS [AGAIN]", file=sys.stderr)
        return 64
    results, *again = map(rows_of, arguments)
    print("\n".join(table(results, again[0] if again else {})))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
