"""What all tests share. Figures that they show, such as how many points were tried, stand at the end of a run."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SECONDS = Path(__file__).with_name("seconds.txt")
IS_MEASURED = os.environ.get("COORD_SECONDS", "0") not in ("", "0")  # then the file is written anew
LONG_SECONDS_MIN = 3


@pytest.fixture(autouse=True)
def _nobody_in_particular() -> Iterator[None]:
    """A verb that is called in this process becomes the operator of its cluster; the next test's clients are not."""
    before = {name: value for name, value in os.environ.items() if name.startswith("COORD")}
    yield
    for name in [name for name in os.environ if name.startswith("COORD")]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    return lambda sentence: record_property("figure", sentence)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files are given out to several workers, those that take longest go first: none is left alone with one of them at the end."""
    if hasattr(config, "workerinput"):
        seconds = {path: int(number) for number, path in (line.split() for line in SECONDS.read_text(encoding="utf-8").splitlines())}
        items.sort(key=lambda item: -seconds.get(item.nodeid.partition("::")[0], 0))


def _measure(reports: Iterator[pytest.TestReport]) -> None:
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        seconds[report.nodeid.partition("::")[0]] += report.duration
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    lines = [f"{number:.0f} {path}\n" for path, number in longest if number >= LONG_SECONDS_MIN]
    SECONDS.write_text("".join(lines), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if IS_MEASURED:
        _measure(one for many in terminalreporter.stats.values() for one in many if isinstance(one, pytest.TestReport))
    called = (one for many in terminalreporter.stats.values() for one in many if isinstance(one, pytest.TestReport) and one.when == "call")
    figures = [value for one in called for name, value in one.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for sentence in figures:
            terminalreporter.line(str(sentence))
