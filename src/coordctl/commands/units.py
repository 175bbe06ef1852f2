"""Flags that carry a unit: `10s`, `64MiB`. A bare number is refused, with the remedy."""

import re
from typing import Final

import click

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SHAPE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([A-Za-z]*)")


class _Unit(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.3 on
    def __init__(self, name: str, units: dict[str, float] | dict[str, int]) -> None:
        self.name = name
        self._units = units

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = _SHAPE.fullmatch(str(value))
        if match is None or match[2] not in self._units:
            known = ", ".join(self._units)
            example = f"10{list(self._units)[1]}"
            self.fail(f"{value!r} is no {self.name}: a number and its unit are needed ({known}), such as {example}", param, ctx)
        return float(match[1]) * self._units[match[2]]


DURATION: Final = _Unit("duration", _SECONDS)
"""In seconds."""

SIZE: Final = _Unit("size", _BYTES)
"""In bytes."""
