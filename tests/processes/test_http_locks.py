"""Locks and elections over HTTP: had at once, after a wait, still in line; released, broken, handed over, observed."""

import threading
from collections.abc import Callable
from typing import Any

from tests.processes.members import PATIENCE_S, Cluster, Process, wait_until
from tests.processes.test_http import Said, Speaker, Stream


def begun(one_member: Cluster) -> Speaker:
    return Speaker(one_member.members[1])


def session(one: Speaker, owner: str, ttl_ms: int = 60_000) -> str:
    return str(one.ask("POST", "/v1/sessions", {"ttl_ms": ttl_ms, "owner": owner}).json()["session"])


def meanwhile(member: Process, method: str, target: str, body: dict[str, Any] | None, of: str) -> Callable[[], Said]:
    """Asked on a connection of its own; call it for the answer."""
    said: list[Said] = []

    def ask() -> None:
        speaker = Speaker(member)
        said.append(speaker.ask(method, target, body, Coord_Session=of))
        speaker.close()

    thread = threading.Thread(target=ask)
    thread.start()

    def answer() -> Said:
        thread.join(PATIENCE_S)
        return said[0]

    return answer


def test_a_lock_is_had_awaited_and_released(one_member: Cluster) -> None:
    one = begun(one_member)
    ann, bob = session(one, "ann"), session(one, "bob")
    first = one.ask("POST", "/v1/locks/a%2Fb/acquire", {"note": "nightly"}, Coord_Session=ann)
    assert (first.status, first.json()["ticket"]) == (200, 0)
    token = first.json()["token"]
    busy = one.ask("POST", "/v1/locks/a%2Fb/acquire", {}, Coord_Session=bob)
    assert (busy.status, busy.json()["name"], busy.json()["definite"]) == (409, "Busy", True)
    assert "lock a/b is held by ann for " in busy.json()["sentence"]
    queued = one.ask("POST", "/v1/locks/a%2Fb/acquire", {"wait_ms": 50}, Coord_Session=bob, Coord_Sequence="1")
    assert (queued.status, queued.json()["token"]) == (202, 0)
    ticket = queued.json()["ticket"]
    again = one.ask("POST", "/v1/locks/a%2Fb/acquire", {"wait_ms": 50}, Coord_Session=bob, Coord_Sequence="1")
    assert (again.status, again.json()["ticket"]) == (202, ticket), "the same sequence is the same wait"
    shown = one.ask("GET", "/v1/locks/a%2Fb").json()
    assert ([(row["owner"], row["token"], row["note"]) for row in shown["holders"]]) == [("ann", token, "nightly")]
    assert [(row["owner"], row["ticket"]) for row in shown["waiters"]] == [("bob", ticket)]
    waiting = meanwhile(one_member.members[1], "GET", f"/v1/locks/a%2Fb/waiters/{ticket}?wait_ms=60000", None, bob)
    assert one.ask("POST", "/v1/locks/a%2Fb/release", {"token": token}, Coord_Session=bob).status == 409, "it is not bob's"
    left = one.ask("POST", "/v1/locks/a%2Fb/release", {"token": token}, Coord_Session=ann).json()
    assert (left["outcome"], left["token"]) == ("released", token)
    had = waiting()
    assert (had.status, had.json()["token"] > token, had.json()["ticket"]) == (200, True, ticket)
    assert one.ask("POST", "/v1/locks/a%2Fb/release", {"token": token}, Coord_Session=ann).status == 409, "it ends nobody else's"
    listed = one.ask("GET", "/v1/locks?prefix=a").json()["locks"]
    assert [(row["name"], row["kind"], row["first"]["owner"]) for row in listed] == [("a/b", "exclusive", "bob")]
    assert one.ask("GET", f"/v1/locks/a%2Fb/waiters/{ticket}", Coord_Session=ann).status == 404
    one.ask("DELETE", f"/v1/sessions/{bob}")
    assert one.ask("GET", "/v1/locks/a%2Fb").json()["lock"] is None
    assert one.ask("GET", f"/v1/locks/a%2Fb/waiters/{ticket}", Coord_Session=bob).status == 404
    one.close()


def test_readers_semaphores_leaving_the_line_and_breaking(one_member: Cluster) -> None:
    one = begun(one_member)
    ann, bob, eve = (session(one, owner) for owner in ("ann", "bob", "eve"))
    for who in (ann, bob):
        assert one.ask("POST", "/v1/locks/table/acquire", {"kind": "shared"}, Coord_Session=who).status == 200
    ticket = one.ask("POST", "/v1/locks/table/acquire", {"wait_ms": 1}, Coord_Session=eve).json()["ticket"]
    assert one.ask("POST", "/v1/locks/table/release", {"token": ticket}, Coord_Session=eve).json()["outcome"] == "left"
    waiting = meanwhile(one_member.members[1], "POST", "/v1/locks/table/acquire", {"wait_ms": 60_000}, eve)
    wait_until(lambda: one.ask("GET", "/v1/locks/table").json()["waiters"] or None, "eve stands in line")
    broken = one.ask("POST", "/v1/locks/table/break", {"reason": "host retired", "by": "ops"}).json()
    assert (broken["ended"], broken["more"]) == (2, False)
    assert waiting().status == 200
    assert one.ask("POST", "/v1/locks/table/break", {}).status == 400, "a reason is needed"
    assert one.ask("POST", "/v1/locks/none/break", {"reason": "x"}).status == 404
    two = {"kind": "semaphore", "permits": 2, "limit": 3}
    assert one.ask("POST", "/v1/locks/seats/acquire", two, Coord_Session=ann).status == 200
    assert one.ask("POST", "/v1/locks/seats/acquire", two, Coord_Session=bob).status == 409
    assert one.ask("POST", "/v1/locks/seats/acquire", {"kind": "semaphore", "limit": 5}, Coord_Session=bob).status in (400, 409)
    nobody = one.ask("POST", "/v1/locks/seats/acquire", {})
    assert (nobody.status, "Coord-Session" in nobody.json()["sentence"]) == (400, True)
    one.close()


def test_a_session_that_ends_while_it_waits_is_told(one_member: Cluster) -> None:
    one = begun(one_member)
    one.ask("POST", "/v1/locks/x/acquire", {}, Coord_Session=session(one, "ann"))
    over = one.ask("POST", "/v1/locks/x/acquire", {"wait_ms": 7_000}, Coord_Session=session(one, "bob", ttl_ms=4_000))
    assert over.status == 404, "nobody kept bob's session alive, so it stands in line no more"
    one.close()


def test_a_wait_goes_on_over_a_new_leader(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    leader = cluster.leader()
    others = [member for number, member in cluster.members.items() if number != leader.member]
    one = Speaker(others[0])
    ann, bob = session(one, "ann"), session(one, "bob")
    token = one.ask("POST", "/v1/locks/x/acquire", {}, Coord_Session=ann).json()["token"]
    waiting = meanwhile(others[1], "POST", "/v1/locks/x/acquire", {"wait_ms": 60_000}, bob)
    wait_until(lambda: one.ask("GET", "/v1/locks/x").json()["waiters"] or None, "bob stands in line")
    leader.kill()
    left = one.ask("POST", "/v1/locks/x/release?timeout_ms=30000", {"token": token}, Coord_Session=ann, Coord_Sequence="2")
    assert left.status == 200
    had = waiting()
    assert (had.status, had.json()["token"] > token) == (200, True)
    one.close()


def test_an_election_is_led_handed_over_and_observed(one_member: Cluster) -> None:
    one = begun(one_member)
    nobody = one.ask("GET", "/v1/elections/primary/observe").json()
    assert nobody["observed"] == [{"revision": nobody["next_revision"] - 1, "leader": None, "reason": ""}]
    stream = Stream(one_member.members[1], "/v1/elections/primary/observe")
    assert change(stream)["leader"] is None
    ann, bob, eve = (session(one, owner) for owner in ("ann", "bob", "eve"))
    led = one.ask("POST", "/v1/elections/primary/campaign", {"value": "a:80", "candidate": "a"}, Coord_Session=ann).json()
    assert leader(stream) == ("a", "a:80", led["token"])
    later = one.ask("GET", f"/v1/elections/primary/observe?from_revision={nobody['next_revision']}").json()
    assert [row["leader"]["value"] for row in later["observed"]] == ["a:80"]
    busy = one.ask("POST", "/v1/elections/primary/campaign", {}, Coord_Session=bob)
    assert (busy.status, "election primary is led by a for" in busy.json()["sentence"]) == (409, True)
    assert one.ask("POST", "/v1/elections/primary/proclaim", {"token": led["token"], "value": "a:81"}, Coord_Session=ann).status == 200
    assert leader(stream) == ("a", "a:81", led["token"])
    assert one.ask("POST", "/v1/elections/primary/proclaim", {"token": 5, "value": "x"}, Coord_Session=ann).status == 409
    bob_waits = meanwhile(one_member.members[1], "POST", "/v1/elections/primary/campaign", {"candidate": "b", "wait_ms": 60_000}, bob)
    wait_until(lambda: one.ask("GET", "/v1/elections/primary").json()["candidates"] or None, "bob stands")
    ticket = one.ask("POST", "/v1/elections/primary/campaign", {"candidate": "e", "wait_ms": 1}, Coord_Session=eve).json()["ticket"]
    shown = one.ask("GET", "/v1/elections/primary").json()
    assert (shown["leader"]["value"], [row["candidate"] for row in shown["candidates"]]) == ("a:81", ["b", "e"])
    vain = {"token": led["token"], "to": "nobody"}
    assert one.ask("POST", "/v1/elections/primary/resign", vain, Coord_Session=ann).status == 404
    assert one.ask("POST", "/v1/elections/primary/transfer", {"to": "nobody"}).status == 404
    assert one.ask("POST", "/v1/elections/primary/transfer", {"to": "e", "reason": "upgrade", "by": "ops"}).status == 200
    eve_leads = one.ask("GET", f"/v1/elections/primary/candidates/{ticket}?wait_ms=1", Coord_Session=eve)
    assert eve_leads.status == 200
    assert leader(stream)[0] == "e"
    assert one.ask("GET", "/v1/elections?prefix=pri").json()["elections"][0]["candidates"] == 1
    assert one.ask("POST", "/v1/elections/primary/resign", {"token": eve_leads.json()["token"]}, Coord_Session=eve).status == 200
    assert bob_waits().status == 200
    assert leader(stream)[0] == "b"
    one.ask("DELETE", f"/v1/sessions/{bob}")
    vacant = change(stream)
    assert (vacant["leader"], vacant["reason"]) == (None, "its session ended")
    stream.close()
    one.close()


def change(stream: Stream) -> dict[str, Any]:
    while True:
        kind, _, data = stream.next()
        if kind == "change":
            found: dict[str, Any] = data
            return found


def leader(stream: Stream) -> tuple[str, str, int]:
    found = change(stream)["leader"]
    return found["candidate"], found["value"], found["token"]
