"""Queues over HTTP: from put to done, what fails, what is refused."""

from base64 import b64decode
from urllib.parse import quote

from tests.processes.members import Cluster
from tests.processes.test_http import Speaker


def test_from_put_to_done_and_to_dead_and_back(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    one = Speaker(single.members[1])
    settings = {"retries_max": 0, "backoff_ms": 0}
    assert one.ask("PUT", "/v1/queues/mail", settings).json()["changed"] == 1
    assert one.ask("PUT", "/v1/queues/mail", settings).json()["changed"] == 0
    text = one.ask("POST", "/v1/queues/mail/tasks", {"payload": "a", "priority": -1, "key": "once"}).json()
    assert one.ask("POST", "/v1/queues/mail/tasks", {"payload": "a", "key": "once"}).json() == text | {"is_new": False}
    raw = one.ask("POST", "/v1/queues/mail/tasks", b"\xff\x00", Content_Type="application/octet-stream").json()
    later = one.ask("POST", "/v1/queues/mail/tasks", {"payload_base64": "Yg==", "delay_ms": 3_600_000}).json()
    listed = one.ask("GET", "/v1/queues/mail/tasks?limit=1").json()
    assert ([task["task"] for task in listed["tasks"]], listed["more"]) == ([raw["task"]], True)
    rest = one.ask("GET", f"/v1/queues/mail/tasks?after={listed['next']}").json()
    assert [task["task"] for task in rest["tasks"]] == [text["task"]]
    shown = one.ask("GET", f"/v1/queues/mail/tasks/{later['task']}").json()
    assert (shown["payload"], shown["task"]["state"]) == ("b", "delayed")
    assert one.ask("GET", f"/v1/queues/mail/tasks/{raw['task']}", Accept="application/octet-stream").body == b"\xff\x00"
    first, second = one.ask("POST", "/v1/queues/mail/take", {"count": 9}).json()["tasks"]
    assert (first["payload"], b64decode(first["payload_base64"]), second["payload"]) == (None, b"\xff\x00", "a")
    assert one.ask("POST", "/v1/queues/mail/extend", {"token": first["token"], "lease_ms": 90_000}).json()["lease_ms"] == 90_000
    assert one.ask("POST", "/v1/queues/mail/ack", {"token": first["token"]}, Idempotency_Key="ack").status == 200
    assert one.ask("POST", "/v1/queues/mail/ack", {"token": first["token"]}, Idempotency_Key="ack").status == 200
    assert one.ask("POST", "/v1/queues/mail/nack", {"token": second["token"], "note": "no"}).json()["state"] == "dead"
    dead = one.ask("GET", "/v1/queues/mail/tasks?state=dead").json()["tasks"]
    assert [(task["failure"], task["note"], task["key"]) for task in dead] == [("returned", "no", "once")]
    assert one.ask("POST", "/v1/queues/mail/redrive", {}).json()["changed"] == 1
    assert one.ask("GET", "/v1/queues/mail").json()["queue"]["ready"] == 1
    assert one.ask("DELETE", "/v1/queues/mail").status == 409
    assert one.ask("POST", "/v1/queues/mail/purge", {}).json()["changed"] == 2
    assert one.ask("DELETE", "/v1/queues/mail").json()["changed"] == 1
    assert one.ask("GET", "/v1/queues/mail").status == 404
    assert one.ask("GET", "/v1/queues").json()["queues"] == []
    one.close()


def test_a_session_gives_back_what_it_took(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    one = Speaker(single.members[1])
    path = f"/v1/queues/{quote('a/b', safe='')}"
    one.ask("POST", f"{path}/tasks", {"payload": "x"})
    session = one.ask("POST", "/v1/sessions", {"ttl_ms": 30_000}).json()["session"]
    assert len(one.ask("POST", f"{path}/take", {}, Coord_Session=str(session), Coord_Sequence="1").json()["tasks"]) == 1
    again = one.ask("POST", f"{path}/take", {}, Coord_Session=str(session), Coord_Sequence="1").json()
    assert len(again["tasks"]) == 1, "the same sequence is the same take"
    one.ask("DELETE", f"/v1/sessions/{session}")
    (task,) = one.ask("GET", f"{path}/tasks?state=delayed").json()["tasks"]
    assert task["failure"] == "session ended"
    one.close()


def test_what_makes_no_sense_is_refused_and_changes_nothing(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    one = Speaker(single.members[1])
    one.ask("POST", "/v1/queues/q/tasks", {"payload": "x"})
    bad: list[tuple[str, str, object, int]] = [
        ("POST", "/v1/queues/q/tasks", {"payload": "x", "payload_base64": "eA=="}, 400),
        ("POST", "/v1/queues/q/tasks", {}, 400),
        ("POST", "/v1/queues/q/tasks", {"payload": "x", "priority": 300}, 400),
        ("POST", "/v1/queues/q/tasks", {"payload": "x", "holding": 7}, 409),
        ("POST", "/v1/queues/q/tasks", b"x" * 262_145, 413),
        ("POST", "/v1/queues/a%00b/tasks", {"payload": "x"}, 400),
        ("POST", "/v1/queues/unknown/take", {}, 404),
        ("POST", "/v1/queues/q/take", {"count": 0}, 400),
        ("POST", "/v1/queues/q/take", {"lease_ms": 1}, 400),
        ("POST", "/v1/queues/q/take", b"", 415),
        ("POST", "/v1/queues/q/ack", {"token": 7}, 409),
        ("POST", "/v1/queues/q/ack", {}, 400),
        ("PUT", "/v1/queues/q", {"lease_ms": 1}, 400),
        ("PUT", "/v1/queues/q", {"leases": 1}, 400),
        ("GET", "/v1/queues/q/tasks?state=done", None, 400),
        ("GET", "/v1/queues/q/tasks?after=zz", None, 400),
        ("GET", "/v1/queues/q/tasks/seven", None, 400),
        ("GET", "/v1/queues/q/tasks/7", None, 404),
        ("POST", "/v1/queues/q/redrive", {"task": 7}, 404),
    ]
    for method, path, body, status in bad:
        refused = one.ask(method, path, body)
        assert (refused.status, refused.json()["definite"]) == (status, True), (path, body, refused.body)
        assert len(refused.json()["sentence"]) > 15
    queue = one.ask("GET", "/v1/queues/q").json()["queue"]
    assert (queue["ready"], queue["taken"]) == (1, 0)
    one.close()
