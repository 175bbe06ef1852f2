"""Real hosts, and an operator who may log in there. Without root there are none: each test says what is left out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Three of them, without systemd."""
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    with Hosts.opened(3, "plain") as opened:
        yield opened


@pytest.fixture
def operator(hosts: Hosts, tmp_path: Path) -> Iterator[Operator]:
    made = Operator(tmp_path, hosts)
    yield made
    made.close()
