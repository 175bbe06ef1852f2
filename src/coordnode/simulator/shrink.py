"""Makes a failing seed smaller: fewer operations first, then fewer faults, as long as the same check still fails."""

import time
from collections.abc import Callable

import msgspec

from coordnode.simulator.report import Options, SeedReport

Run = Callable[[int, Options], SeedReport]


def shrink(red: SeedReport, run: Run, *, budget_s: float, clock: Callable[[], float] = time.monotonic) -> SeedReport:
    """The smallest failing run found within the budget; at worst the one that was given."""
    assert red.broken is not None
    attempt = _Attempt(red, run, clock() + budget_s, clock)
    _fewer_operations(attempt)
    _fewer_faults(attempt)
    _fewer_operations(attempt)
    return attempt.best


class _Attempt:
    def __init__(self, red: SeedReport, run: Run, deadline: float, clock: Callable[[], float]) -> None:
        assert red.broken is not None
        self.best = red
        self._check = red.broken.check
        self._run = run
        self._deadline = deadline
        self._clock = clock

    def fails(self, options: Options) -> bool:
        """Out of time, everything counts as passing: the best so far stays."""
        if self._clock() >= self._deadline:
            return False
        report = self._run(self.best.seed, options)
        if report.broken is None or report.broken.check != self._check:
            return False
        self.best = report
        return True


def _fewer_operations(attempt: _Attempt) -> None:
    passing = 0
    failing = attempt.best.operations
    while failing - passing > 1:
        middle = (passing + failing) // 2
        if attempt.fails(msgspec.structs.replace(attempt.best.options, operations=middle)):
            failing = min(middle, attempt.best.operations)
        else:
            passing = middle


def _fewer_faults(attempt: _Attempt) -> None:
    """Leaves out ever smaller pieces of the plan, until no single fault can be spared."""
    options = attempt.best.options
    kept = sorted(options.keep_faults if options.keep_faults is not None else range(attempt.best.planned))
    size = len(kept)
    while size and kept:
        start = 0
        while start < len(kept):
            without = kept[:start] + kept[start + size :]
            if attempt.fails(msgspec.structs.replace(attempt.best.options, keep_faults=frozenset(without))):
                kept = without
            else:
                start += size
        size //= 2
