"""A client in another language, written from docs/protocol.md alone: what the page does not say, it cannot do."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.members import Cluster, running

HERE = Path(__file__).resolve().parent
LINES_MAX = 100
COUNT = 60

node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not on PATH: the client in JavaScript is left out")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from running(Cluster(tmp_path))


def test_the_page_is_enough_for_a_short_client() -> None:
    assert len((HERE / "client.mjs").read_text(encoding="utf-8").splitlines()) <= LINES_MAX


@node
def test_a_client_in_javascript_puts_gets_watches_and_follows_the_leader(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    leader = cluster.leader()
    follower = next(one for one in cluster.members.values() if one is not leader)
    command = ["node", str(HERE / "story.mjs"), f"{follower.address[0]}:{follower.address[1]}", str(COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as story:
        assert story.stdout is not None
        said = []
        for line in story.stdout:
            said.append(json.loads(line))
            if said[-1].get("put") == COUNT // 3:
                leader.kill()
        _, complaint = story.communicate()
    assert story.returncode == 0, complaint
    assert said[0]["got"] == "0"
    assert said[0]["absent"] is None
    revisions, seen = said[-1]["revisions"], said[-1]["seen"]
    assert revisions == sorted(set(revisions)), "each put once, in order"
    wanted = [
        {"revision": revision, "kind": 0, "key": f"node/{number}", "value": f"ä{number}" if number else "0"}
        for number, revision in enumerate(revisions)
    ]
    assert seen == wanted
