"""How one member of ZooKeeper is, by its four-letter word `srvr`."""

import time

from coordctl.engines.looking import LEADER, LEARNER, SERVES_NOBODY, VOTER, Look
from coordctl.engines.secrets import check, secured
from coordctl.hot.dialling import connect, seconds_left
from coordctl.hot.secrecy import trouble
from coordctl.local.clusters import Endpoint
from coordnode.errors import Unreachable

ROLES = {"leader": LEADER, "standalone": LEADER, "follower": VOTER, "observer": LEARNER}
COUNTER = (1 << 32) - 1  # of a zxid; above it is the epoch
NOT_LISTED = "srvr is not among its 4lw.commands.whitelist"


def look(endpoint: Endpoint, seconds: float) -> Look:
    try:
        told = said(endpoint.address, "srvr", seconds)
    except Unreachable as error:
        return Look(endpoint.address, endpoint.name, error.sentence)
    fields = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    if "Mode" not in fields:
        return Look(endpoint.address, endpoint.name, NOT_LISTED if "whitelist" in told else SERVES_NOBODY)
    zxid = int(fields.get("Zxid", "0"), 16)
    version = fields.get("Zookeeper version", "").partition("-")[0]
    role = ROLES.get(fields["Mode"].strip(), VOTER)
    return Look(endpoint.address, endpoint.name, role=role, version=version, term=zxid >> 32, applied=zxid & COUNTER)


def said(address: str, word: str, seconds: float) -> str:
    """To one of its four-letter words. Raises Unreachable."""
    check()
    until = time.monotonic() + seconds
    connection = secured(connect(address, seconds), address)
    try:
        connection.sendall(word.encode())
        parts = []
        while True:
            connection.settimeout(seconds_left(until))
            part = connection.recv(1 << 16)
            if not part:
                break
            parts.append(part)
    except OSError as error:
        raise Unreachable(trouble(error, address)) from None
    finally:
        connection.close()
    return b"".join(parts).decode(errors="replace")
