"""The embedded proxy: the API as a real toxiproxy was recorded, its own client unchanged, and what each toxic does to bytes."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.coordctl import toxiproxy
from tests.unit.coordctl.proxied import PATIENCE_S, Proxied, Upstream, read_all, read_exactly

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "toxiproxy" / "golden.jsonl"
API_PORT = "18474"  # where the recorded server listened, and so a port that is surely taken
AFTER_A_RESET_THAT_FAILED = 'GET /proxies/a {"name":"a","listen":"HOST:PORT","upstream":"127.0.0.1:2","enabled":false'


@pytest.fixture
def proxied() -> Iterator[Proxied]:
    made = Proxied()
    yield made
    made.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def place(proxied: Proxied, upstream: Upstream) -> tuple[str, int]:
    return proxied.make(upstream.address)


def connect(place: tuple[str, int]) -> socket.socket:
    return socket.create_connection(place, PATIENCE_S)


def echoed(connection: socket.socket, data: bytes) -> float:
    """Seconds from sending to having it all back."""
    began = time.monotonic()
    connection.sendall(data)
    assert read_exactly(connection, len(data)) == data
    return time.monotonic() - began


def is_silent(connection: socket.socket, seconds: float = 0.3) -> bool:
    connection.settimeout(seconds)
    try:
        return not connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)


# --- the API -----------------------------------------------------------------------------------------------------------


def normal(text: str) -> str:
    """Without the ports that a server chose, and the field that is a fault of the original."""
    return re.sub(r"(127\.0\.0\.1|\[::\]):(?![0129]\b)\d+", "HOST:PORT", text.replace(',"Logger":{}', ""))


def test_every_recorded_answer_is_ours_but_for_the_faults_that_we_do_not_share(proxied: Proxied) -> None:
    if not RECORDED.exists():
        pytest.skip(f"the recorded pairs are not beside this checkout: no {RECORDED}")
    port = proxied.address.split(":")[1]
    different = []
    lines = RECORDED.read_text().splitlines()
    assert len(lines) > 70
    for line in lines:
        pair = json.loads(line)
        method, path, body, headers = pair["req"]
        sent = None if body is None else (body if isinstance(body, str) else json.dumps(body)).replace(API_PORT, port)
        status, told, text = proxied.raw(method, path, sent, headers)
        wanted = {name for name in pair["headers"] if name != "Content-Length"}
        assert {name: told[name] for name in wanted} == {name: pair["headers"][name] for name in wanted}, line
        assert ("Content-Length" in told) == ("Content-Length" in pair["headers"]), line
        if (status, normal(text)) != (pair["status"], normal(pair["body"])):
            different.append(f"{method} {path} {normal(text)}")
    version, after_reset = different
    assert version == 'GET /version {"version": "2.12.0-coordctl"}\n'
    assert after_reset == AFTER_A_RESET_THAT_FAILED + ',"toxics":[]}'  # the original had stopped before it came to its toxics


def test_what_a_real_server_was_heard_to_answer_is_answered_here(proxied: Proxied) -> None:
    """Recorded by `python -m tests.unit.coordctl.toxiproxy --record`, of version 2.12.0."""
    theirs = toxiproxy.recorded()
    assert len(theirs) == len(toxiproxy.QUESTIONS) > 70
    assert toxiproxy.differences(theirs, toxiproxy.answers(proxied.address)) == []
    spoilt = [*theirs[:-1], theirs[-1]._replace(status=299)]
    assert len(toxiproxy.differences(spoilt, theirs)) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_toxiproxy_python_works_unchanged(proxied: Proxied, upstream: Upstream) -> None:
    theirs = pytest.importorskip("toxiproxy")
    host, port = proxied.address.split(":")
    server = theirs.Toxiproxy()
    server.update_api_consumer(host, int(port))
    assert server.running()
    assert json.loads(server.version())["version"].startswith("2.12")
    made = server.create(upstream=upstream.address, name="mine")
    assert server.get_proxy("mine").upstream == upstream.address
    with pytest.raises(Exception, match="already exists"):
        server.create(upstream=upstream.address, name="mine")
    listen = made.listen.split(":")
    with connect((listen[0], int(listen[1]))) as connection:
        echoed(connection, b"x")
        made.add_toxic(type="latency", attributes={"latency": 300})
        assert echoed(connection, b"x") > 0.25
        assert made.get_toxic("latency_downstream").attributes == {"latency": 300, "jitter": 0}
        with pytest.raises(Exception, match="invalid toxic type"):
            made.add_toxic(type="nothing")
        assert made.destroy_toxic("latency_downstream")
        assert made.toxics() == {}
        with made.down():
            assert read_all(connection) == b""
            assert not server.get_proxy("mine").enabled
    assert server.get_proxy("mine").enabled
    assert len(server.populate([{"name": "other", "upstream": upstream.address}])) == 1
    assert server.reset()
    server.destroy_all()
    assert server.proxies() == {}
    with pytest.raises(Exception, match="proxy not found"):
        made.destroy()


UNCHUNKED = b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 40_000, UNCHUNKED]
)
def test_what_is_no_request_is_hung_up_on_and_the_next_is_served(proxied: Proxied, data: bytes) -> None:
    host, port = proxied.address.split(":")
    with connect((host, int(port))) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):  # it is sent more than it reads
            assert read_all(connection) == b""
    assert proxied.ask("GET", "/proxies") == {}


# --- bytes -------------------------------------------------------------------------------------------------------------


def test_without_toxics_all_bytes_pass_both_ways_and_ends_are_passed_on(place: tuple[str, int], proxied: Proxied) -> None:
    data = os.urandom(8 << 20)
    with connect(place) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert read_all(connection) == data
        sender.join()
    traffic = proxied.ask("GET", "/proxies/p/traffic")
    assert traffic == {stream: {"received": len(data), "passed": len(data)} for stream in ("upstream", "downstream")}


def test_a_dead_upstream_is_an_end_and_no_refusal(proxied: Proxied) -> None:
    with connect(proxied.make("127.0.0.1:1")) as connection:
        assert read_all(connection) == b""
    for number, nowhere in enumerate(("nowhere", "127.0.0.1:port", "127.0.0.1:70000", "127.0.0.1:" + "1" * 5_000)):
        with connect(proxied.make(nowhere, f"p{number}")) as connection:
            assert read_all(connection) == b"", nowhere


def test_latency_keeps_the_order_and_what_is_under_way_goes_on_at_once_when_it_is_removed(place: tuple[str, int], proxied: Proxied) -> None:
    with connect(place) as connection:
        toxic = proxied.poison("latency", latency=100, jitter=90)
        sent = b"".join(b"%06d" % number for number in range(200))
        for number in range(200):
            connection.sendall(b"%06d" % number)
        assert read_exactly(connection, len(sent)) == sent
        proxied.cure(toxic)
        toxic = proxied.poison("latency", latency=600_000)
        connection.sendall(b"late")
        assert is_silent(connection)
        proxied.cure(toxic)
        assert read_exactly(connection, 4) == b"late"


def test_an_update_takes_effect_on_connections_that_are_open(place: tuple[str, int], proxied: Proxied) -> None:
    with connect(place) as connection:
        toxic = proxied.poison("bandwidth", rate=0)
        connection.sendall(b"held")
        assert is_silent(connection)
        proxied.ask("POST", f"/proxies/p/toxics/{toxic}", {"attributes": {"rate": 100}})
        assert read_exactly(connection, 4) == b"held"
        proxied.ask("POST", f"/proxies/p/toxics/{toxic}", {"attributes": {"rate": 0}, "toxicity": 0})
        assert echoed(connection, b"x") < PATIENCE_S


def test_bandwidth_is_what_it_says(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("bandwidth", rate=100)
    with connect(place) as connection:
        assert echoed(connection, bytes(50_000)) >= 0.45  # 50,000 bytes at 100,000 each second


def test_a_black_hole_makes_its_sender_wait_and_keeps_every_byte(place: tuple[str, int], proxied: Proxied) -> None:
    toxic = proxied.poison("bandwidth", rate=0)
    with connect(place) as connection:
        connection.setblocking(False)
        sent = 0
        data = os.urandom(1 << 16)
        quiet_at = time.monotonic() + 0.5
        while time.monotonic() < quiet_at:
            try:
                sent += connection.send(data)
                quiet_at = time.monotonic() + 0.5
            except BlockingIOError:
                time.sleep(0.01)
            assert sent < 200 << 20, "it takes all that comes"
        connection.settimeout(PATIENCE_S)
        proxied.cure(toxic)
        assert len(read_exactly(connection, sent)) == sent


def test_a_cut_loses_what_was_sent_so_its_end_closes_the_connection(place: tuple[str, int], proxied: Proxied) -> None:
    with connect(place) as connection:
        echoed(connection, b"x")
        toxic = proxied.poison("timeout", timeout=0)
        connection.sendall(b"lost")
        assert is_silent(connection)
        traffic = proxied.ask("GET", "/proxies/p/traffic")["upstream"]
        assert (traffic["received"], traffic["passed"]) == (5, 1)
        proxied.cure(toxic)
        assert read_all(connection) == b""
    with connect(place) as connection:
        echoed(connection, b"x")


def test_one_way_is_one_way(proxied: Proxied) -> None:
    """What the client sends is lost; what the server says of itself arrives."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.recv(1)

    talker = Upstream(talk)
    try:
        place = proxied.make(talker.address)
        proxied.poison("timeout", "upstream", timeout=0)
        with connect(place) as connection:
            connection.sendall(b"x")
            assert read_exactly(connection, 5) == b"hello"
            assert is_silent(connection)
    finally:
        talker.close()


def test_a_timeout_closes_after_its_time(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("timeout", timeout=200)
    with connect(place) as connection:
        connection.sendall(b"x")
        assert read_all(connection) == b""


def test_a_reset_is_a_reset(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("reset_peer", timeout=50)
    with connect(place) as connection, pytest.raises(ConnectionResetError):  # whoever is slow to send hears of it there already
        connection.sendall(b"x")
        connection.recv(1)


def test_a_slow_close_holds_only_the_end(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("slow_close", "downstream", delay=400)
    with connect(place) as connection:
        echoed(connection, b"x")
        began = time.monotonic()
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
        assert time.monotonic() - began > 0.35


def test_sliced_it_is_all_there(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("slicer", average_size=100, size_variation=50, delay=1_000)
    proxied.poison("slicer", "downstream")  # its default of no size at all ends the original's process
    with connect(place) as connection:
        assert echoed(connection, os.urandom(5_000)) > 0.03


def test_after_so_many_bytes_it_is_closed(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("limit_data", "downstream", bytes=10)
    with connect(place) as connection:
        connection.sendall(b"0123456789abcdef")
        assert read_all(connection) == b"0123456789"


def test_lost_packets_come_late_and_in_order(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("loss", rate=100.0, retransmit=300)
    with connect(place) as connection:
        assert echoed(connection, b"first") > 0.25


def test_toxics_stand_behind_each_other(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.poison("latency", latency=150)
    proxied.ask("POST", "/proxies/p/toxics", {"name": "more", "type": "latency", "stream": "upstream", "attributes": {"latency": 150}})
    with connect(place) as connection:
        assert echoed(connection, b"x") > 0.28


def test_a_toxic_with_a_lifetime_goes_by_itself(place: tuple[str, int], proxied: Proxied) -> None:
    toxic = {"type": "latency", "stream": "upstream", "attributes": {"latency": 600_000}, "lifetime_ms": 300}
    assert proxied.ask("POST", "/proxies/p/toxics", toxic)["lifetime_ms"] == 300
    with connect(place) as connection:
        echoed(connection, b"x")
    assert proxied.ask("GET", "/proxies/p/toxics") == []


def test_a_lifetime_that_cannot_be_kept_is_refused_and_leaves_no_toxic(place: tuple[str, int], proxied: Proxied) -> None:
    for milliseconds in ("1" * 400, str(2**63), "1e300", "-1"):
        status, _, _ = proxied.raw("POST", "/proxies/p/toxics", '{"type":"latency","lifetime_ms":' + milliseconds + "}")
        assert status == 400, milliseconds
    assert proxied.ask("GET", "/proxies/p/toxics") == []


def test_a_toxic_can_be_removed_under_load(place: tuple[str, int], proxied: Proxied) -> None:
    """The original hangs now and then."""
    with connect(place) as connection:
        for kind, attributes in (("latency", {"latency": 5}), ("bandwidth", {"rate": 5_000}), ("slicer", {}), ("loss", {"rate": 50})):
            for _ in range(5):
                toxic = proxied.poison(kind, **attributes)
                connection.sendall(bytes(10_000))
                proxied.cure(toxic)
                assert read_exactly(connection, 10_000) == bytes(10_000)


def test_with_no_toxicity_nothing_is_hit(place: tuple[str, int], proxied: Proxied) -> None:
    proxied.ask("POST", "/proxies/p/toxics", {"type": "timeout", "stream": "upstream", "toxicity": 0, "attributes": {}})
    with connect(place) as connection:
        echoed(connection, b"x")


def test_reset_heals_all_that_can_be_healed_and_names_what_cannot(proxied: Proxied, upstream: Upstream) -> None:
    place = proxied.make(upstream.address, "z")
    proxied.poison("timeout", name="z", timeout=0)
    body = {"name": "a", "listen": proxied.address, "upstream": upstream.address, "enabled": False}
    proxied.ask("POST", "/proxies", body)
    status, _, text = proxied.raw("POST", "/reset")
    assert (status, "address already in use" in text) == (500, True)
    assert proxied.ask("GET", "/proxies/z/toxics") == []
    with connect(place) as connection:
        echoed(connection, b"x")
