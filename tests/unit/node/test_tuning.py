"""What a system's bound on open files leaves for clients."""

import pytest

from coordnode.config import NodeConfig
from coordnode.net.limits import MEMBERS_MAX
from coordnode.node.tuning import FILES_RESERVED, limits


@pytest.mark.parametrize("files_max", [1_024, 4_096, 20_000, 1_048_576])
def test_clients_leave_files_for_the_log_and_for_members(files_max: int) -> None:
    bounds = limits(NodeConfig(), files_max)
    assert bounds.connections_max + bounds.strangers_max + MEMBERS_MAX + FILES_RESERVED <= files_max
    assert bounds.connections_max >= files_max // 2 or bounds.connections_max == 10_000
    assert bounds.strangers_max >= files_max // 8 or bounds.strangers_max == 1_024


def test_what_is_wanted_is_enough_where_files_abound() -> None:
    assert limits(NodeConfig(connections_max=7), 1_048_576).connections_max == 7
    assert limits(NodeConfig(), 100).connections_max > 10


def test_one_client_leaves_half_of_the_connections_to_others_unless_it_is_said_otherwise() -> None:
    assert limits(NodeConfig(), 1_048_576).client_connections_max == 5_000
    assert limits(NodeConfig(connections_max=1), 1_048_576).client_connections_max == 1
    assert limits(NodeConfig(client_connections_max=3), 1_048_576).client_connections_max == 3
