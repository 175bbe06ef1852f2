"""What ~/.ssh/config says of a host, joined with what the inventory says."""

import math
from pathlib import Path

import pytest

from coordctl.inventory import places
from coordctl.transport.ssh_config import Target, targets
from coordnode.errors import BadRequest

CONFIG = """\
Host bastion
  ConnectTimeout 3
Host 10.0.0.1
  HostName n1.example
  User ops
  Port 2222
  ConnectTimeout 7
  ProxyJump bastion
"""


def target(folder: Path, config: str, host: str = "") -> Target:
    (folder / "config").write_text(config)
    inventory = folder / "fleet.toml"
    inventory.write_text(
        f'name = "fleet"\nenvironment = "dev"\n[ssh]\nconfig = "{folder / "config"}"\n[hosts.n1]\naddress = "10.0.0.1"\n{host}'
    )
    return targets(places.chosen(str(inventory)), {})[0]


def test_it_is_followed(tmp_path: Path) -> None:
    found = target(tmp_path, CONFIG)
    assert (found.host, found.user, found.port, found.patience_seconds) == ("n1.example", "ops", 2222, 7)
    assert found.jump is not None
    assert (found.jump.host, found.jump.port, found.jump.patience_seconds) == ("bastion", 22, 3)


def test_without_a_word_a_host_is_waited_for_as_long_as_the_verb_may_take(tmp_path: Path) -> None:
    assert target(tmp_path, "").patience_seconds == math.inf
    assert target(tmp_path, "ConnectTimeout none").patience_seconds == math.inf


@pytest.mark.parametrize("line", ["ConnectTimeout soon", "Port ssh"])
def test_what_is_no_number_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadRequest, match=rf"what ssh's configuration says of 10\.0\.0\.1: .* {line.split()[1]} is no whole number"):
        target(tmp_path, line)
