"""Clusters for tests: of bare members, or as `coordctl up` makes them; nothing of them is left behind."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.local import Home
from tests.processes.members import Cluster, running

# Begun as a job in the background of a shell: what we start would hear neither Ctrl-C nor Ctrl-\, either.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path))


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path, count=1))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def three_members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("shared"))
    made.ctl("up")
    yield made
    made.close()


@pytest.fixture
def shared(three_members: Home) -> Home:
    """Three members, up. Whoever uses it leaves all of them running."""
    return three_members
