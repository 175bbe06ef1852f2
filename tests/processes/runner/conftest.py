"""What the tests of runners share: the same contract on each engine that is on this machine."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordctl.local import foreign
from tests.door import IS_LONG
from tests.processes.conftest import OTHERS, is_here
from tests.processes.local import Home

FILES = ("test_lock_run", "test_lock_run_loss", "test_lock_run_signals", "test_lock_verbs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "each_engine: also on etcd and ZooKeeper, in the door; with COORD_LONG=1 all tests of `lock` are")
    config.addinivalue_line("markers", "other_engines: on etcd and ZooKeeper, or those that are named, and not on coordnode")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """An engine that is not installed is skipped by name: .ci/run installs both."""
    if "engine" not in metafunc.fixturenames:
        return
    name = metafunc.module.__name__.rpartition(".")[2]
    on_others = (IS_LONG and name in FILES) or metafunc.definition.get_closest_marker("each_engine")
    wanted = os.environ.get("COORD_ENGINES", "coordnode,etcd,zookeeper").split(",")
    if only := metafunc.definition.get_closest_marker("other_engines"):
        wanted, on_others = [one for one in wanted if one in (only.args or OTHERS)], True
    found = [
        pytest.param(one, marks=() if is_here(one) else pytest.mark.skip(reason=foreign.REMEDIES[one])) for one in OTHERS if one in wanted
    ]
    metafunc.parametrize("engine", [*(["coordnode"] if "coordnode" in wanted else []), *(found if on_others else [])], scope="session")


@pytest.fixture
def mark() -> str:
    """Stands in the command line of everything that a test starts, as the note and in scripts."""
    return uuid.uuid4().hex


@pytest.fixture
def shared(engine: str, of_engine: Callable[[str], Home], request: pytest.FixtureRequest) -> Home:
    """Whoever uses it leaves all of them running."""
    found: Home = request.getfixturevalue("three_members") if engine == "coordnode" else of_engine(engine)
    return found


@pytest.fixture
def home(engine: str, tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path, engine)
    yield made
    made.close()
