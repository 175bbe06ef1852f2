"""Journals against real members: in Python blocking and to await, from a shell, over HTTP, through restarts and with a late member."""

import asyncio
import threading
from base64 import b64decode
from collections.abc import Iterator

import pytest

from coordnode.client import aio
from coordnode.client.journals import Record
from coordnode.client.sync import connect
from coordnode.errors import HistoryGone, Missing
from tests.processes.local import Home
from tests.processes.members import Cluster, wait_until
from tests.processes.test_commands import valid
from tests.processes.test_http import Speaker

TIGHT = ("--snapshot-entries", "100", "--keep-entries", "10")


@pytest.fixture
def journal(shared: Home, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name
    yield name
    shared.run("journal", "delete", name, "--yes")


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"record %06d %s" % (number, b"." * (number % 50)) for number in range(start, start + count)]


def addresses(cluster: Cluster) -> list[str]:
    return list(cluster.contacts.values())


def test_blocking_from_append_to_trim(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    with connect(addresses(cluster)) as client:
        journal = client.journal("audit")
        assert journal.append([b"one", "two"]) == 0
        assert journal.append([b"three"], request_id="once") == journal.append([b"three"], request_id="once") == 2
        with client.session() as session:
            assert session.journal("audit").append([b"four"]) == 3
        assert journal.read(1, 2) == [Record(1, b"two"), Record(2, b"three")]
        assert [record.data for record in journal.records()] == [b"one", b"two", b"three", b"four"]
        assert journal.read(4) == []
        with pytest.raises(Missing):
            journal.read(5)
        assert journal.trim(2).first == 2
        with pytest.raises(HistoryGone, match="read from 2 on"):
            journal.read(1)
        assert [info.name for info in client.journals.list()] == [b"audit"]
        assert journal.configure(1_000_000).bytes_max == 1_000_000
        assert journal.delete()
        assert not journal.delete()
        with pytest.raises(Missing):
            journal.info()


def test_who_follows_sees_every_record_once_through_a_change_of_leaders(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    expected = numbered(3_000)
    seen: list[bytes] = []

    def follow() -> None:
        with connect(addresses(cluster), timeout=30) as client, client.journal("audit").tail(0) as tail:
            for record in tail:
                assert record.offset == len(seen)
                seen.append(record.data)
                if len(seen) == len(expected):
                    return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    with connect(addresses(cluster), timeout=30) as client, client.session(ttl=30) as session:
        journal = session.journal("audit")
        for start in range(0, 3_000, 100):
            assert journal.append(expected[start : start + 100], timeout=30) == start
            if start == 1_500:
                cluster.leader().kill()
    follower.join(60)
    assert seen == expected


def test_a_member_that_comes_late_gets_every_byte_and_a_restart_keeps_it(cluster: Cluster) -> None:
    cluster.start(*TIGHT)
    cluster.wait_ready()
    leader = cluster.leader()
    late, other = [one for one in cluster.members.values() if one is not leader]
    cluster.wait_equal()
    known = (late.status() or {})["applied"]
    late.kill()
    expected = numbered(6_000)
    with connect(addresses(cluster), timeout=30) as client:
        journal = client.journal("audit")
        journal.configure(10_000_000)
        for start in range(0, 6_000, 20):
            journal.append(expected[start : start + 20])
        while ((cluster.leader().status() or {}).get("first_index") or 0) <= known + 1:  # it is kept a while for who may come back at once
            client.kv.put("filler", b"")
    late.start(*TIGHT)
    wait_until(lambda: late.events("installed"), "the late member has installed one")
    cluster.wait_equal()
    # Without the two that were there, what it answers with it was sent. Both come back and say the same.
    for process in cluster.members.values():
        process.kill()
    late.start(*TIGHT)
    other.start(*TIGHT)
    assert read_all(cluster) == expected
    leader.start(*TIGHT)
    cluster.leader().kill()
    assert read_all(cluster) == expected


def read_all(cluster: Cluster) -> list[bytes]:
    with connect(addresses(cluster), timeout=30) as client:
        return [record.data for record in client.journal("audit").records(timeout=30)]


def test_to_await(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()

    async def use() -> None:
        async with await aio.connect(addresses(cluster)) as client:
            journal = client.journal("trail")
            seen: list[Record] = []

            async def follow() -> None:
                async with journal.tail(0) as tail:
                    async for record in tail:
                        seen.append(record)
                        if record.data == b"end":
                            return

            following = asyncio.create_task(follow())
            await journal.append([b"a", b"b"])
            await journal.append([b"end"])
            await asyncio.wait_for(following, 30)
            assert seen == [Record(0, b"a"), Record(1, b"b"), Record(2, b"end")]
            assert [record async for record in journal.records(1)] == seen[1:]
            assert (await journal.trim(3)).first == 3
            assert await journal.tail().take(wait=0.05) is None
            assert [info.next async for info in client.journals.list("tr")] == [3]

    asyncio.run(use())


# --- from a shell ----------------------------------------------------------------------------------------------------


def test_lines_go_in_and_come_out(shared: Home, journal: str) -> None:
    assert shared.ctl("journal", "append", journal, "hello") == "0\n"
    lines = "".join(f"line {number}\n" for number in range(2_500))
    printed = shared.ctl("journal", "append", journal, stdin=lines.encode())
    assert printed.splitlines()[0].startswith("1..")
    assert printed.splitlines()[-1].endswith("..2500")
    assert shared.ctl("journal", "read", journal) == "hello\n" + lines
    assert shared.ctl("journal", "read", journal, "--from", "2499") == "line 2498\nline 2499\n"
    assert shared.ctl("journal", "read", journal, "--limit", "2") == "hello\nline 0\n"
    assert shared.run("journal", "read", journal, "--from", "2501").returncode == 1, "the end: nothing there"
    assert "2501 records from 0 on" in shared.ctl("journal", "ls", journal)
    assert "2001 records from 500 on" in shared.ctl("journal", "trim", journal, "500")
    gone = shared.run("journal", "read", journal, "--from", "3")
    assert gone.returncode == 1
    assert b"are gone; read from 500 on" in gone.stderr
    assert shared.ctl("journal", "tail", journal, "-n", "1", "--count", "1") == "line 2499\n"


def test_with_a_request_id_all_input_is_appended_once(shared: Home, journal: str) -> None:
    for _ in range(2):
        assert shared.ctl("journal", "append", journal, "--request-id", f"{journal} 1", stdin=b"a\nb\nc") == "0..2\n"
    assert shared.ctl("journal", "read", journal) == "a\nb\nc\n"


def test_tail_prints_what_comes(shared: Home, journal: str) -> None:
    shared.ctl("journal", "append", journal, "old")
    tail = shared.start("journal", "tail", journal, "--count", "3")
    assert tail.stdout is not None
    assert tail.stdout.readline() == b"old\n"
    shared.ctl("journal", "append", journal, stdin=b"new 1\nnew 2\n")
    assert tail.stdout.read() == b"new 1\nnew 2\n"
    assert tail.wait(30) == 0
    tail.stdout.close()
    assert tail.stderr is not None
    tail.stderr.close()
    ended = shared.run("journal", "tail", journal, "-n", "0", "--timeout", "300ms")
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_json_says_the_same(shared: Home, journal: str) -> None:
    def line(*words: str) -> dict[str, object]:
        return valid(shared.ctl("journal", *words, "-o", "json"))

    assert line("append", journal, "x")["next"] == 1
    assert line("set", journal, "--bytes-max", "1MiB")["bytes_max"] == 1 << 20
    assert line("read", journal)["record"] == "x"
    assert line("tail", journal, "--count", "1")["offset"] == 0
    assert line("show", journal)["next"] == 1
    assert line("ls", journal)["first"] == 0
    assert line("trim", journal, "1")["first"] == 1
    assert line("delete", journal, "--yes")["outcome"] == "deleted"
    assert line("delete", journal, "--yes")["outcome"] == "absent"


def test_bad_input_is_named(shared: Home, journal: str) -> None:
    bad = [
        (("append", "", "x"), 64, "the journal has no name"),
        (("read", journal), 1, "there is no journal"),
        (("trim", journal, "x"), 64, "before 'x'"),
        (("trim", journal, "1"), 1, "there is no journal"),
        (("set", journal, "--bytes-max", "1KiB"), 64, "too small"),
        (("set", journal, "--bytes-max", "1000"), 64, "unit"),
        (("append", journal, "--request-id", "x"), 64, "at most 1048576"),
        (("delete", journal), 76, "--yes"),
    ]
    for words, code, said in bad:
        done = shared.run("journal", *words, stdin=b"x" * 1_100_000)
        assert (done.returncode, said.encode() in done.stderr) == (code, True), (words[0], done)
        assert done.stderr.count(b"\n") <= 2


# --- over HTTP -------------------------------------------------------------------------------------------------------


def test_over_http_the_same(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    one = Speaker(single.members[1])
    first = one.ask("POST", "/v1/journals/audit/records", {"records": ["a", "bb"]}, Idempotency_Key="k").json()
    assert (first["first"], first["next"]) == (0, 2)
    assert one.ask("POST", "/v1/journals/audit/records", {"records": ["a", "bb"]}, Idempotency_Key="k").json() == first
    one.ask("POST", "/v1/journals/audit/records", b"\xff\n", Content_Type="application/octet-stream")
    one.ask("POST", "/v1/journals/audit/records", {"records_base64": ["AA==", ""]})
    found = one.ask("GET", "/v1/journals/audit/records?offset=1").json()
    assert (found["first"], found["next"]) == (0, 5)
    assert [b64decode(record["record_base64"]) for record in found["records"]] == [b"bb", b"\xff\n", b"\0", b""]
    assert [record["record"] for record in found["records"]] == ["bb", None, None, ""]
    limited = one.ask("GET", "/v1/journals/audit/records?offset=1&limit=2").json()
    assert [record["offset"] for record in limited["records"]] == [1, 2]
    assert one.ask("GET", "/v1/journals/audit/records?offset=5").json()["records"] == []
    assert one.ask("POST", "/v1/journals/audit/trim", {"before": 2}).json()["journal"]["first"] == 2
    assert one.ask("GET", "/v1/journals/audit/records").status == 410
    assert one.ask("PUT", "/v1/journals/audit", {"bytes_max": 100_000}).json()["journal"]["bytes_max"] == 100_000
    assert [journal["journal"] for journal in one.ask("GET", "/v1/journals").json()["journals"]] == ["audit"]
    bad = [
        ("POST", "/v1/journals/audit/records", {}, 400),
        ("POST", "/v1/journals/audit/records", {"records": ["a"], "records_base64": ["AA=="]}, 400),
        ("POST", "/v1/journals/audit/records", {"records": []}, 400),
        ("PUT", "/v1/journals/audit", {"bytes_max": 10}, 400),
        ("GET", "/v1/journals/none/records", None, 404),
        ("GET", "/v1/journals/audit/records?offset=99", None, 404),
    ]
    for method, path, body, status in bad:
        assert one.ask(method, path, body).status == status, (method, path)
    assert one.ask("DELETE", "/v1/journals/audit").json()["changed"] == 1
    assert one.ask("GET", "/v1/journals/audit").status == 404
    one.close()
