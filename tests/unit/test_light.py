"""What stands in for typing and contextlib in modules that must load fast behaves as the originals do."""

import contextlib
import importlib
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

light: ModuleType = importlib.import_module("coordnode.light")  # as it runs: to a type checker it is typing's own

BODY = """
from __future__ import annotations


class Point(NamedTuple):
    x: int
    y: int = 2
    label: str = ""

    def far(self) -> int:
        return self.x + self.y

    @property
    def named(self) -> str:
        return self.label or "?"


class Nothing(NamedTuple):
    pass
"""
CASES: list[Callable[[Any, Any], Any]] = [
    lambda Point, _: (Point(1), Point(1, 5), Point(y=3, x=4), Point(*[1, 2, "a"])),
    lambda Point, _: (repr(Point(1, label="a")), Point(1) == (1, 2, ""), hash(Point(1)), Point(1)[0], len(Point(1)), [*Point(1)]),
    lambda Point, _: (Point(1).far(), Point(1).named, Point(1, 2, "a").named),
    lambda Point, _: (Point(1)._replace(y=7), Point(1)._asdict(), Point._fields, Point.__match_args__),
    lambda Point, Nothing: (Nothing(), repr(Nothing()), Nothing._fields, bool(Nothing())),
    lambda Point, _: Point(1) < Point(2),
]
MISTAKES: list[Callable[[Any], Any]] = [
    lambda Point: Point(),
    lambda Point: Point(1, 2, "", 4),
    lambda Point: Point(1, x=1),
    lambda Point: Point(1, z=1),
    lambda Point: Point(1)._replace(z=1),
]


def made(base: Any) -> tuple[Any, Any]:
    names: dict[str, Any] = {"NamedTuple": base, "__name__": "here"}
    exec(BODY, names)
    return names["Point"], names["Nothing"]


def test_a_named_tuple_is_as_typing_makes_it() -> None:
    ours, theirs = made(light.NamedTuple), made(typing.NamedTuple)
    for case in CASES:
        assert case(*ours) == case(*theirs)
    for mistake in MISTAKES:
        for point in (ours[0], theirs[0]):
            with pytest.raises((TypeError, ValueError)):
                mistake(point)
    for point in (ours[0], theirs[0]):
        with pytest.raises(AttributeError):
            point(1).x = 2
        with pytest.raises(AttributeError):
            point(1).other = 2
        match point(1, 2, "a"):
            case point(x, y, label="a"):
                assert (x, y) == (1, 2)
            case _:
                raise AssertionError


def test_suppress_is_as_contextlib_has_it() -> None:
    for suppress in (light.suppress, contextlib.suppress):
        with suppress(OSError, ValueError):
            raise FileNotFoundError
        with suppress(OSError):
            pass
        with pytest.raises(KeyError), suppress(OSError):
            raise KeyError


def test_a_kind_of_number_is_a_number() -> None:
    kind = light.NewType("kind", int)
    assert (kind(3), kind("4")) == (3, 4)
