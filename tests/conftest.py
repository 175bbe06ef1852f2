"""Figures that tests show, such as how many points were tried: all of them stand at the end of a run, whichever process found them."""

from collections.abc import Callable

import pytest


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
