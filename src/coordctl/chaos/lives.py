"""A member's process, as chaos sees it: what it says of itself, whether it serves, and how it is started again."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from coordctl.chaos import premises
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.facts.metrics import Metrics, parse_metrics
from coordctl.local import clusters, processes
from coordctl.local.clusters import COORDNODE, ETCD, ZOOKEEPER, LocalCluster, LocalMember, host_and_port
from coordnode.client import tls

SERVES_SECONDS_MAX = 30.0  # from a start to an answer
PAUSE_SECONDS = 0.01
ASK_SECONDS = 1.0
KNOCKS = {ETCD: b"GET /health HTTP/1.0\r\n\r\n", ZOOKEEPER: b"ruok"}  # whatever is answered, also that it wants TLS


def member_of(cluster_folder: str, name: str) -> LocalMember | None:
    cluster = premises.of(cluster_folder).cluster()
    return None if cluster is None else of(cluster, name)


def of(cluster: LocalCluster, name: str) -> LocalMember | None:
    return next((one for one in cluster.members if one.name == name), None)


def is_running(member: LocalMember | None) -> bool:
    return member is not None and processes.is_running(member.pid, member.started)


def ask(address: str, method: str, path: str, seconds: float = ASK_SECONDS) -> tuple[int, bytes]:
    """(0, b""): it gave no answer."""
    import http.client  # email, too: longer than many a look at a host takes

    host, port = host_and_port(address)
    context = tls.context_here()
    connection = (
        http.client.HTTPConnection(host, port, timeout=seconds)
        if context is None
        else http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    )
    try:
        connection.request(method, path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def answers(address: str) -> bool:
    """Its process serves: it need not be ready."""
    return ask(address, "GET", "/livez")[0] == 200


def serves(cluster: LocalCluster, member: LocalMember) -> bool:
    """Whoever connects now is answered something."""
    if cluster.engine == COORDNODE:
        return answers(member.address)
    with suppress(OSError), socket.create_connection(host_and_port(member.address), ASK_SECONDS) as connection:
        connection.sendall(KNOCKS[cluster.engine])
        connection.recv(1)
        return True
    return False


def status(address: str) -> dict[str, Any]:
    """Empty: it gave no answer."""
    code, body = ask(address, "GET", "/status")
    try:
        found = json.loads(body) if code == 200 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def metrics(address: str) -> Metrics:
    return parse_metrics(ask(address, "GET", "/metrics")[1])


def start(ledger: Ledger, entry: Entry) -> None:
    """Whoever keeps the member running does so again."""
    premises.of(ledger.cluster_folder).start(ledger, entry)


def is_kept_down(ledger: Ledger, entry: Entry) -> bool:
    """By another fault, whose time is not over: who heals that starts it."""
    return any(one.id != entry.id for one in ledger.keeping_down(entry.member))


def is_back(ledger: Ledger, entry: Entry) -> bool:
    """It runs and answers; a member that is no more, that its operator stopped, or that is kept down by another fault, need not."""
    place = premises.of(ledger.cluster_folder)
    cluster = place.cluster()
    member = None if cluster is None else of(cluster, entry.member)
    if cluster is None or member is None or is_kept_down(ledger, entry):
        return True
    if cluster.engine != COORDNODE and not place.links_end_here:  # there are no certificates of it on its host
        from coordctl.engines import looking  # pools of threads, and with them logging

        endpoint = clusters.Endpoint(member.address, member.member, member.name)
        return is_running(member) and not looking.look(cluster.engine, [endpoint], ASK_SECONDS)[0].trouble
    return (is_running(member) and serves(cluster, member)) or place.is_stopped(entry.member)


def wait_until(is_so: Callable[[], bool], seconds: float, otherwise: str, pause: float = PAUSE_SECONDS) -> str:
    """`otherwise`, or "": it is so. The last look is one of after that time: a machine that stood still did not let anything become so."""
    until = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= until
        if is_so():
            return ""
        if is_last:
            return otherwise
        time.sleep(pause)
