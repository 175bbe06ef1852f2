"""Puts against a running cluster: C connections, N outstanding on each, each connection with a session of its own, every reply checked.

    python benchmarks/load.py --endpoints 127.0.0.1:7001,127.0.0.1:7002 --connections 100 --outstanding 1 --seconds 10

One thread over epoll; frames are prepared but for key, sequence and checksums, so that the generator costs little. Prints one
JSON object: puts per second, latencies, and the generator's own CPU time.
"""

import argparse
import json
import select
import socket
import struct
import time
from zlib import crc32

import msgspec

from coordnode.services.commands import ClientCommand, Failure, Get, OpenSession, Put, SessionOpened, decode_result, encode
from coordnode.services.dialogue import ErrorReply, ReadAsk, Reply, WriteAsk
from coordnode.wire.bodies import decode_answers, encode_asks
from coordnode.wire.frames import ASKS, MAGIC, MSGPACK, VERSION, FrameReader
from coordnode.wire.hello import Hello, encode_hello

HEAD = struct.Struct(">BBBBII")
VALUE = bytes(range(64))
MARK = 0x7F000000  # stands in the template where a number goes; encoded in five bytes like every number up to 2**32


def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(encode_hello(Hello(0, 0, 0, 0, "benchmark"), MSGPACK))
    return sock


class Channel:
    """One connection and its session."""

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self.sock = connect(address)
        self.number = number
        self.reader = FrameReader()
        self.hello_seen = False
        self.sequence = 0
        self.sent: dict[int, float] = {}
        self.template = b""

    def receive(self) -> list[object]:
        """Answers; none: the connection ended."""
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError("the member closed the connection")
        answers: list[object] = []
        for frame in self.reader.feed(data):
            if self.hello_seen:
                answers.extend(decode_answers(frame))
            self.hello_seen = True
        return answers

    def wait(self) -> object:
        while True:
            for answer in self.receive():
                return answer

    def open_session(self) -> None:
        nonce = struct.pack(">Id", self.number, time.time())
        body = encode(ClientCommand(0, 0, 0, "", OpenSession(nonce, 600_000, "benchmark")))
        self.sock.sendall(encode_asks([WriteAsk(1, body)], MSGPACK)[0])
        answer = self.wait()
        if not isinstance(answer, Reply):
            raise SystemExit(f"no session: {answer}")
        opened = decode_result(answer.result)
        assert isinstance(opened, SessionOpened)
        self.session = opened.session

    def prepare(self, reads: bool) -> None:
        key = b"k" * 16
        if reads:
            ask = ReadAsk(MARK + 1, encode(Get(key)))
        else:
            ask = WriteAsk(MARK + 1, encode(ClientCommand(self.session, MARK + 2, MARK + 3, "", Put(key, VALUE))))
        body = bytes(encode_asks([ask], MSGPACK)[0][16:])
        self.reads = reads
        self.places = [body.index(struct.pack(">I", MARK + 1))]
        if not reads:
            self.places += [body.index(struct.pack(">I", MARK + 2)), body.index(struct.pack(">I", MARK + 3))]
        self.key_at = body.index(key)
        self.body = bytearray(body)

    def request(self, now: float) -> bytes:
        self.sequence += 1
        sequence = 0x10000 + self.sequence  # five bytes in msgpack from here on
        body = self.body
        packed = struct.pack(">I", sequence)
        body[self.places[0] : self.places[0] + 4] = packed
        if not self.reads:
            body[self.places[1] : self.places[1] + 4] = packed
            lowest = struct.pack(">I", min(self.sent, default=sequence) if len(self.sent) else sequence)
            body[self.places[2] : self.places[2] + 4] = lowest
        body[self.key_at : self.key_at + 16] = b"%06d%010d" % (self.number, self.sequence % 1000)
        self.sent[sequence] = now
        head = HEAD.pack(MAGIC, VERSION, ASKS, MSGPACK, len(body), crc32(body))
        return head + struct.pack(">I", crc32(head)) + body


def find_leader(addresses: list[tuple[str, int]]) -> tuple[str, int]:
    """The member that opens a session."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for address in addresses:
            try:
                channel = Channel(address, 0)
                channel.open_session()
                return address
            except (SystemExit, OSError):
                continue
        time.sleep(0.05)
    raise SystemExit("no member leads")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--outstanding", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--reads", action="store_true")
    options = parser.parse_args()
    addresses = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in options.endpoints.split(","))]
    leader = find_leader(addresses)
    channels: dict[int, Channel] = {}
    poll = select.epoll()
    for number in range(options.connections):
        channel = Channel(leader, number)
        channel.open_session()
        channel.prepare(options.reads)
        channels[channel.sock.fileno()] = channel
        poll.register(channel.sock.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    failed = 0
    began = time.monotonic()
    cpu = time.process_time()
    until = began + options.seconds
    for channel in channels.values():
        now = time.monotonic()
        channel.sock.sendall(b"".join(channel.request(now) for _ in range(options.outstanding)))
    open_requests = options.connections * options.outstanding
    now = began
    while open_requests:
        for descriptor, _ in poll.poll(5):
            channel = channels[descriptor]
            answers = channel.receive()
            now = time.monotonic()
            for answer in answers:
                latencies.append(now - channel.sent.pop(answer.request))
                if isinstance(answer, ErrorReply) or isinstance(decode_result(answer.result), Failure):
                    failed += 1
            if now < until:
                channel.sock.sendall(b"".join([channel.request(now) for _ in answers]))
            else:
                open_requests -= len(answers)
    took = now - began
    cpu = time.process_time() - cpu
    latencies.sort()
    at = lambda share: round(latencies[int(len(latencies) * share)] * 1000, 3)  # noqa: E731
    print(
        json.dumps(
            {
                "per_second": round((len(latencies) - failed) / took),
                "done": len(latencies) - failed,
                "failed": failed,
                "ms": {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": round(latencies[-1] * 1000, 3)},
                "generator_cpu_share": round(cpu / took, 2),
            }
        )
    )


if __name__ == "__main__":
    assert msgspec
    main()
