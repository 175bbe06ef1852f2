"""docs/guarantees.md cannot rot: every test, check, story, fault and mark that it names exists, and every promise names some.

Nor can docs/simulator.md: its commands and tests exist; nor the tests that docs/lock-run.md names.
"""

import ast
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from coordnode.simulator import faults, marks
from coordnode.simulator.command import _parser

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
WITHOUT_TESTS = ("Not promised", "Not built yet")

A_TEST = re.compile(r"([\w/]+\.py)::(\w+)")
A_NAME = re.compile(r"(check|story|fault|mark):(.+)")


@cache
def checks() -> list[str]:
    """Names of checkers' classes, and those that the simulator's own checks raise PromiseBroken with."""
    found: dict[str, None] = {}
    source = ROOT / "src" / "coordnode"
    for path in sorted([*source.glob("checking/*.py"), *source.glob("simulator/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name: ast.expr | None = None
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "name":
                name = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "PromiseBroken":
                name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found[name.value] = None
    return list(found)


@cache
def functions_of(path: Path) -> list[str]:
    if not path.is_file():
        return []
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def stories() -> list[str]:
    folder = TESTS / "transcripts"
    return [path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.txt")]


KINDS: dict[str, Callable[[], list[str]]] = {
    "check": checks,
    "story": stories,
    "fault": lambda: list(faults.KINDS),
    "mark": lambda: list(marks.MARKS),
}


def references(text: str) -> list[str]:
    return [quoted for quoted in re.findall(r"`([^`]+)`", text) if A_TEST.fullmatch(quoted) or A_NAME.fullmatch(quoted)]


def is_there(reference: str) -> bool:
    test = A_TEST.fullmatch(reference)
    if test is not None:
        return test[2].startswith("test_") and test[2] in functions_of(TESTS / test[1])
    name = A_NAME.fullmatch(reference)
    assert name is not None
    return name[2] in KINDS[name[1]]()


def missing(page: str) -> list[str]:
    return [reference for reference in references(page) if not is_there(reference)]


def promises(page: str) -> list[str]:
    """Every row of every table that promises something."""
    rows: list[str] = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title not in WITHOUT_TESTS:
            rows += [row for row in re.findall(r"^\| .*$", text, re.MULTILINE) if not row.startswith("| promise ")]
    return rows


def test_everything_named_exists() -> None:
    assert missing(PAGE) == []


def test_every_promise_names_what_shows_it() -> None:
    rows = promises(PAGE)
    assert len(rows) > 60
    assert [row for row in rows if not references(row)] == []


def test_nothing_that_looks_like_a_reference_escapes() -> None:
    looks = [quoted for quoted in re.findall(r"`([^`]+)`", PAGE) if "::" in quoted or quoted.split(":")[0] in KINDS]
    assert [quoted for quoted in looks if quoted not in references(PAGE) and quoted not in [f"{kind}:" for kind in KINDS]] == []


def test_every_check_stands_for_a_promise() -> None:
    named = [reference.removeprefix("check:") for reference in references(PAGE)]
    assert len(checks()) > 15
    assert [check for check in checks() if check not in named] == [], "name them in docs/guarantees.md, at the promise that they check"


@pytest.mark.parametrize(
    "reference",
    [
        "unit/raft/test_regain.py::test_that_was_renamed",
        "unit/raft/test_gone.py::test_one_vote_in_a_term",
        "unit/raft/hand_driven.py::core",
        "check:no-such-check",
        "story:raft/never_told",
        "fault:boredom",
        "mark:never reached",
    ],
)
def test_what_does_not_exist_is_noticed(reference: str) -> None:
    assert missing(f"| a promise | `{reference}` |") == [reference]


# --- the simulator's page --------------------------------------------------------------------------------------------


SIMULATOR = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_the_simulators_page_names_only_flags_that_exist() -> None:
    lines = re.findall(r"coordnode simulate ([^#`\n]*)", SIMULATOR)
    named = [flag for line in lines for flag in re.findall(r"(?:^|\s)(--?[a-z][\w-]*)", line)] + re.findall(r"`(--[a-z][\w-]*)", SIMULATOR)
    known = [flag for action in _parser()._actions for flag in action.option_strings]
    assert len({*named}) > 8
    assert [flag for flag in named if flag not in known] == []
    for line in lines:
        if line.strip():
            _parser().parse_args(shlex.split(line))


def test_the_simulators_page_names_only_tests_and_checks_that_exist() -> None:
    paths = re.findall(r"tests/[\w/]+\.py", SIMULATOR) + [f"tests/{path}" for path in re.findall(r"`(simulator/\w+\.py)`", SIMULATOR)]
    assert len(paths) > 3
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    (check,) = re.findall(r"^red +seed \d+ at [\d.]+ s: ([\w-]+):", SIMULATOR, re.MULTILINE)
    assert check in checks()


def test_the_runners_page_names_only_tests_that_exist() -> None:
    page = (ROOT / "docs" / "lock-run.md").read_text(encoding="utf-8")
    named = A_TEST.findall(page)
    assert len(named) > 15
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(TESTS / "processes" / "runner" / path)]
    assert missing == []
