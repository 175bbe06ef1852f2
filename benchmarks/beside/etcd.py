"""etcd: Debian's and the newest, through its gRPC door.

h2load repeats a prepared request, always of the same key, which costs etcd the least; pairs of Lock and Unlock, where the second
request holds what the first was answered, are etcd_locks.c's.
"""

import json
import os
import re
import statistics
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .clusters import (
    HERE,
    MEMBERS,
    PUT_SECONDS_MAX,
    VALUE,
    WRITES,
    Cluster,
    Crew,
    Entrant,
    Load,
    Member,
    Shape,
    compile_c,
    fetch,
    free_ports,
    missing,
    processes,
    run_generator,
    wait_for,
)

FILLERS = 8
OPERATIONS_MAX = 128  # of a transaction, as its servers have it
SHARING = 10  # clients to a connection
LIBRARY = Path("/usr/include/nghttp2/nghttp2.h")
KEY = b"%016d" % 1
PATHS = {"put": "Put", "get": "Range", "cas": "Txn"}
HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


# --- requests --------------------------------------------------------------------------------------------------------


def field(number: int, content: bytes | int) -> bytes:
    """One of protobuf's; numbers below 128 are all that is needed here, and lengths of two bytes."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def message(kind: str) -> bytes:
    put = field(1, KEY) + field(2, VALUE)
    if kind == "put":
        return put
    if kind == "get":
        return field(1, KEY)
    compare = field(2, 3) + field(3, KEY) + field(7, VALUE)  # the value is equal
    return field(1, compare) + field(2, field(2, put))


def gateway_put(key: bytes) -> dict[str, str]:
    return {"key": b64encode(key).decode(), "value": b64encode(VALUE).decode()}


def grpc(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


# --- what h2load says ------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    succeeded: int
    failed: int
    is_all_200: bool
    data_bytes: int


def parse_h2load(text: str) -> Said:
    counted = re.search(r"(\d+) succeeded, (\d+) failed", text)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    data = re.search(r"\((\d+)\) data$", text, re.MULTILINE)
    if counted is None or codes is None or data is None:
        raise SystemExit(f"h2load said something else:\n{text}")
    return Said(int(counted[1]), int(counted[2]), not any(map(int, codes.groups()[1:])), int(data[1]))


def parse_log(text: str) -> list[float]:
    """Each request's milliseconds, in order of their size."""
    return sorted(int(line.split("\t")[2]) / 1000 for line in text.splitlines())


def wrong_with(said: Said, reply_bytes: int, under_way: int) -> str:
    """h2load looks at no grpc-status; but a refusal has no message, so the bytes of all messages tell."""
    if said.failed or not said.is_all_200:
        return f"{said.failed} requests failed"
    least, most = said.succeeded * reply_bytes, (said.succeeded + under_way) * reply_bytes
    if not least <= said.data_bytes <= most:
        return f"{said.succeeded} replies of {reply_bytes} bytes have {said.data_bytes} together"
    return ""


# --- members ---------------------------------------------------------------------------------------------------------


class Etcd(Cluster):
    product = "etcd"
    layouts = ("leader", "spread", "shared")

    def __init__(
        self, members: list[Member], version: str, crew: Crew, folder: Path, locks_program: Path | None = None, scheme: str = "http"
    ) -> None:
        self._scheme = scheme
        super().__init__(members, version, crew)
        self._folder = folder
        self._locks_program = locks_program
        self.kinds = (*PATHS, *(["pair"] if locks_program is not None else []))
        for kind in PATHS:
            (folder / f"{kind}.grpc").write_bytes(grpc(message(kind)))

    def leads(self, member: Member) -> bool | None:
        found = fetch(f"{self._scheme}://{member.address}/v3/maintenance/status", b"{}")
        if found is None or not int(found.get("leader", 0)):
            return None
        return bool(found["leader"] == found["header"]["member_id"])

    def put(self, member: Member) -> bool:
        return (
            fetch(f"{self._scheme}://{member.address}/v3/kv/put", json.dumps(gateway_put(KEY)).encode(), timeout=PUT_SECONDS_MAX)
            is not None
        )

    def fill(self, keys: int) -> None:
        """By transactions, as h2load has one body only."""

        def write(first: int) -> None:
            for start in range(first, keys, FILLERS * OPERATIONS_MAX):
                numbers = range(start, min(start + OPERATIONS_MAX, keys))
                question = {"success": [{"request_put": gateway_put(b"%016d" % number)} for number in numbers]}
                if fetch(f"{self._scheme}://{self.members[0].address}/v3/kv/txn", json.dumps(question).encode()) is None:
                    raise SystemExit("etcd refused to be filled")

        with ThreadPoolExecutor(FILLERS) as pool:
            list(pool.map(write, range(0, FILLERS * OPERATIONS_MAX, OPERATIONS_MAX)))

    def _h2load(self, address: str, kind: str, options: Sequence[str]) -> "subprocess.Popen[str]":
        command = ["h2load", "-t1", *options, "-d", str(self._folder / f"{kind}.grpc"), *HEADERS]
        return subprocess.Popen([*command, f"{self._scheme}://{address}/etcdserverpb.KV/{PATHS[kind]}"], stdout=subprocess.PIPE, text=True)

    def _once(self, address: str, kind: str) -> Said:
        return parse_h2load(self._h2load(address, kind, ["-n1"]).communicate()[0])

    def load(self, kind: str, shape: Shape, seconds: float, layout: str) -> Load:
        if layout == "shared":  # as clients in one process share a connection
            shape = Shape(max(1, shape.connections // SHARING), shape.outstanding * min(SHARING, shape.connections))
        addresses = self.endpoints(layout)[: shape.connections]
        if kind == "pair":
            return run_generator([str(self._locks_program), ",".join(addresses), *map(str, shape), str(seconds)])
        written = 0
        if kind in ("get", "cas"):
            written += self._once(addresses[0], "put").succeeded
        replies = [self._once(address, kind) for address in addresses]
        written += len(replies) if kind in WRITES else 0
        shares = [shape.connections // len(addresses) + (place < shape.connections % len(addresses)) for place in range(len(addresses))]
        logs = [self._folder / f"h2load.{place}" for place in range(len(addresses))]
        for log in logs:
            log.unlink(missing_ok=True)
        before = os.times()
        running = [
            self._h2load(address, kind, [f"-c{share}", f"-m{shape.outstanding}", f"-D{seconds * 1000:.0f}ms", f"--log-file={log}"])
            for address, share, log in zip(addresses, shares, logs, strict=True)
        ]
        texts = [one.communicate()[0] for one in running]
        after = os.times()
        found = [parse_h2load(text) for text in texts]
        for said, reply, share in zip(found, replies, shares, strict=True):
            # Those of writes grow with the revision, which says itself how many there were.
            if kind not in WRITES and (wrong := wrong_with(said, reply.data_bytes, share * shape.outstanding)):
                raise SystemExit(f"etcd: {wrong}")
            if said.failed or not said.is_all_200:
                raise SystemExit(f"etcd: {said.failed} requests failed")
        took_ms = sorted(ms for log in logs for ms in parse_log(log.read_text()))
        done = sum(said.succeeded for said in found)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        times = (statistics.fmean(took_ms), took_ms[len(took_ms) // 2], took_ms[int(len(took_ms) * 0.99)])
        written += done if kind in WRITES else 0
        under_way = shape.connections * shape.outstanding if kind in WRITES else 0
        return Load(done / seconds, done, *times, cpu / done * 1e6, cpu / seconds, written, under_way)

    def writes(self) -> int:
        return int(fetch(f"{self._scheme}://{self.members[0].address}/v3/maintenance/status", b"{}")["header"]["revision"])

    def check(self) -> str:
        def look() -> str:
            said = set()
            for member in self.members:
                where = f"{self._scheme}://{member.address}/v3/maintenance"
                # Of keys alone; 3.4 has no gateway to that, only to one of everything on its disk.
                found = fetch(f"{where}/hashkv", b"{}") or fetch(f"{where}/hash", b"{}")
                said.add((found["hash"], found["header"]["revision"]))
            return "hash {} at revision {}".format(*said.pop()) if len(said) == 1 else ""

        return wait_for(look, "all members of etcd are equal")


@contextmanager
def etcd(folder: Path, program: str = "etcd", version: str = "", locks_program: Path | None = None, *, tls: bool = False) -> Iterator[Etcd]:
    """`tls`: members prove to each other who they are, and to clients; clients do not, as h2load has no certificate to show."""
    scheme, secured = ("https", certificates(folder)) if tls else ("http", [])
    ports = free_ports(2 * MEMBERS)
    names = [f"e{number}" for number in range(1, MEMBERS + 1)]
    peers = [f"{scheme}://127.0.0.1:{port}" for port in ports[:MEMBERS]]
    addresses = [f"127.0.0.1:{port}" for port in ports[MEMBERS:]]
    founders = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
    with processes() as crew:
        members = []
        for name, peer, address in zip(names, peers, addresses, strict=True):
            command = [program, "--name", name, "--data-dir", str(folder / name), "--initial-cluster", founders]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--listen-client-urls", f"{scheme}://{address}", "--advertise-client-urls", f"{scheme}://{address}", *secured]
            members.append(Member(crew.start(command, folder / f"{name}.log"), address, folder / name))
        yield Etcd(members, version, crew, folder, locks_program, scheme)


def certificates(folder: Path) -> list[str]:
    """One that all members have; what etcd is told of it."""
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    extensions = ("subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth,clientAuth")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=etcd"]
    make += ["-keyout", key, "-out", certificate, *[word for each in extensions for word in ("-addext", each)]]
    subprocess.run(make, check=True, stderr=subprocess.DEVNULL)
    towards_members = ["--peer-client-cert-auth", "--peer-trusted-ca-file", certificate, "--peer-cert-file", certificate]
    return ["--cert-file", certificate, "--key-file", key, *towards_members, "--peer-key-file", key]


def entrants(newest: Path, folder: Path) -> tuple[list[Entrant], list[str]]:
    """What can be started, and how to get what cannot."""
    if missing("h2load"):
        return [], ["etcd: apt-get install nghttp2-client"]
    found, left_out = [], []
    locks_program = None
    if LIBRARY.exists():
        locks_program = compile_c(HERE / "etcd_locks.c", folder, "-lnghttp2")
    else:
        left_out.append("etcd's locks: apt-get install libnghttp2-dev")
    for program, remedy in (("etcd", "Debian's etcd: apt-get install etcd-server"), (str(newest), "the newest etcd: --fetch")):
        if missing(program):
            left_out.append(remedy)
            continue
        version = subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[2]
        found.append(Entrant(Etcd.product, version, partial(etcd, program=program, version=version, locks_program=locks_program)))
    return found, left_out
