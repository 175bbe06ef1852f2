"""Backups of a cluster on hosts; it is made anew from one after all lost everything, and from one host after the others did."""

import json
import re
import shutil
from pathlib import Path

from coordctl.operations import identities
from coordnode.client.sync import connect
from tests.hosts.operator import Operator
from tests.processes.belongings import Belongings
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"


def addresses(operator: Operator) -> list[str]:
    return [f"{operator.hosts.address(number)}:7001" for number in range(1, operator.hosts.count + 1)]


def tls(operator: Operator) -> str:
    return str(operator.folder / "fleet.ca" / "clients" / "operator")


def must_be_well(operator: Operator) -> None:
    wait_until(lambda: operator.json("doctor", "-c", "fleet", code=None)["findings"] == [], "nothing to be found", 120)


def test_from_a_healthy_cluster_to_bare_hosts_and_back_also_when_it_ends_early(operator: Operator, tmp_path: Path) -> None:
    operator.trust()
    operator.ctl("deploy")
    operator.ctl("kv", "put", "color", "blue")
    old = identities.written(operator.inventory())
    assert old is not None
    with connect(addresses(operator), tls=tls(operator)) as client:
        belongings = Belongings(client)
        made = operator.json("backup", "create", "--member", "n2")
        path = str(made["backup"]["path"])  # type: ignore[index]
        belongings.go_on()
    assert operator.hosts.run(2, "find", BASE, "-maxdepth", "1", "-name", "archive-*") == ""
    assert operator.json("backup", "verify", path)["outcome"] == "ok"
    assert ", backup 0 h old" in operator.ctl("health", "-c", "fleet")

    refused = operator.run("restore", path, "-c", "fleet", "--yes")
    assert refused.returncode == 76
    assert b"nothing was touched: n1 has member n1 of cluster" in refused.stderr
    assert identities.written(operator.inventory()) == old

    operator.ctl("destroy", "--purge", "--yes", "--reason", "the end")
    damaged = tmp_path / "damaged.backup"
    shutil.copy(path, damaged)
    with damaged.open("r+b") as file:
        file.seek(damaged.stat().st_size // 2)
        file.write(b"rot")
    for command, code in ((("backup", "verify", str(damaged)), 2), (("restore", str(damaged), "-c", "fleet", "--yes"), 1)):
        refused = operator.run(*command)
        assert refused.returncode == code
        said = b" ".join((refused.stdout + refused.stderr).split())
        assert re.search(rb"damaged\.backup: part \d+ \([\w ]+\) at byte \d+ is damaged: it does not match its checksum", said), said
    assert identities.written(operator.inventory()) is None
    planned = operator.json("restore", path, "-c", "fleet", "--dry-run", code=1)
    assert (planned["outcome"], identities.written(operator.inventory())) == ("would change", None)
    # n3 has no room for its state: what was written down says what it must begin with, so that it never begins with nothing.
    operator.hosts.run(3, "mkdir", "-p", f"{BASE}/data")
    operator.hosts.run(3, "mount", "-t", "tmpfs", "-o", "size=64k", "small", f"{BASE}/data")
    failed = operator.json("restore", path, "-c", "fleet", "--yes", code=1)
    assert [host["outcome"] for host in failed["hosts"]] == ["done", "done", "failed"]  # type: ignore[attr-defined]
    operator.hosts.run(3, "umount", f"{BASE}/data")
    done = operator.json("restore", path, "-c", "fleet", "--yes")
    assert (done["outcome"], done["state"]["replaces"]) == ("done", old.cluster)  # type: ignore[index]
    assert done["state"]["digest"] == failed["state"]["digest"]  # type: ignore[index]
    steps = {host["name"]: host["steps"] for host in done["hosts"]}  # type: ignore[attr-defined]
    assert [f"make the state of member {name} from the backup" in steps[name] for name in ("n1", "n2", "n3")] == [False, False, True]
    assert operator.ctl("kv", "get", "color") == "blue"
    with connect(addresses(operator), tls=tls(operator)) as client:
        belongings.must_be_in(client, done["state"]["first_token"])  # type: ignore[index]
    config = operator.hosts.run(1, "cat", f"{BASE}/config/node.toml")
    assert f'replaces = "{old.cluster}"' in config
    assert json.loads(operator.hosts.run(3, "cat", f"{BASE}/member.json"))["replaces"] == [old.cluster]
    assert operator.json("deploy")["outcome"] == "unchanged"
    must_be_well(operator)
    assert operator.hosts.run(1, "find", "/var/tmp", "-name", "*.backup") == ""

    # Two of three hosts lose everything for good: what n3 has becomes a new cluster on all of them, once that is accepted.
    second = done["state"]["cluster_id"]  # type: ignore[index]
    operator.ctl("kv", "put", "color", "green")
    assert b"a majority of the voters is whole" in operator.run("recover", "-c", "fleet").stderr
    for number in (1, 2):
        operator.hosts.run(number, "sh", "-c", f"pkill -9 -f '[s]upervisor.py'; pkill -9 -f '[c]oordnode run'; rm -rf {BASE}/data/*")
    told = operator.json("recover", "-c", "fleet", code=76)
    assert ([one["name"] for one in told["survivors"]], told["lost"]) == (["n3"], ["n1", "n2"])  # type: ignore[attr-defined]
    done = operator.json("recover", "-c", "fleet", "--accept", "data-loss", "--reason", "two disks gone", "--yes")
    assert (done["outcome"], done["state"]["replaces"]) == ("done", second)  # type: ignore[index]
    assert operator.ctl("kv", "get", "color") == "green"
    assert operator.hosts.run(3, "ls", f"{BASE}/former").strip()
    must_be_well(operator)
