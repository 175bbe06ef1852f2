"""How fast clients were answered, second by second, from what they wrote down. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SECOND_NS = 1_000_000_000


class Second(NamedTuple):
    at_ms: int  # its begin, from that of the run
    answered: int
    refused: int  # surely did not happen
    unknown: int  # may have happened
    median_ms: float  # of what was answered; 0: nothing was
    slowest_ms: float


def by_second(events: Sequence[Mapping[str, Any]], began_ns: int) -> list[Second]:
    """Each question counts in the second in which its answer came; seconds without any are there, too."""
    asked: dict[int, int] = {}
    answered: dict[int, list[float]] = {}
    others: dict[tuple[int, str], int] = {}
    last = 0
    for event in sorted(events, key=lambda one: (one["time"], one["type"] != "invoke")):
        process, at_ns = int(event["process"]), int(event["time"])
        if event["type"] == "invoke":
            asked[process] = at_ns
            continue
        if event["f"] == "lost" or process not in asked:
            continue
        second = max(0, at_ns - began_ns) // SECOND_NS
        last = max(last, second)
        if event["type"] == "ok":
            answered.setdefault(second, []).append((at_ns - asked.pop(process)) / 1e6)
        else:
            del asked[process]
            others[second, event["type"]] = others.get((second, event["type"]), 0) + 1
    return [_second(second, sorted(answered.get(second, [])), others) for second in range(last + 1)] if answered or others else []


def _second(second: int, took_ms: list[float], others: Mapping[tuple[int, str], int]) -> Second:
    median_ms, slowest_ms = (took_ms[len(took_ms) // 2], took_ms[-1]) if took_ms else (0.0, 0.0)
    refused, unknown = others.get((second, "fail"), 0), others.get((second, "info"), 0)
    return Second(second * 1_000, len(took_ms), refused, unknown, round(median_ms, 2), round(slowest_ms, 2))
