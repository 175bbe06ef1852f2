"""What tests of clients share."""

import _socket
from collections.abc import Iterator

import pytest

from tests.unit.client.naming import Names
from tests.unit.unstalled import Unstalled


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(_socket, "getaddrinfo", made.getaddrinfo)
    return made


@pytest.fixture
def unstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Unstalled]:
    """The clock of clients: while the machine stands still, no lease ends, no member falls silent, and no deadline passes."""
    with Unstalled() as clock:
        monkeypatch.setattr("coordnode.client.clock.time", clock)
        yield clock
