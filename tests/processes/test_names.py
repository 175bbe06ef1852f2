"""Members are reached by names, and a name may stand for a place where nobody listens: `localhost` for ::1, say."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordnode.client.sync import connect
from tests.processes.members import SOURCE, Cluster

HOSTS = "127.0.0.1 localhost\n{refusing} twofold\n{members} twofold\n"
COMMANDS = (
    ("kv", "put", "color", "blue"),
    ("kv", "get", "color"),
    ("lock", "run", "demo", "--timeout", "60s", "--", "true"),
    ("elect", "run", "chief", "--timeout", "60s", "--", "true"),
    ("status",),
    ("health",),
    ("doctor", "--from-here", "--timeout", "60s"),
    ("canary", "run", "--count", "1", "--timeout", "60s"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("named"), count=1)
    try:
        made.start()
        made.wait_ready()
        with connect(list(made.contacts.values())) as client:
            client.kv.put("color", "green")
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_place_of_a_name_where_somebody_listens_is_found(cluster: Cluster, tmp_path: Path, words: tuple[str, ...]) -> None:
    host, port = cluster.members[1].address
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS.format(refusing="127.0.0.1", members=host))
    as_root = [] if os.geteuid() == 0 else ["-Ur"]
    command = ["unshare", *as_root, "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORD")}
    environment = {**kept, "PYTHONPATH": str(SOURCE), "COORD_ENDPOINTS": f"twofold:{port}", "HOME": str(tmp_path)}
    seen = subprocess.run([*command, "getent", "ahosts", "twofold"], capture_output=True, text=True, env=environment, check=False)
    if seen.returncode:
        pytest.skip(f"/etc/hosts cannot be replaced here: {seen.stderr}")
    assert seen.stdout.split()[0] == "127.0.0.1", "the first place is the one where nobody is"
    done = subprocess.run(
        [*command, sys.executable, "-m", "coordctl", *words], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
