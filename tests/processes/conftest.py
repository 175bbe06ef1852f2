"""A cluster of three for each test that asks for one; nothing of it is left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.members import Cluster, running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path))


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path, count=1))
