"""What tests of clients share."""

import _socket

import pytest

from tests.unit.client.naming import Names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(_socket, "getaddrinfo", made.getaddrinfo)
    return made
