"""What a pipeline wants to hold: `p99>20ms`, `errors>0`, `rate<400/s`. Pure."""

import re
from typing import Final, NamedTuple

from coordctl.load.latencies import MS, Latencies
from coordctl.load.tally import Tally

_SHAPE: Final = re.compile(r"(p50|p90|p99|p999|max|mean|errors|rate)\s*([<>])\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)(us|ms|s|%|/s|)", re.ASCII)
_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
EXAMPLES: Final = "'p99>20ms', 'mean>5ms', 'errors>0', 'errors>1%' or 'rate<400/s'"


class Threshold(NamedTuple):
    text: str
    figure: str
    is_above: bool  # crossed above the bound, or below it
    bound: float  # of a time in ms
    unit: str


def parse_threshold(text: str) -> Threshold:
    """Raises ValueError."""
    found = _SHAPE.fullmatch(text.strip())
    if found is not None:
        figure, sign, number, unit = found.groups()
        is_time = figure not in ("errors", "rate")
        if unit in (_MS if is_time else ("", "%") if figure == "errors" else ("/s",)):
            return Threshold(text, figure, sign == ">", float(number) * _MS.get(unit, 1.0), unit)
    raise ValueError(f"{text!r} is no threshold: give for example {EXAMPLES}")


def crossed(threshold: Threshold, tally: Tally, seconds: float) -> str:
    """How, in words; empty: it holds. A time is that of each operation by itself."""
    figure = threshold.figure
    if figure == "errors":
        asked = tally.count + tally.failures
        found = tally.failures / max(1, asked) * 100 if threshold.unit == "%" else float(tally.failures)
        return _said(threshold, found, f"{tally.failures} of {asked} failed")
    if figure == "rate":
        found = tally.count / seconds
        return _said(threshold, found, f"{found:.0f}/s succeeded")
    for operation, latencies in tally.done.items():
        value = (
            latencies.max_ns / 1e6
            if figure == "max"
            else latencies.mean_ms()
            if figure == "mean"
            else latencies.quantile_ms(QUANTILES[figure])
        )
        if value is not None and (said := _said(threshold, value, f"{figure} of {operation} is {value:.1f} ms")):
            return said
    return ""


def _time_ms(latencies: Latencies, figure: str) -> float | None:
    if figure == "max":
        return latencies.max_ns / MS
    return latencies.mean_ms() if figure == "mean" else latencies.quantile_ms(QUANTILES[figure])


def _said(threshold: Threshold, found: float, words: str) -> str:
    is_crossed = found > threshold.bound if threshold.is_above else found < threshold.bound
    return f"{words} ({threshold.text})" if is_crossed else ""
