"""Real members in processes of their own, on addresses and ports that nobody else uses, and a plain client to ask them.

Everything waits for a condition with a deadline, never for time to pass. Each process is ended by its own id.
"""

import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from coordnode.ids import ClusterId, MemberId
from coordnode.node.bootstrap import create_founder
from coordnode.services.commands import (
    ClientCommand,
    ClientOperation,
    Get,
    Got,
    Put,
    ReadOperation,
    Result,
    decode_result,
    encode,
)
from coordnode.services.dialogue import Answer, Ask, ErrorReply, ReadAsk, Reply, WriteAsk
from coordnode.storage.wal import Settings as WalSettings
from coordnode.wire.bodies import decode_answers, encode_asks
from coordnode.wire.frames import MSGPACK, REFUSAL, FrameReader
from coordnode.wire.hello import ANY_CLUSTER, Hello, decode_hello, decode_refusal, encode_hello

SOURCE = Path(__file__).resolve().parents[2] / "src"
PATIENCE_S = 30.0  # a machine that is busy with other things must not turn a test red
CREATED_UNIX_S = 1_700_000_000
FOREIGN_PORT = 7_001  # in a network of its own every port is free
FLAGS = ("--segment", "1MiB", "--free-min", "2MiB")
# Where a test is about one lead: a machine that stands still for seconds costs no leader its place. The first is found as late.
LOYAL = ("--election-ticks-min", "75", "--election-ticks-max", "100", "--stuck-ticks", "150")
T = TypeVar("T")


def wait_until(look: Callable[[], T | None], what: str, seconds: float = PATIENCE_S) -> T:
    """The first answer of `look` that is something. The last look is one of after that time: meanwhile the machine may have stood still."""
    until = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= until
        found = look()
        if found:
            return found
        assert not is_last, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)  # between two looks: who is waited for wants the processor, too


_hosts = itertools.count(1)


def own_hosts(count: int) -> list[str]:
    """Loopback addresses of this test alone: no outgoing connection of anybody ever takes a port there."""
    net = next(_hosts)
    return [f"127.{64 + os.getpid() % 128}.{(os.getpid() // 128 + 8 * net) % 256}.{10 + number}" for number in range(count)]


def free_port(host: str) -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


class Process:
    """One member's folder and address, over all of its lives."""

    def __init__(self, folder: Path, member: int, address: tuple[str, int]) -> None:
        self.folder = folder
        self.member = member
        self.address = address
        self.log = folder.with_suffix(".log")
        self.prefix: list[str] = []  # of the command: a network namespace, say
        self.running: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str, optimised: bool = False, environment: Mapping[str, str] | None = None) -> None:
        assert self.running is None
        command = [*self.prefix, sys.executable, *(["-O"] if optimised else []), "-m", "coordnode", "run", "--folder", str(self.folder)]
        accepted = () if self.address[0].startswith("127.") else ("--accept", "plaintext")  # networks of the tests' own
        command += ["--listen", f"{self.address[0]}:{self.address[1]}", *accepted, *FLAGS, *flags]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COORDNODE_")}
        with self.log.open("ab") as log:
            everything = kept | {"PYTHONPATH": str(SOURCE)} | dict(environment or {})
            self.running = subprocess.Popen(command, stderr=log, stdout=log, env=everything)

    def signal(self, number: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def wait(self) -> int:
        assert self.running is not None
        code = self.running.wait(PATIENCE_S)
        self.running = None
        return code

    def has_ended(self) -> bool:
        return self.running is None or self.running.poll() is not None

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; (0, b"") when nobody answers."""
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def status(self) -> dict[str, Any] | None:
        code, body = self.get("/status")
        return json.loads(body) if code == 200 else None

    def metric(self, name: str) -> float:
        return self.metrics(name)[0]

    def metrics(self, *names: str) -> list[float]:
        """Of one look."""
        text = wait_until(lambda: self.get("/metrics")[1], f"member {self.member} tells its metrics").decode()
        found = dict(line.rsplit(" ", 1) for line in text.splitlines())
        assert found.keys() >= set(names), f"no metrics {set(names) - found.keys()}"
        return [float(found[name]) for name in names]

    def is_ready(self) -> bool:
        assert self.running is None or self.running.poll() is None, f"member {self.member} ended: {self.said()[-2000:]}"
        return self.get("/readyz")[0] == 200

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [event for event in found if event["event"] == name]


def resident_bytes(process: Process) -> int:
    assert process.running is not None
    status = Path(f"/proc/{process.running.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


class Cluster:
    def __init__(
        self,
        folder: Path,
        count: int = 3,
        cluster: int = 7,
        other_state: int = 0,
        hosts: Sequence[str] | None = None,
        reached_at: Callable[[tuple[str, int]], tuple[str, int]] = lambda address: address,
    ) -> None:
        """`other_state`: the member whose state begins differently from the others'. `hosts`: not of this machine's loopback.
        `reached_at`: where the others reach the member that listens there."""
        self.cluster = cluster
        self.writers: list[Writer] = []
        self.members: dict[int, Process] = {}
        for number, host in enumerate(hosts or own_hosts(count), 1):
            port = FOREIGN_PORT if hosts else free_port(host)
            self.members[number] = Process(folder / f"n{number}", number, (host, port))
        reached = {number: reached_at(one.address) for number, one in self.members.items()}
        self.contacts = {MemberId(number): f"{host}:{port}" for number, (host, port) in reached.items()}
        for number, one in self.members.items():
            wal = WalSettings(segment_bytes=1024 * 1024)
            created = CREATED_UNIX_S + (number == other_state)
            create_founder(str(one.folder), ClusterId(cluster), MemberId(number), created, self.contacts, wal_settings=wal)

    def start(self, *flags: str) -> None:
        for one in self.members.values():
            if one.running is None:
                one.start(*flags)

    def wait_ready(self, members: Sequence[int] = ()) -> None:
        for number in members or self.members:
            wait_until(self.members[number].is_ready, f"member {number} is ready: {self.members[number].said()[-500:]}")

    def leader(self) -> Process:
        def look() -> Process | None:
            for one in self.members.values():
                status = one.status() if one.running is not None else None
                if status is not None and status["role"] == "leader" and status["ready"]:
                    return one
            return None

        return wait_until(look, "a member leads")

    def wait_equal(self) -> int:
        """All members applied the same and have the same digest: the revision they share."""

        def look() -> set[tuple[int, int, int]] | None:
            found = [one.status() for one in self.members.values()]
            seen = {(one["applied"], one["applied_digest"], one["revision"]) for one in found if one}
            return seen if len(seen) == 1 and None not in found else None

        return wait_until(look, "all members are equal").pop()[2]

    def end(self) -> None:
        for writer in self.writers:
            writer.forget()
        for one in self.members.values():
            if one.running is not None:
                one.kill()


class Refused(Exception):
    """The member said why it will not go on with this connection."""


class Connection:
    """A client without any cleverness: one connection, one question at a time."""

    def __init__(self, address: tuple[str, int], *, cluster: int = ANY_CLUSTER, target: int = 0, body_format: int = MSGPACK) -> None:
        self.sock = socket.create_connection(address, PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.format = body_format
        self._reader = FrameReader()
        self._answers: list[Answer] = []
        self._last = 0
        hello = Hello(ClusterId(cluster), MemberId(0), MemberId(target), 0, "test")
        self.hello: Hello | None = None
        try:
            self.sock.sendall(encode_hello(hello, body_format))
            while self.hello is None:
                self.receive()
        except BaseException:
            self.sock.close()
            raise

    def receive(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the member closed the connection")
        for frame in self._reader.feed(data):
            if frame.kind == REFUSAL:
                raise Refused(decode_refusal(frame))
            if self.hello is None:
                self.hello = decode_hello(frame)
            else:
                self._answers += decode_answers(frame)

    def next_answer(self) -> Answer:
        while not self._answers:
            self.receive()
        return self._answers.pop(0)

    def number(self) -> int:
        self._last += 1
        return self._last

    def send(self, asks: Sequence[Ask], patience_ms: int = 0) -> None:
        for frame in encode_asks(asks, self.format, patience_ms):
            self.sock.sendall(frame)

    def ask(self, ask: Ask) -> Answer:
        self.send([ask])
        answer = self.next_answer()
        assert answer.request == ask.request
        return answer

    def write(self, operation: ClientOperation, request_id: str = "") -> Answer:
        return self.ask(WriteAsk(self.number(), encode(ClientCommand(0, 0, 0, request_id, operation))))  # type: ignore[arg-type]

    def read(self, operation: ReadOperation, *, stale: bool = False) -> Answer:
        return self.ask(ReadAsk(self.number(), encode(operation), stale))

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def result_of(answer: Answer) -> Result:
    assert isinstance(answer, Reply), answer
    return decode_result(answer.result)


class Writer:
    """Puts numbered keys exactly once, each tried at every member until one acknowledges it."""

    def __init__(self, cluster: Cluster, name: str = "w") -> None:
        self._cluster = cluster
        self._name = name
        self._connection: Connection | None = None
        self._members = itertools.cycle(list(cluster.members))
        self.acknowledged: dict[bytes, bytes] = {}
        self.longest_gap_s = 0.0
        self._answered_s = 0.0
        cluster.writers.append(self)

    def put(self) -> None:
        number = len(self.acknowledged)
        key, value = f"{self._name}/{number:08d}".encode(), random.Random(number).randbytes(32)
        answer = wait_until(lambda: self._try(Put(key, value), f"{self._name}-{number}"), f"{key!r} is acknowledged")
        result_of(answer)
        self.acknowledged[key] = value
        now = time.monotonic()
        if self._answered_s:
            self.longest_gap_s = max(self.longest_gap_s, now - self._answered_s)
        self._answered_s = now

    def puts(self, count: int) -> None:
        for _ in range(count):
            self.put()

    def _try(self, operation: ClientOperation, request_id: str) -> Answer | None:
        try:
            if self._connection is None:
                self._connection = Connection(self._cluster.members[next(self._members)].address)
            answer = self._connection.write(operation, request_id)
        except (OSError, Refused):
            self.forget()
            return None
        if isinstance(answer, ErrorReply):
            assert answer.code in (10, 11, 12, 16, 50), answer  # 16: no space, surely not done
            if answer.code == 10:
                self.forget()
            return None
        return answer

    def forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self, address: tuple[str, int]) -> None:
        """Everything that was acknowledged is there."""
        with Connection(address) as connection:
            for key, value in self.acknowledged.items():
                got = result_of(connection.read(Get(key)))
                assert isinstance(got, Got)
                assert got.item is not None, f"{key!r} was acknowledged and is lost"
                assert got.item.value == value


def running(cluster: Cluster) -> Iterator[Cluster]:
    try:
        yield cluster
    finally:
        cluster.end()
