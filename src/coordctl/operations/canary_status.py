"""What a canary that runs here, or ran, has seen: `canary status`, and the line of it in `status`."""

import time

from coordctl.canary.budget import Past, Share, of_window
from coordctl.canary.judgement import OUTCOMES
from coordctl.local import canaries
from coordctl.results.canary import CanaryStatus, CanaryWindow

WINDOWS_MS = (("10m", 600_000), ("1h", 3_600_000))
OVERDUE_TIMES = 3  # intervals without a round: nobody looks any more
OVERDUE_SECONDS_MIN = 30.0
OBJECTIVE = 0.999  # of rounds that are well


def status(cluster: str) -> CanaryStatus:
    kept = canaries.read(cluster)
    now_ms = time.time_ns() // 1_000_000
    if kept is None or not kept.rounds:
        sentence = f"no canary has run here for {cluster}: start one with `coordctl canary install`, or `canary run`"
        return CanaryStatus(
            outcome="unknown",
            exit_code=3,
            cluster=cluster,
            sentence=sentence,
            windows=[],
            last_unix_ms=None,
            last_failure_unix_ms=None,
            last_failure="",
        )
    past = [Past(*one) for one in kept.rounds]
    shares = [(name, of_window(past, now_ms, window_ms)) for name, window_ms in WINDOWS_MS]
    newest = past[-1]
    failure = next((one for one in reversed(past) if one.level in (1, 2)), None)
    overdue_ms = max(OVERDUE_SECONDS_MIN, OVERDUE_TIMES * kept.interval_seconds) * 1_000
    if now_ms - newest.unix_ms > overdue_ms:
        level, sentence = 3, f"the last round was {(now_ms - newest.unix_ms) / 1_000:.0f} s ago: the canary does not run"
    else:
        recent = [one for one in past if now_ms - one.unix_ms <= overdue_ms]
        level = max(one.level for one in recent) if all(one.level < 3 for one in recent) else newest.level
        sentence = _sentence(shares[0][1], newest)
    return CanaryStatus(
        outcome=OUTCOMES[level],
        exit_code=level,
        cluster=cluster,
        sentence=sentence,
        windows=[_window(name, one) for name, one in shares],
        last_unix_ms=newest.unix_ms,
        last_failure_unix_ms=failure.unix_ms if failure is not None else None,
        last_failure=failure.sentence if failure is not None else "",
    )


def _sentence(found: Share, newest: Past) -> str:
    words = f"{1 - found.ratio:.1%} of {found.seen} rounds in 10 m were well"
    return words + (f"; now: {newest.sentence}" if newest.level else "")


def _window(name: str, found: Share) -> CanaryWindow:
    budget = (1 - OBJECTIVE) * found.seen
    return CanaryWindow(
        window=name,
        rounds=found.seen,
        failed=found.failed,
        ratio_low=round(found.low, 6),
        ratio_high=round(found.high, 6),
        budget_used=round(found.failed / budget, 3) if budget else 0.0,
    )
