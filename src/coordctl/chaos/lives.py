"""A member's process, as chaos sees it: what it says of itself, whether it serves, and how it is started again."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

from coordctl.chaos.ledger import Entry, Ledger
from coordctl.engines import looking
from coordctl.facts.metrics import Metrics, parse_metrics
from coordctl.local import clusters, fleet, processes
from coordctl.local.clusters import COORDNODE, LocalCluster, LocalMember, host_and_port
from coordnode.client import tls

SERVES_SECONDS_MAX = 30.0  # from a start to an answer
PAUSE_SECONDS = 0.01
ASK_SECONDS = 1.0


def member_of(cluster_folder: str, name: str) -> LocalMember | None:
    cluster = clusters.read(cluster_folder)
    return None if cluster is None else of(cluster, name)


def of(cluster: LocalCluster, name: str) -> LocalMember | None:
    return next((one for one in cluster.members if one.name == name), None)


def is_running(member: LocalMember | None) -> bool:
    return member is not None and processes.is_running(member.pid, member.started)


def ask(address: str, method: str, path: str, seconds: float = ASK_SECONDS) -> tuple[int, bytes]:
    """(0, b""): it gave no answer."""
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
    """The member runs when this returns, whoever started it; unless whoever healed or stopped the cluster meanwhile took the entry away."""
    with fleet.locked(ledger.cluster_folder, time.monotonic() + SERVES_SECONDS_MAX):
        cluster = clusters.read(ledger.cluster_folder)
        member = None if cluster is None else of(cluster, entry.member)
        if cluster is None or member is None or is_running(member) or ledger.find(entry) is None:
            return
        fresh = fleet.holder(cluster, member)
        if fresh is None:
            started = fleet.start_one(cluster, member)
            processes.let_go(started.process)
            fresh = started.member
        clusters.write(cluster._replace(members=tuple([fresh if one.name == entry.member else one for one in cluster.members])))


def is_back(ledger: Ledger, entry: Entry) -> bool:
    """It runs and answers; a member that is no more need not."""
    member = member_of(ledger.cluster_folder, entry.member)
    cluster = clusters.read(ledger.cluster_folder)
    if cluster is not None and cluster.engine != COORDNODE and member is not None:
        endpoint = clusters.Endpoint(member.address, member.member, member.name)
        return is_running(member) and not looking.look(cluster.engine, [endpoint], ASK_SECONDS)[0].trouble
    return member is None or (is_running(member) and answers(member.address))


def wait_until(is_so: Callable[[], bool], seconds: float, otherwise: str, pause: float = PAUSE_SECONDS) -> str:
    """`otherwise`, or "": it is so."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() >= until:
            return otherwise
        time.sleep(pause)
    return ""
