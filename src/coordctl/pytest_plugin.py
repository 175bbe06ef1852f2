"""The fixture `coordnode_cluster` for the tests of those who use the client: a real, durable member of the test's own.

Loaded by pytest in every project where coordctl is installed, so nothing is imported before the fixture is asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from coordnode.client.sync import Cluster

READY_SECONDS_MAX = 30.0


@pytest.fixture
def coordnode_endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a fresh cluster of one member listens; it ends, and its data goes, with the test."""
    from coordctl.local import clusters
    from coordctl.operations import local

    folder = str(tmp_path_factory.mktemp("coordnode"))
    up = local.up(folder, 1, READY_SECONDS_MAX)
    try:
        yield ",".join(up.endpoints)
    finally:
        cluster = clusters.read(folder)
        assert cluster is not None
        local.down(cluster, purge=True, timeout_seconds=READY_SECONDS_MAX)


@pytest.fixture
def coordnode_cluster(coordnode_endpoints: str) -> Iterator["Cluster"]:
    """The blocking client of such a cluster. For another shell: coordnode.client.aio.connect(coordnode_endpoints)."""
    from coordnode.client.sync import connect

    with connect(coordnode_endpoints) as cluster:
        yield cluster
