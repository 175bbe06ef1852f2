"""Members of other engines on hosts, as somebody else would run them.

etcd by Debian's unit on the first two, as it is shipped, by a script without one on the others, which log JSON; ZooKeeper, of which
Debian has no unit, by one made here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordctl.local import foreign
from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator
from tests.processes.conftest import is_here

STORED = "/srv/etcd"  # a file system of its own
SCRIPT = "/usr/local/bin/start-etcd"
WITH_UNIT = (1, 2)
TOP = f"""engine = "etcd"
[run]
unit = "etcd"
data = "{STORED}"
"""
LOG = "/var/log/etcd.log"
OF_OTHERS = f'run = {{ start = "{SCRIPT}", log = "{LOG}" }}'


def deploy(hosts: Hosts) -> None:
    """Started, and not waited for."""
    founders = ",".join(f"e{number}=http://{hosts.address(number)}:2380" for number in range(1, hosts.count + 1))
    for number in range(1, hosts.count + 1):
        client, peer = f"http://{hosts.address(number)}:2379", f"http://{hosts.address(number)}:2380"
        said = {
            "NAME": f"e{number}",
            "DATA_DIR": f"{STORED}/data",
            "LISTEN_CLIENT_URLS": client,
            "ADVERTISE_CLIENT_URLS": client,
            "LISTEN_PEER_URLS": peer,
            "INITIAL_ADVERTISE_PEER_URLS": peer,
            "INITIAL_CLUSTER": founders,
        }
        lines = [f"ETCD_{name}={value}" for name, value in said.items()]
        hosts.run(number, "mkdir", STORED)
        hosts.run(number, "mount", "-t", "tmpfs", "-o", "size=400m,mode=700,uid=etcd,gid=etcd", "etcd", STORED)
        if number in WITH_UNIT:
            hosts.run(number, "sh", "-c", "cat > /etc/default/etcd", stdin="\n".join(lines) + "\n")
            hosts.run(number, "systemctl", "start", "--no-block", "etcd")
        else:
            program = f"setsid setpriv --reuid etcd --regid etcd --clear-groups env {' '.join(lines)} ETCD_LOGGER=zap etcd"
            hosts.run(number, "sh", "-c", f"cat > {SCRIPT}; chmod 755 {SCRIPT}", stdin=f"#!/bin/sh\n{program} >> {LOG} 2>&1 &\n")
            hosts.run(number, SCRIPT)


ZOOKEEPER = "/srv/zookeeper"
ZOOKEEPER_TOP = """engine = "zookeeper"
[run]
unit = "zookeeper-member.service"
"""
SERVICE = f"""[Service]
ExecStart=/usr/bin/java {" ".join(foreign.JAVA)} -cp {foreign.JAR} org.apache.zookeeper.server.quorum.QuorumPeerMain {ZOOKEEPER}/zoo.cfg
Restart=no
"""


def deploy_zookeeper(hosts: Hosts) -> None:
    """Started, and not waited for."""
    servers = "".join(f"server.{number}={hosts.address(number)}:2888:3888\n" for number in range(1, hosts.count + 1))
    for number in range(1, hosts.count + 1):
        address = f"clientPortAddress={hosts.address(number)}\nclientPort=2181\n"
        settings = foreign.SETTINGS.replace("clientPortAddress=127.0.0.1\n", address) + f"dataDir={ZOOKEEPER}\n{servers}"
        hosts.run(number, "mkdir", ZOOKEEPER)
        hosts.run(number, "sh", "-c", f"cat > {ZOOKEEPER}/zoo.cfg; echo {number} > {ZOOKEEPER}/myid", stdin=settings)
        hosts.run(number, "sh", "-c", "cat > /etc/systemd/system/zookeeper-member.service", stdin=SERVICE)
        hosts.run(number, "systemctl", "start", "zookeeper-member")


@contextmanager
def operated(folder: Path) -> Iterator[Operator]:
    """etcd on three hosts: a unit on two, a script on the third; and who has an inventory of them."""
    if not is_here("etcd"):
        pytest.skip(foreign.REMEDIES["etcd"])
    if fleet.why_not() or not fleet.has_systemd():
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(3, "systemd") as hosts:
        deploy(hosts)
        operator = Operator(folder, hosts)
        operator.write(top=TOP, host={3: OF_OTHERS})
        operator.trust()
        operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")
        yield operator
        operator.close()
