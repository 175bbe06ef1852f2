"""How one member of ZooKeeper is, by its four-letter word `srvr`."""

from coordctl.engines.looking import LEADER, LEARNER, VOTER, Look
from coordctl.hot.bare import socket
from coordctl.local.clusters import Endpoint, host_and_port

ROLES = {"leader": LEADER, "standalone": LEADER, "follower": VOTER, "observer": LEARNER}
COUNTER = (1 << 32) - 1  # of a zxid; above it is the epoch
NOT_LISTED = "srvr is not among its 4lw.commands.whitelist"


def look(endpoint: Endpoint, seconds: float) -> Look:
    try:
        said = _ask(endpoint.address, seconds)
    except OSError as error:
        trouble = "fell silent" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        return Look(endpoint.address, endpoint.name, trouble)
    fields = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    if "Mode" not in fields:
        return Look(endpoint.address, endpoint.name, NOT_LISTED if "whitelist" in said else "it serves nobody now")
    zxid = int(fields.get("Zxid", "0"), 16)
    version = fields.get("Zookeeper version", "").partition("-")[0]
    role = ROLES.get(fields["Mode"].strip(), VOTER)
    return Look(endpoint.address, endpoint.name, role=role, version=version, term=zxid >> 32, applied=zxid & COUNTER)


def _ask(address: str, seconds: float) -> str:
    host, port = host_and_port(address)
    family, kind, protocol, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(seconds)
        connection.connect(name)
        connection.sendall(b"srvr")
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
    finally:
        connection.close()
