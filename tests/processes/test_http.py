"""The HTTP API of real members: every member serves all of it, whoever leads, whoever dies."""

import http.client
import json
import signal
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.processes.members import PATIENCE_S, Cluster, Process, resident_bytes, running

NOT_THERE = 'coordnode_http_requests_total{status="404"}'


class Said(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class Speaker:
    """One kept connection to one member."""

    def __init__(self, member: Process) -> None:
        self.connection = http.client.HTTPConnection(*member.address, timeout=PATIENCE_S)

    def ask(self, method: str, target: str, body: object = None, **headers: str) -> Said:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        self.connection.request(method, target, body, sent)  # type: ignore[arg-type]
        answer = self.connection.getresponse()
        return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self.connection.close()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Whoever uses it leaves all of them running, and has names of its own."""
    for made in running(Cluster(tmp_path_factory.mktemp("quiet"))):
        made.start()
        made.wait_ready()
        yield made


def speaking(cluster: Cluster) -> Iterator[dict[int, Speaker]]:
    made = {number: Speaker(member) for number, member in cluster.members.items()}
    yield made
    for speaker in made.values():
        speaker.close()


@pytest.fixture
def speakers(quiet: Cluster) -> Iterator[dict[int, Speaker]]:
    yield from speaking(quiet)


@pytest.fixture
def own(cluster: Cluster) -> Iterator[dict[int, Speaker]]:
    """To members that are killed or stopped."""
    cluster.start()
    cluster.wait_ready()
    yield from speaking(cluster)


def test_every_member_serves_everything(speakers: dict[int, Speaker]) -> None:
    for number, speaker in speakers.items():
        put = speaker.ask("PUT", f"/v1/kv/by/{number}", b"v%d" % number)
        assert put.status == 200
        for other in speakers.values():
            got = other.ask("GET", f"/v1/kv/by/{number}")
            assert got.status == 200
            assert got.json()["item"]["value"] == f"v{number}"
            assert got.json()["revision"] >= put.json()["revision"]
            assert other.ask("HEAD", f"/v1/kv/by/{number}").body == b""
            assert other.ask("GET", f"/v1/kv/by/{number}", Accept="application/octet-stream").body == b"v%d" % number
    one = speakers[1]
    assert one.ask("GET", "/v1/kv/nothing").status == 404
    first = one.ask("GET", "/v1/kv?prefix=by/&limit=2").json()
    assert (len(first["items"]), first["more"]) == (2, True)
    rest = one.ask("GET", f"/v1/kv?start={first['next_start']}&end=by0").json()
    assert [item["key"] for item in first["items"] + rest["items"]] == ["by/1", "by/2", "by/3"]
    assert one.ask("PUT", "/v1/kv/by/1?prev_revision=0", b"x").status == 412
    assert one.ask("DELETE", "/v1/kv?prefix=by/&limit=2").json() | {"revision": 0} == {"revision": 0, "deleted": 2, "more": True}
    assert one.ask("DELETE", "/v1/kv/by/3").json()["deleted"] == 1
    done = one.ask(
        "POST", "/v1/transactions", {"compares": [{"key": "new", "field": "version"}], "then": [{"op": "put", "key": "new", "value": "1"}]}
    )
    assert done.json()["succeeded"] is True
    for speaker in speakers.values():
        assert speaker.ask("POST", "/v1/counters/c", {"delta": 2}, Idempotency_Key="c-1").json()["value"] == 2
    assert one.ask("GET", "/v1/counters/c").json()["value"] == 2
    assert one.ask("DELETE", "/v1/counters/c").json()["deleted"] == 1


def test_an_idempotency_key_makes_it_happen_once_whoever_is_asked(speakers: dict[int, Speaker]) -> None:
    revisions = {speaker.ask("PUT", "/v1/kv/once", b"x", Idempotency_Key='"k-1"').json()["revision"] for speaker in speakers.values()}
    assert len(revisions) == 1
    reused = speakers[1].ask("POST", "/v1/transactions", {"then": []}, Idempotency_Key="k-1")
    assert reused.status == 400
    opened = [speaker.ask("POST", "/v1/sessions", {"ttl_ms": 30_000}, Idempotency_Key="s-1").json() for speaker in speakers.values()]
    assert opened[0] == opened[1] == opened[2]
    assert speakers[1].ask("DELETE", f"/v1/sessions/{opened[0]['session']}").status == 200


def test_a_key_opens_one_session_however_much_is_answered_in_between(single: Cluster) -> None:
    """Ten answers of a megabyte leave no room for what was kept of the opening: the session itself must know its key."""
    single.start()
    single.wait_ready()
    member = single.members[1]
    speaker = Speaker(member)
    assert speaker.ask("PUT", "/v1/kv/big", b"x" * 1_000_000).status == 200
    opened, read = {"ttl_ms": 60_000}, {"then": [{"op": "get", "key": "big"}]}

    def fill(name: str) -> None:
        for number in range(10):
            assert speaker.ask("POST", "/v1/transactions", read, Idempotency_Key=f"{name}-{number}").status == 200

    sessions = [speaker.ask("POST", "/v1/sessions", opened, Idempotency_Key="worker-1").json()["session"]]
    fill("before")
    sessions.append(speaker.ask("POST", "/v1/sessions", opened, Idempotency_Key="worker-1").json()["session"])
    for session in sorted({*sessions}):
        assert speaker.ask("DELETE", f"/v1/sessions/{session}").status == 200
    fill("after")
    assert sessions[0] == sessions[1]
    speaker.close()
    member.kill()
    member.start()
    single.wait_ready()
    speaker = Speaker(member)
    assert speaker.ask("POST", "/v1/sessions", opened, Idempotency_Key="worker-1").json()["session"] == sessions[0] + 1
    speaker.close()


def test_a_session_from_its_opening_to_its_end(speakers: dict[int, Speaker]) -> None:
    one, two = speakers[1], speakers[2]
    session = one.ask("POST", "/v1/sessions", {"ttl_ms": 30_000, "owner": "tests"}).json()["session"]
    for _ in range(2):  # the same sequence: once
        put = two.ask("PUT", "/v1/kv/bound?bound=true", b"x", Coord_Session=str(session), Coord_Sequence="1", Coord_Lowest_Open="1")
        assert put.status == 200
    item = one.ask("GET", "/v1/kv/bound").json()["item"]
    assert (item["session"], item["version"]) == (session, 1)
    assert two.ask("POST", f"/v1/sessions/{session}/keep-alive").json() == {"session": session, "ttl_ms": 30_000}
    shown = one.ask("GET", "/v1/sessions").json()["sessions"]
    assert [(one["session"], one["owner"], one["keys"]) for one in shown] == [(session, "tests", 1)]
    assert two.ask("DELETE", f"/v1/sessions/{session}").status == 200
    assert one.ask("GET", "/v1/kv/bound").status == 404
    over = two.ask("POST", f"/v1/sessions/{session}/keep-alive")
    assert over.status == 410
    assert over.json()["name"] == "SessionExpired"
    assert one.ask("PUT", "/v1/kv/bound?bound=true", b"x", Coord_Session=str(session)).json()["definite"] is True


class Stream:
    """A watch as a browser's EventSource holds it."""

    def __init__(self, member: Process, target: str, last_event: int = 0, before: str = "") -> None:
        """`before`: what is read on the same connection, sent together with it."""
        self.sock = socket.create_connection(member.address, PATIENCE_S)
        resume = f"Last-Event-ID: {last_event}\r\n" if last_event else ""
        first = f"HEAD {before} HTTP/1.1\r\nHost: x\r\n\r\n" if before else ""
        self.sock.sendall(f"{first}GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{resume}\r\n".encode())
        self.rest = b""
        if before:
            self._until(b"\r\n\r\n")
        head = self._until(b"\r\n\r\n").decode()
        assert "200 OK" in head.splitlines()[0], head
        assert "Content-Type: text/event-stream" in head

    def _until(self, end: bytes) -> bytes:
        while end not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the stream ended")
            self.rest += data
        found, _, self.rest = self.rest.partition(end)
        return found

    def next(self) -> tuple[str, int, Any]:
        fields = dict(line.split(": ", 1) for line in self._until(b"\n\n").decode().splitlines())
        return fields["event"], int(fields.get("id", "0")), json.loads(fields["data"])

    def changes(self, count: int) -> list[tuple[int, str]]:
        """(revision, value) of so many changes with one event each."""
        found: list[tuple[int, str]] = []
        while len(found) < count:
            kind, revision, data = self.next()
            if kind == "change":
                assert data["revision"] == revision
                found += [(revision, event["value"]) for event in data["events"]]
        return found

    def close(self) -> None:
        self.sock.close()


def test_a_stream_goes_on_where_it_stopped_at_another_member_and_over_a_new_leader(cluster: Cluster, own: dict[int, Speaker]) -> None:
    leader = cluster.leader()
    others = [number for number in cluster.members if number != leader.member]
    stream = Stream(cluster.members[others[0]], "/v1/watch?prefix=w/")
    assert stream.next()[0] == "progress"  # in force
    writer = own[others[0]]
    wanted = [(writer.ask("PUT", f"/v1/kv/w/{number}", str(number)).json()["revision"], str(number)) for number in range(3)]
    seen = stream.changes(2)
    stream.close()
    leader.kill()
    again = Stream(cluster.members[others[1]], "/v1/watch?prefix=w/", last_event=seen[-1][0])
    for number in range(3, 6):
        said = writer.ask("PUT", f"/v1/kv/w/{number}?timeout_ms=30000", str(number), Idempotency_Key=f"w-{number}")
        wanted.append((said.json()["revision"], str(number)))
    assert seen + again.changes(4) == wanted
    again.close()


def test_a_stream_may_follow_another_request_on_its_connection(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    stream = Stream(single.members[1], "/v1/watch?prefix=w/", before="/v1/kv")
    speaker = Speaker(single.members[1])
    put = speaker.ask("PUT", "/v1/kv/w/1", b"x").json()["revision"]
    assert stream.changes(1) == [(put, "x")]
    stream.close()
    speaker.close()
    assert not single.members[1].events("bug")


def test_a_stream_that_is_not_read_holds_little_and_goes_on_in_order_or_says_where_it_cannot(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    one = single.members[1]
    mute = [Stream(one, "/v1/watch?prefix=w/") for _ in range(8)]
    before = resident_bytes(one)
    speaker = Speaker(one)
    revisions = [speaker.ask("PUT", f"/v1/kv/w/{number % 10}", b"x" * 200_000).json()["revision"] for number in range(120)]
    assert resident_bytes(one) - before < 96 * 1024 * 1024  # the history may take 16, what eight do not read half of one each
    for stream in mute:
        seen = []
        while not seen or seen[-1] < revisions[-1]:
            kind, revision, data = stream.next()
            if kind == "gap":
                assert data["floor"] > seen[-1] + 1
                break
            if kind == "change":
                seen.append(revision)
        assert seen == revisions[: len(seen)]
        stream.close()
    speaker.close()


def test_a_long_poll_answers_with_what_happened_or_after_its_time(speakers: dict[int, Speaker]) -> None:
    one = speakers[1]
    first = one.ask("PUT", "/v1/kv/p", b"1").json()["revision"]
    said = one.ask("GET", f"/v1/watch?key=p&from_revision={first}").json()
    assert [change["revision"] for change in said["changes"]] == [first]
    assert said["next_revision"] == first + 1
    assert one.ask("GET", f"/v1/watch?key=p&from_revision={first + 1}&wait_ms=10").json() == {"changes": [], "next_revision": first + 1}


def test_without_a_quorum_only_stale_reads_are_answered_and_the_rest_says_why(cluster: Cluster, own: dict[int, Speaker]) -> None:
    own[1].ask("PUT", "/v1/kv/a", b"1")
    cluster.wait_equal()
    for number in (2, 3):
        cluster.members[number].kill()
    stale = own[1].ask("GET", "/v1/kv/a?stale=true")
    assert stale.json()["item"]["value"] == "1"
    assert int(stale.headers["coord-age-ms"]) >= 0
    for method, target in (("GET", "/v1/kv/a"), ("PUT", "/v1/kv/a"), ("GET", "/v1/watch?key=a"), ("POST", "/v1/sessions/1/keep-alive")):
        said = own[1].ask(method, f"{target}{'&' if '?' in target else '?'}timeout_ms=300")
        assert said.status in (503, 504), (method, target)
        assert said.json()["sentence"]
    assert own[1].ask("GET", "/livez").status == 200


def test_a_member_that_stops_finishes_its_answers_and_ends_its_streams(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    member = next(one for one in cluster.members.values() if one.member != cluster.leader().member)
    stream = Stream(member, "/v1/watch?prefix=w/")
    stream.next()
    member.signal(signal.SIGTERM)
    with pytest.raises(ConnectionError):
        while True:
            stream.next()
    stream.close()
    assert member.wait() == 0
    assert not member.events("bug")


def test_errors_are_json_with_what_to_do(speakers: dict[int, Speaker]) -> None:
    one = speakers[1]
    for method, target, body, status in (
        ("GET", "/v1/nothing", None, 404),
        ("PATCH", "/v1/kv/a", None, 405),
        ("GET", "/v1/members?where=%FF%3D1", None, 400),
        ("GET", "/v1/queues/q/tasks?state=ready%0A", None, 400),
        ("POST", "/v1/sessions", b"{}", 415),
        ("POST", "/v1/sessions", {"ttl_ms": 1}, 400),
        ("PUT", "/v1/kv/a", bytes(2 * 1024 * 1024), 413),
        ("PUT", "/v1/kv/" + "k" * 2000, b"x", 413),
    ):
        said = one.ask(method, target, body)
        assert said.status == status, (method, target)
        error = said.json()
        assert set(error) == {"code", "name", "sentence", "definite", "retry_after_ms"}
        assert error["definite"] is True
    assert one.ask("PATCH", "/v1/kv/a").headers["allow"] == "GET, PUT, DELETE, HEAD"


def test_what_one_asks_wrongly_ends_nothing_that_others_ask(quiet: Cluster, speakers: dict[int, Speaker]) -> None:
    """They share the member's connection to the leader."""
    one = speakers[1]
    waiting = Stream(quiet.members[1], "/v1/watch?prefix=w/")
    assert waiting.next()[0] == "progress"
    for number in ("0" * 40 + "9", "1" * 5_000):
        refused = one.ask("GET", "/v1/watch?key=a", Accept="text/event-stream", Last_Event_ID=number)
        assert (refused.status, refused.json()["name"]) == (400, "BadRequest")
    for target in ("/v1/queues/q/tasks", "/v1/journals/j/records"):
        refused = one.ask("POST", target, b"written by a page", Origin="http://evil.example", Content_Type="text/plain")
        assert (refused.status, refused.json()["name"]) == (403, "NotPermitted")
    assert one.ask("GET", "/v1/queues/q").status == 404
    put = one.ask("PUT", "/v1/kv/w/1", b"1").json()
    assert waiting.changes(1) == [(put["revision"], "1")]
    waiting.close()
    assert not [event for member in quiet.members.values() for event in member.events("bug")]


def test_nobody_is_told_of_bugs(quiet: Cluster, speakers: dict[int, Speaker]) -> None:
    def unknown() -> float:
        """Requests for what is not there."""
        lines = quiet.members[2].get("/metrics")[1].decode().splitlines()
        return sum(float(line.removeprefix(NOT_THERE)) for line in lines if line.startswith(NOT_THERE))

    document = speakers[1].ask("GET", "/v1/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    before = unknown()
    speakers[2].ask("GET", "/v1/kv/nobody-put-it")
    assert unknown() == before + 1
    assert not [event for member in quiet.members.values() for event in member.events("bug")]
