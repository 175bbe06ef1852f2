"""Clusters for tests: of bare members, or as `coordctl up` makes them; nothing of them is left behind."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordctl.local import foreign
from tests.processes.local import Home
from tests.processes.members import Cluster, running

OTHERS = ("etcd", "zookeeper")

# Begun as a job in the background of a shell: what we start would hear neither Ctrl-C nor Ctrl-\, either.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _hangups_are_heard() -> Iterator[None]:
    """Whoever runs the tests may ignore them, as with nohup. That is inherited, and what we start heeds it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path))


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path, count=1))


@pytest.fixture(scope="module")
def one_member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up, for all tests of a file: what one of them leaves behind is the next one's trouble."""
    for made in running(Cluster(tmp_path_factory.mktemp("one"), count=1)):
        made.start()
        made.wait_ready()
        yield made


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


# --- other engines -------------------------------------------------------------------------------------------------------


def is_here(engine: str) -> bool:
    return shutil.which(foreign.PROGRAMS[engine]) is not None and (engine != "zookeeper" or Path(foreign.JAR).exists())


@pytest.fixture(scope="session")
def of_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Home]]:
    """Three members of another engine, up, for all tests of this process."""
    made: dict[str, Home] = {}

    def find(engine: str) -> Home:
        if engine not in made:
            made[engine] = Home(tmp_path_factory.mktemp(engine), engine)
            made[engine].up()
        return made[engine]

    yield find
    for home in made.values():
        home.close()


@pytest.fixture
def three_of(engine: str, of_engine: Callable[[str], Home]) -> Home:
    """Whoever uses it leaves all of them running."""
    if not is_here(engine):
        pytest.skip(foreign.REMEDIES[engine])
    return of_engine(engine)
