"""Asks every member of a cluster for its /status, all at once and within one bound. Who does not answer is part of the answer."""

import json
import os
import select
import socket
import time
from collections.abc import Collection, Sequence
from typing import Any

from coordctl.engines import looking
from coordctl.engines.looking import Look
from coordctl.facts.members import ClusterFacts, MemberFacts
from coordctl.facts.metrics import parse_metrics
from coordctl.local.clusters import COORDNODE, Endpoint, LocalCluster, host_and_port
from coordnode.client import tls
from coordnode.client.identity import bearer

ANSWER_BYTES_MAX = 4 * 1024 * 1024
STATUS, METRICS = "/status", "/metrics"
TURN_SECONDS = 0.1  # one turn of waiting counts for no more: where this machine stood still, nobody was silent meanwhile
NOBODY_LISTENS = "connection refused"
NOT_PERMITTED = "is there, but shows itself only to who may read `admin`: see COORD_AUTH_TOKEN_FILE"


class _Question:
    def __init__(self, endpoint: Endpoint, path: str) -> None:
        self.endpoint = endpoint
        self.path = path
        self.trouble = ""
        self.answer = bytearray()
        self.is_over = False
        self.socket: socket.socket | tls.Secured | None = None
        self._is_sent = False
        self._places: list[Any] = []  # that its name stands for, not tried yet
        try:
            self._places = socket.getaddrinfo(*host_and_port(endpoint.address), type=socket.SOCK_STREAM)
            self._dial_next()
        except OSError as error:
            self.fail(error)

    def _dial_next(self) -> None:
        family, kind, protocol, _, name = self._places.pop(0)
        self.socket = connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            connection.connect(name)
        except BlockingIOError:
            return
        except OSError:
            if not self._places:
                raise
            connection.close()
            self._dial_next()

    def fail(self, error: OSError) -> None:
        self.end((error.strerror or str(error)).lower())

    def end(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.is_over = True
        if self.socket is not None:
            self.socket.close()

    def wanted(self) -> int:
        return select.POLLIN if self._is_sent else select.POLLOUT

    def on_ready(self) -> None:
        assert self.socket is not None
        try:
            if not self._is_sent:
                if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    if not self._places:
                        raise OSError(error, os.strerror(error))
                    self.socket.close()
                    self._dial_next()
                    return
                if tls.folder_here():
                    assert isinstance(self.socket, socket.socket)
                    self.socket = tls.secured(self.socket)
                headers = "".join([f"{name}: {value}\r\n" for name, value in bearer().items()])
                self.socket.sendall(f"GET {self.path} HTTP/1.1\r\nHost: coordnode\r\n{headers}Connection: close\r\n\r\n".encode())
                self._is_sent = True
                return
            data = self.socket.recv(1 << 20)
        except BlockingIOError:  # nothing whole has come yet
            return
        except OSError as error:
            self.fail(error)
            return
        self.answer += data
        if not data or len(self.answer) > ANSWER_BYTES_MAX:
            self.end(NOT_PERMITTED if self.answer.startswith(b"HTTP/1.1 403 ") else "")

    def body(self) -> bytes | None:
        head, _, body = bytes(self.answer).partition(b"\r\n\r\n")
        return body if not self.trouble and head.startswith(b"HTTP/1.1 200 ") else None


def ask(endpoints: Sequence[Endpoint], timeout_seconds: float, *, with_metrics: bool = False) -> list[MemberFacts]:
    """In the order of the endpoints."""
    paths = (STATUS, METRICS) if with_metrics else (STATUS,)
    questions = {path: [_Question(endpoint, path) for endpoint in endpoints] for path in paths}
    _wait([question for asked in questions.values() for question in asked], timeout_seconds)
    return [
        _facts(status, metrics.body() if metrics is not None else None)
        for status, metrics in zip(questions[STATUS], questions.get(METRICS, [None] * len(endpoints)), strict=True)
    ]


def of_members(cluster: LocalCluster, timeout_seconds: float) -> list[MemberFacts]:
    """Of a cluster of this machine, whatever its engine: the others' members say less, in the same words."""
    if cluster.engine == COORDNODE:
        return ask(cluster.endpoints(), timeout_seconds)
    found = looking.look(cluster.engine, cluster.endpoints(), timeout_seconds)
    learning = {one.address for one in found if one.role == looking.LEARNER}
    return [_foreign(cluster, one, learning) for one in found]


def _foreign(cluster: LocalCluster, one: Look, learning: Collection[str]) -> MemberFacts:
    member = next(known for known in cluster.members if known.address == one.address)
    if one.trouble:
        return MemberFacts(one.address, None, one.trouble, member.name, member.member)
    voters = [known.member for known in cluster.members if known.address not in learning]
    learners = [known.member for known in cluster.members if known.address in learning]
    config = {"voters": voters, "outgoing": [], "learners": learners, "contacts": {}, "voters_known": one.voters or len(voters)}
    log = {"first_index": 1, "last_index": one.applied, "applied": one.applied, "commit": one.applied}
    about = {"name": member.name, "member": member.member, "role": one.role, "term": one.term, "cluster": 0, "cluster_name": cluster.name}
    about |= {"leader": 0} if looking.NO_LEADER in one.alarms else {}
    status = {**about, **log, "config": config, "ready": not one.alarms, "reasons": list(one.alarms), "version": one.version}
    return MemberFacts(one.address, status, "", member.name, member.member)


def is_leaderless(facts: ClusterFacts, voters: Collection[int]) -> bool:
    """Most voters say that they know no leader, or have no process any more. One that is silent may lead all the same."""
    without = [found.member for found in facts.members if found.member in voters and _knows_no_leader(found)]
    return not facts.leader_name and 2 * len(without) > len(voters)


def _knows_no_leader(found: MemberFacts) -> bool:
    if found.status is not None:
        return found.status.get("leader") == 0
    return NOBODY_LISTENS in found.trouble.lower() or found.trouble == looking.SERVES_NOBODY


def _wait(questions: Sequence[_Question], left: float) -> None:
    turned = time.monotonic()
    while open_questions := [question for question in questions if not question.is_over]:
        poll = select.poll()
        by_descriptor = {}
        for question in open_questions:
            assert question.socket is not None
            poll.register(question.socket, question.wanted())
            by_descriptor[question.socket.fileno()] = question
        ready = poll.poll(max(0.0, min(left, TURN_SECONDS)) * 1000)
        if not ready and left <= 0:
            for question in open_questions:
                question.end("fell silent")
        for descriptor, _ in ready:
            by_descriptor[descriptor].on_ready()
        before, turned = turned, time.monotonic()
        left -= min(turned - before, TURN_SECONDS)


def _facts(question: _Question, metrics: bytes | None) -> MemberFacts:
    endpoint, trouble = question.endpoint, question.trouble
    body = question.body()
    status = _status_in(body) if body is not None else None
    if status is not None and endpoint.member and status["member"] != endpoint.member:
        trouble = f"another member answers there: {status['name']}, {status['member']}"
        status = None
    if status is None:
        return MemberFacts(endpoint.address, None, trouble or "does not speak coordnode's HTTP", endpoint.name, endpoint.member)
    text = (metrics or b"").decode(errors="replace")
    return MemberFacts(endpoint.address, status, "", status["name"], status["member"], parse_metrics(metrics or b""), text)


def _status_in(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("schema") == "coordnode.status/1" else None


def of_cluster(endpoints: Sequence[Endpoint], timeout_seconds: float, *, with_metrics: bool = False) -> ClusterFacts:
    """Also of the members that were not named but that those named know of."""
    found = _each_once(ask(endpoints, timeout_seconds, with_metrics=with_metrics))
    facts = ClusterFacts(found)
    known = {one.member for one in found} | {0}
    others = [Endpoint(contact, member) for member, contact in sorted(facts.contacts().items()) if member not in known]
    named = {one.address for one in found if one.status is None}
    # An address that was named and did not answer is that member's: it is not asked a second time.
    more = ask([other for other in others if other.address not in named], timeout_seconds, with_metrics=with_metrics) if others else []
    by_address = {other.address: other.member for other in others}
    kept = [
        MemberFacts(one.address, None, one.trouble, one.name, by_address.get(one.address, one.member)) if one.status is None else one
        for one in found
    ]
    return ClusterFacts([*kept, *more])


def _each_once(found: Sequence[MemberFacts]) -> list[MemberFacts]:
    """A process that was named twice, as `localhost` and by its number say, is one member; two with one id are not."""
    processes: dict[object, MemberFacts] = {}
    for one in found:
        said = one.status
        processes.setdefault(one.address if said is None else (one.member, said.get("address"), said.get("pid")), one)
    return list(processes.values())
