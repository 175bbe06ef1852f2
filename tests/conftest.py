"""What all tests share. Figures that they show, such as how many points were tried, stand at the end of a run."""

import os
from collections.abc import Callable, Iterator

import pytest


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    called = (one for many in terminalreporter.stats.values() for one in many if isinstance(one, pytest.TestReport) and one.when == "call")
    figures = [value for one in called for name, value in one.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for sentence in figures:
            terminalreporter.line(str(sentence))
