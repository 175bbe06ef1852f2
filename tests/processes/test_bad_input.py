"""Whatever strangers send: no crash, no growth, the offender is told or cut off, and who behaves beside them notices little.

COORD_LONG=1 throws a million inputs instead of some thousands; COORD_INPUTS says how many.
"""

import asyncio
import os
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from coordnode.limits import FRAME_BYTES_MAX
from coordnode.net.limits import HELLO_SECONDS_MAX, HTTP_SECONDS_MAX
from coordnode.services.commands import Get, Put, encode
from coordnode.services.dialogue import ReadAsk
from coordnode.wire.bodies import encode_asks
from coordnode.wire.frames import MSGPACK, frame
from coordnode.wire.hello import Hello, encode_hello
from tests.door import IS_LONG
from tests.processes.hostile.bystander import Bystander
from tests.processes.hostile.inputs import CLIENT, FOR_EVERYONE, FOR_HTTP, MEMBER
from tests.processes.hostile.thrower import CUT_OFF, ENDLESS, TOLD, throw
from tests.processes.members import PATIENCE_S, Cluster, Connection, Process, Refused, free_port, resident_bytes, result_of, wait_until

MIB = 1024 * 1024
INPUTS = int(os.environ.get("COORD_INPUTS", "1000000" if IS_LONG else "4000"))


def healthy(cluster: Cluster) -> None:
    for one in cluster.members.values():
        if one.running is not None:
            assert one.running.poll() is None, one.said()[-2000:]
            assert not one.events("bug")
            assert not one.events("failed")


@pytest.fixture
def http_port(cluster: Cluster) -> Iterator[Callable[[Process], tuple[str, int]]]:
    """Members with a second port, for HTTP alone."""
    ports = {number: free_port(one.address[0]) for number, one in cluster.members.items()}
    for number, one in cluster.members.items():
        one.start("--http-listen", f"{one.address[0]}:{ports[number]}")
    cluster.wait_ready()
    yield lambda one: (one.address[0], ports[one.member])


def test_bad_input_on_every_port(cluster: Cluster, http_port: Callable[[Process], tuple[str, int]], figure: Callable[[str], None]) -> None:
    leader = cluster.leader()
    ports = [(leader.address, FOR_EVERYONE), (leader.address, FOR_EVERYONE), (http_port(leader), FOR_HTTP)]
    follower = next(one for one in cluster.members.values() if one is not leader)
    ports += [(follower.address, FOR_EVERYONE), (http_port(follower), FOR_HTTP)]
    with Bystander([one.address for one in cluster.members.values()]) as bystander:
        bystander.wait_calls(200)
        alone = bystander.take()
        asyncio.run(throw(ports, max(INPUTS // 20, 1000), seed=1))  # caches fill, once
        hit = (leader, follower)
        state = [one.metric("coordnode_state_bytes") for one in hit]
        resident = [[resident_bytes(one) for one in hit]]
        bystander.take()
        began = time.monotonic()
        ended: Counter[str] = Counter()
        for quarter in range(4):
            ended += asyncio.run(throw(ports, INPUTS // 4, seed=2 + quarter))
            resident.append([resident_bytes(one) for one in hit])
        took_s = time.monotonic() - began
        beside = bystander.take()
    healthy(cluster)
    kept = [one.metric("coordnode_state_bytes") - before for one, before in zip(hit, state, strict=True)]
    shown = [[f"{size / MIB:.1f}" for size in sizes] for sizes in resident]
    figure(
        f"{INPUTS} inputs in {took_s:.0f} s: {dict(ended)}; leader and follower at each quarter, MiB: {shown}, state grew by {kept} bytes"
    )
    figure(f"who behaved: alone {alone}; beside them {beside}")
    for number in range(2):
        # What was right by chance is kept, as it should be, and so is what the one who behaves writes.
        assert resident[4][number] - resident[0][number] < 16 * MIB + 4 * kept[number], "a member grows with the inputs"
        assert resident[4][number] - resident[3][number] < 12 * MIB, "a member goes on growing"
    assert ended[ENDLESS] == 0
    assert ended[TOLD] > INPUTS // 4
    assert ended[TOLD] + ended[CUT_OFF] > INPUTS * 9 // 10
    # HTTP keeps one for each identity that asked lately, and every garbled token is another, until they are idle.
    wait_until(lambda: leader.metric("coordnode_client_connections") <= 3, "nobody's connection is left open", 60)
    cluster.wait_equal()


# --- greed and sloth ---------------------------------------------------------------------------------------------------


def big_asks(count: int) -> bytes:
    asks = [encode_asks([ReadAsk(number, encode(Get(b"big/%d" % (number % 4))))], MSGPACK)[0] for number in range(1, count + 1)]
    return b"".join(bytes(part) for part in asks)


def push(sock: socket.socket, data: bytes, seconds: float = 10.0) -> int:
    """As much as is taken, over and over, until nothing is for a while or the connection ends: how much that was."""
    sock.setblocking(False)
    sent, quiet_since, until = 0, time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < until and time.monotonic() - quiet_since < 0.5:
        try:
            sent += sock.send(data[sent % len(data) :])
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.001)  # between two attempts
        except OSError:
            break
    return sent


HTTP_GET = b"GET /v1/kv/big/1 HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(("begin", "asks"), [(CLIENT[MSGPACK], big_asks(2_000)), (b"", HTTP_GET * 500)], ids=["frames", "http"])
def test_who_asks_and_does_not_read_holds_nobody_else_up(single: Cluster, begin: bytes, asks: bytes) -> None:
    single.start()
    single.wait_ready()
    one = single.members[1]
    with Connection(one.address) as writer:
        for number in range(4):
            result_of(writer.write(Put(b"big/%d" % number, bytes(1_000_000))))
    with Bystander([one.address]) as bystander:
        bystander.wait_calls(50)
        before = resident_bytes(one)
        greedy = [socket.create_connection(one.address, PATIENCE_S) for _ in range(4)]
        for sock in greedy:
            sock.sendall(begin)
        for sock in greedy:
            push(sock, asks, 3.0)
        grown = resident_bytes(one) - before
        bystander.wait_calls(100)
        for sock in greedy:
            sock.close()
    assert grown < 200 * MIB
    healthy(single)


def test_slowloris_is_let_go_and_half_open_peers_hold_nothing_up(single: Cluster) -> None:
    single.start("--connections-max", "40", "--client-connections-max", "40")
    single.wait_ready()
    one = single.members[1]
    half: list[tuple[float, socket.socket]] = []
    ends = [CLIENT[MSGPACK][:10], b"GET /v1/kv/a HT", b"PUT /v1/kv/a HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", b""]
    with Bystander([one.address]) as bystander:
        for start in ends * 5:
            sock = socket.create_connection(one.address, PATIENCE_S)
            sock.sendall(start)
            half.append((time.monotonic(), sock))
        members = [socket.create_connection(one.address, PATIENCE_S) for _ in range(100)]
        for number, sock in enumerate(members):
            hello = MEMBER if number % 2 else encode_hello(Hello(7, 1000 + number, 0, 1, ""), MSGPACK)  # type: ignore[arg-type]
            sock.sendall(hello + frame(2, MSGPACK, b"\x90")[:9])
        for began, sock in half:
            told = read_all(sock)
            assert time.monotonic() - began >= min(HELLO_SECONDS_MAX, HTTP_SECONDS_MAX) - 0.5
            assert b"no hello within" in told or b" 408 " in told
            sock.close()
        bystander.wait_calls(50)
        wait_until(lambda: open_sockets(one) < 64 + 20, "members that nobody knows make room for newer ones")
        for sock in members:
            sock.close()
    healthy(single)


def read_all(sock: socket.socket) -> bytes:
    found = b""
    sock.settimeout(PATIENCE_S)
    while True:
        try:
            data = sock.recv(1 << 16)
        except ConnectionError:
            return found
        if not data:
            return found
        found += data


def open_sockets(one: Process) -> int:
    assert one.running is not None
    links = Path(f"/proc/{one.running.pid}/fd").iterdir()
    return sum(1 for link in links if os.path.islink(link) and _target(link).startswith("socket:"))


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed since it was listed
        return ""


# --- crowds ------------------------------------------------------------------------------------------------------------


def test_a_crowd_beyond_connections_max_is_refused_by_name_and_keeps_no_member_out(cluster: Cluster) -> None:
    cluster.start("--connections-max", "30", "--client-connections-max", "30")
    cluster.wait_ready()
    leader = cluster.leader()
    with Bystander([leader.address]) as bystander:
        bystander.wait_calls(20)
        before = resident_bytes(leader)
        inside = []
        for _ in range(28):
            inside.append(Connection(leader.address))
        refused = 0
        for _ in range(300):
            try:
                inside.append(Connection(leader.address))
            except Refused as error:
                assert "30 connections are open already" in str(error)
                refused += 1
        assert refused >= 298
        with socket.create_connection(leader.address, PATIENCE_S) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 503 ")
        other = next(one for one in cluster.members.values() if one is not leader)
        other.kill()
        other.start("--connections-max", "30", "--client-connections-max", "30")
        cluster.wait_ready([other.member])
        wait_until(lambda: (other.status() or {}).get("applied"), "the member that came back is one of them again")
        bystander.wait_calls(100)
        assert resident_bytes(leader) - before < 32 * MIB
        for connection in inside:
            connection.close()
        wait_until(lambda: leader.get("/livez")[0] == 200, "there is room again")
    healthy(cluster)


def test_a_storm_of_connections_that_say_nothing_leaves_room_for_those_who_do(single: Cluster) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8192), hard), hard))
    single.start()
    single.wait_ready()
    one = single.members[1]
    before = resident_bytes(one)
    mute = []
    try:
        with Bystander([one.address]) as bystander:
            bystander.wait_calls(20)
            for _ in range(1_500):
                mute.append(socket.create_connection(one.address, PATIENCE_S))
            bystander.wait_calls(40)
            for _ in range(20):
                Connection(one.address).close()
            assert 'coordnode_strangers_refused_total{error="Overloaded"}' in one.get("/metrics")[1].decode()
            assert resident_bytes(one) - before < 64 * MIB
    finally:
        for sock in mute:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    healthy(single)


def test_an_oversized_frame_is_refused_before_it_is_taken_in(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    with Connection(single.members[1].address) as connection:
        body = b"x" * 64
        large = frame(3, 0, body)
        start = large[:4] + struct.pack(">I", FRAME_BYTES_MAX - 16) + large[8:12]
        connection.sock.sendall(start + struct.pack(">I", crc32(start)))
        with pytest.raises(Refused, match="are accepted here"):
            connection.receive()
